"""Random street scenes for training pictures: the car somewhere on the roads, and traffic, people and landmarks before it.

Map frame, metres, degrees. Things are placed in the frame of a road: `s` along a direction of travel, `t` to the left of
the centre line; left-hand traffic, so a lane's middle is at t = 1.5 and the other one's at −1.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from jpai_agent.train.scenes import MAX_OBJECTS, Scene
from jpai_agent.world.map import Place, load_map
from jpai_agent.world.objects import COLORS, KINDS, LANDMARKS, PEOPLE, SIZES, ObjectSpec, dimensions_m
from jpai_agent.world.robot import RobotSpec, load_robot

ROADS_M = (0.0, 80.0, 160.0)  # centre lines, in x and in y
_ENDS_M = (-40.0, 200.0)
_LIT = (80.0, 80.0)  # the crossing with lights
_LANE_M, _KERB_M, _PAVEMENT_M, _FRONT_M = 1.5, 3.1, (4.4, 5.7), 6.6
_CROSSWALK_M, _STOP_LINE_M = 6.5, 9.0
_REACH_M = 42.0
_HALF_VIEW_DEG = 46.0
_CLEAR_M = 1.2  # before the car's front
_SMALL = frozenset((*PEOPLE, "cone", "bicycle", "barrier", "vending_machine", "bus_stop"))
_BUILDINGS = tuple(kind for kind in LANDMARKS if kind not in _SMALL)
_LIGHT_STATES = ("red", "green", "yellow")
Thing = tuple[str, str, str]  # kind, colour, size
Spot = tuple[float, float, float, str]  # s, t, heading relative to the road, role


@dataclass(frozen=True)
class RoadFrame:
    """A road in one direction of travel: where s = 0, t = 0 lies, and the heading of s."""

    x_m: float
    y_m: float
    heading_deg: float

    def pose(self, s: float, t: float, heading_deg: float) -> tuple[float, float, float]:
        """A map pose (x, y, heading_deg), the heading given relative to the road."""
        a = math.radians(self.heading_deg)
        return (self.x_m + s * math.cos(a) - t * math.sin(a), self.y_m + s * math.sin(a) + t * math.cos(a),
                (self.heading_deg + heading_deg + 180.0) % 360.0 - 180.0)

    def crossings(self) -> list[float]:
        """s of the crossings."""
        a = math.radians(self.heading_deg)
        return sorted((c - self.x_m) * math.cos(a) + (c - self.y_m) * math.sin(a) for c in ROADS_M)


@lru_cache(maxsize=1)
def _car() -> RobotSpec:
    return load_robot("car")


@lru_cache(maxsize=1)
def _slots() -> tuple[Place, ...]:
    return tuple(place for place in load_map("street").places if place.id.startswith("slot_"))


def street_scene(rng: np.random.Generator) -> Scene:
    """A scene with up to MAX_OBJECTS objects, those meant to be in view first."""
    stage = _Stage(rng)
    for make in _cast(rng, stage):
        make()
    return Scene(stage.pose, tuple(stage.objects), "car", _lights(rng), tuple(stage.roles))


def _lights(rng: np.random.Generator) -> tuple[dict, ...]:
    north_south = _LIGHT_STATES[int(rng.choice(3, p=[0.45, 0.43, 0.12]))]
    east_west = "red" if north_south != "red" else _LIGHT_STATES[int(rng.choice(3, p=[0.2, 0.62, 0.18]))]
    states = {"north": north_south, "south": north_south, "east": east_west, "west": east_west}
    return tuple({"at": list(_LIT), "approach": side, "phases": [[state, 60.0]]} for side, state in states.items())


class _Stage:
    """The car's pose, and things placed one by one where they fit and (mostly) where its camera looks."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._robot = _car()
        self.objects: list[ObjectSpec] = []
        self.roles: list[str] = []
        self._boxes: list[tuple[float, float, float, float]] = []  # x0, y0, x1, y1 in the map
        self.road = self._some_road()
        self.in_lane = False
        self.s, self.pose = self._robot_pose()
        self._block_robot()

    def _some_road(self) -> RoadFrame:
        rng = self._rng
        c, heading = float(rng.choice(ROADS_M)), float(rng.choice([0.0, 90.0, 180.0, -90.0]))
        if rng.random() < 0.25:
            c = 80.0  # more often with lights
        return RoadFrame(0.0, c, heading) if heading in (0.0, 180.0) else RoadFrame(c, 0.0, heading)

    def _robot_pose(self) -> tuple[float, tuple[float, float, float]]:
        rng = self._rng
        low, high = sorted(s * (1 if self.road.heading_deg in (0.0, 90.0) else -1) for s in _ENDS_M)
        crossings = self.road.crossings()
        s = rng.uniform(low + 2.0, high - 12.0)
        if rng.random() < 0.5:
            s = float(rng.choice(crossings)) - rng.uniform(9.0, 40.0)
        which = rng.random()
        if which < 0.76:
            self.in_lane = True
            pose = self.road.pose(s, _LANE_M + rng.normal(0, 0.15), rng.normal(0, 1.5))
        elif which < 0.84:
            pose = self.road.pose(s, rng.uniform(2.5, 3.2), rng.normal(0, 4.0))
        elif which < 0.92:
            s = float(rng.choice(crossings)) + rng.uniform(-6.0, 6.0)
            pose = self.road.pose(s, rng.uniform(-3.0, 3.0), rng.uniform(-90.0, 90.0))
        else:
            self.road, s = RoadFrame(0.0, 0.0, 0.0), rng.uniform(88.0, 116.0)
            pose = s, rng.uniform(5.5, 9.5), float(rng.choice([0.0, 90.0, 90.0, 180.0])) + rng.normal(0, 12.0)
        x, y, heading = pose
        return s, (round(float(x), 3), round(float(y), 3), round(float(heading), 2))

    def _block_robot(self) -> None:
        x, y, heading = self.pose
        a, spec = math.radians(heading), self._robot
        middle = spec.center_x_m + _CLEAR_M / 2
        self._boxes.append(_bounds(x + middle * math.cos(a), y + middle * math.sin(a), heading, spec.length_m + _CLEAR_M,
                                   spec.width_m + 0.4))

    def room(self) -> bool:
        """Whether one more object may be placed."""
        return len(self.objects) < MAX_OBJECTS

    def place(self, thing: Thing, spots: Callable[[], Spot], road: RoadFrame | None = None, *, seen: bool = True) -> bool:
        """Place the thing on the first of some drawn spots that is free, and in view where it shall be seen."""
        kind, color, size = thing
        width, depth, _ = dimensions_m(kind, size)
        frame = road or self.road
        for _ in range(16):
            s, t, turn, role = spots()
            pose = frame.pose(s, t, turn)
            box = _bounds(*pose, depth, width)
            if not self.room() or any(_overlap(box, other) for other in self._boxes) or (seen and not self._in_view(pose, kind)):
                continue
            if kind in _BUILDINGS and any(abs(s - c) < 11.0 for c in frame.crossings()):
                continue
            pose = (round(pose[0], 3), round(pose[1], 3), round(pose[2], 1))
            self.objects.append(ObjectSpec(f"o{len(self.objects)}", kind, pose, None if kind in LANDMARKS else color,
                                           size if KINDS[kind].sized else None))
            self.roles.append(role if self.in_lane and road is None else "")
            self._boxes.append(box)
            return True
        return False

    def _in_view(self, pose: tuple[float, float, float], kind: str) -> bool:
        camera = self._robot.camera("front").position_m[0]
        a = math.radians(self.pose[2])
        dx, dy = pose[0] - self.pose[0] - camera * math.cos(a), pose[1] - self.pose[1] - camera * math.sin(a)
        forward, left = dx * math.cos(a) + dy * math.sin(a), dy * math.cos(a) - dx * math.sin(a)
        reach = 22.0 if kind in _SMALL else _REACH_M
        return forward > 1.5 and math.hypot(dx, dy) < reach and abs(math.degrees(math.atan2(left, forward))) < _HALF_VIEW_DEG


