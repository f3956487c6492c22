"""Plane geometry for control: angles, oriented boxes, the robot's footprint."""

from __future__ import annotations

import numpy as np


def wrap(angle_rad: np.ndarray | float) -> np.ndarray:
    """The angle in −π..π, elementwise."""
    return np.arctan2(np.sin(angle_rad), np.cos(angle_rad))


def box_distance_m(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Distance from points to oriented boxes, 0 inside; broadcasts.

    Args:
        points: (..., 2). boxes: (..., 5) x, y, yaw, half_x, half_y, against the points' leading shape.

    Returns:
        (...) metres.
    """
    dx, dy = points[..., 0] - boxes[..., 0], points[..., 1] - boxes[..., 1]
    cos, sin = np.cos(boxes[..., 2]), np.sin(boxes[..., 2])
    out_x = np.maximum(np.abs(cos * dx + sin * dy) - boxes[..., 3], 0.0)
    out_y = np.maximum(np.abs(cos * dy - sin * dx) - boxes[..., 4], 0.0)
    return np.hypot(out_x, out_y)


def corners(box: np.ndarray) -> np.ndarray:
    """(4, 2) corners of a box (5,)."""
    cos, sin = np.cos(box[2]), np.sin(box[2])
    local = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * box[3:5]
    return box[:2] + np.stack([cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]], axis=1)


def outline(length_m: float, width_m: float, step_m: float = 0.05) -> np.ndarray:
    """(M, 2) points around a footprint of that size, in base_link."""
    x = np.linspace(-length_m / 2, length_m / 2, max(2, round(length_m / step_m)) + 1)
    y = np.linspace(-width_m / 2, width_m / 2, max(2, round(width_m / step_m)) + 1)
    return np.concatenate([np.stack([x, np.full_like(x, s * width_m / 2)], 1) for s in (1, -1)]
                          + [np.stack([np.full_like(y, s * length_m / 2), y], 1) for s in (1, -1)])


def placed(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points (M, 2) of base_link at pose (3,), in the pose's frame."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    return pose[:2] + np.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], axis=1)
