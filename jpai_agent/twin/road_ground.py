"""Where a car is on the road, for many poses at once: in the oncoming lane, off the carriageway, in a crossing, over a line.

Map frame, metres, radians; points are (..., 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from jpai_agent.world.road import Crosswalk, Lane, RoadMap

# a bend of a lane's centre line that is left out when it is made of straight stretches
_STRAIGHT_M = 0.01
# a car that drives along something is turned from it by less than this
ALONG_COS = 0.5
# between a lane's edge and the aisle of its car park
ENTRY_M = 1.5


@dataclass(frozen=True)
class Line:
    """A line across a lane: its middle, the direction of travel (unit vector) and half of its width."""

    at: np.ndarray
    direction: np.ndarray
    half_m: float


class Ground:
    """The straight stretches S of all lanes outside of crossings, and the areas beside them.

    Attributes:
        start, direction: (S, 2). length_m, half_m, limit_mps: (S,). divided: (S,) whether an oncoming lane lies beside it.
    """

    def __init__(self, road: RoadMap) -> None:
        self._road = road
        pieces: list[tuple[np.ndarray, np.ndarray, float, Lane]] = []
        for lane in road.lanes.values():
            if lane.crossing is None:
                bends = _bends(lane.centre)
                for a, b in pairwise(bends):
                    length = float(np.linalg.norm(b - a))
                    pieces.append((a, (b - a) / length, length, lane))
        self.start = np.array([p[0] for p in pieces]).reshape(-1, 2)
        self.direction = np.array([p[1] for p in pieces]).reshape(-1, 2)
        self.length_m = np.array([p[2] for p in pieces])
        self.half_m = np.array([p[3].width_m / 2 for p in pieces])
        self.limit_mps = np.array([p[3].speed_limit_mps for p in pieces])
        self.divided = np.array([p[3].opposite is not None for p in pieces], dtype=bool)
        self._squares = np.array([[c.x_m, c.y_m, c.half_m] for c in road.crossings.values()]).reshape(-1, 3)

    def near(self, points: np.ndarray, margin_m: float = 6.0) -> np.ndarray:
        """Indices of the stretches that come near to any of the points."""
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0) - margin_m, flat.max(axis=0) + margin_m
        ends = np.stack([self.start, self.start + self.direction * self.length_m[:, None]])
        return np.flatnonzero(((ends.max(axis=0) >= low) & (ends.min(axis=0) <= high)).all(axis=1))

    def on(self, index: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(...) how far points are along a stretch, and how far left of its middle."""
        dx, dy = points[..., 0] - self.start[index, 0], points[..., 1] - self.start[index, 1]
        cos, sin = self.direction[index]
        return cos * dx + sin * dy, cos * dy - sin * dx

    def oncoming(self, corners: np.ndarray, heading: np.ndarray, inset_m: float) -> np.ndarray:
        """(...) whether one of the corners (..., C, 2), by more than inset_m, is in a lane against the heading (..., 2)."""
        over = np.zeros(corners.shape[:-2], dtype=bool)
        for index in self.near(corners):
            if self.divided[index]:
                along, left = self.on(index, corners)
                inside = (along >= 0.0) & (along <= self.length_m[index]) & (np.abs(left) <= self.half_m[index] - inset_m)
                over |= inside.any(axis=-1) & (heading @ self.direction[index] < 0.0)
        return over

    def off_road(self, points: np.ndarray, slack_m: float) -> np.ndarray:
        """(...) whether points are, by more than slack_m, on no lane, shoulder, crossing or car park."""
        off = ~self.in_crossing(points)
        for index in self.near(points):
            along, left = self.on(index, points)
            half = self.half_m[index]
            off &= ~((along >= -slack_m) & (along <= self.length_m[index] + slack_m) & (left >= -half - slack_m)
                     & (left <= half + self._road.shoulder_m + slack_m))
        return off & ~self.in_car_park(points, ENTRY_M)

    def in_crossing(self, points: np.ndarray) -> np.ndarray:
        """(...) whether points are in the square of a crossing."""
        inside = np.zeros(points.shape[:-1], dtype=bool)
        for x, y, half in self._squares:
            inside |= (np.abs(points[..., 0] - x) <= half) & (np.abs(points[..., 1] - y) <= half)
        return inside

    def in_car_park(self, points: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
        """(...) whether points are on an aisle, widened by margin_m, or in a slot."""
        inside = np.zeros(points.shape[:-1], dtype=bool)
        for park in self._road.car_parks:
            x0, y0, x1, y1 = park.aisle_m
            inside |= ((points[..., 0] > x0 - margin_m) & (points[..., 0] < x1 + margin_m)
                       & (points[..., 1] > y0 - margin_m) & (points[..., 1] < y1 + margin_m))
            for slot in park.slots:
                dx, dy = points[..., 0] - slot.x_m, points[..., 1] - slot.y_m
                cos, sin = np.cos(slot.yaw_rad), np.sin(slot.yaw_rad)
                inside |= ((np.abs(cos * dx + sin * dy) < slot.length_m / 2 + margin_m)
                           & (np.abs(cos * dy - sin * dx) < slot.width_m / 2 + margin_m))
        return inside

    def own(self, pose: np.ndarray) -> int | None:
        """The stretch on or beside which a pose (3,) is that runs its way; None in crossings and off the road."""
        heading = np.array([np.cos(pose[2]), np.sin(pose[2])])
        offset = pose[:2] - self.start
        along = (offset * self.direction).sum(axis=1)
        aside = np.abs(offset[:, 1] * self.direction[:, 0] - offset[:, 0] * self.direction[:, 1])
        fits = (self.direction @ heading > ALONG_COS) & (along >= 0.0) & (along <= self.length_m) & (aside <= 3 * self.half_m)
        return int(np.flatnonzero(fits)[np.argmin(aside[fits])]) if fits.any() else None


@lru_cache(maxsize=4)
def ground_of(road: RoadMap) -> Ground:
    """The ground of a map; maps are told apart by identity."""
    return Ground(road)


def line_across(lane: Lane, along_m: float) -> Line:
    """The line across a lane at a length along it, a whole lane's width to either side: who has swerved still passes it."""
    steps = np.diff(lane.centre, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.cumsum(lengths)
    index = min(int(np.searchsorted(ends, along_m)), len(steps) - 1)
    direction = steps[index] / lengths[index]
    return Line(lane.centre[index] + direction * (along_m - (ends[index] - lengths[index])), direction, lane.width_m)


def passages(front: np.ndarray, yaw: np.ndarray, line: Line) -> list[tuple[int, int]]:
    """(row, rollout) after which the fronts (T, N, 2) at yaw (T, N) have gone over a line in its direction."""
    offset = front - line.at
    along = offset @ line.direction
    over = (along[:-1] <= 0.0) & (along[1:] > 0.0)
    if not over.any():
        return []
    found = []
    for row, n in zip(*np.nonzero(over), strict=True):
        aside = abs(offset[row, n, 1] * line.direction[0] - offset[row, n, 0] * line.direction[1])
        along_it = np.cos(yaw[row + 1, n]) * line.direction[0] + np.sin(yaw[row + 1, n]) * line.direction[1] > ALONG_COS
        if aside <= line.half_m and along_it:
            found.append((int(row), int(n)))
    return found


def on_walk(walk: Crosswalk, points: np.ndarray, forward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of points (..., 2) on a crosswalk: along the road as it is driven (forward: along the walk's yaw), and to the
    left of the road's middle. A car's half, in left-hand traffic, is that with the second one positive."""
    way = 1.0 if forward else -1.0
    cos, sin = way * math.cos(walk.yaw_rad), way * math.sin(walk.yaw_rad)
    dx, dy = points[..., 0] - walk.x_m, points[..., 1] - walk.y_m
    return cos * dx + sin * dy, cos * dy - sin * dx


def _bends(centre: np.ndarray) -> list[np.ndarray]:
    """The points of a polyline at which it bends, with its ends."""
    kept = [centre[0]]
    for before, here, after in zip(centre[:-2], centre[1:-1], centre[2:], strict=True):
        first, second = here - before, after - here
        if abs(first[0] * second[1] - first[1] * second[0]) > _STRAIGHT_M * np.linalg.norm(first) * np.linalg.norm(second):
            kept.append(here)
    return [*kept, centre[-1]]
