"""Street scenes: things stand where traffic, people and buildings stand, apart from one another and from the car."""

import math

import numpy as np
import pytest

from jpai_agent.train.frames import relative_pose
from jpai_agent.train.scenes import MAX_OBJECTS
from jpai_agent.train.scenes_street import ROADS_M, RoadFrame, street_scene
from jpai_agent.train.symbolic import paint_shard
from jpai_agent.world.objects import LANDMARKS, STREET_KINDS, footprint
from jpai_agent.world.robot import load_robot


@pytest.fixture(scope="module")
def scenes():
    return [street_scene(np.random.default_rng(seed)) for seed in range(120)]


def reach(thing):
    return np.abs(footprint(thing).corners() - np.array(thing.pose[:2])).max(axis=0)


def test_scenes_hold_street_kinds_and_a_role_for_each(scenes):
    assert {thing.kind for scene in scenes for thing in scene.objects} == set(STREET_KINDS)
    assert all(len(scene.roles) == len(scene.objects) <= MAX_OBJECTS for scene in scenes)


def test_nothing_touches_anything_else_nor_the_car(scenes):
    car = load_robot("car")
    for scene in scenes:
        for i, a in enumerate(scene.objects):
            for b in scene.objects[:i]:
                gap = np.abs(np.array(a.pose[:2]) - b.pose[:2]) - reach(a) - reach(b)
                assert gap.max() > 0
            forward, left, _ = relative_pose(scene.robot_pose, a.pose)
            assert math.hypot(forward - car.center_x_m, left) > car.width_m / 2


def test_what_drives_ahead_is_in_the_lane_before_the_car_and_what_comes_is_in_the_other(scenes):
    for scene in scenes:
        for thing, role in zip(scene.objects, scene.roles, strict=True):
            forward, left, heading = relative_pose(scene.robot_pose, thing.pose)
            if role == "ahead":
                assert forward > 3
                assert abs(left) < 0.15 * forward + 1
                assert abs(heading) < 0.3
            if role == "oncoming":
                assert forward > 3
                assert abs(left + 3) < 0.15 * forward + 1
                assert abs(heading) > 2.8


def test_landmarks_stand_beside_the_roads_and_face_them(scenes):
    marks = [thing for scene in scenes for thing in scene.objects if thing.kind in LANDMARKS]
    assert marks
    for mark in marks:
        x, y, heading = mark.pose
        gaps = [(y - c) if round(heading) % 180 else (x - c) for c in ROADS_M]
        assert min(map(abs, gaps)) > 4.0


def test_a_road_runs_with_its_traffic():
    east, south = RoadFrame(0.0, 80.0, 0.0), RoadFrame(160.0, 0.0, -90.0)
    assert east.pose(10.0, 1.5, 0.0) == pytest.approx((10.0, 81.5, 0.0))
    assert south.pose(-20.0, 1.5, 0.0) == pytest.approx((161.5, 20.0, -90.0))
    assert south.crossings() == pytest.approx([-160.0, -80.0, 0.0])


def test_the_same_seed_gives_the_same_scene():
    first, second = (street_scene(np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_a_shard_knows_whose_frames_it_holds():
    shard = paint_shard(6, 2, "car")
    assert shard.robot == shard.record(0).robot == "car"
    roles = {thing.role for frame in range(6) for thing in shard.record(frame).objects}
    assert roles <= {"", "ahead", "oncoming", "unsure"}
