"""Remember what stands around the robot: an evidence grid in the odom frame, one layer for depth, one for lidar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from jpai_agent.perception.geometry import transform
from jpai_agent.perception.unseen import Box, fit, whole
from jpai_agent.world.sensors import LidarScan

CELL_M = 0.05
HIT, MISS, MOST, OCCUPIED = 2, 1, 12, 4
# a patch of one cell, such as a post, must be seen again and again
SMALLEST_CELLS, LONE_EVIDENCE = 2, 8
# scans that must have looked through a cell before what appears there has moved in
LOOKED_THROUGH = 4
# the lidar looks under tables: where it met less than this share of what the camera sees, what it looks through says nothing
LIDAR_MET = 0.15
# for so many readings a thing whose cells stay the same is not fitted anew
KEPT_READINGS = 6
# a reading's noise: so much before a hit does not count as looked through
GAP_M = 0.10
# polygons are drawn with this many fractional bits of a cell
_SHIFT = 4



@dataclass(frozen=True)
class Thing:
    """A patch that is occupied: the box around what was seen of it, that with what may lie behind, and its top."""

    seen: Box
    whole: Box
    top_m: float


class ObstacleGrid:
    """Evidence counts per cell and layer; a cell is occupied when either layer says so.

    Each layer is cleared only by its own sensor: the lidar looks under a desk that the camera sees.

    Args:
        size_m: Side of the square covered, centred on the origin of the odom frame's robot start.
    """

    def __init__(self, size_m: float = 56.0) -> None:
        self._half_m = size_m / 2
        side = int(size_m / CELL_M)
        self._evidence = {layer: np.zeros((side, side), dtype=np.uint8) for layer in ("depth", "lidar")}
        self._top_m = np.zeros((side, side), dtype=np.float32)
        self._through = {layer: np.zeros((side, side), dtype=np.uint8) for layer in self._evidence}
        # corners (column, row) of the cells that have ever been hit
        self._hit_low, self._hit_high = np.array([side, side]), np.array([0, 0])
        self._viewer = np.zeros(2)
        self._things: list[Thing] | None = None
        # the things by their cells, each with the reading from which on it is fitted anew: what is free beside it changes
        self._kept: dict[bytes, tuple[Thing, int]] = {}
        self._readings = 0

    def _columns_rows(self, xy: np.ndarray) -> np.ndarray:
        """(N, 2) int cells (column, row) of the points (N, 2) in odom that lie on the grid, clear of its rim."""
        side = self._top_m.shape[0]
        cells = ((xy + self._half_m) / CELL_M).astype(np.int32)
        return cells[((cells >= 1) & (cells < side - 1)).all(axis=1)]

    def add(self, layer: str, hits: np.ndarray, tops_m: np.ndarray, free: np.ndarray, viewer: np.ndarray) -> None:
        """Take one reading of a sensor.

        Args:
            hits: (N, 2) points on things, odom frame; tops_m: (N,) their heights.
            free: (M, 2) outline of the floor that the sensor looked over, odom frame; hits inside it stay hits.
            viewer: (2,) where the robot was then, odom frame.
        """
        self._viewer = viewer
        self._readings += 1
        side = self._top_m.shape[0]
        cells = self._columns_rows(hits)
        outline = (free + self._half_m) / CELL_M - 0.5
        around = np.concatenate([cells.reshape(-1, 2), outline.reshape(-1, 2)])
        if len(around) == 0:
            return
        low = np.clip(np.floor(around.min(axis=0)).astype(int) - 1, 0, side)
        high = np.clip(np.ceil(around.max(axis=0)).astype(int) + 2, 0, side)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        evidence = self._evidence[layer][window]
        if evidence.size == 0:
            return
        seen = np.zeros(evidence.shape, dtype=np.uint8)
        if len(outline) >= 3:
            fixed = np.round((outline - low) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(seen, [fixed], MISS, lineType=cv2.LINE_8, shift=_SHIFT)
        rows, columns = cells[:, 1] - low[1], cells[:, 0] - low[0]
        seen[rows, columns] = 0
        through = self._through[layer][window]
        np.minimum(through + seen, MOST, out=through)
        through[rows, columns] = 0
        fewer = cv2.subtract(evidence, seen)
        seen[:] = 0
        seen[rows, columns] = HIT
        evidence[:] = np.minimum(cv2.add(fewer, seen), MOST)
        if len(cells):
            top_m = self._top_m[window]
            if len(cells) == len(tops_m):
                np.maximum.at(top_m, (rows, columns), tops_m.astype(np.float32))
            self._hit_low = np.minimum(self._hit_low, cells.min(axis=0))
            self._hit_high = np.maximum(self._hit_high, cells.max(axis=0) + 1)
        # what has gone takes its height along
        gone = (fewer == 0) & (seen == 0)
        for other, values in self._evidence.items():
            if other != layer:
                gone &= values[window] == 0
        self._top_m[window][gone] = 0.0
        self._things = None

    def entered(self, xy: np.ndarray) -> np.ndarray:
        """(N,) whether each point (N, 2) is where the lidar used to look through and nothing stands at or beside it."""
        side = self._top_m.shape[0]
        ij = np.clip(((xy + self._half_m) / CELL_M).astype(np.int32), 1, side - 2)
        entered = self._through["lidar"][ij[:, 1], ij[:, 0]] >= LOOKED_THROUGH
        for layer in self._evidence.values():
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    entered &= layer[ij[:, 1] + dy, ij[:, 0] + dx] < OCCUPIED
        return entered

    def erase(self, xy: np.ndarray, radius_m: float) -> None:
        """Forget what stands within `radius_m` of a point (2,): a mover is there or was there."""
        side = self._top_m.shape[0]
        centre = ((xy + self._half_m) / CELL_M).astype(int)
        reach = math.ceil(radius_m / CELL_M)
        low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, side)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        rows, columns = np.ogrid[window]
        near = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= reach**2
        for layer in self._evidence.values():
            layer[window][near] = 0
        self._top_m[window][near] = 0
        self._things = None

    def things(self) -> list[Thing]:
        """What stands, odom frame."""
        if self._things is None:
            self._things = self._find_things()
        return self._things

    def _find_things(self) -> list[Thing]:
        low, high = np.maximum(self._hit_low - 2, 0), self._hit_high + 2
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        met = self._evidence["lidar"][window] >= OCCUPIED
        evidence = np.maximum(self._evidence["depth"][window], self._evidence["lidar"][window])
        occupied = evidence >= OCCUPIED
        if not occupied.any():
            return []
        joined = cv2.morphologyEx(occupied.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(joined, connectivity=8)
        rows, columns = np.nonzero(labels)
        owners = labels[rows, columns]
        order = np.argsort(owners, kind="stable")
        rows, columns, owners = rows[order], columns[order], owners[order]
        starts = np.searchsorted(owners, np.arange(1, count + 1))
        tops_m = self._top_m[window]
        found: list[Thing] = []
        kept: dict[bytes, tuple[Thing, int]] = {}
        for start, stop in pairwise(starts):
            if stop - start < SMALLEST_CELLS and evidence[rows[start], columns[start]] < LONE_EVIDENCE:
                continue
            cells = np.stack([columns[start:stop], rows[start:stop]], axis=1) + low
            top_m = float(tops_m[rows[start:stop], columns[start:stop]].max())
            key = cells.tobytes()
            thing, until = self._kept.get(key, (None, 0))
            if thing is None or thing.top_m != top_m or until <= self._readings:
                met_share = float(met[rows[start:stop], columns[start:stop]].mean())
                thing, until = self._thing(cells, top_m, met_share), self._readings + KEPT_READINGS
            kept[key] = thing, until
            found.append(thing)
        self._kept = kept
        return found

    def _thing(self, cells: np.ndarray, top_m: float, met_share: float) -> Thing:
        """What stands on cells (K, 2) column, row, of which the lidar has met a share."""
        looks = ("depth", "lidar") if met_share > LIDAR_MET else ("depth",)
        seen = fit((cells + 0.5) * CELL_M - self._half_m, CELL_M, lambda xy: self._free(xy, looks))
        return Thing(seen, whole(seen, top_m, self._viewer, lambda xy: self._free(xy, looks) | self._taken(xy)), top_m)

    def _free(self, xy: np.ndarray, looks: Sequence[str]) -> np.ndarray:
        """(N,) whether one of the layers' sensors has looked through points (N, 2), odom, and again."""
        rows, columns = self._rows_columns(xy)
        return np.asarray(np.any([self._through[layer][rows, columns] >= LOOKED_THROUGH for layer in looks], axis=0))

    def _taken(self, xy: np.ndarray) -> np.ndarray:
        """(N,) whether something stands at points (N, 2), odom."""
        rows, columns = self._rows_columns(xy)
        return np.maximum(*(layer[rows, columns] for layer in self._evidence.values())) >= OCCUPIED

    def _rows_columns(self, xy: np.ndarray) -> np.ndarray:
        """(2, N) rows and columns of the cells of points (N, 2); those off the grid are taken to its rim."""
        ij = ((xy + self._half_m) / CELL_M).astype(np.int32)
        return np.clip(ij, 0, len(self._top_m) - 1).T[::-1]


