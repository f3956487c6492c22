"""Numerals in kanji."""

from __future__ import annotations

import pytest

from jpai_agent.language.numbers import kanji_number, kanji_to_int


@pytest.mark.parametrize(("value", "words"), [(1, "一"), (10, "十"), (25, "二十五"), (180, "百八十"), (300, "三百"), (1000, "千"),
                                              (9999, "九千九百九十九")])
def test_numbers_in_kanji(value, words):
    assert kanji_number(value) == words


def test_every_one_is_read_as_it_was_written():
    assert [kanji_to_int(kanji_number(value)) for value in range(1, 10_000)] == list(range(1, 10_000))


@pytest.mark.parametrize("value", [0, 10_000])
def test_kanji_numbers_end_where_they_are_known_to(value):
    with pytest.raises(ValueError, match=f"{value} is not in 1"):
        kanji_number(value)
