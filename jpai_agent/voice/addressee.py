"""Who was meant? Tells orders and answers to a robot from people's talk beside it, by the letters alone. No model of language.

It only keeps talk from being taken for an order; what an order means, the model tells.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from jpai_agent.language.stop import fold

FILE = "addressee.npz"
BUCKETS = 1 << 18
LONGEST = 4
_BEGIN, _END = "\x02", "\x03"


class AddresseeError(ValueError):
    """The weights cannot be read."""


def features(text: str) -> Iterator[int]:
    """Buckets, in 0..BUCKETS, of all runs of one to LONGEST letters of a text, with its begin and its end."""
    letters = _BEGIN + fold(text).replace(" ", "") + _END
    for length in range(1, LONGEST + 1):
        for at in range(len(letters) - length + 1):
            yield zlib.crc32(letters[at:at + length].encode()) % BUCKETS


def weight_of(text: str, weights: np.ndarray) -> float:
    """The sum of a text's runs of letters by `weights` (BUCKETS,), over the root of their number."""
    runs = list(features(text))
    return float(weights[runs].sum(dtype=np.float64) / np.sqrt(len(runs)))


class Addressee:
    """The probability that a text was said to the robot: a logistic curve over `weight_of`.

    The file has `weights` (BUCKETS,) int8, `scale` and `bias`. Raises AddresseeError naming it where it does not.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        try:
            with np.load(path) as stored:
                self._weights, self._scale, self._bias = stored["weights"], float(stored["scale"]), float(stored["bias"])
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise AddresseeError(f"{path}: {error}") from error
        if self._weights.shape != (BUCKETS,):
            raise AddresseeError(f"{path}: weights of shape {self._weights.shape}, not ({BUCKETS},)")

    def __call__(self, text: str) -> float:
        score = self._scale * weight_of(text, self._weights) + self._bias
        return float(1.0 / (1.0 + np.exp(-np.clip(score, -60.0, 60.0))))
