"""Run what was rehearsed: tick the program under its verdict, slow down when the scene has changed, stop when told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from jpai_agent.control import Program, ProgramRunner, keep_lane_program, runner_for, view_from_scene
from jpai_agent.control.road.routes import network_of
from jpai_agent.control.road.runner import RoadRunner
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.control.segments import Drive, LookFor, Segment, Straight, TurnBy, TurnTo
from jpai_agent.plan import ActionPlan
from jpai_agent.twin.changes import needs_rehearsal
from jpai_agent.twin.verdict import START_WITHIN_S, Binding, Verdict
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene

CHECK_EVERY_S = 0.2
# while the rest is rehearsed again the robot slows to this; a car has to keep the traffic behind it in mind
SLOWED_MPS, CAR_SLOWED_MPS = 0.3, 5.0
# how far ahead a car's way is watched for changes
WATCHED_M = 60.0
# a verdict is void long before so many others have been used
USED_KEPT = 10_000
# a car this far right of its lane's middle is on its way into the oncoming lane
LEANS_M = 0.25


class NotPermitted(RuntimeError):
    """A program was to be started without a verdict that covers it."""


@dataclass
class Run:
    """A program under way.

    Attributes:
        id: Names the run; the gate releases a hold only for another one.
        plan: The plan that it carries out; program: the rehearsed part of it.
        scene: The snapshot that was rehearsed last; verdict: what that rehearsal found.
        binding: What it was started under; a verdict on its rest is bound to the same, but for the scene.
        change: Why the rest must be rehearsed again; None while the verdict holds. held: it stands still until then.
        told: Its end has been told; what goes on is the lane that a car follows until it hears more.
    """

    id: str
    plan: ActionPlan
    program: Program
    runner: ProgramRunner | RoadRunner
    scene: Scene
    verdict: Verdict | None
    binding: Binding | None = None
    change: str | None = None
    held: bool = False
    told: bool = False

    @property
    def step(self) -> int:
        """Index in the plan of the step that it is at; past the program's last when it has ended."""
        at = self.runner.step_of()
        return at if at is not None else max((s.step for s in self.program.segments), default=-1) + 1

    @property
    def look_label(self) -> str | None:
        """What a look is wanted for, while the robot stands and waits for one."""
        if not self.runner.wants_look[0]:
            return None
        segment = self.program.segments[int(self.runner.segment[0])]
        return segment.label if isinstance(segment, LookFor) else None

    @property
    def carrying(self) -> bool:
        """The plan is done and the car goes on along its lane."""
        return self.outcome == "done" and int(self.runner.segment[0]) < len(self.program.segments)

    @property
    def at_road_end(self) -> bool:
        """What it drives leads to where the road ends."""
        return leads_to_road_end(self.program)

    @property
    def outcome(self) -> str | None:
        """None while it runs, "done", or the reason by which it gave up."""
        if not self.runner.finished[0]:
            return None
        return str(self.runner.failed[0]) or "done"


