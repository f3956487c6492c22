"""The graph does what is said, says what it does, and stops when it must; it outlives the death of its parts."""

from __future__ import annotations

import math
import os
import signal

import pytest
from action_msgs.msg import GoalStatus
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.nodes import topics
from jpai_agent.record.audit import audit_path, parse_record
from jpai_agent.record.audit_verify import verify_log
from jpai_agent.record.keys import own_public
from jpai_msgs.action import ExecuteInstruction, ExecutePlan
from jpai_msgs.msg import ErrorCode, GateStatus, Heard, Plan, Verdict
from jpai_msgs.srv import PlanInstruction, ValidatePlan

Stage = ExecuteInstruction.Feedback


def kill(person, name: str) -> None:
    """End a process without a word, and wait until the supervisor has told of it."""
    os.kill(person.supervisor.running[name].pid, signal.SIGKILL)
    assert person.until(lambda: person.supervisor.poll() or name in person.supervisor.ended)


def test_a_goal_is_planned_rehearsed_and_driven_with_feedback(person):
    start = person.where()
    goal = person.goal("少し前へ")
    result = goal.result()
    assert result.error_code == ErrorCode.NONE
    assert goal.status == GoalStatus.STATUS_SUCCEEDED
    assert result.verdict.status == Verdict.PASS
    assert result.plan.instruction == "少し前へ"
    # the words come on another topic than the result
    assert person.until(lambda: result.reply in person.replies, 5.0)
    assert [stage for stage in (Stage.GROUNDING, Stage.REHEARSING, Stage.EXECUTING) if stage in goal.stages] == sorted(
        set(goal.stages) - {Stage.PLANNING}
    )
    assert person.stands()
    assert math.dist(start, person.where()) == pytest.approx(0.6, abs=0.2)


def test_what_was_said_rehearsed_and_done_is_in_a_log_that_is_whole(person):
    assert person.goal("少し前へ").result().error_code == ErrorCode.NONE
    path = audit_path()

    def of_the_last_turn() -> list[str]:
        records = [parse_record(line) for line in path.read_bytes().splitlines()]
        kinds = [record.kind for record in records if record is not None]
        return kinds[len(kinds) - kinds[::-1].index("instruction") - 1:]

    # the gate's and the executor's records come in between
    expected = ["instruction", "plan", "verdict", "start", "begun", "gate", "end"]
    assert person.until(lambda: set(expected) <= set(of_the_last_turn()), 15.0), of_the_last_turn()
    told = of_the_last_turn()
    assert [told.index(kind) for kind in expected[:5]] == sorted(told.index(kind) for kind in expected[:5])
    found = verify_log(path, own_public("audit"))
    assert found.whole, found.findings


def test_a_point_in_the_image_is_found_and_driven_to(person):
    result = person.goal("赤い箱へ").result(60.0)
    assert result.error_code == ErrorCode.NONE
    assert 0.8 < math.dist(person.where(), person.box_xy) < 1.8


def test_a_question_back_aborts_the_goal_and_leaves_what_runs(person):
    first = person.goal("出口へ")
    assert person.until(lambda: person.moves)
    result = person.goal("あれ").result()
    assert result.error_code == ErrorCode.ASKED
    assert result.reply
    assert person.moves
    first.cancel()
    assert first.result().error_code == ErrorCode.CANCELED


def test_a_new_plan_replaces_the_one_that_runs(person):
    first = person.goal("出口へ")
    assert person.until(lambda: person.moves)
    second = person.goal("休憩して")
    assert first.result().error_code == ErrorCode.PREEMPTED
    assert second.result().error_code == ErrorCode.NONE
    assert person.stands()


def test_a_cancel_stops(person):
    goal = person.goal("出口へ")
    assert person.until(lambda: person.moves)
    goal.cancel()
    assert goal.result().error_code == ErrorCode.CANCELED
    assert goal.status == GoalStatus.STATUS_CANCELED
    assert person.stands()


@pytest.mark.parametrize("way", ["topic", "goal"])
def test_a_stop_word_while_moving_stops_at_once_and_holds_until_another_plan(person, way):
    goal = person.goal("出口へ")
    assert person.until(lambda: person.moves)
    if way == "topic":
        person.words.publish(String(data="止まれ！"))
    else:
        assert person.goal("止まれ！").result().error_code == ErrorCode.NONE
    assert person.until(lambda: not person.moves, 1.0)
    assert goal.result().error_code == ErrorCode.STOPPED
    assert person.stands()
    assert person.gate.state == GateStatus.HELD
    assert person.goal("少し前へ").result().error_code == ErrorCode.NONE


def test_the_e_stop_latches_until_a_person_resets(person):
    goal = person.goal("出口へ")
    assert person.until(lambda: person.moves)
    person.estop.publish(Bool(data=True))
    assert person.until(lambda: not person.moves, 1.0)
    assert goal.result().error_code != ErrorCode.NONE
    person.estop.publish(Bool(data=False))
    refused = person.goal("少し前へ").result()
    assert refused.error_code == ErrorCode.GATE_LATCHED
    assert "非常停止" in refused.reply
    assert person.stands()
    assert person.call(Trigger, topics.GATE_RESET, Trigger.Request()).success
    assert person.call(Trigger, topics.GATE_ARM, Trigger.Request()).success
    assert person.goal("少し前へ").result().error_code == ErrorCode.NONE


def test_rehearse_only_moves_nothing(person):
    result = person.goal("出口へ", rehearse_only=True).result()
    assert result.error_code == ErrorCode.NONE
    assert result.verdict.status == Verdict.PASS
    assert person.stands(1.0)


