"""What the gate reads off a serialised sensor message: stamp, a checksum of what it shows, and the points close by."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, LaserScan

from jpai_agent.gate.nearfield import points_of_depth, points_of_scan
from jpai_agent.gate.shown import shown_by_depth, shown_by_scan
from jpai_agent.nodes import convert, topics
from jpai_agent.world.robot import CameraSpec, RobotSpec

# nothing that is so much larger than a reading should be is looked into
SIZE_SHARE, SIZE_SLACK_BYTES = 2, 65536


@dataclass(frozen=True)
class Reading:
    """One reading of a sensor.

    Attributes:
        stamp_s: NaN when there is none. frame_id: that its header names.
        content: Checksum of what it shows (not of the message: the padding between its fields is anything); None where
            repeating itself is no fault.
        blank: It shows nothing, or cannot be read. points: (N, 2) in base_link, for the last obstacle stop.
    """

    stamp_s: float
    frame_id: str = ""
    content: int | None = None
    blank: bool = True
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))


def lidar_reading(message: bytes, robot: RobotSpec) -> Reading:
    """A turn of the robot's lidar, from its serialised message. Never raises: what cannot be read is blank."""
    _, kind = topics.lidar_topic(robot)
    most = robot.lidar.beams * len(robot.lidar.rows_deg) * 32
    if len(message) > most * SIZE_SHARE + SIZE_SLACK_BYTES:
        return Reading(stamp_in_cdr(message))
    try:
        received = deserialize_message(message, kind)
        scan = convert.scan(received) if kind is LaserScan else convert.points(received, robot.lidar)
    except (convert.UnusableCloud, ValueError, RuntimeError):
        return Reading(stamp_in_cdr(message))
    shown = shown_by_scan(scan)
    return Reading(scan.stamp_s, received.header.frame_id, shown.content, shown.blank, points_of_scan(scan, robot))


def depth_reading(message: bytes, camera: CameraSpec, robot: RobotSpec) -> Reading:
    """A depth frame of a camera, from its serialised message. Never raises: what cannot be read is blank."""
    if len(message) > camera.depth_width_px * camera.depth_height_px * 4 * SIZE_SHARE + SIZE_SLACK_BYTES:
        return Reading(stamp_in_cdr(message))
    try:
        received = deserialize_message(message, Image)
        depth = convert.depth(received, camera)
    except (convert.UnusableImage, ValueError, RuntimeError):
        return Reading(stamp_in_cdr(message))
    shown = shown_by_depth(depth)
    return Reading(depth.stamp_s, received.header.frame_id, shown.content, shown.blank, points_of_depth(depth, robot))


def stamp_in_cdr(message: bytes) -> float:
    """Stamp in seconds of a serialised message that begins with a std_msgs/Header; NaN when it is too short.

    The first four bytes tell the encoding (odd second byte: little-endian), OMG DDSI-RTPS 2.5, section 10.
    """
    if len(message) < 12:
        return float("nan")
    sec, nanosec = struct.unpack_from("<iI" if message[1] & 1 else ">iI", message, 4)
    return sec + nanosec * 1e-9
