"""Paths: clear of everything, smooth, the same every time, or an error that says why there is none."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plant import CART, HALF_M, YARD

from jpai_agent.control.geometry import box_distance_m, footprint_gap_m, wrap
from jpai_agent.control.paths import PERSON_GAP_M, STEP_M, ProgramError, Surroundings, headings, resample

NOBODY = np.zeros((0, 4))


def around(*boxes, people=NOBODY):
    return Surroundings(CART, YARD.bounds_m, np.array(boxes, dtype=float).reshape(-1, 5), np.array(people).reshape(-1, 4))


def poses(path):
    return np.concatenate([path, headings(path)[:, None]], axis=1)


def test_nothing_in_the_way_is_a_straight_line():
    path = around().plan(np.array([0.0, 0.0]), np.array([4.0, 3.0]))
    assert np.allclose(path[[0, -1]], [[0, 0], [4, 3]])
    assert np.abs(path[:, 1] - 0.75 * path[:, 0]).max() < 0.1
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() < 5.05


def test_points_are_evenly_spaced():
    path = around((2, 0, 0, 0.5, 0.5)).plan(np.zeros(2), np.array([4.0, 0.0]))
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() <= STEP_M + 1e-6
    assert steps.min() > 0.8 * STEP_M


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_footprint_clears_every_obstacle_and_the_walls(seed):
    rng = np.random.default_rng(seed)
    boxes = np.stack([rng.uniform(-9, 9, 12), rng.uniform(-6, 6, 12), rng.uniform(-3, 3, 12),
                      rng.uniform(0.1, 0.6, 12), rng.uniform(0.1, 0.6, 12)], axis=1)
    start, goal = np.array([-11.0, 0.0]), np.array([11.0, rng.uniform(-5, 5)])
    assume(box_distance_m(np.stack([start, goal])[:, None], boxes).min() > 0.6)
    where = around(*boxes)
    path = where.plan(start, goal)
    assert footprint_gap_m(poses(path)[:, None], HALF_M, boxes).min() > 0.02
    assert where.free(poses(path))
    turned = np.abs(wrap(np.diff(headings(path))))
    assert turned.max() < np.radians(25)


def test_the_same_question_gets_the_same_path():
    ask = ((2, 0.3, 0.2, 0.5, 0.5), (4, -1, 0, 0.3, 0.9))
    first, again = (around(*ask).plan(np.zeros(2), np.array([7.0, 0.0])) for _ in range(2))
    assert np.array_equal(first, again)


def test_people_who_stand_are_given_room():
    where = around(people=[(3.0, 0.0, 0.35, PERSON_GAP_M)])
    path = where.plan(np.zeros(2), np.array([6.0, 0.0]))
    gap = np.hypot(path[:, 0] - 3.0, path[:, 1]) - 0.35 - HALF_M[1]
    assert gap.min() >= PERSON_GAP_M - 0.03


def test_a_narrow_gap_is_taken_only_where_the_footprint_fits():
    # a wall across the yard with a door in it
    def door(width_m):
        half = (8.0 - width_m / 2) / 2
        return around((2, 8 - half, 0, 0.1, half), (2, -8 + half, 0, 0.1, half))

    path = door(0.8).plan(np.zeros(2), np.array([4.0, 0.0]))
    assert np.abs(path[np.abs(path[:, 0] - 2) < 0.3, 1]).max() < 0.1
    with pytest.raises(ProgramError) as failed:
        door(0.5).plan(np.zeros(2), np.array([4.0, 0.0]))
    assert failed.value.reason == "no_path"


def test_a_goal_inside_a_thing_or_the_wall_is_blocked():
    for goal in ([3.0, 0.1], [11.95, 0.0]):
        with pytest.raises(ProgramError) as failed:
            around((3, 0, 0, 0.3, 0.3)).plan(np.zeros(2), np.array(goal))
        assert failed.value.reason == "goal_blocked"


def test_out_of_a_tight_spot_there_is_a_way():
    path = around((0.0, 0.33, 0, 0.3, 0.05)).plan(np.zeros(2), np.array([5.0, 0.0]))
    assert np.allclose(path[-1], [5, 0])


def test_resampling_keeps_the_ends():
    path = resample(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.52]]))
    assert np.allclose(path[[0, -1]], [[0, 0], [1, 0.52]])
