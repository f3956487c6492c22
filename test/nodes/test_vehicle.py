"""A vehicle is told in its own words what the gate gives out, and an interface that is not here says so at the start.

The messages are stand-ins with exactly the members of the real ones: ackermann_msgs 2.0.2, autoware_control_msgs and
autoware_vehicle_msgs 1.12.0, autoware_adapi_v1_msgs 1.9.2.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from std_msgs.msg import Header

from jpai_agent.control import Program
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.nodes import vehicle
from jpai_agent.nodes.vehicle import Motions, VehicleInterfaceError, goal_of, port_for, route_for
from jpai_agent.world.robot import RobotSpec, load_robot


@dataclass(slots=True)
class AckermannDrive:
    steering_angle: float = 0.0
    steering_angle_velocity: float = 0.0
    speed: float = 0.0
    acceleration: float = 0.0
    jerk: float = 0.0


@dataclass(slots=True)
class AckermannDriveStamped:
    header: Header = field(default_factory=Header)
    drive: AckermannDrive = field(default_factory=AckermannDrive)


@dataclass(slots=True)
class Lateral:
    stamp: Time = field(default_factory=Time)
    control_time: Time = field(default_factory=Time)
    steering_tire_angle: float = 0.0
    steering_tire_rotation_rate: float = 0.0
    is_defined_steering_tire_rotation_rate: bool = False


@dataclass(slots=True)
class Longitudinal:
    stamp: Time = field(default_factory=Time)
    control_time: Time = field(default_factory=Time)
    velocity: float = 0.0
    acceleration: float = 0.0
    jerk: float = 0.0
    is_defined_acceleration: bool = False
    is_defined_jerk: bool = False


@dataclass(slots=True)
class Control:
    stamp: Time = field(default_factory=Time)
    control_time: Time = field(default_factory=Time)
    lateral: Lateral = field(default_factory=Lateral)
    longitudinal: Longitudinal = field(default_factory=Longitudinal)


@dataclass
class GearCommand:
    DRIVE = 2
    REVERSE = 20
    __slots__ = ("command", "stamp")

    def __init__(self) -> None:
        self.stamp, self.command = Time(), 0


@dataclass(slots=True)
class ResponseStatus:
    success: bool = False
    code: int = 0
    message: str = ""


@dataclass(slots=True)
class Response:
    status: ResponseStatus = field(default_factory=ResponseStatus)


@dataclass(slots=True)
class Empty:
    """A request without members: of ChangeOperationMode and ClearRoute."""


@dataclass(slots=True)
class RouteOption:
    allow_goal_modification: bool = False


@dataclass(slots=True)
class SetRoutePointsRequest:
    header: Header = field(default_factory=Header)
    option: RouteOption = field(default_factory=RouteOption)
    goal: Pose = field(default_factory=Pose)
    waypoints: list[Pose] = field(default_factory=list)


class RouteState:
    UNKNOWN, UNSET, SET, ARRIVED, CHANGING = range(5)


def service(request: type) -> Any:
    return SimpleNamespace(Request=request, Response=Response)


PACKAGES = {
    "ackermann_msgs.msg": {"AckermannDriveStamped": AckermannDriveStamped},
    "autoware_control_msgs.msg": {"Control": Control},
    "autoware_vehicle_msgs.msg": {"GearCommand": GearCommand},
    "autoware_adapi_v1_msgs.msg": {"RouteState": RouteState},
    "autoware_adapi_v1_msgs.srv": {
        "ChangeOperationMode": service(Empty),
        "ClearRoute": service(Empty),
        "SetRoutePoints": service(SetRoutePointsRequest),
    },
}


class Client:
    """A service that grants what its node says."""

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.name = node, name

    def service_is_ready(self) -> bool:
        return True

    def call_async(self, request: Any) -> Any:
        self.node.called.append((self.name, request))
        response = Response(ResponseStatus(self.node.grants, 0 if self.node.grants else 1, ""))
        return SimpleNamespace(add_done_callback=lambda done: done(SimpleNamespace(result=lambda: response)))


class Node:
    """Keeps what is published and called."""

    def __init__(self, grants: bool = True) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.called: list[tuple[str, Any]] = []
        self.heard: dict[str, Any] = {}
        self.grants = grants

    def create_publisher(self, kind: type, topic: str, qos: Any) -> Any:
        return SimpleNamespace(publish=lambda message: self.sent.append((topic, message)))

    def create_client(self, kind: Any, name: str) -> Client:
        return Client(self, name)

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self.heard[topic] = callback

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=lambda text: None)

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vehicles' message packages can be imported."""
    for name, members in PACKAGES.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name.split(".")[0], ModuleType(name.split(".")[0]))
        monkeypatch.setitem(sys.modules, name, module)


