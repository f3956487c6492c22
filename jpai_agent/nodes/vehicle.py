"""Who stands behind the gate: a port for each kind of vehicle, chosen by `vehicle_interface` in the robot's file.

The gate publishes /cmd_vel whatever stands there; a port tells the same to a vehicle in its own words:

- `twist`: nothing more than /cmd_vel.
- `ackermann`: `ackermann_msgs/AckermannDriveStamped` (2.0.2) on /ackermann_cmd.
- `autoware`: `autoware_control_msgs/Control` and `autoware_vehicle_msgs/GearCommand` (1.12.0) where Autoware's own controller
  would give them to its vehicle_cmd_gate, and its AD API (`autoware_adapi_v1_msgs` 1.9.2): the operation mode follows the
  gate, the route is that of the program that runs. Autoware's own trajectory follower must not run beside it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rclpy.node import Node

from jpai_agent.control import Program
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import stamp_of
from jpai_agent.world.robot import RobotSpec

ACKERMANN_CMD = "/ackermann_cmd"
AUTOWARE_CONTROL = "/control/trajectory_follower/control_cmd"
AUTOWARE_GEAR = "/control/shift_decider/gear_cmd"
TO_AUTONOMOUS, TO_STOP = "/api/operation_mode/change_to_autonomous", "/api/operation_mode/change_to_stop"
SET_ROUTE, CHANGE_ROUTE, CLEAR_ROUTE = (
    "/api/routing/set_route_points", "/api/routing/change_route_points", "/api/routing/clear_route")
ROUTE_STATE = "/api/routing/state"
# slower than this the wheels keep their angle
ROLLS_MPS = 0.01
# an operation mode that was not granted is asked for again after this
ASK_AGAIN_S = 1.0


class VehicleInterfaceError(RuntimeError):
    """The robot's file names an interface that this machine, or this robot, does not have."""


@dataclass(frozen=True)
class Motion:
    """What a vehicle is to do now.

    Attributes:
        stamp_s: On the ROS clock. speed_mps: of base_link, negative backwards.
        steering_rad: Of the bicycle model's front wheel, positive to the left. acceleration_mps2: of the speed, signed; while
            it stands the braking that holds it.
        passes: The gate passes what is asked for: it is armed, and nothing holds it.
    """

    stamp_s: float
    speed_mps: float
    steering_rad: float
    acceleration_mps2: float
    passes: bool


class VehiclePort(Protocol):
    """One way to tell a vehicle."""

    def send(self, motion: Motion) -> None:
        """Tell it, at the gate's rate. Must not block."""


class Motions:
    """Makes a car's motions of the speeds that the gate gives out."""

    def __init__(self, robot: RobotSpec) -> None:
        if robot.ackermann is None:
            raise VehicleInterfaceError(f"vehicle_interface {robot.vehicle_interface}: robot {robot.name} does not steer")
        self._robot, self._ackermann = robot, robot.ackermann
        self._before: tuple[float, float] | None = None
        self._steering_rad = 0.0

    def motion(self, v_mps: float, w_radps: float, stamp_s: float, passes: bool) -> Motion:
        """The motion for base_link's speeds (m/s, rad/s)."""
        most = self._ackermann.steer_max_rad
        if abs(v_mps) >= ROLLS_MPS:
            steering = math.atan(self._ackermann.wheelbase_m * w_radps / v_mps)
            self._steering_rad = min(max(steering, -most), most)
        limits = self._robot.limits
        gained = 0.0
        if self._before is not None and stamp_s > self._before[0]:
            # of the speed's magnitude: the direction is the gear's
            gained = (abs(v_mps) - abs(self._before[1])) / (stamp_s - self._before[0])
        acceleration = min(max(gained, -limits.emergency_brake_mps2), limits.accel_mps2)
        if v_mps == 0.0:
            acceleration = min(acceleration, -limits.brake_mps2)
        self._before = (stamp_s, v_mps)
        return Motion(stamp_s, v_mps, self._steering_rad, math.copysign(1.0, v_mps) * acceleration, passes)


class Ackermann:
    """`AckermannDriveStamped` on /ackermann_cmd."""

    def __init__(self, node: Node) -> None:
        messages = _package("ackermann", "ackermann_msgs.msg")
        self._type = messages.AckermannDriveStamped
        self._publisher = node.create_publisher(self._type, ACKERMANN_CMD, topics.COMMAND)

    def send(self, motion: Motion) -> None:
        """See VehiclePort. Its acceleration is a magnitude, zero for as fast as can be."""
        message = self._type()
        message.header.stamp, message.header.frame_id = stamp_of(motion.stamp_s), "base_link"
        message.drive.speed, message.drive.steering_angle = motion.speed_mps, motion.steering_rad
        message.drive.acceleration = abs(motion.acceleration_mps2)
        self._publisher.publish(message)


