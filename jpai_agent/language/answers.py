"""Hear a no in raw text: the answer after which what was read back is not done, whatever a model makes of it.

A no can only keep the robot from acting. What is said besides it (違う、青) is planned like anything else.
"""

from __future__ import annotations

import re
import unicodedata

# as they are said, one after the other
NO = """
    いいえ いえ いや いやいや ううん 違う ちがう 違うよ ちがうよ 違うって 違うの 違うなあ 違います ちがいます 違いますよ
    違うんです 違った そうじゃない そうじゃないよ そうじゃなくて そうじゃありません そうではありません そうではなくて じゃない
    じゃなくて それじゃない それじゃなくて それではない それではなくて それではありません
    間違い 間違いです まちがい 間違ってる 間違えた
    だめ 駄目 だめだよ だめです 駄目です よくない よくないです よろしくない よろしくないです よろしくありません ノー no nope
    やめ やめた やめとく やめとこう やめておく やめておこう やめておいて やめといて やめましょう なし なしで なしです
    キャンセル キャンセルで キャンセルです キャンセルして キャンセルしてください 取り消し 取り消して 取り消してください 取消
    言ってない 言ってません 頼んでない 頼んでません いらない いりません もういい もういいです やっぱりいい やっぱりいいです
    もう結構です もう大丈夫です 行かないで 行かなくていい しないで しなくていい しなくていいです
"""
# what may stand around it
_WITH = """
    あ あっ え えっ あの えっと えーと ごめん ごめんね ごめんなさい すみません すいません ちょっと もう やっぱり やっぱ ロボット
    それ それは
"""


def _plain(text: str) -> str:
    """Width, kana and case as one; marks, spaces and long vowel marks dropped. ううん stays apart from うん."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in text)
    return re.sub(r"[\s\W_ー〜]+", "", text)


def _alternatives(words: str) -> str:
    return "|".join(map(re.escape, sorted({_plain(word) for word in words.split()}, key=len, reverse=True)))


_ONLY_NO = re.compile(f"(?:{_alternatives(_WITH)})*(?:{_alternatives(NO)})(?:{_alternatives(_WITH + NO)})*")


def only_no(text: str) -> bool:
    """True when a no to what was just asked is all that is said."""
    return _ONLY_NO.fullmatch(_plain(text)) is not None
