"""The people of the rollouts: how they walk among robots, and what the controllers are told of them."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.twin.config import PeopleSpread
from jpai_agent.twin.gaps import footprints, points_to_box
from jpai_agent.twin.perturb import Perturbation

# a tracker's velocity follows the true one with this lag
TRACKER_LAG_S = 0.4


class Crowd:
    """M movers in each of N rollouts. They walk on blindly before a moving robot, and around one that stands.

    Attributes:
        xy: (N, M, 2) where they truly are, map frame.
    """

    def __init__(self, draw: Perturbation, people: PeopleSpread, bounds_m: tuple[float, float, float, float],
                 half_m: tuple[float, float], standing_mps: float, tick_s: float, rng: np.random.Generator) -> None:
        self.xy = draw.mover_xy.copy()
        self._draw, self._people, self._half_m, self._tick_s, self._rng = draw, people, half_m, tick_s, rng
        self._standing_mps = standing_mps
        self._low, self._high = np.array(bounds_m[:2]) + 0.3, np.array(bounds_m[2:]) - 0.3
        self._tracked = draw.mover_velocity[:, :, 0].copy()
        self._keep = math.exp(-tick_s / TRACKER_LAG_S)

    def advance(self, tick: int, poses: np.ndarray, speed_mps: np.ndarray) -> None:
        """Walk through one tick; robots are at poses (N, 3) with speed_mps (N,)."""
        wanted = self._draw.mover_velocity[:, :, min(tick, self._draw.mover_velocity.shape[2] - 1)]
        goal = np.clip(self.xy + wanted * self._tick_s, self._low, self._high)
        feet = footprints(poses, self._half_m)[:, None]
        room_m = self._people.pass_standing_m + self._draw.mover_radii_m
        wide = feet + np.array([0.0, 0.0, 0.0, 1.0, 1.0]) * room_m[:, None]
        inside = (points_to_box(goal, wide) < 0.0) & (speed_mps < self._standing_mps)[:, None]
        blocked = inside & (points_to_box(goal, feet) < points_to_box(self.xy, feet))
        if blocked.any():
            goal = np.where(blocked[..., None], self._around(goal, poses), goal)
        self._tracked += (1.0 - self._keep) * ((goal - self.xy) / self._tick_s - self._tracked)
        self.xy = goal

    def _around(self, goal: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """Where a step that leads towards a standing robot goes instead: as far, but sideways."""
        away = self.xy - poses[:, None, :2]
        away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
        step = goal - self.xy
        side = np.stack([-away[..., 1], away[..., 0]], axis=-1)
        side *= np.where((side * step).sum(axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
        return self.xy + side * np.linalg.norm(step, axis=-1, keepdims=True)

    def told(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities (N, M, 2) as perception would have them."""
        sigma_m = 0.5 * self._draw.mover_sigma_m[:, None]
        noise = self._rng.normal(size=self.xy.shape) * sigma_m
        noise[0] = 0.0
        return self.xy + noise, self._tracked + self._draw.mover_velocity_errors

    def seen(self, poses: np.ndarray) -> np.ndarray:
        """(N, M) whether each is near enough to robots at poses (N, 3) to be known."""
        return np.linalg.norm(self.xy - poses[:, None, :2], axis=-1) <= self._people.seen_within_m
