"""The ear says what it lacks, listens again to a device that comes back, and is set by a file that is checked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_sound import Table, blocks, loud, noise, silence

from jpai_agent.voice.activity import Segmenter
from jpai_agent.voice.audio import AudioError, Block
from jpai_agent.voice.ear import Ear, EarConfig, load_ear_config
from jpai_agent.voice.hearing import Dropped, Event, Heard, Hearing, Unsure
from jpai_agent.voice.recogniser import RecogniserError, Transcript
from jpai_agent.world.paths import resource

SAID = noise(1.0, 1)


class Sound:
    """A source that gives these blocks, and then ends or is lost."""

    def __init__(self, given: list[Block], lost: bool = False) -> None:
        self.given, self.lost, self.closed = given, lost, False

    def blocks(self) -> Iterator[Block]:
        yield from self.given
        if self.lost:
            raise AudioError("the microphone no longer gives sound")

    def close(self) -> None:
        self.closed = True


def hearing(text: str = "赤い箱へ", confidence: float = 0.9) -> Hearing:
    return Hearing(Segmenter(loud), Table([(SAID, Transcript(text, confidence))]))


class Told:
    """What an ear with these sources tells."""

    def __init__(self, *sources: Sound | Exception, load=hearing, again_s: float | None = 0.0) -> None:
        self.events: list[Event] = []
        self.voice: list[bool] = []
        self.faults: list[str] = []
        self.sources = list(sources)
        self.ear = Ear(load, self._open, tell=lambda event, now_s: self.events.append(event), voice=self.voice.append,
                       complain=self.faults.append, again_s=again_s)
        self.ear.listen()

    def _open(self) -> Sound:
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source


def test_what_is_heard_is_told_and_the_source_let_go_at_its_end() -> None:
    source = Sound(blocks(SAID, silence(1.0)))
    told = Told(source)
    assert [event.text for event in told.events] == ["赤い箱へ"]
    assert told.voice == [True, False]
    assert source.closed and not told.ear.listens and told.faults == []


def test_a_microphone_that_is_lost_is_said_once_and_heard_again_when_it_is_back() -> None:
    gone = AudioError("no microphone: Error querying device -1")
    told = Told(Sound(blocks(SAID, silence(1.0)), lost=True), gone, gone, gone, Sound(blocks(silence(0.5), SAID, silence(1.0))))
    assert [type(event) for event in told.events] == [Heard, Heard]
    assert told.faults == ["the microphone no longer gives sound", "no microphone: Error querying device -1"]
    # its clock goes on
    assert told.events[1].begin_s == pytest.approx(told.events[0].end_s + 1.5, abs=0.1)


@pytest.mark.parametrize(("text", "confidence", "kind"), [
    ("前に進", 0.9, Dropped), ("前に進", 0.6, Dropped), ("危ない、右へ", 0.9, Heard), ("危ない、右へ", 0.6, Unsure),
])
def test_of_a_sentence_whose_end_was_lost_with_the_microphone_only_a_stop_is_taken_and_at_once(text, confidence, kind) -> None:
    told = Told(Sound(blocks(SAID), lost=True), again_s=None, load=lambda: hearing(text, confidence))
    assert [(type(event), event.text) for event in told.events] == [(kind, text)]
    assert kind is not Dropped or told.events[0].why == "cut_off"
    assert told.voice == [True, False]


@pytest.mark.parametrize(("fault", "said"), [
    (AudioError("the voice extra is not installed"), "the voice extra is not installed"),
    (RecogniserError("model.bin missing"), "model.bin missing"),
    (ImportError("no onnxruntime"), "nothing is heard any more: ImportError: no onnxruntime"),
])
def test_without_what_it_needs_it_says_so_and_is_settled(fault: Exception, said: str) -> None:
    def load() -> Hearing:
        raise fault

    told = Told(load=load)
    assert told.faults == [said]
    assert told.ear.settled.is_set() and not told.ear.listens


def test_a_device_that_fails_in_an_unknown_way_is_named_and_it_no_longer_listens() -> None:
    told = Told(Sound(blocks(silence(0.5)), lost=True), OverflowError("device 2"))
    assert told.faults == ["the microphone no longer gives sound", "nothing is heard any more: OverflowError: device 2"]
    assert told.ear.settled.is_set() and not told.ear.listens


def test_a_file_is_not_opened_again() -> None:
    told = Told(AudioError("a.wav: the file is empty"), again_s=None)
    assert told.faults == ["a.wav: the file is empty"]


def test_it_ends_when_it_is_closed_whatever_it_waits_for() -> None:
    def never() -> Sound:
        raise AudioError("no microphone")

    ear = Ear(hearing, never, tell=lambda event, now_s: None, voice=lambda somebody: None, complain=lambda fault: None,
              again_s=3600.0)
    ear.start()
    assert ear.settled.wait(10.0)
    ear.close()
    assert "jpai-ear" not in {thread.name for thread in threading.enumerate()}


# --- its settings


def test_the_settings_that_come_with_it_are_those_of_the_code() -> None:
    assert load_ear_config() == EarConfig(wake_words=[])
    assert load_ear_config(device="USB", recogniser=None).device == "USB"


@pytest.mark.parametrize(("text", "said"), [
    ("sure: 2", "sure of hearing must be a number from 0 to 1, not 2"), ("floor: high", "'high'"), ("silence_s: .inf", "inf"),
    ("device: true", "device of hearing must be a text"), ("wake_words: ロボット", "must be a list of names"),
    ("wake_words: [1]", "must be a list of names"), ("louder: 1", "unknown: louder; known: device"), ("- 1", "names with values"),
])
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "hearing.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as caught:
        load_ear_config(file)
    assert str(file) in str(caught.value)


def test_a_microphone_is_named_by_its_number_too() -> None:
    assert EarConfig(device=3) == EarConfig(device="3")  # type: ignore[arg-type]


def test_the_file_tells_every_setting() -> None:
    text = resource("config", "hearing.yaml").read_text(encoding="utf-8")
    assert all(f"\n{name}: " in text for name in vars(EarConfig()))
