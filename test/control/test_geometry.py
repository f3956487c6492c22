"""Gaps between the footprint and boxes: never too large, exact face to face, negative where they overlap."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plant import HALF_M

from jpai_agent.control.geometry import box_distance_m, footprint_gap_m, outline, placed, wrap


@pytest.mark.parametrize(("angle", "wrapped"), [(0.0, 0.0), (2 * math.pi + 0.1, 0.1), (-3.5, 2 * math.pi - 3.5),
                                                (7 * math.pi, -math.pi)])
def test_angles_wrap(angle, wrapped):
    assert float(wrap(angle)) == pytest.approx(wrapped)


def test_the_gap_face_to_face_is_exact():
    pose, box = np.array([0.0, 0.0, 0.0]), np.array([2.0, 0.1, 0.0, 0.4, 0.3])
    assert footprint_gap_m(pose, HALF_M, box) == pytest.approx(2.0 - 0.4 - HALF_M[0])


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-2, 2), y=st.floats(-2, 2), yaw=st.floats(-3.1, 3.1), turn=st.floats(-3.1, 3.1),
       half_x=st.floats(0.1, 0.8), half_y=st.floats(0.1, 0.8))
def test_the_gap_is_never_too_large(x, y, yaw, turn, half_x, half_y):
    pose, box = np.array([x, y, yaw]), np.array([0.0, 0.0, turn, half_x, half_y])
    gap = float(footprint_gap_m(pose, HALF_M, box))
    edges = placed(outline(2 * HALF_M[0], 2 * HALF_M[1], 0.02), pose)
    true = float(box_distance_m(edges, box).min())
    assert gap <= true + 1e-6
    if gap > 0.0:
        assert gap > 0.6 * true - 0.02


def test_it_broadcasts_over_robots_poses_and_boxes():
    gaps = footprint_gap_m(np.zeros((4, 6, 1, 3)), HALF_M, np.ones((1, 1, 5, 5)))
    assert gaps.shape == (4, 6, 5)
