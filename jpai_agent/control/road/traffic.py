"""What stands and moves in a car's way: standing things, the vehicle ahead, people and cyclists, gaps in the traffic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.control.road.course import FAR_M, STEP_M, Course
from jpai_agent.control.road.holds import FREE_M, LAG_S, Holds, needed_mps2
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# room beside standing things, and before them at rest; in a manoeuvre, and before what the plan wants to come near to
BESIDE_M, BEFORE_M = 0.30, 2.1
CLOSE_BESIDE_M, CLOSE_BEFORE_M = 0.10, 0.25
# nearer than this it touches, for all that is known
TOUCH_M = 0.06
# standing things are looked for so far ahead, and looked for again when so much of it is used up
LOOK_M, FRESH_M = 45.0, 12.0
# movers: how far they are looked for, one sample a metre
BACK_M, AHEAD_M = 8, 60
# room beside the footprint that makes a mover one in the way: vehicles, people, cyclists
VEHICLE_BESIDE_M, PERSON_BESIDE_M, CYCLIST_BESIDE_M = 0.45, 0.7, 1.2
# slower than this it stands; slower to the side, it keeps beside
STANDING_MPS, ASIDE_MPS = 0.3, 0.25
# gap at rest behind a vehicle and before people; braking that its dead stop must leave possible, how late that begins
LEAD_GAP_M, PERSON_GAP_M, LEAD_MPS2, REACT_S = 2.8, 2.2, 4.2, 0.45
# somebody who will be in the way within this is waited for, vehicles less long: they keep their lanes
PERSON_SOON_S, VEHICLE_SOON_S = 2.5, 2.0
# by people who stand so near to the car's course it goes no faster than this, and slows for that so gently
KERB_M, BY_PEOPLE_MPS, BY_PEOPLE_MPS2 = 4.0, 5.0, 1.5
# more braking than this is not to be had
LAST_MPS2 = 5.5
# half length and half width up to which a box is a cyclist
CYCLIST_HALF_M = (1.15, 0.5)
# in a gap of the traffic a vehicle may come so much sooner or later, and needs so much room
SOONER_S, LATER_S, ROOM_M = 1.2, 1.5, 0.5
GAP_STEP_S, GAP_STEPS = 0.5, 24
START_MPS2 = 1.4


@dataclass(frozen=True)
class Movers:
    """Movers (R, M) as seen from cars' courses.

    Attributes:
        x, y, vx, vy, yaw, half_x, half_y: In the map; out of sight is far away.
        along, aside: Where on the course, from its begin, left positive. onward, leftward: velocity in its direction.
        half_along, half_across: Half extents along and across it. person, cyclist: What they are.
    """

    x: np.ndarray
    y: np.ndarray
    vx: np.ndarray
    vy: np.ndarray
    yaw: np.ndarray
    half_x: np.ndarray
    half_y: np.ndarray
    along: np.ndarray
    aside: np.ndarray
    onward: np.ndarray
    leftward: np.ndarray
    half_along: np.ndarray
    half_across: np.ndarray
    person: np.ndarray
    cyclist: np.ndarray

    @property
    def pace(self) -> np.ndarray:
        """(R, M) how fast."""
        return np.hypot(self.vx, self.vy)

    def of(self, cars: np.ndarray) -> Movers:
        """The same for some of the cars, (R,) a mask."""
        return Movers(*(value[cars] for value in vars(self).values()))


def movers_on(course: Course, view: View, rows: np.ndarray, along_m: np.ndarray) -> Movers | None:
    """The view's movers as seen from cars `rows` (R,) that are along_m (R,) on a course; None where there are none."""
    if not view.movers.shape[1]:
        return None
    told = view.movers if len(view.movers) == 1 else view.movers[rows]
    told = np.where(np.isnan(told[..., :1]), np.array([FAR_M, FAR_M, 0.0, 0.0, 0.0]), told)
    told = np.broadcast_to(told, (len(rows), *told.shape[1:]))
    x, y, vx, vy, radius = (told[..., i] for i in range(5))
    if view.mover_boxes is None:
        yaw, half_x, half_y = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    else:
        shape = view.mover_boxes if len(view.mover_boxes) == 1 else view.mover_boxes[rows]
        yaw, half_x, half_y = (np.broadcast_to(shape[..., i], x.shape) for i in range(3))
    person = half_x <= 0.0
    half_x, half_y = np.where(person, radius, half_x), np.where(person, radius, half_y)
    samples = np.arange(-BACK_M, AHEAD_M)
    index = course.index(along_m)[:, None] + samples * round(1.0 / STEP_M)
    index = np.minimum(np.maximum(index, 0), len(course.points) - 1)
    points = course.points[index]
    dx, dy = x[:, None] - points[..., 0, None], y[:, None] - points[..., 1, None]
    nearest = np.argmin(dx * dx + dy * dy, axis=1)
    at = np.take_along_axis(index, nearest, axis=1)
    heading = course.heading[at]
    cos, sin = np.cos(heading), np.sin(heading)
    dx, dy = x - course.points[at, 0], y - course.points[at, 1]
    turned_cos, turned_sin = np.abs(np.cos(yaw - heading)), np.abs(np.sin(yaw - heading))
    return Movers(
        x, y, vx, vy, yaw, half_x, half_y, at * STEP_M + cos * dx + sin * dy, cos * dy - sin * dx,
        cos * vx + sin * vy, cos * vy - sin * vx,
        np.where(person, radius, turned_cos * half_x + turned_sin * half_y),
        np.where(person, radius, turned_sin * half_x + turned_cos * half_y), person,
        ~person & (half_x <= CYCLIST_HALF_M[0]) & (half_y <= CYCLIST_HALF_M[1]))


