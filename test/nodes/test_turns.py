"""Every event finds the instruction that it belongs to, and every instruction ends once, with the words that came with it."""

from __future__ import annotations

import pytest

from jpai_agent.agent.events import Decided, Event, Finished, Planned, Replied, StepStarted
from jpai_agent.nodes.turns import Turn, Turns
from jpai_agent.plan import ActionPlan, Step
from jpai_msgs.msg import ErrorCode

MOVE = ActionPlan("act", (Step("move", {"distance_m": 1.0}),))
STOP = ActionPlan("act", (Step("stop"),))
ASK = ActionPlan("ask", reason="incomplete", reply="どれですか？")


class Desk:
    """Turns as they are heard, and those that have ended."""

    def __init__(self) -> None:
        self.turns = Turns(lambda: ErrorCode.MODEL_TIMEOUT, lambda: "model")
        self.over: list[Turn] = []

    def say(self, text: str) -> Turn:
        turn = Turn(text, ended=self.over.append)
        self.turns.begin(turn)
        return turn

    def happen(self, *events: Event) -> None:
        for event in events:
            self.turns.take(event)
        self.turns.settle()

    def start(self, text: str) -> Turn:
        turn = self.say(text)
        self.happen(Planned(0.0, 0, None, MOVE, "", 1.0), Decided(0.0, 0, "act", None, MOVE), StepStarted(0.0, 0, 0))
        return turn


def test_an_instruction_that_is_done_succeeds_with_its_plan_and_reply():
    desk = Desk()
    turn = desk.start("進んで")
    desk.happen(Replied(1.0, 0, "進みます。"), Finished(2.0, 0, "done"))
    assert desk.over == [turn]
    assert (turn.code, turn.reply, turn.plan.json) == (ErrorCode.NONE, "進みます。", MOVE.to_json())


def test_a_question_ends_its_own_instruction_and_not_the_one_that_runs():
    desk = Desk()
    running, asking = desk.start("進んで"), desk.say("あれ")
    desk.happen(Planned(1.0, 1, None, ASK, "", 1.0), Decided(1.0, 1, "ask", "incomplete", ASK), Replied(1.0, 1, "どれですか？"),
                Finished(1.0, 1, "answered"))
    assert desk.over == [asking]
    assert asking.code == ErrorCode.ASKED
    desk.happen(Finished(2.0, 1, "done"))
    assert desk.over == [asking, running]
    assert running.code == ErrorCode.NONE


def test_an_accepted_plan_preempts_the_one_that_runs():
    desk = Desk()
    first, second = desk.start("進んで"), desk.say("戻って")
    desk.happen(Planned(1.0, 1, None, MOVE, "", 1.0), Decided(1.0, 1, "act", None, MOVE), Finished(1.0, 1, "replaced"))
    assert desk.over == [first]
    assert first.code == ErrorCode.PREEMPTED
    desk.happen(Finished(2.0, 1, "done"))
    assert second.code == ErrorCode.NONE


def test_a_stop_word_ends_both_the_run_and_itself():
    desk = Desk()
    running, stop = desk.start("進んで"), desk.say("止まれ")
    desk.happen(Finished(1.0, 1, "stopped"), Decided(1.0, 1, "act", None, STOP), Replied(1.0, 1, "止まりました。"),
                Finished(1.0, 1, "done"))
    assert (running.code, stop.code, stop.reply) == (ErrorCode.STOPPED, ErrorCode.NONE, "止まりました。")


def test_a_newer_instruction_drops_one_that_is_still_planned():
    desk = Desk()
    old, _ = desk.say("進んで"), desk.say("戻って")
    desk.happen()
    assert desk.over == [old]
    assert old.code == ErrorCode.PREEMPTED


def test_no_plan_is_told_from_a_question_of_the_model():
    desk = Desk()
    turn = desk.say("進んで")
    desk.happen(Planned(1.0, 0, None, None, "", 1.0, "timed out"), Decided(1.0, 0, "ask", "not_understood", ASK),
                Finished(1.0, 0, "answered"))
    assert turn.code == ErrorCode.MODEL_TIMEOUT


@pytest.mark.parametrize(("reason", "code"), [("blocked", ErrorCode.EXECUTION_FAILED), ("estop", ErrorCode.GATE_LATCHED),
                                              ("stopped", ErrorCode.STOPPED)])
def test_a_failed_run_says_why_and_keeps_the_words_that_follow(reason, code):
    desk = Desk()
    turn = desk.start("進んで")
    desk.turns.take(Finished(1.0, 0, "failed", reason))
    desk.happen(Replied(1.0, 0, "進めません。"))
    assert (turn.code, turn.reply) == (code, "進めません。")


def test_a_canceled_run_ends_as_canceled():
    desk = Desk()
    turn = desk.start("進んで")
    turn.canceled = True
    desk.happen(Finished(1.0, 0, "stopped"))
    assert turn.code == ErrorCode.CANCELED
