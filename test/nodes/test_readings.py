"""The gate reads off a sensor's message whether it is news, and what stands close by; nothing that comes makes it fail."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, LaserScan

from jpai_agent.nodes import convert
from jpai_agent.nodes.readings import depth_reading, lidar_reading, stamp_in_cdr
from jpai_agent.world.robot import load_robot
from jpai_agent.world.sensors import DepthImage, LidarScan

CART, CAR = load_robot("cart"), load_robot("car")
CAMERA = CART.camera("front")


def depth(metres: np.ndarray, stamp_s: float = 1.0) -> bytes:
    return serialize_message(convert.depth_msg(DepthImage("front", stamp_s, metres.astype(np.float32))))


def relief(low: float = 1.0) -> np.ndarray:
    return np.full((240, 320), 4.0) + np.linspace(0.0, low, 320)


def scan(ranges: np.ndarray, stamp_s: float = 1.0) -> bytes:
    message = convert.scan_msg(LidarScan(stamp_s, ranges, -np.pi, 2 * np.pi / 360, 10.0), 10.0)
    return serialize_message(message)


def test_the_same_picture_has_the_same_content_whatever_its_stamp():
    first, second, third = depth(relief()), depth(relief(), 2.0), depth(relief(1.1), 3.0)
    contents = [depth_reading(message, CAMERA, CART).content for message in (first, second, third)]
    assert contents[0] == contents[1] != contents[2]
    assert lidar_reading(scan(np.full(360, 5.0)), CART).content == lidar_reading(scan(np.full(360, 5.0), 2.0), CART).content


@pytest.mark.parametrize("picture", [np.zeros((240, 320)), np.full((240, 320), 20.0), np.full((240, 320), np.nan)])
def test_a_black_a_white_and_an_empty_picture_are_blank(picture):
    assert depth_reading(depth(picture), CAMERA, CART).blank
    assert not depth_reading(depth(relief()), CAMERA, CART).blank


def test_a_covered_lidar_is_blank_and_one_in_the_open_may_repeat_itself():
    assert lidar_reading(scan(np.full(360, np.nan)), CART).blank
    assert lidar_reading(scan(np.zeros(360)), CART).blank
    open_field = lidar_reading(scan(np.full(360, np.inf)), CART)
    assert not open_field.blank and open_field.content is None


def test_what_does_not_add_up_is_blank():
    wrong = convert.depth_msg(DepthImage("front", 1.0, relief().astype(np.float32)))
    wrong.step -= 4
    larger = Image(height=4320, width=7680, encoding="32FC1", step=7680 * 4, data=bytes(7680 * 4 * 100))
    for message in (wrong, larger, Image()):
        assert depth_reading(serialize_message(message), CAMERA, CART).blank
    assert depth_reading(b"\x00\x01", CAMERA, CART).blank
    assert lidar_reading(serialize_message(LaserScan()), CART).blank
    assert lidar_reading(b"", CART).blank
    assert lidar_reading(bytes(10_000_000), CART).blank


def test_a_box_ahead_is_among_the_points_of_scan_and_picture():
    ranges = np.full(360, 9.0)
    ranges[178:183] = 1.5
    points = lidar_reading(scan(ranges), CART).points
    assert (np.hypot(points[:, 0] - 1.5, points[:, 1]) < 0.1).sum() == 5
    picture = np.zeros((240, 320))
    # level with the camera's axis, 2 m along it: below the axis' height by its pitch
    picture[115:125, 155:165] = 2.0
    points = depth_reading(depth(picture + relief() * (picture == 0)), CAMERA, CART).points
    near = points[points[:, 0] < 2.5]
    assert len(near) >= 25 and near[:, 0] == pytest.approx(0.35 + 2.0, abs=0.1) and np.abs(near[:, 1]).max() < 0.1


def test_the_cars_cloud_shows_what_stands_and_not_the_road():
    rows, beams = len(CAR.lidar.rows_deg), CAR.lidar.beams
    rise = np.radians(np.asarray(CAR.lidar.rows_deg))[:, None]
    ranges = np.broadcast_to(CAR.lidar.height_m / np.sin(-rise), (rows, beams)).copy()
    empty = convert.points_msg(LidarScan(1.0, ranges, -np.pi, 2 * np.pi / beams, 60.0), CAR.lidar)
    assert len(lidar_reading(serialize_message(empty), CAR).points) == 0
    ranges[1:, 355:366] = 8.0
    wall = convert.points_msg(LidarScan(1.0, ranges, -np.pi, 2 * np.pi / beams, 60.0), CAR.lidar)
    points = lidar_reading(serialize_message(wall), CAR).points
    assert len(points) == 33 and points[:, 0].min() > 9.0


def test_the_stamp_is_read_from_the_bytes():
    message = LaserScan()
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 500_000_000
    assert stamp_in_cdr(serialize_message(message)) == 12.5
    assert np.isnan(stamp_in_cdr(b"\x00\x01"))
