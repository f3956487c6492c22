"""A course: drives that follow one another without a rest, as one path with the speeds that it allows and its marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.road.segments import Mark, RoadDrive
from jpai_agent.world.robot import RobotSpec

STEP_M = 0.25
# curvature is meant over so much of the path
SMOOTH_M = 1.0
# acceleration to the side in curves, and the braking before them, m/s²; the most that is ever asked for of speed: 29 km/h
ASIDE_MPS2, SLOWING_MPS2, TOP_MPS = 1.65, 1.6, 29 / 3.6
# a drive this slow is a manoeuvre: it may come nearer to things
MANOEUVRE_MPS = 2.0
REVERSE_SHARE = 0.85
# part of the steering rate that a course may need, and how slow it is driven at most for that
STEER_SHARE, SLOWEST_MPS = 0.75, 0.5
# how far ahead and behind of where a robot was it looks for itself, and how far when it begins
BEHIND_M, AHEAD_M, FIRST_M = 1.0, 3.0, 25.0
FAR_M = 1e6


@dataclass(frozen=True)
class Place:
    """Where robots (R,) are on a course: along it, beside it (left positive), and their heading off its own, (R,) each."""

    along_m: np.ndarray
    aside_m: np.ndarray
    off_rad: np.ndarray


class Course:
    """A path of base_link, every STEP_M.

    Attributes:
        points: (P, 2). heading: (P,) direction of travel, continuous. curvature: (P,) to the left per metre of travel.
        most_mps: (P,) speed that curves and drives allow. length_m: of it.
        way: 1.0 forward, -1.0 in reverse. rests: whether it ends at standstill.
        ends_m: (D,) where each drive ends. first: index of its first segment. marks: with metres along the course.
    """

    def __init__(self, drives: Sequence[RoadDrive], ends: Sequence[int], robot: RobotSpec) -> None:
        """`ends`: for each of the drives its index in the program."""
        raw, cruise, self.marks, ends_m = _joined(drives)
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(raw, axis=0), axis=1))])
        self.length_m = float(along[-1])
        count = max(2, math.ceil(self.length_m / STEP_M) + 1)
        at = np.minimum(np.arange(count) * STEP_M, self.length_m)
        self.points = np.stack([np.interp(at, along, raw[:, 0]), np.interp(at, along, raw[:, 1])], axis=1)
        self.heading, self.curvature = _shape(raw, along, at)
        self.way = -1.0 if drives[0].reverse else 1.0
        self.rests = drives[-1].rests
        self.ends_m = np.array(ends_m)
        self.indices = np.array(ends)
        self.first = int(self.indices[0])
        top = TOP_MPS if self.way > 0 else REVERSE_SHARE * robot.limits.reverse_mps
        cruise = np.minimum(cruise[np.minimum(np.searchsorted(self.ends_m, at - 1e-6), len(cruise) - 1)], top)
        self.slow = cruise <= MANOEUVRE_MPS
        most = np.minimum(cruise, np.sqrt(ASIDE_MPS2 / np.maximum(np.abs(self.curvature), 1e-4)))
        most = np.minimum(most, _steering_mps(self.curvature, robot))
        # slow down before a curve, not in it
        slack = 2 * SLOWING_MPS2 * at
        squares = np.minimum.accumulate((most**2 + slack)[::-1])[::-1] - slack
        self.most_mps = np.sqrt(np.maximum(squares, 0.04))

    def index(self, along_m: np.ndarray) -> np.ndarray:
        """Index of the point nearest to lengths along it."""
        return np.minimum(np.maximum((along_m / STEP_M + 0.5).astype(int), 0), len(self.points) - 1)

    def pose_at(self, along_m: np.ndarray) -> np.ndarray:
        """(..., 3) x, y and direction of travel at lengths along it; straight on beyond its ends."""
        inside = np.minimum(np.maximum(along_m, 0.0), self.length_m)
        at = np.minimum(inside / STEP_M, len(self.points) - 1 - 1e-6)
        low = at.astype(int)
        share = at - low
        heading = self.heading[low] * (1 - share) + self.heading[low + 1] * share
        xy = self.points[low] * (1 - share)[..., None] + self.points[low + 1] * share[..., None]
        beyond = along_m - inside
        return np.stack([xy[..., 0] + beyond * np.cos(heading), xy[..., 1] + beyond * np.sin(heading), heading], axis=-1)

    def locate(self, pose: np.ndarray, along_m: np.ndarray, fresh: np.ndarray) -> Place:
        """Where robots at poses (R, 3) are that were along_m (R,) along it; `fresh` (R,) ones have just begun."""
        window = np.arange(round((BEHIND_M + AHEAD_M) / STEP_M)) - round(BEHIND_M / STEP_M)
        near = np.minimum(np.maximum(self.index(along_m)[:, None] + window, 0), len(self.points) - 1)
        away = self.points[near] - pose[:, None, :2]
        row = np.arange(len(pose))
        nearest = near[row, np.argmin((away * away).sum(axis=2), axis=1)]
        if fresh.any():
            nearest[fresh] = self._first(pose[fresh])
        heading = self.heading[nearest]
        offset = pose[:, :2] - self.points[nearest]
        cos, sin = np.cos(heading), np.sin(heading)
        onward = offset[:, 0] * cos + offset[:, 1] * sin
        inner = (nearest > 0) & (nearest < len(self.points) - 1)
        onward = np.where(inner, np.clip(onward, -STEP_M, STEP_M), onward)
        along = np.minimum(nearest * STEP_M, self.length_m) + onward
        aside = offset[:, 1] * cos - offset[:, 0] * sin
        ahead = heading + self.curvature[nearest] * onward
        travel = pose[:, 2] + (0.0 if self.way > 0 else math.pi)
        return Place(along, aside, wrap(travel - ahead))

    def _first(self, pose: np.ndarray) -> np.ndarray:
        """(F,) the points nearest to robots that have just begun: they may have carried on since the path was made."""
        first = slice(0, max(2, round(FIRST_M / STEP_M)))
        away = self.points[first] - pose[:, None, :2]
        travel = pose[:, 2:] + (0.0 if self.way > 0 else math.pi)
        off = np.abs(wrap(self.heading[first] - travel))
        return np.argmin((away * away).sum(axis=2) + 4.0 * off**2, axis=1)

    def curvature_at(self, along_m: np.ndarray) -> np.ndarray:
        """(...) curvature at lengths along it, to the left per metre of travel."""
        at = np.minimum(np.maximum(along_m / STEP_M, 0), len(self.points) - 1 - 1e-6)
        low = at.astype(int)
        return self.curvature[low] + (self.curvature[low + 1] - self.curvature[low]) * (at - low)


def _steering_mps(curvature: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(P,) speed at which the steering still follows a course."""
    assert robot.ackermann is not None
    steer = np.arctan(robot.ackermann.wheelbase_m * curvature)
    slope = np.abs(np.gradient(steer, STEP_M)) if len(steer) > 1 else np.zeros(1)
    return np.maximum(STEER_SHARE * robot.ackermann.steer_rate_radps / np.maximum(slope, 1e-3), SLOWEST_MPS)


