"""What one turn of a lidar with rows says: points on things, the ground's tilt, and where the beams looked through.

Frames: base_link for a `Sweep`'s points, odom for a `Sight`. Heights are above the ground plane as it was fitted, so that a
body that pitches while braking does not raise the road.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.world.robot import LidarSpec
from jpai_agent.world.sensors import LidarScan

# relative noise of a range, before and after it was smoothed
RANGE_NOISE = 0.01
SMOOTH_NOISE = 0.006
# a return lower than this, more with the distance, is ground
FLOOR_M, FLOOR_PER_M = 0.20, 0.004
CEILING_M = 3.4
_STEEPEST, _HIGHEST_M = 0.09, 0.2
_GROUND_NEEDED = 40


@dataclass(frozen=True)
class Tilt:
    """The ground in base_link: z = ahead · x + left · y + offset_m."""

    ahead: float = 0.0
    left: float = 0.0
    offset_m: float = 0.0

    def heights(self, points: np.ndarray) -> np.ndarray:
        """Heights (...) above the ground of points (..., 3) in base_link."""
        return points[..., 2] - (self.ahead * points[..., 0] + self.left * points[..., 1] + self.offset_m)


@dataclass(frozen=True)
class Sweep:
    """A scan taken apart, base_link.

    Attributes:
        points: (rows, n, 3). heights: (rows, n) above the ground. ranges_m: (rows, n) horizontal, from the lidar.
        thing: (rows, n) which returns lie on things.
    """

    scan: LidarScan
    points: np.ndarray
    heights: np.ndarray
    ranges_m: np.ndarray
    thing: np.ndarray
    tilt: Tilt


class RowLidar:
    """Reads the scans of one lidar; remembers the ground's tilt from scan to scan."""

    def __init__(self, spec: LidarSpec) -> None:
        self.spec = spec
        self.tilt = Tilt()
        self._sin = np.sin(np.radians(spec.rows_deg))[:, None]
        self._cos = np.cos(np.radians(spec.rows_deg))[:, None]

    def read(self, scan: LidarScan) -> Sweep:
        """Take one scan apart. Raises ValueError when it has other rows than the lidar."""
        measured = np.atleast_2d(scan.ranges_m)
        if len(measured) != len(self.spec.rows_deg):
            raise ValueError(f"scan has {len(measured)} rows, the robot's lidar {len(self.spec.rows_deg)}")
        ranges = smoothed(measured)
        angles = scan.angle_min_rad + np.arange(measured.shape[1]) * scan.angle_step_rad
        flat = np.where(np.isfinite(ranges), ranges, 0.0) * self._cos
        up = np.where(np.isfinite(ranges), ranges, 0.0) * self._sin
        points = np.stack([flat * np.cos(angles) + self.spec.x_m, flat * np.sin(angles), up + self.spec.height_m], axis=2)
        hit = flat > 0.3
        self.tilt = fit_ground(points[self._sin[:, 0] < -0.02][hit[self._sin[:, 0] < -0.02]], self.tilt)
        heights = self.tilt.heights(points)
        thing = hit & (heights > FLOOR_M + FLOOR_PER_M * flat) & (heights < CEILING_M)
        return Sweep(scan, points, heights, flat, thing, self.tilt)

    def sight(self, sweep: Sweep, pose: np.ndarray) -> Sight:
        """Where the beams of a sweep looked, with base_link at pose (3,) in odom."""
        scan, tilt = sweep.scan, sweep.tilt
        angles = scan.angle_min_rad + np.arange(sweep.ranges_m.shape[1]) * scan.angle_step_rad
        cos, sin = math.cos(pose[2]), math.sin(pose[2])
        reach = np.where(np.isinf(np.atleast_2d(scan.ranges_m)), scan.range_max_m, sweep.ranges_m)
        # a beam counts as far as its neighbours too: what stands between two of them is not looked through
        reach = np.minimum(np.minimum(reach, np.roll(reach, 1, axis=1)), np.roll(reach, -1, axis=1))
        slopes = self._sin / self._cos - (tilt.ahead * np.cos(angles) + tilt.left * np.sin(angles))
        things = np.where(sweep.thing, sweep.ranges_m, np.inf).min(axis=0)
        return Sight(scan.stamp_s, np.array([pose[0] + cos * self.spec.x_m, pose[1] + sin * self.spec.x_m]),
                     float(pose[2]) + scan.angle_min_rad, scan.angle_step_rad, reach,
                     self.spec.height_m - tilt.offset_m - tilt.ahead * self.spec.x_m, slopes, things)


