"""Where the car's attempts take place: a car on a lane of the town, with what is put round it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.road.routes import LanePosition, Network, RoadError, Way, network_of
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.sim.attempts import NOW_S, Attempt, act, pick
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene, SeenLight
from jpai_agent.world.zones import SiteRules, Zone

DRIVE = {"skill": "drive", "distance_m": 30.0}
TURNS = ("left", "straight", "right")
MOST_DRAWS = 1000


@lru_cache(maxsize=1)
def car() -> tuple[RobotSpec, WorldMap, Network]:
    """The robot, its town, and the ways there."""
    world_map = load_map("street")
    assert world_map.road is not None
    return load_robot("car"), world_map, network_of(world_map.road)


@dataclass(frozen=True)
class Spot:
    """A car on a lane, with the way ahead of it.

    Attributes:
        way: From base_link on. v_mps: its speed.
    """

    way: Way
    v_mps: float

    @property
    def start(self) -> tuple[float, float, float]:
        x, y, yaw = self.way.at(0.0)
        return float(x), float(y), float(yaw)

    def at(self, ahead: float, left: float = 0.0) -> tuple[float, float, float]:
        """(x, y, yaw) so far along the way and left of it."""
        x, y, yaw = self.way.at(ahead, left)
        return float(x), float(y), float(yaw)

    def program(
        self,
        length_m: float,
        *,
        rules: bool = True,
        cruise_mps: float = 6.9,
        rests: bool = True,
        aside: Sequence[float] | None = None,
    ) -> Program:
        """A drive along the way; without rules nothing is marked along it. aside: metres left of it, per point."""
        count = round(length_m / 0.5) + 1
        along = np.linspace(0.0, length_m, count)
        poses = self.way.at(along) if aside is None else np.array([self.at(a, b) for a, b in zip(along, aside, strict=True)])
        points = tuple((round(float(x), 4), round(float(y), 4)) for x, y in poses[:, :2])
        marks = tuple((m.kind, round(m.from_m, 3), round(m.to_m, 3), m.id) for m in self.way.marks if m.from_m < length_m)
        walks = tuple((c.id, c.x_m, c.y_m, c.yaw_rad, c.half_along_m, c.half_across_m) for c in car()[2].road.crosswalks)
        return Program(
            (RoadDrive(0, cruise_mps, points, rests=rests, marks=marks if rules else ()),), self.start, crosswalks=walks
        )

    def scene(self, *things: Obstacle | Mover, lights: str = "") -> Scene:
        """The scene with these things; lights: what all heads show that were read."""
        heads = car()[2].road.lights.values()
        near = [h for h in heads if math.hypot(h.x_m - self.start[0], h.y_m - self.start[1]) < 80.0]
        seen = tuple(SeenLight(h.id, lights, NOW_S) for h in near if math.cos(h.yaw_rad - self.start[2]) < -0.7) if lights else ()
        return Scene(
            "attempt",
            NOW_S,
            RobotState(*self.start, self.v_mps),
            tuple(t for t in things if isinstance(t, Obstacle)),
            tuple(t for t in things if isinstance(t, Mover)),
            seen,
        )

    def attempt(
        self,
        category: str,
        name: str,
        safe: bool,
        *things: Obstacle | Mover,
        steps: tuple[Any, ...] = (DRIVE,),
        lights: str = "",
        **more: Any,
    ) -> Attempt:
        """An attempt from here."""
        return Attempt(
            name, category, safe, self.scene(*things, lights=lights), **{"world_map": car()[1], "text": act(*steps), **more}
        )


def vehicle(name: str, pose: tuple[float, float, float], v_mps: float) -> Mover:
    """A car under way."""
    x, y, yaw = pose
    return Mover(
        name, x, y, v_mps * math.cos(yaw), v_mps * math.sin(yaw), math.hypot(2.1, 0.85), 1.5, NOW_S, 0.05, yaw, 2.1, 0.85
    )


def parked(name: str, pose: tuple[float, float, float], half: tuple[float, float] = (2.1, 0.85)) -> Obstacle:
    """A car, or a thing of other half extents, that stands."""
    return Obstacle(name, pose[0], pose[1], pose[2], *half, 1.5)


def person(name: str, pose: tuple[float, float, float], v_mps: float = 0.0) -> Mover:
    """Somebody, going where the pose looks."""
    x, y, yaw = pose
    return Mover(name, x, y, v_mps * math.cos(yaw), v_mps * math.sin(yaw), 0.3, 1.7, NOW_S)


def before(rng: np.random.Generator, kind: str, room_m: tuple[float, float], v_mps: float, turns: Sequence[str] = ()) -> Spot:
    """A car whose front is room_m (low, high) before the first mark of a kind ("light", "sign", "crosswalk") on its way.

    Raises ValueError where there is no such place.
    """
    robot, _, network = car()
    lanes = [lane.id for lane in network.road.lanes.values() if lane.crossing is None and lane.following]
    for _ in range(MOST_DRAWS):
        lane = int(pick(rng, lanes))
        length = network.length_m(lane)
        marks = [m for m in network.ahead(LanePosition(lane, 0.5), (), length + 12.0).marks if m.kind == kind]
        along = 0.5 + marks[0].from_m - robot.front_m - float(rng.uniform(*room_m)) if marks else -1.0
        if 2.0 < along < length - 1.0:
            try:
                return Spot(network.ahead(LanePosition(lane, along), turns), v_mps)
            except RoadError:
                continue
    raise ValueError(f"no place {room_m} m before a {kind}, turns {list(turns)}")


def open_lane(rng: np.random.Generator, clear_m: float, v_mps: float) -> Spot:
    """A car on a lane with clear_m of it ahead before any crossing."""
    network = car()[2]
    lanes = [
        lane.id for lane in network.road.lanes.values() if lane.crossing is None and network.length_m(lane.id) > clear_m + 9.0
    ]
    lane = int(pick(rng, lanes))
    along = float(rng.uniform(2.0, network.length_m(lane) - clear_m - 6.0))
    return Spot(network.ahead(LanePosition(lane, along)), v_mps)


def place(of: Any) -> GroundedTarget:
    """A place of the map as a target."""
    return GroundedTarget(of.names[0], of.x_m, of.y_m, "place", of.yaw_rad)


def by_car_park(rng: np.random.Generator) -> Spot:
    """A car on the road y = 0, eastbound, a little before the car park."""
    network = car()[2]
    position = network.locate(np.array([float(rng.uniform(86.0, 90.0)), 1.5, 0.0]))
    assert position is not None
    return Spot(network.ahead(position), float(rng.uniform(0.0, 3.0)))


def turned(pose: tuple[float, float, float]) -> tuple[float, float, float]:
    return pose[0], pose[1], pose[2] + math.pi


def closed(spot: Spot, from_m: float, to_m: float, right_m: float = -1.5, left_m: float = 1.5) -> WorldMap:
    """The town with the lane ahead of a car closed."""
    corners = tuple(spot.at(a, b)[:2] for a, b in ((from_m, right_m), (to_m, right_m), (to_m, left_m), (from_m, left_m)))
    return replace(car()[1], rules=SiteRules((Zone("works", "工事区間", corners),)))
