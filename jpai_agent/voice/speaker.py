"""Plays speech: through a loudspeaker, or into WAV files where there is none; `stop` silences it at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jpai_agent.voice.audio import STREAMS, AudioError, Samples, look_again, portaudio, write_wav
from jpai_agent.voice.synthesis import RATE_HZ

# the device is given so many blocks a second, and looks for a stop before each
_BLOCKS_HZ = 50
# a loudspeaker that has taken nothing for so long is lost
_LOST_AFTER_S = 2.0
# of the WAV files that stand for a loudspeaker
FILES_KEPT = 50


@dataclass(frozen=True)
class Played:
    """What became of a speech: how much of it was played, whether all, and the file that it is in, if it is in one."""

    seconds: float
    whole: bool
    path: Path | None = None


class Speaker(Protocol):
    """Plays speeches, one at a time."""

    def play(self, pieces: Iterable[Samples], begun: Callable[[], None] = ...) -> Played:
        """Play pieces of speech at RATE_HZ as they come, and wait for their end or a stop.

        begun: Called just before the first sound. Raises AudioError when the loudspeaker is lost.
        """
        ...

    def stop(self) -> None:
        """Be silent now; from any thread. What is not being played yet is not affected."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class FileSpeaker:
    """Writes each speech into a WAV file, and takes as long over it as it would to say it.

    Args:
        folder: For 000.wav, 001.wav …; made when needed. At most FILES_KEPT files are kept, the newest.
        wait: Waits for so many seconds or until an event is set, and tells whether it was: how time passes while it "plays".
    """

    def __init__(self, folder: Path, *, kept: int = FILES_KEPT,
                 wait: Callable[[threading.Event, float], bool] = threading.Event.wait) -> None:
        self.folder, self._kept, self._wait = folder, kept, wait
        self._stopped: threading.Event | None = None
        self._number = 0

    def play(self, pieces: Iterable[Samples], begun: Callable[[], None] = lambda: None) -> Played:
        """As of any speaker. Raises AudioError where the file cannot be written."""
        stopped = self._stopped = threading.Event()
        said: list[Samples] = []
        seconds, begin_s = 0.0, 0.0
        for piece in pieces:
            if stopped.is_set():
                break
            if not said:
                begin_s = time.monotonic()
                begun()
            said.append(piece)
            seconds += len(piece) / RATE_HZ
        if not said:
            return Played(0.0, not stopped.is_set())
        # what was made meanwhile has been "played" meanwhile
        whole = not self._wait(stopped, max(0.0, seconds - (time.monotonic() - begin_s)))
        self._stopped = None
        heard_s = seconds if whole else min(seconds, time.monotonic() - begin_s)
        return Played(heard_s, whole, self._write(np.concatenate(said)[: round(heard_s * RATE_HZ)]))

    def _write(self, samples: Samples) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while (path := self.folder / f"{self._number:03d}.wav").exists():
                self._number += 1
            write_wav(path, samples, RATE_HZ)
            for old in sorted(self.folder.glob("*.wav"), key=lambda file: (file.stat().st_mtime_ns, file.name))[: -self._kept]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise AudioError(f"could not write speech to {self.folder}: {error}") from error
        return path

    def stop(self) -> None:
        """As of any speaker."""
        if self._stopped is not None:
            self._stopped.set()

    def close(self) -> None:
        """Nothing is held."""


