"""The agent: what is said is planned, rehearsed, then driven; what is not understood is asked, and nothing moves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stage import (
    Decided,
    Finished,
    Grounded,
    Planned,
    Rehearsed,
    Replied,
    Stage,
    StepStarted,
    act,
    ask,
    move,
    seen_at,
    sure,
    to,
    turn,
)

from jpai_agent.agent import mind as mind_module
from jpai_agent.language import failure
from jpai_agent.twin.verdict import Verdict
from jpai_agent.vlm import VlmError

WAIT = {"skill": "wait", "duration_s": 1.0}
STOP, CONTINUE = {"skill": "stop"}, {"skill": "continue"}


def is_japanese(text: str) -> bool:
    return any("ぁ" <= char <= "ん" for char in text)


def verdicts(monkeypatch: pytest.MonkeyPatch, judge: Callable[[int, Verdict], Verdict]) -> None:
    """Let the n-th rehearsal's verdict be what `judge` makes of the true one."""
    truly, count = mind_module.rehearse, iter(range(1000))

    def rehearse(*args: Any, **options: Any) -> Verdict:
        return judge(next(count), truly(*args, **options))

    monkeypatch.setattr(mind_module, "rehearse", rehearse)


def failing(verdict: Verdict) -> Verdict:
    return replace(verdict, status="fail", reason="collision", pass_rate=0.0, failed_step=0)


# from words to motion

def test_what_is_said_is_planned_grounded_rehearsed_decided_and_driven_in_that_order() -> None:
    stage = Stage({"2メートル進んで": act(move(2.0))})
    stage.say("２メートル進んで")
    stage.until_idle()
    order = [name for name in stage.told() if name != "Heard"]
    assert order == ["Planned", "Grounded", "Rehearsed", "Decided", "Replied", "StepStarted", "Finished"]
    assert stage.endings == [(0, "done")]
    assert stage.pose[0] == pytest.approx(2.0, abs=0.06)
    assert stage.speed == (0.0, 0.0)


def test_nothing_moves_before_the_rehearsal_has_passed() -> None:
    stage = Stage({"進んで": act(move(1.0))})
    stage.say("進んで")
    while not stage.of(Rehearsed):
        assert not stage.has_moved
        stage.tick()
    assert stage.of(Rehearsed)[0].verdict.passed


def test_steps_are_told_as_they_begin_and_what_is_to_be_said_is_said() -> None:
    stage = Stage({"行って": act(move(0.5), {"skill": "say", "text": "荷物です"}, WAIT)})
    stage.say("行って")
    stage.until_idle()
    assert [e.step for e in stage.of(StepStarted)] == [0, 1, 2]
    assert stage.replies[1:] == ["荷物です"]


def test_a_point_in_the_frame_becomes_a_spot_in_the_yard() -> None:
    stage = Stage({"そこへ": act({"skill": "go_to", "target": seen_at(500, 700)})})
    stage.say("そこへ")
    stage.until_idle()
    target = stage.of(Grounded)[0].targets[0]
    # the point's ray from 0.9 m above the floor, pitched 12 degrees down, meets it here
    down = math.radians(12) + math.atan((0.7 - 0.5) * 480 / 320)
    assert target.kind == "floor"
    assert target.x_m == pytest.approx(0.9 / math.tan(down) + stage.robot.camera("front").position_m[0], abs=0.06)
    assert np.hypot(stage.pose[0] - target.x_m, stage.pose[1] - target.y_m) < 0.06


def test_the_model_is_told_what_runs_how_fast_and_what_was_said_before() -> None:
    stage = Stage({"事務所へ": act(to("office")), "もっと右": ask("incomplete")})
    stage.say("事務所へ", 4.0)
    stage.say("もっと右", 1.0)
    request = stage.model.requests[1]
    assert (request.running, request.robot) == ("go_to", "cart")
    assert request.speed_mps == pytest.approx(stage.robot.cruise_mps, rel=0.1)
    assert request.dialogue[-1].user == "事務所へ"
    assert json.loads(request.dialogue[-1].answer)["steps"][0]["target"] == {"place": "office"}
    assert request.places["office"][0] == "事務所"


# several turns

