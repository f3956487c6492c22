"""Rectangles around what is seen of things."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.perception.boxes import fit_rect

CELL_M = 0.15


def two_sides(length_m: float, width_m: float, yaw_rad: float, seed: int) -> np.ndarray:
    """Points on an end and a side of a vehicle whose middle is the origin, a little off."""
    along = np.arange(-length_m / 2, length_m / 2, CELL_M)
    across = np.arange(-width_m / 2, width_m / 2, CELL_M)
    points = np.concatenate([np.stack([along, np.full(len(along), -width_m / 2)], axis=1),
                             np.stack([np.full(len(across), -length_m / 2), across], axis=1)])
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return points @ np.array([[cos, sin], [-sin, cos]]) + np.random.default_rng(seed).normal(0.0, 0.04, points.shape)


@pytest.mark.parametrize("yaw_deg", [-12.0, -6.0, 0.0, 9.0, 40.0])
@pytest.mark.parametrize("seed", range(3))
def test_of_a_bus_an_end_and_a_side_give_its_place_and_heading(yaw_deg: float, seed: int) -> None:
    rect = fit_rect(two_sides(10.5, 2.5, math.radians(yaw_deg), seed), CELL_M, 0.0)
    off = math.remainder(rect.yaw_rad - math.radians(yaw_deg), math.pi)
    assert abs(math.degrees(off)) < 6.5 and math.hypot(rect.x_m, rect.y_m) < 0.35
    assert (rect.half_x_m, rect.half_y_m) == (pytest.approx(5.25, abs=0.35), pytest.approx(1.25, abs=0.35))