def hold_for_movers(holds: Holds, movers: Movers, course: Course, along_m: np.ndarray, v_mps: np.ndarray, robot: RobotSpec,
                    close: np.ndarray) -> None:
    """Keep behind what is in the way, and stop before what will be.

    Args:
        along_m, v_mps: (R,) where cars are on the course, and how fast. close: (M,) movers that the plan approaches.
    """
    nose = robot.front_m if course.way > 0 else robot.rear_m
    tail = robot.length_m - nose
    slow = course.slow[course.index(along_m)][:, None]
    beside = np.where(movers.person, PERSON_BESIDE_M, np.where(movers.cyclist, CYCLIST_BESIDE_M, VEHICLE_BESIDE_M))
    beside = np.where(slow, np.where(movers.person, 0.45, 0.2), beside)
    lane = robot.width_m / 2 + beside + movers.half_across
    here, pace = along_m[:, None], np.maximum(v_mps, 1.0)[:, None]
    ahead = movers.along + movers.half_along > here + nose * 0.6
    gap = movers.along - movers.half_along - here - nose
    inside = np.abs(movers.aside) < lane
    rest = np.where(movers.person, PERSON_GAP_M, LEAD_GAP_M)
    rest = np.where(close, 0.5, np.where(slow, 0.6, rest))
    lead = inside & ahead & (movers.onward > STANDING_MPS)
    _keep_behind(holds, lead, gap, movers.onward, rest, v_mps)
    # what stands in the way, goes across it or comes towards the car
    still = inside & ahead & ~lead
    coming = movers.onward < -STANDING_MPS
    free = np.where(coming, 0.5 * gap, gap) - rest
    spare = np.where(movers.person, rest - 1.0, np.minimum(0.6, rest / 2))
    _hold_at(holds, free, spare, still, movers.pace < STANDING_MPS)
    # who stands by the road may step on it
    by_road = movers.person & ahead & ~inside & (movers.pace < STANDING_MPS) & (np.abs(movers.aside) < KERB_M)
    room = np.where(by_road, np.maximum(gap - LAG_S * v_mps[:, None], 0.0), FREE_M).min(axis=1, initial=FREE_M)
    holds.slow(np.sqrt(BY_PEOPLE_MPS**2 + 2 * BY_PEOPLE_MPS2 * room), by_road.any(axis=1))
    # what will be in the way
    towards = -np.sign(movers.aside) * movers.leftward
    enters_s = (np.abs(movers.aside) - lane) / np.maximum(towards, 1e-3)
    leaves_s = (np.abs(movers.aside) + lane) / np.maximum(towards, 1e-3)
    soon = np.where(movers.person, PERSON_SOON_S, VEHICLE_SOON_S)
    where = movers.along + movers.onward * np.minimum(enters_s, soon)
    there_s = (where - movers.half_along - here - nose) / pace
    past_s = (where + movers.half_along - here + tail + 0.5) / pace
    crossing = ~inside & (towards > ASIDE_MPS) & (enters_s < soon) & (where + movers.half_along > here + nose * 0.6)
    crossing &= (past_s > enters_s - 0.7) & (there_s < leaves_s + 0.7)
    free = where - movers.half_along - here - nose - rest
    # who can be passed before, and not be stopped for any more, is passed
    touches_s = (np.abs(movers.aside) - robot.width_m / 2 - movers.half_across - 0.3) / np.maximum(towards, 1e-3)
    late = needed_mps2(free + spare, v_mps[:, None]) > LAST_MPS2
    _hold_at(holds, free, spare, crossing & ~(late & (past_s < touches_s)), False)


