"""A program: the segments that a plan's steps became, with every path planned. This is what is rehearsed and driven."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jpai_agent.control.road.segments import FollowVehicle, RoadDrive
from jpai_agent.control.segments import (
    Drive,
    Follow,
    LookFor,
    Say,
    Segment,
    Straight,
    TurnBy,
    TurnTo,
    Wait,
    segment_from_dict,
)
from jpai_agent.world.robot import RobotSpec

FOLLOW_ENVELOPE_S = 15.0
LOOK_S = 24.0
# of a drive that only carries on, so much counts
CARRY_ON_S = 10.0


@dataclass(frozen=True)
class Program:
    """Segments in order.

    Attributes:
        start: (x, y, yaw) in the map that the first segment sets out from.
        pending_from: Index of the plan's first step that is not in it, because its target waits to be seen; None when
            all are.
        target_ids: The scene's things that are meant to be approached.
        crosswalks: Where the crosswalks are that a car's drives have marks of: (id, x, y, yaw, half extent along the road
            that it crosses, half extent across it).
    """

    segments: tuple[Segment, ...]
    start: tuple[float, float, float]
    pending_from: int | None = None
    target_ids: tuple[str, ...] = ()
    crosswalks: tuple[tuple[str, float, float, float, float, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"segments": [s.to_dict() for s in self.segments], "start": list(self.start),
                "pending_from": self.pending_from, "target_ids": list(self.target_ids),
                "crosswalks": [list(c) for c in self.crosswalks]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Program:
        """The program that `to_dict` gave. Raises ValueError for what it could not have given."""
        try:
            x, y, yaw = values["start"]
            return cls(tuple(segment_from_dict(s) for s in values["segments"]), (float(x), float(y), float(yaw)),
                       values["pending_from"], tuple(values["target_ids"]), tuple(map(_crosswalk, values["crosswalks"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a program: {error}") from error

    def sha256(self) -> str:
        """Hash of everything that it would do."""
        return hashlib.sha256(json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def duration_s(self, robot: RobotSpec) -> float:
        """About how long it takes when nothing is in the way; follow and look_for count as an envelope."""
        return sum(_duration_s(segment, robot) for segment in self.segments)

    def way(self) -> list[tuple[float, float]]:
        """The points of all its paths, from its start."""
        return [self.start[:2]] + [p for s in self.segments if isinstance(s, (Drive, RoadDrive)) for p in s.points[::4]]


def _crosswalk(values: Any) -> tuple[str, float, float, float, float, float]:
    name, x, y, yaw, along, across = values
    return str(name), float(x), float(y), float(yaw), float(along), float(across)


def _length_m(points: Any) -> float:
    return sum(((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5 for a, b in pairwise(points))


def _duration_s(segment: Segment, robot: RobotSpec) -> float:
    if isinstance(segment, Drive):
        return _length_m(segment.points) / segment.cruise_mps + 4.0
    if isinstance(segment, RoadDrive):
        return CARRY_ON_S if segment.carry_on else _road_drive_s(segment)
    if isinstance(segment, Straight):
        top = segment.cruise_mps if segment.distance_m > 0 else min(segment.cruise_mps, robot.limits.reverse_mps)
        return abs(segment.distance_m) / top + 2.0
    if isinstance(segment, TurnBy):
        return abs(segment.angle_rad) / 0.8 + 1.5
    if isinstance(segment, TurnTo):
        return 5.0
    if isinstance(segment, Wait):
        return segment.duration_s
    if isinstance(segment, Say):
        return 1.0
    if isinstance(segment, (Follow, FollowVehicle)):
        return segment.duration_s or FOLLOW_ENVELOPE_S
    assert isinstance(segment, LookFor)
    return LOOK_S


def _road_drive_s(segment: RoadDrive) -> float:
    """A drive with its turns, stops and, where it has to wait, half a light's time."""
    turns_s = 3.0 * sum(mark[0] == "crossing" for mark in segment.marks)
    waits_s = {"light": 10.0, "sign": 5.0}
    return _length_m(segment.points) / segment.cruise_mps + turns_s + sum(waits_s.get(mark[0], 0.0) for mark in segment.marks)
