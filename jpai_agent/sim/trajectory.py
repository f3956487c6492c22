"""What truly happened in an episode, as arrays at the control rate: all that the judge looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.sim.footprints import disc_gaps, rectangle_gaps
from jpai_agent.sim.robot import Truth
from jpai_agent.world.objects import KINDS, ObjectSpec


@dataclass(frozen=True)
class Decision:
    """The agent's decision on a turn. reason is None for act."""

    turn: int
    time_s: float
    decision: str
    reason: str | None


@dataclass(frozen=True)
class Recording:
    """The true course of an episode at the times (T,), 0.05 s apart.

    Attributes:
        poses: (T, 3) x, y, yaw_rad of base_link, map frame. velocities: (T, 3) forward, left, turn rate in base_link.
        objects: (T, n, 3) x, y, heading_deg, in the order of `specs`.
        contacts: (time, ids of what was touched in the period before).
        decisions, said: What the agent decided, and (time, text) of its replies and `say` steps.
        plan_ended_s: When the last plan, question or refusal ended; None while it runs.
        robot_half: Half length and width of the robot's footprint; robot_center_x_m: its middle ahead of base_link.
        lights: Per traffic light head its states at the times, (T,) strings; none in a world without lights.
    """

    specs: tuple[ObjectSpec, ...]
    times: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray
    objects: np.ndarray
    contacts: tuple[tuple[float, frozenset[str]], ...] = ()
    decisions: tuple[Decision, ...] = ()
    said: tuple[tuple[float, str], ...] = ()
    plan_ended_s: float | None = None
    robot_half: tuple[float, float] = (0.35, 0.25)
    robot_center_x_m: float = 0.0
    lights: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def footprints(self) -> np.ndarray:
        """(T, 3) x, y, yaw_rad of the middle of the robot's footprint."""
        return self.ahead(self.robot_center_x_m)

    @property
    def front(self) -> np.ndarray:
        """(T, 2) the middle of the robot's front edge."""
        return self.ahead(self.robot_center_x_m + self.robot_half[0])[:, :2]

    def ahead(self, distance_m: float) -> np.ndarray:
        """(T, 3) poses of the point that lies so far ahead of base_link."""
        yaw = self.poses[:, 2]
        offset = distance_m * np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], axis=1)
        return np.asarray(self.poses + offset)

    @property
    def speed(self) -> np.ndarray:
        """(T,) speed of base_link in the plane, m/s."""
        return np.hypot(self.velocities[:, 0], self.velocities[:, 1])

    @property
    def turn_rate(self) -> np.ndarray:
        """(T,) magnitude of the turn rate, rad/s."""
        return np.abs(self.velocities[:, 2])

    def index(self, object_id: str) -> int:
        """Column of an object. Raises KeyError."""
        for column, spec in enumerate(self.specs):
            if spec.id == object_id:
                return column
        raise KeyError(object_id)

    def gaps(self, object_id: str) -> np.ndarray:
        """(T,) gap between the robot's and the object's footprints in the plane, 0 where they overlap."""
        column = self.index(object_id)
        spec, track = self.specs[column], self.objects[:, column]
        width, depth, _ = spec.dimensions_m
        if KINDS[spec.kind].shape != "box":
            return disc_gaps(self.footprints, self.robot_half, track[:, :2], width / 2)
        others = np.column_stack([track[:, :2], np.radians(track[:, 2])])
        return rectangle_gaps(self.footprints, self.robot_half, others, (depth / 2, width / 2))


@dataclass
class Recorder:
    """Collects truths into a Recording."""

    specs: Sequence[ObjectSpec]
    robot_half: tuple[float, float]
    robot_center_x_m: float = 0.0
    truths: list[Truth] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)
    plan_ended_s: float | None = None

    def add(self, truth: Truth) -> None:
        """Take the truth of the next moment."""
        self.truths.append(truth)

    def recording(self) -> Recording:
        """All of it as arrays."""
        n = len(self.specs)
        return Recording(
            tuple(self.specs),
            np.array([t.time_s for t in self.truths]),
            np.array([t.pose for t in self.truths]).reshape(-1, 3),
            np.array([t.velocity for t in self.truths]).reshape(-1, 3),
            np.array([t.objects for t in self.truths]).reshape(len(self.truths), n, 3),
            tuple((t.time_s, t.contacts) for t in self.truths if t.contacts),
            tuple(self.decisions),
            tuple(self.said),
            self.plan_ended_s,
            self.robot_half,
            self.robot_center_x_m,
            {head: np.array([t.lights[head] for t in self.truths]) for head in (self.truths[0].lights if self.truths else ())},
        )


def wrap_deg(angle_deg: np.ndarray) -> np.ndarray:
    """Angles in −180..180."""
    return (np.asarray(angle_deg) + 180.0) % 360.0 - 180.0


def bearing_deg(poses: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(T,) direction of points (T, 2) in base_link at poses (T, 3), degrees, 0 ahead, positive to the left."""
    toward = np.degrees(np.arctan2(points[:, 1] - poses[:, 1], points[:, 0] - poses[:, 0]))
    return wrap_deg(toward - poses[:, 2] * (180.0 / math.pi))