def car(interface: str) -> RobotSpec:
    return replace(load_robot("car"), vehicle_interface=interface)


def send(node: Node, interface: str, *speeds: tuple[float, float], passes: bool = True) -> None:
    """What the gate gives out, at its rate."""
    motions, port = port_for(node, car(interface))
    for tick, (v, w) in enumerate(speeds):
        port.send(motions.motion(v, w, 5.0 + 0.02 * tick, passes))


def test_twist_is_all_that_robots_get_by_default() -> None:
    assert load_robot("cart").vehicle_interface == load_robot("car").vehicle_interface == "twist"
    assert port_for(Node(), load_robot("car")) is None
    assert route_for(Node(), load_robot("car")) is None


@pytest.mark.parametrize(("interface", "package"), [("ackermann", "ackermann_msgs"), ("autoware", "autoware_control_msgs")])
def test_an_interface_whose_packages_are_not_here_says_so(interface: str, package: str) -> None:
    with pytest.raises(VehicleInterfaceError, match=rf"vehicle_interface {interface} needs the ROS 2 package {package}"):
        port_for(Node(), car(interface))


def test_an_unknown_interface_and_a_robot_that_does_not_steer_are_refused(packages: None) -> None:
    with pytest.raises(VehicleInterfaceError, match="unknown vehicle_interface 'can'; known: twist, ackermann, autoware"):
        port_for(Node(), car("can"))
    with pytest.raises(VehicleInterfaceError, match="cart does not steer"):
        port_for(Node(), replace(load_robot("cart"), vehicle_interface="ackermann"))


def test_the_steering_angle_is_that_of_the_circle_and_is_held_while_it_stands() -> None:
    motions = Motions(car("ackermann"))
    assert motions.motion(5.0, 0.5, 1.0, True).steering_rad == pytest.approx(math.atan(2.45 * 0.1))
    assert motions.motion(0.0, 0.0, 1.02, True).steering_rad == pytest.approx(math.atan(2.45 * 0.1))
    # backwards the same angle turns the other way
    assert motions.motion(-1.0, 0.1, 1.04, True).steering_rad == pytest.approx(-math.atan(2.45 * 0.1))
    assert motions.motion(0.5, 3.0, 1.06, True).steering_rad == load_robot("car").ackermann.steer_max_rad


def test_acceleration_is_that_of_the_speed_and_a_standing_vehicle_is_held() -> None:
    motions = Motions(car("ackermann"))
    motions.motion(5.0, 0.0, 1.0, True)
    assert motions.motion(5.03, 0.0, 1.02, True).acceleration_mps2 == pytest.approx(1.5)
    assert motions.motion(4.97, 0.0, 1.04, True).acceleration_mps2 == pytest.approx(-3.0)
    assert motions.motion(0.0, 0.0, 1.06, True).acceleration_mps2 == -6.0
    assert motions.motion(0.0, 0.0, 1.08, True).acceleration_mps2 == -3.0
    # backwards, faster and faster
    assert motions.motion(-0.02, 0.0, 1.10, True).acceleration_mps2 == pytest.approx(-1.0)


