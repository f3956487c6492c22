"""Many synthetic voices out of one: pyopenjtalk's HTS voice file with its vocal tract, timbre, melody and rhythm changed.

An HTS voice is a file of decision trees and Gaussians; what is changed here are its all-pass constant (which warps the
frequency axis as another length of the vocal tract does) and the means of its cepstra, of log F0 and of durations. The
voice that all of them come from is "mei_normal" (CC BY 3.0, Nagoya Institute of Technology).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

_STATES = 5
_CEPSTRA, _WINDOWS = 35, 3
_VOICED = 4.0  # mean log F0 (Hz) below which a Gaussian is of unvoiced frames


@dataclass(frozen=True)
class Voice:
    """A way to speak. All of one voice's sentences share it; `speech.Speaker` adds what differs from one to the next.

    Attributes:
        alpha: All-pass constant; the original's is 0.55. Higher: longer vocal tract, lower formants.
        half_tones: Pitch against the original (a young woman's, about 330 Hz). intonation: its movement, 1 = as it was.
        speed: Of speech, 1 = as it was.
        tilt: Added to the first cepstrum: > 0 duller, < 0 brighter. sharpness: of the formants, 1 = as they were.
        timbre: Size of a random, fixed change of every sound's spectrum (in standard deviations), drawn by `seed`.
        rhythm: Size of a random, fixed change of every sound's length (log), drawn by `seed`.
    """

    name: str
    alpha: float = 0.55
    half_tones: float = 0.0
    intonation: float = 1.0
    speed: float = 1.0
    tilt: float = 0.0
    sharpness: float = 1.0
    timbre: float = 0.0
    rhythm: float = 0.0
    seed: int = 0


def draw_voices(count: int, seed: int, prefix: str) -> tuple[Voice, ...]:
    """`count` different voices from high and small to low and large; the same for the same seed.

    Vocal tract and pitch go together as they do in people (a large one is mostly low), with room for exceptions.
    """
    rng = np.random.default_rng(seed)
    found = []
    for n in range(count):
        size = rng.uniform(-1.0, 1.0)  # -1 a child's, 1 a large man's
        found.append(Voice(
            f"{prefix}{n:02d}", alpha=float(0.55 + 0.06 * size + rng.normal(0, 0.01)),
            half_tones=float(-5.0 - 8.0 * size + rng.normal(0, 2.5)), intonation=float(rng.uniform(0.4, 1.5)),
            speed=float(np.exp(rng.uniform(np.log(0.82), np.log(1.35)))), tilt=float(rng.normal(0, 0.35)),
            sharpness=float(rng.uniform(0.82, 1.12)), timbre=float(rng.uniform(0.05, 0.35)),
            rhythm=float(rng.uniform(0.0, 0.18)), seed=int(rng.integers(2**31))))
    return tuple(found)


TRAINING_VOICES: tuple[Voice, ...] = (Voice("original"), *draw_voices(40, 11, "train"))
VALIDATION_VOICES: tuple[Voice, ...] = draw_voices(6, 12, "val")  # to choose a checkpoint and to calibrate by
HELD_OUT_VOICES: tuple[Voice, ...] = draw_voices(12, 13, "held")  # only ever measured with


def voice_file(voice: Voice, folder: Path) -> Path:
    """The .htsvoice file of this voice in `folder`, written there when it is not yet."""
    path = folder / f"{voice.name}_{abs(hash_of(voice)):08x}.htsvoice"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{np.random.default_rng().integers(2**31)}.part")  # two processes may write the same one
        draft.write_bytes(changed(_original(), voice))
        draft.replace(path)
    return path


def hash_of(voice: Voice) -> int:
    """A number that is the same for the same voice in every process."""
    import zlib

    return zlib.crc32(repr(voice).encode())


def changed(original: bytes, voice: Voice) -> bytes:
    """The bytes of a voice file, changed as `voice` says; of the same length and layout."""
    rng = np.random.default_rng(voice.seed)
    head, data = original[:_data_at(original)], bytearray(original[_data_at(original):])
    spans = {key.decode(): (int(a), int(b) + 1)
             for key, a, b in re.findall(rb"(DURATION_PDF|STREAM_PDF\[\w+\]):(\d+)-(\d+)", head)}

    begin, end = spans["STREAM_PDF[MCP]"]
    cepstra = _gaussians(data, begin, end, _STATES)
    means = cepstra[:, : _CEPSTRA * _WINDOWS]  # static, then delta, then delta of delta
    spread = means[:, :_CEPSTRA].std(0)
    shape = np.ones(_CEPSTRA, np.float32)
    shape[1:] = voice.sharpness
    means *= np.tile(shape, _WINDOWS)
    overall = rng.normal(0, voice.timbre, _CEPSTRA) * spread  # the whole voice's
    each = rng.normal(0, 0.5 * voice.timbre, (len(means), _CEPSTRA)) * spread  # and each sound's own
    overall[0], each[:, 0] = 0.0, each[:, 0] * 0.3
    overall[1] += voice.tilt * spread[1]
    means[:, :_CEPSTRA] += overall + each
    data[begin + 4 * _STATES:end] = cepstra.astype("<f4").tobytes()

    begin, end = spans["STREAM_PDF[LF0]"]
    pitch = _gaussians(data, begin, end, _STATES)
    voiced = pitch[:, 0] > _VOICED
    middle = pitch[voiced, 0].mean()
    pitch[voiced, 0] = middle + voice.intonation * (pitch[voiced, 0] - middle) + rng.normal(0, 0.02, int(voiced.sum()))
    pitch[voiced, 1:3] *= voice.intonation
    data[begin + 4 * _STATES:end] = pitch.astype("<f4").tobytes()

    begin, end = spans["DURATION_PDF"]
    lengths = _gaussians(data, begin, end, 1)
    lengths[:, :_STATES] *= np.exp(rng.normal(0, voice.rhythm, (len(lengths), 1)) + rng.normal(0, voice.rhythm / 2,
                                                                                               (len(lengths), _STATES)))
    data[begin + 4:end] = lengths.astype("<f4").tobytes()

    # the header's length is fixed by the positions in it being relative to [DATA]: only the number's digits change
    return re.sub(rb"(OPTION\[MCP\]:ALPHA=)[\d.]+", rb"\g<1>" + f"{voice.alpha:.4f}".encode(), head) + bytes(data)


def _gaussians(data: bytearray, begin: int, end: int, counts: int) -> np.ndarray:
    """(n, size) float32, writable copy: the Gaussians of a section that begins with `counts` int32 of how many."""
    total = int(np.frombuffer(bytes(data[begin:begin + 4 * counts]), "<i4").sum())
    return np.frombuffer(bytes(data[begin + 4 * counts:end]), "<f4").reshape(total, -1).copy()


def _data_at(voice: bytes) -> int:
    return voice.index(b"[DATA]\n") + len(b"[DATA]\n")


@lru_cache(maxsize=1)
def _original() -> bytes:
    import pyopenjtalk

    return Path(pyopenjtalk.DEFAULT_HTS_VOICE.decode()).read_bytes()
