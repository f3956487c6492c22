"""Speech goes to a loudspeaker, or to files where there is none, and ends at once when it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jpai_agent.voice import speaker
from jpai_agent.voice.audio import STREAMS, AudioError, Samples, read_wav
from jpai_agent.voice.speaker import DeviceSpeaker, FileSpeaker, Played, open_speaker
from jpai_agent.voice.synthesis import RATE_HZ

BLOCK = RATE_HZ // 50


def tone(seconds: float, level: float = 0.5) -> Samples:
    return np.full(round(seconds * RATE_HZ), level, np.float32)


class FakePortAudio:
    """The module sounddevice with one loudspeaker, which takes blocks when it is told to `turn`."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate_hz: int = RATE_HZ, there: bool = True) -> None:
        self.rate_hz, self.there = rate_hz, there
        self.stream: Any = None
        self.taken: list[np.ndarray] = []
        self.plugged_in = there

    def _terminate(self) -> None:
        self.there = False

    def _initialize(self) -> None:
        self.there = self.plugged_in

    def check_output_settings(self, *, samplerate: int, **given: Any) -> None:
        if not self.there:
            raise self.PortAudioError("Error querying device -1")
        if samplerate != self.rate_hz:
            raise self.PortAudioError("Invalid sample rate")

    def query_devices(self, device: Any, kind: str) -> dict[str, float]:
        if not self.there:
            raise self.PortAudioError("Error querying device -1")
        return {"default_samplerate": float(self.rate_hz)}

    def OutputStream(self, **given: Any) -> Any:
        self.stream = SimpleNamespace(start=lambda: None, close=lambda ignore_errors: None, **given)
        return self.stream

    def turn(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            out = np.full((self.stream.blocksize, 1), 9.0, np.float32)
            self.stream.callback(out, len(out), None, None)
            self.taken.append(out[:, 0].copy())

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate(self.taken)


@pytest.fixture(autouse=True)
def none_open() -> None:
    STREAMS.clear()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    made = FakePortAudio()
    monkeypatch.setattr(speaker, "portaudio", lambda: made)
    return made


class Playing:
    """A speech that is played on a thread of its own; its pieces come when they are given."""

    def __init__(self, mouth: DeviceSpeaker, *pieces: Samples) -> None:
        self.begun = threading.Event()
        self.made = threading.Event()
        self._pieces = pieces
        self.result: Played | AudioError | None = None
        self._thread = threading.Thread(target=self._play, args=(mouth,), daemon=True)
        self._thread.start()
        assert self.made.wait(5.0)

    def _made(self) -> Iterator[Samples]:
        yield from self._pieces
        self.made.set()

    def _play(self, mouth: DeviceSpeaker) -> None:
        try:
            self.result = mouth.play(self._made(), self.begun.set)
        except AudioError as error:
            self.result = error

    def end(self) -> Any:
        self._thread.join(5.0)
        return self.result


def test_a_loudspeaker_is_given_every_sample_once_and_silence_after_them(device: FakePortAudio) -> None:
    playing = Playing(DeviceSpeaker(), tone(0.05), tone(0.03, 0.25))
    device.turn(6)
    assert playing.end() == Played(pytest.approx(0.08), True)
    assert playing.begun.is_set()
    assert np.array_equal(device.heard, np.concatenate([tone(0.05), tone(0.03, 0.25), np.zeros(2 * BLOCK, np.float32)]))


def test_it_is_silent_while_it_has_nothing_to_say(device: FakePortAudio) -> None:
    DeviceSpeaker()
    device.turn(2)
    assert not device.heard.any()


def test_a_stop_silences_it_within_a_block_without_a_click(device: FakePortAudio) -> None:
    mouth = DeviceSpeaker()
    playing = Playing(mouth, tone(10.0))
    device.turn(3)
    mouth.stop()
    device.turn(2)
    assert playing.end() == Played(pytest.approx(0.06), False)
    assert (np.diff(device.taken[3]) < 0).all()
    assert not device.taken[4].any()


def test_after_a_stop_it_says_the_next_thing_from_its_begin(device: FakePortAudio) -> None:
    mouth = DeviceSpeaker()
    playing = Playing(mouth, tone(10.0))
    device.turn(1)
    mouth.stop()
    device.turn(1)
    playing.end()
    again = Playing(mouth, tone(0.02, 0.25))
    device.turn(1)
    assert again.end().whole
    assert np.array_equal(device.taken[-1], tone(0.02, 0.25))


def test_a_stop_between_two_speeches_stops_none(device: FakePortAudio) -> None:
    mouth = DeviceSpeaker()
    mouth.stop()
    playing = Playing(mouth, tone(0.02))
    device.turn(1)
    assert playing.end().whole


def test_a_loudspeaker_of_another_rate_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakePortAudio(rate_hz=44_100)
    monkeypatch.setattr(speaker, "portaudio", lambda: device)
    playing = Playing(DeviceSpeaker(), tone(0.1))
    device.turn(6)
    assert playing.end().seconds == pytest.approx(0.1, abs=0.001)
    assert device.stream.samplerate == 44_100


def test_a_loudspeaker_that_is_pulled_out_is_told_of(device: FakePortAudio) -> None:
    playing = Playing(DeviceSpeaker(), tone(10.0))
    device.turn(1)
    device.stream.finished_callback()
    assert "the loudspeaker is gone" in str(playing.end())


def test_one_that_takes_nothing_any_more_is_told_of(device: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "_LOST_AFTER_S", 0.01)
    assert "takes no more sound" in str(Playing(DeviceSpeaker(), tone(10.0)).end())


def test_without_a_loudspeaker_files_are_written_and_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speaker, "portaudio", lambda: FakePortAudio(there=False))
    mouth, why = open_speaker("", tmp_path)
    assert isinstance(mouth, FileSpeaker)
    assert "no loudspeaker: Error querying device" in why


