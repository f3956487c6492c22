"""A real robot is armed by a person, under a certificate for exactly what runs, when it can be put down; else it says why."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from jpai_agent.agent.mind import Turned
from jpai_agent.nodes import topics
from jpai_agent.nodes.agent_node import GraphAgent, Model
from jpai_agent.nodes.executor_node import ExecutorNode
from jpai_agent.nodes.gate_node import GateNode
from jpai_agent.record import audit, keys
from jpai_agent.record.audit_verify import verify_log
from jpai_agent.record.audit_writer import AuditWriter
from jpai_agent.record.certificate import issue, subject_of, write_certificate
from jpai_agent.vlm import PlanAnswer, VlmError
from jpai_agent.world.known import WORLDS
from jpai_agent.world.zones import SiteRules
from jpai_msgs.action import ExecutePlan
from jpai_msgs.msg import ErrorCode, GateStatus

# the state folder comes after the graph, which sets one of its own
pytestmark = pytest.mark.usefixtures("graph", "state")


@pytest.fixture
def arm(graph):
    """Bring a gate up with these parameters and have a person arm it: the service's answer, and the gate."""

    def make(**parameters: object) -> tuple[Trigger.Response, GateNode]:
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        node = graph.add(GateNode(context=graph.context, parameter_overrides=given))
        nodes.append(node)
        answer = graph.call(graph.node.create_client(Trigger, topics.GATE_ARM), Trigger.Request())
        assert graph.spin_until(lambda: node._reported is not None and node._reported[0] is node._gate.state)
        return answer, node

    nodes: list[GateNode] = []
    yield make
    for node in nodes:
        node.close()


def told(state: Path, kind: str) -> list[dict]:
    """The data of the log's records of a kind; the log itself is whole."""
    path = state / "audit.jsonl"
    assert verify_log(path, keys.own_public("audit")).whole
    records = [audit.parse_record(line) for line in path.read_bytes().splitlines()]
    return [dict(record.data) for record in records if record is not None and record.kind == kind]


@pytest.mark.parametrize("hardware", [{}, {"arm_on_start": True, "hardware": True}])
def test_without_a_certificate_a_robot_is_not_armed_by_anybody(arm, state, hardware) -> None:
    answer, gate = arm(**hardware)
    assert not answer.success
    assert answer.message.startswith("no certificate")
    gate.close()
    assert told(state, "arming")[-1]["permitted"] is False
    assert {record["state"] for record in told(state, "gate")} == {"locked"}


def test_under_its_certificate_it_is_armed_and_both_are_put_down(arm, state, model) -> None:
    path = state / "cart.json"
    write_certificate(issue(subject_of("cart", "yard", model), [], passed=True), path)
    answer, gate = arm(certificate=str(path), model=str(model))
    assert answer.success, answer.message
    gate.close()
    assert told(state, "arming") == [{"permitted": True, "why": "", "hardware": True, "certificate": str(path)}]
    assert [record["state"] for record in told(state, "gate")] == ["locked", "open"]


@pytest.mark.parametrize(("robot", "options", "why"), [
    ("cart", {"days": -1}, "expired on"), ("cart", {"quick": True}, "--quick"), ("cart", {"passed": False}, "did not pass"),
    ("car", {}, "another robot than was certified"),
])
def test_under_any_other_it_is_not(arm, state, model, robot, options, why) -> None:
    path = state / "c.json"
    subject = subject_of(robot, WORLDS[robot], model)
    write_certificate(issue(subject, [], **({"passed": True} | options)), path)
    answer, _ = arm(certificate=str(path), model=str(model))
    assert not answer.success
    assert why in answer.message


def test_a_gate_that_was_started_under_other_rules_of_the_place_is_not_armed(arm, state, model, monkeypatch) -> None:
    path = state / "cart.json"
    write_certificate(issue(subject_of("cart", "yard", model), [], passed=True), path)
    monkeypatch.setattr("jpai_agent.nodes.arming.load_rules", lambda file: SiteRules((), 1.2))
    answer, _ = arm(certificate=str(path), model=str(model))
    assert not answer.success
    assert answer.message == "the rules of the place were changed after this gate was started"


