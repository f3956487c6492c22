"""The simulated robot: what its sensors deliver, how it moves, and that a seed repeats it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.sim.robot import SimRobot
from jpai_agent.sim.sensors import noisy_depth, noisy_ranges
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.objects import Motion, ObjectSpec
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import Observation

BOX = ObjectSpec("a", "box", (3.0, 0.0, 0.0), "red", "large")


def make(
    cart: RobotSpec, renderer: SceneRenderer, things: list[ObjectSpec] | None = None, **options: object
) -> SimRobot:
    return SimRobot(cart, "yard", things or [], renderer=renderer, **options)  # type: ignore[arg-type]


def drive(robot: SimRobot, seconds: float, command: tuple[float, float]) -> list[Observation]:
    seen = []
    for _ in range(round(seconds / 0.05)):
        robot.command(*command)
        robot.step(0.05)
        seen.append(robot.observe())
    return seen


def test_every_sensor_delivers_at_its_own_rate(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer)
    seen = [robot.observe(), *drive(robot, 2.0, (0.0, 0.0))][:-1]
    assert sum(o.odometry is not None for o in seen) == 40
    assert sum(o.localization is not None for o in seen) == 20
    assert sum(o.scan is not None for o in seen) == 20
    assert sum("front" in o.depths for o in seen) == 10
    assert not any(o.images for o in seen)


def test_sensors_see_the_present_only(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer)
    assert robot.observe(0.0).stamp_s == 0.0
    with pytest.raises(ValueError, match="present"):
        robot.observe(1.0)


def test_an_unknown_world_is_named(cart: RobotSpec) -> None:
    with pytest.raises(ValueError, match="moon"):
        SimRobot(cart, "moon")


def test_lidar_and_depth_measure_the_box_ahead(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer, [BOX], seed=3)
    robot.step(0.05)
    seen = drive(robot, 0.4, (0.0, 0.0))
    scans = [o.scan for o in seen if o.scan is not None]
    middle = np.array([s.ranges_m[178:183] for s in scans])
    assert np.nanmedian(middle) == pytest.approx(2.6, rel=0.02)
    assert 0.0 < np.nanstd(middle) < 0.1
    depth = next(o.depths["front"].depth_m for o in seen if "front" in o.depths)
    assert depth.shape == (240, 320)
    assert depth.dtype == np.float32
    # the optical axis points 12 degrees down and meets the box's front at 0.9 − 2.25 tan 12°
    assert np.median(depth[118:122, 158:162]) == pytest.approx(
        (3.0 - 0.4 - 0.35) / math.cos(math.radians(12)), rel=0.03
    )


def test_a_fix_is_near_the_truth_and_odometry_starts_at_its_own_origin(
    cart: RobotSpec, renderer: SceneRenderer
) -> None:
    robot = make(cart, renderer, robot_pose=(2.0, -1.0, 90.0))
    first = robot.observe()
    assert first.odometry is not None
    assert first.odometry.pose == pytest.approx([0, 0, 0])
    fixes = np.array([o.localization.pose for o in drive(robot, 6.0, (0.0, 0.0)) if o.localization is not None])
    assert fixes.mean(axis=0) == pytest.approx(robot.truth().pose, abs=0.02)
    assert fixes.std(axis=0) == pytest.approx([0.03, 0.03, math.radians(1)], rel=0.4)


@pytest.mark.parametrize("seed", range(4))
def test_odometry_drifts_by_about_one_percent(cart: RobotSpec, renderer: SceneRenderer, seed: int) -> None:
    robot = make(cart, renderer, robot_pose=(-9.0, 0.0, 0.0), seed=seed)
    robot.observe()
    last = drive(robot, 15.0, (0.8, 0.0))[-1].odometry
    assert last is not None
    way = robot.truth().pose[0] + 9.0
    assert 9.0 < way < 12.5
    assert abs(last.pose[0] / way - 1.0) < 0.02


def test_the_robot_obeys_the_limits_of_its_specification(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer, robot_pose=(-9.0, 0.0, 0.0), seed=1)
    pace = []
    for command in [(5.0, 0.0)] * 60 + [(0.0, 0.0)] * 30 + [(-5.0, 0.0)] * 30:
        robot.command(*command)
        robot.step(0.05)
        pace.append(robot.truth().velocity[0])
    pace_array = np.array(pace)
    assert 1.1 < pace_array.max() < 1.25
    assert -0.42 < pace_array.min() < -0.35
    gained = (np.abs(pace_array)[5:] - np.abs(pace_array)[:-5]) / 0.25
    assert gained.max() < 0.84
    assert gained.min() > -2.625


def test_a_command_that_is_not_finite_stops_it(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer)
    drive(robot, 1.5, (0.8, 0.0))
    drive(robot, 1.0, (math.nan, 0.0))
    assert abs(robot.truth().velocity[0]) < 0.02
    assert robot.rejected_commands > 0


def test_touching_a_box_or_a_wall_is_noted_once_asked(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer, [ObjectSpec("a", "box", (1.5, 0.0, 0.0))])
    drive(robot, 3.0, (0.8, 0.0))
    assert robot.truth().contacts == {"a"}
    robot = make(cart, renderer, robot_pose=(11.0, 0.0, 0.0))
    drive(robot, 2.0, (0.8, 0.0))
    assert robot.truth().contacts == {"wall_east"}


def test_a_person_walks_their_path_whatever_the_robot_does(cart: RobotSpec, renderer: SceneRenderer) -> None:
    who = ObjectSpec("p", "person", (2.0, -1.0, 0.0), motion=Motion(((2.0, -1.0), (2.0, 2.0)), 1.0, 0.5))
    robot = make(cart, renderer, [who])
    assert robot.truth().objects[0, :2] == pytest.approx([2.0, -1.0])
    drive(robot, 1.5, (0.8, 0.0))
    assert robot.truth().objects[0] == pytest.approx([2.0, 0.0, 90.0])
    assert robot.truth().contacts == set()
    drive(robot, 3.0, (0.0, 0.0))
    assert robot.truth().objects[0, :2] == pytest.approx([2.0, 2.0])


def test_it_may_start_moving(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer, robot_speed_mps=0.6, robot_pose=(0.0, 0.0, 90.0))
    robot.step(0.3)
    assert robot.truth().velocity[0] == pytest.approx(0.6, abs=0.05)
    assert robot.truth().pose[1] > 0.15


def test_a_frame_is_what_the_camera_sees_with_noise(cart: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(cart, renderer, [BOX])
    first, second = robot.capture("front"), robot.capture("front")
    assert first.rgb.shape == (480, 640, 3)
    assert first.rgb.dtype == np.uint8
    assert not np.array_equal(first.rgb, second.rgb)
    red = first.rgb[230:240, 300:310].reshape(-1, 3).mean(axis=0)
    assert red[0] > 2 * red[2]
    with pytest.raises(KeyError, match="rear"):
        robot.capture("rear")


def test_a_seed_repeats_everything_and_another_differs(cart: RobotSpec, renderer: SceneRenderer) -> None:
    def course(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        robot = make(cart, renderer, [BOX], seed=seed)
        seen = drive(robot, 1.0, (0.4, 0.3))
        scan = next(o.scan for o in reversed(seen) if o.scan is not None)
        depth = next(o.depths["front"] for o in reversed(seen) if o.depths)
        return robot.truth().pose, scan.ranges_m, depth.depth_m

    again, same, other = course(7), course(7), course(8)
    for a, b, c in zip(again, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_asking_for_frames_does_not_change_what_the_other_sensors_say(cart: RobotSpec, renderer: SceneRenderer) -> None:
    def last_scan(frames: bool) -> np.ndarray:
        robot = make(cart, renderer, [BOX], seed=7)
        if frames:
            robot.capture("front")
        return next(o.scan for o in reversed(drive(robot, 0.5, (0.4, 0.0))) if o.scan is not None).ranges_m

    np.testing.assert_array_equal(last_scan(False), last_scan(True))


def test_depth_drops_out_along_edges_and_beyond_its_range() -> None:
    clean = np.full((60, 80), 2.0, dtype=np.float32)
    clean[:, 40:] = 6.0
    clean[:10] = np.inf
    noisy = noisy_depth(clean, 20.0, np.random.default_rng(0))
    assert (noisy[:9] == 0).all()
    edge = noisy[15:, 39:41]
    assert 0.3 < (edge == 0).mean() < 0.7
    inside = noisy[15:, 5:35]
    assert (inside > 0).all()
    assert inside.std() == pytest.approx(0.02, rel=0.2)


def test_ranges_are_infinite_where_nothing_is_and_missing_where_they_drop_out() -> None:
    clean = np.concatenate([np.full(5000, 4.0), np.full(10, -1.0), np.full(10, 12.0)])
    noisy = noisy_ranges(clean, 10.0, np.random.default_rng(0))
    beyond = noisy[5000:]
    assert np.isinf(beyond[~np.isnan(beyond)]).all()
    missing = np.isnan(noisy[:5000]).mean()
    assert 0.001 < missing < 0.01
    assert np.nanstd(noisy[:5000]) == pytest.approx(0.04, rel=0.1)
