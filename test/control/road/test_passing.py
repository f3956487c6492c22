"""What a car goes round, what it waits behind, and how far it is over the centre line meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from town import CAR, NORTH, STREET, parked, scene

from jpai_agent.control.road.compile import keep_lane_program
from jpai_agent.control.road.passing import WATCHED_S, passes_nothing, shifts_round
from jpai_agent.control.road.routes import network_of
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.world.scene import Obstacle, Scene

START = (78.5, 20.0, NORTH)
NETWORK = network_of(STREET.road)
TRUCK = parked("p", 78.2, 45.0, NORTH)


def way_from(where: Scene):
    return NETWORK.ahead(NETWORK.in_lane(where.robot.pose), until_m=60.0)


def passed(where: Scene):
    return shifts_round(way_from(where), 50.0, where, NETWORK, CAR)


def marks(where: Scene, **options: bool):
    program = keep_lane_program(where, CAR, STREET, **options)
    return program, [m for s in program.segments if isinstance(s, RoadDrive) for m in s.marks if m[0] == "pass"]


def test_a_car_waits_behind_what_may_yet_drive_on():
    fresh = scene(replace(TRUCK, seen_since_s=-WATCHED_S / 2), pose=START, v=6.0)
    known = scene(replace(TRUCK, seen_since_s=-2 * WATCHED_S), pose=START, v=6.0)
    assert passed(fresh) == [] and [s.name for s in passed(known)] == ["p"]


def test_the_end_of_a_vehicle_counts_as_a_whole_one():
    end = Obstacle("e", 78.2, 43.0, NORTH, 0.2, 0.85, 1.5)
    shift, = passed(scene(end, pose=START, v=6.0))
    assert shift.full_to_m - shift.full_from_m > 4.4 + CAR.length_m


def test_parts_that_no_car_weaves_through_are_passed_as_one():
    parts = [Obstacle("a", 77.6, 42.0, NORTH, 1.8, 0.9, 2.8), Obstacle("b", 78.9, 46.5, NORTH, 0.8, 0.1, 2.8)]
    shift, = passed(scene(*parts, pose=START, v=6.0))
    assert shift.aside_m < -(0.4 + 0.1 + CAR.width_m / 2 + 0.7) and shift.leaves_lane


def test_it_waits_for_a_free_oncoming_lane_up_to_where_it_would_cross_the_line():
    where = scene(TRUCK, pose=START, v=6.0)
    program, (mark,) = marks(where)
    shift, = passed(where)
    assert shift.begin_m + 2.0 < mark[1] < shift.full_from_m and shift.full_to_m < mark[2] < shift.end_m
    points = np.array([p for s in program.segments if isinstance(s, RoadDrive) for p in s.points])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    heading = np.arctan2(*np.diff(points, axis=0).T[::-1])
    before = along[:-1] < mark[1] - 0.6
    right = points[:-1, 0] + CAR.front_m * np.cos(heading) + CAR.width_m / 2 * np.sin(heading)
    assert right[before].max() < 80.0 < right.max()


def test_who_is_over_the_line_already_does_not_wait_there():
    beside = scene(TRUCK, pose=(80.2, 42.0, math.radians(90)), v=4.0)
    assert marks(beside)[1] == []


def test_a_car_that_keeps_behind_passes_nothing():
    program, passes = marks(scene(TRUCK, pose=START, v=6.0), passes=False)
    assert passes == [] and all(abs(x - 78.5) < 0.01 for s in program.segments if isinstance(s, RoadDrive) for x, _ in s.points)


def test_it_is_seen_when_what_was_to_be_passed_has_driven_off():
    where = scene(TRUCK, pose=START, v=6.0)
    program, _ = marks(where)
    nearer = (78.5, 28.0, NORTH)
    assert not passes_nothing(program.segments, scene(TRUCK, pose=nearer, v=5.0), NETWORK, CAR)
    assert passes_nothing(program.segments, scene(pose=nearer, v=5.0), NETWORK, CAR)
