"""Track a path with regulated pure pursuit (Macenski et al., 2023), turn on the spot, and stop where wanted."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.paths import STEP_M
from jpai_agent.world.robot import RobotSpec

# the comfortable part of the brakes that stopping is planned with
BRAKE_SHARE = 0.55
LAG_S = 0.10
TURN_ON_SPOT_RAD = math.radians(50)
LOOKAHEAD_M, LOOKAHEAD_S = 0.30, 0.45
AHEAD_POINTS, AHEAD_STEP = 16, 3


class Track:
    """A path's points (P, 2) with the length up to each."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points
        self.length_m = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def stop_speed(left_m: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(R,) the speed from which the robot still stops within a distance, at a comfortable share of its brakes."""
    brake = robot.limits.brake_mps2 * BRAKE_SHARE
    left = np.maximum(left_m, 0.0)
    with np.errstate(invalid="ignore"):
        speed = np.sqrt((brake * LAG_S) ** 2 + 2 * brake * left) - brake * LAG_S
    return np.where(np.isinf(left), np.inf, speed)


def turn_rate(left_rad: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(R,) the turn rate towards an angle that is left, slowing before it."""
    brake = robot.limits.yaw_accel_radps2 * 0.4
    rate = np.sqrt((brake * LAG_S) ** 2 + 2 * brake * np.abs(left_rad)) - brake * LAG_S
    return np.sign(left_rad) * np.minimum(np.maximum(rate, 0.06), min(1.0, robot.limits.yaw_radps))


def track(path: Track, pose: np.ndarray, along_m: np.ndarray, speed_mps: np.ndarray, cruise_mps: float,
          robot: RobotSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Wanted speeds along a path.

    Args:
        pose: (R, 3). along_m: (R,) how far each robot was on the path. speed_mps: (R,) commanded last.

    Returns:
        v (R,), w (R,), the length left (R,), and how far each is now (R,).
    """
    last = len(path.points) - 1
    begin = np.searchsorted(path.length_m, along_m, side="right") - 1
    window = np.minimum(begin[:, None] + np.arange(16)[None, :], last)
    away = np.linalg.norm(path.points[window] - pose[:, None, :2], axis=2)
    nearest = window[np.arange(len(pose)), np.argmin(away, axis=1)]
    along = np.maximum(along_m, path.length_m[nearest])
    look_m = np.maximum(LOOKAHEAD_M, LOOKAHEAD_S * np.abs(speed_mps))
    aim_at = np.minimum(np.searchsorted(path.length_m, along + look_m), last)
    aim = path.points[aim_at] - pose[:, :2]
    distance = np.linalg.norm(aim, axis=1)
    off = wrap(np.arctan2(aim[:, 1], aim[:, 0]) - pose[:, 2])
    # past the end, the way left is what lies along the heading
    left_m = np.where(nearest >= last - 1, aim[:, 0] * np.cos(pose[:, 2]) + aim[:, 1] * np.sin(pose[:, 2]),
                      path.length_m[-1] - along)
    off = np.where(distance < 0.08, 0.0, off)
    curvature = 2 * np.sin(off) / np.maximum(distance, 0.15)
    v = np.minimum(cruise_mps, stop_speed(left_m, robot))
    # regulated: slower where it curves, so that the turn rate stays within what the robot does well
    v = np.minimum(v, 0.8 / np.maximum(np.abs(curvature), 1e-6))
    v = np.where((left_m > 0.03) & (left_m < 0.3), np.maximum(v, 0.06), v)
    w = v * curvature
    spot = np.abs(off) > TURN_ON_SPOT_RAD
    v = np.where(spot, 0.0, v)
    w = np.where(spot & (np.abs(speed_mps) < 0.1), turn_rate(off, robot), np.where(spot, 0.0, w))
    return v, w, np.maximum(left_m, 0.0), along


def ahead_on(path: Track, along_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points (R, P, 2) that base_link passes next on the path, and how far they are (P,)."""
    steps = np.arange(1, AHEAD_POINTS + 1) * AHEAD_STEP * STEP_M
    index = np.minimum(np.searchsorted(path.length_m, along_m[:, None] + steps[None, :]), len(path.points) - 1)
    return path.points[index], steps


def ahead_straight(pose: np.ndarray, way: float, reach_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points (R, P, 2) straight ahead (way 1) or behind (way −1) within reach (R,), and how far they are (P,)."""
    steps = np.arange(1, AHEAD_POINTS + 1) * AHEAD_STEP * STEP_M
    gone = np.minimum(steps[None, :], reach_m[:, None]) * way
    heading = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)
    return pose[:, None, :2] + gone[:, :, None] * heading[:, None, :], steps
