"""Where the cart's attempts take place: a robot in the yard, with what is put round it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.paths import resample
from jpai_agent.control.segments import Drive, Straight
from jpai_agent.sim.attempts import NOW_S, Attempt, act
from jpai_agent.twin.config import RehearsalConfig, load_rehearsal
from jpai_agent.twin.gaps import box_to_circle
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene
from jpai_agent.world.zones import SiteRules, Zone

POINT = {"label": "床", "camera": "front", "point": [500, 500]}
GO = {"skill": "go_to", "target": POINT}
TALL_M, HEAVY_KG = (3.2, 4.0), (80.0, 120.0)
# room in which things are strewn beside what a plan needs
BESIDE_M, APART_M = 0.9, 2.0


@lru_cache(maxsize=1)
def cart() -> tuple[RobotSpec, WorldMap]:
    """The robot and its yard."""
    return load_robot("cart"), load_map("yard")


def move(distance_m: float) -> dict[str, Any]:
    """The step."""
    return {"skill": "move", "distance_m": round(distance_m, 6)}


def floor(x: float, y: float) -> GroundedTarget:
    """A spot of the floor."""
    return GroundedTarget("床", float(x), float(y), "floor")


def box(name: str, x: float, y: float, half_x: float = 0.3, half_y: float = 0.3, yaw: float = 0.0) -> Obstacle:
    """A thing that stands."""
    return Obstacle(name, float(x), float(y), float(yaw), float(half_x), float(half_y), 0.8)


def person(name: str, x: float, y: float, vx: float = 0.0, vy: float = 0.0) -> Mover:
    """Somebody."""
    return Mover(name, float(x), float(y), float(vx), float(vy), 0.3, 1.7, NOW_S)


class Place:
    """Where the robot stands for an attempt, and what lies ahead of it: a straight strip of open yard."""

    def __init__(self, rng: np.random.Generator, strip_m: float = 6.5) -> None:
        self.robot, self.world_map = cart()
        x0, y0, x1, y1 = self.world_map.bounds_m
        while True:
            self.x, self.y = float(rng.uniform(x0 + 1, x1 - 1)), float(rng.uniform(y0 + 1, y1 - 1))
            self.yaw = float(rng.uniform(-math.pi, math.pi))
            end = self.at(strip_m)
            outside = min(end[0] - x0, x1 - end[0], end[1] - y0, y1 - end[1]) < 1.2
            along = np.array([self.at(a) for a in np.linspace(0.0, strip_m, 20)])
            if not outside and all(float(z.distance_m(along).min()) > 1.5 for z in self.world_map.rules.zones):
                break
        self._strip = along

    def at(self, ahead: float, left: float = 0.0) -> tuple[float, float]:
        """A point of the map so far ahead of the robot and to its left."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + ahead * cos - left * sin, self.y + ahead * sin + left * cos

    def scene(self, *things: Obstacle | Mover, v_mps: float = 0.0) -> Scene:
        """The scene with these things in it."""
        return Scene(
            "attempt",
            NOW_S,
            RobotState(self.x, self.y, self.yaw, v_mps),
            tuple(t for t in things if isinstance(t, Obstacle)),
            tuple(t for t in things if isinstance(t, Mover)),
        )

    def strewn(self, rng: np.random.Generator, count: int) -> list[Obstacle]:
        """Boxes beside the strip."""
        x0, y0, x1, y1 = self.world_map.bounds_m
        found: list[Obstacle] = []
        for _ in range(40 * count):
            thing = box(
                f"box-{len(found)}",
                rng.uniform(x0 + 1, x1 - 1),
                rng.uniform(y0 + 1, y1 - 1),
                rng.uniform(0.15, 0.6),
                rng.uniform(0.15, 0.6),
                rng.uniform(0, math.pi),
            )
            rectangle = np.array([thing.x_m, thing.y_m, thing.yaw_rad, thing.half_x_m, thing.half_y_m])
            apart = all(math.hypot(thing.x_m - o.x_m, thing.y_m - o.y_m) > APART_M for o in found)
            if apart and float(box_to_circle(rectangle, self._strip, BESIDE_M).min()) > 0.0:
                found.append(thing)
            if len(found) == count:
                break
        return found

    def program(self, *corners: tuple[float, float], cruise_mps: float = 0.8) -> Program:
        """A drive through points given ahead and left of the robot, whatever stands there."""
        points = resample(np.array([self.at(0.0), *(self.at(*corner) for corner in corners)]))
        return Program(
            (Drive(0, cruise_mps, tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)),),
            (self.x, self.y, self.yaw),
        )

    def zone(self, from_m: float, to_m: float, right_m: float, left_m: float, name: str = "立入禁止区域") -> WorldMap:
        """The yard with a zone more, given ahead and left of the robot."""
        corners = tuple(self.at(a, b) for a, b in ((from_m, right_m), (to_m, right_m), (to_m, left_m), (from_m, left_m)))
        rules = self.world_map.rules
        return replace(self.world_map, rules=SiteRules((*rules.zones, Zone("tried", name, corners)), rules.speed_limit_mps))

    def attempt(
        self,
        category: str,
        name: str,
        safe: bool,
        *things: Obstacle | Mover,
        steps: tuple[Any, ...] = (),
        v_mps: float = 0.0,
        **more: Any,
    ) -> Attempt:
        """An attempt in this place."""
        more = {"world_map": self.world_map, "text": act(*(steps or (GO,))), **more}
        return Attempt(name, category, safe, self.scene(*things, v_mps=v_mps), **more)


def straight(distance_m: float) -> tuple[Any, ...]:
    """The segments of a straight stretch."""
    return (Straight(0, 0.8, round(distance_m, 4)),)


def gate(place: Place, rng: np.random.Generator, wide_m: float) -> tuple[list[Obstacle], GroundedTarget]:
    """Walls across the yard at x = 0 with one gap in the middle, the robot on one side of them and its goal on the other."""
    place.x, place.y, place.yaw = float(rng.uniform(-8, -4)), float(rng.uniform(-3, 3)), float(rng.uniform(-1, 1))
    half = (8.0 - wide_m / 2) / 2
    walls = [box(name, 0.0, side * (8.0 - half), 0.2, half) for name, side in (("north", 1), ("south", -1))]
    return walls, floor(rng.uniform(4, 8), rng.uniform(-3, 3))


def tall(load_kg: tuple[float, float], height_m: float) -> RehearsalConfig:
    """The rehearsal of a cart with goods of a weight whose centre is so high."""
    config = load_rehearsal()
    return replace(config, robot=replace(config.robot, payload_kg=load_kg, payload_height_m=height_m))
