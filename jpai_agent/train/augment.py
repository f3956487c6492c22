"""Vary how an instruction is written: kana for kanji, width, punctuation, particles, fillers, a recogniser's habits.

Works on pieces of text, each with the name of its slot ("" for the words in between), so that a slot's words remain
together and can be found again: a label is always what the varied text says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from random import Random

from jpai_agent.language.numbers import kanji_numerals_to_digits

Pieces = list[tuple[str, str]]  # (words, slot)

# either may stand for the other; (common, other, chance of writing the other one)
_SPELLINGS: tuple[tuple[str, str, float], ...] = (
    ("ください", "下さい", 0.35), ("行って", "いって", 0.2), ("行き", "いき", 0.12), ("待って", "まって", 0.2),
    ("向いて", "むいて", 0.2), ("止まって", "とまって", 0.2), ("戻って", "もどって", 0.2),
    ("回って", "まわって", 0.2), ("進んで", "すすんで", 0.2), ("後ろ", "うしろ", 0.25), ("一番", "いちばん", 0.25),
    ("いちばん", "一番", 0.3), ("一番", "1番", 0.08), ("隣", "となり", 0.25), ("横", "よこ", 0.2),
    ("手前", "てまえ", 0.15), ("真ん中", "まんなか", 0.25), ("の間の", "のあいだの", 0.3), ("近く", "ちかく", 0.2),
    ("遠く", "とおく", 0.2), ("前に", "まえに", 0.15), ("前まで", "まえまで", 0.15), ("奥", "おく", 0.15),
    ("右", "みぎ", 0.12), ("左", "ひだり", 0.12), ("ところ", "所", 0.15), ("ほう", "方", 0.35),
    ("方を", "ほうを", 0.3), ("とこ", "トコ", 0.06), ("ゆっくり", "ユックリ", 0.03), ("お願い", "おねがい", 0.2),
    ("ちょっと", "ちょと", 0.04), ("それから", "そっから", 0.06), ("置いて", "おいて", 0.2),
    ("探して", "さがして", 0.25), ("離れ", "はなれ", 0.15), ("停まって", "止まって", 0.3), ("赤い", "あかい", 0.1),
    ("青い", "あおい", 0.1), ("服", "ふく", 0.1), ("番目", "ばんめ", 0.15), ("個目", "こめ", 0.04),
    ("つ目", "つめ", 0.12), ("秒", "びょう", 0.05), ("向こう", "むこう", 0.2), ("言って", "いって", 0.15),
    ("頼む", "たのむ", 0.15), ("着いたら", "ついたら", 0.2),
)
FILLERS = (
    "えーと、", "えっと、", "あのー、", "あの、", "えー、", "んーと、", "ええと", "ねえ、", "すみません、",
    "ごめん、", "じゃあ、", "では、", "はい、", "おーい、", "ロボットさん、", "ちょっと、", "悪いけど", "なあ、",
    "そしたら、", "まあ",
)
_ENDINGS = ("。", "。", "！")
_DROPPED = re.compile(r"^(?:を|は)(?=[^、。！？\s]{2})")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_NARROW = {wide: code for code, wide in _WIDE.items()}
_POINTS = re.compile(r"[、。！？!?「」…\s]")


def as_read(text: str) -> str:
    """The text as the model reads it: what `language.normalise` makes of visible characters, only sooner."""
    return kanji_numerals_to_digits(" ".join(unicodedata.normalize("NFKC", text).split()))


def vary(pieces: Pieces, r: Random, strength: float = 1.0, fillers: Sequence[str] = FILLERS) -> Pieces:
    """The same instruction, written otherwise. Slots keep their order; about a third of the texts stay as they are."""
    if r.random() > 0.66 * strength:
        return pieces
    words = [text for text, _ in pieces]
    slots = [slot for _, slot in pieces]
    if r.random() < 0.45:
        words = _respell(words, slots, r)
    if r.random() < 0.10:
        words = [_DROPPED.sub("", text) if i and slots[i - 1] and not slot else text
                 for i, (text, slot) in enumerate(zip(words, slots, strict=True))]
    which = r.random()
    if which < 0.14:
        # what a recogniser writes: no punctuation
        words = [text if slot.startswith("S") else _POINTS.sub("", text) for text, slot in zip(words, slots,
                                                                                               strict=True)]
    elif which < 0.18:
        words = [text.replace("、", " ") for text in words]
    elif which < 0.22:
        words = [text.translate(_NARROW) for text in words]
    elif which < 0.25:
        words = [text.translate(_WIDE) for text in words]
    # nothing is left of an instruction that is nothing but points (……)
    pieces = [(text, slot) for text, slot in zip(words, slots, strict=True) if text] or pieces
    if r.random() < 0.13:
        pieces = [(r.choice(fillers), ""), *pieces]
    if r.random() < 0.30 and not pieces[-1][0].endswith(("。", "！", "？", "ね", "…", "!", "?")):
        pieces = [*pieces, (r.choice(_ENDINGS), "")]
    return pieces


def _respell(words: list[str], slots: list[str], r: Random) -> list[str]:
    changed = list(words)
    boost = 2.5 if r.random() < 0.3 else 1.0
    for common, other, chance in _SPELLINGS:
        if r.random() < chance * boost:
            changed = [text if slot.startswith("S") else text.replace(common, other)
                       for text, slot in zip(changed, slots, strict=True)]
    return changed
