"""Hear stop words by themselves, while they are being said: a small streaming model beside the recogniser.

Every block of 32 ms is turned into log-mel frames, and a causal network, which carries its state from block to block, gives
how likely a stop word has just ended. What counts is a stop said alone or after a pause, with a call before or
politeness after it; one inside a longer sentence is for the recogniser's path, which sees the whole of it. From one likelihood
on a stop is certain; from lower ones on it is likely, or suspected, and whoever listens makes sure of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import rfft

from jpai_agent.voice.audio import BLOCK_S, RATE_HZ
from jpai_agent.voice.audio import BLOCK_SAMPLES as BLOCK

HOP, WINDOW = 256, 512
FRAME_S = HOP / RATE_HZ
BANDS, LOW_HZ, HIGH_HZ = 40, 80.0, 7_400.0
MODEL_FILE, ABOUT_FILE = "spotter.onnx", "spotter.json"
THRESHOLDS = ("suspected", "likely", "certain")  # as they are called in ABOUT_FILE, lowest first
_FLOOR = 1e-6  # of a band's power
_FOLLOWS_S = 2.0  # how slowly each band's usual level is followed
_AGAIN_S = (0.3, 0.3, 0.8)  # after a stop has been told, none as sure or less is for so long
_SMOOTHED = 2  # blocks
_CHUNK = 2048  # blocks at a time where much is fed at once


class SpotterError(RuntimeError):
    """The spotter's files are not there or are not what they should be; the message says which."""


class Sureness(IntEnum):
    """How sure it is that a stop word has ended."""

    SUSPECTED, LIKELY, CERTAIN = 0, 1, 2


@dataclass(frozen=True)
class Spot:
    """A stop word that has just ended, or may have."""

    word: str
    sureness: Sureness = Sureness.CERTAIN


class Features:
    """Log-mel frames of a stream every 16 ms, each band against its own usual level, so that loudness and microphone drop out."""

    def __init__(self) -> None:
        self._before = np.zeros(WINDOW - HOP, np.float32)
        self._level: np.ndarray | None = None

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 (n, BANDS) of the next n × HOP samples (float in [-1, 1] at RATE_HZ). Raises ValueError for other lengths."""
        if len(samples) % HOP or not len(samples):
            raise ValueError(f"{len(samples)} samples are not a number of {HOP}")
        stream = np.concatenate([self._before, np.asarray(samples, np.float32)])
        self._before = stream[len(stream) - (WINDOW - HOP):]
        frames = np.lib.stride_tricks.sliding_window_view(stream, WINDOW)[::HOP]
        spectrum = rfft(frames * _window(), axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) @ _bank()
        level = np.log(power + np.float32(_FLOOR))
        keep = 1.0 - FRAME_S / _FOLLOWS_S
        usual = np.empty(level.shape)
        follows = level[0] if self._level is None else self._level
        for frame, now in enumerate(level):
            follows = usual[frame] = keep * follows + (1.0 - keep) * now
        self._level = follows
        return np.clip((level - usual) / 3.0, -2.0, 4.0).astype(np.float32)


class Spotter:
    """Hears stop words in a stream. One for each stream.

    Attributes:
        words: What it can tell. thresholds: from which likelihoods on a stop is suspected, likely, certain.
    """

    def __init__(self, folder: Path, threshold: float | None = None) -> None:
        """`folder`: with MODEL_FILE and ABOUT_FILE. `threshold`: in place of all of the model's own. Raises SpotterError."""
        import onnxruntime

        try:
            about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
            self.words = tuple(str(word) for word in about["words"])
            self.thresholds = tuple(float(about[name]) if threshold is None else threshold for name in THRESHOLDS)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            model = (folder / MODEL_FILE).read_bytes()
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except FileNotFoundError as error:
            raise SpotterError(f"no spotter in {folder}: {error.filename} is missing") from error
        except (ValueError, KeyError, TypeError) as error:
            raise SpotterError(f"{folder / ABOUT_FILE} does not describe a spotter: {error!r}") from error
        except Exception as error:  # ONNX Runtime's own errors have no common class but this
            raise SpotterError(f"{folder / MODEL_FILE} is no spotter: {error}") from error
        self._shape = tuple(self._session.get_inputs()[1].shape)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: another stream begins."""
        self._features = Features()
        self._state = np.zeros(self._shape, np.float32)
        self._recent = np.zeros((_SMOOTHED - 1, 1 + len(self.words)), np.float32)
        self._recent[:, 0] = 1.0
        self._blocks, self._quiet_until_s = 0, [0.0] * len(THRESHOLDS)

    def feed(self, samples: np.ndarray) -> Spot | None:
        """The stop word that has been heard now, if one has.

        Args:
            samples: The next block or several, float in [-1, 1] at RATE_HZ. Raises ValueError where they are no blocks.
        """
        found = self.scan(samples)
        return found[0][1] if found else None

    def scan(self, samples: np.ndarray) -> list[tuple[float, Spot]]:
        """As `feed`: (seconds since the stream began, word) of every stop word heard in it."""
        _check(samples)
        found = []
        for begin in range(0, len(samples), _CHUNK * BLOCK):
            likely = self.likelihoods(samples[begin:begin + _CHUNK * BLOCK])
            for at in np.flatnonzero(1.0 - likely[:, 0] >= self.thresholds[0]):
                now_s = (self._blocks + int(at) + 1) * BLOCK_S
                sureness = Sureness(sum(1.0 - likely[at, 0] >= threshold for threshold in self.thresholds) - 1)
                if now_s < self._quiet_until_s[sureness]:
                    continue
                self._quiet_until_s[:sureness + 1] = [now_s + _AGAIN_S[sureness]] * (sureness + 1)
                found.append((now_s, Spot(self.words[int(likely[at, 1:].argmax())], sureness)))
            self._blocks += len(likely)
        return found

    def likelihoods(self, samples: np.ndarray) -> np.ndarray:
        """float32 (n, 1 + words) for the next n blocks: how likely nothing, or each word, has just ended (mean of _SMOOTHED)."""
        _check(samples)
        logits, self._state = self._session.run(None, {"frames": self._features.feed(samples)[None], "state": self._state})
        raised = np.exp(logits[0] - logits[0].max(1, keepdims=True))
        stream = np.concatenate([self._recent, raised / raised.sum(1, keepdims=True)])
        self._recent = stream[len(stream) - (_SMOOTHED - 1):]
        return np.lib.stride_tricks.sliding_window_view(stream, _SMOOTHED, axis=0).mean(2)


def _check(samples: np.ndarray) -> None:
    if len(samples) % BLOCK or not len(samples):
        raise ValueError(f"{len(samples)} samples are not a number of blocks of {BLOCK}")


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    window = np.hanning(WINDOW)
    return (window / np.sqrt((window**2).sum())).astype(np.float32)


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(WINDOW / 2 + 1, BANDS) float32: triangles on the mel scale (HTK's formula), each of area 1."""
    def mel(hz: Any) -> np.ndarray:
        return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))

    edges = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2)
    bins = mel(np.linspace(0, RATE_HZ / 2, WINDOW // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(bank / np.maximum(bank.sum(0, keepdims=True), 1e-6), np.float32)
