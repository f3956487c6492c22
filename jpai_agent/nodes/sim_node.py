"""The simulated robot's process: takes /cmd_vel, gives what a robot's drivers would give, at wall-clock speed."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Empty
from std_srvs.srv import SetBool

from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, run, stamp_of
from jpai_agent.nodes.tf import Frames
from jpai_agent.sim import car, cart
from jpai_agent.sim.robot import SimRobot, SimulationDiverged
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import objects_from_dicts
from jpai_agent.world.paths import resource
from jpai_agent.world.sensors import Observation
from jpai_msgs.srv import ResetSimulation, StepSimulation

TICK_S = 0.02
PHYSICS_STEP_S = 0.01
# further behind the wall clock than this, the simulation slips instead of catching up
SLIP_S = 0.3
# a ROS clock of zero means that there is none
CLOCK_START_S = 1.0
# joints of the driven axle, distance and radius of its wheels: differential drive, car
_CART_AXLE = (("wheel_left", "wheel_right"), cart.TRACK_M, cart.WHEEL_RADIUS_M)
_CAR_AXLE = (("wheel_rl", "wheel_rr"), car.TRACK_M, car.WHEEL_RADIUS_M)


class SimNode(GraphNode):
    """Steps a SimRobot by the monotonic clock.

    Parameters: `scene_file` (an episode's scene as JSON; empty: the demonstration scene), `seed`, `image_rate_hz` (of
    colour frames nobody asked for; 0: only when a frame is triggered).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("sim_node", **options)
        self._scene_file: str = self.declare_parameter("scene_file", "").value
        self._seed: int = self.declare_parameter("seed", 0).value
        self._image_rate_hz: float = self.declare_parameter("image_rate_hz", 0.0).value
        self._sim: SimRobot
        self._renderer: SceneRenderer | None = None
        self._offset_s = CLOCK_START_S
        self._wall_start_s = 0.0
        self._paused = True
        self._slips = 0
        self._wheels = [0.0, 0.0]
        self._wheels_at_s = 0.0

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build the world and announce the topics; time stands until the node is activated."""
        path = Path(self._scene_file) if self._scene_file else resource("sim", "scenes", f"{self.world_map.name}_demo.json")
        self._renderer = SceneRenderer()
        try:
            self._build(path.read_text(encoding="utf-8"), self._seed)
        except (OSError, ValueError) as error:
            self.get_logger().error(f"{path.name}: {error}")
            return TransitionCallbackReturn.FAILURE
        self._announce()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let time run."""
        self._pause(False)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop time."""
        self._pause(True)
        return super().on_deactivate(state)

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()

    def _build(self, scene_json: str, seed: int) -> None:
        scene = json.loads(scene_json)
        objects = objects_from_dicts(scene.get("objects", []))
        if load_map(self.world_map.name).with_landmarks(objects).places != self.world_map.places:
            raise ValueError("the scene's landmarks are not those of the map that the graph was started with")
        self._sim = SimRobot(
            self.robot,
            self.world_map.name,
            objects,
            robot_pose=scene.get("robot_pose", (0.0, 0.0, 0.0)),
            robot_speed_mps=scene.get("robot_speed_mps", 0.0),
            lights=scene.get("lights", []),
            seed=seed,
            renderer=self._renderer,
        )
        self._scene_json = scene_json

    def _announce(self) -> None:
        self._clock = self.create_publisher(Clock, topics.CLOCK, topics.SENSOR)
        self._odom = self.create_publisher(Odometry, topics.ODOM, topics.COMMAND)
        self._fix = self.create_publisher(PoseWithCovarianceStamped, topics.LOCALIZATION, topics.COMMAND)
        lidar_topic, lidar_type = topics.lidar_topic(self.robot)
        self._scan = self.create_publisher(lidar_type, lidar_topic, topics.SENSOR)
        self._joints = self.create_publisher(JointState, "/joint_states", topics.SENSOR)
        self._forget = self.create_publisher(Empty, topics.FORGET, topics.WORDS)
        self._frames = Frames(self)
        self._images, self._depths, self._infos = {}, {}, {}
        for camera in self.robot.cameras:
            name = camera.name
            self._images[name] = self.create_publisher(Image, topics.camera_topic(name, "image_raw"), topics.FRAMES)
            if camera.depth_rate_hz > 0:
                self._depths[name] = self.create_publisher(Image, topics.camera_topic(name, "depth"), topics.PICTURE)
            self._infos[name] = self.create_publisher(CameraInfo, topics.camera_topic(name, "camera_info"), topics.SENSOR)
            self.create_subscription(
                Empty, topics.camera_topic(name, "trigger"), lambda _, n=name: self._capture(n), topics.WORDS
            )
            if self._image_rate_hz > 0:
                self.create_timer(1.0 / self._image_rate_hz, lambda n=name: self._capture(n), clock=self.steady)
        self.create_subscription(TwistStamped, topics.CMD_VEL, self._on_command, topics.COMMAND)
        self.create_service(ResetSimulation, topics.SIM_RESET, self._on_reset)
        self.create_service(SetBool, topics.SIM_PAUSE, self._on_pause)
        self.create_service(StepSimulation, topics.SIM_STEP, self._on_step)
        self.create_timer(TICK_S, self._tick, clock=self.steady)

    def _on_command(self, message: TwistStamped) -> None:
        self._sim.command(message.twist.linear.x, message.twist.angular.z)

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._pause(request.data)
        response.success, response.message = True, "paused" if self._paused else "running"
        return response

    def _on_step(self, request: StepSimulation.Request, response: StepSimulation.Response) -> StepSimulation.Response:
        if not self._paused:
            response.message = "pause the simulation first"
        elif not 0.0 < request.duration_s <= 60.0:
            response.message = f"duration_s must be in (0, 60], not {request.duration_s}"
        else:
            for _ in range(max(1, round(request.duration_s / TICK_S))):
                self._advance(TICK_S)
            response.success, response.message = True, "stepped"
        response.time_s = self._sim.time_s
        return response

    def _on_reset(self, request: ResetSimulation.Request, response: ResetSimulation.Response) -> ResetSimulation.Response:
        # ROS time goes on; only the world starts anew
        offset_s = self._offset_s + self._sim.time_s
        try:
            self._build(request.scene_json or self._scene_json, request.seed)
        except (ValueError, TypeError) as error:
            response.message = str(error)
            return response
        self._offset_s = offset_s
        self._wheels, self._wheels_at_s = [0.0, 0.0], 0.0
        self._pause(self._paused)
        self._forget.publish(Empty())
        response.success, response.message = True, "reset"
        return response

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self._wall_start_s = self.steady_s() - self._sim.time_s

    def _tick(self) -> None:
        if self._paused:
            return
        behind_s = self.steady_s() - self._wall_start_s - self._sim.time_s
        if behind_s > SLIP_S:
            self._slips += 1
            self._wall_start_s += behind_s - TICK_S
            self.get_logger().warning(
                f"{behind_s:.2f} s behind the wall clock; slips so far: {self._slips}", throttle_duration_sec=5.0
            )
            behind_s = TICK_S
        steps = int(behind_s / PHYSICS_STEP_S)
        if steps > 0:
            self._advance(steps * PHYSICS_STEP_S)

    def _advance(self, duration_s: float) -> None:
        try:
            self._sim.step(duration_s)
        except SimulationDiverged as error:
            self.get_logger().fatal(str(error))
            raise
        observation = self._sim.observe()
        self._clock.publish(Clock(clock=stamp_of(self._offset_s + self._sim.time_s)))
        self._publish(observation)

    def _publish(self, observation: Observation) -> None:
        if observation.localization is not None:
            self._fix.publish(convert.localization_msg(self._shifted(observation.localization)))
        if observation.odometry is not None:
            odometry = self._shifted(observation.odometry)
            self._odom.publish(convert.odometry_msg(odometry))
            self._frames.send("odom", "base_link", tuple(odometry.pose), odometry.stamp_s)
            self._publish_joints(odometry.stamp_s, odometry.v_mps, odometry.w_radps)
        if observation.scan is not None:
            scan, lidar = self._shifted(observation.scan), self.robot.lidar
            planar = len(lidar.rows_deg) == 1
            self._scan.publish(convert.scan_msg(scan, lidar.rate_hz) if planar else convert.points_msg(scan, lidar))
        for name, depth in observation.depths.items():
            shifted = self._shifted(depth)
            self._depths[name].publish(convert.depth_msg(shifted))
            self._infos[name].publish(convert.camera_info_msg(self.robot.camera(name), shifted.stamp_s))

    def _publish_joints(self, stamp_s: float, v_mps: float, w_radps: float) -> None:
        names, track_m, radius_m = _CART_AXLE if self.robot.ackermann is None else _CAR_AXLE
        rates = [(v_mps - w_radps * track_m / 2) / radius_m, (v_mps + w_radps * track_m / 2) / radius_m]
        step_s = stamp_s - self._wheels_at_s if self._wheels_at_s else 0.0
        self._wheels = [math.remainder(angle + rate * step_s, math.tau) for angle, rate in zip(self._wheels, rates, strict=True)]
        self._wheels_at_s = stamp_s
        message = JointState(name=list(names), position=self._wheels, velocity=rates)
        message.header.stamp = stamp_of(stamp_s)
        self._joints.publish(message)

    def _capture(self, camera: str) -> None:
        self._images[camera].publish(convert.image_msg(self._shifted(self._sim.capture(camera))))

    def _shifted(self, reading):
        """A reading with its stamp on the ROS clock."""
        return dataclasses.replace(reading, stamp_s=reading.stamp_s + self._offset_s)


def main() -> int:
    """Run the node."""
    return run(SimNode)


if __name__ == "__main__":
    sys.exit(main())
