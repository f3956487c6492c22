"""What goes out as a message comes back as it was; what does not add up is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from jpai_agent.nodes import convert
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene
from jpai_agent.world.sensors import DepthImage, Image, LidarScan, Localization, Odometry

CAMERA = load_robot("cart").camera("front")
RNG = np.random.default_rng(3)


def sent(message):
    """The message after a journey."""
    return deserialize_message(serialize_message(message), type(message))


def test_a_scene_keeps_its_hash():
    scene = Scene(
        "scene-7",
        12.35,
        RobotState(1.2345, -2.0, 3.1, 0.8, -0.2),
        (Obstacle("thing-1", 3.0, 1.0, 0.7, 0.25, 0.3, 0.9),),
        (Mover("thing-2", 5.0, -2.0, 0.1, 0.9, 0.35, 1.7, 12.3),),
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
        Binding("p", "q", "s", "r", "m"),
        failed_step,
        "collision",
        0.3,
        14.2,
        0.8,
        swept=[[1.0, 2.0]],
        wall_s=0.9,
    )
    assert convert.verdict(sent(convert.verdict_msg(verdict))) == verdict


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