def test_a_plan_alone_can_be_had(person):
    answer = person.call(PlanInstruction, topics.PLAN_INSTRUCTION, PlanInstruction.Request(instruction="入口へ"))
    assert answer.error_code == ErrorCode.NONE
    assert '"entrance"' in answer.plan.json


def test_any_plan_is_rehearsed_and_one_that_would_hit_the_wall_does_not_pass(person):
    request = ValidatePlan.Request(plan=Plan(json=person.table["壁まで"]))
    answer = person.call(ValidatePlan, topics.VALIDATE_PLAN, request, 30.0)
    assert answer.error_code in (ErrorCode.REHEARSAL_FAILED, ErrorCode.REHEARSAL_INVALID)
    request = ValidatePlan.Request(plan=Plan(json='{"decision":"act","steps":[{"skill":"fly"}],"reason":null}'))
    assert person.call(ValidatePlan, topics.VALIDATE_PLAN, request).error_code == ErrorCode.PLAN_INVALID


def test_nothing_runs_without_its_own_passed_verdict(person):
    from rclpy.action import ActionClient

    good = person.call(ValidatePlan, topics.VALIDATE_PLAN, ValidatePlan.Request(plan=Plan(json=person.table["少し前へ"])), 30.0)
    other = person.call(ValidatePlan, topics.VALIDATE_PLAN, ValidatePlan.Request(plan=Plan(json=person.table["休憩して"])), 30.0)
    client = ActionClient(person.node, ExecutePlan, topics.EXECUTE_PLAN)
    assert person.until(client.server_is_ready)

    def code(plan: str, program: str, verdict: str) -> int:
        sent = client.send_goal_async(ExecutePlan.Goal(plan_id="p", plan_json=plan, program_json=program, verdict_id=verdict))
        assert person.until(sent.done)
        result = sent.result().get_result_async()
        assert person.until(result.done)
        return result.result().result.error_code

    assert code(person.table["少し前へ"], good.program_json, "verdict-forged") == ErrorCode.VERDICT_REFUSED
    assert code(person.table["少し前へ"], good.program_json, other.verdict.id) == ErrorCode.VERDICT_REFUSED
    assert code(person.table["休憩して"], good.program_json, good.verdict.id) == ErrorCode.VERDICT_REFUSED
    assert code(person.table["少し前へ"], "{}", good.verdict.id) == ErrorCode.PROGRAM_INVALID
    assert person.stands()
    assert code(person.table["少し前へ"], good.program_json, good.verdict.id) == ErrorCode.NONE
    client.destroy()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", ErrorCode.INSTRUCTION_EMPTY),
        ("あ" * 3_000_000, ErrorCode.INSTRUCTION_TOO_LONG),
        ("壊れた", ErrorCode.PLAN_INVALID),
        ("表にない", ErrorCode.PLAN_INVALID),
    ],
)
def test_bad_instructions_get_a_japanese_answer_and_move_nothing(person, words, code):
    result = person.goal(words).result()
    assert result.error_code == code
    assert result.reply
    assert person.stands()


def test_what_may_have_been_misheard_is_read_back_and_a_typed_yes_carries_it_out(person):
    ears = person.node.create_publisher(Heard, topics.HEARD, topics.WORDS)
    assert person.until(lambda: ears.get_subscription_count() > 0)
    ears.publish(Heard(text="少し前へ", confidence=0.6, kind=Heard.UNSURE))
    assert person.until(lambda: any("よろしいですか" in reply for reply in person.replies))
    assert person.stands()
    # what was heard clearly, or dropped, comes in other ways than this
    ears.publish(Heard(text="出口へ", confidence=0.9, kind=Heard.HEARD))
    ears.publish(Heard(text="出口へ", confidence=0.1, kind=Heard.DROPPED, reason="unclear"))
    assert person.goal("はい").result().error_code == ErrorCode.NONE
    person.node.destroy_publisher(ears)


def test_what_the_nodes_declare_is_what_their_policy_permits(person):
    assert person.until(lambda: not person.beyond_policy("cart"), 30.0), person.beyond_policy("cart")


def test_heavy_work_runs_at_lower_priority_than_gate_and_executor(person):
    nice = {name: os.getpriority(os.PRIO_PROCESS, child.pid) for name, child in person.supervisor.running.items()}
    assert nice["twin_node"] > nice["executor_node"]
    assert nice["vlm_server"] >= nice["executor_node"]
    assert nice["gate_node"] <= nice["executor_node"]


def test_a_dead_model_server_costs_an_answer_and_no_motion(person):
    kill(person, "vlm_server")
    result = person.goal("少し前へ").result()
    assert result.error_code == ErrorCode.MODEL_UNAVAILABLE
    assert result.reply
    assert person.stands()
    person.supervisor.start_one("vlm_server")
    assert person.until(lambda: person.goal("休憩して").result().error_code == ErrorCode.NONE, 30.0)


def test_a_dead_twin_costs_an_answer_and_no_motion(person):
    kill(person, "twin_node")
    result = person.goal("少し前へ").result()
    assert result.error_code == ErrorCode.REFUSED
    assert person.stands()


def test_a_dead_agent_stops_the_robot_and_a_new_one_takes_over(person):
    person.goal("出口へ")
    assert person.until(lambda: person.moves)
    kill(person, "agent_node")
    assert person.until(lambda: person.rests, 8.0)
    assert person.stands()
    person.supervisor.start_one("agent_node")
    assert person.until(person.supervisor.ready, 30.0)
    assert person.insistent_goal("少し前へ").result().error_code == ErrorCode.NONE


def test_a_dead_executor_stops_the_robot_at_once(person):
    person.goal("出口へ")
    assert person.until(lambda: person.moves)
    kill(person, "executor_node")
    assert person.until(lambda: not person.moves, 1.0)
    assert person.stands()
