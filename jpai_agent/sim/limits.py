"""Limits that no episode may exceed, measured on the true motion.

The numbers are the benchmark's own, from the robots' specification (DESIGN section 6), not from the robot's file.
Speeds are looked at as they are. Accelerations are differences of the forward speed's magnitude over 0.25 s (five
periods of 20 Hz), so that what one physics step does to the speed does not count, and not within half a second of a
contact, which is judged as a contact. Braking is held against the emergency limit, as any stop may be one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jpai_agent.sim.trajectory import Recording

SHARE = 0.05
SPEED_MARGIN_MPS = 0.05
WINDOW_S = 0.25
AROUND_CONTACT_S = 0.5


@dataclass(frozen=True)
class SpecifiedLimits:
    """Largest magnitudes, m/s, rad/s and m/s²."""

    forward_mps: float
    reverse_mps: float
    yaw_radps: float
    accel_mps2: float
    brake_mps2: float


LIMITS: dict[str, SpecifiedLimits] = {"cart": SpecifiedLimits(1.2, 0.4, 1.5, 0.8, 2.5)}


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
    }
    return [name for name, broken in checks.items() if broken]


def speed_gain(recording: Recording) -> np.ndarray:
    """Mean rates of change of |forward speed| over every 0.25 s, m/s², those around contacts left out."""
    times, pace = recording.times, np.abs(recording.velocities[:, 0])
    if len(times) < 2:
        return np.zeros(0)
    step = max(1, round(WINDOW_S / float(np.median(np.diff(times)))))
    gained = (pace[step:] - pace[:-step]) / (times[step:] - times[:-step])
    free = np.ones(len(gained), dtype=bool)
    for time_s, _ in recording.contacts:
        free &= (times[step:] < time_s - AROUND_CONTACT_S) | (times[:-step] > time_s + AROUND_CONTACT_S)
    return gained[free]


def _beyond_speed(limit_mps: float) -> float:
    return max(limit_mps * (1 + SHARE), limit_mps + SPEED_MARGIN_MPS)
