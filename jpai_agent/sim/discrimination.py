"""Does the twin tell plans that collide from plans that do not? Both are found out by running them, then rehearsed."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jpai_agent.control import Program, ProgramError, ProgramRunner, compile_program, view_from_scene
from jpai_agent.control.segments import Drive
from jpai_agent.perception import Perception
from jpai_agent.plan import Step, Target
from jpai_agent.sim.in_order import in_order
from jpai_agent.sim.report import machine
from jpai_agent.sim.robot import SimRobot
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.verdict import Binding
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import PEOPLE, SIZES, YARD_KINDS, ObjectSpec
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import GroundedTarget, Obstacle, Scene

WORLD, ROBOT = "yard", "cart"
THINGS = 6
# where they stand, seen from the robot: within its view, near enough to be met
NEAREST_M, FARTHEST_M, BEARING_RAD = 1.5, 6.5, math.radians(38)
APART_M, WALL_M, BESIDE_RAD = 0.35, 0.6, math.radians(1)
# a draw that has not found room for all things after so many is begun anew
MOST_DRAWS = 300
# how long the robot looks before it plans
LOOKS_S = 1.6
# a program collides when it does so on each of these robots, and is safe when it does on none: friction, load, motors
# and localiser differ
RUNS = 3
MOST_TRIES = 20
# how programs are made: as the robot makes them, and badly
SOUND, BAD = ("planned", "straight"), ("rammed", "forgotten", "shifted")
GROUPS = ("colliding", "safe", "lucky")


@dataclass(frozen=True)
class Case:
    """A program, what it did in the true scene, and what the twin found in the perceived one.

    Attributes:
        kind: How it was made, see `make_program`. collides: in the true scene; None when that hangs on the robot.
        passed, reason: the twin's verdict.
    """

    kind: str
    collides: bool | None
    passed: bool = False
    reason: str = ""

    @property
    def group(self) -> str:
        """ "colliding", "safe", "lucky" when it was made badly and still touches nothing, or "undecided"."""
        if self.collides is None:
            return "undecided"
        return "colliding" if self.collides else "safe" if self.kind in SOUND else "lucky"


def bench_discrimination(n: int = 100, seed: int = 0, *, jobs: int = 2, hidden: bool = False) -> dict[str, Any]:
    """Rehearse n programs that collide in the true scene and n that do not.

    Scenes are random and hold things that stand, none hiding another from where the robot looks, unless `hidden`: what is
    hidden there no twin can know of; it is for the rehearsals on the way, when it is seen. Programs are made as the robot
    makes them, or badly on purpose. Each is run blindly, without twin, obstacle braking or gate, on RUNS simulated robots
    that know their pose as a localiser gives it; one that touches something on some of them only is left out. The twin
    is shown the scene as perceived. The same seed gives the same figures, however many processes (jobs) there are.

    What does not collide though it was made badly is told apart: mostly it passes things by centimetres, and a rehearsal
    that draws the robot's and the scene's errors fails it with reason.

    Returns:
        colliding_failed, safe_failed and lucky_failed: shares that did not pass; n of each; undecided: how many were left
        out; kinds: [failed, n] per group and kind of program; reasons per group; wall_s; machine.
    """
    begun = time.perf_counter()
    found: dict[str, list[Case]] = {group: [] for group in (*GROUPS, "undecided")}
    for case in in_order(try_case, ((seed, number, hidden) for number in range(MOST_TRIES * n)), jobs):
        if case is not None and len(found[case.group]) < n:
            found[case.group].append(case)
        if min(len(found["colliding"]), len(found["safe"])) >= n:
            break
    return {
        "what": f"programs in random yards of {THINGS} things{', some hidden' if hidden else ''}, "
                f"rehearsed in the scene as perceived after {LOOKS_S} s",
        "n": {group: len(found[group]) for group in GROUPS},
        **{f"{group}_failed": _failed_share(found[group]) for group in GROUPS},
        "undecided": len(found["undecided"]), "kinds": {group: _kinds(found[group]) for group in GROUPS},
        "reasons": {group: dict(Counter(c.reason for c in found[group] if not c.passed)) for group in GROUPS},
        "wall_s": round(time.perf_counter() - begun, 1), "machine": machine(),
    }


def try_case(seed: int, number: int, hidden: bool, renderer: SceneRenderer) -> Case | None:
    """Make, run and rehearse one program; None when none can be made in its scene."""
    robot, world_map = load_robot(ROBOT), load_map(WORLD)
    rng = np.random.default_rng((seed, number))
    pose, things = random_yard(rng, world_map, hidden)
    scene = perceived(robot, world_map, things, pose, number, renderer)
    kind = (SOUND + BAD)[number % len(SOUND + BAD)]
    try:
        program = make_program(kind, rng, scene, robot, world_map)
    except ProgramError:
        return None
    collides = truly_collides(program, robot, world_map, things, pose, number)
    if collides is None:
        return Case(kind, None)
    binding = Binding("plan", program.sha256(), scene.sha256(), robot.sha256, "model", world_map.rules.sha256)
    verdict = rehearse(program, scene, robot, world_map, binding, seed=number)
    return Case(kind, collides, verdict.passed, verdict.reason)


def random_yard(rng: np.random.Generator, world_map: WorldMap,
                hidden: bool = False) -> tuple[tuple[float, float, float], list[ObjectSpec]]:
    """A robot's pose (x, y, heading_deg) and THINGS standing things in its view, none touching another.

    Unless `hidden`, none stands before another as the robot sees them.
    """
    x0, y0, x1, y1 = world_map.bounds_m
    kinds = sorted(set(YARD_KINDS) - PEOPLE)
    while True:
        x, y = float(rng.uniform(x0 + 1.5, x1 - 1.5)), float(rng.uniform(y0 + 1.5, y1 - 1.5))
        # towards somewhere near the middle, so that there is a yard before it
        yaw = math.atan2(float(rng.uniform(-2, 2)) - y, float(rng.uniform(-3, 3)) - x)
        things: list[ObjectSpec] = []
        views: list[tuple[float, float]] = []
        for _ in range(MOST_DRAWS):
            away, aside = float(rng.uniform(NEAREST_M, FARTHEST_M)), float(rng.uniform(-BEARING_RAD, BEARING_RAD))
            at = (x + away * math.cos(yaw + aside), y + away * math.sin(yaw + aside))
            thing = ObjectSpec(f"o{len(things)}", str(rng.choice(kinds)), (*at, float(rng.uniform(-180, 180))),
                               size=str(rng.choice(SIZES)))
            girth_m = _girth_m(thing)
            # half of the angle that it takes of the view
            half_rad = math.asin(min(girth_m / away, 1.0)) + BESIDE_RAD
            inside = x0 + WALL_M < at[0] < x1 - WALL_M and y0 + WALL_M < at[1] < y1 - WALL_M
            clear = all(math.dist(at, other.pose[:2]) > girth_m + _girth_m(other) + APART_M for other in things)
            seen = hidden or all(abs(aside - other) > half_rad + half for other, half in views)
            if inside and clear and seen and away - girth_m > NEAREST_M / 2:
                things.append(thing)
                views.append((aside, half_rad))
            if len(things) == THINGS:
                return (x, y, math.degrees(yaw)), things


def perceived(robot: RobotSpec, world_map: WorldMap, things: Sequence[ObjectSpec], pose: Sequence[float], seed: int,
              renderer: SceneRenderer) -> Scene:
    """The scene that a robot standing at `pose` believes in after LOOKS_S."""
    with SimRobot(robot, world_map.name, things, robot_pose=pose, seed=seed, renderer=renderer) as simulated:
        return looked(simulated, robot, world_map).scene()


def looked(simulated: SimRobot, robot: RobotSpec, world_map: WorldMap) -> Perception:
    """What a robot believes that has stood and looked for LOOKS_S."""
    perception = Perception(robot, world_map)
    while simulated.time_s < LOOKS_S:
        perception.update(simulated.observe())
        simulated.step(1.0 / robot.control_rate_hz)
    return perception


def truly_collides(program: Program, robot: RobotSpec, world_map: WorldMap, things: Sequence[ObjectSpec],
                   pose: Sequence[float], seed: int) -> bool | None:
    """Whether the program touches anything when it is driven blindly; None when that hangs on the robot."""
    outcomes = {_touches(program, robot, world_map, things, pose, seed * RUNS + run + 1) for run in range(RUNS)}
    return outcomes.pop() if len(outcomes) == 1 else None


def _touches(program: Program, robot: RobotSpec, world_map: WorldMap, things: Sequence[ObjectSpec], pose: Sequence[float],
             seed: int) -> bool:
    # a robot without eyes believes that nothing is in its way, and brakes for nothing
    blind = replace(robot, cameras=tuple(replace(camera, depth_rate_hz=0.0) for camera in robot.cameras),
                    lidar=replace(robot.lidar, rate_hz=1e-3))
    perception, runner = Perception(blind, world_map), ProgramRunner(program, robot, 1)
    period_s = 1.0 / robot.control_rate_hz
    with SimRobot(blind, world_map.name, things, robot_pose=pose, seed=seed) as simulated:
        limit_s = 2.0 * program.duration_s(robot) + 5.0
        while simulated.time_s < limit_s and not runner.finished[0]:
            perception.update(replace(simulated.observe(), scan=None))
            command = runner.tick(view_from_scene(perception.scene()), period_s)
            simulated.command(float(command.v_mps[0]), float(command.w_radps[0]))
            simulated.step(period_s)
            if simulated.truth().contacts:
                return True
    return False


def make_program(kind: str, rng: np.random.Generator, scene: Scene, robot: RobotSpec, world_map: WorldMap) -> Program:
    """A program that is as good or bad as its kind. Raises ProgramError when none can be made.

    planned: to a spot on the floor, on a path around everything. straight: so many metres ahead. rammed: straight, whatever
    is there. forgotten: a path past a thing that was left out when it was planned. shifted: a path moved aside.
    """
    if kind in ("straight", "rammed"):
        step = Step("move", {"distance_m": round(float(rng.uniform(1.0, 5.0)), 2)})
        known = scene if kind == "straight" else replace(scene, obstacles=())
        return compile_program((step,), {}, known, robot, world_map)
    if kind == "forgotten":
        thing = _pick(rng, scene)
        away = np.array([thing.x_m, thing.y_m]) - scene.robot.pose[:2]
        beyond_m = float(np.hypot(*away)) + math.hypot(thing.half_x_m, thing.half_y_m) + float(rng.uniform(0.7, 1.5))
        goal = scene.robot.pose[:2] + away / np.hypot(*away) * beyond_m
        rest = tuple(other for other in scene.obstacles if other is not thing)
        return _drive_to(goal, replace(scene, obstacles=rest), robot, world_map)
    aside = scene.robot.yaw_rad + float(rng.uniform(-BEARING_RAD, BEARING_RAD))
    ahead = np.array([math.cos(aside), math.sin(aside)])
    program = _drive_to(scene.robot.pose[:2] + float(rng.uniform(2.5, FARTHEST_M)) * ahead, scene, robot, world_map)
    if kind == "planned":
        return program
    shift = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.9)) * np.array([-ahead[1], ahead[0]])
    moved = tuple(replace(s, points=tuple((x + shift[0], y + shift[1]) for x, y in s.points)) if isinstance(s, Drive) else s
                  for s in program.segments)
    return replace(program, segments=moved)


def _drive_to(goal: np.ndarray, scene: Scene, robot: RobotSpec, world_map: WorldMap) -> Program:
    step = Step("go_to", {"target": Target(label="床", camera="front", point=(500, 500))})
    target = GroundedTarget("床", float(goal[0]), float(goal[1]), "floor")
    return compile_program((step,), {0: target}, scene, robot, world_map)


def _pick(rng: np.random.Generator, scene: Scene) -> Obstacle:
    if not scene.obstacles:
        raise ProgramError("target_missing", "nothing was perceived that could be forgotten")
    return scene.obstacles[int(rng.integers(len(scene.obstacles)))]


def _girth_m(thing: ObjectSpec) -> float:
    return math.hypot(*thing.dimensions_m[:2]) / 2


def _failed_share(cases: Sequence[Case]) -> float:
    return round(sum(not case.passed for case in cases) / max(len(cases), 1), 3)


def _kinds(cases: Sequence[Case]) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for case in cases:
        counts[case.kind][0] += not case.passed
        counts[case.kind][1] += 1
    return dict(sorted(counts.items()))
