"""Where the robot truly was on the road: over stop lines, on crosswalks, in the oncoming lane (map frame, metres, radians).

All from the road map and the true motion; nothing here knows how a car finds its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jpai_agent.sim.footprints import corners_of
from jpai_agent.sim.trajectory import Recording
from jpai_agent.world.road import Crosswalk, Lane, RoadMap, StopLine

# a bend of a lane's centre line that is left out when it is made of straight stretches
_STRAIGHT_M = 0.01
# a car that drives along something is turned from it by less than this
ALONG_COS = 0.5


@dataclass(frozen=True)
class Passage:
    """The front edge's middle going over a line.

    Attributes:
        index: Of the last moment before; time_s: when, between two moments.
    """

    index: int
    time_s: float


@dataclass(frozen=True)
class Stretch:
    """A straight piece of a lane: from `start`, along `direction` (unit), length_m long."""

    lane: Lane
    start: np.ndarray
    direction: np.ndarray
    length_m: float

    def within(self, points: np.ndarray, inset_m: float = 0.0) -> np.ndarray:
        """Which of the points (..., 2) lie on it, by at least inset_m from its sides."""
        offset = points - self.start
        along = offset @ self.direction
        aside = np.abs(offset @ left_of(self.direction))
        return np.asarray((along >= 0.0) & (along <= self.length_m) & (aside <= self.lane.width_m / 2 - inset_m))


def left_of(direction: np.ndarray) -> np.ndarray:
    """The unit vector to the left of a direction (2,)."""
    return np.array([-direction[1], direction[0]])


def stretches(road: RoadMap) -> list[Stretch]:
    """The straight pieces of every lane outside of crossings."""
    found = []
    for lane in road.lanes.values():
        if lane.crossing is None:
            kept = _corners(lane.centre)
            for a, b in pairwise(kept):
                length = float(np.linalg.norm(b - a))
                found.append(Stretch(lane, a, (b - a) / length, length))
    return found


def headings(recording: Recording) -> np.ndarray:
    """(T, 2) unit vectors along base_link's x axis."""
    yaw = recording.poses[:, 2]
    return np.stack([np.cos(yaw), np.sin(yaw)], axis=1)


def outline(recording: Recording) -> np.ndarray:
    """(T, 9, 2) the footprint's corners, the middles of its edges, and its own middle."""
    corners = corners_of(recording.footprints, recording.robot_half)
    edges = (corners + np.roll(corners, 1, axis=1)) / 2
    return np.concatenate([corners, edges, recording.footprints[:, None, :2]], axis=1)


def line_passages(recording: Recording, road: RoadMap, line: StopLine) -> list[Passage]:
    """When the front went over a stop line in its lane's direction."""
    lane = road.lanes[line.lane]
    at, direction = point_along(lane.centre, line.along_m)
    # a car that has swerved to the kerb or past the middle still passes the line
    return passages(recording, at, direction, lane.width_m)


def point_along(centre: np.ndarray, along_m: float) -> tuple[np.ndarray, np.ndarray]:
    """The point (2,) so far along a polyline, and the direction there."""
    steps = np.diff(centre, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.cumsum(lengths)
    index = min(int(np.searchsorted(ends, along_m)), len(steps) - 1)
    direction = steps[index] / lengths[index]
    return centre[index] + direction * (along_m - (ends[index] - lengths[index])), direction


def passages(recording: Recording, at: np.ndarray, direction: np.ndarray, half_width_m: float) -> list[Passage]:
    """When the front went over the line through `at` (2,) across `direction`, half_width_m to each side."""
    offset = recording.front - at
    along, aside = offset @ direction, np.abs(offset @ left_of(direction))
    driven = headings(recording) @ direction > ALONG_COS
    found = []
    for index in np.flatnonzero((along[:-1] <= 0.0) & (along[1:] > 0.0) & driven[1:]):
        if aside[index] <= half_width_m:
            share = -along[index] / (along[index + 1] - along[index])
            before_s, after_s = recording.times[index], recording.times[index + 1]
            found.append(Passage(int(index), float(before_s + share * (after_s - before_s))))
    return found


def before_line(recording: Recording, road: RoadMap, line: StopLine) -> np.ndarray:
    """(T,) how far the front is before a stop line, along its lane; negative beyond it."""
    at, direction = point_along(road.lanes[line.lane].centre, line.along_m)
    return np.asarray((at - recording.front) @ direction)


def on_crosswalk(walk: Crosswalk, points: np.ndarray, forward: bool, margin_m: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of points (..., 2) on a crosswalk: along the road as it is driven (forward: along the walk's yaw), and to the
    left of the road's middle. Its car's half, in left-hand traffic, is that with the second one positive."""
    direction = np.array([np.cos(walk.yaw_rad), np.sin(walk.yaw_rad)]) * (1.0 if forward else -1.0)
    offset = points - [walk.x_m, walk.y_m]
    return np.asarray(offset @ direction), np.asarray(offset @ left_of(direction))


def oncoming(recording: Recording, road: RoadMap, inset_m: float) -> np.ndarray:
    """(T,) whether part of the footprint, by more than inset_m, is in a lane that runs against the robot's heading."""
    points, heading = outline(recording), headings(recording)
    over = np.zeros(len(recording.times), dtype=bool)
    for stretch in stretches(road):
        if stretch.lane.opposite is not None:
            against = heading @ stretch.direction < 0.0
            if against.any():
                over[against] |= stretch.within(points[against], inset_m).any(axis=1)
    return over


def own_stretch(road: RoadMap, pose: np.ndarray) -> Stretch | None:
    """The piece of lane on which or beside which a pose (3,) is that runs its way, None in crossings and off the road."""
    heading = np.array([np.cos(pose[2]), np.sin(pose[2])])
    best, least = None, np.inf
    for stretch in stretches(road):
        offset = pose[:2] - stretch.start
        aside = abs(float(offset @ left_of(stretch.direction)))
        if heading @ stretch.direction > ALONG_COS and 0.0 <= offset @ stretch.direction <= stretch.length_m and aside < least:
            best, least = stretch, aside
    return best if best is not None and least <= 1.5 * best.lane.width_m else None


def _corners(centre: np.ndarray) -> list[np.ndarray]:
    """The points of a polyline at which it bends, with its ends."""
    kept = [centre[0]]
    for before, here, after in zip(centre[:-2], centre[1:-1], centre[2:], strict=True):
        first, second = here - before, after - here
        cross = first[0] * second[1] - first[1] * second[0]
        if abs(cross) > _STRAIGHT_M * np.linalg.norm(first) * np.linalg.norm(second):
            kept.append(here)
    return [*kept, centre[-1]]
