"""Stands in for all that is around a gate: a robot's drivers and sensors, and an executor that wants to drive.

Whoever tries a gate (the fault table, the latency bench, tests) bends single streams of it. Everything runs in `step`, on the
caller's thread and monotonic clock; the ROS clock that it tells can be bent too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry as OdometryMsg
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String

from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import stamp_of
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import DepthImage, LidarScan, Odometry
from jpai_msgs.msg import ExecutorStatus, GateStatus

Bend = Callable[[Any], list[Any]]

CLOCK_BEGINS_S = 1000.0
# a robot's own driver stops when it is told nothing for so long (diff_drive_controller's default)
DRIVER_TIMEOUT_S = 0.5
# twice as many pictures as the robots' cameras give, so that one lost on a busy machine is not taken for the fault under trial;
# it makes the loss of a camera take longer to be noticed, not shorter
ODOMETRY_HZ, CONTROL_HZ, CLOCK_HZ, DEPTH_HZ = 20.0, 20.0, 50.0, 10.0
LAG_S = 0.08
# all around nothing is nearer than this
ROOM_M = 9.0


class StandIn:
    """Sensors, motors and executor of a robot that drives in the open.

    Attributes:
        bends: By stream (odom, scan, depth, request, heartbeat): turns a message that is due into those that are sent.
        wanted: What its executor asks for (v m/s, w rad/s). request_hz: how often. clock_rate: how fast the ROS clock runs.
        speed: What the motors do (m/s, rad/s). commands: what came, and when. state, reasons, longest_tick_s: the gate tells.
        fitted_estop: An e-stop device tells all the time that it is not pressed.
        obstacle_m: By sensor (scan, depth): distance of something ahead of base_link that it shows; none where left out.
    """

    def __init__(self, node: Node, robot: RobotSpec, *, tells_time: bool = True, seed: int = 0) -> None:
        self.node, self.robot = node, robot
        self.bends: dict[str, Bend] = {}
        self.wanted = (0.5, 0.0) if robot.ackermann is None else (3.0, 0.0)
        self.clock_rate, self.request_hz = 1.0, CONTROL_HZ
        self.speed = (0.0, 0.0)
        self.commands: list[tuple[float, float, float]] = []
        self.state, self.reasons, self.stops = -1, "", 0
        self.longest_tick_s = 0.0
        self.plan_id, self.stops_known = "plan-0", 0
        self.obstacle_m: dict[str, float] = {}
        self.fitted_estop = False
        self.tells_time = tells_time
        self._rng = np.random.default_rng(seed)
        self._pose = np.zeros(3)
        self._ros_s, self._stepped_s = CLOCK_BEGINS_S, time.monotonic()
        self._commanded, self._commanded_s = (0.0, 0.0), -math.inf
        self._due: dict[str, float] = {}
        self._scan_noise = 1.0 + 0.01 * self._rng.standard_normal(len(robot.lidar.rows_deg) * robot.lidar.beams * 2)
        self._depth_camera = next(camera for camera in robot.cameras if camera.depth_rate_hz > 0)
        self._floor = self._floor_depth()
        self._depth_noise = (1.0 + 0.01 * self._rng.standard_normal(self._floor.size * 2)).astype(np.float32)
        listen, speak = node.create_subscription, node.create_publisher
        listen(TwistStamped, topics.CMD_VEL, self._on_command, topics.COMMAND)
        listen(GateStatus, topics.GATE_STATUS, self._on_status, topics.LATCHED)
        lidar_topic, lidar_type = topics.lidar_topic(robot)
        depth_topic = topics.camera_topic(self._depth_camera.name, "depth")
        self.publishers = {
            "odom": speak(OdometryMsg, topics.ODOM, topics.COMMAND),
            "scan": speak(lidar_type, lidar_topic, topics.SENSOR),
            "depth": speak(Image, depth_topic, topics.PICTURE),
            "request": speak(TwistStamped, topics.CMD_VEL_REQUEST, topics.COMMAND),
            "heartbeat": speak(ExecutorStatus, topics.EXECUTOR_STATUS, topics.COMMAND),
        }
        if tells_time:
            self.publishers["clock"] = speak(Clock, topics.CLOCK, topics.SENSOR)
        self.words = speak(String, topics.INSTRUCTION, topics.WORDS)
        self.stop_messages = speak(String, topics.STOP, topics.WORDS)
        self.estop = speak(Bool, topics.ESTOP, topics.WORDS)

    @property
    def now_s(self) -> float:
        """The ROS clock."""
        return self._ros_s if self.tells_time else self.node.get_clock().now().nanoseconds * 1e-9

    @property
    def drives(self) -> bool:
        """The motors are given more than zero, and what they were given is not out of date."""
        return self._commanded != (0.0, 0.0) and time.monotonic() - self._commanded_s <= DRIVER_TIMEOUT_S

    def tell_time(self, step_s: float) -> None:
        """Have the ROS clock step."""
        self._ros_s += step_s

    def new_plan(self) -> None:
        """The executor accepts another plan, knowing all stops so far."""
        self.plan_id, self.stops_known = f"plan-{int(self.plan_id.split('-')[1]) + 1}", self.stops

    def step(self) -> None:
        """Let time pass until now and send what is due."""
        now_s = time.monotonic()
        passed_s, self._stepped_s = now_s - self._stepped_s, now_s
        self._ros_s += passed_s * self.clock_rate
        self._roll(passed_s, now_s)
        rates = {"clock": CLOCK_HZ, "odom": ODOMETRY_HZ, "scan": self.robot.lidar.rate_hz,
                 "depth": DEPTH_HZ, "heartbeat": CONTROL_HZ, "request": self.request_hz}
        for stream, rate_hz in rates.items():
            if stream in self.publishers and now_s >= self._due.get(stream, 0.0):
                self._due[stream] = max(self._due.get(stream, 0.0) + 1.0 / rate_hz, now_s + 0.5 / rate_hz)
                for message in self.bends.get(stream, _unbent)(getattr(self, f"_{stream}")()):
                    self.publishers[stream].publish(message)

        if self.fitted_estop and now_s >= self._due.get("estop", 0.0):
            self._due["estop"] = now_s + 0.1
            self.estop.publish(Bool(data=False))

    def _roll(self, passed_s: float, now_s: float) -> None:
        told = self._commanded if now_s - self._commanded_s <= DRIVER_TIMEOUT_S else (0.0, 0.0)
        share = 1.0 - math.exp(-passed_s / LAG_S)
        v, w = (have + share * (want - have) for have, want in zip(self.speed, told, strict=True))
        self.speed = (v, w)
        x, y, yaw = self._pose
        middle = yaw + w * passed_s / 2
        self._pose = np.array([x + v * passed_s * math.cos(middle), y + v * passed_s * math.sin(middle), yaw + w * passed_s])

    def _on_command(self, message: TwistStamped) -> None:
        now_s, twist = time.monotonic(), message.twist
        self._commanded, self._commanded_s = (twist.linear.x, twist.angular.z), now_s
        self.commands.append((now_s, *self._commanded))

    def _on_status(self, message: GateStatus) -> None:
        self.state, self.reasons, self.stops = message.state, "; ".join(message.reasons), message.stops
        self.longest_tick_s = max(self.longest_tick_s, message.longest_tick_s)

    # --- what the streams carry

    def _clock(self) -> Clock:
        return Clock(clock=stamp_of(self.now_s))

    def _odom(self) -> OdometryMsg:
        v, w = (value * (1.0 + 0.01 * self._rng.standard_normal()) for value in self.speed)
        return convert.odometry_msg(Odometry(self.now_s, self._pose, v, w))

    def scan(self, range_m: float | None = None) -> LidarScan:
        """A turn of the lidar of now; of one range all around where that is given."""
        lidar = self.robot.lidar
        shape = (len(lidar.rows_deg), lidar.beams)
        count = shape[0] * shape[1]
        start = int(self._rng.integers(count))
        ranges = np.full(shape, ROOM_M if range_m is None else range_m)
        rise = np.radians(np.asarray(lidar.rows_deg))[:, None]
        with np.errstate(divide="ignore"):
            ranges = np.minimum(ranges, np.where(rise < 0, lidar.height_m / np.sin(-rise), np.inf))
        azimuth = -math.pi + np.arange(lidar.beams) * math.tau / lidar.beams
        if "scan" in self.obstacle_m:
            # a wall square to the way, as wide as the robot
            ahead = (self.obstacle_m["scan"] - lidar.x_m) / np.maximum(np.cos(azimuth), 1e-6)
            wall = np.abs(ahead * np.sin(azimuth)) <= self.robot.width_m / 2
            ranges = np.where(wall & (np.cos(azimuth) > 0), np.minimum(ranges, ahead / np.cos(rise)), ranges)
        ranges = ranges * self._scan_noise[start : start + count].reshape(shape)
        return LidarScan(self.now_s, ranges[0] if shape[0] == 1 else ranges, -math.pi, math.tau / lidar.beams, lidar.range_max_m)

    def _scan(self) -> Any:
        return self.scan_msg(self.scan())

    def scan_msg(self, scan: LidarScan) -> Any:
        """A turn as the robot's driver would send it."""
        lidar = self.robot.lidar
        return convert.scan_msg(scan, lidar.rate_hz) if len(lidar.rows_deg) == 1 else convert.points_msg(scan, lidar)

    def _depth(self) -> Image:
        floor = self._floor
        if "depth" in self.obstacle_m:
            floor = floor.copy()
            height, width = floor.shape
            floor[height // 4 :, width // 3 : 2 * width // 3] = self.obstacle_m["depth"] - self._depth_camera.position_m[0]
        start = int(self._rng.integers(floor.size))
        noise = self._depth_noise[start : start + floor.size].reshape(floor.shape)
        return self.depth_msg(floor * noise)

    def depth_msg(self, depth_m: np.ndarray) -> Image:
        """A depth frame of now as the robot's driver would send it, from (h, w) metres."""
        return convert.depth_msg(DepthImage(self._depth_camera.name, self.now_s, depth_m))

    def _floor_depth(self) -> np.ndarray:
        camera = self._depth_camera
        height, width = camera.depth_height_px, camera.depth_width_px
        focal = camera.focal_px * width / camera.width_px
        down = (np.arange(height) - height / 2 + 0.5) / focal
        pitch = math.radians(camera.pitch_deg)
        drop = math.sin(pitch) + down * math.cos(pitch)
        depth = np.where(drop > 1e-3, camera.position_m[2] / np.maximum(drop, 1e-3), ROOM_M)
        return np.repeat(np.minimum(depth, ROOM_M)[:, None], width, axis=1).astype(np.float32)

    def _heartbeat(self) -> ExecutorStatus:
        return ExecutorStatus(stamp=stamp_of(self.now_s), plan_id=self.plan_id, gate_stops=self.stops_known)

    def _request(self) -> TwistStamped:
        return self.request_msg(*self.wanted)

    def request_msg(self, v_mps: float, w_radps: float, offset_s: float = 0.0) -> TwistStamped:
        """A request of now, its stamp off by `offset_s`."""
        message = TwistStamped()
        message.header.stamp = stamp_of(max(0.0, self.now_s + offset_s))
        message.twist.linear.x, message.twist.angular.z = v_mps, w_radps
        return message


def _unbent(message: Any) -> list[Any]:
    return [message]
