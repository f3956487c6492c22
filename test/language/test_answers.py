"""A no is heard however it is said, and nothing that is a yes, or says more, is taken for one."""

from __future__ import annotations

import pytest

from jpai_agent.language.answers import only_no


@pytest.mark.parametrize("text", [
    "いいえ", "いいえ。", "いや、違う", "違います", "ちがう！", "チガウ", "ううん", "いやいや、違うって", "だめです", "駄目",
    "そうじゃなくて", "キャンセル", "あ、ごめん、違う", "もういいです", "やっぱりいい", "No", "いいえ、違います",
    "えーと、やめとく",
])
def test_a_no_is_one(text: str) -> None:
    assert only_no(text)


@pytest.mark.parametrize("text", [
    "", "はい", "うん", "うん、いいよ", "いいです", "それでいい", "結構です", "大丈夫です", "そう", "お願いします", "違う、青",
    "いいえ、青い箱", "違うの赤いほう", "止まれ", "だめなら戻って", "いいえと言って", "やめた方の箱",
])
def test_a_yes_or_what_says_more_is_none(text: str) -> None:
    assert not only_no(text)
