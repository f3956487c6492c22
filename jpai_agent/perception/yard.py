"""The surroundings of a robot in a walled yard: planar lidar and depth, things as they stand, people."""

from __future__ import annotations

import numpy as np

from jpai_agent.perception.geometry import compose, depth_points, transform
from jpai_agent.perception.grid import ObstacleGrid, depth_reading, scan_reading
from jpai_agent.perception.movers import MoverTracker, Track
from jpai_agent.perception.surroundings import Names
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Obstacle
from jpai_agent.world.sensors import DepthImage, LidarScan

FLOOR_M, CEILING_M, REACH_M = 0.06, 2.2, 8.0
WALL_M, WALL_PER_M = 0.20, 0.03
SAME_M = 0.5
# a standing thing of a person's height and girth may start to walk
PERSON_TOP_M, PERSON_GIRTH_M = (1.62, 1.95), 0.80
PERSON_RADIUS_M = 0.35
# what is seen this near to a mover is the mover
MOVER_CLEAR_M = 0.5


class YardSurroundings:
    """Obstacles from an evidence grid, movers from lidar clusters; walls are known from the map's bounds."""

    def __init__(self, robot: RobotSpec, world_map: WorldMap) -> None:
        self._robot, self._bounds_m = robot, world_map.bounds_m
        self._grid = ObstacleGrid()
        self._movers = MoverTracker()
        self._names = Names()

    def things(self, map_from_odom: np.ndarray, now_s: float) -> tuple[list[Obstacle], list[Mover]]:
        """What stands and what moves, in the map frame."""
        movers = [self._moving(track, map_from_odom, now_s) for track in self._movers.moving()]
        things = {mover.id: np.array([mover.x_m, mover.y_m]) for mover in movers}
        x0, y0, x1, y1 = self._bounds_m
        found = self._grid.things()
        centres, middles = (transform(map_from_odom, np.array([box[:2] for box in boxes]).reshape(-1, 2))
                            for boxes in ([thing.seen for thing in found], [thing.whole for thing in found]))
        low, high = np.array([x0, y0]) - WALL_M, np.array([x1, y1]) + WALL_M
        inside = np.all((centres > low) & (centres < high), axis=1).tolist()
        names = self._names.of(centres, set(things), SAME_M)
        obstacles = []
        for name, centre, middle, thing, within in zip(names, centres, middles, found, inside, strict=True):
            if not within:
                continue
            things[name] = centre
            if PERSON_TOP_M[0] < thing.top_m < PERSON_TOP_M[1] and 2 * max(thing.seen[3:]) < PERSON_GIRTH_M:
                x, y = centre.tolist()
                movers.append(Mover(name, x, y, 0.0, 0.0, PERSON_RADIUS_M, thing.top_m, now_s))
            else:
                (x, y), (_, _, yaw, half_x, half_y) = middle.tolist(), thing.whole
                obstacles.append(Obstacle(name, x, y, float(yaw + map_from_odom[2]), half_x, half_y, thing.top_m))
        self._names.remember(things)
        return obstacles, movers

    def take_scan(self, scan: LidarScan, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a turn of the lidar."""
        points, hit, free = scan_reading(scan, pose)
        hit &= self._within_walls(points, map_from_odom)
        self._movers.update(points, hit, self._grid.entered(points), scan.stamp_s)
        still = hit & ~self._near_mover(points, scan.stamp_s)
        self._grid.add("lidar", points[still], np.full(int(still.sum()), self._robot.lidar.height_m), free, pose[:2])
        for track in self._movers.moving():
            # nor does it stand where it came from
            while track.trail:
                self._grid.erase(track.trail.popleft(), MOVER_CLEAR_M)
            self._grid.erase(track.predict(scan.stamp_s), MOVER_CLEAR_M)

    def take_depth(self, depth: DepthImage, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a depth frame."""
        points = depth_points(self._robot.camera(depth.camera), depth.depth_m, 2).reshape(-1, 3)
        points = points[np.isfinite(points[:, 0])]
        hits, tops_m, free = depth_reading(
            points, pose, floor_m=FLOOR_M, ceiling_m=CEILING_M, reach_m=REACH_M, blind_m=1.2
        )
        # the farther, the coarser: what may be the wall is left to the map
        margin_m = WALL_M + WALL_PER_M * np.linalg.norm(hits - pose[:2], axis=1)
        keep = self._within_walls(hits, map_from_odom, margin_m) & ~self._near_mover(hits, depth.stamp_s)
        self._grid.add("depth", hits[keep], tops_m[keep], free, pose[:2])

    def _within_walls(self, odom_xy: np.ndarray, map_from_odom: np.ndarray, margin_m: float | np.ndarray = WALL_M) -> np.ndarray:
        """(N,) whether points in odom lie inside the map's bounds, clear of the walls by a margin (scalar or (N,))."""
        xy = transform(map_from_odom, odom_xy)
        x0, y0, x1, y1 = self._bounds_m
        to_wall_m = np.minimum(np.minimum(xy[:, 0] - x0, x1 - xy[:, 0]), np.minimum(xy[:, 1] - y0, y1 - xy[:, 1]))
        return to_wall_m > margin_m

    def _near_mover(self, odom_xy: np.ndarray, now_s: float) -> np.ndarray:
        near = np.zeros(len(odom_xy), dtype=bool)
        for track in self._movers.moving():
            near |= np.linalg.norm(odom_xy - track.predict(now_s), axis=1) < MOVER_CLEAR_M
        return near

    def _moving(self, track: Track, map_from_odom: np.ndarray, now_s: float) -> Mover:
        if not track.id:
            born = transform(map_from_odom, track.born_xy[None, :])[0]
            track.id = self._names.of(born[None, :], set(), SAME_M)[0]
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
