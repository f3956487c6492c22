"""Tick a car's program for N cars at once: along the course, as fast as the rules and the traffic allow."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.program import Program
from jpai_agent.control.road.course import Course
from jpai_agent.control.road.holds import Holds
from jpai_agent.control.road.pursuit import Pursuit
from jpai_agent.control.road.rules import Rules
from jpai_agent.control.road.segments import FollowVehicle, RoadDrive
from jpai_agent.control.road.steering import Steering
from jpai_agent.control.road.traffic import Movers, Standing, hold_for_movers, movers_on
from jpai_agent.control.runner import Command
from jpai_agent.control.segments import Say, Wait
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# how long something that stands may block the way, and where one queues; how long wheels may be asked to turn without effect
BLOCKED_S, QUEUE_S, STUCK_S = 25.0, 60.0, 5.0
STILL_MPS = 0.05
# a course that ends at rest is done this near to its end
DONE_M = 0.12
# it is looked so far ahead, in time, for what curves allow
AHEAD_S = 0.3


class RoadRunner:
    """The state of N cars that run one program. Same interface as `ProgramRunner`.

    Attributes:
        segment: (N,) index of the present segment; the program's length when all is done. A drive that carries on goes on.
        failed: (N,) reason by which a car has given up ("blocked", "stuck", "target_lost"), "" while it has not.
        wants_look: (N,) always False: cars look by themselves.
    """

    def __init__(self, program: Program, robot: RobotSpec, n: int = 1) -> None:
        self.program, self.robot, self.n = program, robot, n
        self.segment = np.zeros(n, dtype=int)
        self.failed = np.full(n, "", dtype=object)
        self.wants_look = np.zeros(n, dtype=bool)
        walks = {name: (x, y, yaw, a, b) for name, x, y, yaw, a, b in program.crosswalks}
        self._courses = _courses(program, robot)
        self._rules = [Rules(course, walks, robot, n) for course in self._courses]
        self._standing = [Standing(course, robot) for course in self._courses]
        self._pursuit = Pursuit(program, self._courses, n)
        self._steering = Steering(robot, n)
        self._course_of = _course_of(program, self._courses)
        self._course = np.zeros(n, dtype=int)
        self._along = np.zeros(n)
        self._fresh = np.ones(n, dtype=bool)
        self._entered = np.zeros(n, dtype=bool)
        self._begun_s = np.full(n, np.nan)
        self._started = np.zeros(n, dtype=bool)
        self._blocked_s = np.zeros(n)
        self._stuck_s = np.zeros(n)

    @property
    def _last(self) -> int:
        """Index of the segment that is not the plan's any more: the drive that carries on, or the program's end."""
        segments = self.program.segments
        carries = bool(segments) and isinstance(segments[-1], RoadDrive) and segments[-1].carry_on
        return len(segments) - 1 if carries else len(segments)

    @property
    def finished(self) -> np.ndarray:
        """(N,) True where the plan's steps have ended, well or not. A car that carries on is to be ticked further."""
        return self.succeeded | (self.failed != "")

    @property
    def succeeded(self) -> np.ndarray:
        """(N,) True where every step of the plan was done."""
        return (self.segment >= self._last) & (self.failed == "")

    @property
    def carrying(self) -> np.ndarray:
        """(N,) True where every step was done and the car goes on along its lane."""
        return self.succeeded & self.carries_on

    @property
    def carries_on(self) -> bool:
        """Whether the program goes on after the plan's last step."""
        return self._last < len(self.program.segments)

    def step_of(self, robot: int = 0) -> int | None:
        """Index in the plan of the step that a car is at; None when the program has ended."""
        at = int(self.segment[robot])
        return self.program.segments[at].step if at < len(self.program.segments) else None

    def repeated(self, n: int) -> RoadRunner:
        """A runner of N cars that all stand where this one's first car stands in the program."""
        other = RoadRunner(self.program, self.robot, n)
        pairs = [(self, other), (self._steering, other._steering), (self._pursuit, other._pursuit),
                 *zip(self._rules, other._rules, strict=True)]
        for mine, its in pairs:
            for name, value in vars(mine).items():
                if isinstance(value, np.ndarray):
                    setattr(its, name, np.repeat(value[:1], n, axis=0).copy())
        other._pursuit.known = dict(self._pursuit.known)
        return other

    def looked(self, found: bool, heading_rad: float | None = None) -> None:
        """Nothing of a car's waits for a look."""

    def tick(self, view: View, dt_s: float, top_mps: float = math.inf) -> Command:
        """One control period: the commands for all cars.

        Args:
            view: What they believe now. dt_s: Since the last tick.
            top_mps: A cap for this tick, lower than the program's speed (slowing is always free).
        """
        self._start(view)
        speed, brakes = np.zeros(self.n), np.full(self.n, 2.7)
        curvature = self._steering.curvature.copy()
        hurry = np.zeros(self.n)
        going = (self.segment < len(self.program.segments)) & (self.failed == "")
        for index in sorted(set(self.segment[going].tolist())):
            rows = np.flatnonzero(going & (self.segment == index))
            self._enter(rows, index, view)
        # who stands at the end of all keeps to its last course
        for course in sorted(set(self._course.tolist())) if self._courses else []:
            rows = np.flatnonzero(self._course == course)
            speed[rows], brakes[rows], curvature[rows], hurry[rows] = self._along_course(course, rows, view, dt_s, top_mps)
        speed[~going] = 0.0
        self._note_stuck(view, dt_s)
        v, w = self._steering.command(speed, brakes, curvature, hurry, dt_s)
        return Command(v, w)

    def brake(self, view: View, dt_s: float) -> Command:
        """A control period of coming to a standstill, for a run that has ended or was dropped: along the course if there is
        one, else with the wheels as they are."""
        self._start(view)
        curvature = self._steering.curvature.copy()
        way = np.sign(self._steering.v)
        if self._courses and self.program.segments:
            for course in sorted(set(self._course.tolist())):
                rows = np.flatnonzero(self._course == course)
                place = self._courses[course].locate(view.pose[rows], self._along[rows], self._fresh[rows])
                self._along[rows], self._fresh[rows] = np.maximum(place.along_m, 0.0), False
                curvature[rows] = self._steering.towards(self._courses[course], place, rows, view.pose[rows])
        v, w = self._steering.command(np.zeros(self.n), np.full(self.n, 2.7), curvature, way, dt_s)
        return Command(v, w)

    def _start(self, view: View) -> None:
        fresh = ~self._started
        if fresh.any():
            self._steering.take_over(np.where(fresh, view.speed[:, 0], self._steering.v),
                                     np.where(fresh, view.speed[:, 1], self._steering.v * self._steering.curvature))
            self._started[:] = True

    def _enter(self, rows: np.ndarray, index: int, view: View) -> None:
        """Go on to the course of the segment that cars have come to, and end waits and words."""
        segment = self.program.segments[index]
        new = rows[np.isnan(self._begun_s[rows])]
        self._begun_s[new] = view.time_s
        course = self._course_of[index]
        if course is not None:
            if isinstance(segment, FollowVehicle):
                self._pursuit.begin(new, segment)
            # a way on which a vehicle was followed is carried on along
            on_it = (self._course[new] >= course) & (self._course[new] < course + self._ways(index))
            other = new[~((on_it | self._carries_on_from(index)) & self._entered[new])]
            self._entered[new] = True
            self._course[other] = course
            self._along[other], self._fresh[other] = 0.0, True
        if isinstance(segment, Say):
            # one tick to be told
            self._next(rows[view.time_s - self._begun_s[rows] > 1e-6])
        elif isinstance(segment, Wait):
            moving = (np.abs(view.speed[rows, 0]) > STILL_MPS) | (np.abs(self._steering.v[rows]) > STILL_MPS)
            self._begun_s[rows[moving]] = view.time_s
            self._next(rows[~moving & (view.time_s - self._begun_s[rows] >= segment.duration_s - 1e-6)])

    def _carries_on_from(self, index: int) -> bool:
        segment = self.program.segments[index]
        return isinstance(segment, RoadDrive) and segment.carry_on and index > 0 \
            and isinstance(self.program.segments[index - 1], FollowVehicle)

    def _ways(self, index: int) -> int:
        segment = self.program.segments[index]
        return len(segment.branches) if isinstance(segment, FollowVehicle) else 1

    def _next(self, rows: np.ndarray) -> None:
        self.segment[rows] += 1
        self._begun_s[rows] = np.nan
        self._blocked_s[rows] = 0.0

    def _along_course(self, number: int, rows: np.ndarray, view: View, dt_s: float, top_mps: float
                      ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Wanted speed, braking, curvature and direction (R,) for cars on a course."""
        course, rules = self._courses[number], self._rules[number]
        place = course.locate(view.pose[rows], self._along[rows], self._fresh[rows])
        along = np.maximum(place.along_m, np.where(self._fresh[rows], 0.0, self._along[rows] - 0.5))
        self._along[rows], self._fresh[rows] = along, False
        v = np.abs(self._steering.v[rows])
        holds = Holds(len(rows))
        if course.rests:
            holds.stop(course.length_m - along, 0.3, np.ones(len(rows), dtype=bool))
        waiting = self._waiting(rows)
        holds.slow(np.where(waiting, 0.0, np.inf), waiting)
        close_boxes = np.array([name in self.program.target_ids for name in view.box_ids], dtype=bool)
        close_movers = np.array([name in self.program.target_ids for name in view.mover_ids], dtype=bool)
        movers = movers_on(course, view, rows, along)
        if movers is not None:
            hold_for_movers(holds, movers, course, along, v, self.robot, close_movers)
        self._choose_way(rows, along, movers, view, dt_s)
        self._standing[number].hold(holds, view, rows, along, close_boxes)
        rules.hold(holds, view, rows, along, v, movers, dt_s)
        profile = np.minimum(course.most_mps[course.index(along + AHEAD_S * v)], course.most_mps[course.index(along)])
        speed = np.minimum(np.minimum(profile, holds.speed(v)), top_mps)
        curvature = self._steering.towards(course, place, rows, view.pose[rows])
        self._note_blocked(rows, holds, speed, rules.at_light(along), dt_s)
        self._pass_drives(number, rows, along, view)
        return speed, holds.brakes(v, self.robot), curvature, np.full(len(rows), course.way)

    def _choose_way(self, rows: np.ndarray, along: np.ndarray, movers: Movers | None, view: View, dt_s: float) -> None:
        """Cars that follow a vehicle change over to the course that it takes."""
        for index, segment in enumerate(self.program.segments):
            following = self.segment[rows] == index
            if isinstance(segment, FollowVehicle) and following.any():
                mine = rows[following]
                own = movers.of(following) if movers is not None else None
                first = self._course_of[index]
                self._course[mine] = self._pursuit.follow(segment, first or 0, mine, along[following], own, view, dt_s)

    def _waiting(self, rows: np.ndarray) -> np.ndarray:
        """(R,) cars that stand for a wait, or have given up."""
        segments = self.program.segments
        waits = np.array([isinstance(s, Wait) for s in segments] + [True])
        return waits[np.minimum(self.segment[rows], len(segments))] | (self.failed[rows] != "")

    def _pass_drives(self, number: int, rows: np.ndarray, along: np.ndarray, view: View) -> None:
        """Go on to the next segment where a drive has been driven to its end."""
        course = self._courses[number]
        for end_m, index in zip(course.ends_m, course.indices, strict=True):
            segment = self.program.segments[index]
            at = (self.segment[rows] == index) & (self.failed[rows] == "")
            if not at.any():
                continue
            if isinstance(segment, FollowVehicle):
                done, lost = self._pursuit.ended(segment, rows, view.time_s - self._begun_s[rows])
                self.failed[rows[at & lost & ~done]] = "target_lost"
                self._next(rows[at & done])
            elif segment.carry_on:
                continue
            elif course.rests and index == course.indices[-1]:
                still = (np.abs(view.speed[rows, 0]) < STILL_MPS) & (np.abs(self._steering.v[rows]) < STILL_MPS)
                self._next(rows[at & still & (along > end_m - DONE_M)])
            else:
                self._next(rows[at & (along >= end_m - 0.02)])

    def _note_blocked(self, rows: np.ndarray, holds: Holds, speed: np.ndarray, queue: np.ndarray, dt_s: float) -> None:
        blocked = (speed < STILL_MPS) & holds.standing & ~queue
        moves = np.abs(self._steering.v[rows]) > 0.3
        so_far = self._blocked_s[rows]
        self._blocked_s[rows] = np.where(blocked, so_far + dt_s, np.where(moves, 0.0, so_far))
        patience_s = np.where(queue, QUEUE_S, BLOCKED_S)
        self.failed[rows[(self._blocked_s[rows] > patience_s) & (self.failed[rows] == "")]] = "blocked"

    def _note_stuck(self, view: View, dt_s: float) -> None:
        """Give up where wheels have been asked to turn for long without effect."""
        idle = (np.abs(self._steering.v) > 0.3) & (np.abs(view.speed[:, 0]) < 0.02)
        self._stuck_s = np.where(idle, self._stuck_s + dt_s, 0.0)
        self.failed[(self._stuck_s > STUCK_S) & (self.failed == "")] = "stuck"


def _courses(program: Program, robot: RobotSpec) -> list[Course]:
    """The courses of a program's drives in order; a vehicle that is followed has one for each way."""
    courses: list[Course] = []
    drives: list[RoadDrive] = []
    ends: list[int] = []

    def close() -> None:
        if drives:
            courses.append(Course(drives, ends, robot))
            drives.clear()
            ends.clear()

    for index, segment in enumerate(program.segments):
        if isinstance(segment, RoadDrive):
            if drives and drives[-1].reverse != segment.reverse:
                close()
            drives.append(segment)
            ends.append(index)
            if segment.rests:
                close()
        elif isinstance(segment, FollowVehicle):
            close()
            for branch in segment.branches:
                way = RoadDrive(segment.step, segment.cruise_mps, branch.points, marks=branch.marks)
                courses.append(Course([way], [index], robot))
        elif isinstance(segment, Wait):
            close()
    close()
    return courses


def _course_of(program: Program, courses: list[Course]) -> list[int | None]:
    """Per segment the first course that it is driven on, None for waits and words."""
    found: list[int | None] = [None] * len(program.segments)
    for number, course in reversed(list(enumerate(courses))):
        for index in course.indices:
            found[int(index)] = number
    return found
