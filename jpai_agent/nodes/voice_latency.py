"""Measure speech in the running graph: from a stop word's end to zero on /cmd_vel, from an order's end to the first motion, from
a reply to its first sound, and the memory of the two nodes.

Sound is published on an audio topic as fast as it would come from a microphone, in pieces of 20 ms.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Int16MultiArray, String

from jpai_agent.graph import private_domain, processes, release_domain
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import raise_priority
from jpai_agent.nodes.beside import Beside
from jpai_agent.nodes.latency import Driver, bench_graph
from jpai_agent.supervisor import Supervisor
from jpai_agent.voice.audio import RATE_HZ
from jpai_msgs.msg import GateStatus, Heard, Reply

AUDIO_TOPIC = "/bench/audio"
PIECE = RATE_HZ // 50
VOICE = {"audio_topic": AUDIO_TOPIC}
# a zero so long before a word's end is not for it, and it is said again
_EARLY_S, _TRIES, _WRITTEN_S = 0.6, 3, 2.0
_MOVES, _STANDS_S, _WITHIN_S = 1e-3, 1.5, 20.0


@dataclass(frozen=True)
class Words:
    """Sound of something said: float32 at RATE_HZ; the last word ends after `end_s`."""

    text: str
    samples: np.ndarray
    end_s: float


class Mouth:
    """Publishes sound at the speed of time, near silence where nothing is said, on a thread of its own."""

    def __init__(self, context: Context, seed: int = 0) -> None:
        """`seed`: of the noise of the silence."""
        self._node = Node("bench_mouth", context=context)
        self._speak = self._node.create_publisher(Int16MultiArray, AUDIO_TOPIC, topics.AUDIO)
        self._rng = np.random.default_rng(seed)
        self._due: list[np.ndarray] = []
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._begun_s = 0.0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mouth", daemon=True)
        self._thread.start()

    def say(self, words: Words) -> float:
        """Begin to say it; gives the time (monotonic) at which its last word will have ended."""
        pieces = np.pad(words.samples, (0, -len(words.samples) % PIECE)).reshape(-1, PIECE)
        with self._lock:
            self._begun.clear()
            self._due = list(pieces)
        if not self._begun.wait(2.0):
            raise RuntimeError("the bench's own sound does not flow")
        return self._begun_s + words.end_s

    def close(self) -> None:
        """Be silent for good."""
        self._ending.set()
        self._thread.join(timeout=2.0)
        self._node.destroy_node()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._ending.is_set():
            # a piece is there once all of it has been said
            next_s += PIECE / RATE_HZ
            time.sleep(max(0.0, next_s - time.monotonic()))
            with self._lock:
                piece = self._due.pop(0) if self._due else None
                if piece is not None and not self._begun.is_set():
                    self._begun_s = next_s - PIECE / RATE_HZ
                    self._begun.set()
            sound = self._rng.normal(0, 3, PIECE) if piece is None else np.clip(piece, -1, 1) * 32_767
            self._speak.publish(Int16MultiArray(data=sound.astype(np.int16).tolist()))


def stop_latency(said: Sequence[Words], *, busy: bool = True, seed: int = 0,
                 tell: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Stop a turning robot by each of these; seconds from the word's end to the first zero on /cmd_vel.

    Returns: n, p50_ms, p95_ms, max_ms of those heard, those missed, how often it stood before the word (for what was written
    down of another one, or a late sensor), and "memory_mb" of voice_node and speech_node.

    Raises:
        GraphError, RuntimeError: The graph does not come up, or the robot does not move.
    """
    domain = private_domain()
    rng = np.random.default_rng(seed)
    taken_s: list[float] = []
    missed: list[str] = []
    others = 0
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    before = os.getpriority(os.PRIO_PROCESS, 0)
    log_dir = Path(tempfile.mkdtemp(prefix="jpai-voice-"))
    graph = bench_graph(domain, busy=busy, voice=VOICE, speech={"out": str(log_dir / "speech")})
    with Supervisor(graph, domain_id=domain, log_dir=log_dir, tell=lambda line: None) as supervisor:
        supervisor.wait_ready()
        raise_priority()
        driver = Driver(domain)
        mouth = Mouth(driver.context)
        try:
            driver.run(lambda: False, 3.0)
            for index, words in enumerate(said):
                for _ in range(_TRIES):
                    after_s = _after_end(driver, mouth, words, float(rng.uniform(0.0, 0.1)))
                    # what is written down of it later stops once more
                    driver.run(lambda: False, _WRITTEN_S)
                    driver.release()
                    if after_s is None or after_s > -_EARLY_S:
                        break
                    others += 1
                if after_s is None:
                    missed.append(words.text)
                elif after_s > -_EARLY_S:
                    taken_s.append(after_s)
                tell(index + 1)
            memory = {name: round(_resident_mb(supervisor.running[name].pid)) for name in ("voice_node", "speech_node")}
        finally:
            mouth.close()
            driver.close()
            raise_priority(before)
            release_domain(domain)
    return {**_summary(taken_s), "missed": missed, "stopped_before_the_word": others, "memory_mb": memory}


