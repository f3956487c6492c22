"""Remember what stands along a street: an evidence grid in the odom frame that moves with the car and knows heights.

A cell is cleared only by a beam or pixel that would have met what stands there; so a cone keeps its place while the lidar
looks over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

HIT, MISS, MOST, OCCUPIED = 2, 1, 12, 4
# evidence and age of what surely stands
SURE, SURE_S = 6, 1.0
# the window moves along in steps of so many cells
_STEP_CELLS = 64
SMALLEST_CELLS, LONE_EVIDENCE = 2, 8

Through = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Patch:
    """Cells that hang together: middles xy (K, 2) in odom, tops_m (K,), and whether a camera has seen how high it is."""

    xy: np.ndarray
    tops_m: np.ndarray
    measured: bool


class StreetGrid:
    """Evidence of what stands, within reach_m of the car, in cells of cell_m."""

    def __init__(self, reach_m: float = 50.0, cell_m: float = 0.15) -> None:
        self.cell_m = cell_m
        self._side = 2 * (int(reach_m / cell_m) + _STEP_CELLS)
        shape = (self._side, self._side)
        self._evidence = np.zeros(shape, dtype=np.uint8)
        self._top_m = np.zeros(shape, dtype=np.float32)
        # distance of the best reading; when it was hit first; whether a camera saw it
        self._from_m = np.full(shape, np.inf, dtype=np.float32)
        self._since_s = np.zeros(shape, dtype=np.float32)
        self._measured = np.zeros(shape, dtype=bool)
        # cell (column, row) of the world that the window's corner is
        self._corner = np.array([-self._side // 2, -self._side // 2])
        self._filled: np.ndarray | None = None
        self._first_s = math.inf

    def recentre(self, xy: np.ndarray) -> None:
        """Move the window so that the point (2,) lies near its middle; what leaves it is forgotten."""
        shift = (np.floor(xy / self.cell_m) - self._corner - self._side // 2).astype(int)
        shift = (np.sign(shift) * (np.abs(shift) // _STEP_CELLS) * _STEP_CELLS).astype(int)
        if not shift.any():
            return
        for values, empty in ((self._evidence, 0), (self._top_m, 0.0), (self._from_m, np.inf), (self._since_s, 0.0),
                              (self._measured, False)):
            moved = np.full_like(values, empty)
            (to_x, from_x), (to_y, from_y) = (self._overlap(int(s)) for s in shift)
            moved[to_y, to_x] = values[from_y, from_x]
            values[:] = moved
        self._corner = self._corner + shift
        self._filled = None

    def _overlap(self, shift: int) -> tuple[slice, slice]:
        kept = max(0, self._side - abs(shift))
        return (slice(0, kept), slice(self._side - kept, None)) if shift > 0 else (slice(self._side - kept, None), slice(0, kept))

    def add(self, xy: np.ndarray, heights: np.ndarray, ranges: np.ndarray, now_s: float, *, camera: bool,
            solid: np.ndarray | None = None) -> None:
        """Take points xy (N, 2) on things with their heights and distances (N,).

        solid: (N,) which of them are in a car's way; the others only say how high the thing is.
        """
        columns, rows, inside = self._cells(xy)
        columns, rows, heights, ranges = columns[inside], rows[inside], heights[inside], ranges[inside]
        np.maximum.at(self._top_m, (rows, columns), heights.astype(np.float32))
        if camera:
            self._measured[rows, columns] = True
        if solid is not None:
            keep = solid[inside]
            columns, rows, ranges = columns[keep], rows[keep], ranges[keep]
        self._first_s = min(self._first_s, now_s)
        fresh = self._evidence[rows, columns] == 0
        self._since_s[rows[fresh], columns[fresh]] = now_s
        np.minimum.at(self._from_m, (rows, columns), ranges.astype(np.float32))
        self._evidence[rows, columns] = np.minimum(self._evidence[rows, columns] + HIT, MOST)
        self._filled = None

    def clear(self, through: Through) -> None:
        """Weaken the cells that were looked through: `through` tells it of xy (K, 2), tops (K,), distances measured from (K,)."""
        filled = self._nonzero()
        if not len(filled):
            return
        rows, columns = np.divmod(filled, self._side)
        missed = filled[through(self._middles(columns, rows), self._top_m.reshape(-1)[filled], self._from_m.reshape(-1)[filled])]
        evidence = self._evidence.reshape(-1)
        evidence[missed] -= np.minimum(evidence[missed], MISS)
        gone = missed[evidence[missed] == 0]
        self._empty(gone)

    def erase(self, inside: Callable[[np.ndarray], np.ndarray]) -> None:
        """Forget what stands where `inside` tells of middles (K, 2) that a mover is or was."""
        filled = self._nonzero()
        rows, columns = np.divmod(filled, self._side)
        gone = filled[inside(self._middles(columns, rows))]
        self._evidence.reshape(-1)[gone] = 0
        self._empty(gone)

    def _empty(self, cells: np.ndarray) -> None:
        self._top_m.reshape(-1)[cells] = 0.0
        self._from_m.reshape(-1)[cells] = np.inf
        self._measured.reshape(-1)[cells] = False

    def stands(self, xy: np.ndarray, from_xy: np.ndarray, noise: float, now_s: float) -> np.ndarray:
        """(N,) whether at points (N, 2), or beside them, something has stood for long.

        Args:
            from_xy: (2,) from where the points were measured; noise: how far off they may be, as a share of the distance.
        """
        # at first nothing is old
        old_s = min(SURE_S, 0.6 * (now_s - self._first_s))
        sure = ((self._evidence >= SURE) & (now_s - self._since_s >= old_s)).astype(np.uint8)
        dilated: np.ndarray = cv2.dilate(sure, np.ones((3, 3), np.uint8))
        rays = xy - from_xy
        found = np.zeros(len(xy), dtype=bool)
        for share in (-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0):
            columns, rows, inside = self._cells(xy + share * noise * rays)
            found |= inside & (dilated[np.where(inside, rows, 0), np.where(inside, columns, 0)] > 0)
        return found

    def patches(self) -> list[Patch]:
        """The occupied cells, in patches that hang together."""
        filled = self._nonzero()
        rows, columns = np.divmod(filled, self._side)
        keep = self._evidence.reshape(-1)[filled] >= OCCUPIED
        rows, columns = rows[keep], columns[keep]
        if not len(rows):
            return []
        low = np.array([columns.min(), rows.min()]) - 2
        high = np.array([columns.max(), rows.max()]) + 3
        occupied = np.zeros((high - low)[::-1], dtype=np.uint8)
        occupied[rows - low[1], columns - low[0]] = 1
        joined = cv2.morphologyEx(occupied, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(joined, connectivity=8)
        owners = labels[rows - low[1], columns - low[0]]
        order = np.argsort(owners, kind="stable")
        rows, columns = rows[order], columns[order]
        starts = np.searchsorted(owners[order], np.arange(1, count + 1))
        xy, tops, measured = self._middles(columns, rows), self._top_m[rows, columns], self._measured[rows, columns]
        found = []
        for start, stop in pairwise(starts):
            if stop - start >= SMALLEST_CELLS or (stop > start and self._evidence[rows[start], columns[start]] >= LONE_EVIDENCE):
                found.append(Patch(xy[start:stop], tops[start:stop], bool(measured[start:stop].any())))
        return found

    def _cells(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cells = np.floor(xy / self.cell_m).astype(np.int64) - self._corner
        return cells[:, 0], cells[:, 1], ((cells >= 1) & (cells < self._side - 1)).all(axis=1)

    def _middles(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (np.stack([columns, rows], axis=1) + self._corner + 0.5) * self.cell_m

    def _nonzero(self) -> np.ndarray:
        """Cells that hold evidence, and some that have held it since cells were added."""
        if self._filled is None:
            self._filled = np.flatnonzero(self._evidence)
        return self._filled
