"""A street on paper for the car's tests: N kinematic bicycles with delay, lag and a slow steering among movers on paths."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jpai_agent.control import Program, RoadRunner, View, compile_program, view_from_scene
from jpai_agent.control.geometry import footprint_gap_m, wrap
from jpai_agent.plan import Step
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import ObjectSpec
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import LIGHT_STATES, GroundedTarget, Mover, Obstacle, RobotState, Scene, SeenLight

CAR, STREET = load_robot("car"), load_map("street")
HALF_M = (CAR.length_m / 2, CAR.width_m / 2)
TICK_S = 1.0 / CAR.control_rate_hz
NORTH, WEST, SOUTH = math.pi / 2, math.pi, -math.pi / 2


@dataclass(frozen=True)
class Traveller:
    """Somebody who goes along a path at a constant speed; stands before its start and after its end, all at once."""

    mover: Mover
    path: tuple[tuple[float, float], ...]
    speed_mps: float
    start_s: float = 0.0

    def at(self, now_s: float) -> tuple[float, float, float, float, float]:
        """x, y, vx, vy, yaw."""
        left = max(now_s - self.start_s, 0.0) * self.speed_mps
        for (x0, y0), (x1, y1) in pairwise(self.path):
            length, yaw = math.hypot(x1 - x0, y1 - y0), math.atan2(y1 - y0, x1 - x0)
            if left < length:
                v = self.speed_mps if now_s >= self.start_s else 0.0
                return x0 + left * math.cos(yaw), y0 + left * math.sin(yaw), v * math.cos(yaw), v * math.sin(yaw), yaw
            left -= length
        return x1, y1, 0.0, 0.0, yaw


def vehicle(name: str, *path: tuple[float, float], speed: float = 6.0, start: float = 0.0, half: tuple[float, float] = (2.1, 0.85)
            ) -> Traveller:
    """A car, or what has other half extents, on a path."""
    yaw = math.atan2(path[1][1] - path[0][1], path[1][0] - path[0][0])
    return Traveller(Mover(name, *path[0], 0.0, 0.0, math.hypot(*half), 1.5, 0.0, yaw_rad=yaw, half_x_m=half[0],
                           half_y_m=half[1]), path, speed, start)


def cyclist(name: str, *path: tuple[float, float], speed: float = 4.0) -> Traveller:
    """Somebody on a bicycle."""
    return vehicle(name, *path, speed=speed, half=(0.85, 0.3))


def walker(name: str, *path: tuple[float, float], speed: float = 1.2, start: float = 0.0) -> Traveller:
    """Somebody on foot."""
    return Traveller(Mover(name, *path[0], 0.0, 0.0, 0.3, 1.7, 0.0), path, speed, start)


def parked(name: str, x: float, y: float, yaw: float, half: tuple[float, float] = (2.1, 0.85)) -> Obstacle:
    """A vehicle that stands."""
    return Obstacle(name, x, y, yaw, *half, 1.5)


def scene(*things: Obstacle | Traveller, pose: tuple[float, float, float], v: float = 0.0, lights: dict[str, str] | None = None
          ) -> Scene:
    """The belief at the start."""
    movers = []
    for t in (t for t in things if isinstance(t, Traveller)):
        x, y, vx, vy, yaw = t.at(0.0)
        m = t.mover
        movers.append(Mover(m.id, x, y, vx, vy, m.radius_m, m.height_m, 0.0, m.sigma_m, yaw if m.half_x_m else 0.0,
                            m.half_x_m, m.half_y_m))
    return Scene("s", 0.0, RobotState(*pose, v), tuple(t for t in things if isinstance(t, Obstacle)), tuple(movers),
                 tuple(SeenLight(name, state, 0.0) for name, state in (lights or {}).items()))


def made(where: Scene, *steps: Step, targets: dict[int, GroundedTarget] | None = None, world: WorldMap = STREET,
         **more: object) -> Program:
    """The program of some steps in a scene."""
    return compile_program(steps, targets or {}, where, CAR, world, **more)  # type: ignore[arg-type]


def town(*objects: ObjectSpec) -> WorldMap:
    """The street with landmarks."""
    return STREET.with_landmarks(objects)


def place(world: WorldMap, name: str) -> GroundedTarget:
    """A place of the map as a target."""
    p = world.place(name)
    return GroundedTarget(p.names[0], p.x_m, p.y_m, "place", p.yaw_rad)


def thing(seen: Obstacle | Traveller) -> GroundedTarget:
    """A seen thing as a target."""
    m = seen.mover if isinstance(seen, Traveller) else seen
    return GroundedTarget(m.id, m.x_m, m.y_m, "mover" if isinstance(seen, Traveller) else "object", object_id=m.id)


@dataclass
class Run:
    """What happened, per tick and car.

    Attributes:
        time: (T,). pose: (T, N, 3) true. speed: (T, N, 2) true. command: (T, N, 2). movers: (T, M, 5) x, y, vx, vy, yaw.
        segment: (T, N).
    """

    runner: RoadRunner
    time: np.ndarray
    pose: np.ndarray
    speed: np.ndarray
    command: np.ndarray
    movers: np.ndarray
    segment: np.ndarray
    travellers: tuple[Traveller, ...]

    @property
    def v(self) -> np.ndarray:
        """(T, N) speed."""
        return self.speed[..., 0]

    @property
    def acceleration(self) -> np.ndarray:
        """(T, N) along, over 0.25 s."""
        v = self.v
        return (v[5:] - v[:-5]) / (5 * TICK_S)

    def front(self, car: int = 0) -> np.ndarray:
        """(T, 2) middle of the front edge."""
        p = self.pose[:, car]
        return p[:, :2] + CAR.front_m * np.stack([np.cos(p[:, 2]), np.sin(p[:, 2])], axis=1)

    def middle(self) -> np.ndarray:
        """(T, N, 3) the footprint's middle."""
        p = self.pose.copy()
        p[..., 0] += CAR.center_x_m * np.cos(p[..., 2])
        p[..., 1] += CAR.center_x_m * np.sin(p[..., 2])
        return p

    def gap_m(self, obstacle: Obstacle) -> np.ndarray:
        """(T, N) gap of the footprint to a standing thing."""
        box = np.array([obstacle.x_m, obstacle.y_m, obstacle.yaw_rad, obstacle.half_x_m, obstacle.half_y_m])
        return footprint_gap_m(self.middle(), HALF_M, box)

    def mover_gap_m(self, index: int = 0) -> np.ndarray:
        """(T, N) gap of the footprint to a traveller."""
        m, mover = self.movers[:, index], self.travellers[index].mover
        half_x, half_y = mover.half_x_m or mover.radius_m, mover.half_y_m or mover.radius_m
        boxes = np.stack([m[:, 0], m[:, 1], m[:, 4], np.full(len(m), half_x), np.full(len(m), half_y)], axis=1)
        return footprint_gap_m(self.middle(), HALF_M, boxes[:, None])

    def stopped(self, car: int = 0, below_mps: float = 0.05) -> list[tuple[float, float, np.ndarray]]:
        """(begin, seconds, pose) of each standstill."""
        still = np.abs(self.v[:, car]) < below_mps
        edges = np.flatnonzero(np.diff(np.r_[0, still.astype(int), 0]))
        return [(self.time[a], (b - a) * TICK_S, self.pose[a, car]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def drive(program: Program, where: Scene, seconds: float, *travellers: Traveller, n: int = 1, seed: int | None = None,
          lights: Callable[[float], dict[str, str]] | None = None, runner: RoadRunner | None = None,
          sight_m: float = math.inf) -> Run:
    """Run a program.

    Args:
        n: Cars. seed: Draws lag, delay, gains and noise; None drives a middling, noiseless one.
        lights: Their states at a time; as the scene has them without it. sight_m: Travellers farther from the first car are
            out of its sight.
    """
    rng = np.random.default_rng(seed)
    noisy = seed is not None
    lag = rng.uniform(0.08, 0.2, n) if noisy else np.full(n, 0.12)
    gain = rng.normal(1.0, 0.015, (n, 2)) if noisy else np.ones((n, 2))
    late = 1 if noisy else 0
    runner = runner or RoadRunner(program, CAR, n)
    assert CAR.ackermann is not None
    wheelbase, rate = CAR.ackermann.wheelbase_m, CAR.ackermann.steer_rate_radps
    base = view_from_scene(where)
    pose = np.repeat(where.robot.pose[None], n, axis=0)
    v, steer = np.full(n, where.robot.v_mps), np.zeros(n)
    sent = [np.stack([v, np.zeros(n)], axis=1)] * (late + 1)
    log: list[tuple[np.ndarray, ...]] = []
    for tick in range(round(seconds / TICK_S)):
        now = tick * TICK_S
        state = np.array([t.at(now) for t in travellers]).reshape(-1, 5)
        radii = np.array([[t.mover.radius_m] for t in travellers]).reshape(-1, 1)
        shapes = np.array([[0.0, t.mover.half_x_m, t.mover.half_y_m] for t in travellers]).reshape(-1, 3)
        shapes[:, 0] = state[:, 4]
        known = lights(now) if lights else {light.id: light.state for light in where.lights}
        error = rng.normal(0.0, [0.03, 0.03, 0.008], (n, 3)) if noisy else 0.0
        speed = np.stack([v, v * np.tan(steer) / wheelbase], axis=1)
        seen = np.concatenate([state[:, :4], radii], axis=1)
        seen[np.hypot(*(state[:, :2] - pose[0, :2]).T) > sight_m] = np.nan
        view = View(where.stamp_s + now, pose + error, speed, base.boxes, seen[None],
                    tuple(t.mover.id for t in travellers), base.box_ids, shapes[None],
                    np.array([[LIGHT_STATES.index(s) for s in known.values()]], dtype=np.int8), tuple(known))
        segment = runner.segment.copy()
        command = runner.tick(view, TICK_S)
        asked = np.stack([command.v_mps, command.w_radps], axis=1)
        log.append((np.array(now), pose.copy(), speed, asked, state, segment))
        sent = [*sent[1:], asked]
        wanted = sent[0] * gain
        rolling = np.abs(wanted[:, 0]) >= 0.01
        turned = np.where(rolling, np.arctan(wheelbase * wanted[:, 1] / np.where(rolling, wanted[:, 0], 1.0)), steer)
        turned = np.clip(turned, -CAR.ackermann.steer_max_rad, CAR.ackermann.steer_max_rad)
        for _ in range(5):
            step = TICK_S / 5
            v = v + np.clip((wanted[:, 0] - v) * (1 - np.exp(-step / lag)), -6.0 * step, 2.2 * step)
            steer = steer + np.clip(turned - steer, -rate * step, rate * step)
            w = v * np.tan(steer) / wheelbase
            pose = pose + np.stack([v * np.cos(pose[:, 2]), v * np.sin(pose[:, 2]), w], axis=1) * step
        if (runner.finished.all() and not runner.carries_on) and np.abs(v).max() < 0.01:
            break
    return Run(runner, *(np.array(values) for values in zip(*log, strict=True)), travellers)


def aside_m(run: Run, points: np.ndarray) -> np.ndarray:
    """(T, N) distance of base_link from a polyline (P, 2)."""
    start, step = points[:-1], np.diff(points, axis=0)
    to = run.pose[:, :, None, :2] - start
    share = np.clip((to * step).sum(axis=-1) / (step**2).sum(axis=-1), 0.0, 1.0)
    return np.linalg.norm(to - share[..., None] * step, axis=-1).min(axis=-1)


def degrees(value: float) -> float:
    """In −180..180 degrees."""
    return math.degrees(float(wrap(value)))