class Executor:
    """Runs one program at a time. The commands that it gives are requests; the gate has the last word."""

    def __init__(self, robot: RobotSpec, world_map: WorldMap) -> None:
        self.robot, self.world_map = robot, world_map
        self.run: Run | None = None
        self._runs = 0
        # ids of the verdicts that were used: each starts or renews one run once
        self._used: dict[str, None] = {}
        self._checked_s = 0.0
        self._ticked_s: float | None = None
        self._dropped = self._rests = False
        self._brakes = runner_for(Program((), (0.0, 0.0, 0.0)), robot, 1)

    def start(self, plan: ActionPlan, program: Program, verdict: Verdict, binding: Binding, scene: Scene, now_s: float) -> Run:
        """Begin a rehearsed program, in place of the one that runs.

        Raises:
            NotPermitted: The verdict did not pass, is void, was used before, or is bound to something else.
        """
        refusal = verdict.refusal(binding, now_s)
        if refusal is not None:
            raise NotPermitted(refusal)
        self._use(verdict)
        self._runs += 1
        self.run = self._made(plan, program, scene, verdict)
        self.run.binding = binding
        return self.run

    def _use(self, verdict: Verdict) -> None:
        """Take a verdict as used. Raises NotPermitted for one that was: what it permits may happen once."""
        if verdict.id in self._used:
            raise NotPermitted(f"verdict {verdict.id} was used before")
        self._used[verdict.id] = None
        while len(self._used) > USED_KEPT:
            del self._used[next(iter(self._used))]

    def carry_on(self, plan: ActionPlan, program: Program, scene: Scene) -> Run | None:
        """Follow the lane at once, for a car that rolls when nobody has told it anything; asks for a rehearsal.

        Braking blindly is no safer for a car under way than keeping to its lane and to the rules.
        """
        self._runs += 1
        self.run = self._made(plan, program, scene, None)
        self.run.change, self.run.told = "not rehearsed yet", True
        return self.run

    def _made(self, plan: ActionPlan, program: Program, scene: Scene, verdict: Verdict | None) -> Run:
        name = f"run-{self._runs}-{program.sha256()[:12]}"
        return Run(name, plan, program, runner_for(program, self.robot, 1), scene, verdict)

    def cancel(self) -> Run | None:
        """Drop the program; the next ticks brake to standstill. Returns what was dropped."""
        run, self.run = self.run, None
        if run is not None:
            self._brakes, self._dropped = run.runner, True
        return run

    def tick(self, scene: Scene, now_s: float) -> tuple[float, float]:
        """The wanted (v m/s, w rad/s) for this period."""
        dt_s = min(max(now_s - self._ticked_s, 0.0), 0.2) if self._ticked_s is not None else 0.0
        self._ticked_s = now_s
        view = view_from_scene(scene)
        run = self.run
        if run is None or (run.outcome is not None and not run.carrying):
            if self._dropped:
                self._dropped = False
                self._brakes = self._back_into_lane(scene) or self._brakes
            # a runner brakes on from the speed that it wanted last, a car's along its course
            command = (run.runner if run is not None else self._brakes).brake(view, dt_s)
            # others may have stopped it already: a gate that opens again must not find anything left to drive, and what a
            # robot that has only just set out still gains after zero was asked for is nothing to brake from
            self._rests = self._rests or scene.robot.stands
            if self._rests:
                return 0.0, 0.0
        else:
            self._rests = False
            if run.change is None and run.verdict is not None and now_s - self._checked_s >= CHECK_EVERY_S:
                self._checked_s = now_s
                run.change = needs_rehearsal(run.verdict, run.scene, scene, self._way_left(run, scene),
                                             half_width_m=self.robot.width_m / 2, robot=self.robot, road=self.world_map.road)
            slowed_mps = SLOWED_MPS if self.robot.ackermann is None else CAR_SLOWED_MPS
            top_mps = 0.0 if run.held else slowed_mps if run.change else np.inf
            command = run.runner.tick(view, dt_s, top_mps)
        return float(command.v_mps[0]), float(command.w_radps[0])

    def rehearsed(self, verdict: Verdict, scene: Scene) -> None:
        """The rest of the running program has passed again, in a newer scene.

        Raises NotPermitted when it has not, or the verdict is void, altered, was used, or is on another program, plan or robot.
        """
        if not verdict.genuine:
            raise NotPermitted(f"verdict {verdict.id} was altered")
        if not verdict.passed:
            raise NotPermitted(f"verdict {verdict.id} is {verdict.status}: {verdict.reason}")
        if self.run is not None:
            bound = self.run.binding
            if bound is not None and replace(verdict.binding, scene=bound.scene) != bound:
                raise NotPermitted(f"verdict {verdict.id} is not on what runs")
            if self._ticked_s is not None and self._ticked_s - verdict.made_at_s > START_WITHIN_S:
                raise NotPermitted(f"verdict {verdict.id} is older than {START_WITHIN_S:.0f} s")
            self._use(verdict)
            self.run.verdict, self.run.scene, self.run.change, self.run.held = verdict, scene, None, False

    def _back_into_lane(self, scene: Scene) -> RoadRunner | None:
        """What a car brakes along whose drive into the oncoming lane was dropped; None where it is on its own side."""
        road = self.world_map.road
        place = network_of(road).in_lane(scene.robot.pose) if road is not None else None
        if place is None or place.offset_m > -LEANS_M:
            return None
        program = keep_lane_program(scene, self.robot, self.world_map, passes=False)
        return RoadRunner(program, self.robot, 1)

    @staticmethod
    def _way_left(run: Run, scene: Scene) -> np.ndarray:
        """(P, 2) what base_link has still to go of the program's paths and straight lines."""
        way = [scene.robot.pose[:2]]
        current, pose = int(run.runner.segment[0]), np.array(run.program.start)
        for index, segment in enumerate(run.program.segments):
            points, pose = _passed(segment, pose)
            if index == current:
                points = points[int(np.argmin(np.linalg.norm(points - way[0], axis=1))):] if len(points) else points
            if index >= current and len(points):
                way.extend(points if isinstance(segment, RoadDrive) else points[::4])
                way.append(points[-1])
        along = np.cumsum(np.linalg.norm(np.diff(np.array(way), axis=0), axis=1))
        return np.array(way)[: int(np.searchsorted(along, WATCHED_M)) + 1]


def leads_to_road_end(program: Program) -> bool:
    """Whether a car's program ends where the road does."""
    last = program.segments[-1] if program.segments else None
    return isinstance(last, RoadDrive) and any(mark[0] == "end" for mark in last.marks)


def _passed(segment: Segment, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points (P, 2) that base_link passes on a segment that it sets out on from pose (3,), and its pose after it."""
    if isinstance(segment, (Drive, RoadDrive)):
        points = np.asarray(segment.points)
        last = points[-1] - points[max(0, len(points) - 5)]
        return points, np.array([*points[-1], math.atan2(last[1], last[0]) if len(points) > 1 else pose[2]])
    if isinstance(segment, Straight):
        end = pose[:2] + segment.distance_m * np.array([math.cos(pose[2]), math.sin(pose[2])])
        return end[None], np.array([*end, pose[2]])
    turned = segment.yaw_rad if isinstance(segment, TurnTo) else pose[2]
    turned += segment.angle_rad if isinstance(segment, TurnBy) else 0.0
    return np.empty((0, 2)), np.array([*pose[:2], turned])