def test_ackermann_gets_speed_angle_and_the_magnitude_of_the_acceleration(packages: None) -> None:
    node = Node()
    send(node, "ackermann", (5.0, 0.5), (4.96, 0.496))
    topic, message = node.sent[-1]
    assert topic == "/ackermann_cmd"
    assert message.header.frame_id == "base_link"
    assert message.drive.speed == 4.96
    assert message.drive.steering_angle == pytest.approx(math.atan(0.245))
    assert message.drive.acceleration == pytest.approx(2.0)
    assert node.called == []


def test_autoware_gets_control_and_gear_where_its_controller_would_give_them(packages: None) -> None:
    node = Node()
    send(node, "autoware", (5.0, 0.5), (5.02, 0.502))
    (control_topic, control), (gear_topic, gear) = node.sent[-2:]
    assert (control_topic, gear_topic) == ("/control/trajectory_follower/control_cmd", "/control/shift_decider/gear_cmd")
    assert control.lateral.steering_tire_angle == pytest.approx(math.atan(0.245))
    assert control.longitudinal.velocity == 5.02
    assert control.longitudinal.acceleration == pytest.approx(1.0)
    assert control.longitudinal.is_defined_acceleration
    assert gear.command == GearCommand.DRIVE
    send(node, "autoware", (-1.0, 0.0), (0.0, 0.0))
    assert node.sent[-1][1].command == GearCommand.REVERSE


def test_autowares_operation_mode_follows_the_gate(packages: None) -> None:
    node = Node()
    motions, port = port_for(node, car("autoware"))
    for passes in (False, False, True, True, False):
        port.send(motions.motion(0.0, 0.0, 1.0, passes))
    assert [name for name, _ in node.called] == [vehicle.TO_STOP, vehicle.TO_AUTONOMOUS, vehicle.TO_STOP]


def test_a_mode_that_is_not_granted_is_asked_for_again_a_second_later(packages: None) -> None:
    node = Node(grants=False)
    motions, port = port_for(node, car("autoware"))
    for tick in range(110):
        port.send(motions.motion(0.0, 0.0, 1.0 + 0.02 * tick, True))
    assert [name for name, _ in node.called] == [vehicle.TO_AUTONOMOUS] * 3


def program(*points: tuple[float, float], reverse: bool = False) -> Program:
    return Program((RoadDrive(0, 5.0, points, reverse=reverse),), (0.0, 0.0, 0.0))


@pytest.mark.parametrize(("state", "services"), [
    (RouteState.UNSET, [vehicle.SET_ROUTE]),
    (RouteState.SET, [vehicle.CHANGE_ROUTE]),
    (RouteState.ARRIVED, [vehicle.CLEAR_ROUTE, vehicle.SET_ROUTE]),
])
def test_autowares_route_ends_where_the_program_does(packages: None, state: int, services: list[str]) -> None:
    node = Node()
    route = route_for(node, car("autoware"))
    node.heard["/api/routing/state"](SimpleNamespace(state=state))
    route.follow(program((0.0, 0.0), (30.0, 0.0), (30.0, 0.5)))
    assert [name for name, _ in node.called] == services
    request = node.called[-1][1]
    assert request.header.frame_id == "map"
    assert (request.goal.position.x, request.goal.position.y) == (30.0, 0.5)
    assert 2 * math.atan2(request.goal.orientation.z, request.goal.orientation.w) == pytest.approx(math.pi / 2)
    assert not request.option.allow_goal_modification


def test_a_car_that_ends_backwards_heads_against_its_way_and_one_that_waits_has_no_goal() -> None:
    assert goal_of(program((3.0, 0.0), (2.0, 0.0), reverse=True)) == pytest.approx((2.0, 0.0, 0.0))
    assert goal_of(Program((), (0.0, 0.0, 0.0))) is None
