"""From a CTC network's scores to text: prefix beam search, leaning towards a character model and towards given words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_NEVER = -1e30
_LIKELY_BLANK = math.log(0.995)
_WITHIN = 8.0  # characters less likely than the likeliest of their frame by more than this are not tried
_TRIED = 6  # characters at most of each frame

LanguageModel = Callable[[str, str], float]  # (text so far, next character) → natural log of its probability; "" next = end


@dataclass(frozen=True)
class Hypothesis:
    """A text and its scores: `sounds` is the natural log of the probability that the network gives it, `score` the sum of
    all that was weighed."""

    text: str
    sounds: float
    score: float


@dataclass(frozen=True)
class Weights:
    """How much besides the sounds counts: the character model, each character, each character of a hint."""

    language: float = 0.35
    length: float = 1.0
    hint: float = 0.3


class Hints:
    """Words to lean towards, as a trie; reading on is worth a bonus a character, which an unfinished word gives back."""

    def __init__(self, words: Sequence[str], bonus: float) -> None:
        self.nodes: list[dict[str, int]] = [{}]
        self.ends: set[int] = set()
        self.bonus = bonus
        for word in words:
            node = 0
            for char in word:
                if char not in self.nodes[node]:
                    self.nodes.append({})
                    self.nodes[node][char] = len(self.nodes) - 1
                node = self.nodes[node][char]
            if node:
                self.ends.add(node)

    def step(self, node: int, owed: float, char: str) -> tuple[int, float, float]:
        """(node, owed, change of the score) after one more character; `owed` is what an unfinished word would give back."""
        if char in self.nodes[node]:
            node, change = self.nodes[node][char], self.bonus
            owed += self.bonus
        else:
            change = -owed
            owed = 0.0
            node = self.nodes[0].get(char, 0)
            if node:
                change += self.bonus
                owed = self.bonus
        return (node, 0.0, change) if node in self.ends else (node, owed, change)


@dataclass
class _Beam:
    blank: float = _NEVER  # log-probability of its paths that end in a blank, and of the others
    other: float = _NEVER
    extra: float = 0.0  # character model, length and hints
    node: int = 0
    owed: float = 0.0
    sounds: float = field(default=_NEVER)


def beam_search(scores: np.ndarray, alphabet: str, width: int = 8, language: LanguageModel | None = None,
                weights: Weights = Weights(), hints: Sequence[str] = ()) -> list[Hypothesis]:
    """The likeliest texts, best first, at most `width`; always at least one ("" where nothing was said).

    Args:
        scores: (frames, len(alphabet) + 1) natural logs of probabilities; the last is the blank.
        language: Character model. hints: words to lean towards.
    """
    blank = len(alphabet)
    lean = Hints([word for word in hints if word], weights.hint)
    beams: dict[str, _Beam] = {"": _Beam(blank=0.0, sounds=0.0)}
    remembered: dict[tuple[str, str], float] = {}

    def told(text: str, char: str) -> float:
        if language is None:
            return 0.0
        key = (text[-3:], char)
        if key not in remembered:
            remembered[key] = weights.language * language(*key)
        return remembered[key]

    for frame in scores:
        if frame[blank] > _LIKELY_BLANK:
            for beam in beams.values():
                beam.blank, beam.other = beam.sounds + float(frame[blank]), _NEVER
                beam.sounds = beam.blank
            continue
        best = float(frame.max())
        order = np.argpartition(frame, -_TRIED)[-_TRIED:] if len(frame) > _TRIED else np.arange(len(frame))
        tried = [(int(i), float(frame[i])) for i in order if frame[i] > best - _WITHIN and i != blank]
        silent = float(frame[blank])
        after: dict[str, _Beam] = {}
        for text, beam in beams.items():
            same = after.get(text)
            if same is None:
                same = after[text] = _Beam(extra=beam.extra, node=beam.node, owed=beam.owed)
            same.blank = _add(same.blank, beam.sounds + silent)
            last = text[-1:]
            for i, log_p in tried:
                char = alphabet[i]
                if char == last:
                    same.other = _add(same.other, beam.other + log_p)
                    reached = beam.blank + log_p
                else:
                    reached = beam.sounds + log_p
                if reached < _NEVER / 2:
                    continue
                longer = text + char
                known = after.get(longer)
                if known is None:
                    node, owed, change = lean.step(beam.node, beam.owed, char)
                    known = after[longer] = _Beam(
                        extra=beam.extra + change + weights.length + told(text, char), node=node, owed=owed)
                known.other = _add(known.other, reached)
        for beam in after.values():
            beam.sounds = _add(beam.blank, beam.other)
        kept = sorted(after.items(), key=lambda item: item[1].sounds + item[1].extra, reverse=True)[:width]
        beams = dict(kept)
    found = [Hypothesis(text, beam.sounds, beam.sounds + beam.extra - beam.owed + told(text, ""))
             for text, beam in beams.items()]
    return sorted(found, key=lambda one: one.score, reverse=True)


def agreed(hearings: Sequence[tuple[np.ndarray, Sequence[Hypothesis]]], alphabet: str) -> list[Hypothesis]:
    """The hypotheses of several hearings of one utterance, best first by what all of them give each text on average.

    `hearings`: (scores, hypotheses) of each; see `beam_search`.
    """
    besides = {one.text: one.score - one.sounds for _, found in hearings for one in found}
    judged = []
    for text, extra in besides.items():
        sounds = float(np.mean([log_probability(scores, text, alphabet) for scores, _ in hearings]))
        judged.append(Hypothesis(text, sounds, sounds + extra))
    return sorted(judged, key=lambda one: one.score, reverse=True)


def log_probability(scores: np.ndarray, text: str, alphabet: str) -> float:
    """Natural log of the probability that a CTC network with these scores (see `beam_search`) gives the text."""
    blank = len(alphabet)
    labels = np.full(2 * len(text) + 1, blank)
    labels[1::2] = [alphabet.index(char) for char in text]
    if not len(scores):
        return _NEVER if text else 0.0
    skips = np.zeros(len(labels), bool)
    skips[2:] = (labels[2:] != blank) & (labels[2:] != labels[:-2])
    paths = np.full(len(labels) + 2, _NEVER)  # two more in front, for what comes from before the beginning
    paths[2:4] = scores[0, labels[:2]]
    for frame in scores[1:]:
        before = np.where(skips, paths[:-2], _NEVER)
        paths[2:] = np.logaddexp(np.logaddexp(paths[2:], paths[1:-1]), before) + frame[labels]
    return float(np.logaddexp(paths[-1], paths[-2] if text else _NEVER))


def _add(a: float, b: float) -> float:
    """log(e^a + e^b)"""
    if a < b:
        a, b = b, a
    return a if b < a - 40.0 else a + math.log1p(math.exp(b - a))


def confidence(found: Sequence[Hypothesis], calibration: Mapping[str, float]) -> float:
    """How likely it is that the first of these hypotheses was said, 0 to 1, by a logistic curve fitted on sentences that
    were not trained on (see `evidence`)."""
    if not found or not found[0].text:
        return 0.0
    known = evidence(found)
    total = calibration["bias"] + sum(calibration[name] * value for name, value in known.items())
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def evidence(found: Sequence[Hypothesis]) -> dict[str, float]:
    """What tells a right transcript from a wrong one: surprise = −log of its probability by its sounds, over the whole and
    for each character; rivals = how much of all that was weighed is not the first one's."""
    first = found[0]
    top = max(one.score for one in found)
    total = sum(math.exp(one.score - top) for one in found)
    mine = math.exp(first.score - top) / total
    surprise = max(0.0, -first.sounds)
    return {"surprise": math.log1p(surprise), "surprise_each": surprise / max(1, len(first.text)), "rivals": 1.0 - mine}
