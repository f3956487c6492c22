"""Wanted speeds along paths and straight lines, and for turns on the spot, for R robots at once.

Paths are tracked by regulated pure pursuit (Macenski, Singh, Martín, Ginés: Regulated Pure Pursuit for Robot Path
Tracking, Autonomous Robots 2023): the aim lies ahead by a time, curves and the end slow it down.
"""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.paths import headings
from jpai_agent.world.robot import RobotSpec

# the comfortable part of the brakes that stopping is planned with, and how late a command acts
BRAKE_SHARE = 0.5
LAG_S = 0.15
TURN_ON_SPOT_RAD, TURNED_RAD = math.radians(50), math.radians(8)
LOOKAHEAD_M, LOOKAHEAD_S = 0.25, 0.5
# what curves allow: acceleration to the side, m/s², and turn rate
ASIDE_MPS2, CURVE_RADPS = 0.5, 1.0
# slowest approach to an end
CREEP_MPS = 0.06
# turns on the spot: top rate, share of the possible deceleration, and rate per angle near the end
SPOT_RADPS, SPOT_BRAKE_SHARE, SPOT_GAIN = 1.0, 0.4, 2.5
AHEAD_M = np.array([0.0, 0.12, 0.25, 0.4, 0.6, 0.85, 1.2, 1.7])
AHEAD_RAD = np.array([0.0, 0.15, 0.35, 0.6])
# an offset from the path is taken up within about this
REJOIN_M = 0.5
WINDOW = 24


class Track:
    """A path's points (P, 2), its headings (P,), the speed (P,) that its curves allow, and its length."""

    def __init__(self, points: np.ndarray, robot: RobotSpec) -> None:
        self.points = points
        step = np.linalg.norm(np.diff(points, axis=0), axis=1)
        self.length_m = float(step.sum())
        self.step_m = self.length_m / (len(points) - 1)
        self.heading = headings(points)
        curvature = np.abs(np.gradient(np.unwrap(self.heading))) / max(self.step_m, 1e-6)
        most = np.minimum(np.sqrt(ASIDE_MPS2 / np.maximum(curvature, 1e-3)), CURVE_RADPS / np.maximum(curvature, 1e-3))
        # slow down before a curve, not in it
        brake = BRAKE_SHARE * robot.limits.brake_mps2
        for i in range(len(most) - 2, -1, -1):
            most[i] = min(most[i], math.sqrt(most[i + 1] ** 2 + 2 * brake * self.step_m))
        self.most_mps = most

    def index(self, along_m: np.ndarray) -> np.ndarray:
        """Index of the point nearest to a length along the path."""
        return np.minimum(np.maximum((along_m / self.step_m + 0.5).astype(int), 0), len(self.points) - 1)