def test_a_question_leaves_the_running_plan_running() -> None:
    stage = Stage({"事務所へ": act(to("office")), "あれは": ask("ambiguous")})
    stage.say("事務所へ", 4.0)
    run = stage.agent.executor.run
    stage.say("あれは", 1.5)
    assert stage.decisions == [(0, "act", None), (1, "ask", "ambiguous")]
    assert stage.agent.executor.run is run
    assert stage.speed[0] > 0.5
    stage.until_idle()
    assert stage.pose[:2] == pytest.approx([11, 5], abs=0.1)


def test_a_refusal_leaves_the_running_plan_running() -> None:
    stage = Stage({"事務所へ": act(to("office")), "突っ込め": ask("unsafe", "refuse")})
    stage.say("事務所へ", 4.0)
    stage.say("突っ込め", 1.5)
    assert stage.decisions[1] == (1, "refuse", "unsafe")
    assert stage.speed[0] > 0.5


def test_a_new_plan_preempts_the_running_one_without_a_stop_between() -> None:
    stage = Stage({"事務所へ": act(to("office")), "やっぱり倉庫": act(to("storage"))})
    stage.say("事務所へ", 4.0)
    first = stage.agent.accepted_plan_id
    stage.say("やっぱり倉庫", 0.8)
    assert stage.speed[0] > 0.5
    stage.until_idle()
    assert stage.endings == [(1, "replaced"), (1, "done")]
    assert stage.agent.accepted_plan_id != first
    assert stage.pose[:2] == pytest.approx([11, -5], abs=0.1)


def test_an_instruction_overtakes_one_that_is_still_being_planned() -> None:
    stage = Stage({"事務所へ": act(to("office")), "1メートル進んで": act(move(1.0))})
    stage.say("事務所へ", 0.4)
    stage.say("1メートル進んで")
    stage.until_idle()
    assert stage.decisions == [(1, "act", None)]
    assert stage.pose == pytest.approx([1, 0, 0], abs=0.06)


def test_a_stop_word_brakes_at_once_and_asks_no_model() -> None:
    stage = Stage({"事務所へ": act(to("office"))})
    stage.say("事務所へ", 5.0)
    before = stage.speed[0]
    stage.say("止まれ！")
    stage.tick()
    assert stage.speed[0] < before
    stage.run(1.0)
    assert stage.speed == (0.0, 0.0)
    assert len(stage.model.requests) == 1
    assert stage.decisions[1] == (1, "act", None)
    assert [step.skill for step in stage.of(Decided)[1].plan.steps] == ["stop"]
    assert stage.endings == [(1, "stopped"), (1, "done")]
    assert stage.replies[-1] == failure("stopped")


def test_a_stop_word_drops_a_plan_that_is_being_made() -> None:
    stage = Stage({"事務所へ": act(to("office"))})
    stage.say("事務所へ", 0.7)
    stage.say("ストップ", 3.0)
    assert not stage.has_moved
    assert stage.agent.idle


def test_a_stop_word_within_an_instruction_stops_the_moving_robot_and_the_rest_is_planned() -> None:
    stage = Stage({"事務所へ": act(to("office")), "止まって、入口に行って": act(to("entrance"))})
    stage.say("事務所へ", 4.0)
    stage.say("止まって、入口に行って", 0.2)
    assert stage.agent.executor.run is None
    stage.until_idle()
    assert stage.pose[:2] == pytest.approx([0, -7.2], abs=0.1)


def test_continue_resumes_a_stopped_plan_at_its_step() -> None:
    stage = Stage({"倉庫へ行って待って": act(move(1.0), to("storage"), WAIT), "続けて": act(CONTINUE)})
    stage.say("倉庫へ行って待って", 5.0)
    assert stage.of(StepStarted)[-1].step == 1
    stage.say("止まれ", 1.0)
    begun = len(stage.of(StepStarted))
    stage.say("続けて")
    stage.until_idle()
    # the metre is not driven again
    assert len(stage.of(StepStarted)[begun:]) == 2
    assert stage.pose[:2] == pytest.approx([11, -5], abs=0.1)
    assert stage.endings[-1] == (2, "done")


def test_continue_with_nothing_to_continue_is_asked_about() -> None:
    stage = Stage({"続けて": act(CONTINUE)})
    stage.say("続けて")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "incomplete")]
    assert stage.replies == [failure("nothing_to_continue")]


def test_a_planned_stop_holds_and_what_was_left_can_be_taken_up() -> None:
    stage = Stage({"事務所へ": act(to("office")), "そこまで": act(STOP), "続けて": act(CONTINUE)})
    stage.say("事務所へ", 4.0)
    stage.say("そこまで", 2.0)
    assert stage.speed == (0.0, 0.0)
    stage.say("続けて")
    stage.until_idle()
    assert stage.pose[:2] == pytest.approx([11, 5], abs=0.1)