class Autoware:
    """Control and gear for Autoware's vehicle_cmd_gate, which passes them on in the operation mode that is asked for here."""

    def __init__(self, node: Node) -> None:
        control = _package("autoware", "autoware_control_msgs.msg")
        vehicle = _package("autoware", "autoware_vehicle_msgs.msg")
        api = _package("autoware", "autoware_adapi_v1_msgs.srv")
        self._node, self._control, self._gear = node, control.Control, vehicle.GearCommand
        self._controls = node.create_publisher(control.Control, AUTOWARE_CONTROL, topics.COMMAND)
        self._gears = node.create_publisher(vehicle.GearCommand, AUTOWARE_GEAR, topics.COMMAND)
        self._request = api.ChangeOperationMode.Request
        self._modes = {name: node.create_client(api.ChangeOperationMode, name) for name in (TO_AUTONOMOUS, TO_STOP)}
        self._granted, self._asked_s = "", -math.inf
        self._backwards = False

    def send(self, motion: Motion) -> None:
        """See VehiclePort."""
        message = self._control()
        message.stamp = stamp_of(motion.stamp_s)
        message.lateral.stamp = message.longitudinal.stamp = message.stamp
        message.lateral.steering_tire_angle = motion.steering_rad
        message.longitudinal.velocity = motion.speed_mps
        message.longitudinal.acceleration = motion.acceleration_mps2
        message.longitudinal.is_defined_acceleration = True
        self._controls.publish(message)
        if motion.speed_mps != 0.0:
            self._backwards = motion.speed_mps < 0.0
        gear = self._gear()
        gear.stamp, gear.command = message.stamp, self._gear.REVERSE if self._backwards else self._gear.DRIVE
        self._gears.publish(gear)
        self._ask_for(TO_AUTONOMOUS if motion.passes else TO_STOP, motion.stamp_s)

    def _ask_for(self, mode: str, now_s: float) -> None:
        client = self._modes[mode]
        if mode == self._granted or abs(now_s - self._asked_s) < ASK_AGAIN_S or not client.service_is_ready():
            return
        self._asked_s = now_s
        client.call_async(self._request()).add_done_callback(lambda answer: self._on_answer(mode, answer.result()))

    def _on_answer(self, mode: str, response: Any) -> None:
        if response.status.success:
            self._granted, self._asked_s = mode, -math.inf
        else:
            self._node.get_logger().warning(f"{mode}: {response.status.message} ({response.status.code})")


class AutowareRoute:
    """Keeps Autoware's route on the program that runs: set, changed while one is set, and cleared after an arrival."""

    def __init__(self, node: Node) -> None:
        api, states = _package("autoware", "autoware_adapi_v1_msgs.srv"), _package("autoware", "autoware_adapi_v1_msgs.msg")
        self._node, self._set, self._clear, self._states = node, api.SetRoutePoints, api.ClearRoute, states.RouteState
        self._state = self._states.UNKNOWN
        self._clients = {name: node.create_client(api.SetRoutePoints, name) for name in (SET_ROUTE, CHANGE_ROUTE)}
        self._clients[CLEAR_ROUTE] = node.create_client(api.ClearRoute, CLEAR_ROUTE)
        node.create_subscription(states.RouteState, ROUTE_STATE, self._on_state, topics.LATCHED)

    def _on_state(self, message: Any) -> None:
        self._state = message.state

    def follow(self, program: Program) -> None:
        """Have the route end where a program does; nothing for one that drives nowhere."""
        goal = goal_of(program)
        if goal is None:
            return
        request = self._set.Request()
        request.header.frame_id, request.header.stamp = "map", self._node.get_clock().now().to_msg()
        request.goal.position.x, request.goal.position.y = goal[0], goal[1]
        request.goal.orientation.z, request.goal.orientation.w = math.sin(goal[2] / 2), math.cos(goal[2] / 2)
        if self._state == self._states.ARRIVED:
            self._call(CLEAR_ROUTE, self._clear.Request(), lambda: self._call(SET_ROUTE, request))
        else:
            self._call(CHANGE_ROUTE if self._state == self._states.SET else SET_ROUTE, request)

    def _call(self, name: str, request: Any, then: Callable[[], None] | None = None) -> None:
        client = self._clients[name]
        if not client.service_is_ready():
            self._node.get_logger().warning(f"{name}: nobody answers")
            return

        def answered(answer: Any) -> None:
            status = answer.result().status
            if not status.success:
                self._node.get_logger().warning(f"{name}: {status.message} ({status.code})")
            elif then is not None:
                then()

        client.call_async(request).add_done_callback(answered)


def goal_of(program: Program) -> tuple[float, float, float] | None:
    """Where a car's program ends, (x m, y m, heading rad) in the map; None when it drives nowhere."""
    drives = [segment for segment in program.segments if isinstance(segment, RoadDrive) and len(segment.points) > 1]
    if not drives:
        return None
    (x0, y0), (x1, y1) = drives[-1].points[-2:]
    heading = math.atan2(y1 - y0, x1 - x0) + (math.pi if drives[-1].reverse else 0.0)
    return x1, y1, math.remainder(heading, math.tau)


PORTS: Mapping[str, type[Ackermann] | type[Autoware] | None] = {"twist": None, "ackermann": Ackermann, "autoware": Autoware}


def port_for(node: Node, robot: RobotSpec) -> tuple[Motions, VehiclePort] | None:
    """The robot's port with what makes its motions; None where /cmd_vel is all.

    Raises VehicleInterfaceError for an unknown interface, one whose packages are not here, and a robot that does not steer.
    """
    name = robot.vehicle_interface
    if name not in PORTS:
        raise VehicleInterfaceError(f"robot {robot.name}: unknown vehicle_interface {name!r}; known: {', '.join(PORTS)}")
    port = PORTS[name]
    return None if port is None else (Motions(robot), port(node))


def route_for(node: Node, robot: RobotSpec) -> AutowareRoute | None:
    """Who keeps the vehicle's own route; None where it has none. Raises VehicleInterfaceError."""
    return AutowareRoute(node) if robot.vehicle_interface == "autoware" else None


def _package(interface: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".", maxsplit=1)[0]
        raise VehicleInterfaceError(
            f"vehicle_interface {interface} needs the ROS 2 package {package}, which is not installed here "
            f"(Debian: ros-jazzy-{package.replace('_', '-')}); with vehicle_interface twist /cmd_vel is all"
        ) from error
