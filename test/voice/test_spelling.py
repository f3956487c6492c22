"""The recogniser's spelling, and back to how the model reads numbers."""

from __future__ import annotations

import pytest

from jpai_agent.voice.spelling import as_read, spelled, spoken_number


@pytest.mark.parametrize(("text", "wanted"), [
    ("120秒待って！", "百二十秒待って"), ("1.5m下がって", "一点五メートル下がって"), ("0.5m/sにして", "零点五メートル毎秒にして"),
    ("５０ｃｍ前", "五十センチ前"), ("1番バースへ", "1番バースへ"), ("3番バースへ", "三番バースへ"), ("一番右の箱", "一番右の箱"),
    ("止まれ。行け？", "止まれ、行け"), ("二つ目の角を「右」", "二つ目の角を右"),
    ("1メートル半", "一メートル半"), ("2、3秒", "二、三秒"),
    ("uターン", "Uターン"),
])
def test_one_spelling(text, wanted):
    assert spelled(text) == wanted
    assert spelled(wanted) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    ("百二十秒待って", "120秒待って"), ("一点五メートル下がって", "1.5メートル下がって"), ("一メートル半", "1.5メートル"),
    ("零点五メートル毎秒にして", "0.5メートル毎秒にして"), ("一番右の箱", "一番右の箱"), ("1番バースへ", "1番バースへ"),
])
def test_numbers_are_digits_again_for_the_model(text, wanted):
    assert as_read(text) == wanted


def test_numbers_as_they_are_spoken():
    assert [spoken_number(n) for n in ("0", "1", "10", "11", "25", "100", "110", "305", "1000", "9999", "0.5", "10000")] == [
        "零", "一", "十", "十一", "二十五", "百", "百十", "三百五", "千", "九千九百九十九", "零点五", "10000"]
