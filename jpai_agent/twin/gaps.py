"""Exact distances in the plane between a robot's rectangular footprint and boxes, circles and walls; vectorised.

Shapes broadcast over their leading axes. Boxes are (..., 5): x, y, yaw, half_x, half_y; poses (..., 3): x, y, yaw;
metres and radians in one frame. Gaps are positive apart, negative by the depth of overlap.
"""

from __future__ import annotations

import numpy as np

_CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])


def corners(boxes: np.ndarray) -> np.ndarray:
    """(..., 4, 2) corners of boxes (..., 5), counter-clockwise."""
    boxes = np.asarray(boxes, dtype=float)
    local = boxes[..., None, 3:5] * _CORNERS
    cos, sin = np.cos(boxes[..., 2, None]), np.sin(boxes[..., 2, None])
    return np.stack([boxes[..., 0, None] + cos * local[..., 0] - sin * local[..., 1],
                     boxes[..., 1, None] + sin * local[..., 0] + cos * local[..., 1]], axis=-1)


def outline(boxes: np.ndarray, spacing_m: float) -> np.ndarray:
    """(P, 2) points along the edges of boxes (K, 5), corners included, neighbours at most spacing_m apart."""
    points = []
    for ring in corners(np.reshape(boxes, (-1, 5))):
        for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            count = max(1, int(np.ceil(np.linalg.norm(end - start) / spacing_m)))
            points.append(start + np.arange(count)[:, None] / count * (end - start))
    return np.concatenate(points) if points else np.zeros((0, 2))


def points_to_box(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(...) gaps of points (..., 2) to boxes (..., 5)."""
    dx, dy = points[..., 0] - boxes[..., 0], points[..., 1] - boxes[..., 1]
    cos, sin = np.cos(boxes[..., 2]), np.sin(boxes[..., 2])
    over_x = np.abs(cos * dx + sin * dy) - boxes[..., 3]
    over_y = np.abs(-sin * dx + cos * dy) - boxes[..., 4]
    return np.hypot(np.maximum(over_x, 0.0), np.maximum(over_y, 0.0)) + np.minimum(np.maximum(over_x, over_y), 0.0)


def box_to_circle(boxes: np.ndarray, centres: np.ndarray, radii_m: np.ndarray | float) -> np.ndarray:
    """(...) gaps between boxes (..., 5) and circles at centres (..., 2)."""
    return points_to_box(centres, boxes) - radii_m


def box_to_box(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...) gaps between boxes (..., 5) and boxes (..., 5).

    Two rectangles overlap when none of their four edge directions separates them; apart, the nearest points of two
    convex polygons include a corner of one (Ericson: Real-Time Collision Detection, chapters 4 and 5).
    """
    a, b = np.broadcast_arrays(a, b)
    dx, dy = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    cos_a, sin_a, cos_b, sin_b = np.cos(a[..., 2]), np.sin(a[..., 2]), np.cos(b[..., 2]), np.sin(b[..., 2])
    along = np.abs(cos_a * cos_b + sin_a * sin_b)
    across = np.abs(cos_a * sin_b - sin_a * cos_b)
    separation = np.maximum.reduce([
        np.abs(cos_a * dx + sin_a * dy) - a[..., 3] - along * b[..., 3] - across * b[..., 4],
        np.abs(-sin_a * dx + cos_a * dy) - a[..., 4] - across * b[..., 3] - along * b[..., 4],
        np.abs(cos_b * dx + sin_b * dy) - b[..., 3] - along * a[..., 3] - across * a[..., 4],
        np.abs(-sin_b * dx + cos_b * dy) - b[..., 4] - across * a[..., 3] - along * a[..., 4]])
    of_corners = np.minimum(points_to_box(corners(a), b[..., None, :]).min(axis=-1),
                            points_to_box(corners(b), a[..., None, :]).min(axis=-1))
    return np.where(separation > 0.0, of_corners, separation)


def footprints(poses: np.ndarray, half_m: tuple[float, float]) -> np.ndarray:
    """(..., 5) boxes of a robot with these half extents, centred on base_link at poses (..., 3)."""
    poses = np.asarray(poses, dtype=float)
    return np.concatenate([poses, np.broadcast_to(np.asarray(half_m, dtype=float), (*poses.shape[:-1], 2))], axis=-1)


def within_bounds(boxes: np.ndarray, bounds_m: tuple[float, float, float, float]) -> np.ndarray:
    """(...) gap between boxes (..., 5) and the walls around them, bounds (x0, y0, x1, y1)."""
    points = corners(boxes)
    x0, y0, x1, y1 = bounds_m
    x, y = points[..., 0], points[..., 1]
    return np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y]).min(axis=-1)


def to_polyline(points: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (P,) of points (P, 2) to a polyline (Q, 2), Q of 1 or more, and its nearest points (P, 2)."""
    start = path[:-1] if len(path) > 1 else path
    end = path[1:] if len(path) > 1 else path
    way = end - start
    length2 = np.maximum((way**2).sum(axis=1), 1e-12)
    share = np.clip(((points[:, None, :] - start) * way).sum(axis=2) / length2, 0.0, 1.0)
    nearest = start + share[..., None] * way
    distance = np.linalg.norm(points[:, None, :] - nearest, axis=2)
    best = distance.argmin(axis=1)
    rows = np.arange(len(points))
    return distance[rows, best], nearest[rows, best]
