"""The gate's node: zero from the first moment, requests only while all is well, zero at once when told."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.nodes import topics
from jpai_agent.nodes.gate_node import GateNode
from jpai_agent.nodes.stand_in import StandIn
from jpai_agent.world.robot import load_robot
from jpai_msgs.msg import ExecutorStatus, GateStatus


class Robot(StandIn):
    """Everything around the gate: sensors, an executor that wants 0.5 m/s, and what the motors get."""

    def __init__(self, graph, armed: bool = True) -> None:
        super().__init__(graph.node, load_robot("cart"), tells_time=False)
        self.graph = graph
        self.driving = True
        graph.node.create_timer(0.01, self.beat)
        self.gate = graph.add(GateNode(context=graph.context, parameter_overrides=[
            Parameter("arm_on_start", value=armed), Parameter("hardware", value=False)]))

    def beat(self) -> None:
        if self.driving:
            self.step()

    @property
    def speeds(self) -> list[float]:
        return [v for _, v, _ in self.commands]

    def moves(self) -> bool:
        return self.graph.spin_until(lambda: self.speeds and self.speeds[-1] > 0.2)

    def stands(self, commands: int = 15) -> bool:
        """Zero now and in so many commands to come."""
        if not self.graph.spin_until(lambda: self.speeds and self.speeds[-1] == 0.0):
            return False
        self.commands.clear()
        return self.graph.spin_until(lambda: len(self.commands) >= commands) and not any(self.speeds)

    def is_in(self, state: int) -> bool:
        return self.graph.spin_until(lambda: self.state == state)

    def trigger(self, service: str) -> Trigger.Response:
        return self.graph.call(self.graph.node.create_client(Trigger, service), Trigger.Request())


def test_it_starts_locked_gives_zero_all_the_time_and_moves_only_when_armed(graph):
    robot = Robot(graph, armed=False)
    assert robot.stands()
    assert robot.is_in(GateStatus.LOCKED)
    assert robot.trigger(topics.GATE_ARM).success
    assert robot.moves()


@pytest.mark.parametrize("words", ["止まれ", "ストップ！", "あぶない、そこの箱の前で止まって"])
def test_a_stop_word_while_moving_holds_zero_until_another_plan(graph, words):
    robot = Robot(graph)
    assert robot.moves()
    robot.words.publish(String(data=words))
    assert robot.stands()
    assert robot.is_in(GateStatus.HELD)
    robot.new_plan()
    assert robot.moves()


def test_a_plan_that_releases_a_hold_is_never_told_to_be_held(graph):
    robot = Robot(graph)
    assert robot.moves()
    told = []
    graph.node.create_subscription(GateStatus, topics.GATE_STATUS, lambda m: told.append((m.plan_id, m.state)), topics.LATCHED)
    robot.stop_messages.publish(String(data="button"))
    assert robot.is_in(GateStatus.HELD)
    robot.driving = False
    stamp = robot.gate.get_clock().now().to_msg()
    # between its own ticks the gate hears of the plan, and then reports as it does every now and then
    robot.gate._on_executor(ExecutorStatus(stamp=stamp, plan_id="next", gate_stops=robot.gate._gate.stops))
    robot.gate._supervise()
    assert graph.spin_until(lambda: any(plan == "next" for plan, _ in told))
    assert ("next", GateStatus.HELD) not in told


def test_words_that_are_no_stop_change_nothing(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.words.publish(String(data="赤い箱まで行って"))
    robot.commands.clear()
    assert graph.spin_until(lambda: len(robot.speeds) > 20)
    assert min(robot.speeds) > 0.2


def test_a_stop_message_stops_whatever_it_says(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.stop_messages.publish(String(data="button"))
    assert robot.stands()


def test_the_e_stop_latches_until_released_reset_and_armed(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.estop.publish(Bool(data=True))
    assert robot.stands()
    assert not robot.trigger(topics.GATE_RESET).success
    robot.estop.publish(Bool(data=False))
    robot.new_plan()
    assert robot.stands()
    assert robot.is_in(GateStatus.LATCHED)
    assert robot.trigger(topics.GATE_RESET).success
    assert robot.stands()
    assert robot.is_in(GateStatus.LOCKED)
    assert robot.trigger(topics.GATE_ARM).success
    assert robot.moves()


def test_silence_of_executor_and_sensors_stops(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.driving = False
    assert robot.stands()
    robot.driving = True
    assert robot.moves()


@pytest.mark.parametrize(("topic", "kind"), [(topics.CMD_VEL, TwistStamped), (topics.CMD_VEL_REQUEST, TwistStamped),
                                             (topics.EXECUTOR_STATUS, ExecutorStatus), (topics.ODOM, Odometry)])
def test_a_second_publisher_latches(graph, topic, kind):
    robot = Robot(graph)
    assert robot.moves()
    intruder = graph.node.create_publisher(kind, topic, topics.COMMAND)
    assert robot.is_in(GateStatus.LATCHED)
    graph.node.destroy_publisher(intruder)
    robot.new_plan()
    assert robot.stands()
    assert robot.is_in(GateStatus.LATCHED)


def test_a_request_of_tomorrow_stops(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.driving = False
    robot.publishers["request"].publish(robot.request_msg(0.5, 0.0, offset_s=3600.0))
    assert robot.stands()


def test_a_latch_outlives_the_gate_that_latched(graph):
    first = Robot(graph)
    assert first.moves()
    first.estop.publish(Bool(data=True))
    assert first.is_in(GateStatus.LATCHED)
    graph.executor.remove_node(first.gate)
    first.gate.close()
    first.gate.destroy_node()
    first.commands.clear()
    first.gate = graph.add(GateNode(context=graph.context, parameter_overrides=[Parameter("arm_on_start", value=True)]))
    first.new_plan()
    assert first.stands() and first.is_in(GateStatus.LATCHED) and "e-stop" in first.reasons
    assert first.trigger(topics.GATE_RESET).success
    assert first.trigger(topics.GATE_ARM).success
    assert first.moves()


def test_a_gate_that_cannot_keep_a_latch_is_latched_from_the_start(graph, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path / "file"))
    robot = Robot(graph)
    assert robot.stands() and robot.is_in(GateStatus.LATCHED)
    assert "cannot be kept" in robot.reasons
    assert not robot.trigger(topics.GATE_RESET).success


def test_what_stands_close_ahead_stops_it_until_it_is_gone(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.obstacle_m["scan"] = 0.5
    assert robot.stands() and "obstacle ahead" in robot.reasons
    del robot.obstacle_m["scan"]
    assert robot.moves()


def test_its_state_is_on_diagnostics(graph):
    seen: list[DiagnosticArray] = []
    graph.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, seen.append, 10)
    Robot(graph)
    assert graph.spin_until(lambda: seen)
    assert seen[0].status[0].name == "jpai: gate"