# speed

def test_a_change_of_speed_alone_goes_on_with_what_runs() -> None:
    stage = Stage({"事務所へ": act(to("office")), "半分の速さで": act({"skill": "set_speed", "factor": 0.5})})
    stage.say("事務所へ", 4.0)
    stage.say("半分の速さで", 3.0)
    assert stage.speed[0] == pytest.approx(0.5 * stage.robot.cruise_mps, abs=0.03)
    stage.until_idle()
    assert stage.pose[:2] == pytest.approx([11, 5], abs=0.1)


def test_a_change_of_speed_holds_for_the_plans_after_it() -> None:
    slowly = {"skill": "set_speed", "speed": 0.4}
    stage = Stage({"ゆっくり": act(slowly), "3メートル進んで": act(move(3.0))})
    stage.say("ゆっくり")
    stage.until_idle()
    assert not stage.has_moved
    stage.say("3メートル進んで", 4.0)
    assert stage.speed[0] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("running", [False, True])
def test_more_than_the_speed_limit_is_refused_as_not_permitted(running: bool) -> None:
    stage = Stage({"事務所へ": act(to("office")), "もっと飛ばせ": act({"skill": "set_speed", "speed": 3.0})})
    if running:
        stage.say("事務所へ", 4.0)
    stage.say("もっと飛ばせ", 2.0)
    assert stage.decisions[-1][1:] == ("refuse", "not_permitted")
    assert is_japanese(stage.replies[-1])
    assert stage.speed[0] == pytest.approx(stage.robot.cruise_mps if running else 0.0, abs=0.05)


# looking

LATER = act(turn(90.0), {"skill": "go_to", "target": {"label": "青い箱"}})


def look_answer(x: int = 500, y: int = 700) -> dict[str, Any]:
    return act({"skill": "face", "target": seen_at(x, y, "青い箱")})


def test_a_label_alone_is_pointed_out_in_the_frame_of_its_step_and_rehearsed_then() -> None:
    stage = Stage({"左の青い箱へ": LATER, "青い箱の方を向いて": look_answer()})
    stage.say("左の青い箱へ")
    stage.until_idle()
    assert len(stage.of(Rehearsed)) == 2
    assert stage.endings == [(0, "done")]
    # seen straight ahead after the turn to the left
    assert stage.pose[1] > 1.0
    assert abs(stage.pose[0]) < 0.1


def test_between_its_parts_the_robot_stands() -> None:
    stage = Stage({"左の青い箱へ": LATER, "青い箱の方を向いて": look_answer()})
    stage.say("左の青い箱へ")
    while len(stage.model.requests) < 2:
        stage.tick()
    while len(stage.of(Rehearsed)) < 2:
        assert abs(stage.speed[0]) < 0.02
        stage.tick()


@pytest.mark.parametrize("answer", [ask("not_found"), act(move(1.0)), "no plan", VlmError("model_timeout", "late")])
def test_a_label_that_is_not_found_then_is_asked_about(answer: Any) -> None:
    stage = Stage({"左の青い箱へ": LATER, "青い箱の方を向いて": answer})
    stage.say("左の青い箱へ")
    stage.until_idle()
    assert stage.endings == [(0, "failed")]
    assert stage.of(Finished)[0].reason == "not_found"
    assert stage.replies[-1] == failure("not_found", "青い箱")
    assert np.abs(stage.pose[:2]).max() < 0.05


def test_look_for_turns_until_the_model_sees_it_and_faces_it() -> None:
    answers: list[Any] = [ask("not_found"), ask("not_found"), look_answer()]
    stage = Stage({"青い箱を探して": act({"skill": "look_for", "label": "青い箱"}), "青い箱の方を向いて": answers})
    stage.say("青い箱を探して")
    stage.until_idle(90.0)
    assert stage.endings == [(0, "done")]
    assert math.degrees(stage.pose[2]) == pytest.approx(90, abs=8)


def test_look_for_gives_up_after_a_whole_turn_and_asks() -> None:
    look = act({"skill": "look_for", "label": "青い箱"})
    stage = Stage({"青い箱を探して": look, "青い箱の方を向いて": ask("not_found")})
    stage.say("青い箱を探して")
    stage.until_idle(90.0)
    assert stage.endings == [(0, "failed")]
    assert stage.replies[-1] == failure("not_found", "青い箱")


