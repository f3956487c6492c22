"""Does what the rehearsal passed touch anybody? Plans in yards in which people walk about, driven in the true scene.

People walk straight on and mind nobody. Three ways of driving, apart: the rehearsed program by its controllers alone, which see
people and slow for them (`rollouts`: no gate, no rehearsal on the way); the whole robot with its agent, rehearsals on the way and
gate (`chain`); and the program driven blindly by somebody who sees nothing, with the gate alone before the motors (`gate`).

A contact is the robot's doing when it has driven within the last second. That it stands and is walked into is told apart: these
people do not go round it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from jpai_agent.agent import Agent, AgentConfig
from jpai_agent.agent.events import Observer, Rehearsed
from jpai_agent.control import Program, ProgramError, ProgramRunner, compile_program, view_from_scene
from jpai_agent.perception import Perception
from jpai_agent.plan import Step, Target
from jpai_agent.sim.discrimination import LOOKS_S, ROBOT, RUNS, WORLD, looked, perceived, random_yard
from jpai_agent.sim.episode import Episode, Turn
from jpai_agent.sim.expectations import Expectation
from jpai_agent.sim.in_order import in_order
from jpai_agent.sim.judge import MOVED_WITHIN_S
from jpai_agent.sim.predicates import STILL_MPS
from jpai_agent.sim.report import machine
from jpai_agent.sim.robot import SimRobot
from jpai_agent.sim.runner import PERIOD_S, AgentContext, Course
from jpai_agent.sim.trajectory import Recorder, Recording
from jpai_agent.sim.unsafe import upper
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.verdict import Binding
from jpai_agent.vlm import PlanAnswer, PlanRequest
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import Motion, ObjectSpec
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget
from jpai_agent.world.sensors import Observation

DROVE, STOOD = "drove", "stood"
MOST_WALKERS = 3
SPEEDS_MPS = (0.6, 1.5)
FARTHEST_M = 9.0
# from the place itself, so that its last metre is not driven into a wall
LEAST_WAY_M = 3.5
WORDS = "行って"


@dataclass(frozen=True)
class Crossing:
    """One yard with people in it, and what came of the way to a place.

    Attributes:
        passed: The verdict on the plan. rollouts: with each of RUNS robots DROVE where it touched something while it drove, STOOD
            where it was walked into, "" for no contact; empty where the verdict was not passed. arrived: how many of these
            robots came to the program's end.
        chain: The same of the whole robot, None where no verdict was passed on its way. gate: the same of the program
            driven blindly behind the gate.
    """

    passed: bool
    rollouts: tuple[str, ...] = ()
    arrived: int = 0
    chain: str | None = None
    gate: str | None = None


def bench_crossing(n: int = 300, seed: int = 0, *, jobs: int = 2) -> dict[str, Any]:
    """Drive in n yards whose plan passed its rehearsal. The same arguments give the same figures.

    Args:
        jobs: processes.

    Returns:
        episodes: how many passed, not_passed: how many more did not; for rollouts, chain and gate: n, contacts while the robot
        drove, upper (95 %) of these, walked_into while it stood; arrived: share of the rollouts; wall_s; machine.
    """
    begun = time.perf_counter()
    found: list[Crossing] = []
    passed = 0
    for crossing in in_order(cross, ((seed, number) for number in count()), jobs):
        if crossing is None:
            continue
        found.append(crossing)
        passed += crossing.passed
        if passed >= n:
            break
    return summary(found) | {"wall_s": round(time.perf_counter() - begun, 1), "machine": machine()}


def summary(found: Sequence[Crossing]) -> dict[str, Any]:
    """The figures of these yards."""
    driven = [crossing for crossing in found if crossing.passed]

    def figures(touched: Sequence[str]) -> dict[str, Any]:
        drove = touched.count(DROVE)
        return {"n": len(touched), "contacts": drove, "upper": upper(drove, len(touched)), "walked_into": touched.count(STOOD)}

    rollouts = [contact for crossing in driven for contact in crossing.rollouts]
    return {
        "what": f"plans in yards with 1 to {MOST_WALKERS} people walking, driven in the true scene after a passed verdict",
        "episodes": len(driven), "not_passed": len(found) - len(driven), "rollouts": figures(rollouts),
        "chain": figures([crossing.chain for crossing in found if crossing.chain is not None]),
        "gate": figures([crossing.gate for crossing in driven if crossing.gate is not None]),
        "arrived": round(sum(crossing.arrived for crossing in driven) / max(len(rollouts), 1), 3),
    }


def cross(seed: int, number: int, renderer: SceneRenderer) -> Crossing | None:
    """Make a yard, rehearse the way to a place of it and drive it. None when there is no way."""
    robot, world_map = load_robot(ROBOT), load_map(WORLD)
    rng = np.random.default_rng((seed, number))
    pose, things = random_yard(rng, world_map)
    things = things[::2] + walkers(rng, world_map, pose, things[::2])
    far = [p for p in world_map.places if math.dist(pose[:2], (p.x_m, p.y_m)) > LEAST_WAY_M]
    place = far[int(rng.integers(len(far)))]
    target = GroundedTarget(place.names[0], place.x_m, place.y_m, "place", place.yaw_rad)
    scene = perceived(robot, world_map, things, pose, number, renderer)
    step = Step("go_to", {"target": Target(place=place.id)})
    try:
        program = compile_program((step,), {0: target}, scene, robot, world_map)
    except ProgramError:
        return None
    binding = Binding("plan", program.sha256(), scene.sha256(), robot.sha256, "model", world_map.rules.sha256)
    verdict = rehearse(program, scene, robot, world_map, binding, seed=number)
    episode = Episode(f"crossing-{number}", WORLD, ROBOT, number, (), pose, 0.0, tuple(things), (),
                      (Turn(say=WORDS, at_s=LOOKS_S),), 120.0, Expectation())
    chain = _whole(episode, place.id, renderer)
    if not verdict.passed:
        return Crossing(False, chain=chain)
    driven = [_driven(program, episode, number * RUNS + run + 1, renderer) for run in range(RUNS)]
    return Crossing(True, tuple(contact for contact, _ in driven), sum(arrived for _, arrived in driven), chain,
                    _behind_gate(episode, program, renderer))


def walkers(rng: np.random.Generator, world_map: WorldMap, pose: Sequence[float],
            things: Sequence[ObjectSpec]) -> list[ObjectSpec]:
    """People who walk straight through the yard ahead of the robot, clear of the things that stand and of the robot at first."""
    x0, y0, x1, y1 = world_map.bounds_m
    heading = math.radians(pose[2])
    found: list[ObjectSpec] = []
    wanted = int(rng.integers(1, MOST_WALKERS + 1))
    while len(found) < wanted:
        away, aside = float(rng.uniform(2.0, FARTHEST_M)), float(rng.uniform(-0.9, 0.9))
        begin = (pose[0] + away * math.cos(heading + aside), pose[1] + away * math.sin(heading + aside))
        way, length_m = float(rng.uniform(-math.pi, math.pi)), float(rng.uniform(4.0, 10.0))
        end = (begin[0] + length_m * math.cos(way), begin[1] + length_m * math.sin(way))
        along = np.linspace(begin, end, 40)
        inside = (along > (x0 + 0.5, y0 + 0.5)).all() and (along < (x1 - 0.5, y1 - 0.5)).all()
        clear = all(np.hypot(*(along - thing.pose[:2]).T).min() > 0.4 + math.hypot(*thing.dimensions_m[:2]) / 2
                    for thing in things)
        # nobody walks into a robot that has not set out
        apart = np.hypot(*(along - pose[:2]).T).min() > 1.2
        if inside and clear and apart:
            motion = Motion((begin, end), float(rng.uniform(*SPEEDS_MPS)), float(rng.uniform(0.0, 5.0)))
            found.append(ObjectSpec(f"p{len(found)}", "person", (*begin, math.degrees(way)), motion=motion))
    return found


def touched(recording: Recording) -> str:
    """DROVE where the robot touched something while it drove or within a second after, else STOOD where it was touched, or ""."""
    times, speed = recording.times, recording.speed
    for time_s, _ in recording.contacts:
        # the contact itself may push it
        before = (times >= time_s - MOVED_WITHIN_S) & (times < time_s - PERIOD_S / 2)
        if (speed[before] > STILL_MPS).any():
            return DROVE
    return STOOD if recording.contacts else ""


def _driven(program: Program, episode: Episode, seed: int, renderer: SceneRenderer) -> tuple[str, bool]:
    """What the program touched, and whether it came to its end."""
    robot, world_map = load_robot(ROBOT), load_map(WORLD)
    runner = ProgramRunner(program, robot, 1)
    recorder = Recorder(episode.objects, (robot.length_m / 2, robot.width_m / 2), robot.center_x_m)
    with SimRobot(robot, WORLD, episode.objects, robot_pose=episode.robot_pose, seed=seed, renderer=renderer) as simulated:
        perception = looked(simulated, robot, world_map)
        limit_s = LOOKS_S + 2.0 * program.duration_s(robot) + 30.0
        recorder.add(simulated.truth())
        while simulated.time_s < limit_s and not runner.finished[0]:
            perception.update(simulated.observe())
            command = runner.tick(view_from_scene(perception.scene()), PERIOD_S)
            simulated.command(float(command.v_mps[0]), float(command.w_radps[0]))
            simulated.step(PERIOD_S)
            recorder.add(simulated.truth())
    return touched(recorder.recording()), bool(runner.succeeded[0])


class _ToPlace:
    """Answers every instruction with the way to one place."""

    name = "a way to a place"

    def __init__(self, place_id: str) -> None:
        step = {"skill": "go_to", "target": {"place": place_id}}
        self._answer = PlanAnswer(json.dumps({"decision": "act", "steps": [step], "reason": None}))

    def plan(self, request: PlanRequest) -> PlanAnswer:
        return self._answer

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


def _whole(episode: Episode, place_id: str, renderer: SceneRenderer) -> str | None:
    """The whole robot; None where no rehearsal passed."""
    passed: list[bool] = []

    def listen(event: object) -> None:
        if isinstance(event, Rehearsed):
            passed.append(event.verdict.passed)

    def make(context: AgentContext) -> Agent:
        return Agent(context.robot, context.world_map, _ToPlace(place_id), context.worker, context.capture,
                     (*context.observers, listen), config=AgentConfig(seed=context.seed))

    contact = _touches(Course(episode, make, renderer))
    return contact if any(passed) else None


class _Blind:
    """Drives a program after LOOKS_S without looking: where it is, it knows, but of nothing else. As a Course's agent."""

    def __init__(self, program: Program, context: AgentContext) -> None:
        self.perception = Perception(context.robot, context.world_map)
        self.observers: list[Observer] = []
        self.accepted_plan_id = ""
        self._runner = ProgramRunner(program, context.robot, 1)

    @property
    def idle(self) -> bool:
        return bool(self._runner.finished[0])

    def hear(self, text: str, now_s: float) -> None:
        self.accepted_plan_id = text

    def tick(self, observation: Observation) -> tuple[float, float]:
        self.perception.update(observation)
        if not self.accepted_plan_id or self.idle:
            return 0.0, 0.0
        nothing_there = replace(self.perception.scene(), obstacles=(), movers=())
        command = self._runner.tick(view_from_scene(nothing_there), PERIOD_S)
        return float(command.v_mps[0]), float(command.w_radps[0])


def _behind_gate(episode: Episode, program: Program, renderer: SceneRenderer) -> str:
    """What a blind driver touches whom the gate alone keeps from it."""
    return _touches(Course(episode, partial(_Blind, program), renderer))


def _touches(course: Course) -> str:
    try:
        while not course.over:
            course.period()
        return touched(course.recording())
    finally:
        course.robot.close()
