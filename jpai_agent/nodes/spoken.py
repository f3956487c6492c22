"""Somebody who talks to the robot aloud, for the demonstration: a voice of their own, a microphone, and ears for its answers."""

from __future__ import annotations

import json
import threading
import time
import wave
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Int16MultiArray, String

from jpai_agent.language import failure
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import seconds
from jpai_agent.nodes.beside import Beside
from jpai_agent.nodes.speech_node import INDEX
from jpai_agent.record.soundtrack import Sound
from jpai_agent.voice import audio
from jpai_agent.voice.ear import load_ear_config
from jpai_agent.voice.manner import Manner
from jpai_agent.voice.recogniser import load_recogniser
from jpai_agent.voice.synthesis import RATE_HZ, Synthesiser, openjtalk
from jpai_agent.voice.talker import Synthesis
from jpai_msgs.msg import Heard

# lower than the robot's, so that one can be told from the other
MANNER = Manner(half_tones=-4.0)
YES = "はい"
# the microphone's blocks, and how long ahead of their time they are sent
BLOCK_S, AHEAD_S = 0.1, 0.1
HEARD_WITHIN_S, ENDED_WITHIN_S, ANSWERED_WITHIN_S, SPOKEN_WITHIN_S = 12.0, 180.0, 3.0, 30.0
TIMES_SAID = 2
_TAKEN = (Heard.HEARD, Heard.UNSURE, Heard.STOP)
_BEFORE, _AFTER = failure("unsure", "\n").split("\n")


class Microphone:
    """Gives 16 bit sound without a break, as fast as it is heard: what is said into it, else silence.

    Args:
        send: Is given each block, (N,) int16 at audio.RATE_HZ.
    """

    def __init__(self, send: Callable[[np.ndarray], Any]) -> None:
        self._send = send
        self._waiting: deque[np.ndarray] = deque()
        self._silent = threading.Event()
        self._silent.set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jpai-microphone", daemon=True)
        self._thread.start()

    def hear(self, samples: audio.Samples) -> None:
        """Say this into it, (N,) at audio.RATE_HZ, from its next block on."""
        size = round(BLOCK_S * audio.RATE_HZ)
        sound = np.round(np.pad(samples, (0, -len(samples) % size)) * 32767.0).astype(np.int16)
        self._silent.clear()
        self._waiting.extend(sound.reshape(-1, size))

    @property
    def silent(self) -> bool:
        """True when all that was said into it has been sent."""
        return self._silent.is_set()

    def close(self) -> None:
        """Switch it off."""
        self._ending.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        begin, sent = time.monotonic(), 0
        nothing = np.zeros(round(BLOCK_S * audio.RATE_HZ), np.int16)
        while not self._ending.wait(max(0.0, begin + sent * BLOCK_S - AHEAD_S - time.monotonic())):
            if self._waiting:
                self._send(self._waiting.popleft())
            else:
                self._silent.set()
                self._send(nothing)
            sent += 1


class Follower:
    """Reads the events of a run as they are written."""

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0

    def news(self) -> Iterator[dict[str, Any]]:
        """The events since the last call."""
        if not self._file.exists():
            return
        with self._file.open("rb") as lines:
            lines.seek(self._at)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                yield json.loads(line)


