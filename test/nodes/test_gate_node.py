"""The gate's node: zero from the first moment, requests only while all is well, zero at once when told."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, LaserScan
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.nodes import topics
from jpai_agent.nodes.gate_node import GateNode, stamp_in_cdr
from jpai_msgs.msg import ExecutorStatus, GateStatus


class Robot:
    """Everything around the gate: sensors, an executor that wants 0.5 m/s, and what the motors get."""

    def __init__(self, graph, armed: bool = True) -> None:
        self.graph, node = graph, graph.node
        self.speeds: list[float] = []
        self.states: list[int] = []
        self.plan_id, self.stops_known = "plan-1", 0
        node.create_subscription(TwistStamped, topics.CMD_VEL, lambda m: self.speeds.append(m.twist.linear.x), 50)
        node.create_subscription(GateStatus, topics.GATE_STATUS, self.on_status, topics.LATCHED)
        self.request = node.create_publisher(TwistStamped, topics.CMD_VEL_REQUEST, topics.COMMAND)
        self.status = node.create_publisher(ExecutorStatus, topics.EXECUTOR_STATUS, topics.COMMAND)
        self.sensors = [
            (node.create_publisher(Odometry, topics.ODOM, topics.COMMAND), Odometry),
            (node.create_publisher(LaserScan, topics.SCAN, topics.SENSOR), LaserScan),
            (node.create_publisher(Image, topics.camera_topic("front", "depth"), topics.PICTURE), Image),
        ]
        self.words = node.create_publisher(String, topics.INSTRUCTION, topics.WORDS)
        self.stops = node.create_publisher(String, topics.STOP, topics.WORDS)
        self.estop = node.create_publisher(Bool, topics.ESTOP, topics.WORDS)
        self.wanted_mps = 0.5
        self.driving = True
        node.create_timer(0.05, self.beat)
        graph.add(GateNode(context=graph.context, parameter_overrides=[Parameter("arm_on_start", value=armed)]))

    def on_status(self, status: GateStatus) -> None:
        self.states.append(status.state)
        self.stops_told = status.stops

    def beat(self) -> None:
        if not self.driving:
            return
        now = self.graph.node.get_clock().now().to_msg()
        self.status.publish(ExecutorStatus(stamp=now, plan_id=self.plan_id, gate_stops=self.stops_known))
        for publisher, kind in self.sensors:
            message = kind()
            message.header.stamp = now
            publisher.publish(message)
        request = TwistStamped()
        request.header.stamp, request.twist.linear.x = now, self.wanted_mps
        self.request.publish(request)

    def moves(self) -> bool:
        return self.graph.spin_until(lambda: self.speeds and self.speeds[-1] > 0.2)

    def stands(self, seconds: float = 0.3) -> bool:
        """Zero now and for some time to come, at a steady rate."""
        if not self.graph.spin_until(lambda: self.speeds and self.speeds[-1] == 0.0):
            return False
        self.speeds.clear()
        self.graph.spin_until(lambda: False, seconds)
        return len(self.speeds) >= seconds * 30 and not any(self.speeds)

    def another_plan(self, name: str) -> None:
        self.plan_id, self.stops_known = name, self.stops_told

    def trigger(self, service: str) -> Trigger.Response:
        return self.graph.call(self.graph.node.create_client(Trigger, service), Trigger.Request())


def test_it_starts_locked_gives_zero_all_the_time_and_moves_only_when_armed(graph):
    robot = Robot(graph, armed=False)
    assert robot.stands()
    assert robot.states[-1] == GateStatus.LOCKED
    assert robot.trigger(topics.GATE_ARM).success
    assert robot.moves()


@pytest.mark.parametrize("words", ["止まれ", "ストップ！", "あぶない、そこの箱の前で止まって"])
def test_a_stop_word_while_moving_holds_zero_until_another_plan(graph, words):
    robot = Robot(graph)
    assert robot.moves()
    robot.words.publish(String(data=words))
    assert robot.stands()
    assert robot.states[-1] == GateStatus.HELD
    robot.another_plan("plan-2")
    assert robot.moves()


def test_words_that_are_no_stop_change_nothing(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.words.publish(String(data="赤い箱まで行って"))
    robot.speeds.clear()
    assert graph.spin_until(lambda: len(robot.speeds) > 20)
    assert min(robot.speeds) > 0.2


def test_a_stop_message_stops_whatever_it_says(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.stops.publish(String(data="button"))
    assert robot.stands()


def test_the_e_stop_latches_until_released_reset_and_armed(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.estop.publish(Bool(data=True))
    assert robot.stands()
    assert not robot.trigger(topics.GATE_RESET).success
    robot.estop.publish(Bool(data=False))
    robot.another_plan("plan-2")
    assert robot.stands()
    assert robot.states[-1] == GateStatus.LATCHED
    assert robot.trigger(topics.GATE_RESET).success
    assert robot.stands()
    assert robot.states[-1] == GateStatus.LOCKED
    assert robot.trigger(topics.GATE_ARM).success
    assert robot.moves()


def test_silence_of_executor_and_sensors_stops(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.driving = False
    assert robot.stands()
    robot.driving = True
    assert robot.moves()


@pytest.mark.parametrize("topic", [topics.CMD_VEL, topics.CMD_VEL_REQUEST])
def test_a_second_publisher_latches(graph, topic):
    robot = Robot(graph)
    assert robot.moves()
    intruder = graph.node.create_publisher(TwistStamped, topic, topics.COMMAND)
    assert graph.spin_until(lambda: robot.states[-1] == GateStatus.LATCHED)
    graph.node.destroy_publisher(intruder)
    robot.another_plan("plan-2")
    assert robot.stands()
    assert robot.states[-1] == GateStatus.LATCHED


def test_a_request_of_tomorrow_stops(graph):
    robot = Robot(graph)
    assert robot.moves()
    robot.driving = False
    request = TwistStamped()
    request.header.stamp = graph.node.get_clock().now().to_msg()
    request.header.stamp.sec += 3600
    request.twist.linear.x = 0.5
    robot.request.publish(request)
    assert robot.stands()


def test_its_state_is_on_diagnostics(graph):
    seen: list[DiagnosticArray] = []
    graph.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, seen.append, 10)
    Robot(graph)
    assert graph.spin_until(lambda: seen)
    assert seen[0].status[0].name == "jpai: gate"


def test_the_stamp_is_read_from_the_bytes():
    message = LaserScan()
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 500_000_000
    assert stamp_in_cdr(serialize_message(message)) == 12.5
    assert stamp_in_cdr(b"\x00\x01") != stamp_in_cdr(b"\x00\x01")
