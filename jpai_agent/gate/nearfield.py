"""The last obstacle stop: what stands so near ahead that braking as hard as can be would leave no room."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import DepthImage, LidarScan

# lower than this is the floor with its noise; higher than the robot's top nothing is hit
FLOOR_M = 0.10
STRAIGHT_RADPM = 1e-3


@dataclass(frozen=True)
class NearConfig:
    """When to stop.

    Attributes:
        react_s: From a reading until the brakes bite: the sensor's age, a tick, the drive's own delay.
        margin_m: Room that is left in front. side_m: room beside the footprint that counts as in the way.
        old_s: Points are forgotten after this.
        echoes: So many points must agree, so that a stray one stops nothing.
    """

    react_s: float = 0.25
    margin_m: float = 0.05
    side_m: float = 0.02
    old_s: float = 0.5
    echoes: int = 3


def stopping_m(speed_mps: float, brake_mps2: float, config: NearConfig) -> float:
    """Room that a robot needs to stop in: v t + v²/2a and a margin (as in RSS, Shalev-Shwartz et al. 2017, for what stands)."""
    return speed_mps * config.react_s + speed_mps**2 / (2 * brake_mps2) + config.margin_m


class NearField:
    """The points around the robot that its sensors saw last, and whether they leave room. Frame: base_link."""

    def __init__(self, robot: RobotSpec, config: NearConfig | None = None) -> None:
        self.robot, self.config = robot, config or NearConfig()
        self._points: dict[str, tuple[np.ndarray, float]] = {}

    def see(self, sensor: str, points: np.ndarray, now_s: float) -> None:
        """What a sensor sees now, in place of what it saw before: (N, 2) points, those that are not finite left out."""
        self._points[sensor] = points[np.isfinite(points).all(axis=1)], now_s

    def clear_m(self, v_mps: float, w_radps: float, now_s: float) -> float:
        """Way along the arc of (v, w) until the footprint's front meets something; inf when nothing is in the way.

        Backwards the rear is the front. What is beside the robot does not count: only what it drives at.
        """
        sign = math.copysign(1.0, v_mps)
        front = self.robot.front_m if sign > 0 else self.robot.rear_m
        half_width = self.robot.width_m / 2 + self.config.side_m
        nearest = math.inf
        for points, seen_at_s in self._points.values():
            if not 0 <= now_s - seen_at_s <= self.config.old_s:
                continue
            along, aside = _along_arc(points[:, 0] * sign, points[:, 1], sign * w_radps / abs(v_mps))
            met = np.sort(along[(np.abs(aside) <= half_width) & (points[:, 0] * sign > front)])
            if len(met) >= self.config.echoes:
                nearest = min(nearest, float(met[self.config.echoes - 1]) - front)
        return nearest

    def blocked(self, v_mps: float, w_radps: float, speed_mps: float, now_s: float) -> bool:
        """Whether something stands nearer than it takes to stop from `speed_mps` on the arc of (v, w), v not zero."""
        if not self._points or v_mps == 0.0:
            return False
        return self.clear_m(v_mps, w_radps, now_s) < stopping_m(speed_mps, self.robot.limits.emergency_brake_mps2, self.config)


def _along_arc(x: np.ndarray, y: np.ndarray, curvature_radpm: float) -> tuple[np.ndarray, np.ndarray]:
    """Way along an arc that leaves the origin towards +x, and offset from it, of points (N,)."""
    if abs(curvature_radpm) < STRAIGHT_RADPM:
        return x, y
    radius = 1.0 / curvature_radpm
    away = np.hypot(x, y - radius)
    turned = np.arctan2(x, (radius - y) * math.copysign(1.0, radius))
    return np.where(turned < 0, turned + math.tau, turned) * abs(radius), away - abs(radius)


def points_of_scan(scan: LidarScan, robot: RobotSpec) -> np.ndarray:
    """(N, 2) points in base_link that a lidar sees above the floor and below the robot's top."""
    ranges = np.atleast_2d(np.where(np.isfinite(scan.ranges_m), scan.ranges_m, 0.0))
    rise = np.radians(np.asarray(robot.lidar.rows_deg))[:, None]
    azimuth = scan.angle_min_rad + np.arange(ranges.shape[1]) * scan.angle_step_rad
    level = ranges * np.cos(rise)
    height = robot.lidar.height_m + ranges * np.sin(rise)
    seen = (ranges > 0) & (height > floor_m(robot))
    points = np.stack([robot.lidar.x_m + level * np.cos(azimuth), level * np.sin(azimuth)], axis=-1)
    return np.asarray(points[seen])


def points_of_depth(depth: DepthImage, robot: RobotSpec, every_px: int = 2) -> np.ndarray:
    """(N, 2) points in base_link that a depth camera sees above the floor and below the robot's top, every other pixel."""
    camera = robot.camera(depth.camera)
    away = depth.depth_m[::every_px, ::every_px]
    height_px, width_px = depth.depth_m.shape
    focal = camera.focal_px * width_px / camera.width_px
    right = (np.arange(0, width_px, every_px) - width_px / 2 + 0.5) / focal
    down = (np.arange(0, height_px, every_px) - height_px / 2 + 0.5) / focal
    pitch = math.radians(camera.pitch_deg)
    ahead = away * (math.cos(pitch) - down * math.sin(pitch))[:, None]
    height = camera.position_m[2] - away * (math.sin(pitch) + down * math.cos(pitch))[:, None]
    seen = (away > 0) & np.isfinite(away) & (height > floor_m(robot)) & (height < top_m(robot))
    return np.stack([camera.position_m[0] + ahead[seen], camera.position_m[1] - (away * right[None, :])[seen]], axis=-1)


def floor_m(robot: RobotSpec) -> float:
    """What is lower than this counts as floor: a car's road has more of a crown, and its noise reaches farther."""
    return FLOOR_M if robot.ackermann is None else 3 * FLOOR_M


def top_m(robot: RobotSpec) -> float:
    """What is higher than this is driven under."""
    return max(robot.lidar.height_m, *(camera.position_m[2] for camera in robot.cameras)) + 0.1
