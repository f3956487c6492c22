"""The motions that skills are made of. Plain values: a program of them is hashed, rehearsed and sent as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

# distance of the points of a trail
TRAIL_M = 0.25


@dataclass(frozen=True)
class Segment:
    """One motion. `step` is the plan's step that it belongs to; `cruise_mps` its top speed."""

    step: int
    cruise_mps: float
    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values with the kind first."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Segment:
        """The segment of such values, the kind left out. Raises TypeError or ValueError for what it could not have."""
        values = dict(values)
        for name in ("points", "way"):
            if name in values:
                values[name] = points_of(values[name])
        return cls(**values)


def points_of(values: Any) -> tuple[tuple[float, float], ...]:
    """(x, y) points of the lists that JSON made of them. Raises TypeError or ValueError."""
    return tuple((float(x), float(y)) for x, y in values)


@dataclass(frozen=True)
class Drive(Segment):
    """Track a path: (x, y) points of the map about 0.05 m apart, ending at standstill on the last one."""

    points: tuple[tuple[float, float], ...]
    kind: ClassVar[str] = "drive"


@dataclass(frozen=True)
class TurnTo(Segment):
    """Turn on the spot to a heading of the map."""

    yaw_rad: float
    kind: ClassVar[str] = "turn_to"


@dataclass(frozen=True)
class TurnBy(Segment):
    """Turn on the spot by an angle, positive to the left, more than half a turn included."""

    angle_rad: float
    kind: ClassVar[str] = "turn_by"


@dataclass(frozen=True)
class Straight(Segment):
    """Drive straight on, or back where negative."""

    distance_m: float
    kind: ClassVar[str] = "straight"


@dataclass(frozen=True)
class Wait(Segment):
    """Stand still."""

    duration_s: float
    kind: ClassVar[str] = "wait"


@dataclass(frozen=True)
class Say(Segment):
    """Say something, standing still for a moment."""

    text: str
    kind: ClassVar[str] = "say"


@dataclass(frozen=True)
class Follow(Segment):
    """Keep behind a moving target.

    Attributes:
        target_id: The scene's id of it; x_m, y_m: where it was when the program was made.
        duration_s: For how long; 0 until told otherwise.
        until_stops: End when it has stopped.
        way: (x, y) points, TRAIL_M apart, that lead to where it was; from there on its own trail does.
    """

    target_id: str
    x_m: float
    y_m: float
    duration_s: float = 0.0
    until_stops: bool = False
    way: tuple[tuple[float, float], ...] = ()
    kind: ClassVar[str] = "follow"


@dataclass(frozen=True)
class LookFor(Segment):
    """Turn on the spot, a look at a time, until the thing named is in view."""

    label: str
    kind: ClassVar[str] = "look_for"


KINDS: dict[str, type[Segment]] = {
    c.kind: c for c in (Drive, TurnTo, TurnBy, Straight, Wait, Say, Follow, LookFor)
}


def segment_from_dict(values: dict[str, Any]) -> Segment:
    """The segment that `Segment.to_dict` gave. Raises ValueError for what it could not have given."""
    values = dict(values)
    try:
        return KINDS[values.pop("kind")].from_values(values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a segment: {error}") from error
