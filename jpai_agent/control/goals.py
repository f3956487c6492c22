"""Where to stand: the pose at a wanted gap from an object, on a wanted side, seen from where the robot sets out."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import box_distance_m, outline, placed
from jpai_agent.control.paths import LEAST_M, ClearanceGrid, ProgramError
from jpai_agent.world.robot import RobotSpec

# turned from the direction "towards the robot", as the robot sees it: its left is the left of the view
SIDES = {"front": 0.0, "left": -math.pi / 2, "behind": math.pi, "right": math.pi / 2}
# tried in turn when the place itself is taken
SWERVES_DEG = (0, 15, -15, 30, -30, 45, -45)
DEEPEST_M = 1.2


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


def standoff_pose(box: np.ndarray, start: np.ndarray, standoff_m: float, side: str, robot: RobotSpec,
                  grid: ClearanceGrid) -> np.ndarray:
    """(3,) pose of base_link whose footprint is `standoff_m` from the box, facing it.

    Args:
        box: (5,) the object as perceived. start: (3,) where the robot sets out.
        side: front (towards the robot), behind, left, right, in the robot's view.

    Raises:
        ProgramError: Every place on that side is taken ("goal_blocked").
    """
    if side != "front":
        box = completed(box, start[:2])
    towards = math.atan2(start[1] - box[1], start[0] - box[0]) + SIDES[side]
    footprint = outline(robot.length_m, robot.width_m)
    for swerve_deg in SWERVES_DEG:
        angle = towards + math.radians(swerve_deg)
        near, far = 0.0, float(np.hypot(box[3], box[4])) + robot.length_m + standoff_m
        for _ in range(24):
            middle = (near + far) / 2
            pose = np.array([box[0] + middle * math.cos(angle), box[1] + middle * math.sin(angle), angle + math.pi])
            gap_m = float(box_distance_m(placed(footprint, pose), box[None, :]).min())
            near, far = (middle, far) if gap_m < standoff_m else (near, middle)
        pose[2] = math.atan2(math.sin(pose[2]), math.cos(pose[2]))
        if float(grid.at(pose[None, :2])[0]) >= min(LEAST_M, standoff_m + robot.width_m / 2 - 0.01):
            return pose
    raise ProgramError("goal_blocked", f"no free place {side} of the object at ({box[0]:.2f}, {box[1]:.2f})")
