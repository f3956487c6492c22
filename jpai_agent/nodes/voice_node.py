"""The robot's ears: what a microphone, a WAV file or an audio topic gives becomes instructions and stops for the graph."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from std_msgs.msg import Bool, Int16MultiArray, String

from jpai_agent.language import only_stop, stop_word
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import GraphNode, raise_priority, run, stamp_of
from jpai_agent.skills import skills_for
from jpai_agent.voice.audio import RATE_HZ, AudioError, Block, Blocks, MicrophoneSource, Samples, Source, WavSource, mono
from jpai_agent.voice.ear import Ear, load_ear_config, load_hearing
from jpai_agent.voice.hearing import Dropped, Event, Hearing, PersonSpeaks, StopHeard, Unsure
from jpai_agent.voice.hearing import Heard as Said
from jpai_agent.voice.hints import hints
from jpai_agent.voice.own_voice import OwnVoice
from jpai_msgs.msg import GateStatus, Heard, Reply

_KINDS = {Said: Heard.HEARD, Unsure: Heard.UNSURE, Dropped: Heard.DROPPED, StopHeard: Heard.STOP}
# stops from here begin like this
BY_VOICE = "voice: "
# after the gate, before the rest: a stop that is heard must not wait for the model and the twin
PRIORITY = -5
# a topic that gives nothing for so long after its last piece has passed is silent; a longer piece is no part of a stream
PAUSE_S, LONGEST_PIECE_S = 0.2, 1.0


class TopicSource:
    """Sound that comes as messages: 16 bit, mono. It is not lost when it pauses."""

    def __init__(self, rate_hz: int) -> None:
        """Raises AudioError for a rate that cannot be used."""
        self._cutter, self._pause = Blocks(rate_hz), np.zeros(round(PAUSE_S * rate_hz), np.float32)
        self._rate_hz = rate_hz
        self._pieces: SimpleQueue[Samples | None] = SimpleQueue()

    def take(self, samples: np.ndarray) -> None:
        """The next piece, (N,) int16 or float."""
        self._pieces.put(mono(samples))

    def blocks(self) -> Iterator[Block]:
        """As of any source."""
        passed_s = 0.0
        while True:
            try:
                piece = self._pieces.get(timeout=PAUSE_S + passed_s)
                passed_s = min(len(piece) / self._rate_hz, LONGEST_PIECE_S) if piece is not None else 0.0
            except Empty:
                piece, passed_s = self._pause, 0.0
            if piece is None:
                return
            yield from self._cutter.feed(piece)

    def close(self) -> None:
        """As of any source."""
        self._pieces.put(None)


class VoiceNode(GraphNode):
    """Tells on /jpai/heard all that was heard; what is certain goes to /jpai/instruction, stops to /jpai/stop, and while a person
    speaks /jpai/voice_activity is true. What is said on /jpai/speaking is its own voice.

    What it lacks (the voice extra, a model, a microphone) it says, and the graph goes on with typed words.

    Parameters: `hearing_file` (how it hears; "": config/hearing.yaml), `device`, `recogniser` and `wake_words` (in place of the
    file's, where given), `wav` (a file that is heard instead of a microphone, as fast as it was spoken), `audio_topic` (sound
    comes from there instead), `audio_type` (of its messages: std_msgs/Int16MultiArray, audio_common_msgs/AudioData or
    audio_common_msgs/AudioStamped) and `audio_rate_hz`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("voice_node", **options)
        file: str = self.declare_parameter("hearing_file", "").value
        device: str = self.declare_parameter("device", "").value
        recogniser: str = self.declare_parameter("recogniser", "").value
        # an empty list has no type in ROS
        wake_words = [word for word in self.declare_parameter("wake_words", [""]).value if word]
        self._wav: str = self.declare_parameter("wav", "").value
        self._topic: str = self.declare_parameter("audio_topic", "").value
        self._type: str = self.declare_parameter("audio_type", "std_msgs/Int16MultiArray").value
        self._rate_hz: int = self.declare_parameter("audio_rate_hz", RATE_HZ).value
        self._config = load_ear_config(Path(file) if file else None, device=device or None, recogniser=recogniser or None,
                                        wake_words=wake_words or None)
        self._own = OwnVoice()
        self._moving = self._active = self._interrupted = False
        # told every event, besides the graph
        self.watch: Callable[[Event], Any] = lambda event: None
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpai-recogniser")
        self._ear: Ear | None = None
        self._instructions: Publisher | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Announce what it tells and needs."""
        self._instructions = self.create_publisher(String, topics.INSTRUCTION, topics.WORDS)
        self._stops = self.create_publisher(String, topics.STOP, topics.WORDS)
        self._heard = self.create_publisher(Heard, topics.HEARD, topics.WORDS)
        self._activity = self.create_publisher(Bool, topics.VOICE_ACTIVITY, topics.WORDS)
        self.create_subscription(String, topics.SPEAKING, self._on_speaking, topics.LATCHED)
        self.create_subscription(Reply, topics.REPLY, self._on_reply, topics.WORDS)
        self.create_subscription(GateStatus, topics.GATE_STATUS, self._on_gate, topics.LATCHED)
        try:
            open_source = self._way_in()
        except AudioError as error:
            self._complain(str(error))
            return TransitionCallbackReturn.SUCCESS
        self._ear = Ear(self._load, open_source, tell=self._tell, voice=self._tell_voice, complain=self._complain,
                        again_s=None if self._wav else 3.0)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen."""
        self._active = True
        if self._ear is not None:
            self._ear.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Pass on stops alone."""
        self._active = False
        return super().on_deactivate(state)

    def hears(self) -> bool:
        """True once it listens, or knows that it cannot."""
        return self._ear is None or self._ear.settled.is_set()

    @property
    def listens(self) -> bool:
        """True while sound comes in and is understood."""
        return self._ear is not None and self._ear.listens

    @property
    def ended(self) -> bool:
        """True once nothing more will come in: a file has been heard, or what is needed is not there."""
        return self._ear is None or self._ear.ended

    def close(self) -> None:
        """Let go of the microphone."""
        if self._ear is not None:
            self._ear.close()
        if self._instructions is not None and self.context.ok():
            # what was heard last reaches the graph before its publisher goes
            self._instructions.wait_for_all_acked(Duration(seconds=1))
        self._beside.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> Hearing:
        words = hints(self.world_map, skills_for(self.robot.name).values())
        return load_hearing(self._config, complain=self._complain, hints=words, own=self._own, beside=self._beside,
                            vehicle=self.robot.ackermann is not None, moving=lambda: self._moving)

    def _way_in(self) -> Callable[[], Source]:
        """What opens the source of sound. Raises AudioError for an audio topic that cannot be heard."""
        if self._wav:
            return lambda: WavSource(self._wav, paced=True)
        if not self._topic:
            return lambda: MicrophoneSource(self._config.device)
        # what is wrong with one message is wrong with all
        kind, samples = message_type(self._type, self._rate_hz, functools.cache(self._complain))
        source = TopicSource(self._rate_hz)
        self.create_subscription(kind, self._topic, lambda message: source.take(samples(message)), topics.AUDIO)
        return lambda: source

    def _complain(self, fault: str) -> None:
        self.get_logger().warning(f"{fault}; typed words still work")

    # --- in the ear's thread

    def _tell(self, event: Event, now_s: float) -> None:
        if not self.context.ok():
            return
        self.watch(event)
        if isinstance(event, PersonSpeaks):
            self._interrupted = self._own.speaking
            self._tell_voice(True)
            return
        # a stop within a sentence that is certain is left to whoever takes it, and now nobody does
        if isinstance(event, StopHeard) or (not self._active and isinstance(event, Said) and self._stop_within(event.text)):
            self._stops.publish(String(data=f"{BY_VOICE}{event.text}"))
        if not self._active:
            return
        if isinstance(event, Said) and self._instructions is not None:
            self._instructions.publish(String(data=event.text))
        late_s = self.now_s() - now_s
        failed = isinstance(event, Dropped) and event.why == "failed"
        if failed:
            self._complain(event.text)
        self._heard.publish(Heard(
            stamp=stamp_of(self.now_s()), begun=stamp_of(max(0.0, late_s + event.begin_s)),
            ended=stamp_of(max(0.0, late_s + event.end_s)), text="" if failed else event.text, confidence=event.confidence,
            kind=_KINDS[type(event)], reason=event.why if isinstance(event, Dropped) else ""))

    def _stop_within(self, text: str) -> bool:
        return stop_word(text, self._moving, vehicle=self.robot.ackermann is not None) and not only_stop(text)

    def _tell_voice(self, somebody: bool) -> None:
        if self.context.ok() and (self._active or not somebody):
            self._activity.publish(Bool(data=somebody))

    # --- in the node's thread

    def _on_speaking(self, message: String) -> None:
        def told(hearing: Hearing) -> list[Event]:
            ended: list[Event] = []
            if not message.data:
                # whoever has silenced it goes on with the same sentence
                ended = hearing.split() if not self._interrupted else []
                self._interrupted = False
            self._own.told(message.data, hearing.now_s)
            hearing.attend()
            return ended

        if self._ear is not None:
            self._ear.do(told)

    def _on_reply(self, message: Reply) -> None:
        def told(hearing: Hearing) -> list[Event]:
            hearing.attend()
            return []

        if self._ear is not None:
            self._ear.do(told)

    def _on_gate(self, message: GateStatus) -> None:
        self._moving = message.v_mps != 0.0 or message.w_radps != 0.0


def message_type(name: str, rate_hz: int, complain: Callable[[str], Any]) -> tuple[type, Callable[[Any], np.ndarray]]:
    """The message type of an audio topic, and what takes its samples out. Raises AudioError for one that is not there.

    Args:
        rate_hz: What is listened at. complain: Is told what is wrong with a message, each time.
    """
    def of_bytes(message: Any) -> np.ndarray:
        data = bytes(message.data)
        if len(data) % 2:
            complain(f"the messages {name} have odd lengths: they do not hold 16-bit samples")
        return np.frombuffer(data[:len(data) // 2 * 2], "<i2")

    def stamped(message: Any) -> np.ndarray:
        samples = np.asarray(message.audio.audio_data.int16_data, np.int16)
        # 0: it does not say
        if message.audio.info.rate not in (0, rate_hz):
            complain(f"the messages {name} are sampled at {message.audio.info.rate} Hz, and audio_rate_hz is {rate_hz}")
            return samples[:0]
        if not len(samples):
            complain(f"the messages {name} have no int16_data: other samples cannot be heard")
        return samples

    if name == "std_msgs/Int16MultiArray":
        return Int16MultiArray, lambda message: np.asarray(message.data, np.int16)
    takers = {"audio_common_msgs/AudioData": of_bytes, "audio_common_msgs/AudioStamped": stamped}
    if name not in takers:
        raise AudioError(f"sound cannot be had from messages of type {name}: std_msgs/Int16MultiArray, {', '.join(takers)} can")
    package, _, kind = name.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind), takers[name]
    except (ImportError, AttributeError) as error:
        raise AudioError(f"the messages {name} are not installed ({error}): install the ROS package {package}") from error


def main() -> int:
    """Run the node, before all that may take its time: stops are among what it hears."""
    raise_priority(PRIORITY)
    return run(VoiceNode)


if __name__ == "__main__":
    sys.exit(main())
