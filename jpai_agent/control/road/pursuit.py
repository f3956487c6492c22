"""Which way a followed vehicle takes, and when following it has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.program import Program
from jpai_agent.control.road.course import FAR_M, Course
from jpai_agent.control.road.segments import FollowVehicle
from jpai_agent.control.road.traffic import Movers
from jpai_agent.control.view import View

# out of sight for so long it is lost; it stands this slow for so long; one that never sets out is waited for so long
LOST_S, STANDING_MPS, STOPPED_S, PATIENCE_S = 12.0, 0.3, 2.5, 30.0
WALKED_MPS = 1.0
# a mover of another name this near to where it was last is it
SAME_M = 5.0
# it has turned off when it heads this far off the way straight on, this far from it
TURNED_RAD, OFF_WAY_M = math.radians(40), 2.5
# ways are told apart by where it is, remembered with this share per second
FORGET_PER_S = 0.5


class Pursuit:
    """What N cars that follow know of the vehicle that they follow.

    Attributes:
        unseen_s, still_s: (N,) since it was seen, and for how long it stands. went: (N,) it has moved since.
        turned: (N,) it has left the way straight on. way: (N,) which of the ways it takes. off_m: (N, W) how far off each
            it was of late.
    """

    def __init__(self, program: Program, courses: Sequence[Course], n: int) -> None:
        self._program, self._courses = program, courses
        self._segments = {i: s for i, s in enumerate(program.segments) if isinstance(s, FollowVehicle)}
        most = max([len(s.branches) for s in self._segments.values()], default=1)
        self.unseen_s, self.still_s = np.zeros(n), np.zeros(n)
        self.went, self.turned = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        self.way = np.zeros(n, dtype=int)
        self.off_m = np.zeros((n, most))
        self.known: dict[str, tuple[str, tuple[float, float]]] = {}
        self._coarse = [course.points[::8] for course in courses]
        self._heading = [course.heading[::8] for course in courses]

    def begin(self, rows: np.ndarray, segment: FollowVehicle) -> None:
        """Start to follow."""
        for state in (self.unseen_s, self.still_s, self.went, self.turned, self.way):
            state[rows] = 0
        self.off_m[rows] = 0.0

    def follow(self, segment: FollowVehicle, first: int, rows: np.ndarray, along_m: np.ndarray, movers: Movers | None,
               view: View, dt_s: float) -> np.ndarray:
        """(R,) the courses that cars `rows` take now, which are along_m (R,) on theirs; `first` is that of the first way."""
        name = self._name_now(segment, view)
        if movers is None or name not in view.mover_ids:
            # one that has not set out yet is a thing that stands
            stands = name in view.box_ids
            self.unseen_s[rows] = 0.0 if stands else self.unseen_s[rows] + dt_s
            self.still_s[rows] = self.still_s[rows] + dt_s if stands else 0.0
            return first + self.way[rows]
        column = view.mover_ids.index(name)
        x, y, pace = movers.x[:, column], movers.y[:, column], movers.pace[:, column]
        seen = np.abs(x) < FAR_M / 2
        self.unseen_s[rows] = np.where(seen, 0.0, self.unseen_s[rows] + dt_s)
        self.went[rows] |= seen & (pace > WALKED_MPS)
        self.still_s[rows] = np.where(seen & (pace < STANDING_MPS), self.still_s[rows] + dt_s, 0.0)
        keep = math.exp(-FORGET_PER_S * dt_s)
        bearing = np.arctan2(movers.vy[:, column], movers.vx[:, column])
        for way in range(len(segment.branches)):
            points = self._coarse[first + way]
            away = np.hypot(x[:, None] - points[:, 0], y[:, None] - points[:, 1])
            nearest = np.argmin(away, axis=1)
            off = np.minimum(away.min(axis=1), 20.0)
            if way == 0:
                beside = np.abs(wrap(bearing - self._heading[first][nearest])) > TURNED_RAD
                self.turned[rows] |= seen & beside & (pace > WALKED_MPS) & (off > OFF_WAY_M)
            self.off_m[rows, way] = np.where(seen, keep * self.off_m[rows, way] + (1 - keep) * off, self.off_m[rows, way])
        return first + self._choose(segment, first, rows, along_m)

    def _name_now(self, segment: FollowVehicle, view: View) -> str:
        """The id of what is followed: a vehicle that sets out, or comes into sight again, may have got another one."""
        name, where = self.known.get(segment.target_id, (segment.target_id, (segment.x_m, segment.y_m)))
        ids = view.mover_ids
        if name not in ids and name not in view.box_ids and ids and view.movers.shape[1]:
            apart = np.hypot(view.movers[0, :, 0] - where[0], view.movers[0, :, 1] - where[1])
            if np.isfinite(apart).any() and np.nanmin(apart) < SAME_M:
                name = ids[int(np.nanargmin(apart))]
        if name in ids:
            at = view.movers[0, ids.index(name), :2]
            where = (float(at[0]), float(at[1])) if np.isfinite(at).all() else where
        self.known[segment.target_id] = (name, where)
        return name

    def ended(self, segment: FollowVehicle, rows: np.ndarray, since_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R,) whether it has ended as told, and whether the vehicle was lost, since_s (R,) after it began."""
        stopped = self.went[rows] & (self.still_s[rows] > STOPPED_S)
        stopped |= ~self.went[rows] & (self.still_s[rows] > PATIENCE_S)
        done = (segment.duration_s > 0.0) & (since_s >= segment.duration_s)
        if segment.until == "target_stops":
            done = done | stopped
        elif segment.until == "target_turns":
            done = done | self.turned[rows]
        return done, self.unseen_s[rows] > LOST_S

    def _choose(self, segment: FollowVehicle, first: int, rows: np.ndarray, along_m: np.ndarray) -> np.ndarray:
        """(R,) the way that the vehicle was nearest to of late, of those that a car can still take."""
        row = np.arange(len(rows))
        ways = range(len(segment.branches))
        at = np.stack([self._courses[first + way].pose_at(along_m + 2.0)[:, :2] for way in ways], axis=1)
        here = at[row, self.way[rows]][:, None]
        open_to = np.hypot(*np.moveaxis(at - here, -1, 0)) < 0.3
        # straight on, and the way it is on, go first among equals
        cost = self.off_m[rows, :len(segment.branches)] + 0.2 * (np.arange(len(segment.branches)) > 0)
        cost[row, self.way[rows]] -= 0.3
        self.way[rows] = np.argmin(np.where(open_to, cost, np.inf), axis=1)
        return self.way[rows]
