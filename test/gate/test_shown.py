"""What a reading shows is told from the reading alone: the same is known again, nothing is known as nothing."""

from __future__ import annotations

import numpy as np
import pytest

from jpai_agent.gate.shown import shown_by_depth, shown_by_scan
from jpai_agent.world.sensors import DepthImage, LidarScan

RELIEF = np.full((24, 32), 4.0, dtype=np.float32) + np.linspace(0.0, 1.0, 32, dtype=np.float32)


def depth(metres: np.ndarray, stamp_s: float = 1.0) -> DepthImage:
    return DepthImage("front", stamp_s, metres.astype(np.float32))


def scan(ranges: np.ndarray, stamp_s: float = 1.0) -> LidarScan:
    return LidarScan(stamp_s, ranges, -np.pi, 2 * np.pi / 8, 10.0)


def test_the_same_has_the_same_content_whatever_its_stamp():
    assert shown_by_depth(depth(RELIEF)) == shown_by_depth(depth(RELIEF, 2.0))
    assert shown_by_depth(depth(RELIEF)).content != shown_by_depth(depth(RELIEF + 0.01)).content
    assert shown_by_scan(scan(np.full(8, 5.0))) == shown_by_scan(scan(np.full(8, 5.0), 2.0))
    assert shown_by_scan(scan(np.full((3, 8), 5.0))).content != shown_by_scan(scan(np.full((3, 8), 5.1))).content


@pytest.mark.parametrize("metres", [0.0, 20.0])
def test_an_even_picture_is_blank_and_one_with_relief_is_not(metres: float):
    assert shown_by_depth(depth(np.full((24, 32), metres))).blank
    assert not shown_by_depth(depth(RELIEF)).blank


def test_a_picture_that_is_black_but_for_a_corner_is_blank():
    corner = np.zeros((24, 32))
    corner[0, :10] = np.linspace(1.0, 2.0, 10)
    assert shown_by_depth(depth(corner)).blank


def test_a_covered_lidar_is_blank_and_one_in_the_open_may_repeat_itself():
    assert shown_by_scan(scan(np.full(8, np.nan))).blank and shown_by_scan(scan(np.zeros(8))).blank
    in_the_open = shown_by_scan(scan(np.full(8, np.inf)))
    assert not in_the_open.blank and in_the_open.content is None
    assert shown_by_scan(scan(np.empty(0))).blank
