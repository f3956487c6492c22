"""How the embedded recogniser spells: numerals as they are spoken (百二十, 一点五), 、 for a pause, no other marks."""

from __future__ import annotations

import re
import unicodedata

from jpai_agent.language.numbers import KANJI_DIGITS, kanji_number, kanji_numerals_to_digits

_DIGITS = "零" + KANJI_DIGITS[1:]  # as it is said
_UNITS = tuple((re.compile(pattern), word) for pattern, word in (
    (r"m/s", "メートル毎秒"), (r"km/h", "キロ"), (r"(?<=[\d一-十百])km", "キロ"), (r"(?<=\d)cm", "センチ"),
    (r"(?<=\d)mm", "ミリ"), (r"(?<=\d)m(?![a-z])", "メートル"), (r"(?<=\d)°", "度")))
_MARKS = re.compile(r"[。！？!?「」『』…・：:;；♪〜~ー―—\-]+$|[。！？!?「」『』…♪\s()（）]+")
_WITHIN = re.compile(r"[。！？!?…]+(?=.)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ONE_TO_KEEP = re.compile(r"(?<![\d.])1(?=番|度|本|回|つ(?!目|め))")  # 一番, 一度 … would read as words


def spoken_number(digits: str) -> str:
    """A decimal number in the kanji that are spoken: 120 → 百二十, 0.5 → 零点五. Too long ones stay as they are."""
    whole, _, part = digits.partition(".")
    if len(whole) > 4 or (len(whole) > 1 and whole.startswith("0")):
        return digits
    said = kanji_number(int(whole)) if int(whole) else _DIGITS[0]
    return f"{said}点{''.join(_DIGITS[int(d)] for d in part)}" if part else said


def spelled(text: str) -> str:
    """A text as the recogniser would write it."""
    text = unicodedata.normalize("NFKC", text)
    for pattern, word in _UNITS:
        text = pattern.sub(word, text)
    text = _MARKS.sub("", _WITHIN.sub("、", text))  # a sentence's end within a text is a pause as well
    text = re.sub(r"、+", "、", text).strip("、")
    # kanji numerals → digits where they count, then all digits → kanji, so that one form is left
    text = kanji_numerals_to_digits(text.replace("半", "\ue000")).replace("\ue000", "半")
    text = _ONE_TO_KEEP.sub("\ue001", text)
    return _NUMBER.sub(lambda found: spoken_number(found[0]), text).replace("\ue001", "1").upper()


def as_read(text: str) -> str:
    """What the recogniser wrote, with the numerals that count as digits again (百二十秒 → 120秒) and メーター as メートル."""
    return kanji_numerals_to_digits(text.replace("メーター", "メートル"))
