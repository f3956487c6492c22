"""The car's words: what fills the slots of its corpus where it differs from the cart's (amounts of the road, landmarks).

Draws are those of `lexicon`; values are in the plan's units (m, s, km/h).
"""

from __future__ import annotations

from random import Random

from jpai_agent.train import lexicon
from jpai_agent.train.lexicon import color_word, duration, kind_word, number, ordinal, size_word

__all__ = ["STANDOFF_RANGE_M", "color_word", "count", "distance", "duration", "kind_word", "ordinal", "place_word",
           "saying", "size_word", "slot_number", "speed"]

SPEED_LIMIT_KMH = 30.0
SPEEDS_KMH = (5, 8, 10, 10, 12, 15, 15, 18, 20, 20, 20, 22, 25, 25, 28, 30, 30)
TOO_FAST_KMH = (31, 32, 35, 40, 40, 45, 50, 50, 55, 60, 60, 65, 70, 80, 80, 90, 100, 120, 150)
DISTANCES_M = (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 100, 120, 150, 200, 250, 300)
_DISTANCE_WEIGHTS = (3, 8, 3, 8, 2, 7, 4, 10, 2, 1, 3, 10, 2, 4, 6, 1, 4)
STANDOFFS_M = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20)
_STANDOFF_WEIGHTS = (2, 1, 6, 1, 8, 2, 12, 1, 1, 2, 10, 1, 4, 2)
STANDOFF_RANGE_M = (0.5, 20.0)
NTH = (1, 2, 3, 4)
_NTH_WEIGHTS = (1, 6, 5, 3)
SLOTS = (1, 2, 3, 4, 5, 6)
SAYINGS: tuple[str, ...] = (
    *lexicon.SAYINGS, "お迎えに来ました", "お先にどうぞ", "お待たせしました", "到着しました", "少々お待ちください", "曲がります",
    "バックします", "発車します", "ドアが開きます", "お乗りください", "お降りの際は足元にご注意ください",
    "ご乗車ありがとうございます",
    "まもなく発車します", "すぐ戻ります", "荷物を下ろします", "すみません、通してください", "忘れ物はありませんか", "着いたよ",
    "お気をつけて", "今から出ます", "ここで降りてください", "シートベルトをお願いします", "少し遅れます", "先に行ってください",
    "停まっててごめんなさい", "お届け物です", "道を譲ります", "横断してください", "どうぞ渡ってください", "迎えに来たよ",
)

_ODD = 0.15  # share of amounts that are not the usual round ones
_AFTER_DISTANCE = "前手離進先行走直あ空開まの"
_SINGLE = "〇一二三四五六"


def place_word(kind: str, r: Random) -> str:
    """A name for landmarks of this kind."""
    return kind_word(kind, r)


def count(after: str, r: Random) -> tuple[str, int]:
    """A count of crossings or lights before つ目 or 番目 (`after`), and its value."""
    value = r.choices(NTH, _NTH_WEIGHTS)[0]
    return ordinal(value, after, r), value


def slot_number(after: str, r: Random) -> tuple[str, int]:
    """A parking slot's number before 番."""
    value = r.choice(SLOTS)
    which = r.random()
    return (str(value) if which < 0.6 else number(value, r) if which < 0.85 else _SINGLE[value]), value


def distance(after: str, r: Random, range_m: tuple[float, float] = (0.0, 1000.0)) -> tuple[str, float]:
    """A distance along the road, or within `range_m` a gap to something, and its metres."""
    gap = range_m == STANDOFF_RANGE_M
    metres = float(r.choices(STANDOFFS_M, _STANDOFF_WEIGHTS)[0] if gap else r.choices(DISTANCES_M, _DISTANCE_WEIGHTS)[0])
    if r.random() < _ODD:
        metres = float(r.randint(1, 20) if gap else r.randint(1, 60) * 5)
    words = number(metres, r) + r.choice(("メートル", "メートル", "m", "ｍ")) if r.random() < 0.85 else f"{metres:g}メーター"
    about = ("くらい", "ほど", "ぐらい", "だけ", "ばかり")
    return words + (r.choice(about) if after[:1] and after[0] in _AFTER_DISTANCE and r.random() < 0.15 else ""), metres


def speed(r: Random, too_fast: bool = False) -> tuple[str, float]:
    """A speed and its km/h; too_fast: one above the limit."""
    kmh = r.choice(TOO_FAST_KMH if too_fast else SPEEDS_KMH)
    if r.random() < _ODD:
        kmh = r.randint(31, 140) if too_fast else r.randint(3, int(SPEED_LIMIT_KMH))
    unit = r.choice(("キロ", "キロ", "キロ", "km", "km/h", "㎞", "キロメートル"))
    return ("時速" if unit != "km/h" and r.random() < 0.45 else "") + number(kmh, r) + unit, float(kmh)


def saying(r: Random) -> str:
    """A short sentence for the car to say."""
    return lexicon.saying(r, SAYINGS)
