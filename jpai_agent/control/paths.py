"""Plan a path around what stands: the cheapest way over a clearance grid, pulled straight, in the map frame."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.graph import MCP_Geometric

from jpai_agent.control.geometry import corners

CELL_M = 0.10
STEP_M = 0.05
# centre to obstacle: less is never driven; what is wanted; from where on the way is as good as open ground
LEAST_M, WANTED_M, OPEN_M = 0.30, 0.50, 1.0


class ProgramError(ValueError):
    """No program can be made of a plan. `reason` is "no_path", "goal_blocked" or "target_missing"; `step` says which step."""

    def __init__(self, reason: str, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.reason, self.step = reason, step


class ClearanceGrid:
    """Distance to the nearest obstacle or wall over the map.

    Args:
        boxes: (K, 5) obstacles; discs: (M, 3) x, y, radius of people standing by.
        bounds_m: (x0, y0, x1, y1).
    """

    def __init__(self, boxes: np.ndarray, discs: np.ndarray, bounds_m: tuple[float, float, float, float]) -> None:
        self._low = np.array(bounds_m[:2])
        width, height = (np.ceil((np.array(bounds_m[2:]) - self._low) / CELL_M)).astype(int)
        # drawn four times as fine, so that thin faces are met where they are
        fine, shift = 4, 3
        free = np.ones((height * fine, width * fine), dtype=np.uint8)
        scale = fine / CELL_M * (1 << shift)
        for box in boxes:
            cv2.fillConvexPoly(free, np.round((corners(box) - self._low) * scale).astype(np.int32), 0, shift=shift)
        for x, y, radius in discs:
            centre = np.round((np.array([x, y]) - self._low) * scale).astype(int)
            cv2.circle(free, tuple(int(v) for v in centre), round(radius * scale), 0, -1, shift=shift)
        free = np.pad(free, 1)
        distance = distance_transform_edt(free)[1:-1, 1:-1] * CELL_M / fine
        self.clearance_m = distance[fine // 2::fine, fine // 2::fine]

    def cell(self, xy: np.ndarray) -> tuple[int, int]:
        """(row, column) of a point (2,), clipped to the map."""
        column, row = ((np.asarray(xy) - self._low) / CELL_M).astype(int)
        rows, columns = self.clearance_m.shape
        return int(np.clip(row, 0, rows - 1)), int(np.clip(column, 0, columns - 1))

    def at(self, points: np.ndarray) -> np.ndarray:
        """(N,) clearance at points (N, 2); 0 beyond the map."""
        index = np.floor((points - self._low) / CELL_M).astype(int)
        rows, columns = self.clearance_m.shape
        inside = (index[:, 0] >= 0) & (index[:, 0] < columns) & (index[:, 1] >= 0) & (index[:, 1] < rows)
        index = np.clip(index, 0, [columns - 1, rows - 1])
        return np.where(inside, self.clearance_m[index[:, 1], index[:, 0]], 0.0)

    def plan(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(P, 2) points every STEP_M from start to goal (2,) each.

        Raises:
            ProgramError: There is no way, or the goal itself is too tight.
        """
        if np.linalg.norm(goal - start) < 1e-6:
            return np.asarray(start, dtype=float)[None, :]
        clearance = self.clearance_m.copy()
        rows, columns = np.indices(clearance.shape)
        # where the robot stands it may stand, however tight
        row, column = self.cell(start)
        around = np.hypot(rows - row, columns - column) * CELL_M < 0.45
        clearance[around] = np.maximum(clearance[around], LEAST_M + 0.01)
        goal_cell = self.cell(goal)
        if clearance[goal_cell] < LEAST_M:
            raise ProgramError("goal_blocked", f"the goal ({goal[0]:.2f}, {goal[1]:.2f}) is {clearance[goal_cell]:.2f} m from an obstacle")
        short = np.clip((OPEN_M - clearance) / (OPEN_M - WANTED_M), 0.0, 1.0)
        cost = 1.0 + 3.0 * short**2 + np.where(clearance < WANTED_M, 12.0, 0.0)
        cost[clearance < LEAST_M] = -1.0
        finder = MCP_Geometric(cost)
        reached, _ = finder.find_costs([(row, column)], [goal_cell])
        if not np.isfinite(reached[goal_cell]):
            raise ProgramError("no_path", f"no way from ({start[0]:.2f}, {start[1]:.2f}) to ({goal[0]:.2f}, {goal[1]:.2f})")
        cells = np.array(finder.traceback(goal_cell))[:, ::-1]
        way = (cells + 0.5) * CELL_M + self._low
        way[0], way[-1] = start, goal
        return resample(self._pulled(way))

    def _pulled(self, way: np.ndarray) -> np.ndarray:
        """The way with corners left out where the straight line is as clear."""
        kept, at = [0], 0
        while at < len(way) - 1:
            far = len(way) - 1
            while far > at + 1:
                line = resample(np.stack([way[at], way[far]]))
                needed = min(WANTED_M + 0.1, float(self.at(way[at:far + 1]).min()))
                if float(self.at(line).min()) >= needed - 1e-9:
                    break
                far -= max(1, (far - at) // 8)
                far = max(far, at + 1)
            kept.append(far)
            at = far
        return way[kept]


def resample(way: np.ndarray) -> np.ndarray:
    """The way (P, 2) as points every STEP_M, ends kept."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    count = max(2, int(np.ceil(length[-1] / STEP_M)) + 1)
    along = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(along, length, way[:, 0]), np.interp(along, length, way[:, 1])], axis=1)
