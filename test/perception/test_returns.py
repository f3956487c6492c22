"""A lidar's rows taken apart: ground, things, tilt, and what was looked through; rectangles; poses between readings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from box_world import Ride, standing

from jpai_agent.perception.boxes import Rect, fit_rect, split
from jpai_agent.perception.nearroad import NearRoad
from jpai_agent.perception.pose import PoseEstimator
from jpai_agent.perception.returns import RowLidar, clusters, smoothed
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import LidarScan, Localization, Odometry


def test_the_ground_is_found_tilted_as_the_body_is(car: RobotSpec, street: WorldMap) -> None:
    for pitch in (-0.01, 0.0, 0.015):
        ride = Ride(car, street, [], pitch_rad=pitch)
        sweep = RowLidar(car.lidar).read(ride.scan())
        assert sweep.tilt.ahead == pytest.approx(math.tan(pitch), abs=0.002)
        assert not sweep.thing.any()


def test_beams_look_through_free_places_and_not_through_things_or_over_low_ones(car: RobotSpec, street: WorldMap) -> None:
    ride = Ride(car, street, [standing(12.0, 81.5, (0.5, 2.0, 1.5))], seed=1)
    lidar = RowLidar(car.lidar)
    sight = lidar.sight(lidar.read(ride.scan()), np.zeros(3))
    before, at, behind, aside = [8.0, 0.0], [11.8, 0.0], [16.0, 0.0], [12.0, 4.0]
    assert sight.looked_through(np.array([before, at, behind, aside]), np.full(4, 1.5)).tolist() == [True, False, False, True]
    # at 9.5 m the rows that reach there are 0.65 m high or higher
    assert not sight.looked_through(np.array([[9.5, 5.0]]), np.array([0.5]))[0]
    assert not sight.tells(np.array([[9.5, 5.0]]), np.array([0.5]))[0]


def test_a_scan_with_other_rows_is_refused(car: RobotSpec) -> None:
    with pytest.raises(ValueError, match="rows"):
        RowLidar(car.lidar).read(LidarScan(0.0, np.ones(720), -math.pi, math.tau / 720, 60.0))


def test_smoothing_keeps_edges_and_slanted_faces() -> None:
    ranges = np.array([[20.0] * 10 + [30.0] * 10])
    assert np.array_equal(smoothed(ranges), ranges)
    slanted = np.linspace(20.0, 22.0, 30)[None, :]
    assert np.allclose(smoothed(slanted)[:, 3:-3], slanted[:, 3:-3])
    noisy = 20.0 * (1.0 + 0.01 * np.random.default_rng(0).standard_normal((1, 400)))
    assert smoothed(noisy).std() < 0.6 * noisy.std()


def test_what_lies_apart_gets_labels_of_its_own(car: RobotSpec, street: WorldMap) -> None:
    ride = Ride(car, street, [standing(10.0, 84.0, (1.0, 1.0, 1.6)), standing(10.0, 78.5, (1.0, 1.0, 1.6))], seed=2)
    sweep = RowLidar(car.lidar).read(ride.scan())
    labels = clusters(sweep, sweep.thing)
    sides = sweep.points[..., 1][sweep.thing] > 0
    assert len(set(labels[sides])) == len(set(labels[~sides])) == 1 and len(set(labels)) == 2


def test_a_rectangle_follows_the_road_where_that_fits_about_as_well() -> None:
    rng = np.random.default_rng(3)
    side = np.column_stack([np.arange(28) * 0.15, rng.integers(0, 2, 28) * 0.15])
    assert fit_rect(side, 0.15, 0.0).yaw_rad == pytest.approx(0.0)
    turned = side @ np.array([[math.cos(0.5), math.sin(0.5)], [-math.sin(0.5), math.cos(0.5)]])
    assert fit_rect(turned, 0.15, 0.0).yaw_rad == pytest.approx(0.5, abs=0.1)


def test_the_corner_of_a_house_is_two_walls_and_no_solid_block() -> None:
    wall = np.arange(0.0, 20.0, 0.15)
    corner = np.concatenate([np.column_stack([wall, 0 * wall]), np.column_stack([0 * wall, wall])])
    rects = [rect for _, rect in split(corner, 0.15, 0.0)]
    covered = sum(4 * r.half_x_m * r.half_y_m for r in rects)
    assert covered < 60.0
    assert min(r.gaps(np.array([[10.0, 10.0]]))[0] for r in rects) > 5.0


def test_gaps_to_a_rectangle() -> None:
    rect = Rect(1.0, 2.0, math.pi / 2, 2.0, 1.0)
    assert rect.gaps(np.array([[1.0, 2.0], [1.0, 5.0], [3.0, 2.0], [3.0, 5.0]])) == pytest.approx([0, 1, 1, math.sqrt(2)])


def test_how_far_the_road_is_and_where_it_leads(street: WorldMap) -> None:
    assert street.road is not None
    near = NearRoad(street.road)
    assert near.away_m(np.array([[40.0, 81.5], [40.0, 90.0], [104.0, 14.0], [300.0, 40.0]])) == pytest.approx(
        [0.0, 8.5, 0.0, np.inf], abs=0.5)
    yaw = near.yaw_rad(np.array([40.0, 81.5]))
    assert yaw is not None and abs(yaw) < 0.05
    assert near.yaw_rad(np.array([80.0, 80.0])) is None


def test_a_pose_between_two_odometry_readings() -> None:
    estimator = PoseEstimator()
    for stamp_s, x, yaw in ((0.0, 0.0, 3.1), (0.1, 1.0, -3.1), (0.2, 2.0, -3.0)):
        estimator.odometry(Odometry(stamp_s, np.array([x, 0.0, yaw]), 10.0, 0.0))
    estimator.fix(Localization(0.2, np.array([12.0, 5.0, -3.0])))
    x, _, yaw = estimator.odom_pose_at(0.05)
    assert x == pytest.approx(0.5) and abs(math.remainder(yaw - math.pi, math.tau)) < 0.01
    assert estimator.odom_pose_at(-1.0)[0] == 0.0 and estimator.odom_pose_at(9.0)[0] == 2.0
    assert estimator.pose_at(0.15)[:2] == pytest.approx([11.5, 5.0])