def _after_end(driver: Driver, mouth: Mouth, words: Words, phase_s: float) -> float | None:
    """Seconds from the end of words to zero; None where they do not stop the robot. Raises RuntimeError: it does not turn."""
    ended_s = 0.0

    def stop() -> None:
        nonlocal ended_s
        ended_s = mouth.say(words)

    try:
        driver.sample(stop, phase_s)
    except RuntimeError:
        if not ended_s:
            raise
        return None
    assert driver.zero_at_s is not None
    return driver.zero_at_s - ended_s


class _Listener(Beside):
    """What a person beside the robot perceives: when it moves, what it answers and when that can be heard."""

    def __init__(self, domain_id: int) -> None:
        super().__init__("bench", domain_id, spin_s=0.005)
        self.moved_at_s: float | None = None
        self.last_moved_s = 0.0
        self.replied_at_s: float | None = None
        self.sounded_at_s: float | None = None
        self.heard: list[str] = []
        listen = self.node.create_subscription
        listen(TwistStamped, topics.CMD_VEL, self._on_speed, topics.COMMAND)
        listen(Reply, topics.REPLY, self._on_reply, topics.WORDS)
        listen(String, topics.SPEAKING, self._on_speaking, topics.LATCHED)
        listen(Heard, topics.HEARD, lambda message: self.heard.append(message.text), topics.WORDS)
        listen(GateStatus, topics.GATE_STATUS, lambda message: None, topics.LATCHED)

    def forget(self) -> None:
        """Another instruction comes."""
        self.moved_at_s = self.replied_at_s = self.sounded_at_s = None
        self.heard.clear()

    def _on_speed(self, message: TwistStamped) -> None:
        if abs(message.twist.linear.x) > _MOVES or abs(message.twist.angular.z) > _MOVES:
            self.last_moved_s = time.monotonic()
            self.moved_at_s = self.moved_at_s or self.last_moved_s

    def _on_reply(self, message: Reply) -> None:
        self.replied_at_s = self.replied_at_s or time.monotonic()

    def _on_speaking(self, message: String) -> None:
        if message.data and self.replied_at_s is not None:
            self.sounded_at_s = self.sounded_at_s or time.monotonic()


def motion_latency(said: Sequence[Words], *, model: str = "", tell: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Say each of these to the robot at rest; seconds from the last word's end to the first motion, and from the reply to
    its first sound.

    Raises GraphError, RuntimeError where the graph does not come up.
    """
    domain = private_domain()
    motion_s: list[float] = []
    sound_s: list[float] = []
    still: list[str] = []
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    log_dir = Path(tempfile.mkdtemp(prefix="jpai-voice-"))
    graph = processes(model=model, voice=VOICE, speech={"out": str(log_dir / "speech")})
    with Supervisor(graph, domain_id=domain, log_dir=log_dir, tell=lambda line: None) as supervisor:
        supervisor.wait_ready()
        listener = _Listener(domain)
        mouth = Mouth(listener.context)
        try:
            listener.run(lambda: False, 3.0)
            for index, words in enumerate(said):
                listener.run(lambda: time.monotonic() - listener.last_moved_s > _STANDS_S, _WITHIN_S)
                listener.forget()
                ended_s = mouth.say(words)
                if listener.run(lambda: listener.moved_at_s is not None, _WITHIN_S):
                    assert listener.moved_at_s is not None
                    motion_s.append(listener.moved_at_s - ended_s)
                else:
                    still.append(f"{words.text} → {'、'.join(listener.heard) or 'nothing heard'}")
                listener.run(lambda: listener.sounded_at_s is not None, 2.0)
                if listener.replied_at_s is not None and listener.sounded_at_s is not None:
                    sound_s.append(listener.sounded_at_s - listener.replied_at_s)
                tell(index + 1)
        finally:
            mouth.close()
            listener.close()
            with contextlib.suppress(KeyError):
                release_domain(domain)
    return {"speech_end_to_motion": {**_summary(motion_s), "did_not_move": still}, "reply_to_sound": _summary(sound_s)}


def _resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"n": 0}
    found = 1e3 * np.array(seconds)
    return {"n": len(found), "p50_ms": round(float(np.percentile(found, 50))), "p95_ms": round(float(np.percentile(found, 95))),
            "max_ms": round(float(found.max()))}
