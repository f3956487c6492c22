"""How sure a decision is: its probability, that of the whole answer and how familiar the words sound, brought to a share.

A small model answers nonsense as firmly as sense: the probability of its decision tells little of words that were not
for the robot, that of the whole answer more (a wrong word or a point that could lie elsewhere shows in it), and words
unlike all that it was taught the most. `calibration.json` and `familiar.npy` in the model's folder hold what
`train.calibrate` fitted; without them the confidence is unknown.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.vlm.backend import VlmError

CALIBRATION, FAMILIAR = "calibration.json", "familiar.npy"
FORMAT = 1
NEAR = 48  # of 1000: a coordinate this far off is still on the same thing more often than not
GRAM = 3  # characters that are looked up together
TABLE_BITS = 1 << 20
_HASHES = 3
LOWEST = 1e-6
EVIDENCE = 6


class AnswerProbability:
    """Probability of an answer, token by token, each among those that the grammar allowed.

    Args:
        coordinates: (V,) the number that a token stands for within a point, -1 for all other tokens. The probability of a
            coordinate is that of all within NEAR of it.
    """

    def __init__(self, coordinates: np.ndarray) -> None:
        self._coordinates = coordinates
        self.decision, self.answer, self.least = 1.0, 1.0, 1.0
        self._text = ""

    def add(self, scores: np.ndarray, token: int, text: str) -> None:
        """Take in the masked logits (V,), -inf where the grammar forbids, the token that was chosen and its text."""
        shares = np.exp(scores - scores[token])
        here = self._coordinates[token]
        if here >= 0:
            near = (self._coordinates >= 0) & (np.abs(self._coordinates - here) <= NEAR)
            share = float(shares[near].sum() / shares.sum())
        else:
            share = float(1.0 / shares.sum())
        self.answer *= share
        self.least = min(self.least, share)
        if '"steps"' not in self._text:
            self.decision *= share
            self._text += text


def coordinate_values(tokens: Sequence[str]) -> np.ndarray:
    """(V,) the numbers of tokens that are numbers of two digits or more, which the embedded model writes in points alone."""
    return np.array([int(t) if len(t) > 1 and t.isascii() and t.isdigit() else -1 for t in tokens])


def grams(robot: str, words: str) -> list[str]:
    """What is looked up of words said to a robot: runs of GRAM characters, its ends marked."""
    marked = "\x02" * (GRAM - 1) + words + "\x03"
    return [f"{robot}:{marked[at : at + GRAM]}" for at in range(len(marked) - GRAM + 1)]


def own_words(words: str, answer: str) -> str:
    """The words without what the robot shall only repeat: the text of a `say` may be anything."""
    try:
        steps = json.loads(answer)["steps"]
        spoken = [step["text"] for step in steps if isinstance(step.get("text"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return words
    for text in spoken:
        words = words.replace(text, "\x01")
    return words


class Familiar:
    """Whether a run of characters was among those taught: a Bloom filter of TABLE_BITS bits, wrong in about 1 %."""

    def __init__(self, table: np.ndarray) -> None:
        if table.dtype != np.uint8 or table.shape != (TABLE_BITS // 8,):
            raise ValueError(f"table of {table.dtype} {table.shape}, not of uint8 ({TABLE_BITS // 8},)")
        self.table = table

    @classmethod
    def of(cls, taught: Iterable[str]) -> Familiar:
        """A table of these grams."""
        bits = np.zeros(TABLE_BITS, dtype=bool)
        for gram in taught:
            bits[_places(gram)] = True
        return cls(np.packbits(bits))

    def __contains__(self, gram: str) -> bool:
        return all(self.table[place >> 3] >> (7 - (place & 7)) & 1 for place in _places(gram))

    def unfamiliar(self, robot: str, words: str) -> float:
        """Share of the words' grams that were never taught."""
        looked_up = grams(robot, words)
        return sum(gram not in self for gram in looked_up) / len(looked_up)


def _places(gram: str) -> list[int]:
    digest = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=4 * _HASHES).digest()
    return [int.from_bytes(digest[at : at + 4], "little") % TABLE_BITS for at in range(0, len(digest), 4)]


@dataclass(frozen=True)
class Calibration:
    """From what is known of an answer to the share of such answers whose decision (act, ask or refuse, and why) is right.

    Attributes:
        act, rest: Weights (6,) of the `evidence` in the logistic curves for plans and for questions and refusals.
        familiar: The runs of characters that were taught.
    """

    act: tuple[float, ...]
    rest: tuple[float, ...]
    familiar: Familiar

    def confidence(self, robot: str, words: str, answer: str, decision: float, probability: float) -> float:
        """Share (0..1) of right decisions among answers like this one.

        decision, probability: What the model gave to the decision and to the whole answer.
        """
        unfamiliar = self.familiar.unfamiliar(robot, own_words(words, answer))
        return curve(self.act if acts(answer) else self.rest, evidence(decision, probability, unfamiliar))

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """The calibration in a model's folder, None where it has none. Raises VlmError for one that cannot be used."""
        path = folder / CALIBRATION
        if not path.is_file():
            return None
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}, not {FORMAT}")
            act, rest = (tuple(map(float, data[name])) for name in ("act", "rest"))
            if len(act) != EVIDENCE or len(rest) != EVIDENCE or not all(map(math.isfinite, act + rest)):
                raise ValueError(f"weights {act}, {rest}")
            return cls(act, rest, Familiar(np.load(folder / FAMILIAR, allow_pickle=False)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VlmError("model_altered", f"calibration in {folder} cannot be used: {error}") from error


def acts(answer: str) -> bool:
    """Whether an answer is a plan."""
    return answer.startswith('{"decision":"act"')


def evidence(decision: float, probability: float, unfamiliar: float) -> tuple[float, ...]:
    """(EVIDENCE,) what the curves weigh: 1, log p and -log(1 - p) of both probabilities, the unfamiliar share.

    The logarithms are those of beta calibration (Kull et al. 2017).
    """
    d, a = (min(max(p, LOWEST), 1 - LOWEST) for p in (decision, probability))
    return 1.0, math.log(d), -math.log(1 - d), math.log(a), -math.log(1 - a), unfamiliar


def curve(weights: Sequence[float], features: Sequence[float]) -> float:
    """The logistic curve's value."""
    value = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))
