"""Random scenes for training pictures, here of the yard: where the robot stands, what is before it, distractors.

Map frame, metres, degrees. Objects are drawn so that instructions have something to tell apart: most share all but one
attribute with another one, some are exact doubles, many stand in rows, beside, before, behind or between others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from jpai_agent.world.objects import COLORS, KINDS, PEOPLE, SIZES, YARD_KINDS, ObjectSpec, dimensions_m

MAX_OBJECTS = 12
THINGS = tuple(kind for kind in YARD_KINDS if kind not in PEOPLE)
_BOUNDS_M = (-11.6, -7.6, 11.6, 7.6)
_HALF_VIEW_RAD = math.radians(43.0)
_CAMERA_FORWARD_M = 0.35
_GAP_M = 0.12  # least gap between two objects
_ROBOT_GAP_M = 0.75  # least distance of an object's edge from base_link
Attributes = tuple[str, str, str]


@dataclass(frozen=True)
class Scene:
    """What a frame is taken of.

    Attributes:
        robot_pose: (x, y, heading_deg) of base_link. objects: those meant to be in view first, then those that are not.
        robot: Whose scene it is. lights: as in an episode.
        roles: Of each object, see ObjectView; empty where there are none.
    """

    robot_pose: tuple[float, float, float]
    objects: tuple[ObjectSpec, ...]
    robot: str = "cart"
    lights: tuple[dict[str, Any], ...] = ()
    roles: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The scene as in an episode's line (DESIGN section 7)."""
        data = {"robot_pose": list(self.robot_pose), "robot_speed_mps": 0, "objects": [o.to_dict() for o in self.objects]}
        return data | {"lights": list(self.lights)} if self.lights else data


def random_scene(rng: np.random.Generator, robot: str = "cart") -> Scene:
    """A random scene of the robot's world."""
    if robot == "cart":
        return yard_scene(rng)
    from jpai_agent.train.scenes_street import street_scene

    return street_scene(rng)


def yard_scene(rng: np.random.Generator) -> Scene:
    """A scene with 2 to MAX_OBJECTS objects, none touching another, the robot or a wall."""
    stage = _Stage(rng)
    for attributes in _cast(rng):
        stage.place(attributes)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.55, 0.22, 0.15, 0.08]))):
        stage.place_out_of_view(_attributes(rng) if rng.random() < 0.7 else _person(rng))
    return Scene(stage.pose, tuple(stage.objects[:MAX_OBJECTS]))


def _attributes(rng: np.random.Generator) -> Attributes:
    kind = THINGS[int(rng.integers(len(THINGS)))]
    return kind, list(COLORS)[int(rng.integers(len(COLORS)))], SIZES[int(rng.choice(3, p=[0.3, 0.4, 0.3]))]


def _person(rng: np.random.Generator) -> Attributes:
    return ("worker" if rng.random() < 0.45 else "person"), list(COLORS)[int(rng.integers(len(COLORS)))], "medium"


def _changed(attributes: Attributes, rng: np.random.Generator) -> Attributes:
    """The same but for one attribute."""
    kind, color, size = attributes
    other = _person(rng) if kind in PEOPLE else _attributes(rng)
    which = rng.random()
    if which < 0.5 or (kind in PEOPLE and which < 0.8):
        return kind, other[1], size
    if which < 0.75:
        return other[0], color, size
    return kind, color, other[2]


def _cast(rng: np.random.Generator) -> list[Attributes]:
    """Attributes of the objects in view, 2 to 10 of them."""
    count = int(rng.choice(np.arange(2, 11), p=[0.03, 0.09, 0.14, 0.18, 0.18, 0.15, 0.11, 0.07, 0.05]))
    cast: list[Attributes] = []
    if rng.random() < 0.35:  # several of a kind, for ordinals and superlatives
        first = _attributes(rng)
        alike = rng.random() < 0.4
        for _ in range(int(rng.integers(2, 5))):
            _, color, size = _attributes(rng)
            cast.append((first[0], first[1] if alike else color, first[2] if rng.random() < 0.6 else size))
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.45, 0.3, 0.18, 0.07]))):
        cast.append(_person(rng))
    while len(cast) < count:
        which = rng.random()
        old = cast[int(rng.integers(len(cast)))] if cast else _attributes(rng)
        cast.append(_changed(old, rng) if which < 0.42 else old if which < 0.52 else _attributes(rng))
    order = rng.permutation(len(cast))
    return [cast[i] for i in order[:10]]


