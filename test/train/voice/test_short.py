"""Stop words and answers as they are said by themselves, and how they are spelt."""

from __future__ import annotations

from random import Random

import pytest

from jpai_agent.language import only_no, only_stop
from jpai_agent.train.voice.sentences import writable
from jpai_agent.train.voice.short import short_sentences, spelt


@pytest.mark.parametrize(("said", "wanted"), [
    ("とまれーーっ！", "止まれ"), ("とまってくださーい、とまって", "止まってください、止まって"), ("まってー", "待って"),
    ("ストッープ", "ストップ"), ("あぶないっ。", "危ない"), ("うごかないで", "動かないで"), ("おまちください", "お待ちください"),
    ("急ブレーキ！", "急ブレーキ"), ("ちがいます", "違います"), ("３秒", "三秒"), ("そう、それ", "そう、それ")])
def test_each_has_one_spelling(said, wanted):
    assert spelt(said) == wanted


def test_what_is_written_means_what_was_said():
    found = short_sentences(2000, Random(1))
    assert 1900 <= len(found) <= 2000
    assert all(writable(one.written) for one in found)
    assert all(only_stop(one.written) for one in found if one.author == "stop")
    assert all(only_no(one.written) == only_no(one.said) for one in found if one.author == "answer")
    assert {"はい", "いいえ", "違う"} <= {one.written for one in found}
