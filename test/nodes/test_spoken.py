"""Somebody who talks to the robot aloud: says it, waits until it was heard and done, and keeps what was said for the film."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Int16MultiArray, String

from jpai_agent.language import failure
from jpai_agent.nodes import spoken, topics
from jpai_agent.nodes.base import stamp_of
from jpai_agent.nodes.spoken import BLOCK_S, Follower, Microphone, SpeakingPerson, keep_sounds, kept_sounds
from jpai_agent.record.soundtrack import RATE_HZ, Sound
from jpai_agent.voice import audio
from jpai_agent.voice.audio import Samples, write_wav
from jpai_msgs.msg import Heard

BLOCK = round(BLOCK_S * audio.RATE_HZ)
NOW_S = 40.0


def test_a_microphone_gives_what_is_said_once_and_silence_around_it() -> None:
    sent: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    microphone = Microphone(sent.put)
    microphone.hear(np.linspace(0.1, 0.9, 2 * BLOCK + 10).astype(np.float32))
    blocks = [sent.get(timeout=5.0)]
    while blocks[-1].any() or not any(map(np.any, blocks)):
        blocks.append(sent.get(timeout=5.0))
    microphone.close()
    said = np.concatenate(blocks)
    assert {len(block) for block in blocks} == {BLOCK}
    assert np.array_equal(said[said != 0], np.round(np.linspace(0.1, 0.9, 2 * BLOCK + 10).astype(np.float32) * 32767.0))
    assert microphone.silent


def test_events_are_read_as_they_are_written_and_only_when_they_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    follower = Follower(file)
    assert list(follower.news()) == []
    file.write_text('{"event": "Heard"}\n{"event": "Pla', encoding="utf-8")
    assert list(follower.news()) == [{"event": "Heard"}]
    file.write_text('{"event": "Heard"}\n{"event": "Planned"}\n', encoding="utf-8")
    assert list(follower.news()) == [{"event": "Planned"}]
    assert list(follower.news()) == []


def test_what_both_said_is_kept_in_one_folder(tmp_path: Path) -> None:
    write_wav(tmp_path / "000.wav", np.full(480, 0.5, np.float32), RATE_HZ)
    (tmp_path / "speech.jsonl").write_text('{"time_s": 12.5, "file": "000.wav"}\n', encoding="utf-8")
    keep_sounds([("はい", Sound(10.0, np.full(960, 0.25, np.float32)))], tmp_path)
    robot, person = kept_sounds(tmp_path)
    assert (robot.time_s, person.time_s) == (12.5, 10.0)
    assert robot.samples == pytest.approx(np.full(480, 0.5), abs=1e-3)
    assert person.samples == pytest.approx(np.full(960, 0.25), abs=1e-3)
    assert kept_sounds(tmp_path / "nowhere") == []


class Tone:
    """A synthesiser that beeps, and notes the words."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pieces(self, text: str) -> Iterator[Samples]:
        self.said.append(text)
        yield np.full(RATE_HZ // 5, 0.5, np.float32)

    def kana(self, text: str) -> str:
        return text


class Robot:
    """Hears each beep as the graph would, and does what its script says: how it was heard, its reply, how it ended."""

    def __init__(self, graph: Any, run: Path, script: list[tuple[int, str, str]]) -> None:
        run.mkdir()
        self.graph, self._events, self._script, self._turn = graph, run / "events.jsonl", script, 0
        self._beeping = False
        make = graph.node.create_publisher
        self._clock, self._heard = make(Clock, topics.CLOCK, topics.SENSOR), make(Heard, topics.HEARD, topics.WORDS)
        self._speaking = make(String, topics.SPEAKING, topics.LATCHED)
        self._speaking.publish(String(data=""))
        graph.node.create_timer(0.02, lambda: self._clock.publish(Clock(clock=stamp_of(NOW_S))))
        graph.node.create_subscription(Int16MultiArray, topics.SPEECH_IN, self._listen, topics.AUDIO)

    def _listen(self, message: Int16MultiArray) -> None:
        loud = bool(np.any(message.data))
        if self._beeping and not loud and self._script:
            kind, reply, outcome = self._script.pop(0)
            turn, self._turn = self._turn, self._turn + 1
            lines = [{"event": "Heard", "turn": turn}, {"event": "Replied", "turn": turn, "text": reply},
                     {"event": "Finished", "turn": turn, "outcome": outcome}]
            with self._events.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            self._heard.publish(Heard(kind=kind, text="聞いた", confidence=0.9))
        self._beeping = loud


@pytest.fixture
def talk(graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Have a person say something to a robot with a script: what they report, the person, the words they said."""
    monkeypatch.setattr(spoken, "ANSWERED_WITHIN_S", 0.05)

    def talking(script: list[tuple[int, str, str]], heard_within_s: float = 20.0) -> tuple[bool, SpeakingPerson, list[str]]:
        monkeypatch.setattr(spoken, "HEARD_WITHIN_S", heard_within_s)
        Robot(graph, tmp_path / "run", script)
        voice, well = Tone(), []
        with SpeakingPerson(graph.context.get_domain_id(), tmp_path / "run", voice) as person:
            assert graph.spin_until(lambda: graph.node.count_publishers(topics.SPEECH_IN))
            thread = threading.Thread(target=lambda: well.append(person.say("前へ、進んで", lambda line: None)), daemon=True)
            thread.start()
            assert graph.spin_until(lambda: well, 60.0)
        return well[0], person, voice.said

    return talking


def test_what_is_said_is_heard_done_and_kept_with_its_time(talk) -> None:
    well, person, said = talk([(Heard.HEARD, "進みます。", "done")])
    assert well
    assert said == ["前へ進んで"]  # in one breath
    ((words, sound),) = person.sounds
    assert words == "前へ、進んで"
    assert sound.time_s == pytest.approx(NOW_S + spoken.AHEAD_S)
    assert len(sound.samples) == RATE_HZ // 5


def test_a_question_whether_it_was_meant_is_answered_by_a_yes(talk) -> None:
    asked = failure("unsure", "前に進みます")
    well, person, said = talk([(Heard.UNSURE, asked, "answered"), (Heard.HEARD, "進みます。", "done")])
    assert well
    assert said == ["前へ進んで", "はい"]
    assert len(person.sounds) == 2


def test_another_question_is_an_answer(talk) -> None:
    well, _, said = talk([(Heard.HEARD, "どちらのことでしょうか。", "answered")])
    assert well
    assert len(said) == 1


def test_what_fails_is_no_success(talk) -> None:
    well, _, _ = talk([(Heard.HEARD, "道がふさがっています。", "failed")])
    assert not well


def test_what_nobody_hears_is_said_once_more_and_then_given_up(talk) -> None:
    well, _, said = talk([], heard_within_s=1.0)
    assert not well
    assert said == ["前へ進んで"] * 2