@dataclass(frozen=True)
class Sight:
    """What the beams of one scan looked through, odom.

    Attributes:
        xy: (2,) of the lidar. first_rad: direction of beam 0; step_rad: from beam to beam.
        reach_m: (rows, n) horizontal distance to which a beam and its neighbours met nothing. height_m: of the lidar.
        slopes: (rows, n) rise of the beams over the ground per metre. things_m: (n,) distance of the nearest thing, inf for none.
    """

    stamp_s: float
    xy: np.ndarray
    first_rad: float
    step_rad: float
    reach_m: np.ndarray
    height_m: float
    slopes: np.ndarray
    things_m: np.ndarray

    def looked_through(self, xy: np.ndarray, tops_m: np.ndarray, coarse_m: np.ndarray | None = None) -> np.ndarray:
        """(N,) whether a beam passed through the place of things at xy (N, 2) that would have met them.

        Args:
            tops_m: (N,) heights up to which the things reach.
            coarse_m: (N,) distances from which the things were measured; given, a thing that was measured from afar and lies
                just behind what is measured better now counts as looked through too: it was noise.
        """
        away, beams, met = self._meet(xy, tops_m)
        through = np.any(met & (self.reach_m[:, beams] > away + 0.15 + 3 * RANGE_NOISE * away), axis=0)
        if coarse_m is not None:
            behind = away - self.things_m[beams]
            through |= (behind > 0.15) & (behind < 0.3 + 3 * RANGE_NOISE * coarse_m) & (away < 0.6 * coarse_m)
        return np.asarray(through)

    def tells(self, xy: np.ndarray, tops_m: np.ndarray) -> np.ndarray:
        """(N,) whether a beam points to the place of things at xy (N, 2) at a height below their tops (N,)."""
        return np.asarray(np.any(self._meet(xy, tops_m)[2], axis=0))

    def _meet(self, xy: np.ndarray, tops_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances (N,), beams (N,), and which rows (rows, N) are at the things' height there."""
        offset = xy - self.xy
        away = np.hypot(offset[:, 0], offset[:, 1])
        beams = np.round((np.arctan2(offset[:, 1], offset[:, 0]) - self.first_rad) / self.step_rad).astype(np.int64)
        beams %= self.reach_m.shape[1]
        heights = self.height_m + self.slopes[:, beams] * away
        return away, beams, (heights > 0.05) & (heights < tops_m - 0.02)


def smoothed(ranges: np.ndarray) -> np.ndarray:
    """Ranges (rows, n) averaged with their neighbours on the same surface, pairwise, so that slanted faces stay straight."""
    total, count = ranges.copy(), np.ones(ranges.shape)
    with np.errstate(invalid="ignore"):
        near = 4.5 * RANGE_NOISE * ranges
        same = np.ones(ranges.shape, dtype=bool)
        for k in (1, 2, 3):
            left, right = np.roll(ranges, k, axis=1), np.roll(ranges, -k, axis=1)
            same &= (np.abs(left - ranges) < near) & (np.abs(right - ranges) < near)
            total += np.where(same, left + right, 0.0)
            count += 2.0 * same
    return total / count


def fit_ground(points: np.ndarray, before: Tilt) -> Tilt:
    """The ground plane through points (N, 3) in base_link that lie near the one before; that one when too few do."""
    tilt = before
    ranges = np.hypot(points[:, 0], points[:, 1])
    for base_m, per_m in ((0.12, 0.012), (0.07, 0.004)):
        near = np.abs(tilt.heights(points)) < base_m + per_m * ranges
        if int(near.sum()) < _GROUND_NEEDED:
            return before
        xy1 = np.column_stack([points[near, :2], np.ones(int(near.sum()))])
        # a weak pull to level ground, for when only one side is seen
        normal = xy1.T @ xy1 + np.diag([50.0, 50.0, 5.0])
        ahead, left, offset = np.linalg.solve(normal, xy1.T @ points[near, 2])
        tilt = Tilt(float(np.clip(ahead, -_STEEPEST, _STEEPEST)), float(np.clip(left, -_STEEPEST, _STEEPEST)),
                    float(np.clip(offset, -_HIGHEST_M, _HIGHEST_M)))
    return tilt


def clusters(sweep: Sweep, wanted: np.ndarray) -> np.ndarray:
    """Labels (M,) of the M returns that `wanted` (rows, n) marks, in its order: neighbours that lie close together share one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows = len(wanted)
    index = np.full(wanted.shape, -1)
    count = int(wanted.sum())
    index[wanted] = np.arange(count)
    x, y = sweep.points[..., 0], sweep.points[..., 1]
    # beams lie farther apart with the distance, and so do their readings
    near = (0.35 + 0.022 * sweep.ranges_m) ** 2
    first, second = [], []
    for k in range(4):
        for other in range(rows):
            there, xo, yo = (np.roll(a[other], -k) for a in (index, x, y))
            for row in range(rows):
                if k == 0 and other <= row:
                    continue
                joined = (index[row] >= 0) & (there >= 0) & ((x[row] - xo) ** 2 + (y[row] - yo) ** 2 < near[row])
                first.append(index[row][joined])
                second.append(there[joined])
    a, b = np.concatenate(first), np.concatenate(second)
    return connected_components(coo_matrix((np.ones(len(a), dtype=bool), (a, b)), shape=(count, count)), directed=False)[1]
