"""How far a thing may reach where nothing was seen of it: its back is taken to be there until it is known not to be.

Of most things one sees the faces that face the robot, and a rectangle around those ends where they do. It is turned so that it
covers no ground that was seen to be free, and grown over what is not known to be free as far as things of its width and height
measure. Planner, controllers, change check and twin all get this box, so that they keep away from a back that was never seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from jpai_agent.world.objects import KINDS, PEOPLE, YARD_KINDS

# a thing that is of no known kind is no deeper than this
DEEPEST_M = 0.8
# how well width and height are measured
WIDTH_OFF_M, TOP_OFF_M = 0.10, 0.12
# the ground behind a side is looked at in strips, at these shares of the half side; the thing ends at the first strip of which
# more than this is known: rays that pass by the side say a little about its outer parts
STEP_M, ACROSS, KNOWN_SHARE = 0.05, np.linspace(-0.9, 0.9, 9), 0.5
# directions that are tried for a rectangle, and the known free ground that makes the tightest one doubtful
TURNS_RAD, FREE_M2 = np.radians(np.arange(0.0, 90.0, 6.0)), 0.02
# so much of a rectangle's area is as bad as free ground in it
AREA_SHARE = 0.1

# tells which of points (N, 2) are known
Known = Callable[[np.ndarray], np.ndarray]
# x, y, yaw, half_x, half_y
Box = tuple[float, float, float, float, float]


@lru_cache(maxsize=1)
def _sides() -> np.ndarray:
    """(K, 3) one side, the other, height of every kind and size that stands in a yard, both ways round."""
    sizes = {size for kind in set(YARD_KINDS) - PEOPLE for size in KINDS[kind].sizes.values()}
    return np.array(sorted(sizes | {(depth, width, height) for width, depth, height in sizes}))


def depth_of(width_m: float, top_m: float) -> float:
    """How deep a thing is taken to be of which a face of this width and height was seen.

    As deep as it is wide, but not deeper than the deepest of the kinds that have such a face: what is long is seldom deep.
    """
    sides = _sides()
    alike = (np.abs(sides[:, 0] - width_m) < WIDTH_OFF_M) & (np.abs(sides[:, 2] - top_m) < TOP_OFF_M)
    return min(width_m, float(sides[alike, 1].max()) if alike.any() else DEEPEST_M)


def whole(box: Box, top_m: float, viewer: np.ndarray, known: Known) -> Box:
    """A box grown over each of its sides that nothing was seen behind.

    Args:
        top_m: How high the thing is. viewer: (2,) where the robot is; the sides that face it were seen.
        known: Which points are known to be free, or to be of another thing.
    """
    x, y, yaw, *half = box
    cos, sin = math.cos(yaw), math.sin(yaw)
    axes = np.array([[cos, sin], [-sin, cos]])
    seen_from = axes @ (viewer - [x, y])
    grown = [[0.0, 0.0], [0.0, 0.0]]
    for axis in (0, 1):
        missing_m = depth_of(2 * half[1 - axis], top_m) - 2 * half[axis]
        if missing_m < STEP_M / 2:
            continue
        steps = np.arange(STEP_M, missing_m + STEP_M, STEP_M)
        for side, way in enumerate((-1.0, 1.0)):
            if way * seen_from[axis] > half[axis]:
                continue
            out = (half[axis] + steps)[:, None, None] * way * axes[axis]
            strips = out + (ACROSS * half[1 - axis])[:, None] * axes[1 - axis] + [x, y]
            ends = known(strips.reshape(-1, 2)).reshape(len(steps), -1).mean(axis=1) > KNOWN_SHARE
            grown[axis][side] = min(float(steps[ends.argmax()]) - STEP_M if ends.any() else math.inf, missing_m)
    along, across = ((high - low) / 2 for low, high in grown)
    (x, y), (half_x, half_y) = axes.T @ (along, across) + [x, y], (h + sum(g) / 2 for h, g in zip(half, grown, strict=True))
    return float(x), float(y), yaw, half_x, half_y


def fit(xy: np.ndarray, cell_m: float, free: Known) -> Box:
    """The rectangle around the middles of cells (K, 2): the tightest one, or, where that covers ground that is known to be free,
    the one that covers least of it.

    Around two sides of a box, the tightest rectangle may be the one over their ends, with half of it before them.
    """
    (x, y), (width, height), angle_deg = cv2.minAreaRect((xy - xy[0]).astype(np.float32))
    yaw = math.radians(angle_deg)
    tightest = float(x + xy[0, 0]), float(y + xy[0, 1]), yaw, (width + cell_m) / 2, (height + cell_m) / 2
    if min(width, height) < 3 * cell_m:
        return tightest
    ground = _ground(xy, cell_m)
    ground = ground[free(ground)]
    if not len(ground):
        return tightest
    low, high, inside_m2 = _turned(xy, ground, yaw + TURNS_RAD, cell_m)
    if inside_m2[0] <= FREE_M2:
        return tightest
    best = int(np.argmin(inside_m2 + AREA_SHARE * np.prod(high - low, axis=0)))
    (u, v), (half_x, half_y), yaw = (low + high)[:, best] / 2, (high - low)[:, best] / 2, yaw + float(TURNS_RAD[best])
    cos, sin = math.cos(yaw), math.sin(yaw)
    return float(cos * u - sin * v), float(sin * u + cos * v), yaw, float(half_x), float(half_y)


def _ground(xy: np.ndarray, cell_m: float) -> np.ndarray:
    """(N, 2) middles of all cells that a rectangle around points (K, 2) may cover."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    spare = (math.hypot(*(high - low)) - (high - low).min()) / 2
    columns, rows = (np.arange(a - spare, b + spare + cell_m, cell_m) for a, b in zip(low, high, strict=True))
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)


def _turned(xy: np.ndarray, ground: np.ndarray, yaw_rad: np.ndarray, cell_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rectangles around points (K, 2) along A directions: their low and high corners (2, A) in the directions' own frames, and
    how much (A,) of the ground's cells (G, 2) they hold, clear of their rims."""
    axes = np.array([[np.cos(yaw_rad), np.sin(yaw_rad)], [-np.sin(yaw_rad), np.cos(yaw_rad)]])
    local, cells = np.einsum("kj,ija->kia", xy, axes), np.einsum("gj,ija->gia", ground, axes)
    low, high = local.min(axis=0) - cell_m / 2, local.max(axis=0) + cell_m / 2
    held = ((cells > low + cell_m) & (cells < high - cell_m)).all(axis=1)
    return low, high, held.sum(axis=0) * cell_m**2