class _Stage:
    """Places objects one by one where they fit."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.objects: list[ObjectSpec] = []
        self._radii: list[float] = []
        self.pose = self._robot_pose()

    def _robot_pose(self) -> tuple[float, float, float]:
        """Anywhere with 4 m or more of floor ahead, now and then facing a wall."""
        rng = self._rng
        if rng.random() < 0.12:
            return 0.0, 0.0, float(rng.choice([0.0, 0.0, 90.0, 180.0, -90.0]))
        need = 4.0 if rng.random() < 0.93 else 1.8
        while True:
            x, y = rng.uniform(-11.2, 11.2), rng.uniform(-7.2, 7.2)
            heading = float(rng.choice([0.0, 90.0, 180.0, -90.0])) if rng.random() < 0.15 else rng.uniform(-180.0,
                                                                                                           180.0)
            a = math.radians(heading)
            if _inside(x + need * math.cos(a), y + need * math.sin(a), 0.0):
                return round(float(x), 3), round(float(y), 3), round(float(heading), 2)

    def place(self, attributes: Attributes) -> None:
        """Somewhere in view, often in a relation to one that already stands; left out when nothing fits."""
        radius = _radius(attributes)
        for _ in range(40):
            x, y = self._near(radius) if len(self.objects) and self._rng.random() < 0.42 else self._in_view()
            if self._add(attributes, x, y, radius):
                return

    def place_out_of_view(self, attributes: Attributes) -> None:
        """Beside or behind the robot, where its camera does not look."""
        radius = _radius(attributes)
        for _ in range(20):
            bearing = self._rng.uniform(math.radians(65), math.radians(295))
            x, y = self._at(bearing, self._rng.uniform(1.5, 8.0))
            if self._add(attributes, x, y, radius):
                return

    def _at(self, bearing_rad: float, distance_m: float) -> tuple[float, float]:
        """Map position of what the camera's foot point sees at this bearing (left positive) and distance."""
        x, y, heading = self.pose
        a = math.radians(heading)
        return (x + _CAMERA_FORWARD_M * math.cos(a) + distance_m * math.cos(a + bearing_rad),
                y + _CAMERA_FORWARD_M * math.sin(a) + distance_m * math.sin(a + bearing_rad))

    def _in_view(self) -> tuple[float, float]:
        rng = self._rng
        reach = 1.1 + 8.0 * rng.random() ** 1.15
        return self._at(rng.uniform(-_HALF_VIEW_RAD, _HALF_VIEW_RAD), reach)

    def _near(self, radius: float) -> tuple[float, float]:
        """Beside, before, behind or between objects that already stand, as the robot sees it."""
        rng = self._rng
        i = int(rng.integers(len(self.objects)))
        bx, by, _ = self.objects[i].pose
        ux, uy = bx - self.pose[0], by - self.pose[1]
        norm = math.hypot(ux, uy) or 1.0
        ux, uy = ux / norm, uy / norm
        which = rng.random()
        if which < 0.22 and len(self.objects) > 1:
            j = int(rng.integers(len(self.objects)))
            cx, cy, _ = self.objects[j].pose
            t = rng.uniform(0.35, 0.65)
            return bx + t * (cx - bx) + rng.normal(0, 0.1), by + t * (cy - by) + rng.normal(0, 0.1)
        if which < 0.68:
            reach = (self._radii[i] + radius + rng.uniform(0.15, 0.9)) * (1 if rng.random() < 0.5 else -1)
            drift = rng.normal(0, 0.2)
        else:
            reach = rng.normal(0, 0.25)
            drift = (self._radii[i] + radius + rng.uniform(0.3, 1.4)) * (1 if rng.random() < 0.5 else -1)
        return bx - uy * reach + ux * drift, by + ux * reach + uy * drift

    def _add(self, attributes: Attributes, x: float, y: float, radius: float) -> bool:
        kind, color, size = attributes
        if not _inside(x, y, radius) or math.hypot(x - self.pose[0], y - self.pose[1]) < radius + _ROBOT_GAP_M:
            return False
        for other, other_radius in zip(self.objects, self._radii, strict=True):
            if math.hypot(x - other.pose[0], y - other.pose[1]) < radius + other_radius + _GAP_M:
                return False
        rng = self._rng
        heading = float(rng.choice([0.0, 90.0, 180.0, -90.0])) if rng.random() < 0.3 else rng.uniform(-180.0, 180.0)
        pose = (round(float(x), 3), round(float(y), 3), round(float(heading), 1))
        self.objects.append(ObjectSpec(f"o{len(self.objects)}", kind, pose, color, size if KINDS[kind].sized else None))
        self._radii.append(radius)
        return True


def _radius(attributes: Attributes) -> float:
    width, depth, _ = dimensions_m(attributes[0], attributes[2])
    round_one = KINDS[attributes[0]].shape != "box"
    return width / 2 if round_one else math.hypot(width, depth) / 2 * 0.92


def _inside(x: float, y: float, margin: float) -> bool:
    x0, y0, x1, y1 = _BOUNDS_M
    return x0 + margin < x < x1 - margin and y0 + margin < y < y1 - margin
