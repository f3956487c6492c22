"""A stop word stops; what only looks like one does not."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpai_agent.language import only_stop, stop_word

HERE = Path(__file__).parent


def lines(name):
    return [line for line in (HERE / name).read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]


STOPS = lines("stops.txt")
CONTROLS = [line.split("\t") for line in lines("controls.txt")]
VEHICLE = [line.split("\t") for line in lines("vehicle.txt")]
NEVER = [text for kind, text in CONTROLS if kind == "never"]


def test_the_lists_are_long_enough_and_say_nothing_twice():
    assert len(set(STOPS)) == len(STOPS) >= 120
    assert len({text for _, text in CONTROLS}) == len(CONTROLS) >= 120


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("text", STOPS)
def test_a_stop_stops_whether_the_robot_moves_or_not(text, moving):
    assert stop_word(text, moving)


@pytest.mark.parametrize("text", [text for _, text in CONTROLS])
def test_a_control_does_not_stop_a_robot_at_rest(text):
    assert not stop_word(text, moving=False)


@pytest.mark.parametrize("text", NEVER)
def test_what_is_no_stop_does_not_stop_a_moving_robot_either(text):
    assert not stop_word(text, moving=True)


@pytest.mark.parametrize("text", [text for kind, text in CONTROLS if kind == "rest"])
def test_a_stop_word_within_an_instruction_stops_a_moving_robot(text):
    assert stop_word(text, moving=True)
    assert not only_stop(text)


@pytest.mark.parametrize(("kind", "text"), VEHICLE)
def test_a_car_that_drives_is_told_where_to_stop_and_stops_at_a_cry(kind, text):
    assert stop_word(text, moving=True, vehicle=True) == (kind == "stop")


@pytest.mark.parametrize("text", STOPS)
def test_a_stop_stops_a_car_too(text):
    assert stop_word(text, moving=True, vehicle=True)


@pytest.mark.parametrize("text", ["", " ", "\0", "。。。", "\ud800", "a" * 10_000_000])
def test_nothing_readable_is_no_stop(text):
    assert not stop_word(text, moving=True)


def test_a_stop_repeated_for_pages_still_stops_and_costs_little():
    began = time.perf_counter()
    assert stop_word("止まれ！" * 1_000_000, moving=False)
    assert stop_word("あ" * 1500 + "止まれ" + "あ" * 10_000_000, moving=True)
    assert time.perf_counter() - began < 5.0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STOPS), st.sampled_from(["", "！", "、お願い", "ー", "😱", " \u200b", "ってば"]))
def test_marks_and_politeness_after_a_stop_change_nothing(text, tail):
    assert stop_word(text + tail, moving=True)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gets_an_answer(text):
    assert stop_word(text, moving=True) in (True, False)
    assert not stop_word(text, moving=False) or stop_word(text, moving=True)


# lists by a hand that had not seen the matcher's words
UNSEEN = HERE / "unseen"
UNSEEN_STOPS, UNSEEN_CONTROLS = lines(UNSEEN / "stops.txt"), lines(UNSEEN / "controls.txt")
UNSEEN_MOVING = lines(UNSEEN / "controls_moving.txt")


def test_the_unseen_lists_are_long_enough_and_say_nothing_twice():
    assert len(set(UNSEEN_STOPS)) == len(UNSEEN_STOPS) >= 380
    assert len(set(UNSEEN_CONTROLS)) == len(UNSEEN_CONTROLS) >= 270


@pytest.mark.parametrize("robot", ["at rest", "moving", "car at rest", "moving car"])
def test_every_stop_that_the_matchers_author_did_not_write_is_recalled(robot):
    moving, vehicle = "moving" in robot, "car" in robot
    assert [text for text in UNSEEN_STOPS if not stop_word(text, moving, vehicle=vehicle)] == []


@pytest.mark.parametrize("vehicle", [False, True])
def test_no_control_that_the_matchers_author_did_not_write_fires(vehicle):
    assert [text for text in UNSEEN_CONTROLS if stop_word(text, moving=False, vehicle=vehicle)] == []
    assert [text for text in UNSEEN_MOVING if stop_word(text, moving=True, vehicle=vehicle)] == []


@pytest.mark.parametrize("text", [
    "壁まで行って、止まって", "次の信号、止まってください", "コンビニ、止めて", "3メートル進んで、ストップ",
    "あの角を曲がったら、止まれ", "赤い箱でおりたい！とめて！",
    "奥に箱があるよ。そこで止まって", "青い箱の前、ストップして", "手前の台車の横に行き、止まって",
])
def test_an_instruction_that_ends_with_a_stop_is_no_cry(text):
    assert not stop_word(text, moving=False)
