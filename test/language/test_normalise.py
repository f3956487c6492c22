"""Instructions are cleaned without changing what they mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpai_agent.language import MAX_CHARS, InstructionError, normalise
from jpai_agent.language.numbers import kanji_to_int, say_angle, say_distance, say_duration


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("赤い箱まで行って", "赤い箱まで行って"),
        ("ｽﾄｯﾌﾟｳｫｯﾁ", "ストップウォッチ"),
        ("２メートル", "2メートル"),
        ("５０㎝", "50cm"),
        ("赤い\u200b箱\u202eへ", "赤い箱へ"),
        ("a\x00b\x07c", "abc"),
        ("赤い\n箱\tへ　行って ", "赤い 箱 へ 行って"),
        ("Ａの箱", "Aの箱"),
        ("㍍", "メートル"),
        ("か\u3099ん", "がん"),
    ],
)
def test_width_and_invisible_characters_are_brought_to_one_form(original, text):
    utterance = normalise(original)
    assert (utterance.original, utterance.text) == (original, text)


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("二メートル進んで", "2メートル進んで"),
        ("十秒待って", "10秒待って"),
        ("四十五度右", "45度右"),
        ("一点五メートル", "1.5メートル"),
        ("1メートル半", "1.5メートル"),
        ("百二十センチ", "120センチ"),
        ("左から二番目", "左から2番目"),
        ("二つ目の箱", "2つ目の箱"),
        ("三番バース", "3番バース"),
        ("三台の台車", "3台の台車"),
        ("十分待って", "10分待って"),
        ("千メートル", "1000メートル"),
    ],
)
def test_numerals_beside_counters_become_digits(original, text):
    assert normalise(original).text == text


@pytest.mark.parametrize(
    "text",
    [
        "2~3秒待って",
        "2〜3秒待って",
        "2、3個",
        "二三秒",
        "一緒に行って",
        "一番右の箱",
        "一番目の箱",
        "一度戻って",
        "二度と行くな",
        "十分に注意して",
        "三角コーン",
        "第一倉庫",
        "十字路",
        "一つ先の箱",
        "一旦戻って",
        "二人のところ",
        "三分の一の速さ",
        "一本道",
        "2,3個",
    ],
)
def test_what_may_be_a_word_or_a_range_stays(text):
    assert normalise(text).text == text


def test_a_kanji_range_stays_a_range():
    assert normalise("二、三秒待って").text == "2、3秒待って"
    assert normalise("二〜三秒待って").text == "2〜3秒待って"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "empty"),
        (" 　\n", "empty"),
        ("\u200b\u202e", "empty"),
        ("。。。！？", "empty"),
        ("😱", "empty"),
        ("あ" * (MAX_CHARS + 1), "too_long"),
        ("a" * 10_000_000, "too_long"),
        ("\ufdfa" * 400, "too_long"),
        (None, "wrong_type"),
        (b"go", "wrong_type"),
    ],
)
def test_what_cannot_be_taken_is_an_error_that_can_be_said(value, code):
    with pytest.raises(InstructionError) as caught:
        normalise(value)
    assert caught.value.reason_code == code
    assert caught.value.reply.endswith(("。", "？"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(text):
    try:
        once = normalise(text).text
    except InstructionError:
        return
    assert normalise(once).text == once


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("十", 10), ("二十", 20), ("百五", 105), ("千二百三十四", 1234), ("〇", 0), ("二三", None), ("", None)],
)
def test_kanji_numerals_are_read(numeral, value):
    assert kanji_to_int(numeral) == value


def test_quantities_are_said_as_people_say_them():
    assert [say_distance(m) for m in (0.5, -0.3, 1.0, 1.5, 12.25)] == [
        "50センチ",
        "30センチ",
        "1メートル",
        "1.5メートル",
        "12.25メートル",
    ]
    assert [say_duration(s) for s in (3.0, 2.5, 60, 90, 3661)] == ["3秒", "2.5秒", "1分", "1分30秒", "1時間1分1秒"]
    assert say_angle(-90.0) == "90度"
