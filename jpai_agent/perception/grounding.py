"""Find what an image point shows: a place on the ground, a thing of the scene, or a landmark of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.perception.boxes import Rect
from jpai_agent.perception.geometry import depth_points, transform
from jpai_agent.perception.returns import Tilt
from jpai_agent.world.map import Place, WorldMap
from jpai_agent.world.objects import dimensions_m
from jpai_agent.world.robot import CameraSpec
from jpai_agent.world.scene import Mover, Obstacle, Scene
from jpai_agent.world.sensors import DepthImage

# how far around a point (0..1000) its thing is looked for, when the point itself shows floor or nothing
SEARCH = 12
# a point on a landmark lies this near to its place, this near to its footprint
LANDMARK_M, LANDMARK_GAP_M, LANDMARK_GAP_PER_M = 6.0, 0.7, 0.02


@dataclass(frozen=True)
class Frame:
    """A depth frame with the pose (3,) in the map and the ground's tilt when it was taken, None where that is not measured."""

    depth: DepthImage
    map_pose: np.ndarray
    tilt: Tilt | None


@dataclass(frozen=True)
class Spot:
    """Where an image point is: xy (2,) in the map, metres to it, and whether it is on a thing rather than the ground."""

    xy: np.ndarray
    away_m: float
    on_thing: bool


def find_spot(camera: CameraSpec, frame: Frame, point: tuple[int, int], floor_m: float, floor_per_m: float) -> Spot | None:
    """What an image point (0..1000) of a depth frame shows; None where there is no reading.

    floor_m, floor_per_m: Height above the ground, and more with the distance, from which on it is a thing.
    """
    points = depth_points(camera, frame.depth.depth_m, 1)
    height, width = points.shape[:2]
    v, u = np.mgrid[0:height, 0:width]
    away = np.hypot((u + 0.5) / width * 1000 - point[0], ((v + 0.5) / height * 1000 - point[1]) * height / width)
    seen = np.isfinite(points[..., 0])
    on_thing = seen & ((frame.tilt or Tilt()).heights(points) > floor_m + floor_per_m * points[..., 0])
    for wanted, thing in ((on_thing, True), (seen, False)):
        near = np.where(wanted, away, np.inf)
        closest = float(near.min())
        if closest <= SEARCH:
            patch = points[near <= closest + 4.0]
            if not thing and frame.tilt is not None:
                # a pixel of depth is metres of road
                xy = _on_ground(camera, frame.tilt, point)
                return Spot(transform(frame.map_pose, xy[None, :])[0], float(np.hypot(*xy)), False)
            # of a patch across an edge, the nearer side is meant
            ranges = np.hypot(patch[:, 0], patch[:, 1])
            first = float(np.percentile(ranges, 20))
            patch = patch[ranges <= first + max(0.15, 0.02 * first)]
            return Spot(transform(frame.map_pose, np.median(patch[:, :2], axis=0)[None, :])[0], first, thing)
    return None


def _on_ground(camera: CameraSpec, tilt: Tilt, point: tuple[int, int]) -> np.ndarray:
    """(2,) in base_link of where the ray through an image point (0..1000) meets the ground."""
    pitch, focal = math.radians(camera.pitch_deg), camera.focal_px
    across, down = (point[0] / 1000 - 0.5) * camera.width_px / focal, (point[1] / 1000 - 0.5) * camera.height_px / focal
    ray = np.array([math.cos(pitch) - down * math.sin(pitch), -across, -math.sin(pitch) - down * math.cos(pitch)])
    above_m = float(tilt.heights(np.array(camera.position_m)))
    fall = tilt.ahead * ray[0] + tilt.left * ray[1] - ray[2]
    return np.asarray(camera.position_m[:2]) + ray[:2] * min(above_m / max(fall, 1e-3), camera.depth_max_m)


def find_owner(xy: np.ndarray, scene: Scene, gap_m: float = 0.3) -> Obstacle | Mover | None:
    """The thing whose footprint is nearest to a point (2,) and within gap_m."""

    def gap(thing: Obstacle | Mover) -> float:
        offset = xy - np.array([thing.x_m, thing.y_m])
        if thing.half_x_m == 0.0 and isinstance(thing, Mover):
            return float(np.hypot(*offset)) - thing.radius_m
        return float(Rect(thing.x_m, thing.y_m, thing.yaw_rad, thing.half_x_m, thing.half_y_m).gaps(xy[None, :])[0])

    things: list[Obstacle | Mover] = [*scene.obstacles, *scene.movers]
    owner = min(things, key=gap, default=None)
    return owner if owner is not None and gap(owner) < gap_m else None


def find_landmark(spot: Spot, world_map: WorldMap, owner: Obstacle | Mover | None) -> Place | None:
    """The landmark that a point lies on: within its footprint, or near its place and on nothing else that is known."""
    best: tuple[float, Place] | None = None
    for place in world_map.places:
        if not place.kind or isinstance(owner, Mover):
            continue
        away_m = float(np.hypot(*(spot.xy - [place.x_m, place.y_m])))
        if away_m > LANDMARK_M + LANDMARK_GAP_PER_M * spot.away_m:
            continue
        width, depth, _ = dimensions_m(place.kind)
        footprint = Rect(place.x_m, place.y_m, place.yaw_rad or 0.0, depth / 2, width / 2)
        gap = float(footprint.gaps(spot.xy[None, :])[0])
        # a car parked before a shop is not the shop
        near = LANDMARK_GAP_M + LANDMARK_GAP_PER_M * spot.away_m
        mine = gap < (near if owner is None or footprint.gaps(np.array([[owner.x_m, owner.y_m]]))[0] < near else 0.3)
        if (mine or (owner is None and max(width, depth) > 2.0)) and (best is None or gap < best[0]):
            best = gap, place
    return None if best is None else best[1]
