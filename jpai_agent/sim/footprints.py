"""Distances in the plane between rectangles, discs and points, for many moments at once."""

from __future__ import annotations

import numpy as np

_CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])


def point_gaps(points: np.ndarray, poses: np.ndarray, half_x_m: float, half_y_m: float) -> np.ndarray:
    """Distances (T, N) from points (T, N, 2) to a rectangle at poses (T, 3) x, y, yaw_rad; 0 inside."""
    offset = points - poses[:, None, :2]
    cos, sin = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    beyond_x = np.abs(cos * offset[..., 0] + sin * offset[..., 1]) - half_x_m
    beyond_y = np.abs(-sin * offset[..., 0] + cos * offset[..., 1]) - half_y_m
    return np.hypot(np.maximum(beyond_x, 0.0), np.maximum(beyond_y, 0.0))


def disc_gaps(poses: np.ndarray, half: tuple[float, float], centres: np.ndarray, radius_m: float) -> np.ndarray:
    """Gaps (T,) between a rectangle of half extents `half` at poses (T, 3) and a disc at centres (T, 2)."""
    return np.maximum(point_gaps(centres[:, None, :], poses, *half)[:, 0] - radius_m, 0.0)


def rectangle_gaps(
    poses: np.ndarray, half: tuple[float, float], others: np.ndarray, other_half: tuple[float, float]
) -> np.ndarray:
    """Gaps (T,) between two rectangles at poses and others (T, 3); 0 where they overlap."""
    corners, other_corners = corners_of(poses, half), corners_of(others, other_half)
    apart = np.minimum(
        point_gaps(corners, others, *other_half).min(axis=1), point_gaps(other_corners, poses, *half).min(axis=1)
    )
    # separating axes: two rectangles overlap when they do along all four edge directions
    overlap = np.ones(len(poses), dtype=bool)
    for frames in (poses, others):
        for turn in (0.0, np.pi / 2):
            axis = np.stack([np.cos(frames[:, 2] + turn), np.sin(frames[:, 2] + turn)], axis=1)
            a = np.einsum("tcd,td->tc", corners, axis)
            b = np.einsum("tcd,td->tc", other_corners, axis)
            overlap &= (a.min(axis=1) <= b.max(axis=1)) & (b.min(axis=1) <= a.max(axis=1))
    return np.where(overlap, 0.0, apart)


def corners_of(poses: np.ndarray, half: tuple[float, float]) -> np.ndarray:
    """Corners (T, 4, 2) of a rectangle at poses (T, 3) x, y, yaw_rad."""
    local = _CORNERS * half
    cos, sin = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    return np.stack(
        [poses[:, :1] + cos * local[:, 0] - sin * local[:, 1], poses[:, 1:2] + sin * local[:, 0] + cos * local[:, 1]],
        axis=-1,
    )
