"""Sound of every usual layout becomes mono float32 at 16 kHz; what is no sound is refused by name and reason."""

from __future__ import annotations

import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from jpai_agent.voice.audio import (
    BLOCK_S,
    BLOCK_SAMPLES,
    RATE_HZ,
    STREAMS,
    AudioError,
    Blocks,
    MicrophoneSource,
    WavSource,
    mono,
    read_wav,
    resampled,
    write_wav,
)


def tone(hz: float, seconds: float = 1.0, rate_hz: int = RATE_HZ, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def wav(path: Path, data: bytes, *, bits: int = 16, channels: int = 1, rate_hz: int = RATE_HZ, tag: int = 1,
        size: int | None = None, before: bytes = b"") -> Path:
    """A WAV file of these bytes; `size` is what it says of their number."""
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits)
    if tag == 0xFFFE:
        fmt += struct.pack("<HHIH14s", 22, bits, 0, 1, bytes(14))
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def packed(samples: np.ndarray, bits: int, tag: int) -> bytes:
    if tag == 3:
        return samples.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i4")
    if bits == 24:
        return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


@pytest.mark.parametrize(("bits", "tag"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3), (16, 0xFFFE)])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_usual_layout_is_read(tmp_path: Path, bits: int, tag: int, channels: int) -> None:
    samples = tone(440.0)
    data = packed(np.repeat(samples, channels), bits, tag)
    read = read_wav(wav(tmp_path / "a.wav", data, bits=bits, tag=tag, channels=channels))
    assert read.dtype == np.float32 and read.shape == samples.shape
    assert np.abs(read - samples).max() < (0.01 if bits == 8 else 1e-4)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_rate_is_brought_to_ours_without_a_change_of_tone_level_or_length(rate_hz: int) -> None:
    found = resampled(tone(1000.0, rate_hz=rate_hz), rate_hz)
    assert len(found) == RATE_HZ
    assert np.abs(found - tone(1000.0))[500:-500].max() < 0.005


def test_what_is_above_our_band_is_taken_out_and_not_folded_into_it() -> None:
    assert np.abs(resampled(tone(11_000.0, rate_hz=48_000), 48_000))[500:-500].max() < 0.002


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100, 48_000])
def test_pieces_of_any_length_give_the_sound_of_the_whole(rate_hz: int) -> None:
    rng = np.random.default_rng(3)
    sound = rng.uniform(-0.5, 0.5, 2 * rate_hz).astype(np.float32)
    cutter, at, found = Blocks(rate_hz), 0, []
    while at < len(sound):
        length = int(rng.integers(1, 3000))
        found += cutter.feed(sound[at:at + length])
        at += length
    found += cutter.flush()
    assert [block.time_s for block in found] == pytest.approx([n * BLOCK_S for n in range(len(found))])
    assert all(block.samples.shape == (BLOCK_SAMPLES,) for block in found)
    whole = resampled(sound, rate_hz)
    assert np.allclose(np.concatenate([block.samples for block in found])[:len(whole)], whole, atol=1e-6)


def test_stereo_is_averaged_and_what_is_too_loud_is_clipped() -> None:
    assert mono(np.array([[1.0, 0.0], [4.0, 0.0]])) == pytest.approx([0.5, 1.0])
    assert mono(np.array([-32768, 16384], np.int16)) == pytest.approx([-1.0, 0.5])


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(300.0))
    assert np.abs(read_wav(tmp_path / "a.wav") - tone(300.0)).max() < 1e-4


def test_other_chunks_are_passed_over_and_a_length_that_was_never_written_is_the_rest_of_the_file(tmp_path: Path) -> None:
    data = packed(tone(300.0, 0.1), 16, 1)
    other = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert len(read_wav(wav(tmp_path / "a.wav", data, size=0xFFFFFFFF, before=other))) == 1600


SECOND = bytes(2 * RATE_HZ)


