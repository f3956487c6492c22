"""Fit rectangles to what is seen of things, and complete what is seen of a vehicle to a plausible whole.

Of a thing one sees the sides that face the viewer. Rectangles that follow the road's direction are preferred where they fit
about as well (vehicles and houses nearly always do); the hidden depth of a vehicle is assumed away from the viewer, at most
as far as nothing was seen to be free there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

# tops and faces of what may be a vehicle
VEHICLE_TOP_M, VEHICLE_FACE_M = (1.15, 3.3), (1.3, 11.5)
# widest face of an end of a car, of a truck
_CAR_END_M, _TRUCK_END_M = 2.05, 2.9
_CAR, _TRUCK = (4.2, 1.7), (7.5, 2.4)
_LONGEST_CAR_M = 5.2
# larger than a vehicle and not thin: split
_LONG_M, _WIDE_M, _THIN_M = 12.5, 3.4, 1.5
# from this size on two sides of a thing are told apart, at angles this fine; points farther inside are all alike
_SIDES_M, _TURN_RAD, _INSIDE_M = 2.5, math.radians(3.0), 0.6


@dataclass(frozen=True)
class Rect:
    """A rectangle: middle, heading of its longer side, half extents with half_x_m >= half_y_m."""

    x_m: float
    y_m: float
    yaw_rad: float
    half_x_m: float
    half_y_m: float

    @property
    def axes(self) -> np.ndarray:
        """(2, 2) unit vectors along and across, as rows."""
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[cos, sin], [-sin, cos]])

    def local(self, xy: np.ndarray) -> np.ndarray:
        """Points (N, 2) along its axes, from its middle."""
        return (xy - [self.x_m, self.y_m]) @ self.axes.T

    def gaps(self, xy: np.ndarray) -> np.ndarray:
        """(N,) distances of points (N, 2) from it, 0 inside."""
        return np.hypot(*np.maximum(np.abs(self.local(xy)) - [self.half_x_m, self.half_y_m], 0.0).T)

    def holds(self, xy: np.ndarray, margin_m: float | np.ndarray, beside_m: float | np.ndarray | None = None) -> np.ndarray:
        """(N,) whether points (N, 2) lie in it or within a margin; beside_m: the margin across, by default the same."""
        over = np.abs(self.local(xy)) - [self.half_x_m, self.half_y_m]
        return (over[:, 0] < margin_m) & (over[:, 1] < (margin_m if beside_m is None else beside_m))


def fit_rect(xy: np.ndarray, cell_m: float, hint_rad: float | None) -> Rect:
    """The rectangle around points (K, 2) with half a cell to spare.

    hint_rad: direction that is taken when the rectangle along it is hardly larger.
    """
    (x, y), (width, height), angle_deg = cv2.minAreaRect((xy - xy[0]).astype(np.float32))
    width, height = width + cell_m, height + cell_m
    if max(width, height) > _SIDES_M:
        # of a large thing one sees two sides, and a rectangle over their ends is as tight as one along them
        return _along_sides(xy, cell_m, hint_rad)
    if hint_rad is not None:
        along_road = _around(xy, cell_m, hint_rad)
        # a ragged rim of cells makes the tightest rectangle lean
        if 4 * along_road.half_x_m * along_road.half_y_m <= 1.15 * width * height + 0.4 * (width + height) * cell_m:
            return along_road
    return _oriented(x + xy[0, 0], y + xy[0, 1], math.radians(angle_deg), width / 2, height / 2)


def _along_sides(xy: np.ndarray, cell_m: float, hint_rad: float | None) -> Rect:
    """The rectangle to whose sides points (K, 2) lie nearest, or the one along the hint where that does nearly as well.

    The closeness criterion of Zhang et al., Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners (IV 2017).
    """
    angles = np.arange(0.0, math.pi / 2, _TURN_RAD) + (hint_rad or 0.0)
    local = xy @ np.array([np.cos(angles), np.sin(angles)]), xy @ np.array([-np.sin(angles), np.cos(angles)])
    away = np.full(local[0].shape, _INSIDE_M)
    for side in local:
        away = np.minimum(away, np.minimum(side - side.min(axis=0), side.max(axis=0) - side))
    mean = away.mean(axis=0)
    best = 0 if hint_rad is not None and mean[0] < mean.min() + cell_m / 4 else int(np.argmin(mean))
    return _around(xy, cell_m, float(angles[best]))


def _around(xy: np.ndarray, cell_m: float, angle_rad: float) -> Rect:
    """The rectangle around points (K, 2) along a direction."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    local = xy @ np.array([[cos, -sin], [sin, cos]])
    low, high = local.min(axis=0) - cell_m / 2, local.max(axis=0) + cell_m / 2
    (x, y), (half_x, half_y) = ((low + high) / 2).tolist(), ((high - low) / 2).tolist()
    return _oriented(cos * x - sin * y, sin * x + cos * y, angle_rad, half_x, half_y)


