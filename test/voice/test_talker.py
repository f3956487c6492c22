"""The robot says one thing after the other, and nothing more once it is told to be silent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpai_agent.voice.audio import AudioError, Samples
from jpai_agent.voice.manner import Manner
from jpai_agent.voice.speaker import FileSpeaker, Played
from jpai_agent.voice.talker import Talker


class Letters:
    """A synthesiser that gives one piece for each letter."""

    def pieces(self, text: str) -> Iterator[Samples]:
        yield from (np.full(10, ord(letter), np.float32) for letter in text)

    def kana(self, text: str) -> str:
        return text.lower()


class Mouth:
    """A loudspeaker that takes a piece only when it is let to, and tells what it has taken."""

    def __init__(self) -> None:
        self.let, self.taken = threading.Semaphore(0), queue.SimpleQueue[str]()
        self.stopped = threading.Event()
        self.lost = False
        self.closed = 0

    def play(self, pieces: Iterable[Samples], begun: Callable[[], None] = lambda: None) -> Played:
        self.stopped.clear()
        said = 0
        for piece in pieces:
            if self.lost:
                raise AudioError("the loudspeaker is gone")
            if not said:
                begun()
            self.let.acquire()
            if self.stopped.is_set():
                return Played(float(said), False)
            self.taken.put(chr(int(piece[0])))
            said += 1
        return Played(float(said), True)

    def stop(self) -> None:
        self.stopped.set()
        self.let.release()

    def close(self) -> None:
        self.closed += 1

    def hear(self, letters: int) -> str:
        for _ in range(letters):
            self.let.release()
        return "".join(self.taken.get(timeout=5.0) for _ in range(letters))


class Scene:
    def __init__(self, tmp_path: Path) -> None:
        self.mouth, self.news = Mouth(), queue.SimpleQueue[Any]()
        self.why = ""
        self.talker = Talker(Manner(), tmp_path, announce=lambda words, kana: self.news.put((words, kana)),
                             said=lambda words, played: self.news.put((words, played)), complain=self.news.put,
                             synthesis=lambda manner: Letters(), speaker=lambda: (self.mouth, self.why))

    def next(self) -> Any:
        return self.news.get(timeout=5.0)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    assert made.talker.loaded.wait(5.0)
    yield made
    made.talker.close()


def test_what_is_said_is_announced_with_its_kana_and_its_end(scene: Scene) -> None:
    scene.talker.say("AB")
    assert scene.next() == ("AB", "ab")
    assert scene.mouth.hear(2) == "AB"
    assert scene.next() == ("AB", Played(2.0, True))
    assert scene.next() == ("", "")


def test_one_thing_is_said_after_the_other(scene: Scene) -> None:
    scene.talker.say("AB")
    scene.talker.say("CD")
    assert scene.mouth.hear(4) == "ABCD"


def test_hushed_it_is_silent_at_once_and_forgets_what_waited(scene: Scene) -> None:
    scene.talker.say("ABC")
    scene.talker.say("XYZ")
    assert scene.mouth.hear(1) == "A"
    scene.talker.hush()
    assert [scene.next() for _ in range(3)] == [("ABC", "abc"), ("ABC", Played(1.0, False)), ("", "")]
    scene.talker.say("D")
    assert scene.mouth.hear(1) == "D"


def test_hushed_while_silent_it_still_says_what_comes_next(scene: Scene) -> None:
    scene.talker.hush()
    scene.talker.say("A")
    assert scene.mouth.hear(1) == "A"


def test_of_much_that_waits_the_oldest_is_left_out(scene: Scene) -> None:
    scene.talker.say("0")
    assert scene.next() == ("0", "0")
    for word in "123456":
        scene.talker.say(word)
    assert scene.mouth.hear(5) == "03456"


def test_a_loudspeaker_that_is_lost_is_told_of_and_opened_again(scene: Scene) -> None:
    scene.mouth.lost = True
    scene.talker.say("A")
    assert scene.next() == "not said: A (the loudspeaker is gone)"
    scene.mouth.lost = False
    scene.talker.say("B")
    assert scene.mouth.hear(1) == "B"
    assert scene.mouth.closed == 1


def test_without_a_loudspeaker_it_says_so_once_and_where_its_speech_goes(tmp_path: Path) -> None:
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    quick = FileSpeaker(tmp_path, wait=lambda stopped, seconds: False)
    talker = Talker(Manner(), tmp_path, announce=lambda words, kana: None, said=lambda words, played: news.put(played.path),
                    complain=news.put, synthesis=lambda manner: Letters(), speaker=lambda: (quick, "no loudspeaker: none"))
    talker.say("A")
    talker.say("B")
    assert news.get(timeout=5.0) == f"no loudspeaker: none; speech goes to {tmp_path}"
    assert [news.get(timeout=5.0) for _ in range(2)] == [tmp_path / "000.wav", tmp_path / "001.wav"]
    talker.close()


def test_without_the_voice_extra_it_says_why_and_is_silent(tmp_path: Path) -> None:
    def none(manner: Manner) -> Letters:
        raise AudioError("the voice extra is not installed")

    news: queue.SimpleQueue[str] = queue.SimpleQueue()
    talker = Talker(Manner(), tmp_path, announce=lambda words, kana: news.put(words), complain=news.put, synthesis=none)
    assert talker.loaded.wait(5.0)
    assert news.get(timeout=5.0) == "nothing is said aloud: the voice extra is not installed"
    talker.say("A")
    talker.hush()
    talker.close()
    assert news.empty()
