"""Keep a decoded label to the user's own words: it is a run of characters of what was said, as the plan language has it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

OPENS = '"label":"'


class OwnWords:
    """Which tokens may come in a label.

    Args:
        tokens: Token strings by id, "" for control tokens. Text is in tokens of one character; all others hold a quote.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tokens
        # what may end a label: the grammar decides which of them
        self._closing = np.array([word.startswith('"') for word in tokens])
        self._ids: dict[str, int] = {word: index for index, word in enumerate(tokens) if len(word) == 1}

    def of(self, said: str) -> Label:
        """For one answer; said: everything that a label may be taken from, as the model reads it."""
        return Label(self, unicodedata.normalize("NFKC", said))

    def continuing(self, label: str, said: str) -> np.ndarray:
        """(vocabulary,) bool: closes the label, or makes it longer by a character that follows it somewhere in `said`."""
        allowed = self._closing.copy()
        at = said.find(label)
        while at >= 0 and at + len(label) < len(said):
            allowed[self._ids.get(said[at + len(label)], 0)] = True
            at = said.find(label, at + 1)
        return allowed


class Label:
    """The label that is being decoded, if one is."""

    def __init__(self, words: OwnWords, said: str) -> None:
        self._words, self._said = words, said
        self._label: str | None = None

    def narrow(self, allowed: np.ndarray) -> np.ndarray:
        """What of the tokens that the grammar allows may come; all of them outside labels, and where none were left."""
        if self._label is None:
            return allowed
        kept = allowed & self._words.continuing(self._label, self._said)
        return kept if kept.any() else allowed

    def take(self, token: int) -> None:
        """Note the token that was chosen."""
        word = self._words.tokens[token]
        if word.endswith(OPENS):
            self._label = ""
        elif self._label is not None:
            self._label = self._label + word if len(word) == 1 and word != '"' else None
