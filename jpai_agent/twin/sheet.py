"""Flat-coloured and pictured polygons gathered into one mesh, so that a whole street costs a handful of draw calls.

A sheet's polygons take their colours from one atlas picture: plain colours from its palette cells, words and facades
from named regions of it. Positions are metres in the map frame; texture coordinates have (0, 0) at a picture's top left.
"""

from __future__ import annotations

from functools import lru_cache

import mujoco
import numpy as np

Region = tuple[float, float, float, float]


class Sheet:
    """Polygons with texture coordinates; `emit` makes one mesh geom of them."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._uv: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._count = 0

    def add(self, polygons: np.ndarray, uv: np.ndarray) -> None:
        """Convex polygons of equal number of corners, (n, k, 3), counter-clockwise from outside, and (n, k, 2) or (2,)."""
        n, k, _ = polygons.shape
        first = self._count + k * np.arange(n)[:, None, None]
        self._vertices.append(polygons.reshape(-1, 3))
        self._uv.append(np.broadcast_to(uv, (n, k, 2)).reshape(-1, 2))
        self._faces.append((first + _fan(k)).reshape(-1, 3))
        self._count += n * k

    def flat(self, polygons: np.ndarray, z: float, uv: np.ndarray) -> None:
        """The same for polygons (n, k, 2) that lie at height z and are seen from above."""
        self.add(np.concatenate([polygons, np.full((*polygons.shape[:2], 1), z)], axis=2), uv)

    def tiled(self, polygons: np.ndarray, z: float, tile_m: float) -> None:
        """Flat polygons (n, k, 2) under a picture that repeats every tile_m metres."""
        self.flat(polygons, z, polygons / tile_m)

    def emit(self, spec: mujoco.MjSpec, name: str, material: str, group: int) -> None:
        """One mesh geom of that name in the world body; nothing when the sheet is empty."""
        if not self._count:
            return
        mesh = spec.add_mesh(
            name=name,
            uservert=np.concatenate(self._vertices).ravel(),
            usertexcoord=np.concatenate(self._uv).ravel(),
            userface=np.concatenate(self._faces).ravel(),
        )
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        spec.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=material, rgba=[1, 1, 1, 1], contype=0,
            conaffinity=0, group=group, mass=0.0,
        )


@lru_cache(maxsize=16)
def _fan(corners: int) -> np.ndarray:
    """The triangles (1, corners − 2, 3) of a polygon."""
    return np.array([[[0, i, i + 1] for i in range(1, corners - 1)]])


def strip(line: np.ndarray, right_m: float, left_m: float) -> np.ndarray:
    """The band beside a line of points (P, 2) from right_m to left_m, both counted to the left of it: (P − 1, 4, 2)."""
    direction = np.gradient(line, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    right, left = line + right_m * normal, line + left_m * normal
    return np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)


def straightened(line: np.ndarray, tolerance: float = 1e-3) -> np.ndarray:
    """The line (P, 2) without the points in which its direction hardly changes."""
    steps = np.diff(line, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    bends = np.abs(steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]) > tolerance
    return line[np.concatenate([[True], bends, [True]])]


def raised(edges: np.ndarray, height_m: float) -> np.ndarray:
    """Upright faces (n, 4, 3) on edges (n, 2, 2) of the ground; seen from outside, an edge's first point is on the left."""
    low = np.concatenate([edges, np.zeros((*edges.shape[:2], 1))], axis=2)
    return np.concatenate([low, (low + np.array([0, 0, height_m]))[:, ::-1]], axis=1)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """(1, 4, 2)."""
    return np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]])


def placed(shape: np.ndarray, x: float, y: float, yaw_rad: float) -> np.ndarray:
    """Polygons (n, k, 2) or (n, k, 3) turned by yaw and moved to (x, y)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    out = shape.copy()
    out[..., 0] = x + c * shape[..., 0] - s * shape[..., 1]
    out[..., 1] = y + s * shape[..., 0] + c * shape[..., 1]
    return out


def region_uv(region: Region) -> np.ndarray:
    """(1, 4, 2) for a polygon that starts at its lower left corner, as it is looked at, and goes round counter-clockwise."""
    u0, v0, u1, v1 = region
    return np.array([[[u0, v1], [u1, v1], [u1, v0], [u0, v0]]])
