"""The simulated cart's motor driver: ramps, delays and mis-scales wheel speeds the way a real one does."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from jpai_agent.world.robot import Limits

COMMAND_TIMEOUT_S = 0.5
# turning may stop faster than it starts, so that a stop does not swing on
YAW_BRAKE_FACTOR = 2.0


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


def _toward(present: float, wanted: float, speed_up: float, slow_down: float) -> float:
    """One ramp step; through zero the braking ramp holds down to it and the starting one from there."""
    if present * wanted < 0:
        wanted = 0.0
    step = speed_up if abs(wanted) > abs(present) else slow_down
    return present + min(max(wanted - present, -step), step)
