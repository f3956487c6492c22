"""The rules of the road that a car keeps at what lies along its course: lights, stop signs, crosswalks, priority, road ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.road.course import Course
from jpai_agent.control.road.holds import LAG_S, Holds, needed_mps2
from jpai_agent.control.road.segments import Mark
from jpai_agent.control.road.traffic import STANDING_MPS, Movers, gap_in_traffic
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import LIGHT_STATES

# the front stands so far before a stop line, a crosswalk, a crossing without a line, and the road's end
LINE_M, CROSSWALK_M, CROSSING_M, END_M = 0.7, 1.0, 0.6, 5.15
# a stop line this near before a crosswalk or a crossing is where it is waited for
LINE_BEFORE_M = 7.0
# a front this far over a line has passed it
OVER_M, OVER_RED_M = 0.3, 1.5
# braking that a yellow light is stopped for, and the most there is for a red one
YELLOW_MPS2, RED_MPS2 = 2.9, 5.7
# a full stop: so slow, so near before the line, for so long
STOOD_MPS, STOOD_M, STOOD_S = 0.05, 2.6, 1.4
# somebody is on a crosswalk within this of it, walks from this on, and comes to it from so far
ON_M, WALKS_MPS, KERB_M = 0.4, 0.25, 1.5
# somebody who stands so near to the kerb, at most so far beside a crosswalk, may step on it: it is come to so slowly that the car
# can stop when he is seen to, so late and with such braking; and slow enough to go by
WAITS_M, WAITS_BESIDE_M, WAITS_SEEN_S, WAITS_MPS2, WAITS_MPS = 2.0, 0.8, 1.3, 4.5, 2.0
# turning at a light, the car lets such people go first, as their light is green too, for at most so long
LET_GO_S = 4.0
# marks farther off do not matter yet
FAR_M = 60.0
# cars queue so far before a line
QUEUE_M = 25.0
# directions within this are the same one
SAME_RAD = math.radians(50)
# who comes from behind within this matters to a car that merges, until it has gone so much further
MERGE_BEHIND_M, MERGE_ON_M = 60.0, 20.0
# who comes towards a car in the oncoming lane must be so far from meeting it, in time
MEETING_S = 2.3
# who stands opposite when a light turns green may start within this; such a one and one that has just started reach that speed
STARTS_S, STARTED_MPS = 5.0, 6.5
# where they stand, seen from one's own stop line: so far ahead, so far to the right; and how wide they are at least
OPPOSITE_AHEAD_M, OPPOSITE_RIGHT_M, OPPOSITE_HALF_M = (6.0, 45.0), (1.2, 4.4), 0.5
# a turn to the right waits again before it comes so near to the oncoming lane, this far right of the own lane's middle
YIELD_RIGHT_M, YIELD_STEP_M = 1.2, 0.1
# turning round on the road takes so long, and has begun there
ROUND_S, ROUND_BEGUN_M = 18.0, 0.4

Crosswalks = dict[str, tuple[float, float, float, float, float]]


class Rules:
    """What N cars have done at the marks of one course.

    Attributes:
        stood_s: (N, K) for how long each has stood before each mark. done: (N, K) its full stop is made, or it goes though
            the light is yellow, or it has begun a stretch that it had to wait for.
        crossed: (N, K) it has begun to cross the oncoming lane there.
        green_s: (N, K) for how long the light before each mark has been seen green.
    """

    def __init__(self, course: Course, crosswalks: Crosswalks, robot: RobotSpec, n: int) -> None:
        self._course, self._crosswalks, self._robot = course, crosswalks, robot
        self.stood_s = np.zeros((n, len(course.marks)))
        self.done = np.zeros((n, len(course.marks)), dtype=bool)
        self.crossed = np.zeros((n, len(course.marks)), dtype=bool)
        self.green_s = np.zeros((n, len(course.marks)))
        self._lines = [_line_before(mark, course.marks) for mark in course.marks]
        self._turns = [_turn(mark, course) for mark in course.marks]
        self._exits = [_leads_out_of_turn(mark, course) for mark in course.marks]
        self._yields_m = [self._yield_at(mark) if turn == "right" else math.inf
                          for mark, turn in zip(course.marks, self._turns, strict=True)]
        self._signed = [line is not None and line[0] == "sign" for line in self._lines]

    def hold(self, holds: Holds, view: View, rows: np.ndarray, along_m: np.ndarray, v_mps: np.ndarray,
             movers: Movers | None, dt_s: float) -> None:
        """Stop where the rules want it. `rows` (R,) are along_m (R,) on the course, at v_mps (R,); movers as it sees them."""
        front = along_m + self._robot.front_m
        nearest, farthest = float(front.min()), float(front.max()) + FAR_M
        for k, mark in enumerate(self._course.marks):
            kind, begin, end, name = mark
            if begin > farthest or end + 8.0 < nearest:
                continue
            if kind == "light":
                self._light(holds, view, rows, k, begin - front, v_mps, name)
            elif kind == "sign":
                self._sign(holds, view, rows, k, begin - front, dt_s)
            elif kind == "end":
                holds.stop(begin - END_M - front, 2.0, np.ones(len(rows), dtype=bool))
            elif kind == "crossing":
                self._crossing(holds, view, rows, k, mark, along_m, v_mps, movers, dt_s)
            elif movers is None:
                continue
            elif kind == "crosswalk" and name in self._crosswalks:
                self._crosswalk(holds, rows, k, mark, front, v_mps, movers, dt_s)
            elif kind == "round":
                self._round(holds, rows, k, begin, along_m, movers)
            elif kind in ("pass", "merge"):
                self._gap(holds, rows, k, mark, along_m, v_mps, movers)

    def at_light(self, along_m: np.ndarray) -> np.ndarray:
        """(R,) whether cars stand where one queues: that takes patience."""
        near = np.zeros(len(along_m), dtype=bool)
        for kind, begin, _, _ in self._course.marks:
            if kind in ("light", "sign", "crosswalk", "pass"):
                near |= (along_m < begin) & (along_m > begin - QUEUE_M)
        return near

    def _light(self, holds: Holds, view: View, rows: np.ndarray, k: int, ahead: np.ndarray, v: np.ndarray, head: str) -> None:
        """ahead: (R,) from the front to the line."""
        state = _shown(view, rows, head)
        green, yellow = state == LIGHT_STATES.index("green"), state == LIGHT_STATES.index("yellow")
        needed = needed_mps2(np.maximum(ahead - 0.1, 0.05), v)
        goes = self.done[rows, k] | (yellow & (needed > YELLOW_MPS2)) | (~green & (needed > RED_MPS2) & (ahead < 0.5 * v))
        self.done[rows, k] = goes & ~green & (v > 0.5)
        over = ahead < -np.where(v < 0.5, OVER_RED_M, OVER_M)
        holds.stop(ahead - LINE_M, LINE_M - 0.15, ~green & ~over & ~self.done[rows, k])

    def _sign(self, holds: Holds, view: View, rows: np.ndarray, k: int, ahead: np.ndarray, dt_s: float) -> None:
        over = ahead < -OVER_M
        stands = (ahead < STOOD_M) & ~over & (np.abs(view.speed[rows, 0]) < STOOD_MPS)
        self.stood_s[rows, k] = np.where(stands, self.stood_s[rows, k] + dt_s, 0.0)
        self.done[rows, k] |= over | (self.stood_s[rows, k] >= STOOD_S)
        holds.stop(ahead - LINE_M, LINE_M - 0.15, ~self.done[rows, k])

    def _crosswalk(self, holds: Holds, rows: np.ndarray, k: int, mark: Mark, front: np.ndarray, v: np.ndarray, movers: Movers,
                   dt_s: float) -> None:
        _, begin, end, name = mark
        x, y, yaw, half_along, half_across = self._crosswalks[name]
        cos, sin = math.cos(yaw), math.sin(yaw)
        dx, dy = movers.x - x, movers.y - y
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        v_along, v_across = cos * movers.vx + sin * movers.vy, cos * movers.vy - sin * movers.vx
        mine = self._course.pose_at(np.array((begin + end) / 2))
        side = math.copysign(1.0, cos * (mine[1] - y) - sin * (mine[0] - x))
        own, v_own = across * side, v_across * side  # the car's half is where own > 0
        size = np.where(movers.person, movers.half_along, np.minimum(movers.half_x, movers.half_y))
        on = (np.abs(along) < half_along + ON_M + size) & (np.abs(own) < half_across + ON_M)
        in_the_way = on & ((own > -0.3 - size) | (v_own > WALKS_MPS))
        # steps on it before the car has passed
        passing_s = (np.maximum(end - front, 0.0) + self._robot.length_m) / np.maximum(v, 2.0) + 0.5
        soon_s = np.minimum(passing_s, 4.0)[:, None]
        towards = np.where(own > 0, -v_own, v_own)
        beyond = np.abs(own) - half_across
        comes = (beyond > 0) & (towards > WALKS_MPS) & (beyond < KERB_M + towards * soon_s)
        at_kerb = along + v_along * np.minimum(np.maximum(beyond, 0.0) / np.maximum(towards, 1e-3), 4.0)
        comes &= np.abs(at_kerb) < half_along + 0.8
        slow = movers.person | movers.cyclist
        waits = (slow & (in_the_way | comes)).any(axis=1)
        may_step = self._mind_who_stands_there(holds, begin - front, v, movers, (own, beyond, np.abs(along) - half_along))
        if self._exits[k]:
            stood = may_step & (v < STOOD_MPS) & (begin - front < CROSSWALK_M + 0.5)
            self.stood_s[rows, k] += np.where(stood, dt_s, 0.0)
            waits |= may_step & (self.stood_s[rows, k] < LET_GO_S)
        line = self._lines[k]
        at = begin - CROSSWALK_M if line is None else min(begin - CROSSWALK_M, line[1] - LINE_M)
        free = np.where((line is not None) & (front > at + LINE_M + OVER_M), begin - CROSSWALK_M - front, at - front)
        over = front > begin + 0.5
        cannot = needed_mps2(np.maximum(begin - front, 0.05), v) > 6.5
        holds.stop(free, CROSSWALK_M - 0.4, waits & ~over & ~cannot)

    @staticmethod
    def _mind_who_stands_there(holds: Holds, ahead: np.ndarray, v: np.ndarray, movers: Movers,
                               place: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """Come slowly to a crosswalk `ahead` (R,) by whose kerb on the car's side somebody stands; (R,) whether that is so.

        place: (R, M) how far movers are on the car's side, beyond the kerb, and beside the crosswalk.
        """
        own, beyond, beside = place
        stands = movers.person & (movers.pace <= WALKS_MPS) & (own > 0) & (beyond > -ON_M) & (beyond < WAITS_M)
        may_step = (stands & (beside < WAITS_BESIDE_M)).any(axis=1) & (ahead > 0.0)
        room = np.maximum(ahead - LAG_S * v, 0.0)
        most = WAITS_MPS2 * (np.sqrt(WAITS_SEEN_S**2 + 2 * room / WAITS_MPS2) - WAITS_SEEN_S)
        holds.slow(np.maximum(most, WAITS_MPS), may_step)
        return np.asarray(may_step)

    def _crossing(self, holds: Holds, view: View, rows: np.ndarray, k: int, mark: Mark, along: np.ndarray, v: np.ndarray,
                  movers: Movers | None, dt_s: float) -> None:
        """Wait for a gap in the traffic that has the right of way: at a stop sign, and before a turn to the right."""
        _, begin, end, _ = mark
        line, signed = self._lines[k], self._signed[k]
        if self._turns[k] != "right" and not signed:
            return
        at = (line[1] - LINE_M if line is not None else begin - CROSSING_M) - self._robot.front_m
        self.done[rows, k] |= along > at + OVER_M + 0.7
        self.crossed[rows, k] |= along > self._yields_m[k] + OVER_M
        deciding = self._deciding(self.done[rows, k], at, end, along, v)
        if line is not None and line[0] == "light":
            self._wait_for_starters(holds, view, rows, k, line[3], at, along, deciding, dt_s)
        if movers is None or self.crossed[rows, k].all():
            return
        off = self._off(movers, at)
        oncoming = off > math.pi - SAME_RAD
        moving = ~movers.person & (movers.pace > STANDING_MPS)
        # who leaves the crossing already, or goes the same way, is no matter
        counts = moving & (off > SAME_RAD / 2 if signed else oncoming)
        # who is slow in the opposite lane may be about to be faster
        starts = counts & ~movers.cyclist & (not signed)
        may_mps = np.where(starts, np.maximum(movers.pace, STARTED_MPS), movers.pace)
        self._hold_for_gap(holds, counts, deciding, at, end + 1.0, along, v, movers, may_mps=may_mps)
        # not far enough is seen from the line: who has come into sight since is given way to before their lane
        again = self.done[rows, k] & ~signed & self._deciding(self.crossed[rows, k], self._yields_m[k], end, along, v)
        self._hold_for_gap(holds, counts, again, self._yields_m[k], end + 1.0, along, v, movers, may_mps=may_mps)

    def _yield_at(self, mark: Mark) -> float:
        """Where on the course a turn to the right comes to the oncoming lane."""
        robot, course = self._robot, self._course
        at = np.arange(mark[1], mark[2], YIELD_STEP_M)
        x0, y0, heading = course.pose_at(np.array(mark[1]))
        poses = course.pose_at(at)
        front = np.array([[robot.front_m, side * robot.width_m / 2] for side in (-1.0, 1.0)])
        cos, sin = np.cos(poses[:, 2:]), np.sin(poses[:, 2:])
        x, y = poses[:, :1] + cos * front[:, 0] - sin * front[:, 1], poses[:, 1:2] + sin * front[:, 0] + cos * front[:, 1]
        right = (math.sin(heading) * (x - x0) - math.cos(heading) * (y - y0)).max(axis=1)
        beyond = np.flatnonzero(right > YIELD_RIGHT_M)
        return float(at[beyond[0]]) if len(beyond) else math.inf

    def _wait_for_starters(self, holds: Holds, view: View, rows: np.ndarray, k: int, head: str, at: float, along: np.ndarray,
                           deciding: np.ndarray, dt_s: float) -> None:
        """Let those who wait opposite set out first when the light has turned green."""
        state = _shown(view, rows, head)
        ended = (state == LIGHT_STATES.index("red")) | (state == LIGHT_STATES.index("yellow"))
        green = state == LIGHT_STATES.index("green")
        self.green_s[rows, k] = np.where(ended, 0.0, self.green_s[rows, k] + np.where(green, dt_s, 0.0))
        fresh = deciding & (self.green_s[rows, k] < STARTS_S)
        if fresh.any():
            line = self._course.pose_at(np.array(max(at + self._robot.front_m, 0.0)))
            holds.stop(at - along, 0.5, fresh & _stand_opposite(view, rows, line) & (at - along > -1.0))

    def _gap(self, holds: Holds, rows: np.ndarray, k: int, mark: Mark, along: np.ndarray, v: np.ndarray, movers: Movers) -> None:
        """Wait for a gap in the traffic before a stretch of the oncoming lane, or the lane to merge into."""
        kind, begin, end, _ = mark
        self.done[rows, k] |= along > begin + OVER_M
        deciding = self._deciding(self.done[rows, k], begin, end, along, v)
        if not deciding.any():
            return
        off = self._off(movers, begin)
        moving = ~movers.person & (movers.pace > STANDING_MPS)
        if kind == "merge":
            behind = movers.along + movers.half_along < along[:, None] + self._robot.front_m
            counts = moving & (off < SAME_RAD) & behind & (movers.along > along[:, None] - MERGE_BEHIND_M)
            self._hold_for_gap(holds, counts, deciding, begin, end + MERGE_ON_M, along, v, movers)
        else:
            counts = moving & (off > math.pi - SAME_RAD)
            self._hold_for_gap(holds, counts, deciding, begin, end, along, v, movers, meeting_s=MEETING_S)

    @staticmethod
    def _deciding(done: np.ndarray, at: float, end: float, along: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(R,) who, not having `done` (R,) it, decides now whether to go beyond `at`; who is far off decides nearer by."""
        return ~done & (at - along < 6.0 + v * LAG_S + v * v / (2 * 2.0)) & (along < end)

    def _off(self, movers: Movers, at: float) -> np.ndarray:
        """(R, M) between the directions of movers and the course's at a place."""
        heading = self._course.heading[self._course.index(np.array(max(at, 0.0)))]
        return np.abs(wrap(np.arctan2(movers.vy, movers.vx) - heading))

    def _hold_for_gap(self, holds: Holds, counts: np.ndarray, deciding: np.ndarray, at: float, until: float, along: np.ndarray,
                      v: np.ndarray, movers: Movers, *, meeting_s: float = 0.0, may_mps: np.ndarray | None = None) -> None:
        if (counts & deciding[:, None]).any():
            free = gap_in_traffic(movers, counts, self._course, along, v, until, self._robot, meeting_s, may_mps)
            holds.stop(at - along, 0.5, deciding & ~free & (at - along > -1.0))

    def _round(self, holds: Holds, rows: np.ndarray, k: int, begin: float, along: np.ndarray, movers: Movers) -> None:
        """Begin to turn round on the road when nobody comes, from either side."""
        self.done[rows, k] |= along > begin + ROUND_BEGUN_M
        x, y = self._course.points[self._course.index(np.array(begin))]
        dx, dy = movers.x - x, movers.y - y
        away = np.hypot(dx, dy)
        closing = -(dx * movers.vx + dy * movers.vy) / np.maximum(away, 0.1)
        comes = ~movers.person & (closing > STANDING_MPS) & (away < np.minimum(closing * ROUND_S + 5.0, FAR_M))
        holds.stop(begin - along, 0.3, comes.any(axis=1) & ~self.done[rows, k])