def _keep_behind(holds: Holds, lead: np.ndarray, gap: np.ndarray, onward: np.ndarray, rest: np.ndarray, v_mps: np.ndarray
                 ) -> None:
    if not lead.any():
        return
    room = np.maximum(gap - rest, 0.0)
    late = LEAD_MPS2 * REACT_S
    assured = np.sqrt(late * late + 2 * LEAD_MPS2 * room) - late
    closing = onward + np.sqrt(3.2 * np.maximum(room - 0.7 * onward, 0.0))
    # it goes away from a car that stands too near
    most = np.where(room > 0.0, np.minimum(assured, closing), 0.0)
    holds.slow(np.where(lead, most, np.inf).min(axis=1), np.asarray(lead.any(axis=1)))
    hard = lead & (v_mps[:, None] - onward > 0.5)
    holds.hard_m = np.minimum(holds.hard_m, np.where(hard, gap - 1.0, FREE_M).min(axis=1))


def _hold_at(holds: Holds, free: np.ndarray, spare: np.ndarray, where: np.ndarray, standing: np.ndarray | bool) -> None:
    if not where.any():
        return
    free = np.where(where, free, FREE_M)
    nearest = np.argmin(free, axis=1)
    row = np.arange(len(free))
    holds.stop(free[row, nearest], np.broadcast_to(spare, free.shape)[row, nearest], np.asarray(where.any(axis=1)),
               np.broadcast_to(standing, free.shape)[row, nearest])


def gap_in_traffic(movers: Movers, counts: np.ndarray, course: Course, along_m: np.ndarray, v_mps: np.ndarray,
                   until_m: float, robot: RobotSpec, meeting_s: float = 0.0, may_mps: np.ndarray | None = None) -> np.ndarray:
    """(R,) whether cars that set out now are through a stretch before anybody who counts comes near.

    Args:
        counts: (R, M) the movers that matter. along_m, v_mps: (R,) cars. until_m: along the course, where the stretch ends.
        meeting_s: Who comes towards the car must be so long from meeting it.
        may_mps: (R, M) how fast the movers may be at once, where that is more than they are.
    """
    time_s = np.arange(GAP_STEPS) * GAP_STEP_S
    end = int(course.index(np.array(until_m)))
    top = np.array([course.most_mps[min(int(i), end):end + 1].min() for i in course.index(along_m + robot.front_m)])
    v = v_mps[:, None]
    rate = np.where(v < top[:, None], START_MPS2, -1.6)
    ramp_s = np.abs(top[:, None] - v) / START_MPS2
    ramped = np.minimum(time_s, ramp_s)
    way = v * ramped + rate * ramped**2 / 2 + top[:, None] * np.maximum(time_s - ramp_s, 0.0)
    at = along_m[:, None] + way
    poses = course.pose_at(at)
    middle = poses.copy()
    middle[..., 0] += robot.center_x_m * np.cos(poses[..., 2])
    middle[..., 1] += robot.center_x_m * np.sin(poses[..., 2])
    pace = movers.pace[:, None]
    most = pace if may_mps is None else np.maximum(pace, may_mps[:, None])
    closer_m = meeting_s * (pace + np.maximum(top, v_mps)[:, None, None]) if meeting_s else np.zeros((1, 1, 1))
    bearing = np.where(pace > STANDING_MPS, np.arctan2(movers.vy, movers.vx)[:, None], movers.yaw[:, None])
    # where they are at the latest and at the soonest
    when = time_s[None, :, None]
    least_m, most_m = pace * (when - LATER_S), most * (when + SOONER_S) + closer_m
    middle_m = (least_m + most_m) / 2
    boxes = np.stack(np.broadcast_arrays(
        movers.x[:, None] + middle_m * np.cos(bearing), movers.y[:, None] + middle_m * np.sin(bearing), bearing,
        movers.half_x[:, None] + (most_m - least_m) / 2, movers.half_y[:, None]), axis=-1)
    half_m = robot.length_m / 2 + ROOM_M, robot.width_m / 2 + ROOM_M
    met = footprint_gap_m(middle[:, :, None], half_m, boxes) < 0.0
    met &= counts[:, None] & (at <= until_m + robot.rear_m + 0.5)[..., None]
    return np.asarray(~met.any(axis=(1, 2)))


