"""Where to stand: the pose at a wanted gap from an object, on a wanted side, seen from where the robot sets out."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jpai_agent.control.geometry import box_distance_m, outline, placed, wrap
from jpai_agent.control.paths import CELL_M, ProgramError, Surroundings
from jpai_agent.world.robot import RobotSpec

# turned from the direction "towards the robot", as the robot sees it: its left is the left of the view
SIDES = {"front": 0.0, "left": -math.pi / 2, "behind": math.pi, "right": math.pi / 2}
# tried in turn when the place itself is taken
SWERVES_DEG = (0, 15, -15, 30, -30, 45, -45)
# things are about as deep as they are wide, up to this
DEEPEST_M = 1.2
# a spot on the floor that is taken is left for a free one this near
NEARBY_M = 0.5


def completed(box: np.ndarray, viewer: np.ndarray) -> np.ndarray:
    """A box (5,) of which only the near face was seen, made as deep as it is wide, away from the viewer (2,)."""
    away = box[:2] - viewer
    axes = np.array([[math.cos(box[2]), math.sin(box[2])], [-math.sin(box[2]), math.cos(box[2])]])
    deep = int(np.argmax(np.abs(axes @ away) / (np.linalg.norm(away) + 1e-9)))
    missing = min(box[4 - deep], DEEPEST_M / 2) - box[3 + deep]
    whole = box.copy()
    if missing > 0:
        whole[3 + deep] += missing
        whole[:2] += axes[deep] * math.copysign(missing, float(axes[deep] @ away))
    return whole


def standoff_poses(box: np.ndarray, start: np.ndarray, standoff_m: float, side: str, robot: RobotSpec,
                   around: Surroundings) -> Iterator[np.ndarray]:
    """The poses (3,) of base_link whose footprint is `standoff_m` from the box, facing it, where there is room; the
    wanted one first, then some a little to its sides.

    Args:
        box: (5,) the object as perceived. start: (3,) where the robot sets out.
        side: front (towards the robot), behind, left, right, in the robot's view.
    """
    towards = math.atan2(start[1] - box[1], start[0] - box[0]) + SIDES[side]
    footprint = outline(robot.length_m, robot.width_m)
    for swerve_deg in SWERVES_DEG:
        angle = towards + math.radians(swerve_deg)
        near, far = 0.0, float(np.hypot(box[3], box[4])) + robot.length_m + standoff_m
        for _ in range(20):
            middle = (near + far) / 2
            pose = np.array([box[0] + middle * math.cos(angle), box[1] + middle * math.sin(angle), angle + math.pi])
            gap_m = float(box_distance_m(placed(footprint, pose), box).min())
            near, far = (middle, far) if gap_m < standoff_m else (near, middle)
        pose[2] = wrap(pose[2])
        turns = float(around.clearance_m(pose[:2])) > robot.circumscribed_radius_m + 0.02
        if turns and float(around.person_room_m(pose[:2])) > 0.0:
            yield pose


def free_spot(goal: np.ndarray, around: Surroundings) -> np.ndarray:
    """The goal (2,), or the free spot nearest to it when something stands there.

    Raises:
        ProgramError: Nothing is free within NEARBY_M ("goal_blocked").
    """
    offsets = np.arange(-NEARBY_M, NEARBY_M + CELL_M / 2, CELL_M / 2)
    grid = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    away = np.hypot(grid[:, 0], grid[:, 1])
    order = np.argsort(away, kind="stable")
    grid = grid[order[away[order] <= NEARBY_M]]
    spots = goal + np.concatenate([np.zeros((1, 2)), grid])
    room = around.robot.circumscribed_radius_m + 0.02
    free = (around.clearance_m(spots) > room) & (around.person_room_m(spots) > 0.0)
    if not free.any():
        raise ProgramError("goal_blocked", f"something stands at ({goal[0]:.2f}, {goal[1]:.2f})")
    return spots[int(np.argmax(free))]
