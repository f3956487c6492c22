"""What may have been misheard is read back, and carried out once a person has said so."""

from __future__ import annotations

import json

from stage import Stage, act, ask, move

from jpai_agent.language import failure

STOP = {"skill": "stop"}


def say_unsurely(stage: Stage, text: str, then_s: float = 1.0) -> None:
    stage.agent.hear(text, stage.time_s, unsure=True)
    stage.run(then_s)


def test_the_plan_for_words_that_may_have_been_misheard_is_read_back_and_moves_nothing() -> None:
    stage = Stage({"前へ": act(move(1.0))})
    say_unsurely(stage, "前へ", 2.0)
    assert not stage.has_moved
    assert stage.decisions == [(0, "ask", "not_understood")]
    assert stage.replies == [failure("unsure", "1メートル前に進みます")]


def test_a_yes_carries_it_out_also_when_it_may_have_been_misheard_itself() -> None:
    for certain in (True, False):
        stage = Stage({"前へ": act(move(1.0)), "はい": act(move(1.0))})
        say_unsurely(stage, "前へ")
        if certain:
            stage.say("はい")
        else:
            say_unsurely(stage, "はい")
        stage.until_idle()
        assert stage.endings[-1] == (1, "done")


def test_a_correction_of_it_is_carried_out_or_read_back_in_its_turn() -> None:
    stage = Stage({"前へ": act(move(1.0)), "違う、後ろ": act(move(-1.0))})
    say_unsurely(stage, "前へ")
    say_unsurely(stage, "違う、後ろ")
    assert stage.replies[-1] == failure("unsure", "1メートル下がります")
    assert not stage.has_moved
    stage.say("違う、後ろ")
    stage.until_idle()
    assert stage.endings[-1] == (2, "done")


def test_after_a_no_it_is_not_done_whatever_the_model_makes_of_it() -> None:
    stage = Stage({"前へ": act(move(1.0)), "いいえ": act(move(1.0)), "後ろ": act(move(-1.0))})
    say_unsurely(stage, "前へ")
    stage.say("いいえ", then_s=2.0)
    assert not stage.has_moved
    assert stage.replies[-1] == failure("denied")
    stage.say("後ろ")
    stage.until_idle()
    assert stage.endings[-1] == (2, "done")
    assert stage.model.requests[-1].dialogue == ()


def test_a_no_to_nothing_is_the_models_to_understand() -> None:
    stage = Stage({"いいえ": ask("incomplete")})
    stage.say("いいえ", then_s=1.0)
    assert stage.decisions == [(0, "ask", "incomplete")]


def test_the_question_is_part_of_the_dialogue_that_the_model_reads_with_the_answer() -> None:
    stage = Stage({"前へ": act(move(1.0)), "はい": act(move(1.0))})
    say_unsurely(stage, "前へ")
    stage.say("はい", then_s=0.5)
    (before,) = stage.model.requests[-1].dialogue
    assert before.user == "前へ"
    assert json.loads(before.answer)["decision"] == "ask"


def test_a_stop_or_a_question_needs_no_yes() -> None:
    stage = Stage({"2メートル進んで": act(move(2.0)), "もうその辺で": act(STOP), "あれ": ask("incomplete")})
    stage.say("2メートル進んで")
    stage.until_moving()
    say_unsurely(stage, "もうその辺で", 3.0)
    assert stage.speed == (0.0, 0.0)
    say_unsurely(stage, "あれ")
    assert [decision[1] for decision in stage.decisions] == ["act", "act", "ask"]


def test_a_stop_word_stops_whoever_heard_it_however_surely() -> None:
    stage = Stage({"2メートル進んで": act(move(2.0))})
    stage.say("2メートル進んで")
    stage.until_moving()
    say_unsurely(stage, "止まれ", 3.0)
    assert stage.speed == (0.0, 0.0)
    assert stage.replies[-1] == failure("stopped")
