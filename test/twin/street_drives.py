"""Scenes and programs of the street for the rehearsal's tests: straight from the road map, so that they say what they drive."""

import math
from dataclasses import replace

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.road.routes import Network
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.verdict import Binding
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene, SeenLight

CAR, STREET = load_robot("car"), load_map("street")
ROAD, NETWORK = STREET.road, Network(STREET.road)
BINDING = Binding("plan", "program", "scene", "robot", "model", "site")
# eastbound, 51 m before the lights of (80, 80), and before the stop sign of (80, 0)
TO_LIGHT, TO_SIGN = (20.0, 81.5, 0.0), (20.0, 1.5, 0.0)
WALKS = tuple((c.id, c.x_m, c.y_m, c.yaw_rad, c.half_along_m, c.half_across_m) for c in ROAD.crosswalks)


def scene(start, *things, v_mps=0.0, light=None) -> Scene:
    """The car at start (x, y, yaw) with things around it; light: what the head of (80, 80)'s western approach shows."""
    lights = (SeenLight("light_80_80_west", light, 5.0),) if light else ()
    return Scene("s", 5.0, RobotState(*start, v_mps), tuple(t for t in things if isinstance(t, Obstacle)),
                 tuple(t for t in things if isinstance(t, Mover)), lights)


def drive(start, length_m, turns=(), *, cruise_mps=6.9, rests=True, rules=True) -> Program:
    """Along the lane from start, with these turns, to rest after length_m; without rules nothing is marked along it."""
    way = NETWORK.ahead(NETWORK.locate(np.array(start)), turns, length_m)
    marks = tuple((m.kind, m.from_m, m.to_m, m.id) for m in way.marks) if rules else ()
    points = tuple((float(x), float(y)) for x, y in way.points)
    return Program((RoadDrive(0, cruise_mps, points, rests=rests, marks=marks),), start, crosswalks=WALKS)


def around(start, x_m, *, aside_m=2.4, reach_m=14.0, length_m=40.0, rules=True, cruise_mps=5.0) -> Program:
    """Eastwards from start past a thing at x_m, aside_m to the right of the lane's middle, reach_m before it to as far behind."""
    x0, y0, _ = start
    points = []
    for i in range(round(length_m / 0.5) + 1):
        x = x0 + 0.5 * i
        share = min(max((reach_m - abs(x - x_m)) / 8.0, 0.0), 1.0)
        points.append((x, y0 - aside_m * (1 - math.cos(math.pi * share)) / 2))
    marks = (("pass", x_m - reach_m - x0, x_m + reach_m - x0, "parked"),) if rules else ()
    return Program((RoadDrive(0, cruise_mps, tuple(points), rests=True, marks=marks),), start, crosswalks=WALKS)


def vehicle(x, y, heading_deg, v_mps, name="vehicle", half=(2.1, 0.85)) -> Mover:
    yaw = math.radians(heading_deg)
    return Mover(name, x, y, v_mps * math.cos(yaw), v_mps * math.sin(yaw), math.hypot(*half), 1.5, 5.0, 0.05, yaw, *half)


def cyclist(x, y, heading_deg, v_mps, name="cyclist") -> Mover:
    return vehicle(x, y, heading_deg, v_mps, name, (0.85, 0.3))


def person(x, y, heading_deg=0.0, v_mps=0.0, name="person") -> Mover:
    yaw = math.radians(heading_deg)
    return Mover(name, x, y, v_mps * math.cos(yaw), v_mps * math.sin(yaw), 0.3, 1.7, 5.0)


def parked(x, y, name="parked") -> Obstacle:
    return Obstacle(name, x, y, 0.0, 2.1, 0.85, 1.5)


def verdict_on(program, where, rollouts=12, **more):
    return rehearse(program, where, CAR, STREET, BINDING, rollouts=rollouts, **more)


def with_config(config, section, **values):
    """The config with these values of a section in place of its own."""
    return replace(config, **{section: replace(getattr(config, section), **values)})
