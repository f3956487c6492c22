"""Tells what is heard of the robot's own speech from what a person says meanwhile or afterwards."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from jpai_agent.language import stop_word
from jpai_agent.language.stop import fold

# sound that begins so soon after the robot has ended may be its own, late
_TAIL_S = 0.2
_KEPT = 8
# a recogniser may mishear one sound in three; so many in a row that the robot does not say are somebody else's, and fewer
# where there is a stop word
_MISHEARD, _OTHERS_RUN, _OTHERS_RUN_WITH_STOP = 0.34, 4, 3
# shorter words must be there as they are
_SHORT = 3
_SAME_SOUND = str.maketrans("をづぢ", "おずじ")
_LONG = re.compile("(?<=[おこそとのほもよろごぞどぼぽょ])う|(?<=[えけせてねへめれげぜでべぺ])い|"
                   "(?<=[うくすつぬふむゆるぐずぶぷゅ])う")


@dataclass
class _Speech:
    forms: tuple[str, ...]
    begin_s: float
    end_s: float | None = None


class OwnVoice:
    """What the robot says, as `/jpai/speaking` tells it, and whether something heard is that. Times are on any one clock."""

    def __init__(self) -> None:
        self._said: deque[_Speech] = deque(maxlen=_KEPT)

    @property
    def speaking(self) -> bool:
        """True while the robot's own speech is in the air."""
        return bool(self._said) and self._said[-1].end_s is None

    def told(self, said: str, now_s: float) -> None:
        """The robot begins to say something, or has ended. said: The words, and in a second line their kana; "" at the end."""
        if self.speaking:
            self._said[-1].end_s = now_s
        if said.strip():
            self._said.append(_Speech(tuple(filter(None, map(_sounds, said.splitlines()))), now_s))

    def says(self, text: str, begin_s: float | None = None, end_s: float | None = None) -> bool:
        """Whether a transcript is the robot's own speech, or a part of it.

        Args:
            text: What was written down, with kanji or in kana.
            begin_s: When its sound began; None: it is of this moment. end_s: When it ended.

        A person who says the robot's words after it, or more than them meanwhile, is not the robot; nor is anybody who says a
        stop word that the robot does not say.
        """
        heard = _sounds(text)
        if not heard:
            return False
        near = [speech for speech in self._said if self._in_the_air(speech, begin_s, end_s)]
        if not near:
            return False
        # what was said one after the other may be heard as one
        spoken = {"".join(speech.forms[min(form, len(speech.forms) - 1)] for speech in near) for form in (0, 1)}
        if stop_word(text, moving=True):
            return any(_within(heard, words, _OTHERS_RUN_WITH_STOP) for words in spoken if stop_word(words, moving=True))
        return any(_within(heard, words, _OTHERS_RUN) for words in spoken)

    def _in_the_air(self, speech: _Speech, begin_s: float | None, end_s: float | None) -> bool:
        if end_s is not None and end_s <= speech.begin_s:
            return False
        if begin_s is None:
            return speech.end_s is None
        return speech.end_s is None or begin_s < speech.end_s + _TAIL_S


def _sounds(text: str) -> str:
    """A text with all of its marks, and what is written in several ways, brought to one form."""
    return _LONG.sub("", fold(text).replace(" ", "").translate(_SAME_SOUND))


def _within(heard: str, spoken: str, others_run: int) -> bool:
    """Whether `heard` is a part of `spoken`, as a recogniser may have misheard it, with no run of `others_run` unlike letters.

    The cheapest way to make it of one (Sellers 1980: letters changed, put in, left out; free at both ends of `spoken`).
    """
    if len(heard) <= _SHORT:
        return heard in spoken
    # of the best way up to each letter of `spoken`: its cost, letters of `heard` unlike it at the end, the longest such run
    row = [(0, 0, 0)] * (len(spoken) + 1)
    for letter in heard:
        before, row[0] = row[0], _unlike(row[0])
        for at, there in enumerate(spoken, 1):
            changed = (before[0], 0, before[2]) if letter == there else _unlike(before)
            left_out = (row[at - 1][0] + 1, row[at - 1][1], row[at - 1][2])
            before, row[at] = row[at], min(changed, _unlike(row[at]), left_out)
    return any(cost <= _MISHEARD * len(heard) and run < others_run for cost, _, run in row)


def _unlike(way: tuple[int, int, int]) -> tuple[int, int, int]:
    return way[0] + 1, way[1] + 1, max(way[2], way[1] + 1)
