"""Plan a path around what stands: the cheapest way over a clearance grid, pulled straight and rounded, map frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from skimage.graph import MCP_Geometric

from jpai_agent.control.geometry import box_distance_m, footprint_gap_m
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.zones import SiteRules, Zone

CELL_M = 0.10
STEP_M = 0.05
# beyond the footprint's half width: never less; beyond its circle: wanted; clearance that is as good as open ground
LEAST_GAP_M, WANTED_GAP_M, OPEN_M = 0.05, 0.08, 1.0
# footprint to people who stand: never less, and wanted
PERSON_GAP_M, PERSON_WANTED_M = 0.55, 0.8
# a metre through a tight spot counts like this many in the open
TIGHT_COST, NEAR_COST = 12.0, 3.0
# where the robot already stands it may be, and leave, however tight
START_M = 0.45
# corners are rounded by a mean over so much of the way, or less where that would come too near
ROUND_M = (1.0, 0.6, 0.3)


class ProgramError(ValueError):
    """No program can be made of a plan.

    Attributes:
        reason: "no_path", "goal_blocked", "target_missing", "keep_out" or "too_fast"; cars have more.
        step: Which step of the plan. about: The zone's name for "keep_out", else "".
    """

    def __init__(self, reason: str, message: str, step: int = 0, about: str = "") -> None:
        super().__init__(message)
        self.reason, self.step, self.about = reason, step, about


def keep_out(zone: Zone, what: str) -> ProgramError:
    """The error of a plan that leads into a zone."""
    return ProgramError("keep_out", f"{what} in keep-out zone {zone.id}", about=zone.name)


@dataclass
class Surroundings:
    """What stands around the robot, and ways through it.

    Attributes:
        robot: Whose footprint is to pass. bounds_m: (x0, y0, x1, y1) inner faces of the walls.
        boxes: (K, 5) obstacles. people: (M, 4) x, y, radius of people who stand, and the gap that is kept at least.
        rules: Whose zones are kept out of like walls.
    """

    robot: RobotSpec
    bounds_m: tuple[float, float, float, float]
    boxes: np.ndarray
    people: np.ndarray
    rules: SiteRules = field(default_factory=SiteRules)
    _grid: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    @property
    def half_m(self) -> tuple[float, float]:
        """Half length and half width of the footprint."""
        return self.robot.length_m / 2, self.robot.width_m / 2

    def clearance_m(self, points: np.ndarray) -> np.ndarray:
        """(...) distance from points (..., 2) to the nearest obstacle, wall or zone."""
        x0, y0, x1, y1 = self.bounds_m
        x, y = points[..., 0], points[..., 1]
        nearest = np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y - y0, y1 - y))
        for box in self.boxes:
            nearest = np.minimum(nearest, box_distance_m(points, box))
        for zone in self.rules.zones:
            nearest = np.minimum(nearest, np.maximum(zone.distance_m(points), 0.0))
        return nearest

    def person_room_m(self, points: np.ndarray) -> np.ndarray:
        """(...) distance from points (..., 2) to the nearest circle that the footprint's side must not enter."""
        room = np.full(points.shape[:-1], np.inf)
        for x, y, radius_m, gap_m in self.people:
            room = np.minimum(room, np.hypot(points[..., 0] - x, points[..., 1] - y) - radius_m - gap_m)
        return room - self.half_m[1]

    def free(self, poses: np.ndarray, gap_m: float = 0.02) -> bool:
        """Whether the footprint at every pose (P, 3) keeps the gap to obstacles and zones and stays within the walls."""
        x0, y0, x1, y1 = self.bounds_m
        half_x, half_y = self.half_m
        cos, sin = np.abs(np.cos(poses[:, 2])), np.abs(np.sin(poses[:, 2]))
        reach_x, reach_y = cos * half_x + sin * half_y, sin * half_x + cos * half_y
        inside = ((poses[:, 0] - reach_x > x0) & (poses[:, 0] + reach_x < x1)
                  & (poses[:, 1] - reach_y > y0) & (poses[:, 1] + reach_y < y1))
        if not inside.all() or self.rules.entered(poses, self.half_m, gap_m=gap_m) is not None:
            return False
        return not len(self.boxes) or bool(footprint_gap_m(poses[:, None], self.half_m, self.boxes).min() >= gap_m)

    def plan(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(P, 2) points every STEP_M from start to goal (2,) each. The same input gives the same path.

        Raises:
            ProgramError: "goal_blocked" where the footprint does not fit, "no_path" where nothing leads there.
        """
        if np.linalg.norm(goal - start) < 1e-6:
            return np.asarray(start, dtype=float)[None, :]
        least_m = self.half_m[1] + LEAST_GAP_M
        if float(self.clearance_m(goal)) < least_m or float(self.person_room_m(goal)) < 0.0:
            raise ProgramError("goal_blocked", f"no room at the goal ({goal[0]:.2f}, {goal[1]:.2f})")
        for narrowest_m in (least_m, self.robot.circumscribed_radius_m + 0.02):
            path = self._smoothed(self._cheapest(start, goal, narrowest_m), narrowest_m)
            if self._fits(path):
                return path
        raise ProgramError("no_path", f"the way to ({goal[0]:.2f}, {goal[1]:.2f}) is too narrow to turn in")

    def _centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Clearance and people's room at the cells' centres, (H, W) each."""
        if self._grid is None:
            x0, y0, x1, y1 = self.bounds_m
            x = np.arange(x0 + CELL_M / 2, x1, CELL_M, dtype=np.float32)
            y = np.arange(y0 + CELL_M / 2, y1, CELL_M, dtype=np.float32)
            centres = np.stack(np.meshgrid(x, y), axis=-1)
            self._grid = self.clearance_m(centres), self.person_room_m(centres)
        return self._grid

    def _cell(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) row and column of points (..., 2), clipped to the map."""
        rows, columns = self._centres()[0].shape
        index = ((points - self.bounds_m[:2]) / CELL_M).astype(int)[..., ::-1]
        return np.clip(index, 0, [rows - 1, columns - 1])

    def _cheapest(self, start: np.ndarray, goal: np.ndarray, narrowest_m: float) -> np.ndarray:
        """(P, 2) corners of the cheapest way over the grid. Raises ProgramError("no_path")."""
        clearance, room = self._centres()
        wanted_m = self.robot.circumscribed_radius_m + WANTED_GAP_M
        near = np.clip((OPEN_M - clearance) / (OPEN_M - wanted_m), 0.0, 1.0)
        cost = 1.0 + NEAR_COST * near**2 + np.where(clearance < wanted_m, TIGHT_COST, 0.0)
        cost += np.where(room < PERSON_WANTED_M - PERSON_GAP_M, NEAR_COST, 0.0)
        taken = (clearance < narrowest_m) | (room < 0.0)
        begin, end = self._cell(np.stack([start, goal]))
        rows, columns = np.indices(clearance.shape)
        at_start = np.hypot(rows - begin[0], columns - begin[1]) * CELL_M < START_M
        # out of a tight spot, but never into a thing
        taken &= ~(at_start & (clearance >= min(self.half_m[1], float(clearance[tuple(begin)]))))
        taken[tuple(begin)] = taken[tuple(end)] = False
        cost = np.where(taken, -1.0, cost)
        finder = MCP_Geometric(cost)
        finder.find_costs([tuple(begin)], [tuple(end)])
        try:
            cells = np.array(finder.traceback(tuple(end)))
        except ValueError as error:
            where = f"({start[0]:.2f}, {start[1]:.2f}) to ({goal[0]:.2f}, {goal[1]:.2f})"
            raise ProgramError("no_path", f"no way from {where}") from error
        way = (cells[:, ::-1] + 0.5) * CELL_M + self.bounds_m[:2]
        way[0], way[-1] = start, goal
        return self._pulled(way, np.where(taken, 1e3, cost))

    def _pulled(self, way: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """The way (P, 2) with every corner left out that a straight line of no greater cost makes needless."""
        nodes = way[np.unique(np.append(np.arange(0, len(way), max(1, len(way) // 48)), len(way) - 1))]
        first, last = np.triu_indices(len(nodes), 1)
        offset = nodes[last] - nodes[first]
        length_m = np.linalg.norm(offset, axis=1)
        shares = (np.arange(48) + 0.5) / 48
        cells = self._cell(nodes[first][:, None] + shares[None, :, None] * offset[:, None])
        price = np.full((len(nodes), len(nodes)), np.inf)
        # a corner costs a little, so that lines that are as good are not broken
        price[first, last] = cost[cells[..., 0], cells[..., 1]].mean(axis=1) * length_m + 0.1
        best, via = np.full(len(nodes), np.inf), np.zeros(len(nodes), dtype=int)
        best[0] = 0.0
        for node in range(1, len(nodes)):
            total = best[:node] + price[:node, node]
            via[node] = int(np.argmin(total))
            best[node] = total[via[node]]
        kept = [len(nodes) - 1]
        while kept[-1] > 0:
            kept.append(int(via[kept[-1]]))
        return nodes[kept[::-1]]

    def _smoothed(self, corners: np.ndarray, narrowest_m: float) -> np.ndarray:
        """The way (C, 2) as points every STEP_M with its corners rounded as far as that keeps it clear."""
        path = resample(corners)
        if len(corners) == 2:
            return path
        needed_m = min(float(self.clearance_m(path[4:-4]).min(initial=np.inf)) - 0.02,
                       self.robot.circumscribed_radius_m + WANTED_GAP_M)
        room_m = min(float(self.person_room_m(path[4:-4]).min(initial=np.inf)) - 0.02, 0.05)
        for window_m in ROUND_M:
            round_path = _averaged(_averaged(path, window_m), window_m)
            inner = round_path[4:-4]
            if len(inner) and self.clearance_m(inner).min() >= max(needed_m, narrowest_m - 0.02) and \
                    self.person_room_m(inner).min() >= room_m:
                return resample(round_path)
        return path

    def _fits(self, path: np.ndarray) -> bool:
        """Whether the footprint keeps off all obstacles along the path, its first stretch apart (it stands there)."""
        heading = headings(path)
        poses = np.concatenate([path, heading[:, None]], axis=1)[round(START_M / STEP_M)::2]
        tight = self.clearance_m(poses[:, :2]) < self.robot.circumscribed_radius_m + 0.02
        return not tight.any() or self.free(poses[tight])


def headings(path: np.ndarray) -> np.ndarray:
    """(P,) direction of a path (P, 2), P of 2 or more, at each of its points."""
    ahead = np.gradient(path, axis=0)
    return np.arctan2(ahead[:, 1], ahead[:, 0])


def resample(way: np.ndarray) -> np.ndarray:
    """The way (P, 2) as points every STEP_M, evenly spaced, ends kept."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    count = max(2, int(np.ceil(length[-1] / STEP_M)) + 1)
    along = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(along, length, way[:, 0]), np.interp(along, length, way[:, 1])], axis=1)


def _averaged(path: np.ndarray, window_m: float) -> np.ndarray:
    """The path's moving average; mirrored beyond its ends, so that these stay where they are."""
    half = min(round(window_m / STEP_M / 2), len(path) - 1)
    longer = np.concatenate([2 * path[0] - path[half:0:-1], path, 2 * path[-1] - path[-2:-half - 2:-1]])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), longer]), axis=0)
    return (sums[2 * half + 1:] - sums[:-2 * half - 1]) / (2 * half + 1)
