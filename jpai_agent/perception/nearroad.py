"""How far places are from the road and which way it runs there: the road map as a raster, for many points at once."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from jpai_agent.world.road import RoadMap

CELL_M = 0.5


@lru_cache(maxsize=4)
def near_road(road: RoadMap) -> NearRoad:
    """The raster of a road map; made once."""
    return NearRoad(road)


class NearRoad:
    """Distance to the nearest lane, aisle or slot, and its direction, within rim_m around the road, map frame."""

    def __init__(self, road: RoadMap, rim_m: float = 15.0) -> None:
        points, yaws, straight = [], [], []
        for lane in road.lanes.values():
            step = np.diff(lane.centre, axis=0, append=2 * lane.centre[-1:] - lane.centre[-2:-1])
            points.append(lane.centre)
            yaws.append(np.arctan2(step[:, 1], step[:, 0]))
            straight.append(np.full(len(lane.centre), lane.crossing is None))
        for park in road.car_parks:
            x0, y0, x1, y1 = park.aisle_m
            aisle = np.stack(np.meshgrid(np.arange(x0, x1, 1.0), np.arange(y0, y1, 1.0)), axis=2).reshape(-1, 2)
            points.append(aisle)
            yaws.append(np.full(len(aisle), park.slots[0].yaw_rad if park.slots else 0.0))
            straight.append(np.full(len(aisle), True))
            for slot in park.slots:
                along = np.arange(-slot.length_m / 2, slot.length_m / 2 + 0.1, 0.5)
                points.append(np.array([slot.x_m, slot.y_m]) + along[:, None] * [math.cos(slot.yaw_rad), math.sin(slot.yaw_rad)])
                yaws.append(np.full(len(along), slot.yaw_rad))
                straight.append(np.full(len(along), True))
        xy = np.concatenate(points)
        self._low = xy.min(axis=0) - rim_m
        columns, rows = np.ceil((xy.max(axis=0) + rim_m - self._low) / CELL_M).astype(int)
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2).reshape(-1, 2)
        middles = self._low + (cells + 0.5) * CELL_M
        away, nearest = cKDTree(xy).query(middles, workers=1)
        self._away_m = away.reshape(rows, columns).astype(np.float32)
        yaw = np.where(np.concatenate(straight), np.concatenate(yaws), np.nan)[nearest]
        self._yaw_rad = yaw.reshape(rows, columns).astype(np.float32)

    def away_m(self, xy: np.ndarray) -> np.ndarray:
        """(N,) distances of points (N, 2) from the nearest lane's middle line, inf far outside."""
        columns, rows, inside = self._cells(xy)
        return np.where(inside, self._away_m[rows, columns], np.inf)

    def yaw_rad(self, xy: np.ndarray) -> float | None:
        """Direction of the nearest lane at a point (2,); None inside crossings and far outside."""
        columns, rows, inside = self._cells(xy[None, :])
        yaw = float(self._yaw_rad[rows[0], columns[0]])
        return yaw if inside[0] and math.isfinite(yaw) else None

    def _cells(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cells = np.floor((xy - self._low) / CELL_M)
        limits = np.array(self._away_m.shape[::-1])
        inside = ((cells >= 0) & (cells < limits)).all(axis=1)
        cells = np.clip(cells, 0, limits - 1).astype(np.int64)
        return cells[:, 0], cells[:, 1], inside
