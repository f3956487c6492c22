"""Remember what stands around the robot: an evidence grid in the odom frame with one layer for depth and one for lidar."""

from __future__ import annotations

import math

import cv2
import numpy as np

from jpai_agent.perception.geometry import transform

CELL_M = 0.05
HIT, MISS, MOST, OCCUPIED = 2, 1, 12, 4
SMALLEST_CELLS = 2


class ObstacleGrid:
    """Evidence counts per cell and layer; a cell is occupied when either layer says so.

    Each layer is cleared only by its own sensor: the lidar looks under a desk that the camera sees.

    Args:
        size_m: Side of the square covered, centred on the origin of the odom frame's robot start.
    """

    def __init__(self, size_m: float = 56.0) -> None:
        self._half_m = size_m / 2
        side = int(size_m / CELL_M)
        self._evidence = {layer: np.zeros((side, side), dtype=np.int8) for layer in ("depth", "lidar")}
        self._top_m = np.zeros((side, side), dtype=np.float32)

    def _cells(self, xy: np.ndarray) -> np.ndarray:
        """Flat indices of the cells of points (N, 2) in odom; points beyond the grid are left out."""
        side = self._top_m.shape[0]
        ij = ((xy + self._half_m) / CELL_M).astype(np.int32)
        inside = ((ij >= 0) & (ij < side)).all(axis=1)
        return ij[inside, 1] * side + ij[inside, 0]

    def add(self, layer: str, hits: np.ndarray, tops_m: np.ndarray, free: np.ndarray) -> None:
        """Take one reading of a sensor.

        Args:
            hits: (N, 2) points on things, odom frame; tops_m: (N,) their heights.
            free: (M, 2) points that the sensor looked through.
        """
        evidence = self._evidence[layer].reshape(-1)
        hit_cells = self._cells(hits)
        occupied = np.unique(hit_cells)
        cleared = np.setdiff1d(np.unique(self._cells(free)), occupied, assume_unique=True)
        evidence[cleared] = np.maximum(evidence[cleared] - MISS, 0)
        evidence[occupied] = np.minimum(evidence[occupied] + HIT, MOST)
        if len(hit_cells) == len(tops_m):
            np.maximum.at(self._top_m.reshape(-1), hit_cells, tops_m.astype(np.float32))

    def holds(self, xy: np.ndarray) -> np.ndarray:
        """(N,) whether a cell at or beside each point (N, 2) is occupied; points beyond the grid are not."""
        side = self._top_m.shape[0]
        ij = np.clip(((xy + self._half_m) / CELL_M).astype(np.int32), 1, side - 2)
        held = np.zeros(len(xy), dtype=bool)
        for layer in self._evidence.values():
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    held |= layer[ij[:, 1] + dy, ij[:, 0] + dx] >= OCCUPIED
        return held

    def erase(self, xy: np.ndarray, radius_m: float) -> None:
        """Forget what stands within `radius_m` of a point (2,): a mover is there or was there."""
        side = self._top_m.shape[0]
        centre = ((xy + self._half_m) / CELL_M).astype(int)
        reach = int(math.ceil(radius_m / CELL_M))
        low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, side)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        rows, columns = np.ogrid[window]
        near = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= reach**2
        for layer in (*self._evidence.values(), self._top_m):
            layer[window][near] = 0

    def boxes(self, low_m: np.ndarray, high_m: np.ndarray) -> list[tuple[float, float, float, float, float, float]]:
        """Oriented boxes (x, y, yaw, half_x, half_y, top), odom frame, of the occupied patches between two corners (2,)."""
        side = self._top_m.shape[0]
        low = np.clip(((low_m + self._half_m) / CELL_M).astype(int), 0, side)
        high = np.clip(((high_m + self._half_m) / CELL_M).astype(int) + 1, 0, side)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        occupied = (self._evidence["depth"][window] >= OCCUPIED) | (self._evidence["lidar"][window] >= OCCUPIED)
        joined = cv2.morphologyEx(occupied.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(joined, connectivity=8)
        found = []
        rows, columns = np.nonzero(labels)
        owners = labels[rows, columns]
        order = np.argsort(owners, kind="stable")
        rows, columns, owners = rows[order], columns[order], owners[order]
        starts = np.searchsorted(owners, np.arange(1, count + 1))
        for start, stop in zip(starts[:-1], starts[1:], strict=True):
            if stop - start < SMALLEST_CELLS:
                continue
            cells = np.stack([columns[start:stop], rows[start:stop]], axis=1)
            (x, y), (width, height), angle_deg = cv2.minAreaRect(cells.astype(np.float32))
            top_m = float(self._top_m[window][rows[start:stop], columns[start:stop]].max())
            centre = (np.array([x, y]) + low + 0.5) * CELL_M - self._half_m
            found.append((float(centre[0]), float(centre[1]), math.radians(angle_deg),
                          (width + 1) * CELL_M / 2, (height + 1) * CELL_M / 2, top_m))
        return found


def depth_reading(points: np.ndarray, pose: np.ndarray, *, floor_m: float, ceiling_m: float, reach_m: float,
                  blind_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a depth frame into what it hit and what it looked through.

    Args:
        points: (N, 3) in base_link, seen by the camera.
        pose: (3,) of base_link in odom.
        floor_m, ceiling_m: Heights between which a point is on a thing.
        reach_m: Readings farther than this are too coarse to map; blind_m: nearer than this the camera sees no floor.

    Returns:
        hits (N, 2) in odom, their heights (N,), free points (M, 2) in odom.
    """
    ranges = np.hypot(points[:, 0], points[:, 1])
    usable = ranges < reach_m
    on_thing = usable & (points[:, 2] > floor_m) & (points[:, 2] < ceiling_m)
    hits = transform(pose, points[on_thing, :2])
    # nearest thing in each direction: all before it was looked through
    direction = np.arctan2(points[:, 1], points[:, 0])
    step = math.radians(0.5)
    bins = np.round(direction / step).astype(int)
    bins -= bins.min(initial=0)
    nearest = np.full(bins.max(initial=0) + 1, np.inf)
    seen = np.zeros(len(nearest))
    np.maximum.at(seen, bins[usable], ranges[usable])
    np.minimum.at(nearest, bins[on_thing], ranges[on_thing])
    through_m = np.minimum(nearest - 0.10, seen)
    angles = (np.arange(len(nearest)) + np.round(direction / step).min(initial=0)) * step
    free = along_rays(angles, np.full(len(angles), blind_m), through_m)
    return hits, points[on_thing, 2], transform(pose, free)


def along_rays(angles_rad: np.ndarray, from_m: np.ndarray, to_m: np.ndarray) -> np.ndarray:
    """Points (M, 2) every half cell along rays from the origin between two ranges (n,)."""
    reach_m = float(np.max(to_m, initial=0.0))
    steps = np.arange(0.0, reach_m, CELL_M * 0.8)
    wanted = (steps[None, :] >= from_m[:, None]) & (steps[None, :] < to_m[:, None])
    ray, step = np.nonzero(wanted)
    return np.stack([np.cos(angles_rad[ray]) * steps[step], np.sin(angles_rad[ray]) * steps[step]], axis=1)
