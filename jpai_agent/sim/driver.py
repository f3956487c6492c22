"""The simulated robots' motor drivers: they ramp, delay and mis-scale what is commanded the way real ones do."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from jpai_agent.world.robot import Ackermann, Limits

COMMAND_TIMEOUT_S = 0.5
# turning may stop faster than it starts, so that a stop does not swing on
YAW_BRAKE_FACTOR = 2.0
# below this commanded speed a car keeps the steering angle that it was told last
STEERING_FROM_MPS = 0.01
# traction control: how far the wheels' rims may run from the car's own speed
SLIP_MPS, SLIP_SHARE = 0.3, 0.05


@dataclass(frozen=True)
class DriverParameters:
    """How a driver differs from a perfect one.

    Attributes:
        gain: (left, right) wheel speed made of a wanted one. lag_s: time constant of the speed loop.
        delay_s: from a command's arrival until the driver acts on it.
    """

    gain: tuple[float, float]
    lag_s: float
    delay_s: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> DriverParameters:
        """One driver off the shelf: gain within 1.5 %, lag 40–100 ms, delay 0–30 ms."""
        left, right = (float(g) for g in rng.uniform(0.985, 1.015, 2))
        return cls((left, right), float(rng.uniform(0.04, 0.10)), float(rng.uniform(0.0, 0.03)))


class MotorDriver:
    """Turns commands (v, w) into wheel speeds.

    The base's speed grows by at most the robot's acceleration and shrinks by at most its emergency braking, whatever is
    commanded. A command that is not finite, or none for 0.5 s, means standing still. Commands beyond the limits are
    cut.

    Args:
        limits: The robot's. wheel_radius_m, track_m: of the wheels. v_mps: speed at the start.
    """

    def __init__(
        self, limits: Limits, parameters: DriverParameters, wheel_radius_m: float, track_m: float, v_mps: float = 0.0
    ) -> None:
        self._limits = limits
        self._parameters = parameters
        self._radius_m, self._track_m = wheel_radius_m, track_m
        self._waiting: deque[tuple[float, float, float]] = deque()
        self._wanted = (v_mps, 0.0)
        self._commanded_at_s = 0.0
        self._ramp = (v_mps, 0.0)
        self._wheels = self._wheel_speeds(v_mps, 0.0)
        self.rejected = 0

    def command(self, v_mps: float, w_radps: float, now_s: float) -> None:
        """Take a command. One that is not finite is counted in `rejected` and stops the robot."""
        if not (math.isfinite(v_mps) and math.isfinite(w_radps)):
            self.rejected += 1
            v_mps, w_radps = 0.0, 0.0
        v = min(max(v_mps, -self._limits.reverse_mps), self._limits.forward_mps)
        w = min(max(w_radps, -self._limits.yaw_radps), self._limits.yaw_radps)
        self._waiting.append((now_s + self._parameters.delay_s, v, w))

    def step(self, now_s: float, dt_s: float) -> np.ndarray:
        """Wheel speeds (left, right) in rad/s to hold for the next dt_s."""
        while self._waiting and self._waiting[0][0] <= now_s + 1e-9:
            _, *wanted = self._waiting.popleft()
            self._wanted, self._commanded_at_s = (wanted[0], wanted[1]), now_s
        if now_s - self._commanded_at_s > COMMAND_TIMEOUT_S:
            self._wanted = (0.0, 0.0)
        limits = self._limits
        self._ramp = (
            _toward(self._ramp[0], self._wanted[0], limits.accel_mps2 * dt_s, limits.emergency_brake_mps2 * dt_s),
            _toward(
                self._ramp[1],
                self._wanted[1],
                limits.yaw_accel_radps2 * dt_s,
                YAW_BRAKE_FACTOR * limits.yaw_accel_radps2 * dt_s,
            ),
        )
        share = 1.0 - math.exp(-dt_s / self._parameters.lag_s)
        self._wheels = self._wheels + share * (self._wheel_speeds(*self._ramp) - self._wheels)
        return self._wheels

    def _wheel_speeds(self, v_mps: float, w_radps: float) -> np.ndarray:
        side = w_radps * self._track_m / 2
        return np.array([v_mps - side, v_mps + side]) / self._radius_m * self._parameters.gain


@dataclass(frozen=True)
class CarDriverParameters:
    """How a car's drive-by-wire differs from a perfect one.

    Attributes:
        speed_gain: Speed made of a wanted one. speed_lag_s: time constant of the speed loop, brakes included.
        steer_gain, steer_trim_rad: Angle made of a wanted one is gain × wanted + trim. steer_rate_radps: how fast.
        steer_lag_s: Time constant of the steering. delay_s: from a command's arrival until it is acted on.
    """

    speed_gain: float
    speed_lag_s: float
    steer_gain: float
    steer_trim_rad: float
    steer_rate_radps: float
    steer_lag_s: float
    delay_s: float

    @classmethod
    def draw(cls, rng: np.random.Generator, steering: Ackermann) -> CarDriverParameters:
        """One car of the series: speed within 1.5 %, angle within 3 % and 0.25°; assumed figures."""
        return cls(
            float(rng.uniform(0.985, 1.015)),
            float(rng.uniform(0.03, 0.05)),
            float(rng.uniform(0.97, 1.03)),
            math.radians(float(rng.uniform(-0.25, 0.25))),
            steering.steer_rate_radps * float(rng.uniform(0.9, 1.0)),
            float(rng.uniform(0.03, 0.08)),
            float(rng.uniform(0.0, 0.02)),
        )


class CarDriver:
    """Turns commands (v, w) of base_link into a speed and the steering angle of the bicycle model.

    The speed grows by at most the robot's acceleration and shrinks by at most its emergency braking. A command that is not
    finite, or none for 0.5 s, brakes comfortably. Whenever the commanded speed is below 0.01 m/s, so also while braking to a
    stop, the steering angle commanded last is kept. Commands beyond the limits are cut.

    Args:
        v_mps: Speed at the start.

    Attributes:
        rejected: Commands that were not finite.
    """

    def __init__(self, limits: Limits, steering: Ackermann, parameters: CarDriverParameters, v_mps: float = 0.0) -> None:
        self._limits, self._steering, self._parameters = limits, steering, parameters
        self._waiting: deque[tuple[float, float, float | None]] = deque()
        self._wanted_mps, self._wanted_rad = v_mps, 0.0
        self._commanded_at_s = 0.0
        self._braking_mps2 = limits.emergency_brake_mps2
        self._ramp_mps = self._speed_mps = v_mps
        self._turned_rad = self._angle_rad = parameters.steer_trim_rad
        self.rejected = 0

    def command(self, v_mps: float, w_radps: float, now_s: float) -> None:
        """Take a command. One that is not finite is counted in `rejected` and brakes."""
        if not (math.isfinite(v_mps) and math.isfinite(w_radps)):
            self.rejected += 1
            self._waiting.append((now_s + self._parameters.delay_s, math.nan, None))
            return
        v = min(max(v_mps, -self._limits.reverse_mps), self._limits.forward_mps)
        w = min(max(w_radps, -self._limits.yaw_radps), self._limits.yaw_radps)
        angle_rad = math.atan(self._steering.wheelbase_m * w / v) if abs(v) >= STEERING_FROM_MPS else None
        self._waiting.append((now_s + self._parameters.delay_s, v, angle_rad))

    def step(self, now_s: float, dt_s: float, speed_mps: float) -> tuple[float, float]:
        """The speed of the rear axle's rims in m/s and the bicycle's angle in rad to hold for the next dt_s.

        speed_mps: how fast the car truly moves, which its traction control measures.
        """
        while self._waiting and self._waiting[0][0] <= now_s + 1e-9:
            _, v, angle_rad = self._waiting.popleft()
            self._commanded_at_s = now_s
            doubtful = math.isnan(v)
            self._wanted_mps = 0.0 if doubtful else v
            self._braking_mps2 = self._limits.brake_mps2 if doubtful else self._limits.emergency_brake_mps2
            if angle_rad is not None:
                self._wanted_rad = angle_rad
        if now_s - self._commanded_at_s > COMMAND_TIMEOUT_S:
            self._wanted_mps, self._braking_mps2 = 0.0, self._limits.brake_mps2
        return self._drive(dt_s, speed_mps), self._steer(dt_s)

    def _drive(self, dt_s: float, speed_mps: float) -> float:
        drawn = self._parameters
        wanted_mps = self._wanted_mps * drawn.speed_gain
        self._ramp_mps = _toward(self._ramp_mps, wanted_mps, self._limits.accel_mps2 * dt_s, self._braking_mps2 * dt_s)
        # where the tyres do not follow, neither the ramp nor the wheels run away from the car
        slip_mps = SLIP_MPS + SLIP_SHARE * abs(speed_mps)
        lead_mps = slip_mps + self._limits.emergency_brake_mps2 * drawn.speed_lag_s
        self._ramp_mps = min(max(self._ramp_mps, speed_mps - lead_mps), speed_mps + lead_mps)
        self._speed_mps += (1.0 - math.exp(-dt_s / drawn.speed_lag_s)) * (self._ramp_mps - self._speed_mps)
        self._speed_mps = min(max(self._speed_mps, speed_mps - slip_mps), speed_mps + slip_mps)
        return self._speed_mps

    def _steer(self, dt_s: float) -> float:
        drawn, most_rad = self._parameters, self._steering.steer_max_rad
        goal_rad = min(max(drawn.steer_gain * self._wanted_rad + drawn.steer_trim_rad, -most_rad), most_rad)
        step_rad = drawn.steer_rate_radps * dt_s
        self._turned_rad += min(max(goal_rad - self._turned_rad, -step_rad), step_rad)
        self._angle_rad += (1.0 - math.exp(-dt_s / drawn.steer_lag_s)) * (self._turned_rad - self._angle_rad)
        return self._angle_rad


def _toward(present: float, wanted: float, speed_up: float, slow_down: float) -> float:
    """One ramp step; through zero the braking ramp holds down to it and the starting one from there."""
    if present * wanted < 0:
        wanted = 0.0
    step = speed_up if abs(wanted) > abs(present) else slow_down
    return present + min(max(wanted - present, -step), step)
