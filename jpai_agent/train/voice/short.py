"""Short things that are said to a robot by themselves: stop words, and answers to its questions. No corpus of orders has enough.

All is spelt as the recogniser shall write it: stop words in kanji and not drawn out, however they are called.
"""

from __future__ import annotations

import re
from random import Random

from jpai_agent.language import answers
from jpai_agent.train import lexicon
from jpai_agent.train.voice.sentences import Sentence, writable, written
from jpai_agent.train.voice.spotting_words import stops

_YES = """
    はい うん ええ はいはい うんうん そう そうです そうだよ そうそう そう、それ そうそれ はい、そうです うん、そう それで
    それでいい それでいいよ それでお願い それでお願いします お願い お願いね お願いします よろしく よろしくお願いします
    いいよ いいです いいですよ いいね オッケー オーケー 大丈夫 大丈夫です 合ってる 合ってるよ 合ってます 正解 その通り
    その通りです もちろん やって やってください 行って 行っていいよ いいから行って どうぞ はい、どうぞ はい、お願いします
    うん、お願い うん、いいよ はい、それで ええ、お願いします ええ、そうです はい、大丈夫です うん、合ってる せや せやで
    ほんま頼むわ ほな頼むわ よかよ んだ んだんだ
"""
_WHICH = """
    右 左 右の 左の 右のほう 左のほう 右のやつ 左のやつ 手前 奥 手前の 奥の 手前のやつ 奥のやつ 真ん中 真ん中の 大きいほう
    小さいほう 大きいの 小さいの 近いほう 遠いほう 近いやつ こっち そっち あっち こっちの そっちじゃない それ これ あれ
    一番右 一番左 一番手前 一つ目 二つ目 三つ目 一番目 二番目 三番目 両方 どっちでもいい どれでもいいよ
"""
_AFTER_COLOR = ("", "のほう", "のやつ", "の", "のです", "のほうで", "のほうお願い")
_AMOUNT_ENDS = ("", "です", "で", "でお願い", "くらい", "だけ")
_DRAWN = re.compile(r"(?<=[ぁ-ん一-鿿プ])[ーっ]+(?=$|、)|(?<=[ぁ-ん一-鿿])ー+")
_NOT_HERE = re.compile("[a-z]|びょう")
_KANJI = tuple((re.compile(called), kanji) for called, kanji in (
    (r"スト[ーッ]+プー?", "ストップ"), ("とま(?=[れりん])", "止ま"), ("とめ", "止め"), ("おまち", "お待ち"),
    (r"(?<![止と])まって", "待って"), ("まて", "待て"), ("あぶ(?=[なね])", "危"), ("うご(?=[くか])", "動"), ("まちが", "間違"),
    ("ちが(?=[うい])", "違"), ("駄目", "だめ")))


def spelt(text: str) -> str:
    """As the recogniser writes it: とまれーっ → 止まれ."""
    text = _DRAWN.sub("", written(text))
    for called, kanji in _KANJI:
        text = called.sub(kanji, text)
    return text


def short_sentences(count: int, r: Random) -> list[Sentence]:
    """About so many: half stops, half answers."""
    found = [Sentence(one.said, spelt(one.said), "stop") for one in stops(r, count // 2)]
    said = [*_YES.split(), *answers.NO.split(), *_WHICH.split()]
    while len(found) < count:
        which = r.random()
        if which < 0.75:
            text = r.choice(said)
        elif which < 0.9:
            color = lexicon.draw(r.choice(list(lexicon.COLOR_WORDS.values())), r)
            text = color.removesuffix("の") + r.choice(_AFTER_COLOR)
        else:
            text = lexicon.duration("", r)[0] + r.choice(_AMOUNT_ENDS)
        found.append(Sentence(text, spelt(text), "answer"))
    return [one for one in found if writable(one.written) and not _NOT_HERE.search(one.said)]