def _cast(rng: np.random.Generator, stage: _Stage) -> list[Callable[[], object]]:
    """What shall stand where, in random order."""
    makes: list[Callable[[], object]] = []
    things: list[Thing] = []

    def vehicle(*kinds: str) -> Thing:
        if things and rng.random() < 0.5:  # one that differs from another in one attribute, or in none
            kind, color, size = things[int(rng.integers(len(things)))]
            which = rng.random()
            thing = (_vehicle(rng) if 0.55 < which < 0.85 else kind, _color(rng) if which < 0.55 else color, size)
        else:
            thing = _vehicle(rng), _color(rng), "medium"
        if kinds and thing[0] not in kinds:
            thing = kinds[int(rng.integers(len(kinds)))], thing[1], "medium"
        things.append(thing)
        return thing

    def add(thing: Thing, spots: Callable[[], Spot], **where: object) -> None:
        makes.append(partial(stage.place, thing, spots, **where))  # type: ignore[arg-type]

    def ahead(low: float = 6.5, power: float = 2.0) -> float:
        return stage.s + low + (_REACH_M - low) * float(rng.random()) ** power

    def lane() -> Spot:
        return ahead(8.0, 1.6), _LANE_M + rng.normal(0, 0.15), rng.normal(0, 1.5), "ahead"

    def other_lane() -> Spot:
        return ahead(7.5), -_LANE_M + rng.normal(0, 0.15), 180.0 + rng.normal(0, 1.5), "oncoming"

    def kerb() -> Spot:
        side = 1 if rng.random() < 0.65 else -1
        return ahead(), side * (_KERB_M + rng.uniform(-0.1, 0.3)), (0.0 if side > 0 else 180.0) + rng.normal(0, 2.0), "unsure"

    def cyclist() -> Spot:
        side = 1 if rng.random() < 0.6 else -1
        t = rng.uniform(2.3, 3.4) if rng.random() < 0.6 else rng.uniform(*_PAVEMENT_M)
        along = 0.0 if (side > 0) == (rng.random() < 0.8) else 180.0
        return ahead(), side * t, along + rng.normal(0, 6.0), "unsure"

    def pavement() -> Spot:
        side = 1 if rng.random() < 0.6 else -1
        heading = float(rng.choice([0.0, 180.0, -90.0 * side])) + rng.normal(0, 20.0)
        return ahead(4.5, 2.2), side * rng.uniform(*_PAVEMENT_M), heading, ""

    def road_edge() -> Spot:
        side = 1 if rng.random() < 0.7 else -1
        return ahead(6.0, 2.2), side * rng.uniform(0.8, 4.0), float(rng.choice([0.0, 180.0])) + rng.normal(0, 10.0), ""

    def crosswalk() -> Spot:
        near = [c for c in stage.road.crossings() if c > stage.s + 8.0] or [stage.s + 15.0]
        arm = -_CROSSWALK_M if rng.random() < 0.8 else _CROSSWALK_M
        return near[0] + arm + rng.uniform(-1.0, 1.0), rng.uniform(-4.0, 4.5), float(rng.choice([90.0, -90.0])), ""

    def crossing_traffic() -> Spot:
        near = [c for c in stage.road.crossings() if c > stage.s + 4.0] or [stage.s + 25.0]
        side = 1 if rng.random() < 0.5 else -1
        # from the left traffic drives on the near side
        return near[0] - side * _LANE_M, rng.uniform(-28.0, 28.0), -90.0 * side, ""

    def frontage(kind: str) -> Callable[[], Spot]:
        def draw() -> Spot:
            side = 1 if rng.random() < 0.6 else -1
            t = {"bus_stop": rng.uniform(4.2, 4.6), "vending_machine": rng.uniform(5.4, 6.2)}.get(
                kind, _FRONT_M + 3.0 + rng.uniform(0.0, 3.0))
            return ahead(5.0 if kind in _SMALL else 9.0, 1.0), side * t, -90.0 * side, ""
        return draw

    def slot() -> Spot:
        place = _slots()[int(rng.integers(len(_slots())))]
        return place.x_m, place.y_m + rng.normal(0, 0.15), float(rng.choice([90.0, -90.0])) + rng.normal(0, 2.0), ""

    def some(*shares: float) -> range:
        return range(int(rng.choice(len(shares), p=shares)))

    for _ in some(0.45, 0.45, 0.10):
        add(vehicle(), lane)
    for _ in some(0.5, 0.35, 0.15):
        add(vehicle(), other_lane)
    for _ in some(0.3, 0.3, 0.25, 0.15):
        add(vehicle("car", "car", "kei_truck", "truck", "bus"), kerb)
    for _ in some(0.78, 0.22):
        add(vehicle("car", "kei_truck", "truck", "bus", "bicycle"), crossing_traffic)
    for _ in some(0.6, 0.3, 0.1):
        add(("bicycle", _color(rng), "medium"), cyclist)
    for _ in some(0.25, 0.35, 0.25, 0.15):
        kind = "child" if rng.random() < 0.3 else "person"
        add((kind, _color(rng), "medium"), crosswalk if rng.random() < 0.25 else road_edge if rng.random() < 0.1 else pavement)
    for _ in some(0.62, 0.18, 0.12, 0.08):
        add(("cone", _color(rng) if rng.random() < 0.4 else "orange", SIZES[int(rng.integers(3))]), road_edge)
    for _ in some(0.78, 0.17, 0.05):
        add(("barrier", _color(rng) if rng.random() < 0.5 else "yellow", "medium"), road_edge)
    landmarks = [LANDMARKS[int(rng.integers(len(LANDMARKS)))] for _ in some(0.35, 0.35, 0.2, 0.1)]
    if landmarks and rng.random() < 0.18:
        landmarks.append(landmarks[0])
    for kind in landmarks:
        add((kind, "", "medium"), frontage(kind))
    if abs(stage.pose[1]) < 12.0 and 70.0 < stage.pose[0] < 125.0:
        for _ in some(0.2, 0.2, 0.25, 0.2, 0.15):
            add(vehicle("car", "kei_truck"), slot, road=RoadFrame(0.0, 0.0, 0.0))
    order = rng.permutation(len(makes))
    made = [makes[i] for i in order]
    if rng.random() < 0.3:  # something out of view
        behind = partial(stage.place, vehicle(), lambda: (stage.s - rng.uniform(8.0, 30.0), *lane()[1:3], ""), seen=False)
        made.append(behind)
    return made


def _vehicle(rng: np.random.Generator) -> str:
    return ("car", "truck", "bus", "kei_truck", "bicycle")[int(rng.choice(5, p=[0.42, 0.2, 0.13, 0.17, 0.08]))]


def _color(rng: np.random.Generator) -> str:
    return list(COLORS)[int(rng.integers(len(COLORS)))]


def _bounds(x: float, y: float, heading_deg: float, length: float, width: float) -> tuple[float, float, float, float]:
    a = math.radians(heading_deg)
    hx = (abs(math.cos(a)) * length + abs(math.sin(a)) * width) / 2
    hy = (abs(math.sin(a)) * length + abs(math.cos(a)) * width) / 2
    return x - hx, y - hy, x + hx, y + hy


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float], gap: float = 0.25) -> bool:
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap
