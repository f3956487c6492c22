"""Give a film its sound: what was said, each at its time, mixed and put beside the pictures."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from jpai_agent.record.video import VideoError

RATE_HZ = 48_000
_MIX_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Sound:
    """Something that was heard.

    Attributes:
        time_s: When it began, on the clock of the record.
        samples: (N,) mono in [-1, 1], at `RATE_HZ`.
    """

    time_s: float
    samples: np.ndarray


def mixed(sounds: Iterable[Sound], begin_s: float, seconds: float) -> np.ndarray:
    """(seconds * RATE_HZ,) int16: sounds where they belong in a film that begins at `begin_s`; what lies outside is left out."""
    track = np.zeros(round(seconds * RATE_HZ))
    for sound in sounds:
        at = round((sound.time_s - begin_s) * RATE_HZ)
        part = sound.samples[max(0, -at):]
        room = track[max(0, at):][: len(part)]
        room += part[: len(room)]
    # who speak at once may be louder than a file can be
    return np.round(np.clip(track, -1.0, 1.0) * 32767.0).astype("<i2")


def add_sound(film: Path, sounds: Iterable[Sound], begin_s: float, seconds: float) -> None:
    """Put sounds into a film (AAC, beside its pictures as they are).

    Args:
        film: An MP4 file; it is replaced. begin_s: The time of its first frame. seconds: Its length.

    Raises:
        VideoError: The file could not be made; the film is as it was.
    """
    with tempfile.TemporaryDirectory(dir=film.parent, prefix=".sound-") as folder:
        track, whole = Path(folder) / "track.raw", Path(folder) / "film.mp4"
        track.write_bytes(mixed(sounds, begin_s, seconds).tobytes())
        line = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", str(film), "-f", "s16le", "-ar", str(RATE_HZ),
                "-ac", "1", "-i", str(track), "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-b:a", "96k",
                "-threads", "1", "-movflags", "+faststart", str(whole)]
        try:
            made = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MIX_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise VideoError(f"could not put sound into {film}: ffmpeg takes too long") from error
        if made.returncode != 0:
            words = made.stderr.decode(errors="replace").strip()[-400:]
            raise VideoError(f"could not put sound into {film}: {words or 'ffmpeg gave no reason'}")
        whole.replace(film)
