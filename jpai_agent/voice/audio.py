"""Sound as the whole voice part has it: mono float32 in [-1, 1] at 16 kHz, from a file, a microphone or blocks of any rate."""

from __future__ import annotations

import math
import queue
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE_HZ = 16_000
BLOCK_SAMPLES = 512
BLOCK_S = BLOCK_SAMPLES / RATE_HZ
# below this rate speech lacks what tells its sounds apart; above the highest no sound card samples
RATES_HZ = (8_000, 384_000)
LONGEST_FILE_S = 600.0
LOST_AFTER_S = 2.0
# how steep the resampler's filter is: zero crossings on each side, and where it begins to fall, of the lower Nyquist frequency
_CROSSINGS, _PASSES = 16, 0.92
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_NO_LENGTH = (0, 0xFFFFFFFF)
# the microphones and loudspeakers that are open in this process
STREAMS: set[object] = set()

INSTALL = "./jpai voice installs it, or pip install --no-deps -r requirements-voice.lock"


class AudioError(RuntimeError):
    """Sound that cannot be had: a file that is none, a device that is not there or no longer; the message says which and why."""


@dataclass(frozen=True)
class Block:
    """A piece of sound.

    Attributes:
        time_s: Of its first sample, since the source began.
        samples: (BLOCK_SAMPLES,).
    """

    time_s: float
    samples: Samples


class Source(Protocol):
    """Where sound comes from."""

    def blocks(self) -> Iterator[Block]:
        """Blocks without gaps, until the sound ends or `close` is called. Raises AudioError when it is lost."""
        ...

    def close(self) -> None:
        """Let go of it; may be called from another thread."""
        ...


