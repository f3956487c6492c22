"""Camera and plane geometry: pixels and depth to points, poses in the plane. REP 103: x forward, y left, z up."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from jpai_agent.world.robot import CameraSpec


def wrap(angle_rad: float) -> float:
    """The angle in −π..π."""
    return math.atan2(math.sin(angle_rad), math.cos(angle_rad))


def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pose (3,) of frame b, given in frame a, in the frame that a is given in."""
    cos, sin = math.cos(a[2]), math.sin(a[2])
    return np.array([a[0] + cos * b[0] - sin * b[1], a[1] + sin * b[0] + cos * b[1], wrap(a[2] + b[2])])


def inverse(a: np.ndarray) -> np.ndarray:
    """The pose (3,) that undoes `a`."""
    cos, sin = math.cos(a[2]), math.sin(a[2])
    return np.array([-cos * a[0] - sin * a[1], sin * a[0] - cos * a[1], wrap(-a[2])])


def transform(pose: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the frame at `pose` (3,), in the frame that the pose is given in."""
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    return np.stack([pose[0] + cos * xy[:, 0] - sin * xy[:, 1], pose[1] + sin * xy[:, 0] + cos * xy[:, 1]], axis=1)


@lru_cache(maxsize=16)
def pixel_rays(camera: CameraSpec, width_px: int, height_px: int, step_px: int = 1) -> np.ndarray:
    """Directions (h, w, 3) in base_link of every `step_px`-th pixel's centre, scaled so that depth × ray is the offset
    from the camera (the ray's component along the optical axis is 1)."""
    focal = width_px / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    u = (np.arange(0, width_px, step_px) + 0.5 - width_px / 2) / focal
    v = (np.arange(0, height_px, step_px) + 0.5 - height_px / 2) / focal
    pitch = math.radians(camera.pitch_deg)
    rays = np.empty((len(v), len(u), 3), dtype=np.float32)
    rays[..., 0] = math.cos(pitch) - v[:, None] * math.sin(pitch)
    rays[..., 1] = -u[None, :]
    rays[..., 2] = -math.sin(pitch) - v[:, None] * math.cos(pitch)
    return rays


def depth_points(camera: CameraSpec, depth_m: np.ndarray, step_px: int) -> np.ndarray:
    """(h, w, 3) points in base_link of every `step_px`-th pixel of a depth frame; NaN where there is no reading."""
    rays = pixel_rays(camera, depth_m.shape[1], depth_m.shape[0], step_px)
    z = depth_m[::step_px, ::step_px, None]
    valid = np.isfinite(z) & (z > 0.05) & (z < camera.depth_max_m)
    return np.where(valid, rays * z + np.asarray(camera.position_m, dtype=np.float32), np.nan)


def project(camera: CameraSpec, points: np.ndarray) -> np.ndarray:
    """Image places (N, 2) in 0..1000 (x right, y down) of points (N, 3) in base_link; NaN behind the camera."""
    offset = np.asarray(points, dtype=float) - np.asarray(camera.position_m)
    pitch = math.radians(camera.pitch_deg)
    ahead = offset[:, 0] * math.cos(pitch) - offset[:, 2] * math.sin(pitch)
    down = -offset[:, 0] * math.sin(pitch) - offset[:, 2] * math.cos(pitch)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = camera.width_px / 2 - camera.focal_px * offset[:, 1] / ahead
        v = camera.height_px / 2 + camera.focal_px * down / ahead
    places = np.stack([u / camera.width_px, v / camera.height_px], axis=1) * 1000.0
    places[ahead <= 1e-6] = np.nan
    return places
