"""Random scenes for tests, and what of them a camera really sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jpai_agent.perception.geometry import pixel_rays
from jpai_agent.sim.footprints import point_gaps
from jpai_agent.sim.robot import SimRobot
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.objects import COLORS, PEOPLE, SIZES, YARD_KINDS, ObjectSpec, footprint
from jpai_agent.world.scene import Mover, Obstacle


def random_scene(rng: np.random.Generator, count: int, gap_m: float = 0.6) -> list[ObjectSpec]:
    """`count` standing things, no people, `gap_m` or more from each other and 1.5 m from the origin."""
    kinds = sorted(set(YARD_KINDS) - PEOPLE)
    things: list[ObjectSpec] = []
    while len(things) < count:
        pose = (float(rng.uniform(-10, 10)), float(rng.uniform(-6.5, 6.5)), float(rng.uniform(-180, 180)))
        thing = ObjectSpec(
            f"o{len(things)}", str(rng.choice(kinds)), pose, str(rng.choice(list(COLORS))), str(rng.choice(SIZES))
        )
        corners = footprint(thing).corners()
        if np.linalg.norm(corners, axis=1).min() > 1.5 and (not things or gaps_to(corners, things).min() > gap_m):
            things.append(thing)
    return things


def gaps_to(points: np.ndarray, things: Sequence[ObjectSpec], t_s: float = 0.0) -> np.ndarray:
    """Distances (N,) from points (N, 2) to the nearest of the things' true footprints at t_s."""
    nearest = np.full(len(points), np.inf)
    for ground in (footprint(thing, t_s) for thing in things):
        if ground.round:
            gap = np.maximum(np.hypot(points[:, 0] - ground.x, points[:, 1] - ground.y) - ground.half_x, 0.0)
        else:
            pose = np.array([[ground.x, ground.y, math.radians(ground.heading_deg)]])
            gap = point_gaps(points[None], pose, ground.half_x, ground.half_y)[0]
        nearest = np.minimum(nearest, gap)
    return nearest


def gaps_to_walls(points: np.ndarray) -> np.ndarray:
    """Distances (N,) from points (N, 2) within the yard to its nearest wall."""
    return np.minimum(12.0 - np.abs(points[:, 0]), 8.0 - np.abs(points[:, 1]))


def gaps_to_perceived(points: np.ndarray, perceived: Sequence[Obstacle | Mover]) -> np.ndarray:
    """Distances (N,) from points (N, 2) to the nearest perceived footprint."""
    nearest = np.full(len(points), np.inf)
    for thing in perceived:
        if isinstance(thing, Mover):
            gap = np.maximum(np.hypot(points[:, 0] - thing.x_m, points[:, 1] - thing.y_m) - thing.radius_m, 0.0)
        else:
            pose = np.array([[thing.x_m, thing.y_m, thing.yaw_rad]])
            gap = point_gaps(points[None], pose, thing.half_x_m, thing.half_y_m)[0]
        nearest = np.minimum(nearest, gap)
    return nearest


def ground_of(obstacle: Obstacle, step_m: float = 0.05) -> np.ndarray:
    """Points (N, 2), map frame, all over the footprint of a perceived obstacle."""
    x, y = np.meshgrid(
        *(
            np.linspace(-half, half, max(2, math.ceil(2 * half / step_m)))
            for half in (obstacle.half_x_m, obstacle.half_y_m)
        )
    )
    c, s = math.cos(obstacle.yaw_rad), math.sin(obstacle.yaw_rad)
    return np.stack([obstacle.x_m + c * x - s * y, obstacle.y_m + s * x + c * y], axis=-1).reshape(-1, 2)


def seen_points(robot: SimRobot, renderer: SceneRenderer, camera: str = "front") -> list[np.ndarray]:
    """Per object of the scene the true points (N, 3), map frame, of its pixels in the camera's depth image of now."""
    spec = robot.robot.camera(camera)
    size = (spec.depth_width_px, spec.depth_height_px)
    depth, owner = renderer.depth_and_objects(robot._data, camera, size)  # the truth is the test's to see
    points = pixel_rays(spec, *size) * np.where(owner < 0, 0.0, depth)[..., None] + np.asarray(spec.position_m)
    x, y, yaw = robot.truth().pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    turned = np.stack(
        [
            x + cos * points[..., 0] - sin * points[..., 1],
            y + sin * points[..., 0] + cos * points[..., 1],
            points[..., 2],
        ],
        axis=-1,
    )
    return [turned[owner == index] for index in range(len(robot.objects))]
