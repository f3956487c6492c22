"""What the simulated sensors do to the truth: drift, noise, dropouts (DESIGN section 6)."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.world.sensors import Localization, Odometry

FIX_SIGMA_M, FIX_SIGMA_RAD = 0.03, math.radians(1.0)
RANGE_NOISE = 0.01
LIDAR_DROPOUT = 0.005
# a pixel whose neighbour is farther by this share looks past an edge; half of these give no reading
EDGE_STEP, EDGE_DROPOUT = 0.04, 0.5
# a lidar's narrow beam is lost at an edge less often than a pixel
LIDAR_EDGE_DROPOUT = 0.15
# a small MEMS gyroscope once its bias was taken out at rest (assumed)
GYRO_SIGMA_RADPS, GYRO_BIAS_RADPS = 0.003, 0.0005
COLOR_SIGMA = 3.0
_NOISE_TILE_PX = 1024


class WheelOdometry:
    """Dead reckoning from wheel angles, with wheels and track a little off: about 1 % of the way and of the turn."""

    def __init__(self, rng: np.random.Generator, wheel_radius_m: float, track_m: float) -> None:
        self._rng = rng
        # one scale for the way and one for the turn per robot, and a white part per step
        scales = rng.uniform(-0.01, 0.01, 2)
        self._radius_m = wheel_radius_m * (1.0 + scales[0])
        self._track_m = track_m * (1.0 + scales[0]) / (1.0 + scales[1])
        self._angles: np.ndarray | None = None
        self._stamp_s = 0.0
        self._pose = np.zeros(3)

    def read(self, wheel_angles: np.ndarray, now_s: float) -> Odometry:
        """The odometry message for wheel angles (left, right) in rad; the first one is the origin of the odom frame."""
        if self._angles is None:
            self._angles, self._stamp_s = wheel_angles.copy(), now_s
            return Odometry(now_s, self._pose.copy(), 0.0, 0.0)
        ways = (wheel_angles - self._angles) * self._radius_m * (1.0 + 0.01 * self._rng.standard_normal(2))
        step_s = max(now_s - self._stamp_s, 1e-3)
        self._angles, self._stamp_s = wheel_angles.copy(), now_s
        way, turn = float(ways.mean()), float(ways[1] - ways[0]) / self._track_m
        x, y, yaw = self._pose
        self._pose = np.array(
            [
                x + way * math.cos(yaw + turn / 2),
                y + way * math.sin(yaw + turn / 2),
                math.atan2(math.sin(yaw + turn), math.cos(yaw + turn)),
            ]
        )
        return Odometry(now_s, self._pose.copy(), way / step_s, turn / step_s)


class AxleOdometry:
    """Dead reckoning of a car: the way from the two rear wheels, the turn from a gyroscope, each up to 1 % off."""

    def __init__(self, rng: np.random.Generator, wheel_radius_m: float, speed_mps: float = 0.0) -> None:
        """speed_mps: what the car drives at before the first reading."""
        self._rng, self._begins_mps = rng, speed_mps
        scales = 1.0 + rng.uniform(-0.01, 0.01, 2)
        self._radius_m, self._turn_scale = wheel_radius_m * scales[0], scales[1]
        self._bias_radps = float(rng.normal(0.0, GYRO_BIAS_RADPS))
        self._last: tuple[np.ndarray, float, float] | None = None
        self._pose = np.zeros(3)

    def read(self, wheel_angles: np.ndarray, yaw_rad: float, now_s: float) -> Odometry:
        """The odometry message for rear wheel angles (2,) in rad and the true heading; the first one is the origin."""
        if self._last is None:
            self._last = wheel_angles.copy(), yaw_rad, now_s
            return Odometry(now_s, self._pose.copy(), self._begins_mps, 0.0)
        angles, last_yaw_rad, last_s = self._last
        self._last = wheel_angles.copy(), yaw_rad, now_s
        step_s = max(now_s - last_s, 1e-3)
        ways = (wheel_angles - angles) * self._radius_m * (1.0 + RANGE_NOISE * self._rng.standard_normal(2))
        rate_noise = self._bias_radps + GYRO_SIGMA_RADPS * self._rng.standard_normal()
        turn = self._turn_scale * math.remainder(yaw_rad - last_yaw_rad, math.tau) + rate_noise * step_s
        way = float(ways.mean())
        x, y, yaw = self._pose
        middle = yaw + turn / 2
        self._pose = np.array([x + way * math.cos(middle), y + way * math.sin(middle), math.remainder(yaw + turn, math.tau)])
        return Odometry(now_s, self._pose.copy(), way / step_s, turn / step_s)


def noisy_fix(pose: np.ndarray, now_s: float, rng: np.random.Generator) -> Localization:
    """A localiser's fix of the true pose (3,): σ 3 cm and 1°."""
    x, y, yaw = pose + rng.standard_normal(3) * [FIX_SIGMA_M, FIX_SIGMA_M, FIX_SIGMA_RAD]
    return Localization(now_s, np.array([x, y, math.atan2(math.sin(yaw), math.cos(yaw))]), FIX_SIGMA_M, FIX_SIGMA_RAD)


