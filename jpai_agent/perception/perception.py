"""The owner of the belief: takes observations in, gives the scene out, finds image points in the world."""

from __future__ import annotations

import itertools
from collections import deque

from jpai_agent.perception import lights, street, yard
from jpai_agent.perception.grounding import Frame, find_landmark, find_owner, find_spot
from jpai_agent.perception.lights import LightReader
from jpai_agent.perception.pose import PoseEstimator
from jpai_agent.perception.returns import Tilt
from jpai_agent.perception.street import StreetSurroundings
from jpai_agent.perception.surroundings import Surroundings
from jpai_agent.perception.yard import YardSurroundings
from jpai_agent.plan import Target
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, RobotState, Scene
from jpai_agent.world.sensors import Observation


class Perception:
    """Keeps pose, obstacles, movers and traffic lights up to date.

    Args:
        robot: Geometry of the sensors; a car has the street around it, any other robot the yard.
        world_map: Bounds (a yard's walls are known), places, and the road.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap) -> None:
        self.robot = robot
        self.world_map = world_map
        self._pose = PoseEstimator()
        self._street = StreetSurroundings(robot, world_map) if robot.ackermann is not None else None
        self._around: Surroundings = self._street or YardSurroundings(robot, world_map)
        self._lights = _light_reader(robot, world_map)
        self._frames: deque[Frame] = deque(maxlen=15)
        self._speed = (0.0, 0.0)
        self._stamp_s = 0.0
        self._snapshots = itertools.count(1)

    @property
    def ready(self) -> bool:
        """True once the robot knows where it is."""
        return self._pose.ready

    @property
    def wants_stream(self) -> frozenset[str]:
        """Cameras whose colour frames are wanted now: `tele` while it should show a traffic light."""
        if self._lights is None or not self._pose.ready or not self._lights.aims(self._pose.pose, self._tilt):
            return frozenset()
        return frozenset({self._lights.camera.name})

    def can_ground(self, camera: str) -> bool:
        """True once the robot knows where it is and has depth of that camera to find points in."""
        return self._pose.ready and any(frame.depth.camera == camera for frame in self._frames)

    def update(self, observation: Observation) -> None:
        """Take in what the sensors have delivered."""
        self._stamp_s = observation.stamp_s
        if observation.odometry is not None:
            self._pose.odometry(observation.odometry)
            self._speed = (observation.odometry.v_mps, observation.odometry.w_radps)
        if observation.localization is not None:
            self._pose.fix(observation.localization)
        if not self._pose.ready:
            return
        map_from_odom = self._pose.map_from_odom
        assert map_from_odom is not None, "ready without a fix"
        if observation.scan is not None:
            self._around.take_scan(observation.scan, self._pose.odom_pose_at(observation.scan.stamp_s), map_from_odom)
        for depth in observation.depths.values():
            tilt = None if self._street is None else self._street.tilt
            self._frames.append(Frame(depth, self._pose.pose_at(depth.stamp_s), tilt))
            self._around.take_depth(depth, self._pose.odom_pose_at(depth.stamp_s), map_from_odom)
        if self._lights is not None and (image := observation.images.get(self._lights.camera.name)) is not None:
            self._lights.take(image, self._pose.pose_at(image.stamp_s), self._tilt)

    def robot_state(self) -> RobotState:
        """Pose in the map and speed. Raises RuntimeError before the first fix."""
        x, y, yaw = self._pose.pose
        return RobotState(float(x), float(y), float(yaw), *self._speed)

    def scene(self) -> Scene:
        """A snapshot of the belief. Raises RuntimeError before the first fix."""
        map_from_odom = self._pose.map_from_odom
        if map_from_odom is None:
            raise RuntimeError("no localiser fix yet")
        obstacles, movers = self._around.things(map_from_odom, self._stamp_s)
        seen = () if self._lights is None else self._lights.seen(self._stamp_s)
        camera_s = self._frames[-1].depth.stamp_s if self._frames else None
        return Scene(f"scene-{next(self._snapshots)}", self._stamp_s, self.robot_state(), tuple(obstacles), tuple(movers), seen,
                     camera_s)

    def ground(self, target: Target, scene: Scene, image_stamp_s: float) -> GroundedTarget | None:
        """Find a plan's target in the world.

        Args:
            target: With a place, or a point in a camera.
            scene: The belief to name the object from.
            image_stamp_s: Time of the frame that the point refers to.

        Returns:
            The target, or None when nothing can be found at the point (no depth there, beyond the walls, no such
            frame).
        """
        label = target.label or ""
        if target.point is None:
            if target.place is None:
                return None
            place = self.world_map.place(target.place)
            return GroundedTarget(label or place.names[0], place.x_m, place.y_m, "place", place.yaw_rad)
        frame = min(
            (f for f in self._frames if f.depth.camera == target.camera),
            key=lambda f: abs(f.depth.stamp_s - image_stamp_s),
            default=None,
        )
        if frame is None or abs(frame.depth.stamp_s - image_stamp_s) > 0.5:
            return None
        camera = self.robot.camera(frame.depth.camera)
        floor = (yard.FLOOR_M, 0.0) if self._street is None else (street.FLOOR_M, street.FLOOR_PER_M)
        spot = find_spot(camera, frame, target.point, *floor)
        if spot is None:
            return None
        x0, y0, x1, y1 = self.world_map.bounds_m
        xy = spot.xy
        if not (x0 + 0.1 < xy[0] < x1 - 0.1 and y0 + 0.1 < xy[1] < y1 - 0.1):
            return None
        if not spot.on_thing:
            return GroundedTarget(label, float(xy[0]), float(xy[1]), "floor")
        owner = find_owner(xy, scene, 0.3 if self._street is None else 0.4 + 0.02 * spot.away_m)
        if (landmark := find_landmark(spot, self.world_map, owner)) is not None:
            return GroundedTarget(label or landmark.names[0], landmark.x_m, landmark.y_m, "place", landmark.yaw_rad)
        kind = "mover" if isinstance(owner, Mover) else "object"
        return GroundedTarget(label, float(xy[0]), float(xy[1]), kind, object_id=owner.id if owner else None)

    @property
    def _tilt(self) -> Tilt:
        return Tilt() if self._street is None else self._street.tilt


def _light_reader(robot: RobotSpec, world_map: WorldMap) -> LightReader | None:
    """A reader of the map's lights, where there are any and the robot has the camera for them."""
    cameras = [camera for camera in robot.cameras if camera.name == lights.CAMERA]
    if not cameras or world_map.road is None or not world_map.road.lights:
        return None
    return LightReader(cameras[0], world_map.road.lights)
