"""What goes out as a message comes back as it was; what does not add up is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from jpai_agent.control import Program, View, runner_for
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.nodes import convert
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene, SeenLight
from jpai_agent.world.sensors import DepthImage, Image, LidarScan, Localization, Odometry

CAMERA = load_robot("cart").camera("front")
RNG = np.random.default_rng(3)


def sent(message):
    """The message after a journey."""
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize("camera_s", [None, 12.31])
def test_a_scene_keeps_its_hash(camera_s):
    scene = Scene(
        "scene-7",
        12.35,
        RobotState(1.2345, -2.0, 3.1, 0.8, -0.2),
        (Obstacle("thing-1", 3.0, 1.0, 0.7, 0.25, 0.3, 0.9),),
        (
            Mover("thing-2", 5.0, -2.0, 0.1, 0.9, 0.35, 1.7, 12.3),
            Mover("thing-3", 25.0, 1.5, 6.1, 0.2, 2.27, 1.5, 12.3, 0.1, 0.03, 2.1, 0.85),
        ),
        (SeenLight("light_80_80_west", "red", 12.2),),
        camera_s,
    )
    message = sent(convert.scene_msg(scene))
    assert convert.scene(message) == scene
    assert convert.scene(message).sha256() == message.sha256


@pytest.mark.parametrize(
    "target",
    [
        GroundedTarget("赤い箱", 1.0, 2.0, "object", object_id="thing-1"),
        GroundedTarget("ドック", -11.0, 0.0, "place", yaw_rad=0.0),
    ],
)
def test_a_target_comes_back(target):
    assert convert.target(sent(convert.target_msg(target))) == target


@pytest.mark.parametrize(("status", "failed_step"), [("pass", None), ("fail", 2), ("invalid", None)])
def test_a_verdict_comes_back_with_what_it_is_bound_to(status, failed_step):
    verdict = Verdict(
        "v-1",
        status,
        12.5,
        32,
        0.75,
        Binding("p", "q", "s", "r", "m", "t"),
        failed_step,
        "collision",
        0.3,
        14.2,
        0.8,
        swept=[[1.0, 2.0]],
        wall_s=0.9,
        min_ttc_s=1.7,
        violations={"red_light": 3, "near_miss": 1},
        under_way=0.5,
    )
    message = sent(convert.verdict_msg(verdict))
    assert convert.verdict(message) == verdict
    assert (message.pass_rate_low, message.site_sha256) == (pytest.approx(0.5789, abs=1e-4), "t")
    assert message.pass_rate_low == verdict.pass_rate_low


def test_a_verdict_whose_bound_is_not_that_of_its_figures_is_not_believed():
    verdict = Verdict("", "pass", 12.5, 32, 1.0, Binding("p", "q", "s", "r", "m", "t")).sealed()
    message = convert.verdict_msg(verdict)
    message.pass_rate_low = 0.99
    found = convert.verdict(message)
    assert (found.status, found.genuine) == ("invalid", False)


def test_readings_come_back():
    odometry = Odometry(3.05, np.array([1.0, -2.0, 2.5]), 0.4, -0.3)
    back = convert.odometry(sent(convert.odometry_msg(odometry)))
    assert back.stamp_s == odometry.stamp_s
    assert np.allclose(back.pose, odometry.pose)
    assert (back.v_mps, back.w_radps) == (0.4, -0.3)
    fix = convert.localization(
        sent(convert.localization_msg(Localization(3.0, np.array([1.0, 2.0, -3.0]), 0.05, 0.02)))
    )
    assert (
        np.allclose(fix.pose, [1.0, 2.0, -3.0])
    )
    assert (
        fix.sigma_xy_m == pytest.approx(0.05)
    )
    assert (
        fix.sigma_yaw_rad == pytest.approx(0.02)
    )
    scan = convert.scan(
        sent(convert.scan_msg(LidarScan(3.0, np.array([1.0, math.inf, math.nan]), -math.pi, 0.017, 10.0), 10.0))
    )
    assert scan.ranges_m[0] == 1.0
    assert math.isinf(scan.ranges_m[1])
    assert math.isnan(scan.ranges_m[2])
    assert scan.angle_step_rad == pytest.approx(0.017)


def test_a_turn_of_a_lidar_with_rows_comes_back_from_its_cloud():
    lidar = load_robot("car").lidar
    ranges = RNG.uniform(1.0, 60.0, (len(lidar.rows_deg), lidar.beams))
    ranges[0, :9], ranges[1, 180], ranges[2, 7] = math.inf, math.inf, math.nan
    message = sent(convert.points_msg(LidarScan(3.0, ranges, -math.pi, math.tau / lidar.beams, 60.0), lidar))
    assert (message.height, message.width, message.header.frame_id) == (4, 720, "base_link")
    scan = convert.points(message, lidar)
    assert np.allclose(scan.ranges_m, ranges, rtol=1e-5, equal_nan=True)
    assert (scan.stamp_s, scan.angle_min_rad, scan.range_max_m) == (3.0, -math.pi, 60.0)


def test_a_cloud_shows_where_a_beam_ended():
    lidar = load_robot("car").lidar
    ranges = np.full((len(lidar.rows_deg), lidar.beams), np.nan)
    # straight ahead, 6° down
    ranges[1, lidar.beams // 2] = 10.0
    message = convert.points_msg(LidarScan(0.0, ranges, -math.pi, math.tau / lidar.beams, 60.0), lidar)
    point = np.frombuffer(message.data, np.float32).reshape(4, lidar.beams, 3)[1, lidar.beams // 2]
    down = math.radians(6.0)
    assert point == pytest.approx([lidar.x_m + 10 * math.cos(down), 0.0, lidar.height_m - 10 * math.sin(down)], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 360}, "4×360"),
        ({"fields": []}, "x, y and z"),
        ({"data": b"\x00" * 7}, "7 bytes"),
    ],
)
def test_a_cloud_that_does_not_add_up_is_refused(change, said):
    lidar = load_robot("car").lidar
    message = convert.points_msg(LidarScan(0.0, np.ones((4, lidar.beams)), -math.pi, math.tau / lidar.beams, 60.0), lidar)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(convert.UnusableCloud, match=said):
        convert.points(message, lidar)


def test_a_cars_runner_stands_where_its_progress_was_taken():
    car = load_robot("car")
    way = tuple((0.5 * i, 0.0) for i in range(200))
    drive = RoadDrive(0, 6.0, way, marks=(("sign", 40.0, 40.0, "stop"), ("end", 99.5, 99.5, "")))
    program = Program((drive,), (0.0, 0.0, 0.0))
    runner = runner_for(program, car)
    view = View(0.0, np.zeros((1, 3)), np.zeros((1, 2)), np.zeros((1, 0, 5)), np.zeros((1, 0, 5)), ())
    for tick in range(20):
        view.time_s = tick * 0.05
        command = runner.tick(view, 0.05)
        view.speed[0] = command.v_mps[0], command.w_radps[0]
        view.pose[0, 0] += 0.05 * command.v_mps[0]
    other = convert.runner_at(convert.progress_json(runner), program, car)
    assert other.tick(view, 0.05).v_mps[0] == runner.tick(view, 0.05).v_mps[0] > 0.5
    with pytest.raises(ValueError, match="progress"):
        convert.runner_at("[{}]", program, car)


def test_pictures_come_back():
    rgb = RNG.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    assert np.array_equal(convert.image(sent(convert.image_msg(Image("front", 1.0, rgb))), CAMERA).rgb, rgb)
    depth_m = RNG.random((240, 320), dtype=np.float32)
    assert np.array_equal(
        convert.depth(sent(convert.depth_msg(DepthImage("front", 1.0, depth_m))), CAMERA).depth_m, depth_m
    )


def test_bgr_is_turned_and_padding_dropped():
    rgb = RNG.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    message = convert.image_msg(Image("front", 1.0, rgb))
    padded = np.zeros((480, 2000), dtype=np.uint8)
    padded[:, :1920] = rgb[..., ::-1].reshape(480, -1)
    message.encoding, message.step, message.data = "bgr8", 2000, padded.tobytes()
    assert np.array_equal(convert.image(message, CAMERA).rgb, rgb)


def test_depth_in_millimetres_is_understood():
    message = convert.depth_msg(DepthImage("front", 1.0, np.zeros((240, 320), np.float32)))
    message.encoding, message.step, message.data = "16UC1", 640, np.full((240, 320), 1500, np.uint16).tobytes()
    assert np.allclose(convert.depth(message, CAMERA).depth_m, 1.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "mono8"}, "mono8"),
        ({"width": 320}, "320×480"),
        ({"step": 100}, "rows of 100"),
        ({"data": b"\x00" * 7}, "7 bytes"),
    ],
)
def test_a_picture_that_does_not_add_up_is_refused(change, said):
    message = convert.image_msg(Image("front", 1.0, np.zeros((480, 640, 3), np.uint8)))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(convert.UnusableImage, match=said):
        convert.image(message, CAMERA)
