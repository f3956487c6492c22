"""Keep behind something that moves: along its trail, at a gap, at its speed, and stand still when it is lost."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.segments import TRAIL_M, Follow
from jpai_agent.control.tracking import stop_speed, turn_rate
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# gap that is kept, and its gain; closer than the second it stands
GAP_M, GAIN, CLOSEST_M = 1.1, 0.9, 0.8
# a mover of another name this near to where the lost one should be is the lost one
SAME_M = 1.0
# out of sight: carries on for so long, then waits for it until it gives up
UNSEEN_S, LOST_S = 1.0, 8.0
# it has walked, it stands, and it has stood for so long; one that never walks is waited for so long
WALKED_MPS, STANDING_MPS, STOPPED_S, PATIENCE_S = 0.3, 0.15, 2.0, 20.0
# the trail's next point lies this far ahead; how many points are kept; a turn on the spot begins beyond this angle
AIM_M, POINTS, SPOT_RAD = 0.8, 128, math.radians(60)


class Follower:
    """What N robots that follow know of what they follow.

    Attributes:
        target: (N, 5) x, y, vx, vy, radius as seen last. unseen_s: (N,) since then.
        walked: (N,) it has walked since. still_s: (N,) it stands for so long.
        trail: (N, POINTS, 2) points to pass, `at` (N,) the next one, `points` (N,) how many there are.
    """

    def __init__(self, n: int) -> None:
        self.target = np.zeros((n, 5))
        self.unseen_s = np.zeros(n)
        self.still_s = np.zeros(n)
        self.walked = np.zeros(n, dtype=bool)
        self.trail = np.zeros((n, POINTS, 2))
        self.at = np.zeros(n, dtype=int)
        self.points = np.zeros(n, dtype=int)

    def repeated(self, n: int) -> Follower:
        """N robots that all know what this one's first robot knows."""
        other = Follower(n)
        for name, value in vars(self).items():
            setattr(other, name, np.repeat(value[:1], n, axis=0).copy())
        return other

    def begin(self, rows: np.ndarray, segment: Follow) -> None:
        """Start on the planned way to where the target was."""
        way = np.array(segment.way[:POINTS]).reshape(-1, 2)
        self.target[rows] = (segment.x_m, segment.y_m, 0.0, 0.0, 0.25)
        self.unseen_s[rows] = self.still_s[rows] = 0.0
        self.walked[rows] = False
        self.trail[rows, :len(way)] = way
        self.at[rows], self.points[rows] = 0, len(way)

    def tick(self, segment: Follow, rows: np.ndarray, view: View, dt_s: float) -> None:
        """Take in where the target is now, and lengthen its trail."""
        seen = self._seen(segment, rows, view)
        known = ~np.isnan(seen[:, 0])
        self.unseen_s[rows] = np.where(known, 0.0, self.unseen_s[rows] + dt_s)
        coasting = rows[~known & (self.unseen_s[rows] < UNSEEN_S)]
        self.target[coasting, :2] += self.target[coasting, 2:4] * dt_s
        self.target[rows[known]] = seen[known]
        pace = np.hypot(self.target[rows, 2], self.target[rows, 3])
        self.walked[rows] |= known & (pace > WALKED_MPS)
        self.still_s[rows] = np.where(pace < STANDING_MPS, self.still_s[rows] + dt_s, 0.0)
        self._lengthen(rows)

    def speeds(self, segment: Follow, rows: np.ndarray, pose: np.ndarray, robot: RobotSpec
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wanted v (R,), w (R,) from poses (R, 3), and the gap (R,) to the target."""
        target = self.target[rows]
        aim = self._aim(rows, pose) - pose[:, :2]
        offset = target[:, :2] - pose[:, :2]
        distance = np.hypot(offset[:, 0], offset[:, 1])
        gap = distance - target[:, 4] - robot.length_m / 2
        off = wrap(np.arctan2(aim[:, 1], aim[:, 0]) - pose[:, 2])
        leaving = np.maximum((target[:, 2:4] * offset).sum(axis=1) / np.maximum(distance, 0.1), 0.0)
        # nobody is fallen behind for the sake of a usual pace; a pace that was asked for holds
        top = 0.95 * robot.limits.forward_mps if segment.cruise_mps >= robot.cruise_mps else segment.cruise_mps
        v = np.clip(leaving + GAIN * (gap - GAP_M), 0.0, np.minimum(top, stop_speed(gap - CLOSEST_M, robot) + leaving))
        v = np.where((gap < GAP_M + 0.05) & (leaving < STANDING_MPS), 0.0, v)
        v = np.where(self.unseen_s[rows] > UNSEEN_S, 0.0, v)
        w = np.where(np.abs(off) < math.radians(3), 0.0, turn_rate(off, robot))
        # while it drives it steers for the aim; behind it, it turns first
        w = np.where((v > 0.1) & (np.abs(off) < SPOT_RAD), np.clip(1.6 * off, -1.0, 1.0), w)
        v = np.where(np.abs(off) > SPOT_RAD, 0.0, v * np.cos(off))
        return v, w, gap

    def ended(self, segment: Follow, rows: np.ndarray, since_s: np.ndarray, gap_m: np.ndarray) -> np.ndarray:
        """(R,) whether the following is over, having begun `since_s` (R,) ago."""
        over = np.zeros(len(rows), dtype=bool)
        if segment.duration_s > 0.0:
            over |= since_s >= segment.duration_s
        if segment.until_stops:
            near = gap_m < GAP_M + 0.5
            over |= self.walked[rows] & (self.still_s[rows] > STOPPED_S) & near
            over |= ~self.walked[rows] & (since_s > PATIENCE_S) & near
        return over

    def _seen(self, segment: Follow, rows: np.ndarray, view: View) -> np.ndarray:
        """(R, 5) the target in the view, by its name or by where it should be; NaN where it is out of sight."""
        found = np.full((len(rows), 5), np.nan)
        movers = np.broadcast_to(view.movers if len(view.movers) == 1 else view.movers[rows],
                                 (len(rows), *view.movers.shape[1:]))
        if segment.target_id in view.mover_ids:
            found = movers[:, view.mover_ids.index(segment.target_id)].copy()
        elif segment.target_id in view.box_ids:
            boxes = view.boxes if len(view.boxes) == 1 else view.boxes[rows]
            found[:, :2] = boxes[:, view.box_ids.index(segment.target_id), :2]
            found[:, 2:] = 0.0, 0.0, 0.25
        missing = np.flatnonzero(np.isnan(found[:, 0]))
        if len(missing) and movers.shape[1]:
            where = self.target[rows[missing], None, :2]
            away = np.hypot(*np.moveaxis(movers[missing, :, :2] - where, 2, 0))
            away = np.where(np.isnan(away), np.inf, away)
            nearest = np.argmin(away, axis=1)
            close = away[np.arange(len(missing)), nearest] < SAME_M
            found[missing[close]] = movers[missing[close], nearest[close]]
        return found

    def _lengthen(self, rows: np.ndarray) -> None:
        count = self.points[rows]
        last = self.trail[rows, np.maximum(count - 1, 0)]
        moved = np.hypot(*(self.target[rows, :2] - last).T)
        new = rows[(moved > TRAIL_M) | (count == 0)]
        full = new[self.points[new] == POINTS]
        # the oldest half is long passed
        self.trail[full, :POINTS // 2] = self.trail[full, POINTS // 2:]
        self.points[full] -= POINTS // 2
        self.at[full] = np.maximum(self.at[full] - POINTS // 2, 0)
        self.trail[new, self.points[new]] = self.target[new, :2]
        self.points[new] += 1

    def _aim(self, rows: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(R, 2) the next point of the trail; the target itself where the trail is used up or leads away from it."""
        here, target = pose[:, :2], self.target[rows, :2]
        to_target = np.hypot(*(target - here).T)
        for _ in range(2):
            at = np.minimum(self.at[rows], POINTS - 1)
            passed = np.hypot(*(self.trail[rows, at] - here).T) < AIM_M
            self.at[rows] += passed & (self.at[rows] < self.points[rows])
        at = np.minimum(self.at[rows], POINTS - 1)
        point = self.trail[rows, at]
        back = np.hypot(*(point - here).T) + np.hypot(*(target - point).T) > to_target + 1.5
        used = (self.at[rows] >= self.points[rows]) | (back & (to_target < 2.0))
        return np.where(used[:, None], target, point)
