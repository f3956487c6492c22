"""The owner of the belief: takes observations in, gives the scene out, finds image points in the world."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass

import numpy as np

from jpai_agent.perception.geometry import compose, pixel_rays, transform
from jpai_agent.perception.grid import ObstacleGrid, depth_reading, scan_reading
from jpai_agent.perception.movers import MoverTracker, Track
from jpai_agent.perception.pose import PoseEstimator
from jpai_agent.plan import Target
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene
from jpai_agent.world.sensors import DepthImage, LidarScan, Observation

FLOOR_M, CEILING_M, REACH_M = 0.06, 2.2, 8.0
WALL_M, WALL_PER_M = 0.20, 0.03
SAME_M = 0.5
# a standing thing of a person's height and girth may start to walk
PERSON_TOP_M, PERSON_GIRTH_M = (1.62, 1.95), 0.80
PERSON_RADIUS_M = 0.35
# what is seen this near to a mover is the mover
MOVER_CLEAR_M = 0.5
# how far around a point (0..1000) its thing is looked for, when the point itself shows floor or nothing
SEARCH = 12


@dataclass(frozen=True)
class _Frame:
    depth: DepthImage
    odom_pose: np.ndarray
    map_pose: np.ndarray


class Perception:
    """Keeps pose, obstacles and movers up to date.

    Args:
        robot: Geometry of the sensors. world_map: bounds (walls are known) and places.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap) -> None:
        self.robot = robot
        self.world_map = world_map
        self._pose = PoseEstimator()
        self._grid = ObstacleGrid()
        self._movers = MoverTracker()
        self._frames: deque[_Frame] = deque(maxlen=15)
        self._speed = (0.0, 0.0)
        self._stamp_s = 0.0
        self._things: dict[str, np.ndarray] = {}
        self._serial = itertools.count(1)
        self._rays: dict[tuple[str, int, int], np.ndarray] = {}
        self._snapshots = itertools.count(1)

    @property
    def ready(self) -> bool:
        """True once the robot knows where it is."""
        return self._pose.ready

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
        if observation.scan is not None:
            self._take_scan(observation.scan)
        for depth in observation.depths.values():
            self._take_depth(depth)

    def robot_state(self) -> RobotState:
        """Pose in the map and speed. Raises RuntimeError before the first fix."""
        x, y, yaw = self._pose.pose
        return RobotState(float(x), float(y), float(yaw), *self._speed)

    def scene(self) -> Scene:
        """A snapshot of the belief. Raises RuntimeError before the first fix."""
        map_from_odom = self._pose.map_from_odom
        if map_from_odom is None:
            raise RuntimeError("no localiser fix yet")
        now_s = self._stamp_s
        movers = [self._moving(track, map_from_odom, now_s) for track in self._movers.moving()]
        things = {mover.id: np.array([mover.x_m, mover.y_m]) for mover in movers}
        x0, y0, x1, y1 = self.world_map.bounds_m
        boxes = self._grid.boxes()
        centres = transform(map_from_odom, np.array([box[:2] for box in boxes]).reshape(-1, 2))
        low, high = np.array([x0, y0]) - WALL_M, np.array([x1, y1]) + WALL_M
        inside = np.all((centres > low) & (centres < high), axis=1).tolist()
        names = self._names(centres, set(things))
        obstacles = []
        for name, centre, (_, _, yaw, half_x, half_y, top_m), within in zip(names, centres, boxes, inside, strict=True):
            if not within:
                continue
            things[name] = centre
            x, y = float(centre[0]), float(centre[1])
            if PERSON_TOP_M[0] < top_m < PERSON_TOP_M[1] and 2 * max(half_x, half_y) < PERSON_GIRTH_M:
                movers.append(Mover(name, x, y, 0.0, 0.0, PERSON_RADIUS_M, top_m, now_s))
            else:
                obstacles.append(Obstacle(name, x, y, float(yaw + map_from_odom[2]), half_x, half_y, top_m))
        self._things = things
        return Scene(f"scene-{next(self._snapshots)}", now_s, self.robot_state(), tuple(obstacles), tuple(movers))

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
        spot = self._spot(frame, target.point)
        if spot is None:
            return None
        xy, on_thing = spot
        x0, y0, x1, y1 = self.world_map.bounds_m
        if not (x0 + 0.1 < xy[0] < x1 - 0.1 and y0 + 0.1 < xy[1] < y1 - 0.1):
            return None
        if not on_thing:
            return GroundedTarget(label, float(xy[0]), float(xy[1]), "floor")
        owner = self._owner(xy, scene)
        kind = "mover" if isinstance(owner, Mover) else "object"
        return GroundedTarget(label, float(xy[0]), float(xy[1]), kind, object_id=owner.id if owner else None)

    def _take_scan(self, scan: LidarScan) -> None:
        pose = self._pose.odom_pose
        points, hit, free = scan_reading(scan, pose)
        hit &= self._within_walls(points)
        self._movers.update(points, hit, self._grid.entered(points), scan.stamp_s)
        still = hit & ~self._near_mover(points)
        self._grid.add("lidar", points[still], np.full(int(still.sum()), self.robot.lidar.height_m), free)
        for track in self._movers.moving():
            # nor does it stand where it came from
            while track.trail:
                self._grid.erase(track.trail.popleft(), MOVER_CLEAR_M)
            self._grid.erase(track.predict(scan.stamp_s), MOVER_CLEAR_M)

    def _take_depth(self, depth: DepthImage) -> None:
        pose = self._pose.odom_pose
        self._frames.append(_Frame(depth, pose.copy(), self._pose.pose.copy()))
        points = self._points(depth, 2).reshape(-1, 3)
        points = points[np.isfinite(points[:, 0])]
        hits, tops_m, free = depth_reading(
            points, pose, floor_m=FLOOR_M, ceiling_m=CEILING_M, reach_m=REACH_M, blind_m=1.2
        )
        # the farther, the coarser: what may be the wall is left to the map
        margin_m = WALL_M + WALL_PER_M * np.linalg.norm(hits - pose[:2], axis=1)
        keep = self._within_walls(hits, margin_m) & ~self._near_mover(hits)
        self._grid.add("depth", hits[keep], tops_m[keep], free)

    def _points(self, depth: DepthImage, step_px: int) -> np.ndarray:
        """(h, w, 3) points in base_link of every `step_px`-th pixel; NaN where there is no reading."""
        height, width = depth.depth_m.shape
        key = (depth.camera, width, step_px)
        camera = self.robot.camera(depth.camera)
        if key not in self._rays:
            self._rays[key] = pixel_rays(camera, width, height, step_px)
        z = depth.depth_m[::step_px, ::step_px, None]
        valid = np.isfinite(z) & (z > 0.05) & (z < camera.depth_max_m)
        return np.where(valid, self._rays[key] * z + np.asarray(camera.position_m, dtype=np.float32), np.nan)

    def _spot(self, frame: _Frame, point: tuple[int, int]) -> tuple[np.ndarray, bool] | None:
        """Where in the map (2,) an image point is, and whether it is on a thing rather than the floor."""
        points = self._points(frame.depth, 1)
        height, width = points.shape[:2]
        v, u = np.mgrid[0:height, 0:width]
        away = np.hypot((u + 0.5) / width * 1000 - point[0], ((v + 0.5) / height * 1000 - point[1]) * height / width)
        seen = np.isfinite(points[..., 0])
        on_thing = seen & (points[..., 2] > FLOOR_M)
        for wanted, thing in ((on_thing, True), (seen, False)):
            near = np.where(wanted, away, np.inf)
            closest = float(near.min())
            if closest <= SEARCH:
                patch = points[near <= closest + 4.0]
                # of a patch across an edge, the nearer side is meant
                ranges = np.hypot(patch[:, 0], patch[:, 1])
                patch = patch[ranges <= np.percentile(ranges, 20) + 0.15]
                return transform(frame.map_pose, np.median(patch[:, :2], axis=0)[None, :])[0], thing
        return None

    def _within_walls(self, odom_xy: np.ndarray, margin_m: float | np.ndarray = WALL_M) -> np.ndarray:
        """(N,) whether points in odom lie inside the map's bounds, clear of the walls by a margin (scalar or (N,))."""
        assert self._pose.map_from_odom is not None, "no localiser fix yet"
        xy = transform(self._pose.map_from_odom, odom_xy)
        x0, y0, x1, y1 = self.world_map.bounds_m
        to_wall_m = np.minimum(np.minimum(xy[:, 0] - x0, x1 - xy[:, 0]), np.minimum(xy[:, 1] - y0, y1 - xy[:, 1]))
        return to_wall_m > margin_m

    def _near_mover(self, odom_xy: np.ndarray) -> np.ndarray:
        near = np.zeros(len(odom_xy), dtype=bool)
        for track in self._movers.moving():
            near |= np.linalg.norm(odom_xy - track.predict(self._stamp_s), axis=1) < MOVER_CLEAR_M
        return near

    def _moving(self, track: Track, map_from_odom: np.ndarray, now_s: float) -> Mover:
        if not track.id:
            born = transform(map_from_odom, track.born_xy[None, :])[0]
            track.id = self._names(born[None, :], set())[0]
        xy = transform(map_from_odom, track.predict(now_s)[None, :])[0]
        velocity = compose(np.array([0.0, 0.0, map_from_odom[2]]), np.array([*track.velocity, 0.0]))
        return Mover(
            track.id,
            float(xy[0]),
            float(xy[1]),
            float(velocity[0]),
            float(velocity[1]),
            max(PERSON_RADIUS_M, track.radius_m),
            1.7,
            track.seen_s,
        )

    def _names(self, centres: np.ndarray, taken: set[str]) -> list[str]:
        """Ids for the things at `centres` (N, 2): each that of the nearest thing of the last scene, or a new one."""
        known = [name for name in self._things if name not in taken]
        names = [""] * len(centres)
        if known and len(centres):
            gaps = np.linalg.norm(centres[:, None, :] - np.array([self._things[name] for name in known])[None], axis=2)
            for flat in np.argsort(gaps, axis=None):
                row, column = np.unravel_index(flat, gaps.shape)
                if gaps[row, column] >= SAME_M:
                    break
                if not names[row] and known[column]:
                    names[row], known[column] = known[column], ""
        return [name or f"thing-{next(self._serial)}" for name in names]

    @staticmethod
    def _owner(xy: np.ndarray, scene: Scene) -> Obstacle | Mover | None:
        """The thing whose footprint is nearest to a point, within 0.3 m."""

        def gap_m(thing: Obstacle | Mover) -> float:
            offset = xy - np.array([thing.x_m, thing.y_m])
            if isinstance(thing, Mover):
                return float(np.hypot(*offset)) - thing.radius_m
            cos, sin = np.cos(-thing.yaw_rad), np.sin(-thing.yaw_rad)
            local = np.abs([cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1]])
            return float(np.hypot(*np.maximum(local - [thing.half_x_m, thing.half_y_m], 0.0)))

        things: list[Obstacle | Mover] = [*scene.obstacles, *scene.movers]
        owner = min(things, key=gap_m, default=None)
        return owner if owner is not None and gap_m(owner) < 0.3 else None
