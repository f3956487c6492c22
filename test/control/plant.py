"""A yard on paper for the controllers' tests: N unicycles with delay and lag among boxes and walking people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.control import Program, ProgramRunner, View, compile_program, view_from_scene
from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.plan import Step
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene

CART, YARD = load_robot("cart"), load_map("yard")
HALF_M = (CART.length_m / 2, CART.width_m / 2)
TICK_S = 1.0 / CART.control_rate_hz


def box(name: str, x: float, y: float, half_x: float = 0.25, half_y: float = 0.25, yaw: float = 0.0) -> Obstacle:
    """A standing thing."""
    return Obstacle(name, x, y, yaw, half_x, half_y, 0.8)


def person(name: str, x: float, y: float, vx: float = 0.0, vy: float = 0.0) -> Mover:
    """Somebody who stands or walks."""
    return Mover(name, x, y, vx, vy, 0.35, 1.7, 0.0)


def scene(*things: Obstacle | Mover, pose: tuple[float, float, float] = (0.0, 0.0, 0.0), v: float = 0.0) -> Scene:
    """The belief at the start."""
    return Scene("s", 0.0, RobotState(*pose, v), tuple(t for t in things if isinstance(t, Obstacle)),
                 tuple(t for t in things if isinstance(t, Mover)))


def at(thing: Obstacle | Mover) -> GroundedTarget:
    """The target that a thing is."""
    kind = "mover" if isinstance(thing, Mover) else "object"
    return GroundedTarget(thing.id, thing.x_m, thing.y_m, kind, object_id=thing.id)


def spot(x: float, y: float, kind: str = "floor") -> GroundedTarget:
    """A target on the floor, or a place."""
    return GroundedTarget("spot", x, y, kind)


def made(where: Scene, *steps: Step, targets: dict[int, GroundedTarget] | None = None, **more: object) -> Program:
    """The program of some steps in a scene."""
    return compile_program(steps, targets or {}, where, CART, YARD, **more)  # type: ignore[arg-type]


@dataclass
class Run:
    """What happened: per tick and robot.

    Attributes:
        pose: (T, N, 3). speed: (T, N, 2) true. command: (T, N, 2). movers: (T, M, 2). segment: (T, N).
    """

    runner: ProgramRunner
    pose: np.ndarray
    speed: np.ndarray
    command: np.ndarray
    movers: np.ndarray
    segment: np.ndarray
    looks: list[float] = field(default_factory=list)

    @property
    def end(self) -> np.ndarray:
        """(3,) pose of the first robot at the end."""
        return self.pose[-1, 0]

    def gap_m(self, thing: Obstacle) -> np.ndarray:
        """(T, N) gap of the footprint to a standing thing."""
        flat = np.array([thing.x_m, thing.y_m, thing.yaw_rad, thing.half_x_m, thing.half_y_m])
        return footprint_gap_m(self.pose, HALF_M, flat)

    def person_gap_m(self, index: int = 0, radius_m: float = 0.35) -> np.ndarray:
        """(T, N) gap of the footprint to a person's circle."""
        offset = self.movers[:, None, index] - self.pose[..., :2]
        cos, sin = np.cos(self.pose[..., 2]), np.sin(self.pose[..., 2])
        over_x = np.abs(cos * offset[..., 0] + sin * offset[..., 1]) - HALF_M[0]
        over_y = np.abs(cos * offset[..., 1] - sin * offset[..., 0]) - HALF_M[1]
        return np.hypot(np.maximum(over_x, 0.0), np.maximum(over_y, 0.0)) - radius_m


def drive(program: Program, where: Scene, seconds: float, *, n: int = 1, seed: int | None = None, walk=None, hide=None,
          found=None, runner: ProgramRunner | None = None, extra=None) -> Run:
    """Run a program.

    Args:
        n: Robots. seed: Draws lag, delay, gains and noise; None drives a middling, noiseless one.
        walk: Gives the movers' positions and velocities (M, 4) at a time; without it they go on as the scene has them.
        hide: Says at which times movers are out of sight. found: Answers the k-th look.
        extra: Obstacles that turn up: a function of time.
    """
    rng = np.random.default_rng(seed)
    noisy = seed is not None
    lag = rng.uniform(0.03, 0.12, n) if noisy else np.full(n, 0.07)
    late = rng.integers(0, 3, n) if noisy else np.full(n, 1)
    gain = rng.normal(1.0, 0.01, (n, 2)) if noisy else np.ones((n, 2))
    runner = runner or ProgramRunner(program, CART, n)
    view = view_from_scene(where)
    pose = np.repeat(where.robot.pose[None], n, axis=0)
    speed = np.repeat(np.array([[where.robot.v_mps, where.robot.w_radps]]), n, axis=0)
    sent = np.repeat(speed[None], 4, axis=0)
    log: list[tuple[np.ndarray, ...]] = []
    looks: list[float] = []
    for tick in range(round(seconds / TICK_S)):
        now = tick * TICK_S
        start = view.movers[0]
        state = walk(now) if walk else np.concatenate([start[:, :2] + start[:, 2:4] * now, start[:, 2:4]], axis=1)
        movers = np.concatenate([state, start[:, 4:]], axis=1)[None]
        told = np.full_like(movers, np.nan) if hide and hide(now) else movers
        boxes = view.boxes if extra is None else np.concatenate([view.boxes, extra(now)[None]], axis=1)
        error = rng.normal(0.0, [0.01, 0.01, 0.004], (n, 3)) if noisy else 0.0
        slack = rng.normal(0.0, [0.01, 0.02], (n, 2)) if noisy else 0.0
        seen = View(where.stamp_s + now, pose + error, speed + slack, boxes, told, view.mover_ids, view.box_ids)
        segment = runner.segment.copy()
        command = runner.tick(seen, TICK_S)
        if runner.wants_look[0]:
            looks.append(float(pose[0, 2]))
            runner.looked(*(found(len(looks)) if found else (False,)))
        asked = np.stack([command.v_mps, command.w_radps], axis=1)
        log.append((pose.copy(), speed.copy(), asked, movers[0, :, :2].copy(), segment))
        sent = np.concatenate([asked[None], sent[:-1]])
        wanted = sent[late, np.arange(n)] * gain
        for _ in range(5):
            speed = speed + (wanted - speed) * (1 - np.exp(-TICK_S / 5 / lag))[:, None]
            step = TICK_S / 5
            pose = pose + np.stack([speed[:, 0] * np.cos(pose[:, 2]), speed[:, 0] * np.sin(pose[:, 2]), speed[:, 1]], 1) * step
        if runner.finished.all() and np.abs(speed).max() < 0.01:
            break
    return Run(runner, *(np.array(values) for values in zip(*log, strict=True)), looks)


def angle(value: float) -> float:
    """In −180..180 degrees."""
    return math.degrees(math.atan2(math.sin(value), math.cos(value)))