def _shown(view: View, rows: np.ndarray, head: str) -> np.ndarray:
    """(R,) indices into LIGHT_STATES of what a light's head shows to cars `rows` (R,); of one not seen, unknown."""
    if view.lights is None or head not in view.light_ids:
        return np.zeros(len(rows), dtype=int)
    lights = view.lights if len(view.lights) == 1 else view.lights[rows]
    return np.broadcast_to(lights[:, view.light_ids.index(head)], (len(rows),))


def _stand_opposite(view: View, rows: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(R,) whether a vehicle is seen to stand in the opposite lane beyond the crossing before a stop line at pose (3,)."""
    boxes = view.boxes if len(view.boxes) == 1 else view.boxes[rows]
    found = _opposite(boxes[..., 0], boxes[..., 1], boxes[..., 3:].max(axis=-1, initial=0.0), line)
    if view.mover_boxes is not None:
        told = view.movers if len(view.movers) == 1 else view.movers[rows]
        shape = view.mover_boxes if len(view.mover_boxes) == 1 else view.mover_boxes[rows]
        still = np.hypot(told[..., 2], told[..., 3]) < STANDING_MPS
        movers = still & _opposite(told[..., 0], told[..., 1], shape[..., 1:].max(axis=-1, initial=0.0), line)
        return np.broadcast_to(found.any(axis=-1) | movers.any(axis=-1), (len(rows),))
    return np.broadcast_to(found.any(axis=-1), (len(rows),))


def _opposite(x: np.ndarray, y: np.ndarray, half_m: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Which of the things at x, y with greater half extents half_m are vehicles in the opposite lane beyond the crossing."""
    cos, sin = math.cos(line[2]), math.sin(line[2])
    ahead, right = cos * (x - line[0]) + sin * (y - line[1]), sin * (x - line[0]) - cos * (y - line[1])
    near, far = OPPOSITE_AHEAD_M
    least, most = OPPOSITE_RIGHT_M
    return (ahead > near) & (ahead < far) & (right > least) & (right < most) & (half_m > OPPOSITE_HALF_M)


def _line_before(mark: Mark, marks: Sequence[Mark]) -> Mark | None:
    """The stop line that a crosswalk or a crossing has before it."""
    lines = [m for m in marks if m[0] in ("light", "sign") and 0.0 <= mark[1] - m[1] < LINE_BEFORE_M]
    return lines[-1] if lines and mark[0] in ("crosswalk", "crossing") else None


def _leads_out_of_turn(mark: Mark, course: Course) -> bool:
    """Whether a crosswalk lies where the course leaves a crossing that it turns in."""
    turns = [m for m in course.marks if m[0] == "crossing" and m[1] < mark[1] < m[2] + 2.0]
    if mark[0] != "crosswalk" or not turns:
        return False
    before, here = course.pose_at(np.array([turns[-1][1] - 1.0, (mark[1] + mark[2]) / 2]))[:, 2]
    return abs(float(here - before)) > math.pi / 4


def _turn(mark: Mark, course: Course) -> str:
    """Which way the course goes at a mark."""
    if mark[0] != "crossing":
        return ""
    before, after = course.pose_at(np.array([mark[1] - 1.0, mark[2] + 1.0]))[:, 2]
    turned = float(after - before)
    return "left" if turned > math.pi / 4 else "right" if turned < -math.pi / 4 else "straight"
