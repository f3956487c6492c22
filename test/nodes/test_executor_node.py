"""The executor as a node: what its verdict rests on may reach it later than the goal does."""

from __future__ import annotations

import pytest
from rclpy.action import ActionClient

from jpai_agent.control import compile_program
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.executor_node import ExecutorNode
from jpai_agent.plan import ActionPlan, Step
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.scene import RobotState, Scene
from jpai_msgs import msg
from jpai_msgs.action import ExecutePlan
from jpai_msgs.msg import ErrorCode, GateStatus

PLAN = ActionPlan("act", (Step("wait", {"duration_s": 1.0}),))
DOCK = Scene("at-the-dock", 1.0, RobotState(0.0, 0.0, 0.0))


class Running:
    """An executor, and all that speaks to it."""

    def __init__(self, graph) -> None:
        self.graph = graph
        self.node = graph.add(ExecutorNode(context=graph.context))
        speak = graph.node.create_publisher
        self.scenes = speak(msg.Scene, topics.SCENE, topics.SCENES)
        self.verdicts = speak(msg.Verdict, topics.VERDICT, topics.VERDICTS)
        self.gate = speak(GateStatus, topics.GATE_STATUS, topics.LATCHED)
        self.client = ActionClient(graph.node, ExecutePlan, topics.EXECUTE_PLAN)
        heard = (self.scenes, self.verdicts, self.gate)
        assert graph.spin_until(lambda: self.client.server_is_ready() and all(p.get_subscription_count() for p in heard))
        # the gate tells of itself all the while
        graph.node.create_timer(0.05, lambda: self.gate.publish(GateStatus(state=GateStatus.OPEN)))
        self.scenes.publish(convert.scene_msg(Scene("before", 0.0, DOCK.robot)))
        assert graph.spin_until(self.node.hears)

    def send(self):
        """Ask for the plan, rehearsed at the dock: the future of the goal's result."""
        robot, place = self.node.robot, self.node.world_map
        program = compile_program(PLAN.steps, {}, DOCK, robot, place)
        binding = Binding(PLAN.sha256(), program.sha256(), DOCK.sha256(), robot.sha256, "m", place.rules.sha256)
        verdict = Verdict("", "pass", self.node.now_s(), 32, 1.0, binding).sealed()
        self.verdicts.publish(convert.verdict_msg(verdict))
        sent = self.client.send_goal_async(ExecutePlan.Goal(
            plan_id="p", plan_json=PLAN.to_json(), program_json=convert.program_json(program), verdict_id=verdict.id))
        assert self.graph.spin_until(sent.done)
        return sent.result().get_result_async()


@pytest.fixture
def running(graph):
    made = Running(graph)
    yield made
    made.node.close()
    made.client.destroy()


def test_a_goal_waits_for_the_scene_that_its_verdict_is_bound_to(graph, running):
    result = running.send()
    assert graph.spin_until(lambda: DOCK.sha256() in running.node._awaited)
    assert not result.done()
    running.scenes.publish(convert.scene_msg(DOCK))
    assert graph.spin_until(lambda: running.node._going is not None or result.done())
    assert running.node._going is not None, result.result().result.error_msg


def test_it_does_not_wait_for_ever(graph, running):
    result = running.send()
    assert graph.spin_until(result.done)
    assert result.result().result.error_code == ErrorCode.SCENE_UNKNOWN
    assert running.node._going is None
