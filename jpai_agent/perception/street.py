"""The surroundings of a car in a street: what stands as boxes, road users as movers, within reach and near the road."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.perception.boxes import Rect, completed, split
from jpai_agent.perception.geometry import pixel_rays, transform
from jpai_agent.perception.nearroad import near_road
from jpai_agent.perception.returns import RANGE_NOISE, SMOOTH_NOISE, RowLidar, Tilt, clusters
from jpai_agent.perception.road_user import RoadUser
from jpai_agent.perception.road_users import STANDS_MPS, RoadUsers
from jpai_agent.perception.street_grid import StreetGrid
from jpai_agent.perception.surroundings import Names
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import CameraSpec, RobotSpec
from jpai_agent.world.scene import Mover, Obstacle
from jpai_agent.world.sensors import DepthImage, LidarScan

# how far the lidar is followed and mapped, how far the camera is mapped, and how far from the road things matter
SCAN_REACH_M, MAP_REACH_M, DEPTH_REACH_M, ASIDE_M = 56.0, 48.0, 36.0, 10.0
# of a depth pixel: ground below, nothing of the thing's top above; above the second height it is not in a car's way
FLOOR_M, FLOOR_PER_M, CEILING_M, OVERHEAD_M = 0.20, 0.006, 3.4, 2.3
# what is seen this near to a mover is the mover
MOVER_CLEAR_M, MOVER_CLEAR_PER_M = 0.4, 0.015
# a standing thing of a person's height and girth, this near to the road, may start to walk
PERSON_TOP_M, PERSON_GIRTH_M, PERSON_RADIUS_M, PERSON_ASIDE_M = (0.95, 2.0), 0.95, 0.35, 8.0
SAME_M, LANDMARK_M = 0.7, 1.3
OWN_M = 0.15
# a person who walks off is found this far from where they stood, this long after
STEPPED_M, WAITED_S = 1.1, 1.5
# points this near to somebody who stands are his
WATCHED_M = 0.7


class StreetSurroundings:
    """Obstacles from an evidence grid that moves along, movers from tracked lidar clusters.

    Raises ValueError for a map without a road.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap) -> None:
        if world_map.road is None:
            raise ValueError(f"map {world_map.name} has no road; robot {robot.name} drives on roads")
        self._robot = robot
        self._near = near_road(world_map.road)
        self._landmarks = np.array([[p.x_m, p.y_m] for p in world_map.places if p.kind]).reshape(-1, 2)
        self._lidar = RowLidar(robot.lidar)
        self._grid = StreetGrid(MAP_REACH_M + 2.0)
        self._users = RoadUsers()
        self._names = Names()
        self._boxes: list[tuple[Rect, float, bool]] | None = None
        self._viewer = np.zeros(2)
        # what stands, in odom, and since when
        self._since: list[tuple[Rect, float]] = []
        # people who stand, by name: where they were seen first and when last
        self._waiting: dict[str, tuple[np.ndarray, float]] = {}

    @property
    def tilt(self) -> Tilt:
        """How the ground lay in base_link in the latest scan."""
        return self._lidar.tilt

    def take_scan(self, scan: LidarScan, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a turn of the lidar."""
        sweep = self._lidar.read(scan)
        sight = self._lidar.sight(sweep, pose)
        local = sweep.points[..., :2]
        own = (np.abs(local[..., 0] - self._robot.center_x_m) < self._robot.length_m / 2 + OWN_M) & (
            np.abs(local[..., 1]) < self._robot.width_m / 2 + OWN_M)
        wanted = sweep.thing & (sweep.ranges_m < SCAN_REACH_M) & ~own
        odom = transform(pose, local[wanted])
        wanted[wanted] = self._near.away_m(transform(map_from_odom, odom)) < ASIDE_M
        xy, tops, ranges = transform(pose, local[wanted]), sweep.heights[wanted], sweep.ranges_m[wanted]
        self._viewer = sight.xy
        self._grid.recentre(sight.xy)

        def road_at(point: np.ndarray) -> float | None:
            return self._road_yaw(point, map_from_odom)

        # people who stand may walk off: they are watched like what moves
        stands = self._grid.stands(xy, sight.xy, 2.5 * SMOOTH_NOISE, scan.stamp_s) & ~self._by_people(xy, map_from_odom)
        found = self._users.update(xy, tops, clusters(sweep, wanted), stands, sight, road_at)
        self._grid.clear(sight.looked_through)
        keep = (ranges < MAP_REACH_M) & ~self._near_mover(xy, ranges, scan.stamp_s)
        self._grid.add(xy[keep], tops[keep], ranges[keep], scan.stamp_s, camera=False)
        for user in found:
            # nor does it stand where it came from
            for glimpse in user.glimpses:
                x, y = glimpse.middle.tolist()
                self._erase(Rect(x, y, user.yaw_rad, *_halves(user)))
        for user in self._users.moving():
            self._erase(user.rect(scan.stamp_s))
        self._boxes = None

    def take_depth(self, depth: DepthImage, pose: np.ndarray, map_from_odom: np.ndarray) -> None:
        """Take in a depth frame."""
        camera = self._robot.camera(depth.camera)
        self._grid.clear(lambda xy, tops, _: _seen_past(camera, depth.depth_m, self.tilt, pose, xy, tops))
        points = depth_things(camera, depth.depth_m, self.tilt)
        odom = transform(pose, points[:, :2])
        near = self._near.away_m(transform(map_from_odom, odom)) < ASIDE_M
        points, odom = points[near], odom[near]
        ranges = np.hypot(points[:, 0], points[:, 1])
        keep = ~self._near_mover(odom, ranges, depth.stamp_s)
        heights = points[keep, 2]
        self._grid.add(odom[keep], heights, ranges[keep], depth.stamp_s, camera=True, solid=heights < OVERHEAD_M)
        self._boxes = None

    def things(self, map_from_odom: np.ndarray, now_s: float) -> tuple[list[Obstacle], list[Mover]]:
        """What stands and what moves, in the map frame."""
        movers = [self._moving(user, map_from_odom, now_s) for user in self._users.moving()]
        places = {mover.id: np.array([mover.x_m, mover.y_m]) for mover in movers}
        boxes = self._standing(map_from_odom)
        centres = transform(map_from_odom, np.array([[rect.x_m, rect.y_m] for rect, _, _ in boxes]).reshape(-1, 2))
        reach = np.array([SAME_M + 0.3 * rect.half_x_m for rect, _, _ in boxes])
        aside = self._near.away_m(centres)
        known = self._landmarks
        obstacles = []
        names = self._names.of(centres, set(places), reach)
        self._since = [(rect, self._seen_since(rect, now_s)) for rect, _, _ in boxes]
        sinces = [since_s for _, since_s in self._since]
        for name, centre, (rect, top_m, measured), aside_m, since_s in zip(names, centres, boxes, aside, sinces, strict=True):
            places[name] = centre
            x, y = float(centre[0]), float(centre[1])
            person = measured and PERSON_TOP_M[0] < top_m < PERSON_TOP_M[1] and 2 * rect.half_x_m < PERSON_GIRTH_M
            if person and aside_m < PERSON_ASIDE_M and not (np.hypot(*(known - centre).T) < LANDMARK_M).any():
                movers.append(Mover(name, x, y, 0.0, 0.0, PERSON_RADIUS_M, top_m, now_s, seen_since_s=since_s))
                self._waiting.setdefault(name, (centre, now_s))
            else:
                yaw = float(rect.yaw_rad + map_from_odom[2])
                obstacles.append(Obstacle(name, x, y, yaw, rect.half_x_m, rect.half_y_m, top_m, 0.05, since_s))
        self._names.remember(places)
        self._waiting = {name: (xy, now_s if name in places else seen_s) for name, (xy, seen_s) in self._waiting.items()
                         if now_s - seen_s < WAITED_S}
        return obstacles, movers

    def _standing(self, map_from_odom: np.ndarray) -> list[tuple[Rect, float, bool]]:
        """Rectangles in odom of what stands, their tops, and whether a camera has seen these."""
        if self._boxes is None:
            self._boxes = []
            for patch in self._grid.patches():
                hint = self._road_yaw(patch.xy[0], map_from_odom)
                for at, rect in split(patch.xy, self._grid.cell_m, hint):
                    tops = patch.tops_m[at]
                    top = float(tops.max())
                    # the upper part of a vehicle is about as wide as the lower one, that of a rider is not
                    upper = patch.xy[at][tops > 0.6 * top]
                    if np.hypot(*np.ptp(upper, axis=0)) > 0.65 * 2 * rect.half_x_m:
                        rect = completed(rect, top, self._viewer, self._users.seen_free)
                    self._boxes.append((rect, top, patch.measured))
        return self._boxes

    def _seen_since(self, rect: Rect, now_s: float) -> float:
        """Since when something stands where a box is, however much of it was seen."""
        middle = np.array([[rect.x_m, rect.y_m]])
        return min((since_s for other, since_s in self._since if other.holds(middle, SAME_M)[0]
                    or rect.holds(np.array([[other.x_m, other.y_m]]), SAME_M)[0]), default=now_s)

    def _name(self, user: RoadUser, born: np.ndarray, now_s: float) -> str:
        """The name of a road user first seen at (1, 2): of the person who stood there, else of the thing, else a new one."""
        taken = {other.id for other in self._users.moving()}
        gaps = {name: float(np.hypot(*(born[0] - xy))) for name, (xy, seen_s) in self._waiting.items()
                if now_s - seen_s < WAITED_S and name not in taken}
        nearest = min(gaps, key=lambda name: gaps[name], default="")
        if user.small and nearest and gaps[nearest] < STEPPED_M:
            return nearest
        return self._names.of(born, taken, SAME_M + user.length_m / 2)[0]

    def _road_yaw(self, odom_xy: np.ndarray, map_from_odom: np.ndarray) -> float | None:
        yaw = self._near.yaw_rad(transform(map_from_odom, odom_xy[None, :])[0])
        return None if yaw is None else yaw - float(map_from_odom[2])

    def _near_mover(self, odom_xy: np.ndarray, ranges_m: np.ndarray, now_s: float) -> np.ndarray:
        near = np.zeros(len(odom_xy), dtype=bool)
        margin_m = MOVER_CLEAR_M + MOVER_CLEAR_PER_M * ranges_m
        for user in self._users.moving():
            near |= user.rect(now_s).holds(odom_xy, margin_m)
        return near

    def _by_people(self, odom_xy: np.ndarray, map_from_odom: np.ndarray) -> np.ndarray:
        """(N,) whether points (N, 2) are where somebody stands."""
        near = np.zeros(len(odom_xy), dtype=bool)
        if self._waiting and len(odom_xy):
            xy = transform(map_from_odom, odom_xy)
            for at, _ in self._waiting.values():
                near |= np.hypot(*(xy - at).T) < WATCHED_M
        return near

    def _erase(self, rect: Rect) -> None:
        self._grid.erase(lambda xy: rect.holds(xy, 0.3))

    def _moving(self, user: RoadUser, map_from_odom: np.ndarray, now_s: float) -> Mover:
        first = transform(map_from_odom, np.array([user.born_xy, user.at(now_s)]))
        if not user.id:
            user.id = self._name(user, first[:1], now_s)
        cos, sin = math.cos(map_from_odom[2]), math.sin(map_from_odom[2])
        vx, vy = user.velocity if user.speed_mps > STANDS_MPS else (0.0, 0.0)
        half_x, half_y = _halves(user) if not user.small else (0.0, 0.0)
        x, y = float(first[1, 0]), float(first[1, 1])
        yaw = 0.0 if user.small else float(math.remainder(user.yaw_rad + map_from_odom[2], math.tau))
        radius = PERSON_RADIUS_M if user.small else math.hypot(half_x, half_y)
        return Mover(user.id, x, y, float(cos * vx - sin * vy), float(sin * vx + cos * vy), radius, max(user.top_m, 1.0),
                     user.seen_s, math.sqrt(user.spread[0, 0]), yaw, half_x, half_y)


def depth_things(camera: CameraSpec, depth_m: np.ndarray, tilt: Tilt) -> np.ndarray:
    """(N, 3) points on things in base_link, z above the ground, of a depth frame (h, w); columns are averaged over surfaces."""
    rays = pixel_rays(camera, depth_m.shape[1], depth_m.shape[0])
    x0, y0, z0 = camera.position_m
    # ground as a function of the ray: height = camera's − depth × fall
    rise = rays[..., 2] - np.float32(tilt.ahead) * rays[..., 0] - np.float32(tilt.left) * rays[..., 1]
    height = np.float32(z0 - tilt.ahead * x0 - tilt.left * y0 - tilt.offset_m) + depth_m * rise
    ahead = depth_m * rays[..., 0]
    thing = (depth_m > 0.05) & (ahead < DEPTH_REACH_M) & (height < CEILING_M) & (height > FLOOR_M + FLOOR_PER_M * ahead)
    held = np.where(thing, ahead, np.inf)
    total, count = np.where(thing, ahead, 0.0), thing.astype(np.float32)
    near = (3.0 * RANGE_NOISE) * ahead
    for k in (1, 2, 3):
        for a, b in ((slice(k, None), slice(None, -k)), (slice(None, -k), slice(k, None))):
            with np.errstate(invalid="ignore"):
                same = np.abs(held[b] - held[a]) < near[a]
            total[a] += np.where(same, held[b], 0.0)
            count[a] += same
    scale = (total[thing] / count[thing]) / ahead[thing]
    points = np.stack([rays[..., 0][thing], rays[..., 1][thing]], axis=1) * (depth_m[thing] * scale)[:, None] + [x0, y0]
    return np.column_stack([points, height[thing]])


def _seen_past(camera: CameraSpec, depth_m: np.ndarray, tilt: Tilt, pose: np.ndarray, xy: np.ndarray,
               tops_m: np.ndarray) -> np.ndarray:
    """(N,) whether the camera saw farther where things stand at xy (N, 2) in odom and reach up to tops_m (N,)."""
    height, width = depth_m.shape
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    offset = xy - pose[:2]
    x, y = offset @ [cos, sin], offset @ [-sin, cos]
    z = np.clip(0.6 * tops_m, 0.25, 0.9) + tilt.ahead * x + tilt.left * y + tilt.offset_m
    x, y, z = x - camera.position_m[0], y - camera.position_m[1], z - camera.position_m[2]
    pitch, focal = math.radians(camera.pitch_deg), width / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    ahead = np.maximum(x * math.cos(pitch) - z * math.sin(pitch), 0.1)
    down = -x * math.sin(pitch) - z * math.cos(pitch)
    u, v = np.floor(width / 2 - focal * y / ahead).astype(int), np.floor(height / 2 + focal * down / ahead).astype(int)
    seen = (x > 0.5) & (u >= 1) & (u < width - 1) & (v >= 0) & (v < height)
    u, v = np.where(seen, u, 1), np.where(seen, v, 0)
    nearest = np.minimum(np.minimum(depth_m[v, u - 1], depth_m[v, u]), depth_m[v, u + 1])
    return seen & (nearest > ahead * (1 + 3 * RANGE_NOISE) + 0.25)


def _halves(user: RoadUser) -> tuple[float, float]:
    return (0.3, 0.3) if user.small else (user.length_m / 2, user.width_m / 2)
