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
_CRY_CHARS = 30  # longer than this nobody cries before a stop
_HIDDEN = "\0"  # stands where a phrase was that is no stop; matches nothing

# 「止まれ」の看板, "STOP"と書いてある: what is quoted is named, not said
_QUOTED = re.compile(r"[「『“\"'《【\[(（][^「」『』“”\"]{0,20}[」』”\"'》】\])）]"
                     r"(?=\s*(?:の|と書|って書|とか?いう|っていう|って字|と言うまで|と言ったら|マーク))")
# asked, not shouted: 待った？
_ASKED = re.compile(r"(?:待った|まった)(?:の|かな)?\s*\?")
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
# 止まっていた, but not 止まっていただけますか; a hand that is 挟まってる waits for nothing
_NOT_STOPS = re.compile(f"(?<!挟)(?:{_alternatives(NOT_STOPS)})(?!(?<=いた)だ)")
_ANYWHERE = re.compile("|".join([_alternatives(COMMANDS)] + [rf"{guard}{fold(word)}" for word, guard in GUARDED]))
# verbs by which a vehicle is also told where or for how long to stand
_ORDINARY = re.compile(r"[止停泊と]ま?っ[てと]|[止と]めて|待|まって|停止|停車")
_PARKING = "停めて"  # written so, within a longer sentence, it is where the ride ends
# what a cry before a shouted stop ends in (子どもが飛び出した、止まれ; 運転手さん、止めて; 後ろ後ろ、ストップ); an
# instruction that ends with a stop goes on in て, まで, たら or a thing instead (壁まで行って、止まって; 次の信号、止まって)
_CRY = re.compile(r"(?:[たる]よ?|(?<!た)い|ぞ|さん|くん|君|ちゃん|様|人|子|(.{2,})\1)$")
_THERE = re.compile("そこ|ここ|その場|あそこ")
# a name of its own before a bare cry: ジャービス、ストップ
_NAME = re.compile("[ぁ-ん]{2,6}")
_BARE_CRY = re.compile("すとっぷ|すとぷ|止まれ|とまれ")
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
    words = _folded_without_mentions(text).split()
    cuts = range(1, min(len(words), _CRY_CHARS))
    return _is_stop("".join(words)) or any(_is_cry("".join(words[:at]), "".join(words[at:])) for at in cuts)


def _is_cry(head: str, tail: str) -> bool:
    """Whether a stop is shouted after a cry or a name, rather than ordered as the end of an instruction."""
    if len(head) > _CRY_CHARS or _THERE.search(tail):
        return False
    cried = _CRY.search(head) or (_NAME.fullmatch(head) and _BARE_CRY.match(tail))
    return bool(cried) and _is_stop(tail)


def _is_stop(folded: str) -> bool:
    """Whether a folded text without spaces is made of stop words and fillers alone, a stop word among them."""
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
    text = _ASKED.sub("", _QUOTED.sub("何か", unicodedata.normalize("NFKC", text[:_SEARCHED_CHARS])))
    return _NOT_STOPS.sub(_HIDDEN, fold(text))
