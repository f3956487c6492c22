"""Limits that no episode may exceed, measured on the true motion.

The numbers are the benchmark's own, from the robots' specification (DESIGN section 6), not from the robot's file.
Speeds are looked at as they are. Accelerations are differences of the forward speed's magnitude over 0.25 s (five
periods of 20 Hz), so that what one physics step does to the speed does not count, and not within half a second of a
contact, which is judged as a contact. Braking is held against the emergency limit, as any stop may be one. Of a car
the acceleration to the side is forward speed times turn rate, and the steering angle that which its wheels must have for
the circle that base_link drives, both as means over the same stretch of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.sim.trajectory import Recording

SHARE = 0.05
SPEED_MARGIN_MPS = 0.05
WINDOW_S = 0.25
AROUND_CONTACT_S = 0.5


# slower than this a car's circle cannot be told from its speeds
STEERS_FROM_MPS = 0.5


@dataclass(frozen=True)
class SpecifiedLimits:
    """Largest magnitudes, m/s, rad/s and m/s²; those of cars alone are infinite for others.

    Attributes:
        lateral_mps2: Acceleration to the side. steer_rad: steering angle, with the axles wheelbase_m apart.
    """

    forward_mps: float
    reverse_mps: float
    yaw_radps: float
    accel_mps2: float
    brake_mps2: float
    lateral_mps2: float = math.inf
    steer_rad: float = math.inf
    wheelbase_m: float = 0.0


LIMITS: dict[str, SpecifiedLimits] = {
    "cart": SpecifiedLimits(1.2, 0.4, 1.5, 0.8, 2.5),
    "car": SpecifiedLimits(40 / 3.6, 5 / 3.6, math.inf, 2.0, 6.0, 2.0, math.radians(35.0), 2.45),
}


def violations(recording: Recording, robot: str) -> list[str]:
    """Names of the limits exceeded by over 5 % (speeds also by over 0.05 m/s). Raises KeyError for an unknown robot."""
    limits = LIMITS[robot]
    forward = recording.velocities[:, 0]
    gained = speed_gain(recording)
    checks = {
        "forward_speed": forward.max(initial=0.0) > _beyond_speed(limits.forward_mps),
        "reverse_speed": (-forward).max(initial=0.0) > _beyond_speed(limits.reverse_mps),
        "yaw_rate": recording.turn_rate.max(initial=0.0) > limits.yaw_radps * (1 + SHARE),
        "acceleration": gained.max(initial=0.0) > limits.accel_mps2 * (1 + SHARE),
        "braking": (-gained).max(initial=0.0) > limits.brake_mps2 * (1 + SHARE),
        "lateral_acceleration": _sideways(recording).max(initial=0.0) > limits.lateral_mps2 * (1 + SHARE),
        "steering": _steered(recording, limits.wheelbase_m).max(initial=0.0) > limits.steer_rad * (1 + SHARE),
    }
    return [name for name, broken in checks.items() if broken]


def speed_gain(recording: Recording) -> np.ndarray:
    """Mean rates of change of |forward speed| over every 0.25 s, m/s², those around contacts left out."""
    times, pace = recording.times, np.abs(recording.velocities[:, 0])
    if len(times) < 2:
        return np.zeros(0)
    step = _window(times)
    gained = (pace[step:] - pace[:-step]) / (times[step:] - times[:-step])
    return np.asarray(gained[_free(recording, step)])


def _sideways(recording: Recording) -> np.ndarray:
    """Mean magnitudes of the acceleration to the side over every 0.25 s, those around contacts left out."""
    return np.abs(_means(recording, recording.velocities[:, 0] * recording.velocities[:, 2]))


def _steered(recording: Recording, wheelbase_m: float) -> np.ndarray:
    """Steering angles over every 0.25 s in which a car moves, those around contacts left out."""
    forward, turning = _means(recording, recording.velocities[:, 0]), _means(recording, recording.velocities[:, 2])
    moves = np.abs(forward) >= STEERS_FROM_MPS
    return np.abs(np.arctan(wheelbase_m * turning[moves] / forward[moves]))


def _means(recording: Recording, values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return np.zeros(0)
    step = _window(recording.times)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = (sums[step + 1 :] - sums[: -step - 1]) / (step + 1)
    return np.asarray(means[_free(recording, step)])


def _window(times: np.ndarray) -> int:
    """How many periods WINDOW_S are."""
    return min(len(times) - 1, max(1, round(WINDOW_S / float(np.median(np.diff(times))))))


def _free(recording: Recording, step: int) -> np.ndarray:
    """Which stretches of `step` periods do not lie around a contact."""
    times = recording.times
    free = np.ones(len(times) - step, dtype=bool)
    for time_s, _ in recording.contacts:
        free &= (times[step:] < time_s - AROUND_CONTACT_S) | (times[:-step] > time_s + AROUND_CONTACT_S)
    return free


def _beyond_speed(limit_mps: float) -> float:
    return max(limit_mps * (1 + SHARE), limit_mps + SPEED_MARGIN_MPS)