# rehearsals that fail

def test_a_rehearsal_that_fails_three_times_is_refused_in_japanese_and_nothing_moves(
        monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, lambda n, verdict: failing(verdict))
    stage = Stage({"事務所へ": act(to("office"))})
    stage.say("事務所へ")
    stage.until_idle()
    stage.run(2.0)
    assert len(stage.model.requests) == len(stage.of(Rehearsed)) == 3
    assert stage.decisions == [(0, "refuse", "unsafe")]
    assert is_japanese(stage.replies[0])
    assert stage.replies[0] == failure("collision")
    assert not stage.has_moved
    assert stage.agent.accepted_plan_id == ""


def test_a_rehearsal_that_fails_goes_back_for_another_plan() -> None:
    # ten metres ahead is within the yard, twelve is not
    stage = Stage({"ずっと前へ": [act(move(10.0), move(2.0)), act(move(3.0))]})
    stage.say("ずっと前へ")
    stage.until_idle()
    assert len(stage.of(Planned)) == 2
    assert stage.decisions == [(0, "act", None)]
    assert stage.pose[0] == pytest.approx(3.0, abs=0.06)


def test_a_void_rehearsal_never_moves_the_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, lambda n, verdict: replace(verdict, status="invalid", reason="diverged"))
    stage = Stage({"進んで": act(move(1.0))})
    stage.say("進んで")
    stage.until_idle()
    assert stage.decisions == [(0, "refuse", "unsafe")]
    assert not stage.has_moved


def test_a_verdict_that_came_too_late_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, lambda n, verdict: replace(verdict, made_at_s=verdict.made_at_s - 31.0))
    stage = Stage({"進んで": act(move(1.0))})
    stage.say("進んで")
    stage.until_idle()
    assert stage.decisions == [(0, "refuse", "unsafe")]
    assert is_japanese(stage.replies[0])
    assert not stage.has_moved


def test_a_second_plan_that_fails_leaves_the_first_running(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, lambda n, verdict: failing(verdict) if n else verdict)
    stage = Stage({"事務所へ": act(to("office")), "倉庫へ": act(to("storage"))})
    stage.say("事務所へ", 4.0)
    stage.say("倉庫へ", 4.0)
    assert stage.decisions[1] == (1, "refuse", "unsafe")
    assert stage.speed[0] > 0.5


# bad input

GO = '{"decision":"act","steps":[%s],"reason":null}'
BROKEN = {
    "empty": "", "truncated": GO[:30], "fenced": "```json\n" + GO % '{"skill":"stop"}' + "\n```", "prose": "はい、行きます。",
    "list": "[]", "null": "null", "duplicate key": '{"decision":"act","decision":"ask","steps":[],"reason":null}',
    "NaN": GO % '{"skill":"move","distance_m":NaN}', "infinity": GO % '{"skill":"move","distance_m":1e999}',
    "over-long": GO % ",".join(['{"skill":"wait","duration_s":1.0}'] * 400), "too deep": "[" * 200 + "]" * 200,
    "too many steps": GO % ",".join(['{"skill":"stop"}'] * 30), "no steps": GO % "",
    "unknown skill": GO % '{"skill":"fly"}', "unknown argument": GO % '{"skill":"move","distance_m":1.0,"speed":9}',
    "missing argument": GO % '{"skill":"move"}', "text for a number": GO % '{"skill":"move","distance_m":"1"}',
    "out of range": GO % '{"skill":"move","distance_m":5000.0}', "zero": GO % '{"skill":"move","distance_m":0.0}',
    "unknown place": GO % '{"skill":"go_to","target":{"place":"moon"}}',
    "unknown camera": GO % '{"skill":"go_to","target":{"camera":"rear","point":[1,1]}}',
    "point outside": GO % '{"skill":"go_to","target":{"camera":"front","point":[500,1500]}}',
    "point of floats": GO % '{"skill":"go_to","target":{"camera":"front","point":[0.5,0.5]}}',
    "nothing as target": GO % '{"skill":"go_to","target":{}}', "unknown decision": GO.replace("act", "run") % "",
    "unknown key": '{"decision":"act","steps":[{"skill":"stop"}],"reason":null,"note":1}',
    "a question with steps": '{"decision":"ask","steps":[{"skill":"move","distance_m":1.0}],"reason":"unsafe"}',
    "a reason that is none": '{"decision":"refuse","steps":[],"reason":"tired"}',
    "trailing words": GO % '{"skill":"stop"}' + " 以上です", "two plans": (GO % '{"skill":"stop"}') * 2,
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_plan_becomes_a_question_and_nothing_moves(text: str) -> None:
    stage = Stage({"行って": text})
    stage.say("行って")
    stage.until_idle()
    stage.run(0.5)
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure("plan_error")]
    assert stage.of(Planned)[0].plan is None
    assert stage.of(Planned)[0].raw_text == text
    assert stage.of(Planned)[0].error
    assert not stage.has_moved