def test_a_loudspeaker_that_comes_later_or_again_is_found(device: FakePortAudio, tmp_path: Path) -> None:
    device.there = device.plugged_in = False
    assert open_speaker("", tmp_path)[1]
    device.plugged_in = True
    mouth, why = open_speaker("", tmp_path)
    assert isinstance(mouth, DeviceSpeaker) and not why
    # PortAudio, begun anew, would end the stream that is open
    device.plugged_in = False
    DeviceSpeaker()
    mouth.close()


def test_a_file_has_what_was_said_and_takes_as_long(tmp_path: Path) -> None:
    waited: list[float] = []
    mouth = FileSpeaker(tmp_path, wait=lambda stopped, seconds: bool(waited.append(seconds)))
    played = mouth.play([tone(1.0), tone(0.5)])
    assert (played.seconds, played.whole, played.path) == (1.5, True, tmp_path / "000.wav")
    assert len(read_wav(tmp_path / "000.wav")) == 24_000
    assert waited[0] == pytest.approx(1.5, abs=0.5)
    assert mouth.play([tone(0.1)]).path == tmp_path / "001.wav"


def test_a_file_ends_where_it_was_stopped(tmp_path: Path) -> None:
    mouth = FileSpeaker(tmp_path)

    def pieces() -> Iterator[Samples]:
        yield tone(100.0)
        mouth.stop()
        yield tone(100.0)

    played = mouth.play(pieces())
    assert not played.whole
    assert played.seconds < 50.0


def test_nothing_to_say_is_no_file(tmp_path: Path) -> None:
    assert FileSpeaker(tmp_path).play([]) == Played(0.0, True)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    mouth = FileSpeaker(tmp_path, kept=2, wait=lambda stopped, seconds: False)
    for _ in range(4):
        mouth.play([tone(0.01)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["002.wav", "003.wav"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match="file/speech"):
        FileSpeaker(tmp_path / "file" / "speech", wait=lambda stopped, seconds: False).play([tone(0.01)])
