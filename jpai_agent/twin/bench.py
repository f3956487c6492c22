"""Time the rehearsal: of a cart, 20 s through a yard with 15 obstacles and two walkers; of a car what `road_bench` draws."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import numpy as np

from jpai_agent.control import Program, compile_program
from jpai_agent.plan import Step, Target
from jpai_agent.twin import road_bench
from jpai_agent.twin.gaps import box_to_circle
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.road_bench import minute_drive
from jpai_agent.twin.verdict import Binding
from jpai_agent.world.machine import cpu_name, usable_cores
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene

OBSTACLES, WALKERS, SECONDS = 15, 2, 20.0


def bench_rehearsal(n: int = 30, *, robot: str = "cart", rollouts: int = 32, seed: int = 0) -> dict[str, Any]:
    """Rehearse n random programs, `rollouts` rollouts each: of a cart in the yard, or a car in the street.

    Returns:
        wall_ms {p50, p95, max}, cpu_ms {p50, p95}, simulated_s {p50} per rollout, realtime_factor, passed (share), n,
        machine with the load average before and after.

    Raises ValueError for an unknown robot.
    """
    spec = load_robot(robot)
    drives = spec.ackermann is not None
    world_map = load_map("street" if drives else "yard")
    binding = Binding("plan", "program", "scene", "robot", "model", "site")
    wall_ms, cpu_ms, simulated_s, passed = [], [], [], 0
    load = [os.getloadavg()[0]]
    for case in range(n + 1):
        program, scene = (minute_drive if drives else long_drive)(np.random.default_rng((seed, case)), spec, world_map)
        wall, cpu = time.perf_counter(), time.process_time()
        verdict = rehearse(program, scene, spec, world_map, binding, rollouts=rollouts, seed=case)
        # the first one pays for imports
        if case:
            wall_ms.append((time.perf_counter() - wall) * 1e3)
            cpu_ms.append((time.process_time() - cpu) * 1e3)
            simulated_s.append(float(np.mean([len(path) for path in verdict.paths])) * 0.2)
            passed += verdict.passed
    load.append(os.getloadavg()[0])
    others = f"{road_bench.VEHICLES + road_bench.CYCLISTS + road_bench.PEOPLE} other road users, {road_bench.PARKED} parked"
    what = (f"{rollouts} rollouts of a drive of {road_bench.SECONDS:.0f} s or more, {others}" if drives else
            f"{rollouts} rollouts of a program of about {SECONDS:.0f} s, {OBSTACLES} obstacles, {WALKERS} walkers")
    return {
        "what": what, "n": n, "wall_ms": _figures(wall_ms), "cpu_ms": _figures(cpu_ms),
        "simulated_s": {"p50": round(float(np.median(simulated_s)), 1)},
        "realtime_factor": round(rollouts * sum(simulated_s) / (sum(wall_ms) / 1e3), 1), "passed": round(passed / n, 3),
        "machine": {"cpu": cpu_name(), "cores": usable_cores(), "load_1min": load},
    }


def _figures(values: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(values), 1)}


def long_drive(rng: np.random.Generator, robot: RobotSpec, world_map: WorldMap) -> tuple[Program, Scene]:
    """A scene of OBSTACLES boxes and WALKERS walkers, and a drive of about SECONDS across it."""
    start = np.array([-9.0, rng.uniform(-5.0, 5.0)])
    goal = start + np.array([1.0, 0.0]) * (SECONDS - 4.0) * robot.cruise_mps
    goal[1] = rng.uniform(-5.0, 5.0)
    x0, y0, x1, y1 = world_map.bounds_m
    ends = np.stack([start, goal])
    obstacles: list[Obstacle] = []
    while len(obstacles) < OBSTACLES:
        half = rng.uniform(0.15, 0.6, 2)
        x, y, yaw = rng.uniform(x0 + 1, x1 - 1), rng.uniform(y0 + 1, y1 - 1), rng.uniform(0, math.pi)
        box = np.array([x, y, yaw, *half])
        taken = np.array([[o.x_m, o.y_m] for o in obstacles]).reshape(-1, 2)
        if box_to_circle(box, ends, 0.8).min() > 0 and (np.hypot(*(taken - box[:2]).T) > 2.6).all():
            obstacles.append(Obstacle(f"box-{len(obstacles)}", float(x), float(y), float(yaw), float(half[0]),
                                      float(half[1]), float(rng.uniform(0.3, 1.5))))
    movers = []
    for index in range(WALKERS):
        x, side = rng.uniform(-5.0, 6.0), rng.choice([-1.0, 1.0])
        movers.append(Mover(f"walker-{index}", float(x), float(side * 5.5), float(rng.normal(0, 0.2)),
                            float(-side * rng.uniform(0.6, 1.2)), 0.35, 1.7, 0.0))
    yaw = math.atan2(*(goal - start)[::-1])
    scene = Scene("bench", 0.0, RobotState(float(start[0]), float(start[1]), yaw), tuple(obstacles), tuple(movers))
    target = GroundedTarget("床", float(goal[0]), float(goal[1]), "floor")
    step = Step("go_to", {"target": Target(label="床", camera="front", point=(500, 500))})
    return compile_program((step,), {0: target}, scene, robot, world_map), scene