NOT_HEARD = {"empty": "", "blank": " \t　\n", "10 MB": "進んで" * 3_500_000, "control characters": "\x00\x07\x1b\x7f",
             "invisible": "\u200b\u202e\ufeff", "punctuation": "…？！", "no text": None, "bytes": b"\xff\xfe"}


@pytest.mark.parametrize("text", NOT_HEARD.values(), ids=NOT_HEARD)
def test_what_cannot_be_an_instruction_is_asked_again_without_the_model(text: Any) -> None:
    stage = Stage({})
    stage.run(0.3)
    stage.say(text, 1.5)
    assert stage.agent.idle
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert is_japanese(stage.replies[0])
    assert stage.model.requests == []
    assert not stage.has_moved


@pytest.mark.parametrize("text", ["go to the red box please", "ほげほげぴよ", "1234", "🚀🚀go", "a" * 400, "進\x00んで\u200b"])
def test_english_and_nonsense_reach_the_model_clean_and_its_question_is_asked(text: str) -> None:
    from jpai_agent.language import normalise

    words = normalise(text).text
    stage = Stage({words: ask("not_understood")})
    stage.say(text)
    stage.until_idle()
    assert stage.model.requests[0].instruction == words
    assert all(char.isprintable() for char in words)
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert is_japanese(stage.replies[0])
    assert not stage.has_moved


@pytest.mark.parametrize("text", ["", "あ" * 10_000])
def test_noise_loses_neither_what_runs_nor_what_is_being_planned(text: str) -> None:
    stage = Stage({"事務所へ": act(to("office"))})
    stage.say("事務所へ", 0.4)
    stage.say(text)
    stage.until_moving()
    assert stage.decisions == [(1, "ask", "not_understood"), (0, "act", None)]
    stage.say(text, 2.0)
    assert stage.speed[0] > 0.5
    stage.until_idle()
    assert stage.endings[-1] == (0, "done")


@pytest.mark.parametrize("code", ["model_missing", "model_altered", "model_unavailable", "model_timeout", "model_busy"])
def test_a_model_that_fails_is_apologised_for_in_japanese(code: str) -> None:
    error = VlmError(code, "broken pipe")
    stage = Stage({"行って": [error, act(move(1.0))]})
    stage.say("行って")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [error.reply]
    assert is_japanese(error.reply)
    assert stage.of(Planned)[0].error == "broken pipe"
    assert not stage.has_moved
    # and the next one is taken as if nothing had been
    stage.say("行って")
    stage.until_idle()
    assert stage.pose[0] == pytest.approx(1.0, abs=0.06)


def test_a_backend_that_breaks_is_answered_for_in_japanese_and_the_next_instruction_is_taken() -> None:
    stage = Stage({"行って": [RuntimeError("out of memory"), act(move(1.0))]})
    stage.say("行って")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure("model_unavailable")]
    assert stage.of(Planned)[0].error == "RuntimeError: out of memory"
    stage.say("行って")
    stage.until_idle()
    assert stage.decisions[-1] == (1, "act", None)


FRAMES = {"image_black": np.zeros((480, 640, 3), np.uint8), "image_size": np.full((16, 16, 3), 9, np.uint8),
          "image_encoding": np.zeros((480, 640), np.float32)}


@pytest.mark.parametrize(("code", "rgb"), FRAMES.items(), ids=FRAMES)
def test_a_frame_that_shows_nothing_is_told_and_nothing_moves(code: str, rgb: np.ndarray) -> None:
    stage = Stage({"行って": act(move(1.0))}, rgb=rgb)
    stage.say("行って")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure(code)]
    assert not stage.has_moved