class Resampler:
    """Brings sound of any rate to RATE_HZ, piece by piece, by a polyphase filter (windowed sinc, Kaiser 8)."""

    def __init__(self, rate_hz: int) -> None:
        """Raises AudioError for a rate outside of RATES_HZ."""
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise AudioError(f"sampled at {rate_hz} Hz: {RATES_HZ[0]} to {RATES_HZ[1]} Hz can be used")
        common = math.gcd(rate_hz, RATE_HZ)
        self._up, self._down = RATE_HZ // common, rate_hz // common
        width = _PASSES * min(1.0, RATE_HZ / rate_hz)
        self._half = math.ceil(_CROSSINGS / width)
        self._width = width
        self._next = 0  # the output sample that comes next
        self._first = -self._half  # which input sample the kept ones begin with
        self._kept: Samples = np.zeros(self._half, np.float32)

    def feed(self, samples: Samples) -> Samples:
        """What can be told by now. samples: (N,) at the rate given; returns (M,) at RATE_HZ, later by the filter's half."""
        if self._up == self._down:
            return samples
        self._kept = np.concatenate([self._kept, samples])
        known = self._first + len(self._kept)
        # the last output whose window is whole: floor(n * down / up) + half < known
        stop = max(self._next, ((known - self._half) * self._up - 1) // self._down + 1)
        made = [self._made(at, min(at + RATE_HZ, stop)) for at in range(self._next, stop, RATE_HZ)]
        self._next = stop
        begin = max(self._next * self._down // self._up - self._half + 1, self._first)
        self._kept, self._first = self._kept[begin - self._first:], begin
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    def flush(self) -> Samples:
        """The rest, once the sound has ended."""
        return self.feed(np.zeros(self._half, np.float32)) if self._up != self._down else np.zeros(0, np.float32)

    def _made(self, start: int, stop: int) -> Samples:
        """Outputs start..stop-1, each the inputs around it weighed by the filter of its phase."""
        at = np.arange(start, stop) * self._down
        whole, phase = at // self._up, at % self._up
        index = (whole - self._half + 1 - self._first)[:, None] + np.arange(2 * self._half)
        phases, which = np.unique(phase, return_inverse=True)
        taps = self._taps(phases)[which]
        return np.einsum("nk,nk->n", self._kept[index], taps).astype(np.float32)

    def _taps(self, phases: NDArray[np.int64]) -> Samples:
        """(len(phases), 2 * half)"""
        # distance of each input from the output's place
        far = np.arange(2 * self._half) - (self._half - 1) - (phases / self._up)[:, None]
        window = np.i0(8.0 * np.sqrt(np.clip(1.0 - (far / self._half) ** 2, 0.0, 1.0))) / np.i0(8.0)
        return (self._width * np.sinc(self._width * far) * window).astype(np.float32)


def resampled(samples: Samples, rate_hz: int) -> Samples:
    """(N,) at a rate brought to RATE_HZ. Raises AudioError for a rate that cannot be used."""
    resampler = Resampler(rate_hz)
    pieces = [resampler.feed(samples[at:at + rate_hz]) for at in range(0, len(samples), rate_hz)]
    return np.concatenate([*pieces, resampler.flush()])[:math.ceil(len(samples) * RATE_HZ / rate_hz)]


def mono(samples: NDArray[Any]) -> Samples:
    """(N,) or (N, channels) as (N,) in [-1, 1]: channels are averaged, whole numbers scaled by their type. Raises AudioError."""
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif samples.dtype.kind == "i":
        scaled = samples.astype(np.float32) / float(-np.iinfo(samples.dtype).min)
    elif samples.dtype.kind == "f":
        scaled = samples.astype(np.float32)
    else:
        raise AudioError(f"samples of type {samples.dtype} are no sound")
    if not np.isfinite(scaled).all():
        raise AudioError("the sound has values that are no numbers")
    return np.clip(scaled.mean(axis=1) if scaled.ndim == 2 else scaled, -1.0, 1.0)


def read_wav(path: Path | str, *, longest_s: float = LONGEST_FILE_S) -> Samples:
    """The sound of a WAV file: 8 to 32 bit or float, any number of channels, any rate of RATES_HZ.

    Raises AudioError naming the file: none, empty, no WAV, compressed, cut off, without sound, or longer than `longest_s`.
    """
    try:
        return _read(Path(path), longest_s)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error


def _read(path: Path, longest_s: float) -> Samples:
    with path.open("rb") as file:
        head = file.read(12)
        if not head:
            raise AudioError("the file is empty")
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            raise AudioError("this is no WAV file (it does not begin with RIFF and WAVE)")
        layout: tuple[int, int, int, int] | None = None
        while True:
            chunk = file.read(8)
            if len(chunk) < 8:
                raise AudioError("the WAV file ends before its sound begins")
            name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            if name == b"fmt ":
                layout = _layout(file.read(size + size % 2))
            elif name == b"data":
                break
            else:
                file.seek(size + size % 2, 1)
        if layout is None:
            raise AudioError("the WAV file does not say how its sound is laid out")
        tag, channels, rate_hz, bits = layout
        frame = channels * bits // 8
        there = path.stat().st_size - file.tell()
        # written to a pipe, a file does not know its length
        size = there if size in _NO_LENGTH else size
        if size > there:
            raise AudioError(f"the WAV file is cut off: {there} of {size} bytes of sound are there")
        if size < frame:
            raise AudioError("the WAV file has no sound in it")
        if size / frame / rate_hz > longest_s:
            raise AudioError(f"{size / frame / rate_hz / 60:.0f} minutes long: at most {longest_s / 60:.0f} can be taken at once")
        raw = file.read(size - size % frame)
    return resampled(mono(_unpacked(raw, tag, bits).reshape(-1, channels)), rate_hz)


def _layout(chunk: bytes) -> tuple[int, int, int, int]:
    """Format, channels, rate and bits of a fmt chunk (RIFF, Multimedia Programming Interface 1.0, 1991)."""
    if len(chunk) < 16:
        raise AudioError("the WAV file does not say how its sound is laid out")
    tag, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack("<H", chunk[24:26])[0]
    if (tag, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}:
        raise AudioError(f"its sound is of format {tag} with {bits} bits: 8, 16, 24 or 32 bit PCM and float can be read")
    if channels == 0:
        raise AudioError("the WAV file has no channel")
    Resampler(rate_hz)  # says which rates can be used
    return tag, channels, rate_hz, bits


def _unpacked(raw: bytes, tag: int, bits: int) -> NDArray[Any]:
    if tag == _FLOAT:
        return np.frombuffer(raw, f"<f{bits // 8}")
    if bits == 24:
        # into the upper bytes of 32-bit numbers
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return wide.view("<i4").ravel()
    return np.frombuffer(raw, "<u1" if bits == 8 else f"<i{bits // 8}")


def write_wav(path: Path | str, samples: Samples, rate_hz: int = RATE_HZ) -> None:
    """Write (N,) in [-1, 1] as 16-bit PCM. Raises OSError."""
    data = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, _PCM, 1, rate_hz, 2 * rate_hz, 2, 16,
                       b"data", len(data))
    Path(path).write_bytes(head + data)


class Blocks:
    """Cuts sound that comes in pieces of any length and rate into blocks."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        """Raises AudioError for a rate that cannot be used."""
        self._resampler = Resampler(rate_hz)
        self._rest: Samples = np.zeros(0, np.float32)
        self._given = 0

    def feed(self, samples: Samples) -> list[Block]:
        """The blocks that are whole by now. samples: (N,) at the rate given."""
        return self._cut(self._resampler.feed(samples))

    def flush(self) -> list[Block]:
        """The last block, filled up with silence."""
        last = np.concatenate([self._rest, self._resampler.flush()])
        self._rest = np.zeros(0, np.float32)
        return self._cut(np.pad(last, (0, -len(last) % BLOCK_SAMPLES)))

    def _cut(self, samples: Samples) -> list[Block]:
        sound = np.concatenate([self._rest, samples])
        whole = len(sound) // BLOCK_SAMPLES
        self._rest = sound[whole * BLOCK_SAMPLES:]
        first, self._given = self._given, self._given + whole
        return [Block((first + n) * BLOCK_S, sound[n * BLOCK_SAMPLES:(n + 1) * BLOCK_SAMPLES]) for n in range(whole)]


class WavSource:
    """A WAV file as a source, at once or as fast as it was spoken, with silence after it so that its last words end."""

    def __init__(self, path: Path | str, *, paced: bool = False, silence_s: float = 1.0) -> None:
        """Raises AudioError as `read_wav` does."""
        self._samples = np.pad(read_wav(path), (0, round(silence_s * RATE_HZ)))
        self._paced, self._closed = paced, False

    def blocks(self) -> Iterator[Block]:
        """As of any source."""
        cutter, begin = Blocks(), time.monotonic()
        for block in cutter.feed(self._samples) + cutter.flush():
            if self._paced:
                # a block is known once it has been spoken
                time.sleep(max(0.0, begin + block.time_s + BLOCK_S - time.monotonic()))
            if self._closed:
                return
            yield block

    def close(self) -> None:
        """As of any source."""
        self._closed = True


class MicrophoneSource:
    """A microphone, through PortAudio; at its own rate where it has not ours."""

    def __init__(self, device: str = "") -> None:
        """device: A part of its name or its number, as `python -m sounddevice` lists them; "": the system's.

        Raises AudioError where there is none, or where the voice extra is not installed.
        """
        sounddevice = portaudio()
        which: int | str | None = int(device) if device.isdigit() else device or None
        self._pieces: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()
        try:
            look_again(sounddevice)
            rate_hz = _rate_of(sounddevice, which)
            self._blocks = Blocks(rate_hz)
            self._stream = sounddevice.InputStream(samplerate=rate_hz, channels=1, dtype="float32", device=which,
                                                   blocksize=rate_hz * BLOCK_SAMPLES // RATE_HZ, callback=self._take,
                                                   finished_callback=lambda: self._pieces.put(None))
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(f"no microphone{f' {device!r}' if device else ''}: {error}") from error
        self._closed = False
        STREAMS.add(self)

    def _take(self, data: NDArray[np.float32], frames: int, at: Any, status: Any) -> None:
        self._pieces.put(data[:, 0].copy())

    def blocks(self) -> Iterator[Block]:
        """As of any source; a microphone that is silent for LOST_AFTER_S, as an unplugged one is, is lost."""
        while not self._closed:
            try:
                piece = self._pieces.get(timeout=LOST_AFTER_S)
            except queue.Empty:
                piece = None
            if piece is None:
                if self._closed:
                    return
                self.close()
                raise AudioError("the microphone no longer gives sound")
            yield from self._blocks.feed(piece)

    def close(self) -> None:
        """As of any source."""
        if self._closed:
            return
        self._closed = True
        self._stream.close(ignore_errors=True)
        STREAMS.discard(self)
        self._pieces.put(None)


def portaudio() -> Any:
    """The module sounddevice. Raises AudioError saying what is missing."""
    try:
        import sounddevice
    except ImportError as error:
        raise AudioError(f"the voice extra is not installed ({error}): {INSTALL}") from error
    except OSError as error:
        raise AudioError(f"PortAudio is not installed ({error}): sudo apt-get install libportaudio2") from error
    return sounddevice


def look_again(sounddevice: Any) -> None:
    """Have PortAudio look for devices: it knows those that were there when it began. Raises PortAudioError.

    Not while a stream of this process is open: that would end with it.
    """
    if not STREAMS:
        sounddevice._terminate()
        sounddevice._initialize()


def _rate_of(sounddevice: Any, device: int | str | None) -> int:
    """RATE_HZ where the device has it, else its own rate. Raises PortAudioError and ValueError as sounddevice does."""
    try:
        sounddevice.check_input_settings(device=device, channels=1, dtype="float32", samplerate=RATE_HZ)
        return RATE_HZ
    except sounddevice.PortAudioError:
        return round(sounddevice.query_devices(device, "input")["default_samplerate"])
