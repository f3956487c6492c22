"""Tick a program for N robots at once: per segment a wanted speed, then ramps and limits. N = 1 on the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.following import follow
from jpai_agent.control.geometry import wrap
from jpai_agent.control.program import Program
from jpai_agent.control.safety import free_way_m, person_cap_mps
from jpai_agent.control.segments import Drive, Follow, LookFor, Say, Segment, Straight, TurnBy, TurnTo, Wait
from jpai_agent.control.tracking import Track, ahead_on, ahead_straight, stop_speed, track, turn_rate
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

BLOCKED_S = 15.0
# of the limits, what is asked for: motors give a few per cent more or less than they are told
LIMIT_SHARE = 0.9
LOOK_TURN_RAD = math.radians(45)
LOOKS = 8
SAY_S = 0.6
STILL_MPS, STILL_RADPS = 0.02, 0.04


@dataclass(frozen=True)
class Command:
    """Wanted speeds of base_link, (N,) each."""

    v_mps: np.ndarray
    w_radps: np.ndarray


class ProgramRunner:
    """The state of N robots that run one program.

    Attributes:
        segment: (N,) index of the present segment; the program's length when done.
        failed: (N,) reason by which a robot has given up, "" while it has not.
        wants_look: (N,) a look_for stands still and waits for `looked`.
    """

    def __init__(self, program: Program, robot: RobotSpec, n: int = 1) -> None:
        self.program, self.robot, self.n = program, robot, n
        self.segment = np.zeros(n, dtype=int)
        self.failed = np.full(n, "", dtype=object)
        self.wants_look = np.zeros(n, dtype=bool)
        self._tracks = {i: Track(np.array(s.points)) for i, s in enumerate(program.segments) if isinstance(s, Drive)}
        self._begun = np.zeros(n, dtype=bool)
        self._begun_s = np.zeros(n)
        self._begun_pose = np.zeros((n, 3))
        self._along = np.zeros(n)
        self._turned = np.zeros(n)
        self._last_yaw = np.zeros(n)
        self._blocked_s = np.zeros(n)
        self._looks = np.zeros(n, dtype=int)
        self._goal = np.zeros((n, 4))
        self._idle_s = np.zeros(n)
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
        return other

    def looked(self, found: bool) -> None:
        """The answer to `wants_look`."""
        for row in np.flatnonzero(self.wants_look):
            self.wants_look[row] = False
            self._looks[row] += 1
            if found:
                self._next(np.array([row]))
            elif self._looks[row] >= LOOKS:
                self.failed[row] = "not_found"

    def tick(self, view: View, dt_s: float, top_mps: float = math.inf) -> Command:
        """One control period: the commands for all robots.

        Args:
            view: What they believe now. dt_s: Since the last tick.
            top_mps: A cap for this tick, lower than the program's speed (slowing is always free).
        """
        wanted_v, wanted_w = np.zeros(self.n), np.zeros(self.n)
        if not self._begun.any():
            self._v, self._w = view.speed[:, 0].copy(), view.speed[:, 1].copy()
        running = ~self.finished
        for index in np.unique(self.segment[running]):
            rows = np.flatnonzero(running & (self.segment == index))
            segment = self.program.segments[index]
            fresh = rows[~self._begun[rows]]
            self._begin(fresh, segment, view)
            v, w = self._wanted(segment, int(index), rows, view, dt_s)
            wanted_v[rows], wanted_w[rows] = v, w
        limits = self.robot.limits
        wanted_v = np.clip(wanted_v, -min(top_mps, limits.reverse_mps * LIMIT_SHARE), min(top_mps, limits.forward_mps * LIMIT_SHARE))
        self._ramp(wanted_v, wanted_w, dt_s)
        return Command(self._v.copy(), self._w.copy())

    def brake(self, view: View, dt_s: float) -> Command:
        """A control period of coming to a standstill, for a run that has ended or was dropped."""
        self._ramp(np.zeros(self.n), np.zeros(self.n), dt_s)
        return Command(self._v.copy(), self._w.copy())

    def take_over(self, command: Command) -> None:
        """Carry on from the speeds that another runner wanted last."""
        self._v, self._w = command.v_mps.copy(), command.w_radps.copy()

    def _begin(self, rows: np.ndarray, segment: Segment, view: View) -> None:
        if not len(rows):
            return
        self._begun[rows] = True
        self._begun_s[rows] = view.time_s
        self._begun_pose[rows] = view.pose[rows]
        self._last_yaw[rows] = view.pose[rows, 2]
        for state in (self._along, self._turned, self._blocked_s, self._idle_s):
            state[rows] = 0.0
        self._looks[rows] = 0
        if isinstance(segment, Follow):
            self._goal[rows] = (segment.x_m, segment.y_m, 0.0, 0.0)

    def _next(self, rows: np.ndarray) -> None:
        self.segment[rows] += 1
        self._begun[rows] = False

    def _wanted(self, segment: Segment, index: int, rows: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        zero = np.zeros(len(rows))
        still = (np.abs(view.speed[rows, 0]) < 0.05) & (np.abs(view.speed[rows, 1]) < 0.08)
        since_s = view.time_s - self._begun_s[rows]
        if isinstance(segment, (Wait, Say)):
            # a wait begins once the robot stands
            moving = ~still & (np.abs(self._v[rows]) > 0)
            self._begun_s[rows[moving]] = view.time_s
            needed_s = segment.duration_s if isinstance(segment, Wait) else SAY_S
            self._next(rows[(since_s >= needed_s) & ~moving])
            return zero, zero
        if isinstance(segment, (TurnTo, TurnBy)):
            turned = wrap(view.pose[rows, 2] - self._last_yaw[rows])
            self._last_yaw[rows] = view.pose[rows, 2]
            self._turned[rows] += turned
            if isinstance(segment, TurnBy):
                left = segment.angle_rad - self._turned[rows]
            else:
                left = wrap(segment.yaw_rad - view.pose[rows, 2])
            return self._turn(rows, left, still)
        if isinstance(segment, LookFor):
            turned = wrap(view.pose[rows, 2] - self._last_yaw[rows])
            self._last_yaw[rows] = view.pose[rows, 2]
            self._turned[rows] += turned
            left = LOOK_TURN_RAD * self._looks[rows] - self._turned[rows]
            there = (np.abs(left) < math.radians(4)) & still & (since_s > 0.6)
            self.wants_look[rows[there]] = True
            w = np.where(self.wants_look[rows] | there, 0.0, turn_rate(left, self.robot))
            return zero, w
        if isinstance(segment, Straight):
            return self._straight(segment, rows, view, dt_s, still)
        if isinstance(segment, Follow):
            return follow(self, segment, rows, view, dt_s)
        assert isinstance(segment, Drive)
        v, w, left_m, self._along[rows] = track(self._tracks[index], view.pose[rows], self._along[rows], self._v[rows],
                                                segment.cruise_mps, self.robot)
        ahead, along_m = ahead_on(self._tracks[index], self._along[rows])
        v = self.held(segment, rows, view, ahead, along_m, v, dt_s)
        done = (left_m < 0.03) & (np.abs(self._v[rows]) < 0.12)
        self._next(rows[done])
        return np.where(done, 0.0, v), np.where(done | (v == 0.0) & (left_m < 0.03), 0.0, w)

    def _turn(self, rows: np.ndarray, left: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = turn_rate(left, self.robot)
        w[np.abs(self._v[rows]) > 0.05] = 0.0
        there = np.abs(left) < math.radians(1.5)
        self._next(rows[there & (np.abs(self._w[rows]) < 0.12)])
        return np.zeros(len(rows)), np.where(there, 0.0, w)

    def _straight(self, segment: Straight, rows: np.ndarray, view: View, dt_s: float,
                  still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begun = self._begun_pose[rows]
        heading = np.stack([np.cos(begun[:, 2]), np.sin(begun[:, 2])], axis=1)
        moved = view.pose[rows, :2] - begun[:, :2]
        along = (moved * heading).sum(axis=1)
        aside = moved[:, 1] * heading[:, 0] - moved[:, 0] * heading[:, 1]
        way = math.copysign(1.0, segment.distance_m)
        left_m = (segment.distance_m - along) * way
        top = segment.cruise_mps if way > 0 else min(segment.cruise_mps, self.robot.limits.reverse_mps)
        v = np.minimum(top, stop_speed(left_m, self.robot))
        ahead, along_m = ahead_straight(view.pose[rows], way, np.minimum(np.maximum(left_m, 0.0), 2.5))
        v = self.held(segment, rows, view, ahead, along_m, v, dt_s)
        off = wrap(begun[:, 2] - view.pose[rows, 2])
        w = np.clip(1.5 * off - 1.0 * aside * way, -0.5, 0.5)
        done = (left_m < 0.015) & (np.abs(self._v[rows]) < 0.12)
        self._next(rows[done])
        return np.where(done, 0.0, v * way), np.where(done | still & (v == 0.0), 0.0, w)

    def held(self, segment: Segment, rows: np.ndarray, view: View, ahead: np.ndarray, along_m: np.ndarray, v: np.ndarray,
             dt_s: float) -> np.ndarray:
        """(R,) the speed `v` lowered for what is in the way; gives up where the way stays blocked."""
        exempt = np.array([mover in self.program.target_ids for mover in view.mover_ids], dtype=bool)
        free = free_way_m(view, rows, ahead, along_m, np.abs(self._v[rows]), self.robot, exempt)
        allowed = np.minimum(stop_speed(free, self.robot), person_cap_mps(view, rows, exempt, self.robot))
        held = np.minimum(v, allowed)
        stuck = (held < 0.03) & (v > 0.05)
        self._blocked_s[rows] = np.where(stuck, self._blocked_s[rows] + dt_s, 0.0)
        self.failed[rows[self._blocked_s[rows] > BLOCKED_S]] = "blocked"
        return np.where(held < 0.03, 0.0, held) if len(held) else held

    def _ramp(self, wanted_v: np.ndarray, wanted_w: np.ndarray, dt_s: float) -> None:
        limits = self.robot.limits
        faster = np.abs(wanted_v) > np.abs(self._v)
        most = np.where(faster & (wanted_v * self._v >= 0), limits.accel_mps2, limits.brake_mps2) * LIMIT_SHARE * dt_s
        self._v = np.clip(wanted_v, self._v - most, self._v + most)
        turn = limits.yaw_accel_radps2 * dt_s
        self._w = np.clip(np.clip(wanted_w, self._w - turn, self._w + turn), -limits.yaw_radps, limits.yaw_radps)
