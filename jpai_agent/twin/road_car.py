"""The reduced car: N bicycles with a drive-by-wire and tyres that hold only so much; commands in, poses out.

A kinematic bicycle about base_link, the middle of the rear axle. The speed ramps with the robot file's accelerations and lags;
the steering turns at its rate and lags; a command acts after a delay. The tyres give at most friction × g in all directions
together (the friction circle): who asks for more goes wide or brakes longer. Shown against the full MuJoCo car in
test/sim/test_reduced_car.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.twin.gaps import box_to_box
from jpai_agent.twin.perturb import clear_of, normal, quiet_first, wander
from jpai_agent.twin.road_config import CarSpread, RoadRehearsalConfig
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene

GRAVITY_MPS2 = 9.81
# a command slower than this leaves the steering where it is
STEERS_FROM_MPS = 0.01
# a loaded tyre rolls on a radius less than the free wheel's, by so much (car.xml's, empty to full; real ones a few per cent)
ROLLING = 0.9975
# and creeps sideways by so many m/s per m/s² to the side (measured on car.xml)
CREEP_S = 0.012
# what the steering's motors take on top of the driver's lag (measured on car.xml)
STEER_SERVO_S = 0.04
# nothing is gained by going below it when a curvature is made of speeds
LEAST_MPS = 0.05


@dataclass(frozen=True)
class Drawn:
    """What differs between N rollouts of a car, K obstacles, T control ticks; row 0 is unperturbed.

    Attributes:
        start_poses: (N, 3) true poses of base_link. boxes: (N, K, 5) where obstacles truly stand.
        pose_errors: (T, N, 3) believed minus true pose. speed_errors: (T, N, 2) measured minus true v, w.
        friction, speed_gain, steer_gain, steer_trim_rad, steer_rate_radps, speed_lag_s, steer_lag_s, delay_s,
            understeer_s2pm2: (N,) of the car itself, as in `config/rehearsal_car.yaml`.
    """

    start_poses: np.ndarray
    boxes: np.ndarray
    pose_errors: np.ndarray
    speed_errors: np.ndarray
    friction: np.ndarray
    speed_gain: np.ndarray
    steer_gain: np.ndarray
    steer_trim_rad: np.ndarray
    steer_rate_radps: np.ndarray
    speed_lag_s: np.ndarray
    steer_lag_s: np.ndarray
    delay_s: np.ndarray
    understeer_s2pm2: np.ndarray

    @property
    def rollouts(self) -> int:
        """N."""
        return len(self.start_poses)


def draw_car(scene: Scene, robot: RobotSpec, config: RoadRehearsalConfig, *, rollouts: int, ticks: int, tick_s: float,
             rng: np.random.Generator) -> Drawn:
    """Draw the cars and what stands around them. What is drawn into the car's footprint is moved out of it.

    Raises ValueError for a robot that is no car.
    """
    if robot.ackermann is None:
        raise ValueError(f"robot {robot.name} has no ackermann section; this is the rehearsal of a car")
    n, spread, seen, pose = rollouts, config.car, config.perception, config.pose
    start_sigma = np.array([pose.start_sigma_m] * 2 + [math.radians(pose.start_sigma_deg)])
    start_error = start_sigma * normal(rng, (n, 3))
    start_poses = scene.robot.pose - start_error

    perceived = [[o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m] for o in scene.obstacles]
    boxes = np.array(perceived, dtype=float).reshape(1, -1, 5).repeat(n, axis=0)
    sigma = np.array([o.sigma_m for o in scene.obstacles]) * seen.obstacle_sigma_factor
    boxes[..., :2] += sigma[:, None] * normal(rng, (*boxes.shape[:2], 2))
    boxes[..., 2] += math.radians(seen.obstacle_yaw_sigma_deg) * normal(rng, boxes.shape[:2])
    boxes[..., 3:] = np.maximum(boxes[..., 3:] + seen.obstacle_size_sigma_m * normal(rng, (*boxes.shape[:2], 2)), 0.05)
    feet = car_footprints(start_poses, robot)[:, None]
    boxes[..., :2] = clear_of(feet, boxes[..., :2], lambda xy: box_to_box(feet, np.concatenate([xy, boxes[..., 2:]], axis=-1)))

    speed_sigma = np.array([pose.speed_sigma_mps, pose.speed_sigma_radps])
    return Drawn(
        start_poses=start_poses, boxes=boxes, pose_errors=wander(rng, start_error, ticks, tick_s, pose),
        speed_errors=quiet_first(rng.normal(size=(ticks, n, 2)) * speed_sigma, axis=1),
        speed_gain=1.0 + spread.speed_gain_sigma * normal(rng, (n,)),
        steer_gain=1.0 + spread.steer_gain_sigma * normal(rng, (n,)),
        steer_trim_rad=math.radians(spread.steer_trim_deg) * normal(rng, (n,)),
        steer_rate_radps=robot.ackermann.steer_rate_radps * uniform(rng, spread.steer_rate_factor, n),
        understeer_s2pm2=spread.understeer_sigma_s2pm2 * normal(rng, (n,)),
        **{name: uniform(rng, getattr(spread, name), n)
           for name in ("friction", "speed_lag_s", "steer_lag_s", "delay_s")})


def nominal_car(robot: RobotSpec, spread: CarSpread, pose: np.ndarray, ticks: int) -> Drawn:
    """One car without any spread at pose (3,), for comparisons."""
    assert robot.ackermann is not None
    middle = {name: np.array([sum(getattr(spread, name)) / 2])
              for name in ("friction", "speed_lag_s", "steer_lag_s", "delay_s")}
    return Drawn(pose[None].astype(float), np.empty((1, 0, 5)), np.zeros((ticks, 1, 3)), np.zeros((ticks, 1, 2)),
                 speed_gain=np.ones(1), steer_gain=np.ones(1), steer_trim_rad=np.zeros(1), understeer_s2pm2=np.zeros(1),
                 steer_rate_radps=np.array([robot.ackermann.steer_rate_radps * sum(spread.steer_rate_factor) / 2]), **middle)


def uniform(rng: np.random.Generator, limits: tuple[float, float], n: int) -> np.ndarray:
    """(N,) numbers of a range, the first one its middle."""
    values = rng.uniform(*limits, n)
    values[0] = sum(limits) / 2
    return values


def car_footprints(poses: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(..., 5) boxes x, y, yaw, half_x, half_y of the car with base_link at poses (..., 3)."""
    boxes = np.empty((*poses.shape[:-1], 5))
    yaw = poses[..., 2]
    boxes[..., 0] = poses[..., 0] + robot.center_x_m * np.cos(yaw)
    boxes[..., 1] = poses[..., 1] + robot.center_x_m * np.sin(yaw)
    boxes[..., 2] = yaw
    boxes[..., 3], boxes[..., 4] = robot.length_m / 2, robot.width_m / 2
    return boxes


