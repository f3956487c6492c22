"""A small model of which character follows which: counts of up to four in a row, from the training corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ORDER = 4
EDGE = "\n"  # before the first character and after the last
_DISCOUNT = 0.6


class CharacterModel:
    """Interpolated absolute discounting over the last ORDER − 1 characters."""

    def __init__(self, counts: dict[str, int], characters: int) -> None:
        """`counts` by strings of 1 to ORDER characters; `characters`: how many different ones there may be."""
        self._counts = counts
        self._total = sum(n for text, n in counts.items() if len(text) == 1)
        self._floor = 1.0 / (characters + 1)
        self._after: dict[str, tuple[int, int]] = {}  # how many, and how many different ones, come after it
        for text, n in counts.items():
            if len(text) > 1:
                many, kinds = self._after.get(text[:-1], (0, 0))
                self._after[text[:-1]] = many + n, kinds + 1

    def __call__(self, text: str, char: str) -> float:
        """Natural log of the probability of `char` ("" = the end) after `text` (its beginning where shorter than 3)."""
        before = text[-(ORDER - 1):]
        if len(before) < ORDER - 1:
            before = EDGE + before
        return math.log(self._probability(before[-(ORDER - 1):], char or EDGE))

    def _probability(self, before: str, char: str) -> float:
        if not before:
            return max(self._counts.get(char, 0) - _DISCOUNT, 0.0) / self._total + 0.05 * self._floor
        lower = self._probability(before[1:], char)
        if before not in self._after:
            return lower
        many, kinds = self._after[before]
        return max(self._counts.get(before + char, 0) - _DISCOUNT, 0.0) / many + _DISCOUNT * kinds / many * lower

    @classmethod
    def learn(cls, texts: Iterable[str], characters: int, least: int = 2) -> CharacterModel:
        """From texts; strings of ORDER that occur less than `least` times are left out."""
        counts: Counter[str] = Counter()
        for text in texts:
            line = EDGE + text + EDGE
            for size in range(1, ORDER + 1):
                counts.update(line[i:i + size] for i in range(len(line) - size + 1))
        return cls({text: n for text, n in counts.items() if len(text) < ORDER or n >= least}, characters)

    def save(self, path: Path) -> None:
        """Write it as .npz: the strings' characters and the counts."""
        ordered = sorted(self._counts)
        np.savez_compressed(path, text=np.frombuffer("".join(ordered).encode("utf-32-le"), np.uint32).astype(np.uint16),
                            sizes=np.array([len(t) for t in ordered], np.uint8),
                            counts=np.array([self._counts[t] for t in ordered], np.uint32),
                            characters=np.array(round(1.0 / self._floor) - 1))

    @classmethod
    def load(cls, path: Path) -> CharacterModel:
        """Read what `save` wrote. Raises OSError, ValueError or KeyError where it is none."""
        with np.load(path) as kept:
            text = kept["text"].astype(np.uint32).tobytes().decode("utf-32-le")
            sizes, counts, characters = kept["sizes"].tolist(), kept["counts"].tolist(), int(kept["characters"])
        found, at = {}, 0
        for size, count in zip(sizes, counts, strict=True):
            found[text[at:at + size]] = count
            at += size
        return cls(found, characters)
