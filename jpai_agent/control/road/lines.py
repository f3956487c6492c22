"""Lines in the plane that are driven along: points, lengths, headings, and the nearest place on them."""

from __future__ import annotations

import math

import numpy as np


class Line:
    """A polyline with its length along it.

    Attributes:
        points: (P, 2). along_m: (P,) length from the start. yaw_rad: (P,) heading, unwrapped. length_m: the whole length.
    """

    def __init__(self, points: np.ndarray, spacing_m: float | None = None) -> None:
        """points: (P, 2), repeated ones are left out. spacing_m: have points so far apart instead, the last one at the end."""
        points = np.asarray(points, dtype=float)
        steps = np.hypot(*np.diff(points, axis=0).T)
        keep = np.r_[True, steps > 1e-6]
        points = points[keep]
        along = np.r_[0.0, np.cumsum(steps[keep[1:]])] if len(points) > 1 else np.zeros(1)
        if spacing_m is not None and len(points) > 1:
            at = np.r_[np.arange(0.0, along[-1] - 1e-6, spacing_m), along[-1]]
            if len(at) > 2 and at[-1] - at[-2] < spacing_m / 2:
                at = np.delete(at, -2)
            points, along = np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], axis=1), at
        self.points, self.along_m, self.length_m = points, along, float(along[-1])
        self.yaw_rad = _headings(points)

    def at(self, along_m: np.ndarray | float, offset_m: np.ndarray | float = 0.0) -> np.ndarray:
        """(..., 3) x, y, yaw at these lengths, offset_m to the left; before and beyond the line it goes straight on."""
        along, offset = np.broadcast_arrays(np.asarray(along_m, dtype=float), np.asarray(offset_m, dtype=float))
        inside = np.clip(along, 0.0, self.length_m)
        x, y, yaw = (np.interp(inside, self.along_m, values) for values in (*self.points.T, self.yaw_rad))
        over = along - inside
        c, s = np.cos(yaw), np.sin(yaw)
        return np.stack([x + over * c - offset * s, y + over * s + offset * c, yaw], axis=-1)

    def part(self, from_m: float, to_m: float) -> np.ndarray:
        """(P, 2) the points from from_m to to_m, both included."""
        between = self.points[(self.along_m > from_m + 1e-6) & (self.along_m < to_m - 1e-6)]
        return np.concatenate([self.at(from_m)[None, :2], between, self.at(to_m)[None, :2]])

    def nearest(self, x_m: float, y_m: float) -> tuple[float, float]:
        """(along, offset) of the place on the line that is nearest to a point; offset is the distance, positive left of it.

        Of a point that lies beyond an end the offset is that from the line gone on straight.
        """
        if len(self.points) == 1:
            return 0.0, math.dist(self.points[0], (x_m, y_m))
        start, step = self.points[:-1], np.diff(self.points, axis=0)
        to = np.array([x_m, y_m]) - start
        share = np.clip((to * step).sum(axis=1) / (step**2).sum(axis=1), 0.0, 1.0)
        apart = to - share[:, None] * step
        i = int(np.argmin((apart**2).sum(axis=1)))
        length = self.along_m[i + 1] - self.along_m[i]
        side = (step[i, 0] * to[i, 1] - step[i, 1] * to[i, 0]) / length
        beyond = (i == 0 and share[i] == 0.0) or (i == len(step) - 1 and share[i] == 1.0)
        offset = side if beyond else math.copysign(math.hypot(*apart[i]), side)
        return float(self.along_m[i] + share[i] * length), float(offset)


def _headings(points: np.ndarray) -> np.ndarray:
    """(P,) headings: of the pieces at the ends, between them that of the two pieces beside, by their lengths."""
    if len(points) < 2:
        return np.zeros(len(points))
    step = np.diff(points, axis=0)
    length, yaw = np.hypot(*step.T), np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    # a short piece says more of the heading at the point beside it
    inner = (yaw[:-1] * length[1:] + yaw[1:] * length[:-1]) / (length[:-1] + length[1:])
    return np.r_[yaw[0], inner, yaw[-1]]


def runs(inside: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each stretch of True in (P,)."""
    edges = np.flatnonzero(np.diff(np.r_[0, inside.astype(int), 0]))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
