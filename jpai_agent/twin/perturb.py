"""What differs between the rollouts of a rehearsal: robot, believed pose, where things stand, how people walk.

One draw holds all N rollouts as arrays; row 0 is unperturbed. Distributions and their sources are in
`config/rehearsal.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jpai_agent.twin.config import PeopleSpread, PoseSpread, RehearsalConfig
from jpai_agent.twin.gaps import box_to_box, box_to_circle, footprints
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Scene

CUT = 3.0
_TOUCHING_M = 0.01


@dataclass(frozen=True)
class Perturbation:
    """One draw for N rollouts, K obstacles, M movers, T control ticks.

    Attributes:
        start_poses: (N, 3) true poses of base_link at the start, map frame; the robot believes `scene.robot.pose`.
        boxes: (N, K, 5) where the obstacles truly stand, as in `gaps`. heights_m: (K,).
        mover_xy: (N, M, 2) where movers truly are at the start. mover_velocity: (N, M, T, 2) how they walk, left alone.
        mover_radii_m, mover_heights_m, mover_sigma_m: (M,).
        pose_errors: (T, N, 3) believed minus true pose during the run.
        speed_errors: (T, N, 2) measured minus true v, w.
        friction: (N,) of wheels on floor. mass_factor, payload_kg: (N,); goods lie payload_height_m high.
        wheel_gain: (N, 2) left, right.
        lag_s, delay_s: (N,).
        mover_velocity_errors: (N, M, 2) told minus true velocity.
    """

    start_poses: np.ndarray
    boxes: np.ndarray
    heights_m: np.ndarray
    mover_xy: np.ndarray
    mover_velocity: np.ndarray
    mover_radii_m: np.ndarray
    mover_heights_m: np.ndarray
    mover_sigma_m: np.ndarray
    pose_errors: np.ndarray
    speed_errors: np.ndarray
    friction: np.ndarray
    mass_factor: np.ndarray
    payload_kg: np.ndarray
    payload_height_m: float
    wheel_gain: np.ndarray
    lag_s: np.ndarray
    delay_s: np.ndarray
    mover_velocity_errors: np.ndarray

    @property
    def rollouts(self) -> int:
        """N."""
        return len(self.start_poses)


def draw(scene: Scene, robot: RobotSpec, config: RehearsalConfig, *, rollouts: int, ticks: int, tick_s: float,
         rng: np.random.Generator) -> Perturbation:
    """Draw the perturbations of `rollouts` rollouts of `ticks` control ticks of tick_s seconds around a scene.

    What the robot knows for sure is kept: it touches nothing at the start, so things drawn into its footprint are moved
    out of it.
    """
    n, spread = rollouts, config.robot
    start_sigma = np.array([config.pose.start_sigma_m] * 2 + [math.radians(config.pose.start_sigma_deg)])
    start_error = start_sigma * normal(rng, (n, 3))
    start_poses = scene.robot.pose - start_error
    footprint = footprints(start_poses, (robot.length_m / 2, robot.width_m / 2))[:, None]

    perceived = [[o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m] for o in scene.obstacles]
    boxes = np.array(perceived, dtype=float).reshape(1, -1, 5).repeat(n, axis=0)
    sigma = np.array([o.sigma_m for o in scene.obstacles]) * config.obstacles.sigma_factor
    boxes[..., :2] += sigma[:, None] * normal(rng, (*boxes.shape[:2], 2))
    boxes[..., 2] += math.radians(config.obstacles.yaw_sigma_deg) * normal(rng, boxes.shape[:2])
    boxes[..., :2] = clear_of(footprint, boxes[..., :2],
                              lambda xy: box_to_box(footprint, np.concatenate([xy, boxes[..., 2:]], axis=-1)))

    movers = scene.movers
    radii, sigma = (np.array([getattr(m, name) for m in movers]) for name in ("radius_m", "sigma_m"))
    xy = np.array([[m.x_m, m.y_m] for m in movers], dtype=float).reshape(1, -1, 2).repeat(n, axis=0)
    xy += sigma[:, None] * normal(rng, xy.shape)
    xy = clear_of(footprint, xy, lambda centres: box_to_circle(footprint, centres, radii))

    errors = wander(rng, start_error, ticks, tick_s, config.pose)
    gain = 1.0 + spread.wheel_gain_sigma * normal(rng, (n, 2))
    nominal = np.zeros(n, dtype=bool)
    nominal[0] = True
    speed_sigma = np.array([config.pose.speed_sigma_mps, config.pose.speed_sigma_radps])
    return Perturbation(
        start_poses=start_poses, boxes=boxes, heights_m=np.array([o.height_m for o in scene.obstacles]),
        mover_xy=xy, mover_velocity=walks(movers, config.people, rng, rollouts=n, ticks=ticks, tick_s=tick_s),
        mover_radii_m=radii, mover_heights_m=np.array([m.height_m for m in movers]), mover_sigma_m=sigma,
        pose_errors=errors, speed_errors=quiet_first(rng.normal(size=(ticks, n, 2)) * speed_sigma, axis=1),
        friction=np.where(nominal, sum(spread.friction) / 2, rng.uniform(*spread.friction, n)),
        mass_factor=1.0 + spread.mass_sigma * normal(rng, (n,)),
        payload_kg=np.where(nominal, 0.0, rng.uniform(*spread.payload_kg, n)),
        payload_height_m=spread.payload_height_m, wheel_gain=gain,
        lag_s=np.where(nominal, sum(spread.lag_s) / 2, rng.uniform(*spread.lag_s, n)),
        delay_s=np.where(nominal, sum(spread.delay_s) / 2, rng.uniform(*spread.delay_s, n)),
        mover_velocity_errors=config.people.velocity_sigma_mps * normal(rng, (n, len(movers), 2)))


def walks(movers: tuple[Mover, ...], people: PeopleSpread, rng: np.random.Generator, *, rollouts: int, ticks: int,
          tick_s: float) -> np.ndarray:
    """(N, M, T, 2) velocities of movers that nothing hinders. Row 0: each goes on as it was seen.

    Walkers keep, change or interrupt their way; those who stand seldom walk off.
    """
    shape = (rollouts, len(movers), ticks)
    velocity = np.array([[m.vx_mps, m.vy_mps] for m in movers], dtype=float).reshape(-1, 2)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    walking = speed >= people.standing_mps
    clock = np.arange(ticks) * tick_s

    # walkers: course and speed of the estimate, turns and stops at random times
    course = np.arctan2(velocity[:, 1], velocity[:, 0])[:, None] + np.zeros(shape)
    course += math.radians(people.heading_sigma_deg) * normal(rng, (*shape[:2], 1))
    turns = quiet_first(rng.random(shape) < tick_s / people.turn_every_s)
    course += np.cumsum(turns * math.radians(people.turn_sigma_deg) * rng.normal(size=shape), axis=2)
    pace = speed[:, None] * (1.0 + people.speed_sigma * normal(rng, (*shape[:2], 1)))
    stops = quiet_first(rng.random(shape) < tick_s / people.stop_every_s)
    until = np.maximum.accumulate(np.where(stops, clock + rng.uniform(*people.stop_s, shape), -1.0), axis=2)
    pace = np.where(clock < until, 0.0, pace)

    # those who stand: a few walk off somewhere
    starts = quiet_first(rng.random((*shape[:2], 1)) < people.start_probability)
    begin = rng.uniform(*people.start_after_s, (*shape[:2], 1))
    end = begin + rng.uniform(*people.start_for_s, (*shape[:2], 1))
    off_course = rng.uniform(-math.pi, math.pi, (*shape[:2], 1))
    off_pace = np.where(starts & (clock >= begin) & (clock < end), rng.uniform(*people.start_mps, (*shape[:2], 1)), 0.0)

    course = np.where(walking[:, None], course, off_course)
    pace = np.where(walking[:, None], pace, off_pace)
    return np.stack([pace * np.cos(course), pace * np.sin(course)], axis=-1)


def wander(rng: np.random.Generator, start_error: np.ndarray, ticks: int, tick_s: float, pose: PoseSpread) -> np.ndarray:
    """(T, N, 3) pose errors that begin at start_error and forget it with the correlation time (Ornstein-Uhlenbeck)."""
    keep = math.exp(-tick_s / pose.correlation_s)
    sigma = np.array([pose.sigma_m, pose.sigma_m, math.radians(pose.sigma_deg)])
    kicks = quiet_first(rng.normal(size=(ticks, len(start_error), 3)), axis=1) * sigma * math.sqrt(1.0 - keep**2)
    errors = np.empty_like(kicks)
    error = start_error
    for tick in range(ticks):
        errors[tick] = error
        error = keep * error + kicks[tick]
    return errors


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers cut at CUT, zero in row 0."""
    return quiet_first(np.clip(rng.normal(size=shape), -CUT, CUT))


def quiet_first(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The values with those of the unperturbed rollout set to zero."""
    values[(slice(None),) * axis + (0,)] = 0
    return values


def clear_of(footprint: np.ndarray, xy: np.ndarray, gap_m: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Move things (N, K, 2) straight away from the robot until they do not touch it; gap_m gives the gaps (N, K)."""
    for _ in range(8):
        short = _TOUCHING_M - gap_m(xy)
        if xy.size == 0 or (short <= 0.0).all():
            break
        away = xy - footprint[..., :2]
        away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
        xy = xy + np.where(short > 0.0, short * 1.2, 0.0)[..., None] * away
    return xy
