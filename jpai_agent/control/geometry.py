"""Plane geometry for control: angles, oriented boxes, the robot's footprint."""

from __future__ import annotations

import numpy as np


def wrap(angle_rad: np.ndarray | float) -> np.ndarray:
    """The angle in −π..π, elementwise."""
    return (np.asarray(angle_rad) + np.pi) % (2 * np.pi) - np.pi


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


def footprint_gap_m(poses: np.ndarray, half_m: tuple[float, float], boxes: np.ndarray) -> np.ndarray:
    """Gap between a rectangular footprint at poses and boxes, negative where they overlap; broadcasts.

    It is the widest separation along the four edge directions (separating axes): exact face to face, at most 30 % too
    small corner to corner, never too large.

    Args:
        poses: (..., 3) x, y, yaw. half_m: half length, half width. boxes: (..., 5).

    Returns:
        (...) metres.
    """
    half_x, half_y = half_m
    dx, dy = boxes[..., 0] - poses[..., 0], boxes[..., 1] - poses[..., 1]
    cos_p, sin_p = np.cos(poses[..., 2]), np.sin(poses[..., 2])
    cos_b, sin_b = np.cos(boxes[..., 2]), np.sin(boxes[..., 2])
    cos, sin = cos_p * cos_b + sin_p * sin_b, cos_p * sin_b - sin_p * cos_b
    along, across = cos_p * dx + sin_p * dy, cos_p * dy - sin_p * dx
    abs_cos, abs_sin = np.abs(cos), np.abs(sin)
    box_x, box_y = boxes[..., 3], boxes[..., 4]
    gap = np.abs(along) - (half_x + abs_cos * box_x + abs_sin * box_y)
    gap = np.maximum(gap, np.abs(across) - (half_y + abs_sin * box_x + abs_cos * box_y))
    gap = np.maximum(gap, np.abs(cos * along + sin * across) - (box_x + abs_cos * half_x + abs_sin * half_y))
    return np.maximum(gap, np.abs(cos * across - sin * along) - (box_y + abs_sin * half_x + abs_cos * half_y))


def outline(length_m: float, width_m: float, step_m: float = 0.05) -> np.ndarray:
    """(M, 2) points around a footprint of that size, in base_link."""
    x = np.linspace(-length_m / 2, length_m / 2, max(2, round(length_m / step_m)) + 1)
    y = np.linspace(-width_m / 2, width_m / 2, max(2, round(width_m / step_m)) + 1)
    return np.concatenate([np.stack([x, np.full_like(x, s * width_m / 2)], 1) for s in (1, -1)]
                          + [np.stack([np.full_like(y, s * length_m / 2), y], 1) for s in (1, -1)])


def placed(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points (M, 2) of base_link at pose (3,), in the pose's frame."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    turned = np.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], axis=1)
    return pose[:2] + turned