class SpeakingPerson(Beside):
    """A node that says instructions aloud and tells what happens to them.

    Attributes:
        sounds: What was said, words and sound, on the clock of the graph.
    """

    def __init__(self, domain: int, run: Path, voice: Synthesis | None = None) -> None:
        """run: The folder of the run's record. voice: A synthesiser. Raises AudioError where the voice extra is not installed."""
        self._voice = voice or Synthesiser(MANNER)
        super().__init__("person", domain)
        self.sounds: list[tuple[str, Sound]] = []
        self._follower = Follower(run / "events.jsonl")
        self._now_s, self._speaking = 0.0, False
        self._heard: list[Heard] = []
        listen = self.node.create_subscription
        listen(Clock, topics.CLOCK, lambda m: setattr(self, "_now_s", seconds(m.clock)), topics.SENSOR)
        listen(String, topics.SPEAKING, lambda m: setattr(self, "_speaking", bool(m.data)), topics.LATCHED)
        listen(Heard, topics.HEARD, self._heard.append, topics.WORDS)
        sound = self.node.create_publisher(Int16MultiArray, topics.SPEECH_IN, topics.AUDIO)
        self._microphone = Microphone(lambda block: sound.publish(Int16MultiArray(data=block)))

    def close(self) -> None:
        """Leave the graph."""
        self._microphone.close()
        super().close()

    def say(self, text: str, write: Callable[[str], Any]) -> bool:
        """Say an instruction and wait for its end; True when it was done or answered by a question.

        What was not heard is said once more, and a question whether something was meant is answered by a yes.
        """
        begin = time.monotonic()

        def told(line: str) -> None:
            write(f"[{time.monotonic() - begin:5.1f} s] {line}")

        self.run(lambda: self._now_s > 0.0, HEARD_WITHIN_S)
        for _ in range(TIMES_SAID):
            if self._speak(text, told):
                break
            told("聞き取り できませんでした")
        else:
            return False
        outcome, asked = self._follow(told)
        if asked and self._speak(YES, told):
            outcome, _ = self._follow(told)
        self.run(lambda: not self._speaking, SPOKEN_WITHIN_S)
        return outcome in ("done", "answered")

    def _speak(self, words: str, told: Callable[[str], Any]) -> bool:
        """Say something once the robot is silent; whether it was heard."""
        self.run(lambda: not self._speaking, SPOKEN_WITHIN_S)
        # in one breath: after a pause an instruction has ended
        speech = np.concatenate(list(self._voice.pieces(words.replace("、", ""))))
        told(f"話す   {words}")
        self._heard.clear()
        list(self._follower.news())
        self.sounds.append((words, Sound(self._now_s + AHEAD_S, speech)))
        self._microphone.hear(audio.resampled(speech, RATE_HZ))
        self.run(lambda: self._microphone.silent, SPOKEN_WITHIN_S)
        taken = self.run(lambda: any(heard.kind in _TAKEN for heard in self._heard), HEARD_WITHIN_S)
        for heard in self._heard:
            told(f"聞き取り {heard.text or '―'} ({heard.confidence:.2f}{' ' + heard.reason if heard.reason else ''})")
        return taken

    def _follow(self, told: Callable[[str], Any]) -> tuple[str, bool]:
        """Wait until what was heard last has ended: its outcome ("" when it does not), and whether the robot asked for a yes."""
        turn, outcome, asked = None, "", False

        def ended() -> bool:
            nonlocal turn, outcome, asked
            for event in self._follower.news():
                kind = event["event"]
                if kind == "Heard":
                    turn = event["turn"]
                elif kind == "Replied":
                    asked = event["text"].startswith(_BEFORE) and event["text"].endswith(_AFTER)
                    told(f"応答   {event['text']}")
                elif kind == "Rehearsed":
                    told(f"リハーサル {event['status']} ({event['latency_ms']:.0f} ms)")
                elif kind == "StepStarted":
                    told(f"実行   手順 {event['step'] + 1}")
                elif kind == "Finished" and event["turn"] == turn:
                    outcome = event["outcome"]
            return bool(outcome)

        self.run(ended, ENDED_WITHIN_S)
        if not outcome:
            told("終わりませんでした")
        if outcome == "answered":
            # a question is heard before anything is said to it
            self.run(lambda: self._speaking, ANSWERED_WITHIN_S)
        return outcome, asked


def check_voice() -> None:
    """See whether the robot could hear and speak. Raises AudioError and RecogniserError."""
    openjtalk()
    load_recogniser(load_ear_config().recogniser)


def keep_sounds(sounds: Iterable[tuple[str, Sound]], folder: Path) -> None:
    """Put what a person said, words and sound, beside what the robot said, in the folder of its speech."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / INDEX).open("a", encoding="utf-8") as index:
        for number, (words, sound) in enumerate(sounds):
            name = f"person-{number:03d}.wav"
            audio.write_wav(folder / name, sound.samples, RATE_HZ)
            line = {"time_s": sound.time_s, "words": words, "file": name, "seconds": len(sound.samples) / RATE_HZ, "whole": True}
            index.write(json.dumps(line, ensure_ascii=False) + "\n")


def kept_sounds(folder: Path) -> list[Sound]:
    """What was said in a run, from the folder of its speech; none where there is no such folder."""
    index = folder / INDEX
    if not index.is_file():
        return []
    lines = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
    return [Sound(line["time_s"], _samples(folder / line["file"])) for line in lines]


def _samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32767.0
