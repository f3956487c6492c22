"""Whether a suite's words are fresh: compared with everything that the training corpus says, for both robots."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from jpai_agent.language.normalise import clean
from jpai_agent.language.numbers import kanji_numerals_to_digits
from jpai_agent.train.corpus import Segments, load_corpus

GRAM, MOST_KNOWN = 5, 0.5
ROBOTS = ("cart", "car")


def letters_only(text: str) -> str:
    """Normalised as the model reads it, without punctuation, symbols and spaces."""
    seen = kanji_numerals_to_digits(clean(text))
    return "".join(char for char in seen if unicodedata.category(char)[0] in "LN" or char == "ー")


@lru_cache(maxsize=1)
def patterns() -> tuple[Segments, ...]:
    """Everything that the training corpus says: lines, the turns before them, and referring expressions."""
    found: list[Segments] = []
    for robot in ROBOTS:
        corpus = load_corpus(robot)
        found += [part for line in corpus.lines for part in (line.text, line.earlier) if part]
        found += [ref.text for ref in corpus.refs]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1)
def known_grams() -> frozenset[str]:
    """Every run of GRAM characters in the fixed text of the training corpus, its slots cut out."""
    pieces = (letters_only(literal) for pattern in patterns() for literal, slot in pattern if not slot)
    return frozenset(piece[i:i + GRAM] for piece in pieces for i in range(len(piece) - GRAM + 1))


def half_known(utterance: str) -> list[str]:
    """The runs of GRAM characters from the training corpus of which one alone is more than half of an utterance."""
    text = letters_only(utterance)
    runs = [text[i:i + GRAM] for i in range(len(text) - GRAM + 1)]
    return [run for run in runs if run in known_grams()] if MOST_KNOWN * len(text) < GRAM else []


@lru_cache(maxsize=1)
def spelled_out() -> tuple[tuple[re.Pattern[str], int], ...]:
    """Each corpus line as a pattern, slots standing for any words, with the length of its fixed text."""
    found = []
    for pattern in patterns():
        fixed = [(letters_only(literal), slot) for literal, slot in pattern]
        found.append((re.compile("".join(".+" if slot else re.escape(literal) for literal, slot in fixed)),
                      sum(len(literal) for literal, slot in fixed if not slot)))
    return tuple(found)


def is_a_training_line(utterance: str) -> bool:
    """Whether a corpus line, its slots filled, says the whole utterance, most of it as fixed text."""
    text = letters_only(utterance)
    return any(2 * length > len(text) and pattern.fullmatch(text) for pattern, length in spelled_out())
