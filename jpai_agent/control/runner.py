"""Tick a program for N robots at once: per segment a wanted speed, then what is in the way, ramps and limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.following import LOST_S as TARGET_LOST_S
from jpai_agent.control.following import Follower
from jpai_agent.control.geometry import wrap
from jpai_agent.control.program import Program
from jpai_agent.control.safety import TURNING_GAP_M, allowed
from jpai_agent.control.segments import Drive, Follow, LookFor, Say, Segment, Straight, TurnBy, TurnTo, Wait
from jpai_agent.control.tracking import (
    LAG_S,
    Track,
    ahead_on,
    ahead_straight,
    ahead_turning,
    soon,
    stop_speed,
    straight,
    track,
    turn_rate,
)
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# slower than this the usual brakes do, whatever comes up
CRAWL_MPS = 0.35
# how long something may stand in the way, and how long wheels may be asked to turn without effect
BLOCKED_S, STUCK_S = 15.0, 4.0
LOOK_TURN_RAD = math.radians(45)
LOOKS = 8
SETTLE_S = 0.6
SAY_S = 0.6
STILL_MPS, STILL_RADPS = 0.05, 0.08
# a drive, a straight line and a turn are done this near to their end
DRIVEN_M, TURNED_RAD = 0.015, math.radians(0.7)
# slower than this is not worth beginning; faster than the second is under way
HELD_MPS, MOVES_MPS = 0.03, 0.12
# of the limits of acceleration and of speed, what is asked for: motors give a few per cent more or less than they are told
SHARE, SPEED_SHARE = 0.9, 0.96


@dataclass(frozen=True)
class Command:
    """Wanted speeds of base_link, (N,) each."""

    v_mps: np.ndarray
    w_radps: np.ndarray


class ProgramRunner:
    """The state of N robots that run one program.

    Attributes:
        segment: (N,) index of the present segment; the program's length when done.
        failed: (N,) reason by which a robot has given up ("blocked", "stuck", "target_lost", "not_found"), "" while it
            has not.
        wants_look: (N,) a look_for stands still and waits for `looked`.
    """

    def __init__(self, program: Program, robot: RobotSpec, n: int = 1) -> None:
        self.program, self.robot, self.n = program, robot, n
        self.segment = np.zeros(n, dtype=int)
        self.failed = np.full(n, "", dtype=object)
        self.wants_look = np.zeros(n, dtype=bool)
        self._tracks = {i: Track(np.array(s.points), robot) for i, s in enumerate(program.segments)
                        if isinstance(s, Drive)}
        self._follower = Follower(n if any(isinstance(s, Follow) for s in program.segments) else 1)
        self._started = np.zeros(n, dtype=bool)
        self._begun = np.zeros(n, dtype=bool)
        self._begun_s = np.zeros(n)
        self._begun_pose = np.zeros((n, 3))
        self._along = np.zeros(n)
        self._spot = np.zeros(n, dtype=bool)
        self._turned = np.zeros(n)
        self._last_yaw = np.zeros(n)
        self._looks = np.zeros(n, dtype=int)
        self._face_rad = np.full(n, np.nan)
        self._blocked_s = np.zeros(n)
        self._stuck_s = np.zeros(n)
        self._urgent = np.zeros(n, dtype=bool)
        self._v = np.zeros(n)
        self._w = np.zeros(n)

    @property
    def finished(self) -> np.ndarray:
        """(N,) True where the program has ended, well or not."""
        return (self.segment >= len(self.program.segments)) | (self.failed != "")

    @property
    def succeeded(self) -> np.ndarray:
        """(N,) True where every segment was done."""
        return (self.segment >= len(self.program.segments)) & (self.failed == "")

    @property
    def carrying(self) -> np.ndarray:
        """(N,) True where a robot goes on though every segment was done: never, of this one."""
        return np.zeros(self.n, dtype=bool)

    def step_of(self, robot: int = 0) -> int | None:
        """Index in the plan of the step that a robot is at; None when it has ended."""
        at = int(self.segment[robot])
        return self.program.segments[at].step if at < len(self.program.segments) else None

    def repeated(self, n: int) -> ProgramRunner:
        """A runner of N robots that all stand where this one's first robot stands in the program."""
        other = ProgramRunner(self.program, self.robot, n)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(other, name, np.repeat(value[:1], n, axis=0).copy())
        other._follower = self._follower.repeated(len(other._follower.at))
        return other

    def looked(self, found: bool, heading_rad: float | None = None) -> None:
        """The answer to `wants_look`.

        Args:
            found: Whether it was seen. heading_rad: Where it is from here, map frame; the robot then turns to it.
        """
        rows = np.flatnonzero(self.wants_look)
        self.wants_look[rows] = False
        self._looks[rows] += 1
        if found and heading_rad is not None:
            self._face_rad[rows] = heading_rad
        elif found:
            self._next(rows)
        else:
            self.failed[rows[self._looks[rows] >= LOOKS]] = "not_found"

    def tick(self, view: View, dt_s: float, top_mps: float = math.inf) -> Command:
        """One control period: the commands for all robots.

        Args:
            view: What they believe now. dt_s: Since the last tick.
            top_mps: A cap for this tick, lower than the program's speed (slowing is always free).
        """
        wanted_v, wanted_w = np.zeros(self.n), np.zeros(self.n)
        fresh = ~self._started
        if fresh.any():
            self._v[fresh], self._w[fresh] = view.speed[fresh, 0], view.speed[fresh, 1]
            self._started[:] = True
        self._urgent[:] = False
        running = ~self.finished
        for index in sorted(set(self.segment[running].tolist())):
            rows = np.flatnonzero(running & (self.segment == index))
            segment = self.program.segments[index]
            self._begin(rows[~self._begun[rows]], segment, view)
            wanted_v[rows], wanted_w[rows] = self._wanted(segment, index, rows, view, dt_s)
        limits = self.robot.limits
        back_mps, forward_mps = SPEED_SHARE * limits.reverse_mps, SPEED_SHARE * limits.forward_mps
        wanted_v = np.minimum(np.maximum(wanted_v, -min(top_mps, back_mps)), min(top_mps, forward_mps))
        self._note_stuck(view, dt_s)
        self._ramp(wanted_v, wanted_w, dt_s)
        return Command(self._v.copy(), self._w.copy())

    def brake(self, view: View, dt_s: float) -> Command:
        """A control period of coming to a standstill, for a run that has ended or was dropped."""
        self._ramp(np.zeros(self.n), np.zeros(self.n), dt_s)
        return Command(self._v.copy(), self._w.copy())

    def _begin(self, rows: np.ndarray, segment: Segment, view: View) -> None:
        if not len(rows):
            return
        self._begun[rows] = True
        self._begun_s[rows] = view.time_s
        self._begun_pose[rows] = view.pose[rows]
        self._last_yaw[rows] = view.pose[rows, 2]
        for state in (self._along, self._turned, self._blocked_s, self._stuck_s):
            state[rows] = 0.0
        self._along[rows] = -1.0
        self._spot[rows] = False
        self._looks[rows] = 0
        self._face_rad[rows] = np.nan
        if isinstance(segment, Follow):
            self._follower.begin(rows, segment)

    def _next(self, rows: np.ndarray) -> None:
        self.segment[rows] += 1
        self._begun[rows] = False

    def _wanted(self, segment: Segment, index: int, rows: np.ndarray, view: View, dt_s: float
                ) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(segment, Drive):
            return self._drive(segment, index, rows, view, dt_s)
        if isinstance(segment, Straight):
            return self._straight(segment, rows, view, dt_s)
        if isinstance(segment, (TurnTo, TurnBy)):
            return self._turn(rows, self._angle_left(segment, rows, view), view, dt_s)
        if isinstance(segment, Follow):
            return self._follow(segment, rows, view, dt_s)
        if isinstance(segment, LookFor):
            return self._look(rows, view, dt_s)
        assert isinstance(segment, (Wait, Say))
        # a wait begins once the robot stands
        moving = ~self._still(rows, view)
        self._begun_s[rows[moving]] = view.time_s
        needed_s = segment.duration_s if isinstance(segment, Wait) else SAY_S
        self._next(rows[~moving & (view.time_s - self._begun_s[rows] >= needed_s - 1e-6)])
        return np.zeros(len(rows)), np.zeros(len(rows))

    def _still(self, rows: np.ndarray, view: View) -> np.ndarray:
        """(R,) whether robots stand, as measured and as commanded."""
        measured = (np.abs(view.speed[rows, 0]) < STILL_MPS) & (np.abs(view.speed[rows, 1]) < STILL_RADPS)
        return measured & (np.abs(self._v[rows]) < HELD_MPS) & (np.abs(self._w[rows]) < STILL_RADPS)

    def _soon(self, rows: np.ndarray, view: View) -> np.ndarray:
        return soon(view.pose[rows], view.speed[rows, 0], self._w[rows])

    def _drive(self, segment: Drive, index: int, rows: np.ndarray, view: View, dt_s: float
               ) -> tuple[np.ndarray, np.ndarray]:
        path, pose = self._tracks[index], self._soon(rows, view)
        fresh = self._along[rows] < 0.0
        v, w, left, along, spot = track(path, pose, np.maximum(self._along[rows], 0.0), self._v[rows],
                                        segment.cruise_mps, self._spot[rows], fresh, self.robot)
        self._along[rows], self._spot[rows] = np.maximum(along, 0.0), spot
        ahead, reach = ahead_on(path, view.pose[rows], self._along[rows])
        v, w, blocked = self._held(rows, view, ahead, reach, v, w)
        if spot.any():
            w[spot], blocked[spot] = self._held_turning(rows[spot], view, w[spot], w[spot])
        self._wait_for(rows, blocked, dt_s)
        done = (left < DRIVEN_M) & (np.abs(self._v[rows]) < 0.1)
        self._next(rows[done])
        return np.where(done, 0.0, v), np.where(done, 0.0, w)

    def _straight(self, segment: Straight, rows: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        v, w, left = straight(self._begun_pose[rows], segment.distance_m, self._soon(rows, view), segment.cruise_mps,
                              self.robot)
        way = math.copysign(1.0, segment.distance_m)
        ahead, reach = ahead_straight(view.pose[rows], way, left)
        v, w, blocked = self._held(rows, view, ahead, reach, v, w)
        self._wait_for(rows, blocked, dt_s)
        done = (left < DRIVEN_M) & (np.abs(self._v[rows]) < 0.1)
        self._next(rows[done])
        return np.where(done, 0.0, v), np.where(done, 0.0, w)

    def _angle_left(self, segment: TurnTo | TurnBy, rows: np.ndarray, view: View) -> np.ndarray:
        if isinstance(segment, TurnTo):
            return wrap(segment.yaw_rad - view.pose[rows, 2])
        return segment.angle_rad - self._turned_so_far(rows, view)

    def _turned_so_far(self, rows: np.ndarray, view: View) -> np.ndarray:
        """(R,) angle turned since the segment began, whole turns included."""
        yaw = view.pose[rows, 2]
        self._turned[rows] += wrap(yaw - self._last_yaw[rows])
        self._last_yaw[rows] = yaw
        return self._turned[rows]

    def _turn(self, rows: np.ndarray, left: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        there = np.abs(left - self._w[rows] * LAG_S) < TURNED_RAD
        self._next(rows[there & (np.abs(self._w[rows]) < 0.1)])
        return np.zeros(len(rows)), np.where(there, 0.0, self._turning(rows, left, view, dt_s))

    def _turning(self, rows: np.ndarray, left: np.ndarray, view: View, dt_s: float) -> np.ndarray:
        """(R,) turn rates towards the angles left, once the robot stands and as far as there is room."""
        coming = left - self._w[rows] * LAG_S
        w = np.where(np.abs(self._v[rows]) > STILL_MPS, 0.0, turn_rate(coming, self.robot))
        w, blocked = self._held_turning(rows, view, w, left)
        self._wait_for(rows, blocked, dt_s)
        return w

    def _look(self, rows: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        left = LOOK_TURN_RAD * self._looks[rows] - self._turned_so_far(rows, view)
        facing = ~np.isnan(self._face_rad[rows])
        left = np.where(facing, wrap(np.where(facing, self._face_rad[rows], 0.0) - view.pose[rows, 2]), left)
        there = (np.abs(left) < math.radians(2)) & self._still(rows, view)
        # the picture of a look is taken standing
        self._begun_s[rows[~there]] = view.time_s
        self.wants_look[rows[there & ~facing & (view.time_s - self._begun_s[rows] >= SETTLE_S - 1e-6)]] = True
        self._next(rows[there & facing])
        w = self._turning(rows, left, view, dt_s)
        return np.zeros(len(rows)), np.where(self.wants_look[rows] | (np.abs(left) < TURNED_RAD), 0.0, w)

    def _follow(self, segment: Follow, rows: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        follower, pose = self._follower, view.pose[rows]
        follower.tick(segment, rows, view, dt_s)
        v, w, gap = follower.speeds(segment, rows, pose, self.robot)
        ahead, reach = ahead_straight(pose, 1.0, np.maximum(gap, 0.0))
        v, w, blocked = self._held(rows, view, ahead, reach, v, w, crawl=False)
        self._wait_for(rows, blocked, dt_s)
        done = follower.ended(segment, rows, view.time_s - self._begun_s[rows], gap)
        self.failed[rows[~done & (follower.unseen_s[rows] > TARGET_LOST_S)]] = "target_lost"
        self._next(rows[done])
        return np.where(done, 0.0, v), np.where(done, 0.0, w)

    def _approached(self, view: View) -> np.ndarray:
        return np.array([mover in self.program.target_ids for mover in view.mover_ids], dtype=bool)

    def _held(self, rows: np.ndarray, view: View, ahead: np.ndarray, reach: np.ndarray, v: np.ndarray, w: np.ndarray, *,
              crawl: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(R,) each: v lowered for what is in the way, w in proportion, and whether that holds the robot up."""
        pace = np.abs(self._v[rows])
        way = allowed(view, rows, ahead, reach, pace, self.robot, self._approached(view), crawl=crawl)
        most = np.minimum(stop_speed(way.free_m, self.robot), way.most_mps)
        most = np.where(most < HELD_MPS, 0.0, most)
        # what comes up nearer than the usual brakes can stop for takes all of them
        self._urgent[rows] = pace**2 > 2 * self.robot.limits.brake_mps2 * np.maximum(way.free_m, 0.0) + CRAWL_MPS**2
        scale = np.minimum(1.0, most / np.maximum(np.abs(v), 1e-6))
        # a turn on the spot is not for the way ahead to forbid
        return v * scale, np.where(np.abs(v) > 1e-6, w * scale, w), (most == 0.0) & (np.abs(v) > HELD_MPS)

    def _held_turning(self, rows: np.ndarray, view: View, w: np.ndarray, left: np.ndarray
                      ) -> tuple[np.ndarray, np.ndarray]:
        """(R,) turn rates lowered for what the corners would come near to, and whether that holds the robot up."""
        radius_m = self.robot.circumscribed_radius_m
        ahead, reach = ahead_turning(view.pose[rows], left, radius_m)
        way = allowed(view, rows, ahead, reach, np.abs(w) * radius_m, self.robot, self._approached(view),
                      person_gap_m=TURNING_GAP_M)
        most = np.minimum(stop_speed(way.free_m, self.robot), way.most_mps) / radius_m
        blocked = (most < STILL_RADPS) & (np.abs(w) > 0.0)
        return np.where(blocked, 0.0, np.copysign(np.minimum(np.abs(w), most), w)), blocked

    def _wait_for(self, rows: np.ndarray, blocked: np.ndarray, dt_s: float) -> None:
        # who is held up and creeps is still held up
        moves = np.hypot(self._v[rows], self.robot.circumscribed_radius_m * self._w[rows]) > MOVES_MPS
        so_far = self._blocked_s[rows]
        self._blocked_s[rows] = np.where(blocked, so_far + dt_s, np.where(moves, 0.0, so_far))
        self.failed[rows[self._blocked_s[rows] > BLOCKED_S]] = "blocked"

    def _note_stuck(self, view: View, dt_s: float) -> None:
        """Give up where wheels have been asked to turn for long without effect."""
        asked = (np.abs(self._v) > 0.1) | (np.abs(self._w) > 0.2)
        moves = (np.abs(view.speed[:, 0]) > 0.02) | (np.abs(view.speed[:, 1]) > 0.05)
        self._stuck_s = np.where(asked & ~moves, self._stuck_s + dt_s, 0.0)
        self.failed[(self._stuck_s > STUCK_S) & ~self.finished] = "stuck"

    def _ramp(self, wanted_v: np.ndarray, wanted_w: np.ndarray, dt_s: float) -> None:
        limits = self.robot.limits
        faster = (np.abs(wanted_v) > np.abs(self._v)) & (wanted_v * self._v >= 0)
        brake = np.where(self._urgent, limits.emergency_brake_mps2, limits.brake_mps2)
        most = SHARE * np.where(faster, limits.accel_mps2, brake) * dt_s
        target = np.where(wanted_v * self._v < 0, 0.0, wanted_v)
        self._v = np.minimum(np.maximum(target, self._v - most), self._v + most)
        turn = SHARE * limits.yaw_accel_radps2 * dt_s
        wanted_w = np.minimum(np.maximum(wanted_w, self._w - turn), self._w + turn)
        self._w = np.minimum(np.maximum(wanted_w, -limits.yaw_radps), limits.yaw_radps)