def stop_speed(left_m: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(R,) the speed from which the robot still stops within a distance, at a comfortable share of its brakes."""
    return np.sqrt(2 * robot.limits.brake_mps2 * BRAKE_SHARE * np.maximum(left_m, 0.0))


def turn_rate(left_rad: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(R,) the turn rate towards an angle that is left, slowing before it."""
    brake = robot.limits.yaw_accel_radps2 * SPOT_BRAKE_SHARE
    left = np.abs(left_rad)
    rate = np.minimum(np.sqrt(2 * brake * left), SPOT_GAIN * left)
    return np.copysign(np.minimum(np.maximum(rate, 0.05), min(SPOT_RADPS, robot.limits.yaw_radps)), left_rad)


def soon(pose: np.ndarray, v_mps: np.ndarray, w_radps: np.ndarray) -> np.ndarray:
    """(R, 3) where robots at poses (R, 3) will be when a command acts, at speeds (R,)."""
    middle = pose[:, 2] + w_radps * (LAG_S / 2)
    later = pose.copy()
    later[:, 0] += LAG_S * v_mps * np.cos(middle)
    later[:, 1] += LAG_S * v_mps * np.sin(middle)
    later[:, 2] += LAG_S * w_radps
    return later


def track(path: Track, pose: np.ndarray, along_m: np.ndarray, speed_mps: np.ndarray, cruise_mps: float,
          spot: np.ndarray, fresh: np.ndarray, robot: RobotSpec
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Wanted speeds along a path.

    Args:
        pose: (R, 3). along_m: (R,) how far each robot was on the path. speed_mps: (R,) commanded last.
        spot: (R,) whether it was turning on the spot. fresh: (R,) it has just begun, and looks for itself on the path.

    Returns:
        v (R,), w (R,), the length left (R,) (negative beyond the end), how far each is now (R,), and spot (R,).
    """
    row, last = np.arange(len(pose)), len(path.points) - 1
    window = np.minimum(path.index(along_m)[:, None] + np.arange(WINDOW), last)
    away = path.points[window] - pose[:, None, :2]
    nearest = window[row, np.argmin(away[..., 0] ** 2 + away[..., 1] ** 2, axis=1)]
    if fresh.any():
        # it may have carried on for a while since the path was planned
        first = path.points[:max(2, round(2.5 / path.step_m))]
        away = ((first - pose[fresh, None, :2]) ** 2).sum(axis=2)
        nearest[fresh] = np.argmin(away, axis=1)
    heading = path.heading[nearest]
    offset = pose[:, :2] - path.points[nearest]
    onward = offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
    along = nearest * path.step_m + np.where((nearest == last) | (np.abs(onward) < path.step_m), onward, 0.0)
    left = path.length_m - along
    look = LOOKAHEAD_M + LOOKAHEAD_S * np.abs(speed_mps)
    aim_at = path.index(along + look)
    beyond = np.maximum(along + look - path.length_m, 0.0)
    aim = path.points[aim_at] - pose[:, :2]
    aim[:, 0] += beyond * np.cos(path.heading[last])
    aim[:, 1] += beyond * np.sin(path.heading[last])
    off = wrap(np.arctan2(aim[:, 1], aim[:, 0]) - pose[:, 2])
    curvature = 2 * np.sin(off) / np.maximum(np.hypot(aim[:, 0], aim[:, 1]), 0.2)
    v = np.minimum(np.minimum(cruise_mps, stop_speed(left, robot)), path.most_mps[nearest])
    v = np.minimum(v, CURVE_RADPS / np.maximum(np.abs(curvature), 1e-6))
    v = np.where(left > 0.005, np.maximum(v, CREEP_MPS), 0.0)
    spot = np.where(spot, np.abs(off) > TURNED_RAD, np.abs(off) > TURN_ON_SPOT_RAD) & (left > 0.05)
    w = np.where(spot, np.where(np.abs(speed_mps) < 0.08, turn_rate(off, robot), 0.0), v * curvature)
    return np.where(spot, 0.0, v), w, left, along, spot


def straight(begun: np.ndarray, distance_m: float, pose: np.ndarray, cruise_mps: float, robot: RobotSpec
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wanted v (R,), signed, w (R,) and the length left (R,) on the line from poses (R, 3) where it was begun."""
    way = math.copysign(1.0, distance_m)
    cos, sin = np.cos(begun[:, 2]), np.sin(begun[:, 2])
    moved = pose[:, :2] - begun[:, :2]
    left = (distance_m - (moved[:, 0] * cos + moved[:, 1] * sin)) * way
    aside = moved[:, 1] * cos - moved[:, 0] * sin
    top = cruise_mps if way > 0 else min(cruise_mps, 0.95 * robot.limits.reverse_mps)
    v = np.minimum(top, stop_speed(left, robot))
    v = np.where(left > 0.01, np.maximum(v, CREEP_MPS), 0.0)
    # the offset obeys e'' = -2 v² e - 2.5 |v| e': no overshoot, either way round
    off = wrap(pose[:, 2] - begun[:, 2])
    w = np.clip(-2.0 * way * v * aside - 2.5 * v * off, -0.5, 0.5)
    return v * way, w, left


def ahead_on(path: Track, pose: np.ndarray, along_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The poses (R, P, 3) that base_link takes next on the path, the present one first, and how far they are (P,)."""
    index = path.index(along_m[:, None] + AHEAD_M)
    ahead = np.empty((*index.shape, 3))
    ahead[..., :2] = path.points[index]
    ahead[..., 2] = path.heading[index]
    fading = np.exp(-AHEAD_M / REJOIN_M)[:, None]
    ahead[..., :2] += (pose[:, None, :2] - ahead[:, :1, :2]) * fading
    ahead[..., 2] += wrap(pose[:, None, 2] - ahead[:, :1, 2]) * fading[:, 0]
    return ahead, AHEAD_M


def ahead_straight(pose: np.ndarray, way: float, left_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The poses (R, P, 3) straight ahead (way 1) or behind (way -1) up to left_m (R,), and how far they are (R, P)."""
    reach = np.minimum(AHEAD_M, np.maximum(left_m, 0.0)[:, None])
    ahead = np.repeat(pose[:, None], len(AHEAD_M), axis=1)
    ahead[..., 0] += way * reach * np.cos(pose[:, 2:])
    ahead[..., 1] += way * reach * np.sin(pose[:, 2:])
    return ahead, reach


def ahead_turning(pose: np.ndarray, left_rad: np.ndarray, radius_m: float) -> tuple[np.ndarray, np.ndarray]:
    """The poses (R, P, 3) of a turn on the spot, the present one first, and how far corners go (R, P)."""
    turned = np.minimum(AHEAD_RAD, np.abs(left_rad)[:, None])
    ahead = np.repeat(pose[:, None], len(AHEAD_RAD), axis=1)
    ahead[..., 2] += np.copysign(turned, left_rad[:, None])
    return ahead, turned * radius_m
