"""Rules of a place: zones that no robot may enter and the top speed there, read from `config/zones/<world>.yaml`."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

# corners that bend back by less than this count as straight
_STRAIGHT = 1e-9


@dataclass(frozen=True)
class Zone:
    """A convex polygon that robots keep out of.

    Attributes:
        id: Names it in programs and logs. name: as a refusal calls it, Japanese.
        polygon_m: Its corners (x, y) in the map frame, counter-clockwise.

    Raises ValueError for fewer than three corners, numbers that are not finite, no area, or a polygon that is not convex.
    """

    id: str
    name: str
    polygon_m: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        corners = np.array(self.polygon_m, dtype=float)
        if corners.ndim != 2 or corners.shape[0] < 3 or corners.shape[1] != 2 or not np.isfinite(corners).all():
            raise ValueError(f"zone {self.id!r}: a polygon is three or more finite corners (x, y)")
        ahead = np.roll(corners, -1, axis=0) - corners
        after = np.roll(ahead, -1, axis=0)
        bends = ahead[:, 0] * after[:, 1] - ahead[:, 1] * after[:, 0]
        turned = np.arctan2(bends, (ahead * after).sum(axis=1)).sum()
        if not (np.abs(ahead).sum(axis=1) > _STRAIGHT).all():
            raise ValueError(f"zone {self.id!r}: two corners in one place")
        both_ways = bends.min() < -_STRAIGHT < _STRAIGHT < bends.max()
        if abs(bends).max() <= _STRAIGHT or both_ways or abs(turned) > 2 * math.pi + 0.1:
            raise ValueError(f"zone {self.id!r}: the polygon is not convex or has no area; split it")
        if bends.sum() < 0:
            object.__setattr__(self, "polygon_m", tuple(reversed(self.polygon_m)))

    @cached_property
    def _edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Corners (E, 2), the way (E, 2) from each to the next, and outward normals (E, 2)."""
        corners = np.array(self.polygon_m, dtype=float)
        ahead = np.roll(corners, -1, axis=0) - corners
        normal = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
        return corners, ahead, normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def distance_m(self, points: np.ndarray) -> np.ndarray:
        """(...) distance of points (..., 2) of the map to the zone, negative by the depth inside."""
        corners, ahead, normal = self._edges
        away = points[..., None, :] - corners
        beyond = (away * normal).sum(axis=-1).max(axis=-1)
        share = np.clip((away * ahead).sum(axis=-1) / (ahead**2).sum(axis=1), 0.0, 1.0)
        nearest = np.linalg.norm(away - share[..., None] * ahead, axis=-1).min(axis=-1)
        return np.where(beyond <= 0.0, beyond, nearest)

    def gap_m(self, poses: np.ndarray, half_m: tuple[float, float], center_x_m: float = 0.0) -> np.ndarray:
        """(...) gap between the zone and a rectangular footprint at poses (..., 3) x, y, yaw of base_link.

        Negative by the depth of overlap; apart it is exact side to side and too small by at most 30 % corner to corner.

        Args:
            half_m: Half length and half width. center_x_m: how far the footprint's middle is ahead of base_link.
        """
        corners, _, normal = self._edges
        cos, sin = np.cos(poses[..., 2]), np.sin(poses[..., 2])
        middle = np.stack([poses[..., 0] + center_x_m * cos, poses[..., 1] + center_x_m * sin], axis=-1)
        ahead, aside = np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)
        # separating axes: along the zone's normals, then along the footprint's
        reach = np.abs(ahead @ normal.T) * half_m[0] + np.abs(aside @ normal.T) * half_m[1]
        gap = (middle @ normal.T - (corners * normal).sum(axis=1) - reach).max(axis=-1)
        away = corners - middle[..., None, :]
        for axis, half in ((ahead, half_m[0]), (aside, half_m[1])):
            along = (away * axis[..., None, :]).sum(axis=-1)
            gap = np.maximum(gap, np.maximum(along.min(axis=-1), -along.max(axis=-1)) - half)
        return gap


@dataclass(frozen=True)
class SiteRules:
    """The rules of a place: `zones` to keep out of, and `speed_limit_mps` (inf where only the robot's own limits hold)."""

    zones: tuple[Zone, ...] = ()
    speed_limit_mps: float = math.inf

    def __post_init__(self) -> None:
        if not self.speed_limit_mps > 0.0:
            raise ValueError(f"speed_limit_mps must be positive, not {self.speed_limit_mps}")
        ids = [zone.id for zone in self.zones]
        if len(set(ids)) < len(ids):
            raise ValueError(f"zone ids used twice: {', '.join(sorted({i for i in ids if ids.count(i) > 1}))}")

    @cached_property
    def sha256(self) -> str:
        """Hash of the rules, whatever their file looks like: corners and speed as they are read, ids and names."""
        return hashlib.sha256(json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def holding(self, points: np.ndarray) -> Zone | None:
        """The first zone that a point (2,), or one of points (P, 2), lies in; None where none does."""
        return next((zone for zone in self.zones if bool((zone.distance_m(points) < 0.0).any())), None)

    def entered(self, poses: np.ndarray, half_m: tuple[float, float], center_x_m: float = 0.0, gap_m: float = 0.0) -> Zone | None:
        """The first zone that a footprint comes nearer to than gap_m at one of its poses (P, 3); None where it does not."""
        if not len(poses):
            return None
        return next((zone for zone in self.zones if bool((zone.gap_m(poses, half_m, center_x_m) < gap_m).any())), None)

    def beyond(self, pose: np.ndarray, half_m: tuple[float, float], center_x_m: float = 0.0) -> SiteRules:
        """The rules less the zones that a footprint at pose (3,) stands in already: it may leave them."""
        outside = tuple(zone for zone in self.zones if float(zone.gap_m(pose, half_m, center_x_m)) >= 0.0)
        return self if len(outside) == len(self.zones) else SiteRules(outside, self.speed_limit_mps)


def load_rules(path: Path) -> SiteRules:
    """The rules in a file; none where there is no file. Raises ValueError naming the file and what is wrong."""
    if not path.is_file():
        return SiteRules()
    data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        if not isinstance(data, dict) or set(data) != {"speed_limit_mps", "keep_out"}:
            raise ValueError("needs exactly speed_limit_mps and keep_out")
        zones = tuple(Zone(str(z.pop("id")), str(z.pop("name")), tuple((float(x), float(y)) for x, y in z.pop("polygon_m")), **z)
                      for z in data["keep_out"] or ())
        limit = data["speed_limit_mps"]
        return SiteRules(zones, math.inf if limit is None else float(limit))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: {error}") from error
