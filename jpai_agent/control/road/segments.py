"""The motions of a car: drives along the road and following a vehicle. Waits and words are the cart's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jpai_agent.control.segments import KINDS, Segment, points_of

Points = tuple[tuple[float, float], ...]
# (kind, from_m, to_m, id), metres along the points from the first one
Mark = tuple[str, float, float, str]
MARK_KINDS = ("light", "sign", "crosswalk", "crossing", "pass", "merge", "round", "end")
# distance of the points of a drive
POINT_M = 0.5


@dataclass(frozen=True)
class RoadDrive(Segment):
    """Drive along points of base_link; drives that follow one another without a rest are one path.

    Attributes:
        points: (x, y) about POINT_M apart. reverse: backwards along them. rests: comes to rest on the last one.
        marks: What lies along it. light, sign: a stop line at from_m. crosswalk, crossing: what it leads over. pass: a
            stretch in the oncoming lane, merge: one into a lane that others drive on, round: one across the road; they begin
            when it is free.
            end: the road's end.
        carry_on: What the car goes on with when the plan's steps are done.
    """

    points: Points
    reverse: bool = False
    rests: bool = False
    marks: tuple[Mark, ...] = ()
    carry_on: bool = False
    kind: ClassVar[str] = "road_drive"

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Segment:
        """See Segment.from_values."""
        return cls(**{**values, "points": points_of(values["points"]), "marks": _marks(values["marks"])})


@dataclass(frozen=True)
class Branch:
    """One of the ways that a followed vehicle may take."""

    points: Points
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class FollowVehicle(Segment):
    """Take the lanes that a vehicle takes, at a safe gap.

    Attributes:
        target_id: The scene's id of it; x_m, y_m: where it was when the program was made.
        duration_s: For how long; 0 until told otherwise. until: "target_turns", "target_stops" or "".
        branches: The ways from here on through the next crossings, straight on first; all begin at one point.
    """

    target_id: str
    x_m: float
    y_m: float
    duration_s: float = 0.0
    until: str = ""
    branches: tuple[Branch, ...] = ()
    kind: ClassVar[str] = "follow_vehicle"

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Segment:
        """See Segment.from_values."""
        branches = tuple(Branch(points_of(b["points"]), _marks(b["marks"])) for b in values["branches"])
        return cls(**{**values, "branches": branches})


def _marks(values: Any) -> tuple[Mark, ...]:
    return tuple((str(kind), float(begin), float(end), str(name)) for kind, begin, end, name in values)


KINDS.update({RoadDrive.kind: RoadDrive, FollowVehicle.kind: FollowVehicle})
