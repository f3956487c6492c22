"""Hear a stop word in raw text, before anything else and without any model.

The text is folded (width, kana, elongation) and read in two ways. Said alone, repeated, shouted, with fillers,
vocatives or politeness around it, a stop word is a stop whatever the robot does. While the robot moves, a stop word
anywhere is a stop too, unless it is plainly something else (止まらないで, ストップウォッチ, 「止まれ」の看板):
in doubt, the robot stops. Vehicles are told where to stop while they drive (コンビニの前で停めて): with a place or a time
right before it such a verb is part of the instruction, the cries (危ない, 止まれ, ストップ) never are.
"""

from __future__ import annotations

import re
import unicodedata

from jpai_agent.language.stop_words import ALONE_ONLY, COMMANDS, FILLERS, GUARDED, NOT_STOPS, WHERE_ENDS, WHERE_FILLERS

_SEARCHED_CHARS = 2000
_HIDDEN = "\0"  # stands where a phrase was that is no stop; matches nothing

# 「止まれ」の看板, "STOP"と書いてある: what is quoted is named, not said
_QUOTED = re.compile(r"[「『“\"'《【\[(（][^「」『』“”\"]{0,20}[」』”\"'》】\])）]"
                     r"(?=\s*(?:の|と書|って書|とか?いう|っていう|って字|と言うまで|と言ったら|マーク))")
_VOWEL_ROWS = {
    "あ": "あかさたなはまやらわがざだばぱゃ", "う": "うくすつぬふむゆるぐずづぶぷゅ",
    "え": "えけせてねへめれげぜでべぺ", "お": "おこそとのほもよろをごぞどぼぽょ",
}
_ELONGATED = re.compile("|".join(f"(?<=[{row}]){vowel}+" for vowel, row in _VOWEL_ROWS.items()))


def fold(text: str) -> str:
    """`text` as the stop words are matched: NFKC, lower case, katakana as hiragana, elongation and marks dropped.

    Everything that is no letter or digit becomes one space.
    """
    seen = (char for char in text if char.isspace() or unicodedata.category(char) not in ("Cf", "Cc"))
    text = unicodedata.normalize("NFKC", "".join(seen))
    text = text.casefold().replace("'", "")
    text = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in text)
    text = re.sub("[ー〜~ぁぃぅぇぉ\u2010-\u2015]|(?<=[^a-z])-+", "", text)
    text = _ELONGATED.sub("", re.sub("っ+", "っ", text))
    return re.sub(r"[\s\W_]+", " ", text).strip()


def _alternatives(words: tuple[str, ...]) -> str:
    # an English word stands for itself, not as a part of another
    folded = sorted({fold(word) for word in words}, key=len, reverse=True)
    return "|".join(rf"(?<![a-z]){re.escape(w)}(?![a-z])" if w.isascii() else re.escape(w) for w in folded)


STOP_WORDS: tuple[str, ...] = COMMANDS + tuple(word for word, _ in GUARDED) + ALONE_ONLY
_FILLER_SET = frozenset(fold(word).replace(" ", "") for word in FILLERS)
_STOP_SET = frozenset(fold(word).replace(" ", "") for word in STOP_WORDS)
_LONGEST = max(map(len, _FILLER_SET | _STOP_SET))
# 止まっていた, but not 止まっていただけますか
_NOT_STOPS = re.compile(f"(?:{_alternatives(NOT_STOPS)})(?!(?<=いた)だ)")
_ANYWHERE = re.compile("|".join([_alternatives(COMMANDS)] + [rf"{guard}{fold(word)}" for word, guard in GUARDED]))
# verbs by which a vehicle is also told where or for how long to stand
_ORDINARY = re.compile(r"[止停泊と]ま?っ[てと]|[止と]めて|待|まって|停止|停車")
_PARKING = "停めて"  # written so, within a longer sentence, it is where the ride ends
_WHERE = re.compile(f"(?:{_alternatives(WHERE_ENDS)})(?:{_alternatives(WHERE_FILLERS)})*$")


def stop_word(text: str, moving: bool, *, vehicle: bool = False) -> bool:
    """True when `text` must stop the robot at once.

    Args:
        text: Raw text as it was typed or heard.
        moving: The robot moves; then a stop word within a longer sentence stops it too.
        vehicle: It is a car, which is told where to stop while it drives.
    """
    return only_stop(text) or (moving and _mentions_stop(text, vehicle))


def only_stop(text: str) -> bool:
    """True when a stop is all that is said, so that nothing is left to plan once the robot has stopped."""
    folded = _folded_without_mentions(text).replace(" ", "")
    # reached[i]: the first i characters are fillers and stop words; its value: a stop word is among them
    reached: dict[int, bool] = {0: False}
    for start in range(len(folded)):
        if start not in reached:
            continue
        for end in range(start + 1, min(len(folded), start + _LONGEST) + 1):
            part = folded[start:end]
            if part in _STOP_SET:
                reached[end] = True
            elif part in _FILLER_SET:
                reached[end] = reached.get(end, False) or reached[start]
    return reached.get(len(folded), False)


def _mentions_stop(text: str, vehicle: bool) -> bool:
    folded = _folded_without_mentions(text)
    return any(not (vehicle and _says_where(folded, found)) for found in _ANYWHERE.finditer(folded))


def _says_where(folded: str, found: re.Match[str]) -> bool:
    """Whether a vehicle is told to stand somewhere: parking, or a stop verb with a place or a time right before it."""
    if found[0].startswith(_PARKING):
        return True
    return _ORDINARY.match(found[0]) is not None and _WHERE.search(folded[: found.start()].replace(" ", "")) is not None


def _folded_without_mentions(text: str) -> str:
    if not isinstance(text, str):
        return ""
    text = _QUOTED.sub("何か", unicodedata.normalize("NFKC", text[:_SEARCHED_CHARS]))
    return _NOT_STOPS.sub(_HIDDEN, fold(text))
