"""Japanese text in pictures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpai_agent.language.replies import FAILURES
from jpai_agent.record import captions, words
from jpai_agent.record.text import MISSING, fit, has_glyph, printable, shorten, width_px, wrap

SAID = "赤い箱の手前まで行って、3秒待ってから充電ステーションに戻って"


def test_the_font_has_every_letter_that_the_robot_and_the_pictures_use() -> None:
    texts = [*FAILURES.values(), *captions.STATES, *words.FINDINGS.values(), *words.REASONS.values(), SAID]
    texts += [MISSING, "「」…—・①髙﨑ｶﾀｶﾅ", "m/s 0123456789"]
    assert [c for text in texts for c in text if not has_glyph(c)] == []


def test_letters_that_the_font_lacks_are_shown_as_a_geta_mark_and_invisible_ones_not_at_all() -> None:
    assert printable("箱😀へ\n行って\u200b\x07") == f"箱{MISSING}へ 行って{MISSING}"


def test_a_line_breaks_after_a_pause_rather_than_within_a_word() -> None:
    first, second = wrap(SAID, 30, width_px("赤い箱の手前まで行って、3秒", 30) + 2, 2)
    assert first.endswith("、")
    assert second.startswith("3秒")


@pytest.mark.parametrize("room", range(60, 400, 17))
def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(room: int) -> None:
    lines = wrap("「待って」（三回）と言われたら、ちゃんと「止まって」、ロッカーへ。", 20, room, 40)
    assert not any(line[0] in "」）、。ゃっー" for line in lines[1:])
    assert not any(line[-1] in "「（" for line in lines)


@given(text=st.text(max_size=80), room=st.integers(30, 600), lines=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_no_text_is_wider_than_its_room(text: str, room: int, lines: int) -> None:
    broken = wrap(text, 20, room, lines)
    assert len(broken) <= lines
    assert all(width_px(line, 20) <= room for line in broken)


def test_a_text_that_is_too_long_ends_in_an_ellipsis() -> None:
    short = shorten(SAID, 20, 200)
    assert short.endswith("…")
    assert width_px(short, 20) <= 200


def test_a_text_of_ten_megabytes_is_cut_before_it_costs_time() -> None:
    assert len(printable("箱" * 10_000_000)) == 400


def test_the_largest_size_is_taken_at_which_the_whole_text_fits() -> None:
    assert fit("短い", ((30, 1), (20, 2)), 300)[0] == 30
    size, lines = fit(SAID, ((30, 1), (20, 2)), 400)
    assert (size, "".join(lines)) == (20, SAID)
    assert fit(SAID * 9, ((30, 1), (20, 2)), 400)[1][-1].endswith("…")