def split(xy: np.ndarray, cell_m: float, hint_rad: float | None) -> list[tuple[np.ndarray, Rect]]:
    """Rectangles that cover points (K, 2) without covering much else, each with the indices of its points."""
    whole = fit_rect(xy, cell_m, hint_rad)
    left = [(np.arange(len(xy)), whole)]
    done = []
    while left:
        at, rect = left.pop()
        long_m, wide_m = 2 * rect.half_x_m, 2 * rect.half_y_m
        if wide_m <= _THIN_M or (wide_m <= _WIDE_M and long_m <= _LONG_M) or len(at) < 4:
            done.append((at, rect))
            continue
        along = rect.local(xy[at])[:, 0]
        near = along < np.median((along.min(), along.max()))
        if near.all() or not near.any():
            done.append((at, rect))
            continue
        left += [(part, fit_rect(xy[part], cell_m, hint_rad)) for part in (at[near], at[~near])]
    return done


def completed(rect: Rect, top_m: float, viewer: np.ndarray, seen_free: Callable[[np.ndarray, float], np.ndarray]) -> Rect:
    """The rectangle with the hidden rest of a vehicle, when what is seen may be the face of one; else as it is.

    Args:
        viewer: (2,) from where it was seen. seen_free: tells of points (N, 2) and a height whether they were looked through.
    """
    face, depth = 2 * rect.half_x_m, 2 * rect.half_y_m
    if not (VEHICLE_TOP_M[0] <= top_m <= VEHICLE_TOP_M[1] and VEHICLE_FACE_M[0] <= face <= VEHICLE_FACE_M[1]):
        return rect
    if depth < 1.2 and face <= _TRUCK_END_M:
        # an end: the length lies behind it
        wanted = _CAR[0] if face <= _CAR_END_M else _TRUCK[0]
        return _deepened(rect, 1, wanted, viewer, top_m, seen_free)
    if depth < 1.2:
        return _deepened(rect, 1, _CAR[1] if face <= _LONGEST_CAR_M else _TRUCK[1], viewer, top_m, seen_free)
    if face < 3.4 and depth < _TRUCK_END_M:
        # an end and a piece of the side
        return _deepened(rect, 0, 3.4, viewer, top_m, seen_free)
    return rect


def _deepened(rect: Rect, axis: int, wanted_m: float, viewer: np.ndarray, top_m: float,
              seen_free: Callable[[np.ndarray, float], np.ndarray]) -> Rect:
    """The rectangle with wanted_m along one axis, grown away from the viewer over what was not seen to be free."""
    halves = np.array([rect.half_x_m, rect.half_y_m])
    away = -np.sign(rect.local(viewer[None, :])[0, axis]) or 1.0
    steps = np.arange(0.3, wanted_m - 2 * halves[axis] + 0.15, 0.3)
    if not len(steps):
        return rect
    local = np.zeros((len(steps), 3, 2))
    local[..., axis] = (away * (halves[axis] + steps))[:, None]
    local[..., 1 - axis] = np.array([-0.6, 0.0, 0.6]) * halves[1 - axis]
    points = np.array([rect.x_m, rect.y_m]) + local @ rect.axes
    free = seen_free(points.reshape(-1, 2), top_m).reshape(len(steps), 3).any(axis=1)
    more = float(steps[int(np.argmax(free)) - 1] if free.any() and free.argmax() > 0 else 0.0 if free.any() else steps[-1])
    middle = np.array([rect.x_m, rect.y_m]) + rect.axes[axis] * away * more / 2
    halves[axis] += more / 2
    return _oriented(float(middle[0]), float(middle[1]), rect.yaw_rad, float(halves[0]), float(halves[1]))


def _oriented(x: float, y: float, yaw_rad: float, half_x: float, half_y: float) -> Rect:
    if half_y > half_x:
        yaw_rad, half_x, half_y = yaw_rad + math.pi / 2, half_y, half_x
    return Rect(float(x), float(y), math.remainder(yaw_rad, math.pi), float(half_x), float(half_y))
