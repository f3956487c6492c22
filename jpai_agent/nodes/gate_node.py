"""The gate's process: the only one that writes to the motors. It hears stop words itself and needs nobody to stop."""

from __future__ import annotations

import struct
import sys
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.gate import Gate, GateConfig, GateState
from jpai_agent.language.stop import stop_word
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import GraphNode, raise_priority, run, seconds
from jpai_agent.nodes.vehicle import port_for
from jpai_msgs.msg import ExecutorStatus, GateStatus

RATE_HZ = 50.0
STATUS_HZ = 10.0
MOVING_MPS, MOVING_RADPS = 0.05, 0.05
_STATES = {
    GateState.LOCKED: GateStatus.LOCKED,
    GateState.OPEN: GateStatus.OPEN,
    GateState.HELD: GateStatus.HELD,
    GateState.LATCHED: GateStatus.LATCHED,
}
_LEVELS = {
    GateState.LOCKED: DiagnosticStatus.WARN,
    GateState.OPEN: DiagnosticStatus.OK,
    GateState.HELD: DiagnosticStatus.WARN,
    GateState.LATCHED: DiagnosticStatus.ERROR,
}


class GateNode(GraphNode):
    """Publishes /cmd_vel at 50 Hz by a monotonic clock, zero from the start; arms itself only with `arm_on_start`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gate_node", **options)
        self._arm_on_start: bool = self.declare_parameter("arm_on_start", False).value
        # 0: no e-stop device is fitted
        estop_timeout_s: float = self.declare_parameter("estop_timeout_s", 0.0).value
        self._gate = Gate(self.robot.limits, GateConfig(estop_timeout_s=estop_timeout_s or None), self.robot.ackermann)
        self._driving = False
        self._ticked_at_s = 0.0
        self._longest_tick_s = 0.0
        self._reported: tuple[GateState, str, int] | None = None
        self._output = self._gate.tick(self.steady_s())
        self._port = port_for(self, self.robot)
        self._listen()
        self._cmd_vel = self.create_publisher(TwistStamped, topics.CMD_VEL, topics.COMMAND)
        self._status = self.create_publisher(GateStatus, topics.GATE_STATUS, topics.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
        self.create_service(Trigger, topics.GATE_ARM, self._on_arm)
        self.create_service(Trigger, topics.GATE_RESET, self._on_reset)
        self.create_timer(1.0 / RATE_HZ, self._tick, clock=self.steady)
        self.create_timer(1.0 / STATUS_HZ, self._supervise, clock=self.steady)
        self.create_timer(1.0, self._diagnose, clock=self.steady)

    def _listen(self) -> None:
        self.create_subscription(TwistStamped, topics.CMD_VEL_REQUEST, self._on_request, topics.COMMAND)
        self.create_subscription(String, topics.INSTRUCTION, self._on_instruction, topics.WORDS)
        self.create_subscription(String, topics.STOP, self._on_stop, topics.WORDS)
        self.create_subscription(Bool, topics.ESTOP, self._on_estop, topics.WORDS)
        self.create_subscription(ExecutorStatus, topics.EXECUTOR_STATUS, self._on_executor, topics.COMMAND)
        self.create_subscription(Odometry, topics.ODOM, self._on_odometry, topics.SENSOR)
        # of the large ones only the stamp is read
        lidar_topic, lidar_type = topics.lidar_topic(self.robot)
        self.create_subscription(lidar_type, lidar_topic, partial(self._on_sensor, "scan"), topics.SENSOR, raw=True)
        for camera in self.robot.cameras:
            if camera.depth_rate_hz > 0:
                self.create_subscription(
                    Image,
                    topics.camera_topic(camera.name, "depth"),
                    partial(self._on_sensor, f"depth/{camera.name}"),
                    topics.PICTURE,
                    raw=True,
                )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Arm where that is asked for: in simulation."""
        if self._arm_on_start:
            self._gate.arm()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lock; zero goes on being published."""
        self._gate.lock()
        self._tick()
        return super().on_deactivate(state)

    def _on_request(self, message: TwistStamped) -> None:
        skew_s = seconds(message.header.stamp) - self.now_s()
        self._gate.request(message.twist.linear.x, message.twist.angular.z, self.steady_s(), skew_s)

    def _on_instruction(self, message: String) -> None:
        moving, vehicle = self._driving or self._gate.moving, self.robot.ackermann is not None
        if stop_word(message.data, moving, vehicle=vehicle):
            self._stop("stop word")

    def _on_stop(self, message: String) -> None:
        self._stop(f"stop: {message.data[:80]}")

    def _stop(self, cause: str) -> None:
        self._gate.stop(cause)
        self._tick()

    def _on_estop(self, message: Bool) -> None:
        self._gate.estop(message.data, self.steady_s())
        self._tick()

    def _on_executor(self, message: ExecutorStatus) -> None:
        self._gate.heartbeat(self.steady_s())
        self._gate.plan_accepted(message.plan_id, message.gate_stops)

    def _on_odometry(self, message: Odometry) -> None:
        twist = message.twist.twist
        self._gate.rolls(twist.linear.x)
        self._driving = abs(twist.linear.x) > MOVING_MPS or abs(twist.angular.z) > MOVING_RADPS
        self._gate.sensor("odom", self.steady_s(), seconds(message.header.stamp) - self.now_s())

    def _on_sensor(self, name: str, message: bytes) -> None:
        self._gate.sensor(name, self.steady_s(), stamp_in_cdr(message) - self.now_s())

    def _on_arm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._gate.arm()
        response.success = self._gate.state is not GateState.LATCHED
        response.message = self._gate.state.value
        self._tick()
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._gate.reset()
        response.message = self._gate.state.value
        self._tick()
        return response

    def _tick(self) -> None:
        now_s = self.steady_s()
        self._output = self._gate.tick(now_s)
        message = TwistStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = "base_link"
        message.twist.linear.x, message.twist.angular.z = self._output.v_mps, self._output.w_radps
        self._cmd_vel.publish(message)
        if self._port is not None:
            motions, port = self._port
            passes = self._output.state is GateState.OPEN
            port.send(motions.motion(self._output.v_mps, self._output.w_radps, seconds(message.header.stamp), passes))
        if self._ticked_at_s:
            self._longest_tick_s = max(self._longest_tick_s, now_s - self._ticked_at_s)
        self._ticked_at_s = now_s
        if self._reported != (self._output.state, self._gate.plan_id, self._gate.stops):
            self._report()

    def _supervise(self) -> None:
        for topic in (topics.CMD_VEL, topics.CMD_VEL_REQUEST):
            if self._gate.state is not GateState.LATCHED and self.count_publishers(topic) > 1:
                names = sorted(info.node_name for info in self.get_publishers_info_by_topic(topic))
                self._gate.latch(f"several publishers on {topic}: {', '.join(names)}")
                self._tick()
        self._report()

    def _report(self) -> None:
        if self._reported is None or self._reported[0] is not self._output.state:
            self.get_logger().info(f"{self._output.state.value}: {', '.join(self._output.reasons)}")
        self._reported = (self._output.state, self._gate.plan_id, self._gate.stops)
        self._status.publish(
            GateStatus(
                stamp=self.get_clock().now().to_msg(),
                state=_STATES[self._output.state],
                reasons=list(self._output.reasons),
                plan_id=self._gate.plan_id,
                v_mps=self._output.v_mps,
                w_radps=self._output.w_radps,
                stops=self._gate.stops,
                longest_tick_s=self._longest_tick_s,
            )
        )
        self._longest_tick_s = 0.0

    def _diagnose(self) -> None:
        status = DiagnosticStatus(
            level=_LEVELS[self._output.state],
            name="jpai: gate",
            hardware_id=self.robot.name,
            message="; ".join(self._output.reasons) or "passing requests",
            values=[
                KeyValue(key="state", value=self._output.state.value),
                KeyValue(key="stops", value=str(self._gate.stops)),
            ],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def stamp_in_cdr(message: bytes) -> float:
    """Stamp in seconds of a serialised message that begins with a std_msgs/Header; NaN when it is too short.

    The first four bytes tell the encoding (odd second byte: little-endian), OMG DDSI-RTPS 2.5, section 10.
    """
    if len(message) < 12:
        return float("nan")
    sec, nanosec = struct.unpack_from("<iI" if message[1] & 1 else ">iI", message, 4)
    return sec + nanosec * 1e-9


def main() -> int:
    """Run the node, before all others."""
    raise_priority()
    return run(GateNode)


if __name__ == "__main__":
    sys.exit(main())
