"""How the corpus's sentences are read aloud, where pyopenjtalk's dictionary reads them otherwise (次左 as じひだり)."""

from __future__ import annotations

import re
import unicodedata

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern), kana) for pattern, kana in (
    (r"m/s|メートル/秒", "メートル毎秒"), (r"km/h", "キロ"), (r"(?<=\d)km", "キロ"), (r"(?<=\d)cm", "センチ"),
    (r"(?<=\d)mm", "ミリ"), (r"(?<=\d)m(?![a-z])", "メートル"), (r"(?<=\d)°", "度"), (r"(?<=\d)[~〜](?=\d)", "から"),
    (r"(?<![目順漸取席式])次(?![第回元男女長世点期数席])", "つぎ"), (r"(?<![三四直鋭鈍方頭一街互触])角(?![度形材刈煮])", "かど"),
    (r"向い(?=[てと])", "むい"), (r"(?<=[、度])前(?=\d)", "まえ"), (r"その場", "そのば"), (r"間(?=[はをも]\d)", "あいだ"),
    (r"通って", "とおって"), (r"明日", "あした"), (r"一言", "ひとこと"), (r"一声", "ひとこえ"), (r"下がりん", "さがりん"),
    (r"止ま(?=りん)", "とま"), (r"もう1回", "もういっかい"), (r"右折れ", "みぎおれ"), (r"左折れ", "ひだりおれ"),
    (r"左入", "ひだりはい"), (r"右入(?=[っる])", "みぎはい"), (r"右入れ", "みぎいれ"), (r"左寄せ", "ひだりよせ"),
    (r"坂(?=って)", "さが"), (r"違う(?=て)", "ちごう"), (r"空いとら", "あいとら"), (r"時(?=は|に)(?<=ん時)", "とき"),
    (r"店の前", "みせの前"), (r"離れとく", "はなれとく"), (r"の者(?=[がはにでも])", "のもの"), (r"寒っ", "さむっ"),
    (r"歳かしら", "としかしら"), (r"塞いで", "ふさいで"), (r"物を", "ものを"), (r"人(?=いる|いた|が|に|の|を|は)", "ひと"),
))


def as_spoken(text: str) -> str:
    """The text in NFKC with kana where a person would read it otherwise than the dictionary does."""
    text = unicodedata.normalize("NFKC", text)
    for pattern, kana in _RULES:
        text = pattern.sub(kana, text)
    return text
