"""How far two pieces of writing are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Least number of members put in, taken out or changed (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
