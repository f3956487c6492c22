"""What the controllers read: robot, obstacles and movers as arrays over N simulations, N = 1 on the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jpai_agent.world.scene import LIGHT_STATES, Scene


@dataclass
class View:
    """Arrays in the map frame.

    Attributes:
        time_s: Clock.
        pose: (N, 3) x, y, yaw as believed. speed: (N, 2) v m/s, w rad/s.
        boxes: (N, K, 5) or (1, K, 5) x, y, yaw, half_x, half_y of what stands.
        movers: (N, M, 5) x, y, vx, vy, radius; NaN rows are out of sight. mover_ids: their M ids.
        mover_boxes: (N, M, 3) or (1, M, 3) yaw, half_x, half_y of movers that are boxes, zero extents for round ones;
            None where all are round.
        lights: (N, L) or (1, L) int8 indices into LIGHT_STATES. light_ids: their L heads' ids.
    """

    time_s: float
    pose: np.ndarray
    speed: np.ndarray
    boxes: np.ndarray
    movers: np.ndarray
    mover_ids: tuple[str, ...]
    box_ids: tuple[str, ...] = ()
    mover_boxes: np.ndarray | None = None
    lights: np.ndarray | None = None
    light_ids: tuple[str, ...] = ()


def view_from_scene(scene: Scene) -> View:
    """The scene as a view of one."""
    boxes = np.array([[o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m] for o in scene.obstacles]).reshape(1, -1, 5)
    movers = np.array([[m.x_m, m.y_m, m.vx_mps, m.vy_mps, m.radius_m] for m in scene.movers]).reshape(1, -1, 5)
    speed = np.array([[scene.robot.v_mps, scene.robot.w_radps]])
    shapes = np.array([[m.yaw_rad, m.half_x_m, m.half_y_m] for m in scene.movers]).reshape(1, -1, 3)
    lights = np.array([[LIGHT_STATES.index(light.state) for light in scene.lights]], dtype=np.int8)
    return View(scene.stamp_s, scene.robot.pose[None, :], speed, boxes, movers,
                tuple(m.id for m in scene.movers), tuple(o.id for o in scene.obstacles),
                shapes, lights, tuple(light.id for light in scene.lights))