class DeviceSpeaker:
    """A loudspeaker, through PortAudio; at its own rate where it has not ours."""

    def __init__(self, device: str = "") -> None:
        """device: A part of its name or its number, as `python -m sounddevice` lists them; "": the system's.

        Raises AudioError where there is none, or where the voice extra or PortAudio is not installed.
        """
        sounddevice = portaudio()
        which: int | str | None = int(device) if device.isdigit() else device or None
        self._lock = threading.Lock()
        self._waiting: deque[Samples] = deque()
        self._silent = threading.Event()
        self._silent.set()
        self._ended = self._stopped = self._closed = False
        self._played = 0
        self._fault = ""
        try:
            look_again(sounddevice)
            self._rate_hz = _rate_of(sounddevice, which)
            self._converted = _converter(self._rate_hz)
            self._stream = sounddevice.OutputStream(samplerate=self._rate_hz, channels=1, dtype="float32", device=which,
                                                    blocksize=self._rate_hz // _BLOCKS_HZ, latency="low", callback=self._give,
                                                    finished_callback=self._lost)
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(f"no loudspeaker{f' {device!r}' if device else ''}: {error}") from error
        STREAMS.add(self)

    def play(self, pieces: Iterable[Samples], begun: Callable[[], None] = lambda: None) -> Played:
        """As of any speaker."""
        with self._lock:
            self._ended = self._stopped = False
            self._played = 0
            self._silent.clear()
        given = 0
        for piece in pieces:
            if self._fault:
                raise AudioError(self._fault)
            sound = self._converted(piece)
            with self._lock:
                if self._stopped:
                    break
                if not given:
                    begun()
                self._waiting.append(sound)
            given += len(sound)
        with self._lock:
            self._ended = True
            if not self._waiting:
                self._silent.set()
        before = -1
        while not self._silent.wait(_LOST_AFTER_S):
            # what stands still for so long is lost, as an unplugged device is
            if self._played == before or self._fault:
                raise AudioError(self._fault or "the loudspeaker takes no more sound")
            before = self._played
        if self._fault:
            raise AudioError(self._fault)
        return Played(self._played / self._rate_hz, not self._stopped)

    def _give(self, out: Any, frames: int, at: Any, status: Any) -> None:
        """Fill a block of the device, (frames, 1); called by PortAudio's thread."""
        out.fill(0.0)
        filled = 0
        with self._lock:
            if self._stopped and self._waiting:
                # the block in which it is stopped fades out, so that it does not click
                piece = self._waiting[0][:frames]
                out[: len(piece), 0] = piece * np.linspace(1.0, 0.0, len(piece), dtype=np.float32)
                self._waiting.clear()
                self._silent.set()
                return
            while filled < frames and self._waiting:
                piece = self._waiting.popleft()
                taken = min(len(piece), frames - filled)
                out[filled: filled + taken, 0] = piece[:taken]
                filled += taken
                if taken < len(piece):
                    self._waiting.appendleft(piece[taken:])
            self._played += filled
            if self._ended and not self._waiting:
                self._silent.set()

    def _lost(self) -> None:
        if not self._closed:
            self._fault = "the loudspeaker is gone"
            self._silent.set()

    def stop(self) -> None:
        """As of any speaker: the block that is given next, in at most 20 ms, fades out."""
        with self._lock:
            if not self._silent.is_set():
                self._stopped = True
                if not self._waiting:
                    self._silent.set()

    def close(self) -> None:
        """As of any speaker."""
        self._closed = True
        self._stream.close(ignore_errors=True)
        STREAMS.discard(self)
        self._silent.set()


def open_speaker(device: str, folder: Path) -> tuple[Speaker, str]:
    """The loudspeaker, or where there is none files in `folder`, with the reason ("" for a loudspeaker)."""
    try:
        return DeviceSpeaker(device), ""
    except AudioError as error:
        return FileSpeaker(folder), str(error)


def _rate_of(sounddevice: Any, which: int | str | None) -> int:
    """RATE_HZ, or the rate that a device has instead."""
    try:
        sounddevice.check_output_settings(device=which, channels=1, dtype="float32", samplerate=RATE_HZ)
    except sounddevice.PortAudioError:
        return round(sounddevice.query_devices(which, "output")["default_samplerate"])
    return RATE_HZ


def _converter(rate_hz: int) -> Callable[[Samples], Samples]:
    """Brings (N,) at RATE_HZ to another rate."""
    if rate_hz == RATE_HZ:
        return lambda samples: samples
    # long to load: now, not before the first word
    from scipy.signal import resample_poly

    common = gcd(rate_hz, RATE_HZ)
    return lambda samples: resample_poly(samples, rate_hz // common, RATE_HZ // common).astype(np.float32)