def depth_reading(
    points: np.ndarray, pose: np.ndarray, *, floor_m: float, ceiling_m: float, reach_m: float, blind_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a depth frame into what it hit and what it looked through.

    Args:
        points: (N, 3) in base_link, seen by the camera.
        pose: (3,) of base_link in odom.
        floor_m, ceiling_m: Heights between which a point is on a thing.
        reach_m: Readings farther than this are too coarse to map; blind_m: nearer than this, along x, the camera sees
            no floor.

    Returns:
        hits (N, 2) in odom, their heights (N,), outline (M, 2) in odom of the floor looked over.
    """
    ranges = np.hypot(points[:, 0], points[:, 1])
    usable = ranges < reach_m
    on_thing = usable & (points[:, 2] > floor_m) & (points[:, 2] < ceiling_m)
    hits = transform(pose, points[on_thing, :2])
    # nearest thing in each direction: all before it was looked through
    step = math.radians(0.5)
    bins = np.round(np.arctan2(points[:, 1], points[:, 0]) / step).astype(int)
    first = bins.min(initial=0)
    bins -= first
    nearest = np.full(bins.max(initial=0) + 1, np.inf)
    seen = np.zeros(len(nearest))
    np.maximum.at(seen, bins[usable], ranges[usable])
    np.minimum.at(nearest, bins[on_thing], ranges[on_thing])
    angles = (np.arange(len(nearest)) + first) * step
    blind = blind_m / np.maximum(np.cos(angles), 0.1)
    through_m = np.maximum(np.minimum(nearest - GAP_M, seen), blind)
    free = np.concatenate([_polar(angles, through_m), _polar(angles[::-1], blind[::-1])])
    return hits, points[on_thing, 2], transform(pose, free)


def scan_reading(scan: LidarScan, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a scan into what it hit and what it looked through.

    Returns:
        points (n, 2) in odom in beam order, which of them are hits (n,), outline (n, 2) in odom of the free floor.
    """
    angles = scan.angle_min_rad + np.arange(len(scan.ranges_m)) * scan.angle_step_rad
    ranges = np.where(np.isfinite(scan.ranges_m), scan.ranges_m, 0.0)
    # a beam without an echo was free as far as it reaches; a dropout (NaN) says nothing
    clear = np.where(np.isinf(scan.ranges_m), scan.range_max_m, ranges) - GAP_M
    clear = np.where(np.isnan(scan.ranges_m), 0.0, np.maximum(clear, 0.0))
    return transform(pose, _polar(angles, ranges)), ranges > 0.05, transform(pose, _polar(angles, clear))


def _polar(angles_rad: np.ndarray, ranges_m: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles_rad) * ranges_m, np.sin(angles_rad) * ranges_m], axis=1)
