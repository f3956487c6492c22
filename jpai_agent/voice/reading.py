"""How a text is read aloud: numbers, units, signs and names in words that the synthesiser reads as a person would."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# longer than any reply; what a person has the robot say is no longer either
LONGEST_CHARS = 400

_NUMBER = r"\d+(?:\.\d+)?"
# after a number, the longest first; none goes on as a Latin word
_UNITS: Mapping[str, str] = {
    "km": "キロ", "cm": "センチ", "mm": "ミリ", "m": "メートル", "kg": "キロ", "g": "グラム", "deg": "度", "°C": "度", "℃": "度",
    "°": "度", "%": "パーセント", "sec": "秒", "s": "秒", "min": "分", "h": "時間", "F": "階", "kWh": "キロワットアワー",
    "kW": "キロワット", "W": "ワット", "V": "ボルト", "A": "アンペア", "Hz": "ヘルツ",
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))

# two numbers with a hyphen before one of these are a range
_COUNTED = rf"(?:(?:{_UNIT})(?![A-Za-z])|:\d|平方|メートル|センチ|キロ|秒|分|時|日|週|度|個|人|台|本|枚|回|歩)"
_SPEED = rf"((?:(?:マイナス)?{_NUMBER}から)?(?:マイナス)?{_NUMBER})"

# in this order: a range and a sign are told by what stands before them, which later patterns put into words
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern), words) for pattern, words in (
    # thousands
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (r"(?<![A-Za-z])m2(?![\dA-Za-z])", "平方メートル"),
    (r"(?<!\d)(\d{4})[-/]0?(\d{1,2})[-/]0?(\d{1,2})(?!\d)", r"\1年\2月\3日"),
    # from one to another; a hyphen between other numbers joins the parts of a name
    (rf"(?<=\d)\s*({_UNIT})?\s*[~〜～]\s*(?=[-−–]?\d)", r"\1から"),
    (rf"(?<=\d)({_UNIT})?[-−–](?={_NUMBER}\s*{_COUNTED})", r"\1から"),
    (r"(?<=\d)[-−–](?=\d)", "の"),
    (r"(?:(?<![\w.)])|(?<=[ぁ-ん]))[-−–]\s*(?=\d)", "マイナス"),
    (r"(?<![\w.)])\+\s*(?=\d)", "プラス"),
    (r"±\s*(?=\d)", "プラスマイナス"),
    # speeds
    (rf"(?:時速)?{_SPEED}\s*km/h", r"時速\1キロ"),
    (rf"(?:秒速)?{_SPEED}\s*m/s", r"秒速\1メートル"),
    # clock times, ratios and fractions, which 3 of 5 things are not
    (r"(?<!\d)([01]?\d|2[0-3]):00(?!\d)", r"\1時"),
    (r"(?<!\d)([01]?\d|2[0-3]):(?=\d\d(?!\d))0?(\d{1,2})", r"\1時\2分"),
    (r"(?<=\d):(?=\d)", "対"),
    (r"(?<![\d/])(\d+)/(\d+)(?![\d/])", r"\2分の\1"),
    (rf"(?<=\d)({_UNIT})?\s*[×xX]\s*(?=\d)", r"\1かける"),
    (r"(?:#|No\.?|№)\s*(\d+)", r"\1番"),
))
# the letter of a shelf, which the dictionary too takes for a unit
_LETTERS: Mapping[str, str] = {"A": "エー", "F": "エフ", "V": "ブイ", "W": "ダブリュー", "g": "ジー", "h": "エイチ"}
_LETTERED = re.compile(rf"(棚の\d+|\d(?=.の?[番棚]|Aの))([{''.join(_LETTERS)}])(?![A-Za-z])")
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*({_UNIT})(?![A-Za-z])")

# what the synthesiser's dictionary reads in another way than the robot means it
_READINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern), words) for pattern, words in (
    (r"[UＵ]ターン", "ユーターン"),
    (r"次(?=[右左])", "つぎ"),
    (r"(?<=の)角(?!度)", "かど"),
    (r"(?<=の)後(?=[をに])", "あと"),
    (r"建屋", "たてや"),
    (r"荷(?:捌|さば)き場", "にさばきば"),
    (r"(?i:lidar)", "ライダー"),
    (r"何と(?=お?[伝言申])", "なんと"),
    (r"何て", "なんて"),
    # of a place that is closed; what cannot be put in is not told of
    (r"(?<=で、)入れません", "はいれません"),
    (r"値(?=[がはをも])", "あたい"),
    (r"(?<!\d)8(?=[個回])", "はっ"),
    (r"(?<!\d)7人", "ななにん"),
))
_SIGNS: Mapping[str, str] = {
    "&": "アンド", "=": "イコール", "+": "プラス", "@": "アット", "→": "から", "⇒": "から", "%": "パーセント", "#": "番号",
}
_CLOSING = "」』）)】\"'"
# what a sentence goes on with after a quotation
_GOES_ON = "とっでのをがにはも、"
_SENTENCE = re.compile(rf"[^。！？!?\n]*[。！？!?\n]+[{_CLOSING}]*|[^。！？!?\n]+")
# signs that are a pause, and those that have no sound: brackets, emoji, marks
_PAUSES = re.compile(r"[,;:…‥・/|\u2014\u2015]+|\s+-\s+")
_SILENT_CATEGORIES = ("So", "Sk", "Sm", "Sc", "Cc", "Cf", "Co", "Cs", "Cn", "Ps", "Pe", "Pi", "Pf", "Pc", "Po", "Pd")
_HEARD_SIGNS = "。、！？ー々〆"


def reading(text: str, names: Mapping[str, str] | None = None) -> str:
    """`text` as it is given to the synthesiser: 「3m先、1番バース」 → 「3メートル先、1番バース」, Uターン → ユーターン.

    Args:
        text: What is to be said; of more than LONGEST_CHARS the rest is left out.
        names: Readings of one's own words, in kana (`readings` of config/speech.yaml).

    Returns:
        Words and 、。！？ alone; "" where nothing of it has a sound.
    """
    text = unicodedata.normalize("NFKC", text[:LONGEST_CHARS])
    for word in sorted(names or (), key=len, reverse=True):
        text = text.replace(unicodedata.normalize("NFKC", word), (names or {})[word])
    for pattern, words in _PATTERNS:
        text = pattern.sub(words, text)
    text = _LETTERED.sub(lambda found: found[1] + _LETTERS[found[2]], text)
    text = _WITH_UNIT.sub(lambda found: found[1] + _UNITS[found[2]], text)
    for pattern, words in _READINGS:
        text = pattern.sub(words, text)
    text = "".join(_SIGNS.get(char, char) for char in text)
    text = _PAUSES.sub("、", text.replace("!", "！").replace("?", "？"))
    text = "".join(char for char in text if char in _HEARD_SIGNS or char == "." or not _silent(char))
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "、", text)
    text = re.sub(r"\s*([、。！？])[、\s]*", r"\1", text).strip("、 ")
    return text if any(char.isalnum() for char in text) else ""


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its mark; what has no words goes with the one before."""
    found: list[str] = []
    for match in _SENTENCE.finditer(text):
        sentence = match[0].strip()
        quoted = found and found[-1][-1] in _CLOSING and sentence[:1] in _GOES_ON
        if any(char.isalnum() for char in sentence) and not quoted:
            found.append(sentence)
        elif found:
            found[-1] += sentence
    return found


def _silent(char: str) -> bool:
    return unicodedata.category(char) in _SILENT_CATEGORIES
