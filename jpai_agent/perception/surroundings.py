"""What the two kinds of surroundings, yard and street, offer to `Perception`, and how things keep their names."""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np

from jpai_agent.world.scene import Mover, Obstacle
from jpai_agent.world.sensors import DepthImage, LidarScan


class Surroundings(Protocol):
    """Keeps what stands and moves around a robot. Poses are (3,): `pose` of base_link in odom, `map_from_odom` of odom in map."""

    def take_scan(self, scan: LidarScan, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a turn of the lidar."""

    def take_depth(self, depth: DepthImage, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a depth frame."""

    def things(self, map_from_odom: np.ndarray, now_s: float) -> tuple[list[Obstacle], list[Mover]]:
        """What stands and what moves, in the map frame."""


class Names:
    """Gives things the names that they had in the last scene, or new ones."""

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}
        self._serial = itertools.count(1)

    def remember(self, things: dict[str, np.ndarray]) -> None:
        """The places (2,) of the scene's things by name: what the next names are taken from."""
        self._known = things

    def of(self, centres: np.ndarray, taken: set[str], same_m: float | np.ndarray) -> list[str]:
        """Names for the things at centres (N, 2): each that of the nearest known thing within same_m (scalar or (N,)) that is
        not taken, or a new one."""
        known = [name for name in self._known if name not in taken]
        names = [""] * len(centres)
        if known and len(centres):
            gaps = np.linalg.norm(centres[:, None, :] - np.array([self._known[name] for name in known])[None], axis=2)
            near = gaps < np.broadcast_to(same_m, len(centres))[:, None]
            rows, columns = np.nonzero(near)
            for at in np.argsort(gaps[rows, columns], kind="stable"):
                row, column = rows[at], columns[at]
                if not names[row] and known[column]:
                    names[row], known[column] = known[column], ""
        return [name or f"thing-{next(self._serial)}" for name in names]