class Cars:
    """The N cars of a rehearsal.

    Args:
        drawn: How they differ, and where they start. timestep_s, tick_s: integration step, and control tick, a multiple of it.
        v_mps, w_radps: Speeds at the start, as if commanded for long.

    Attributes:
        pose: (N, 3) true pose of base_link, map frame. speed: (N, 2) v, w.
        aside_mps2: (N,) largest acceleration to the side that was asked of the tyres in the last tick.
    """

    def __init__(self, robot: RobotSpec, drawn: Drawn, *, timestep_s: float, tick_s: float, v_mps: float = 0.0,
                 w_radps: float = 0.0) -> None:
        assert robot.ackermann is not None
        self._robot, self._steering, self._drawn = robot, robot.ackermann, drawn
        self._steps, self._dt_s = round(tick_s / timestep_s), timestep_s
        if not math.isclose(self._steps * timestep_s, tick_s):
            raise ValueError(f"control tick {tick_s} s is no multiple of the step {timestep_s} s")
        n = drawn.rollouts
        self.pose, self.speed = drawn.start_poses.copy(), np.tile([v_mps, w_radps], (n, 1)).astype(float)
        self.aside_mps2 = np.zeros(n)
        angle = math.atan(self._steering.wheelbase_m * w_radps / v_mps) if abs(v_mps) >= LEAST_MPS else 0.0
        # commands under way: row k was given k steps ago
        self._late = np.round(drawn.delay_s / timestep_s).astype(int)
        self._v_sent = np.full((n, int(self._late.max()) + self._steps), float(v_mps))
        self._angle_sent = np.full(self._v_sent.shape, angle)
        self._rows = np.arange(n)
        self._ramp = np.full(n, float(v_mps))
        self._told, self._turned, self._angle = np.full(n, angle), np.full(n, angle), np.full(n, angle)
        self._v_keep = np.exp(-timestep_s / np.maximum(drawn.speed_lag_s, 1e-3))
        self._angle_keep = np.exp(-timestep_s / (drawn.steer_lag_s + STEER_SERVO_S))
        self._grip = drawn.friction * GRAVITY_MPS2

    def advance(self, commands: np.ndarray, active: np.ndarray) -> None:
        """One control tick under commands (N, 2) v m/s, w rad/s, where active (N,)."""
        limits, steering = self._robot.limits, self._steering
        v = np.clip(commands[:, 0], -limits.reverse_mps, limits.forward_mps)
        w = np.clip(commands[:, 1], -limits.yaw_radps, limits.yaw_radps)
        steers = np.abs(v) >= STEERS_FROM_MPS
        wanted = np.arctan(steering.wheelbase_m * w / np.where(steers, v, 1.0))
        steps = self._steps
        self._v_sent[:, steps:] = self._v_sent[:, :-steps].copy()
        self._angle_sent[:, steps:] = self._angle_sent[:, :-steps].copy()
        self._v_sent[:, :steps] = v[:, None]
        self._told = np.where(steers, wanted, self._told)
        self._angle_sent[:, :steps] = self._told[:, None]
        before, speed_before = self.pose.copy(), self.speed.copy()
        self.aside_mps2[:] = 0.0
        for step in range(steps):
            at = self._late + (steps - 1 - step)
            self._step(self._v_sent[self._rows, at], self._angle_sent[self._rows, at])
        if not active.all():
            self.pose[~active], self.speed[~active] = before[~active], speed_before[~active]

    def _step(self, v_wanted: np.ndarray, angle_wanted: np.ndarray) -> None:
        drawn, dt_s, limits = self._drawn, self._dt_s, self._robot.limits
        wanted = v_wanted * drawn.speed_gain * ROLLING
        # one that changes direction brakes to rest first
        wanted = np.where(self._ramp * wanted < 0.0, 0.0, wanted)
        most = np.where(np.abs(wanted) > np.abs(self._ramp), limits.accel_mps2, limits.emergency_brake_mps2) * dt_s
        self._ramp += np.minimum(np.maximum(wanted - self._ramp, -most), most)
        v = self.speed[:, 0]
        # how fast the wheels would have it, and what the tyres give
        pull = (1.0 - self._v_keep) * (self._ramp - v) / dt_s
        lock = self._steering.steer_max_rad
        goal = np.minimum(np.maximum(drawn.steer_gain * angle_wanted + drawn.steer_trim_rad, -lock), lock)
        turn = drawn.steer_rate_radps * dt_s
        self._turned += np.minimum(np.maximum(goal - self._turned, -turn), turn)
        self._angle += (1.0 - self._angle_keep) * (self._turned - self._angle)
        curvature = np.tan(self._angle) / (self._steering.wheelbase_m * (1.0 + drawn.understeer_s2pm2 * v * v))
        aside = v * v * curvature
        asked = np.hypot(pull, aside)
        share = np.minimum(1.0, self._grip / np.maximum(asked, 1e-9))
        slides = share < 1.0
        np.maximum(self.aside_mps2, np.abs(aside), out=self.aside_mps2)
        v_next = v + pull * share * dt_s
        # where the tyres do not follow, the ramp does not run away from the car
        if slides.any():
            lead = 0.3 + limits.emergency_brake_mps2 * drawn.speed_lag_s
            self._ramp = np.where(slides, np.clip(self._ramp, v_next - lead, v_next + lead), self._ramp)
        w_next = v_next * curvature * share
        yaw = self.pose[:, 2] + 0.5 * dt_s * w_next
        way = 0.5 * dt_s * (v + v_next)
        slip = -CREEP_S * dt_s * aside * share
        cos, sin = np.cos(yaw), np.sin(yaw)
        self.pose[:, 0] += way * cos - slip * sin
        self.pose[:, 1] += way * sin + slip * cos
        self.pose[:, 2] += dt_s * w_next
        self.speed = np.stack([v_next, w_next], axis=1)