def test_what_cannot_be_put_down_is_not_armed(arm, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    answer, _ = arm(hardware=False, audit_file=str(tmp_path / "file" / "audit.jsonl"))
    assert not answer.success
    assert "its arming cannot be recorded" in answer.message


def test_while_it_waits_to_be_put_down_zero_goes_on_being_published(graph, arm, monkeypatch) -> None:
    monkeypatch.setattr("jpai_agent.nodes.arming.RECORD_WITHIN_S", 0.5)
    monkeypatch.setattr(AuditWriter, "note", lambda self, kind, **data: Future())
    speeds: list[TwistStamped] = []
    graph.node.create_subscription(TwistStamped, topics.CMD_VEL, speeds.append, 50)
    answer, _ = arm(hardware=False)
    assert answer.message == "its arming cannot be recorded: not done within 0.5 s"
    assert len(speeds) > 10


def test_on_a_full_disk_a_gate_at_rest_latches_and_stops_go_on_being_heard(graph, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    seen: list[GateStatus] = []
    graph.node.create_subscription(GateStatus, topics.GATE_STATUS, seen.append, topics.LATCHED)
    stop = graph.node.create_publisher(String, topics.STOP, topics.WORDS)
    given = {"arm_on_start": True, "audit_file": str(tmp_path / "file" / "audit.jsonl")}
    node = graph.add(GateNode(context=graph.context, parameter_overrides=[Parameter(k, value=v) for k, v in given.items()]))
    assert graph.spin_until(lambda: seen and seen[-1].state == GateStatus.LATCHED)
    assert "cannot be written" in seen[-1].reasons[0]
    assert graph.spin_until(lambda: stop.get_subscription_count() > 0)
    stop.publish(String(data="止まれ"))
    assert graph.spin_until(lambda: seen[-1].stops == 1)
    node.close()


def test_an_executor_starts_nothing_that_cannot_be_put_down(graph, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    parameters = [Parameter("audit_file", value=str(tmp_path / "file" / "audit.jsonl"))]
    node = graph.add(ExecutorNode(context=graph.context, parameter_overrides=parameters))
    client = ActionClient(graph.node, ExecutePlan, topics.EXECUTE_PLAN)
    assert graph.spin_until(client.server_is_ready)
    sent = client.send_goal_async(ExecutePlan.Goal(plan_id="p", plan_json="{}", program_json="{}", verdict_id="v"))
    assert graph.spin_until(sent.done)
    ended = sent.result().get_result_async()
    assert graph.spin_until(ended.done)
    result = ended.result().result
    assert (result.error_code, result.reason) == (ErrorCode.EXECUTION_FAILED, "unrecorded")
    assert "cannot be recorded" in result.error_msg
    node.close()
    client.destroy()


def test_the_agent_refuses_new_motion_in_japanese_while_nothing_can_be_put_down() -> None:
    agent = GraphAgent.__new__(GraphAgent)
    agent._audit = type("Full", (), {"fault": "no space left"})()
    with pytest.raises(Turned) as caught:
        agent._start(None)
    assert caught.value.decision == "refuse"
    assert "記録を書き込めないため" in caught.value.words


def test_a_robot_plans_with_the_certified_model_alone() -> None:
    class Server:
        def heartbeat(self) -> dict:
            return {"sha256": "b" * 64}

    class Camera:
        fault = None

    model = Model("", 1.0, Camera(), certified="a" * 64)
    model.close()
    model._client = Server()
    with pytest.raises(VlmError, match="certified is aaaaaaaaaaaa"):
        model.plan(None)
    assert model.sha256 == ""


def test_what_took_the_place_of_the_certified_model_does_not_plan() -> None:
    class Server:
        answers = "a" * 64

        def heartbeat(self) -> dict:
            return {"sha256": "a" * 64}

        def plan(self, request: object) -> PlanAnswer:
            return PlanAnswer("{}", sha256=self.answers)

    class Camera:
        fault = None

    model = Model("", 1.0, Camera(), certified="a" * 64)
    model.close()
    model._client = server = Server()
    assert model.plan(None).text == "{}"
    server.answers = "b" * 64
    with pytest.raises(VlmError, match="another one"):
        model.plan(None)
    assert (model.sha256, model.code) == ("", ErrorCode.MODEL_UNAVAILABLE)