def noisy_ranges(ranges_m: np.ndarray, range_max_m: float, rng: np.random.Generator) -> np.ndarray:
    """Ranges (n,) with 1 % noise; inf beyond `range_max_m` or where nothing was hit (negative), NaN for dropouts."""
    noisy = ranges_m * (1.0 + RANGE_NOISE * rng.standard_normal(len(ranges_m)))
    noisy[(ranges_m < 0) | (ranges_m > range_max_m)] = np.inf
    noisy[rng.random(len(ranges_m)) < LIDAR_DROPOUT] = np.nan
    return noisy


def noisy_rows(ranges_m: np.ndarray, range_max_m: float, rng: np.random.Generator) -> np.ndarray:
    """Ranges (rows, n) of a lidar with rows as `noisy_ranges` makes them, with more dropouts along edges within a row."""
    noisy = noisy_ranges(ranges_m.reshape(-1), range_max_m, rng).reshape(ranges_m.shape)
    seen = np.where((ranges_m < 0) | (ranges_m > range_max_m), 2 * range_max_m, ranges_m)
    after = np.roll(seen, -1, axis=1)
    jump = np.abs(after - seen) > EDGE_STEP * np.minimum(after, seen) + 0.1
    at = np.flatnonzero(jump | np.roll(jump, 1, axis=1))
    noisy.reshape(-1)[at[rng.random(len(at)) < LIDAR_EDGE_DROPOUT]] = np.nan
    return noisy


def noisy_depth(depth_m: np.ndarray, depth_max_m: float, rng: np.random.Generator) -> np.ndarray:
    """Depth (h, w) with 1 % noise; 0 beyond `depth_max_m`, in the sky, and at half of the pixels along depth edges."""
    depth_m = np.where(depth_m <= depth_max_m, depth_m, np.float32(0.0))
    edge = np.zeros(depth_m.shape, dtype=bool)
    for axis in (0, 1):
        near, far = (depth_m[:-1], depth_m[1:]) if axis == 0 else (depth_m[:, :-1], depth_m[:, 1:])
        jump = np.abs(near - far) > EDGE_STEP * np.minimum(near, far) + 0.02
        first, second = (edge[:-1], edge[1:]) if axis == 0 else (edge[:, :-1], edge[:, 1:])
        first |= jump
        second |= jump
    noisy = depth_m * (1.0 + np.float32(RANGE_NOISE) * rng.standard_normal(depth_m.shape, dtype=np.float32))
    at = np.flatnonzero(edge)
    noisy.reshape(-1)[at[rng.random(len(at)) < EDGE_DROPOUT]] = 0.0
    return noisy


class ColorNoise:
    """Grain and a varying exposure for colour frames; the grain is cut from one tile at a new place each time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tile = rng.normal(0.0, COLOR_SIGMA, (_NOISE_TILE_PX, _NOISE_TILE_PX)).astype(np.float32)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """A noisy copy of an (H, W, 3) uint8 frame of at most 1024×1024 pixels."""
        height, width = rgb.shape[:2]
        noisy = rgb.astype(np.float32) * np.float32(self._rng.uniform(0.96, 1.04))
        for channel in range(3):
            row = int(self._rng.integers(_NOISE_TILE_PX - height + 1))
            column = int(self._rng.integers(_NOISE_TILE_PX - width + 1))
            noisy[..., channel] += self._tile[row : row + height, column : column + width]
        return np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
