"""A program: the segments that a plan's steps became, with every path planned. This is what is rehearsed and driven."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Program:
    """Segments in order.

    Attributes:
        start: (x, y, yaw) in the map that the first segment sets out from.
        pending_from: Index of the plan's first step that is not in it, because its target waits to be seen; None when
            all are.
        target_ids: The scene's things that are meant to be approached.
    """

    segments: tuple[Segment, ...]
    start: tuple[float, float, float]
    pending_from: int | None = None
    target_ids: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"segments": [s.to_dict() for s in self.segments], "start": list(self.start),
                "pending_from": self.pending_from, "target_ids": list(self.target_ids)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Program:
        """The program that `to_dict` gave. Raises ValueError for what it could not have given."""
        try:
            x, y, yaw = values["start"]
            return cls(tuple(segment_from_dict(s) for s in values["segments"]), (float(x), float(y), float(yaw)),
                       values["pending_from"], tuple(values["target_ids"]))
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
        return [self.start[:2]] + [p for s in self.segments if isinstance(s, Drive) for p in s.points[::4]]


def _duration_s(segment: Segment, robot: RobotSpec) -> float:
    if isinstance(segment, Drive):
        length_m = sum(((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
                       for a, b in zip(segment.points, segment.points[1:], strict=False))
        return length_m / segment.cruise_mps + 4.0
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
    if isinstance(segment, Follow):
        return segment.duration_s or FOLLOW_ENVELOPE_S
    assert isinstance(segment, LookFor)
    return LOOK_S
