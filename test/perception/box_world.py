"""A world of boxes on a flat road, cast into lidar rows and depth with the sensors' noise; no simulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jpai_agent.perception import Perception
from jpai_agent.perception.geometry import pixel_rays
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene
from jpai_agent.world.sensors import DepthImage, LidarScan, Localization, Observation, Odometry

PERIOD_S = 0.05
Pose = tuple[float, float, float]


@dataclass
class Box:
    """A thing of (length, width, height) whose pose (x, y, yaw) is a function of time."""

    pose: Callable[[float], Pose]
    size_m: tuple[float, float, float]


def standing(x: float, y: float, size_m: tuple[float, float, float], yaw_rad: float = 0.0) -> Box:
    return Box(lambda _: (x, y, yaw_rad), size_m)


def going(x: float, y: float, vx: float, vy: float, size_m: tuple[float, float, float], start_s: float = 0.0,
          end_s: float = math.inf) -> Box:
    yaw = math.atan2(vy, vx)

    def pose(t_s: float) -> Pose:
        way_s = min(max(t_s - start_s, 0.0), end_s - start_s)
        return x + vx * way_s, y + vy * way_s, yaw

    return Box(pose, size_m)


class Ride:
    """A car that drives through boxes at v, w, with the perception that its sensors feed.

    Args:
        pitch_rad: Of the body, nose down positive.
    """

    def __init__(self, car: RobotSpec, street: WorldMap, boxes: Sequence[Box], *, pose: Pose = (0.0, 81.5, 0.0),
                 v_mps: float = 0.0, w_radps: float = 0.0, seed: int = 0, pitch_rad: float = 0.0) -> None:
        self.car, self.boxes, self.pitch_rad = car, list(boxes), pitch_rad
        self.perception = Perception(car, street)
        self.rng = np.random.default_rng(seed)
        self.pose, self.v_mps, self.w_radps = np.array(pose, dtype=float), v_mps, w_radps
        self.odometry = np.zeros(3)
        self.steps = 0

    @property
    def time_s(self) -> float:
        return self.steps * PERIOD_S

    def drive(self, seconds: float) -> list[Scene]:
        """Advance; the scenes after each period."""
        scenes = []
        for _ in range(round(seconds / PERIOD_S)):
            self.perception.update(self.observe())
            scenes.append(self.perception.scene())
            self._advance()
        return scenes

    def observe(self) -> Observation:
        now_s, rng = self.time_s, self.rng
        odometry = Odometry(now_s, self.odometry.copy(), self.v_mps, self.w_radps)
        fix = Localization(now_s, self.pose + rng.standard_normal(3) * [0.03, 0.03, 0.0175]) if self.steps % 2 == 0 else None
        scan = self.scan() if self.steps % 2 == 0 else None
        depths = {"front": self.depth()} if self.steps % 4 == 0 else {}
        return Observation(now_s, odometry, fix, scan, {}, depths)

    def scan(self) -> LidarScan:
        lidar = self.car.lidar
        angles = -math.pi + np.arange(lidar.beams) * (2 * math.pi / lidar.beams)
        rows = np.radians(lidar.rows_deg)[:, None]
        rays = np.stack(np.broadcast_arrays(np.cos(rows) * np.cos(angles), np.cos(rows) * np.sin(angles), np.sin(rows)), axis=2)
        ranges = self._cast(np.array([lidar.x_m, 0.0, lidar.height_m]), rays.reshape(-1, 3)).reshape(rays.shape[:2])
        ranges = ranges * (1.0 + 0.01 * self.rng.standard_normal(ranges.shape))
        ranges[ranges > lidar.range_max_m] = np.inf
        ranges[self.rng.random(ranges.shape) < 0.005] = np.nan
        return LidarScan(self.time_s, ranges, -math.pi, 2 * math.pi / lidar.beams, lidar.range_max_m)

    def depth(self) -> DepthImage:
        camera = self.car.camera("front")
        rays = pixel_rays(camera, camera.depth_width_px, camera.depth_height_px).astype(float)
        depth = self._cast(np.array(camera.position_m), rays.reshape(-1, 3)).reshape(rays.shape[:2])
        depth = depth * (1.0 + 0.01 * self.rng.standard_normal(depth.shape))
        depth[depth > camera.depth_max_m] = 0.0
        return DepthImage("front", self.time_s, depth.astype(np.float32))

    def _cast(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N,) how many times each ray (N, 3) of base_link reaches to what it meets, inf for the sky."""
        cos, sin = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        pitch = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        origin, rays = pitch @ origin, rays @ pitch.T
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rays[:, 2] < -1e-9, -origin[2] / rays[:, 2], np.inf)
            for box in self.boxes:
                x, y, yaw = box.pose(self.time_s)
                half, turn = np.array(box.size_m) / 2, self.pose[2] - yaw
                ahead = self.pose[:2] - [x, y]
                here = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]]) @ ahead
                spin = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
                start, local = spin @ origin + [*here, -half[2]], rays @ spin.T
                near, far = np.full(len(local), -np.inf), np.full(len(local), np.inf)
                for k in range(3):
                    one, other = (-half[k] - start[k]) / local[:, k], (half[k] - start[k]) / local[:, k]
                    near, far = np.maximum(near, np.minimum(one, other)), np.minimum(far, np.maximum(one, other))
                reach = np.where((near < far) & (near > 0) & (near < reach), near, reach)
        return reach

    def _advance(self) -> None:
        way, turn = self.v_mps * PERIOD_S, self.w_radps * PERIOD_S
        slips = 1.0 + 0.01 * self.rng.standard_normal(2)
        for pose, slip, scale in ((self.pose, (1.0, 1.0), 1.0), (self.odometry, slips, 1.007)):
            middle = pose[2] + turn / 2
            pose += [way * slip[0] * scale * math.cos(middle), way * slip[0] * scale * math.sin(middle), turn * slip[1]]
        self.steps += 1
