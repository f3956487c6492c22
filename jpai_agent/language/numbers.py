"""Numerals: read kanji numerals that stand before a counter, and write quantities the way people say them."""

from __future__ import annotations

import re

KANJI_DIGITS = "〇一二三四五六七八九"
_DIGITS = {char: value for value, char in enumerate(KANJI_DIGITS)} | {"零": 0}
_TENS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = "[〇零一二三四五六七八九十百千]+"

# 一番 is mostly "most", 一度 "once", 二度と "never again", 十分 "enough", 台車 a handcart: these stay as they are
_COUNTER = (r"(?:メートル|センチ|ミリ|キロ|[cmk]?m(?![a-z])|秒|分(?=間|後|待|く|ぐ|ほ|だ|で|、|。|$)|時間|"
            r"度(?![とも目])|番|個|本(?!道)|台(?!車)|枚|つ目|つめ|歩|回|周|倍|パーセント|%)")
_KEPT = r"(?:一番|一度|一本|一回|一つ(?!目|め))"
_BESIDE_COUNTER = re.compile(
    rf"(?<![〇零一二三四五六七八九十百千第\d.])(?!{_KEPT})({_NUMERAL})(?:[点・]({_NUMERAL}))?(?=({_COUNTER})|[、〜~]{_NUMERAL}{_COUNTER})")
_HALF = re.compile(r"(?<![\d.,])(\d+)(メートル|センチ|キロ|秒|分|時間|m|cm|km)半(?![分径周回年日])")


def kanji_to_int(numeral: str) -> int | None:
    """The number that a kanji numeral below 10 000 means, or None where it is none (二三 may be 23 or two to three)."""
    total, digit = 0, None
    for char in numeral:
        if char in _TENS:
            total += _TENS[char] * (1 if digit is None else digit)
            digit = None
        elif char in _DIGITS and digit is None:
            digit = _DIGITS[char]
        else:
            return None
    return total + (digit or 0) if numeral else None


def kanji_number(value: int) -> str:
    """1..9999 as it is written in words: 25 → 二十五. Raises ValueError outside."""
    if not 0 < value < 10_000:
        raise ValueError(f"{value} is not in 1..9999")
    words = ""
    for name, unit in reversed(_TENS.items()):
        digit, value = divmod(value, unit)
        if digit:
            words += (KANJI_DIGITS[digit] if digit > 1 else "") + name
    return words + (KANJI_DIGITS[value] if value else "")


def kanji_numerals_to_digits(text: str) -> str:
    """`text` with kanji numerals before a counter or unit as digits (四十五度 → 45度, 一点五メートル → 1.5メートル).

    Ranges stay ranges (二、三秒 → 2、3秒); numerals that may be words (一番, 一緒, 一度, 十分な) stay.
    """
    return _HALF.sub(r"\1.5\2", _BESIDE_COUNTER.sub(_digits, text))


def _digits(match: re.Match[str]) -> str:
    whole = kanji_to_int(match[1])
    if whole is None:
        return match[0]
    if match[2] is None:
        return str(whole)
    if any(char not in _DIGITS for char in match[2]):
        return match[0]
    return f"{whole}." + "".join(str(_DIGITS[char]) for char in match[2])


def plain(value: float) -> str:
    """A number without needless zeros: 3.0 → 3, 0.50 → 0.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def say_distance(metres: float) -> str:
    """A distance as people say it: below a metre in センチ."""
    metres = abs(metres)
    return f"{plain(round(metres * 100))}センチ" if 0 < metres < 1 else f"{plain(metres)}メートル"


def say_duration(seconds: float) -> str:
    """A duration as people say it: 90 → 1分30秒."""
    if seconds < 60 or seconds != int(seconds):
        return f"{plain(seconds)}秒"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "時間"), (minutes, "分"), (rest, "秒")) if n)


def say_angle(degrees: float) -> str:
    """The size of an angle: 90度."""
    return f"{plain(abs(degrees))}度"