def test_without_depth_a_point_cannot_be_found_and_it_says_so() -> None:
    stage = Stage({"そこへ": act({"skill": "go_to", "target": seen_at(500, 700, "箱")})}, depth=False, attempts=1)
    stage.say("そこへ")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_found")]
    assert stage.replies == [failure("no_depth", "箱")]
    assert not stage.has_moved


def test_a_point_at_the_sky_is_asked_about() -> None:
    stage = Stage({"そこへ": act({"skill": "go_to", "target": seen_at(500, 5, "箱")})})
    stage.say("そこへ")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_found")]
    assert stage.replies == [failure("not_found", "箱")]
    assert not stage.has_moved


def test_without_a_localiser_it_says_so_and_stays() -> None:
    stage = Stage({"行って": act(move(1.0))}, localiser=False)
    stage.say("行って")
    stage.until_idle()
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure("sensors_stale")]
    assert not stage.has_moved


def test_every_reply_of_a_session_is_japanese() -> None:
    stage = Stage({"事務所へ": act(to("office")), "あれ": ask("ambiguous"), "突っ込め": ask("unsafe", "refuse")})
    for words in ("事務所へ", "あれ", "", "突っ込め", "止まれ"):
        stage.say(words, 1.5)
    assert len(stage.of(Replied)) == 5
    assert all(map(is_japanese, stage.replies))


# a plan that the model is not sure of

@pytest.mark.parametrize("confidence", [None, "threshold", 1.0])
def test_a_plan_that_is_sure_enough_or_of_unknown_certainty_is_carried_out(confidence: Any) -> None:
    stage = Stage({"前へ": ""})
    needed = stage.robot.act_confidence
    assert 0 < needed < 1
    told = needed if confidence == "threshold" else confidence
    stage.model.answers["前へ"] = [sure(act(move(1.0)), told)]
    stage.say("前へ")
    stage.until_idle()
    assert stage.endings == [(0, "done")]
    assert stage.of(Planned)[0].confidence == told


def test_a_plan_that_is_nearly_sure_is_read_back_and_not_carried_out() -> None:
    stage = Stage({"前へ": ""})
    stage.model.answers["前へ"] = [sure(act(move(1.0)), 0.9 * stage.robot.act_confidence)]
    stage.say("前へ", then_s=2.0)
    assert not stage.has_moved
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure("unsure", "1メートル前に進みます")]


def test_what_was_read_back_is_carried_out_when_the_answer_comes_to_the_same() -> None:
    stage = Stage({"前へ": "", "はい": ""})
    unsure = 0.9 * stage.robot.act_confidence
    stage.model.answers |= {"前へ": [sure(act(move(1.0)), unsure)], "はい": [sure(act(move(1.0)), unsure)]}
    stage.say("前へ", then_s=1.0)
    stage.say("はい")
    stage.until_idle()
    assert stage.endings[-1] == (1, "done")


def test_an_answer_that_comes_to_something_else_is_read_back_anew_and_so_is_the_same_plan_later() -> None:
    stage = Stage({"前へ": "", "後ろ": "", "あれ": ask("incomplete")})
    unsure = 0.9 * stage.robot.act_confidence
    stage.model.answers |= {"前へ": [sure(act(move(1.0)), unsure)], "後ろ": [sure(act(move(-1.0)), unsure)]}
    for words in ("前へ", "後ろ", "あれ", "後ろ"):
        stage.say(words, then_s=1.0)
    assert not stage.has_moved
    assert [decision[1] for decision in stage.decisions] == ["ask"] * 4


def test_what_is_far_from_sure_was_not_understood() -> None:
    stage = Stage({"いい天気だね": sure(act(move(1.0)), 0.001)})
    stage.say("いい天気だね", then_s=2.0)
    assert not stage.has_moved
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert is_japanese(stage.replies[0]) and "進みます" not in stage.replies[0]


def test_a_stop_is_carried_out_however_unsure_and_a_question_is_asked_however_unsure() -> None:
    stage = Stage({"2メートル進んで": act(move(2.0)), "もうその辺で": sure(act(STOP), 0.0), "あれ": sure(ask("incomplete"), 0.0)})
    stage.say("2メートル進んで")
    stage.until_moving()
    stage.say("もうその辺で", then_s=3.0)
    assert stage.speed == (0.0, 0.0)
    stage.say("あれ", then_s=1.0)
    assert stage.decisions == [(0, "act", None), (1, "act", None), (2, "ask", "incomplete")]
