"""The gate's process: the only one that writes to the motors. It hears stop words itself and needs nobody to stop."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.gate import Gate, GateConfig, GateState, LatchFile, NearField
from jpai_agent.language.stop import stop_word
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.arming import Arming
from jpai_agent.nodes.base import GraphNode, raise_priority, run, seconds
from jpai_agent.nodes.readings import Reading, depth_reading, lidar_reading
from jpai_agent.nodes.vehicle import port_for
from jpai_agent.world.paths import state_dir
from jpai_agent.world.robot import CameraSpec
from jpai_agent.world.scene import stands
from jpai_msgs.msg import ExecutorStatus, GateStatus

RATE_HZ = 50.0
STATUS_HZ = 10.0
# a person waits so long for a reset to reach the disk
STORE_WITHIN_S = 5.0
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
    """Publishes /cmd_vel at 50 Hz by a monotonic clock, zero from the start; arms itself only with `arm_on_start`.

    Parameters: `arm_on_start`; `estop_timeout_s` (0: no e-stop device is fitted); `state_dir`, where a latch outlives the
    process (empty: the user's folder for state); `near_stop` (the last obstacle stop); those of `Arming`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("gate_node", **options)
        self._arm_on_start: bool = self.declare_parameter("arm_on_start", False).value
        estop_timeout_s: float = self.declare_parameter("estop_timeout_s", 0.0).value
        kept_in: str = self.declare_parameter("state_dir", "").value
        self._near = NearField(self.robot) if self.declare_parameter("near_stop", True).value else None
        config = GateConfig(estop_timeout_s=estop_timeout_s or None)
        self._gate = Gate(self.robot.limits, config, self.robot.ackermann, self._near)
        self._frames: dict[str, str] = {}
        folder = Path(kept_in) if kept_in else state_dir()
        self._latch = LatchFile(folder / f"gate-{self.robot.name}-{self.context.get_domain_id()}.json")
        # disks may be slow: what is written must not hold up a tick
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpai-latch")
        self._written: Future[None] | None = None
        self._kept = ""
        self._audit = self.open_audit()
        self._arming = Arming(self, self._audit, simulated=self._arm_on_start)
        self._remember()
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
        # in a group of its own: it waits for the disk, and the ticks must not wait with it
        self.create_service(Trigger, topics.GATE_ARM, self._on_arm, callback_group=MutuallyExclusiveCallbackGroup())
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
        lidar_topic, lidar_type = topics.lidar_topic(self.robot)
        self.create_subscription(lidar_type, lidar_topic, self._on_lidar, topics.SENSOR, raw=True)
        # each of these has one source; a second one is an intruder
        self._single = [topics.CMD_VEL, topics.CMD_VEL_REQUEST, topics.EXECUTOR_STATUS, topics.ODOM, lidar_topic]
        for camera in self.robot.cameras:
            if camera.depth_rate_hz > 0:
                topic = topics.camera_topic(camera.name, "depth")
                self.create_subscription(Image, topic, partial(self._on_depth, camera), topics.PICTURE, raw=True)
                self._single.append(topic)
        if self.get_parameter("use_sim_time").value:
            self._single.append(topics.CLOCK)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Arm where that is asked for: in simulation."""
        if self._arm_on_start and not self._arming.hardware:
            self._audit.note("arming", permitted=True, why="simulation", hardware=False)
            self._gate.arm()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lock; zero goes on being published."""
        self._gate.lock()
        self._tick()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Let what is being written reach the disk."""
        self._writer.shutdown()
        self._arming.close()
        self._audit.close()

    def _on_request(self, message: TwistStamped) -> None:
        self._expel((topics.CMD_VEL_REQUEST,))
        stamp_s = seconds(message.header.stamp)
        self._gate.request(
            message.twist.linear.x, message.twist.angular.z, self.steady_s(), stamp_s - self.now_s(), stamp_s
        )

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
        stamp_s = seconds(message.stamp)
        if not self._gate.heartbeat(self.steady_s(), stamp_s - self.now_s(), stamp_s):
            return
        begins = message.plan_id != self._gate.plan_id
        if begins and self._gate.state is not GateState.LATCHED:
            # no new motion when a latch could not be kept any more
            self._write(None)
        self._gate.plan_accepted(message.plan_id, message.gate_stops)
        if begins:
            # what is told of a plan must be the state under that plan: the executor ends one that it hears is held
            self._tick()

    def _on_odometry(self, message: Odometry) -> None:
        reading = convert.odometry(message)
        self._driving = not stands(reading.v_mps, reading.w_radps)
        skew_s = reading.stamp_s - self.now_s()
        x, y, yaw = (float(value) for value in reading.pose)
        self._gate.odometry(x, y, yaw, reading.v_mps, reading.w_radps, self.steady_s(), skew_s, reading.stamp_s)

    def _on_lidar(self, message: bytes) -> None:
        self._on_reading("scan", lidar_reading(message, self.robot))

    def _on_depth(self, camera: CameraSpec, message: bytes) -> None:
        self._on_reading(f"depth/{camera.name}", depth_reading(message, camera, self.robot))

    def _on_reading(self, name: str, reading: Reading) -> None:
        now_s = self.steady_s()
        # a stream that suddenly calls itself another one is not this sensor's
        blank = reading.blank or self._frames.setdefault(name, reading.frame_id) != reading.frame_id
        skew_s = reading.stamp_s - self.now_s()
        if self._gate.sensor(name, now_s, skew_s, reading.stamp_s, reading.content, blank) and self._near is not None:
            self._near.see(name, reading.points, now_s)

    async def _on_arm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = await self._arming.refusal()
        if refusal:
            self.get_logger().error(f"not armed: {refusal}")
            response.success, response.message = False, refusal
            return response
        self._gate.arm()
        response.success = self._gate.state is not GateState.LATCHED
        response.message = self._gate.state.value
        self._tick()
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._gate.reset()
        if response.success:
            try:
                self._writer.submit(self._latch.store, None).result(STORE_WITHIN_S)
                self._kept = ""
            except (OSError, TimeoutError) as error:
                response.success = False
                self._gate.latch(f"a latch cannot be kept: {error}")
        response.message = self._gate.state.value
        self._tick()
        return response

    # --- the latch on the disk

    def _remember(self) -> None:
        """Take up the latch that an earlier process left, and make sure that one can be kept."""
        cause = self._latch.load()
        if cause is None:
            try:
                self._latch.store(None)
            except OSError as error:
                cause = f"a latch cannot be kept: {error}"
        if cause is not None:
            self._kept = cause
            self._gate.latch(cause)

    def _write(self, cause: str | None) -> None:
        self._written = self._writer.submit(self._latch.store, cause)

    def _keep(self) -> None:
        """Have a new latch written, and latch when what was to be written could not be."""
        written = self._written
        if written is not None and written.done():
            self._written = None
            error = written.exception()
            if error is not None:
                self.get_logger().error(f"{self._latch.path}: {error}")
                if self._gate.state is not GateState.LATCHED:
                    self._kept = f"a latch cannot be kept: {error}"
                    self._gate.latch(self._kept)
        if self._gate.state is GateState.LATCHED and not self._kept:
            self._kept = self._gate.cause
            self._write(self._kept)

    def _tick(self) -> None:
        now_s, ros_s = self.steady_s(), self.now_s()
        if ros_s > 0:
            # zero: nobody has told the time yet
            self._gate.clock(ros_s, now_s)
        self._expel((topics.CMD_VEL, topics.CMD_VEL_REQUEST))
        moved = self._gate.moving
        self._output = self._gate.tick(now_s)
        if moved and not self._gate.moving and self._output.state is GateState.OPEN:
            self.get_logger().info(f"zero: {', '.join(self._output.reasons) or 'as requested'}")
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
        self._keep()
        if self._reported != (self._output.state, self._gate.plan_id, self._gate.stops):
            self._report()

    def _expel(self, single: Sequence[str]) -> bool:
        """Latch when one of these topics has a second publisher."""
        for topic in single:
            if self._gate.state is not GateState.LATCHED and self.count_publishers(topic) > 1:
                names = sorted(info.node_name for info in self.get_publishers_info_by_topic(topic))
                self._gate.latch(f"several publishers on {topic}: {', '.join(names)}")
                return True
        return False

    def _supervise(self) -> None:
        fault = self._audit.fault
        if fault is not None and not self._gate.moving and self._gate.state in (GateState.OPEN, GateState.HELD):
            # what moves comes to its end; nothing new begins until a person has seen to it
            self._gate.latch(fault)
            self._tick()
        if self._expel(self._single):
            self._tick()
        self._report()

    def _report(self) -> None:
        if self._reported is None or self._reported[0] is not self._output.state:
            self.get_logger().info(f"{self._output.state.value}: {', '.join(self._output.reasons)}")
        if self._reported != (self._output.state, self._gate.plan_id, self._gate.stops):
            self._audit.note("gate", state=self._output.state.value, why=self._output.reasons, plan=self._gate.plan_id,
                             stops=self._gate.stops)
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


def main() -> int:
    """Run the node, before all others."""
    raise_priority()
    return run(GateNode)


if __name__ == "__main__":
    sys.exit(main())
