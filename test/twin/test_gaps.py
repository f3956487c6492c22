"""Distances in the plane: those of MuJoCo's own geometry for any two shapes, signed, broadcast."""

import math

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpai_agent.twin import gaps

MODEL = mujoco.MjModel.from_xml_string("""<mujoco><worldbody>
    <body mocap="true"><geom type="box" size="1 1 1"/></body><body mocap="true"><geom type="box" size="1 1 1"/></body>
    <body mocap="true"><geom type="cylinder" size="1 1"/></body></worldbody></mujoco>""")
coordinate = st.floats(-3.0, 3.0)
half = st.floats(0.05, 1.5)
box = st.tuples(coordinate, coordinate, st.floats(-math.pi, math.pi), half, half)


def by_mujoco(a, b=None, circle=None) -> float:
    data = mujoco.MjData(MODEL)
    for row, shape in enumerate((a, b)):
        if shape is not None:
            x, y, yaw, half_x, half_y = shape
            MODEL.geom_size[row] = half_x, half_y, 10.0
            data.mocap_pos[row] = x, y, 0.0
            data.mocap_quat[row] = math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)
    if circle is not None:
        x, y, radius = circle
        MODEL.geom_size[2, :2] = radius, 10.0
        data.mocap_pos[2] = x, y, 0.0
    mujoco.mj_kinematics(MODEL, data)
    return mujoco.mj_geomDistance(MODEL, data, 0, 1 if b is not None else 2, 20.0, np.zeros(6))


def agree(gap: float, measured: float) -> None:
    # of two shapes deep in each other MuJoCo's depth is approximate
    assert max(gap, 0.0) == pytest.approx(max(measured, 0.0), abs=1e-4)
    assert gap < 1e-4 or measured > 0


@given(box, box)
def test_the_gap_of_two_boxes_is_what_mujoco_measures(a, b):
    agree(float(gaps.box_to_box(np.array(a), np.array(b))), by_mujoco(a, b))


@given(box, coordinate, coordinate, half)
def test_the_gap_of_a_box_and_a_circle_is_what_mujoco_measures(a, x, y, radius):
    agree(float(gaps.box_to_circle(np.array(a), np.array([x, y]), radius)), by_mujoco(a, circle=(x, y, radius)))


def test_overlap_is_negative_by_its_depth():
    assert gaps.box_to_box(np.array([0, 0, 0, 1, 1]), np.array([1.8, 0, 0, 1, 1])) == pytest.approx(-0.2)
    # a cross: no corner of one lies in the other
    assert gaps.box_to_box(np.array([0, 0, 0, 2, 0.1]), np.array([0, 0, math.pi / 2, 2, 0.1])) < 0


def test_leading_axes_broadcast():
    poses = np.zeros((7, 5, 3))
    boxes = np.tile([3.0, 0, 0, 0.5, 0.5], (5, 4, 1))
    assert gaps.box_to_box(gaps.footprints(poses, (0.35, 0.25))[:, :, None], boxes).shape == (7, 5, 4)


def test_the_gap_to_the_walls_is_that_of_the_nearest_corner():
    robot = gaps.footprints(np.array([11.0, 0.0, math.pi / 2]), (0.35, 0.25))
    assert gaps.within_bounds(robot, (-12, -8, 12, 8)) == pytest.approx(0.75)


def test_an_outline_goes_round_the_box_without_gaps():
    points = gaps.outline(np.array([[1.0, 2.0, 0.5, 0.8, 0.05]]), 0.1)
    steps = np.linalg.norm(np.diff(np.vstack([points, points[:1]]), axis=0), axis=1)
    assert steps.max() <= 0.1 + 1e-9
    assert gaps.points_to_box(points, np.array([1.0, 2.0, 0.5, 0.8, 0.05])) == pytest.approx(0.0, abs=1e-9)


def test_distance_to_a_polyline_is_to_its_nearest_segment():
    path = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    distance, nearest = gaps.to_polyline(np.array([[1.0, 1.0], [3.0, 1.5], [-1.0, 0.0]]), path)
    assert distance == pytest.approx([1.0, 1.0, 1.0])
    assert nearest[1] == pytest.approx([2.0, 1.5])
    assert gaps.to_polyline(np.array([[3.0, 4.0]]), np.zeros((1, 2)))[0] == pytest.approx([5.0])
