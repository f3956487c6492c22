"""What was never seen of a thing is taken to be there, as far as things of its measures reach, until it is known to be free."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.perception.grid import ObstacleGrid, scan_reading
from jpai_agent.perception.unseen import depth_of, fit, whole
from jpai_agent.world.sensors import LidarScan

CELL_M, BEAMS, RANGE_M = 0.05, 720, 10.0
FACE = (3.0, 0.0, 0.0, 0.05, 0.3)  # 0.6 m wide, seen from the origin
ORIGIN = np.zeros(2)


def nothing_known(xy: np.ndarray) -> np.ndarray:
    return np.zeros(len(xy), dtype=bool)


@pytest.mark.parametrize(("width_m", "top_m", "depth_m"), [
    (0.58, 0.88, 0.58),  # a drum
    (1.2, 0.72, 0.6),  # a desk's long side
    (0.9, 1.6, 0.4),  # a shelf's
    (0.3, 2.5, 0.3), (3.0, 2.5, 0.8),  # no kind that is known
])
def test_a_thing_is_as_deep_as_it_is_wide_but_not_deeper_than_its_kinds(width_m: float, top_m: float, depth_m: float) -> None:
    assert depth_of(width_m, top_m) == pytest.approx(depth_m, abs=0.01)


def test_a_back_that_was_not_seen_is_there_and_the_face_stays_where_it_is() -> None:
    x, y, yaw, half_x, half_y = whole(FACE, 0.7, ORIGIN, nothing_known)
    assert (y, yaw, half_y) == (0.0, 0.0, 0.3)
    assert x - half_x == pytest.approx(2.95)
    assert 2 * half_x == pytest.approx(depth_of(0.6, 0.7))


def test_it_reaches_no_farther_than_to_what_is_known() -> None:
    x, _, _, half_x, _ = whole(FACE, 0.7, ORIGIN, lambda xy: xy[:, 0] > 3.2)
    assert 3.1 < x + half_x <= 3.2
    assert whole(FACE, 0.7, ORIGIN, lambda xy: xy[:, 0] > 3.05) == pytest.approx(FACE)


def test_rays_that_pass_by_its_sides_do_not_cut_off_its_back() -> None:
    assert whole(FACE, 0.7, ORIGIN, lambda xy: np.abs(xy[:, 1]) > 0.25) == pytest.approx(whole(FACE, 0.7, ORIGIN, nothing_known))


def test_a_rectangle_around_two_sides_of_a_box_does_not_lie_before_them() -> None:
    corner, half = np.array([3.0, 0.0]), 0.8
    along = np.arange(0.0, half, CELL_M)[:, None]
    sides = [corner + along * np.array([1.0, way]) / math.sqrt(2) for way in (1.0, -1.0)]
    cells = np.unique(np.round(np.concatenate(sides) / CELL_M), axis=0) * CELL_M

    def before_them(xy: np.ndarray) -> np.ndarray:
        return xy[:, 0] < corner[0] + np.abs(xy[:, 1]) - CELL_M

    over_ends, fitted = fit(cells, CELL_M, nothing_known), fit(cells, CELL_M, before_them)
    assert max(over_ends[3:]) > 0.5
    assert fitted[3:] == pytest.approx((half / 2, half / 2), abs=0.06)
    assert fitted[:2] == pytest.approx((corner[0] + half / math.sqrt(2), 0.0), abs=0.06)


def seen_by_lidar(grid: ObstacleGrid, pose: tuple[float, float, float], corners: np.ndarray) -> None:
    """Let the grid see a convex thing with corners (C, 2), counter-clockwise, from a pose in odom, often enough to believe it."""
    angles = np.arange(BEAMS) * (2 * math.pi / BEAMS)
    ways = np.stack([np.cos(angles + pose[2]), np.sin(angles + pose[2])], axis=1)
    # a ray enters a convex thing through the last of the edges that it faces, if that is before it leaves through the first other
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    towards = ways @ normals.T
    with np.errstate(divide="ignore"):
        meets = ((corners - np.array(pose[:2])) * normals).sum(axis=1) / towards
    enters = np.where(towards < 0, meets, -np.inf).max(axis=1)
    leaves = np.where(towards > 0, meets, np.inf).min(axis=1)
    ranges = np.where((enters > 0) & (enters < leaves), enters, np.inf)
    scan = LidarScan(0.0, ranges, 0.0, 2 * math.pi / BEAMS, RANGE_M)
    for _ in range(6):
        points, hit, free = scan_reading(scan, np.array(pose))
        grid.add("lidar", points[hit], np.full(int(hit.sum()), 0.9), free, np.array(pose[:2]))


def test_of_a_drum_the_far_half_is_there_too() -> None:
    angles = np.arange(48) * (2 * math.pi / 48)
    drum = np.array([2.5, 0.4]) + 0.29 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    grid = ObstacleGrid()
    seen_by_lidar(grid, (0.0, 0.0, 0.0), drum)
    (thing,) = grid.things()
    assert min(thing.seen[3:]) < 0.22
    assert min(thing.whole[3:]) > 0.26
    assert thing.whole[:2] == pytest.approx((2.5, 0.4), abs=0.08)


def test_a_back_is_no_longer_there_once_it_was_looked_through() -> None:
    board = np.array([[2.5, -0.3], [2.6, -0.3], [2.6, 0.3], [2.5, 0.3]])
    grid = ObstacleGrid()
    seen_by_lidar(grid, (0.0, 0.0, 0.0), board)
    (before,) = grid.things()
    assert 2 * min(before.whole[3:]) > 0.5
    seen_by_lidar(grid, (3.5, -2.0, 0.0), board)
    (after,) = grid.things()
    assert 2 * min(after.whole[3:]) < 0.25
