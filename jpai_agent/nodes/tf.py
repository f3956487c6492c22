"""Broadcast frames where tf2_msgs is installed (a ROS distribution has it, PyPI has not)."""

from __future__ import annotations

import importlib
import math

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from jpai_agent.nodes.base import stamp_of


class Frames:
    """Sends transforms on /tf, or nothing where the message type is missing."""

    def __init__(self, node: Node) -> None:
        try:
            self._type = importlib.import_module("tf2_msgs.msg").TFMessage
        except ModuleNotFoundError:
            self._type = None
            return
        self._publisher = node.create_publisher(self._type, "/tf", 20)

    def send(self, parent: str, child: str, pose: tuple[float, float, float], stamp_s: float) -> None:
        """The pose (x m, y m, yaw rad) of `child` in `parent`."""
        if self._type is None:
            return
        frame = TransformStamped(child_frame_id=child)
        frame.header.frame_id, frame.header.stamp = parent, stamp_of(stamp_s)
        frame.transform.translation.x, frame.transform.translation.y = float(pose[0]), float(pose[1])
        frame.transform.rotation.z, frame.transform.rotation.w = math.sin(pose[2] / 2), math.cos(pose[2] / 2)
        self._publisher.publish(self._type(transforms=[frame]))
