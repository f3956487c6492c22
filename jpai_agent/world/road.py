"""The road map: lanes, crossings, stop lines, lights, crosswalks, car parks. Types; `control.road` finds ways on them.

Map frame, metres, radians. Left-hand traffic. A lane's centre line runs in the direction of travel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Lane:
    """A lanelet that cars drive on.

    Attributes:
        id: The lanelet's. centre: (P, 2) centre line, points at most 1 m apart, from its entry to its exit.
        width_m, speed_limit_mps: As the map has them.
        following: Ids of the lanes that continue it.
        crossing: Id of the crossing that it leads through, None outside of crossings; turn: "left", "right" or
            "straight" there, "" outside.
        opposite: Id of the lane beside it on the right that runs the other way, None where there is none.
    """

    id: int
    centre: np.ndarray
    width_m: float
    speed_limit_mps: float
    following: tuple[int, ...]
    crossing: str | None = None
    turn: str = ""
    opposite: int | None = None


@dataclass(frozen=True)
class Crossing:
    """Where roads meet: its centre, and whether lights rule it.

    Attributes:
        half_m: Half the width of its square, which its stop lines bound: the lanes through it begin and end there.
        kerb_m: From its centre lines to the kerbs: half the width of the smaller square that all its traffic crosses.
    """

    id: str
    x_m: float
    y_m: float
    half_m: float
    lights: bool
    kerb_m: float = 4.0


@dataclass(frozen=True)
class StopLine:
    """A line that cars stop at.

    Attributes:
        lane: The lane that it lies across. along_m: where, along the lane's centre line. crossing: the one that it guards.
        kind: "sign" (止まれ: always a full stop) or "light" (when the light says so).
        light: Id of the light head that it obeys, for kind "light".
    """

    id: str
    lane: int
    along_m: float
    crossing: str
    kind: str
    light: str | None = None


@dataclass(frozen=True)
class LightHead:
    """A traffic light head with three lamps beside one another (Japanese: green left, yellow, red right), seen from the road.

    Attributes:
        x_m, y_m, z_m: Middle of the three lamps. yaw_rad: direction that the lamps shine in, against the traffic.
        approach: Side that its traffic comes from: "north", "south", "east" or "west".
        lamp_diameter_m: Of each lamp; their middles are lamp_pitch_m apart.
    """

    id: str
    crossing: str
    approach: str
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    lamp_diameter_m: float = 0.3
    lamp_pitch_m: float = 0.4


@dataclass(frozen=True)
class Crosswalk:
    """A zebra crossing: a rectangle with its middle, the direction of the road that it crosses, and half extents along the
    road and across it."""

    id: str
    crossing: str
    x_m: float
    y_m: float
    yaw_rad: float
    half_along_m: float
    half_across_m: float


@dataclass(frozen=True)
class Slot:
    """A parking slot: middle, heading of a car that has driven in forwards, length and width."""

    id: str
    x_m: float
    y_m: float
    yaw_rad: float
    length_m: float
    width_m: float


@dataclass(frozen=True)
class CarPark:
    """Slots and the aisle (x0, y0, x1, y1) that leads to them, open to one lane."""

    id: str
    slots: tuple[Slot, ...]
    aisle_m: tuple[float, float, float, float]
    lane: int


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Everything of the road that a car knows before it looks.

    Attributes:
        shoulder_m: Width of the shoulder left of each lane, where a car may stop at the kerb.
    """

    lanes: dict[int, Lane]
    crossings: dict[str, Crossing]
    stop_lines: tuple[StopLine, ...]
    lights: dict[str, LightHead]
    crosswalks: tuple[Crosswalk, ...]
    car_parks: tuple[CarPark, ...]
    shoulder_m: float
