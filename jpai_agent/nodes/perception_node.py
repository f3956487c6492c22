"""Perception's process: takes the sensors, owns the scene, finds image points in the world."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image, LaserScan, PointCloud2
from std_msgs.msg import Empty

from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, run, seconds
from jpai_agent.nodes.tf import Frames
from jpai_agent.perception import Perception
from jpai_agent.plan import Target
from jpai_agent.world.scene import GroundedTarget, Scene
from jpai_agent.world.sensors import Observation
from jpai_msgs import msg, srv

STAMP_SKEW_S = 1.0
# of the colour frames that perception wants
STREAM_HZ = 5.0
SCENES_KEPT = 100


class PerceptionNode(GraphNode):
    """Publishes /jpai/scene with every odometry reading and answers /jpai/resolve_target."""

    def __init__(self, **options: Any) -> None:
        super().__init__("perception_node", **options)
        self._perception = Perception(self.robot, self.world_map)
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        self._targets: tuple[float, tuple[GroundedTarget, ...]] = (0.0, ())
        self._odom_pose = np.zeros(3)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the sensors."""
        self._scene = self.create_lifecycle_publisher(msg.Scene, topics.SCENE, topics.SCENES)
        self._frames = Frames(self)
        self.create_subscription(Odometry, topics.ODOM, self._on_odometry, topics.COMMAND)
        self.create_subscription(PoseWithCovarianceStamped, topics.LOCALIZATION, self._on_fix, topics.COMMAND)
        lidar_topic, lidar_type = topics.lidar_topic(self.robot)
        self.create_subscription(lidar_type, lidar_topic, self._on_lidar, topics.SENSOR)
        for camera in self.robot.cameras:
            if camera.depth_rate_hz > 0:
                self.create_subscription(
                    Image,
                    topics.camera_topic(camera.name, "depth"),
                    lambda m, c=camera: self._on_depth(m, c),
                    topics.PICTURE,
                )
        self._ask_for_frames()
        self.create_subscription(Empty, topics.FORGET, self._on_forget, topics.WORDS)
        self.create_service(srv.ResolveTarget, topics.RESOLVE_TARGET, self._on_resolve)
        return TransitionCallbackReturn.SUCCESS

    def _ask_for_frames(self) -> None:
        """Have the cameras that perception may want frames of send them while it does: traffic lights are read from them."""
        self._triggers = {}
        for camera in self.robot.cameras if self.world_map.road is not None else ():
            topic = topics.camera_topic(camera.name, "image_raw")
            self.create_subscription(Image, topic, lambda m, c=camera: self._on_image(m, c), topics.FRAMES)
            self._triggers[camera.name] = self.create_publisher(
                Empty, topics.camera_topic(camera.name, "trigger"), topics.WORDS
            )
        if self._triggers:
            self.create_timer(1.0 / STREAM_HZ, self._on_stream, clock=self.steady)

    def _on_stream(self) -> None:
        for name in self._perception.wants_stream:
            self._triggers[name].publish(Empty())

    def _on_image(self, message: Image, camera) -> None:
        # others ask for frames too
        if camera.name not in self._perception.wants_stream:
            return
        try:
            image = convert.image(message, camera)
        except convert.UnusableImage as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        if self._credible(f"image/{camera.name}", image.stamp_s, []):
            self._perception.update(Observation(image.stamp_s, images={camera.name: image}))

    def _on_forget(self, message: Empty) -> None:
        self._perception = Perception(self.robot, self.world_map)
        self._scenes.clear()
        self._targets = (0.0, ())

    def _on_odometry(self, message: Odometry) -> None:
        reading = convert.odometry(message)
        if not self._credible("odom", reading.stamp_s, [*reading.pose, reading.v_mps, reading.w_radps]):
            return
        self._odom_pose = reading.pose
        self._perception.update(Observation(reading.stamp_s, odometry=reading))
        if self._perception.ready:
            self._publish()

    def _on_fix(self, message: PoseWithCovarianceStamped) -> None:
        fix = convert.localization(message)
        if self._credible("localisation", fix.stamp_s, list(fix.pose)):
            self._perception.update(Observation(fix.stamp_s, localization=fix))

    def _on_lidar(self, message: LaserScan | PointCloud2) -> None:
        try:
            scan = convert.scan(message) if isinstance(message, LaserScan) else convert.points(message, self.robot.lidar)
        except convert.UnusableCloud as error:
            self.get_logger().warning(f"lidar: {error}", throttle_duration_sec=5.0)
            return
        if self._credible("scan", scan.stamp_s, [scan.angle_min_rad, scan.angle_step_rad]):
            self._perception.update(Observation(scan.stamp_s, scan=scan))

    def _on_depth(self, message: Image, camera) -> None:
        try:
            depth = convert.depth(message, camera)
        except convert.UnusableImage as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        if self._credible(f"depth/{camera.name}", depth.stamp_s, []):
            self._perception.update(Observation(depth.stamp_s, depths={camera.name: depth}))

    def _credible(self, sensor: str, stamp_s: float, values: list[float]) -> bool:
        skew_s = stamp_s - self.now_s()
        if not np.isfinite(values).all():
            self.get_logger().warning(f"{sensor}: values that are not finite", throttle_duration_sec=5.0)
        elif not abs(skew_s) <= STAMP_SKEW_S:
            self.get_logger().warning(f"{sensor}: stamp {skew_s:+.1f} s off the clock", throttle_duration_sec=5.0)
        else:
            return True
        return False

    def _publish(self) -> None:
        scene = self._perception.scene()
        self._scenes[scene.id] = scene
        while len(self._scenes) > SCENES_KEPT:
            self._scenes.popitem(last=False)
        self._scene.publish(convert.scene_msg(scene, self._targets[1]))
        robot = scene.robot
        x, y, yaw = self._odom_pose
        turn = robot.yaw_rad - yaw
        cos, sin = np.cos(turn), np.sin(turn)
        self._frames.send("map", "odom", (robot.x_m - cos * x + sin * y, robot.y_m - sin * x - cos * y, turn), scene.stamp_s)

    def _on_resolve(self, request: srv.ResolveTarget.Request, response: srv.ResolveTarget.Response) -> srv.ResolveTarget.Response:
        scene = self._scenes.get(request.scene_id) if request.scene_id else next(reversed(self._scenes.values()), None)
        if scene is None:
            response.error_code = msg.ErrorCode.SCENE_UNKNOWN if request.scene_id else msg.ErrorCode.NO_SCENE
            response.error_msg = f"no scene {request.scene_id!r}" if request.scene_id else "nothing perceived yet"
            return response
        image_stamp_s = seconds(request.image_stamp)
        try:
            wanted = Target(
                request.label or None,
                request.camera or None,
                tuple(request.point) if request.camera else None,
                request.place or None,
            )
            found = self._perception.ground(wanted, scene, image_stamp_s)
        except (ValueError, KeyError) as error:
            found, response.error_msg = None, str(error)
        response.scene = convert.scene_msg(scene)
        if found is None:
            response.error_code = msg.ErrorCode.TARGET_NOT_FOUND
            response.error_msg = response.error_msg or "nothing can be measured at that point"
            return response
        before = self._targets[1] if self._targets[0] == image_stamp_s else ()
        self._targets = (image_stamp_s, (*before, found))
        response.target = convert.target_msg(found)
        return response


def main() -> int:
    """Run the node."""
    return run(PerceptionNode)


if __name__ == "__main__":
    sys.exit(main())