@pytest.mark.parametrize(("make", "said"), [
    (lambda path: None, "No such file"),
    (lambda path: path.mkdir(), "directory"),
    (lambda path: path.write_bytes(b""), "empty"),
    (lambda path: path.write_bytes(b"RIFF"), "no WAV"),
    (lambda path: path.write_bytes(b"ID3\4" + bytes(200)), "no WAV"),
    (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVE"), "ends before"),
    (lambda path: wav(path, b""), "no sound"),
    (lambda path: wav(path, SECOND, size=4 * RATE_HZ), "cut off"),
    (lambda path: wav(path, SECOND, tag=85), "format 85"),
    (lambda path: wav(path, SECOND, bits=12), "12 bits"),
    (lambda path: wav(path, SECOND, channels=0), "no channel"),
    (lambda path: wav(path, SECOND, rate_hz=0), "sampled at 0 Hz"),
    (lambda path: wav(path, SECOND, rate_hz=4000), "sampled at 4000 Hz"),
    (lambda path: wav(path, np.full(100, np.nan, "<f4").tobytes(), tag=3, bits=32), "no numbers"),
])
def test_what_is_no_sound_is_refused_with_its_name_and_the_reason(tmp_path: Path, make, said: str) -> None:
    make(tmp_path / "bad.wav")
    with pytest.raises(AudioError, match=said) as caught:
        read_wav(tmp_path / "bad.wav")
    assert "bad.wav" in str(caught.value)


def test_an_hour_of_sound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = wav(tmp_path / "long.wav", b"", size=3600 * 2 * RATE_HZ)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 3600 * 2 * RATE_HZ)  # a hole: nothing is written
    with pytest.raises(AudioError, match="60 minutes long: at most 10"):
        read_wav(path)


def test_a_file_as_a_source_ends_in_silence_and_when_it_is_closed(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(300.0))
    blocks = list(WavSource(tmp_path / "a.wav", silence_s=0.5).blocks())
    assert len(blocks) == -(-3 * RATE_HZ // 2 // BLOCK_SAMPLES)
    assert not blocks[-1].samples.any()
    source = WavSource(tmp_path / "a.wav")
    heard = 0
    for _ in source.blocks():
        heard += 1
        source.close()
    assert heard == 1


# --- the microphone, with PortAudio stood in for by a module that has one device


class FakePortAudio(types.ModuleType):
    """sounddevice with one microphone, whose sound the test gives; `rate_hz` is the only rate that it has."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate_hz: int = RATE_HZ, there: bool = True) -> None:
        super().__init__("sounddevice")
        self.rate_hz, self.there = rate_hz, there
        self.stream: types.SimpleNamespace | None = None
        self.done: list[str] = []

    def _terminate(self) -> None:
        self.done.append("terminate")

    def _initialize(self) -> None:
        self.done.append("initialize")

    def check_input_settings(self, *, samplerate: int, **_: object) -> None:
        if not self.there or samplerate != self.rate_hz:
            raise self.PortAudioError("Invalid sample rate")

    def query_devices(self, device: object, kind: str) -> dict[str, float]:
        if not self.there:
            raise self.PortAudioError("Error querying device -1")
        return {"default_samplerate": float(self.rate_hz)}

    def InputStream(self, *, samplerate: int, callback, finished_callback, **_: object) -> types.SimpleNamespace:
        assert samplerate == self.rate_hz
        self.stream = types.SimpleNamespace(hear=lambda x: callback(x[:, None], len(x), None, None), unplug=finished_callback,
                                            start=lambda: None, close=lambda **_: self.done.append("close"))
        return self.stream


@pytest.fixture
def portaudio(monkeypatch):
    STREAMS.clear()

    def there(**options) -> FakePortAudio:
        monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(**options))
        return sys.modules["sounddevice"]

    return there


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_microphone_gives_blocks_at_our_rate_whatever_its_own(portaudio, rate_hz: int) -> None:
    device = portaudio(rate_hz=rate_hz)
    source = MicrophoneSource()
    for _ in range(4):
        device.stream.hear(np.zeros(rate_hz // 10, np.float32))
    blocks = source.blocks()
    assert [next(blocks).time_s for _ in range(10)] == pytest.approx([n * BLOCK_S for n in range(10)])
    source.close()
    assert len(list(blocks)) < 4


def test_a_microphone_that_is_unplugged_is_lost(portaudio) -> None:
    device = portaudio()
    source = MicrophoneSource()
    device.stream.hear(np.zeros(BLOCK_SAMPLES, np.float32))
    device.stream.unplug()
    blocks = source.blocks()
    next(blocks)
    with pytest.raises(AudioError, match="no longer gives sound"):
        next(blocks)
    source.close()
    assert device.done == ["terminate", "initialize", "close"]


def test_devices_are_looked_for_again_only_while_no_stream_is_open(portaudio) -> None:
    device = portaudio()
    first, second = MicrophoneSource(), MicrophoneSource()
    first.close()
    second.close()
    MicrophoneSource()
    assert device.done == ["terminate", "initialize", "close", "close", "terminate", "initialize"]


def test_where_there_is_no_microphone_that_is_said(portaudio) -> None:
    portaudio(there=False)
    with pytest.raises(AudioError, match="no microphone: Error querying device"):
        MicrophoneSource()


def test_where_the_extra_is_not_installed_that_is_said(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match="voice extra"):
        MicrophoneSource()