def _joined(drives: Sequence[RoadDrive]) -> tuple[np.ndarray, np.ndarray, list[Mark], list[float]]:
    """The points (P, 2) of all drives, each one's cruise (D,), the marks along the whole, and where each drive ends."""
    points: list[np.ndarray] = []
    marks: list[Mark] = []
    ends: list[float] = []
    so_far = 0.0
    last: np.ndarray | None = None
    for drive in drives:
        own = np.asarray(drive.points, dtype=float).reshape(-1, 2)
        gap = 0.0 if last is None else float(np.linalg.norm(own[0] - last))
        marks += [(kind, begin + so_far + gap, end + so_far + gap, name) for kind, begin, end, name in drive.marks]
        so_far += gap + float(np.linalg.norm(np.diff(own, axis=0), axis=1).sum())
        ends.append(so_far)
        points.append(own)
        last = own[-1]
    joined = np.concatenate(points)
    kept = np.concatenate([[True], np.linalg.norm(np.diff(joined, axis=0), axis=1) > 0.02])
    joined = joined[kept]
    if len(joined) == 1:
        joined = np.concatenate([joined, joined + np.array([0.01, 0.0])])
    return joined, np.array([d.cruise_mps for d in drives]), _without_twins(marks), ends


def _without_twins(marks: list[Mark]) -> list[Mark]:
    """Marks in order; one that two drives have, because they meet in it, counts once."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda m: m[1]):
        twin = next((k for k in kept if k[0] == mark[0] and k[3] == mark[3] and mark[1] <= k[2] + 1.0), None)
        if twin is None:
            kept.append(mark)
        else:
            kept[kept.index(twin)] = (twin[0], twin[1], max(twin[2], mark[2]), twin[3])
    return kept


def _shape(raw: np.ndarray, along: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continuous heading and smoothed curvature at lengths `at` of a path of points (P, 2) at lengths `along`."""
    step = np.diff(raw, axis=0)
    middle = (along[:-1] + along[1:]) / 2
    direction = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    if len(direction) == 1:
        return np.full(len(at), direction[0]), np.zeros(len(at))
    # beyond the outermost chords the heading goes on turning as it did
    slope = np.diff(direction) / np.diff(middle)
    knots = np.concatenate([[0.0], middle, [along[-1]]])
    ends = direction[0] - slope[0] * middle[0], direction[-1] + slope[-1] * (along[-1] - middle[-1])
    heading = np.interp(at, knots, np.concatenate([[ends[0]], direction, [ends[1]]]))
    half = max(1, round(SMOOTH_M / STEP_M / 2))
    longer = np.concatenate([heading[0] - (heading[half:0:-1] - heading[0]) if len(heading) > half else
                             np.full(half, heading[0]), heading,
                             np.full(half, heading[-1]) + np.arange(1, half + 1) * (heading[-1] - heading[-2])])
    curvature = (longer[2 * half:] - longer[:-2 * half]) / (2 * half * STEP_M)
    return heading, curvature[:len(at)]