class Standing:
    """Where on a course standing things are in the way; kept while the things and the stretch looked at stay the same."""

    def __init__(self, course: Course, robot: RobotSpec) -> None:
        self._course, self._robot = course, robot
        self._boxes: np.ndarray | None = None
        self._from = self._to = 0
        self._near: list[np.ndarray] = []
        self._touch: list[np.ndarray] = []

    def hold(self, holds: Holds, view: View, rows: np.ndarray, along_m: np.ndarray, close: np.ndarray) -> None:
        """Stop before them. `close`: (K,) things that the plan wants to come near to."""
        if not view.boxes.shape[1]:
            return
        course = self._course
        begin = int(course.index(along_m.min() - 2.0))
        end = int(course.index(along_m.max() + LOOK_M))
        if self._boxes is not view.boxes or begin < self._from or end > self._to:
            self._boxes, self._from = view.boxes, begin
            self._to = min(end + round(FRESH_M / STEP_M), len(course.points) - 1)
            found = [self._in_the_way(boxes, close) for boxes in view.boxes]
            self._near, self._touch = [f[0] for f in found], [f[1] for f in found]
        free = np.full(len(rows), FREE_M)
        index = course.index(along_m)
        several = len(self._near) > 1
        for i, row in enumerate(rows):
            which = int(row) if several else 0
            free[i] = self._first(which, int(index[i])) - along_m[i]
        before = np.where(course.slow[index], CLOSE_BEFORE_M, 1.0)
        holds.stop(free, np.minimum(before, 1.0) - CLOSE_BEFORE_M / 2, free < FREE_M / 2, True)

    def _first(self, which: int, index: int) -> float:
        """Where base_link must stop for the next thing, in metres along the course."""
        near = self._near[which]
        ahead = near[np.searchsorted(near[:, 0], index):] if len(near) else near
        if len(ahead) and ahead[0, 0] <= index + 1:
            # it stands beside it already: only what it would touch counts
            touch = self._touch[which]
            ahead = touch[np.searchsorted(touch[:, 0], index):] if len(touch) else touch
        return float(ahead[0, 1]) if len(ahead) else FREE_M + self._course.length_m

    def _in_the_way(self, boxes: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, 2) indices of the stretch at which the footprint comes too near, and where to stop for that; and the same
        for where it would touch."""
        course, robot = self._course, self._robot
        at = np.arange(self._from, self._to + 1, 2)
        heading = course.heading[at]
        reach = robot.center_x_m * course.way
        poses = np.stack([course.points[at, 0] + reach * np.cos(heading), course.points[at, 1] + reach * np.sin(heading),
                          heading], axis=1)
        low, high = poses[:, :2].min(axis=0), poses[:, :2].max(axis=0)
        size = np.hypot(boxes[:, 3], boxes[:, 4])[:, None] + robot.length_m / 2 + 1.0
        kept = ((boxes[:, :2] > low - size) & (boxes[:, :2] < high + size)).all(axis=1)
        if not kept.any():
            return np.empty((0, 2)), np.empty((0, 2))
        close = close[kept] if len(close) == len(boxes) else np.zeros(int(kept.sum()), dtype=bool)
        gap = footprint_gap_m(poses[:, None], (robot.length_m / 2, robot.width_m / 2), boxes[kept])
        slow = course.slow[at][:, None] | close
        near = gap < np.where(slow, CLOSE_BESIDE_M, BESIDE_M)
        stop = at[:, None] * STEP_M - np.where(slow, CLOSE_BEFORE_M, BEFORE_M)
        return _listed(at, near, stop), _listed(at, gap < TOUCH_M, at[:, None] * STEP_M - CLOSE_BEFORE_M)


def _listed(at: np.ndarray, near: np.ndarray, stop: np.ndarray) -> np.ndarray:
    hit = near.any(axis=1)
    first = np.where(near, stop, math.inf).min(axis=1)
    return np.stack([at[hit], first[hit]], axis=1)
