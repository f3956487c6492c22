"""Make a program of a plan's steps: each skill turns its step into segments, each setting out where the one before ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.control.motions import motion_of
from jpai_agent.control.paths import ClearanceGrid, ProgramError
from jpai_agent.control.program import Program
from jpai_agent.control.segments import Drive, Segment, TurnTo
from jpai_agent.control.view import view_from_scene
from jpai_agent.plan import Step
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, Scene

# a person who stands is gone round with room to spare
PERSON_ROOM_M = 0.25


@dataclass
class Making:
    """The program so far, for the skills to add to.

    Attributes:
        pose: (3,) where the robot will be. cruise_mps: its top speed from here on.
        home: Where the plan's robot belongs, (3,).
    """

    robot: RobotSpec
    world_map: WorldMap
    scene: Scene
    targets: Mapping[int, GroundedTarget]
    pose: np.ndarray
    cruise_mps: float
    home: np.ndarray
    step: int = 0
    segments: list[Segment] = field(default_factory=list)
    target_ids: list[str] = field(default_factory=list)
    _grid: ClearanceGrid | None = None

    @property
    def target(self) -> GroundedTarget:
        """The present step's target. Raises ProgramError when it was not found."""
        if self.step not in self.targets:
            raise ProgramError("target_missing", f"step {self.step} has no target", self.step)
        return self.targets[self.step]

    @property
    def grid(self) -> ClearanceGrid:
        """Clearance around everything that stands."""
        if self._grid is None:
            view = view_from_scene(self.scene)
            standing = [m for m in self.scene.movers if math.hypot(m.vx_mps, m.vy_mps) < 0.2]
            discs = np.array([[m.x_m, m.y_m, m.radius_m + PERSON_ROOM_M] for m in standing]).reshape(-1, 3)
            self._grid = ClearanceGrid(view.boxes[0], discs, self.world_map.bounds_m)
        return self._grid

    def thing(self) -> np.ndarray:
        """The target's box (5,): the perceived one, or a small one at the point."""
        target = self.target
        owner = self.scene.find(target.object_id) if target.object_id else None
        if isinstance(owner, Obstacle):
            return np.array([owner.x_m, owner.y_m, owner.yaw_rad, owner.half_x_m, owner.half_y_m])
        if isinstance(owner, Mover):
            return np.array([owner.x_m, owner.y_m, 0.0, 0.25, 0.25])
        return np.array([target.x_m, target.y_m, 0.0, 0.05, 0.05])

    def drive_to(self, goal: np.ndarray, heading_rad: float | None) -> None:
        """Add the way to a goal (2,) and, where one is wanted, the turn to a heading."""
        points = self.grid.plan(self.pose[:2], goal)
        if len(points) > 1:
            first = points[min(6, len(points) - 1)] - points[0]
            self.turn_to(math.atan2(first[1], first[0]), at_least_rad=math.radians(35))
            self.segments.append(Drive(self.step, self.cruise_mps, tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)))
            last = points[-1] - points[max(0, len(points) - 5)]
            self.pose = np.array([*points[-1], math.atan2(last[1], last[0])])
        if heading_rad is not None:
            self.turn_to(heading_rad)

    def turn_to(self, heading_rad: float, at_least_rad: float = math.radians(2)) -> None:
        """Add a turn to a heading, unless it is near enough already."""
        off = math.atan2(math.sin(heading_rad - self.pose[2]), math.cos(heading_rad - self.pose[2]))
        if abs(off) >= at_least_rad:
            self.segments.append(TurnTo(self.step, self.cruise_mps, round(heading_rad, 5)))
            self.pose = np.array([*self.pose[:2], heading_rad])


def compile_program(steps: Sequence[Step], targets: Mapping[int, GroundedTarget], scene: Scene, robot: RobotSpec, world_map: WorldMap,
                    *, home: Sequence[float] | None = None, cruise_mps: float | None = None, lead_s: float = 0.0) -> Program:
    """Plan every motion of the steps, up to the first whose target waits to be seen.

    Args:
        steps: Of the plan. targets: Found targets by step index.
        scene: Where everything is. home: (x, y, yaw) that `return_home` means; the map's home place when left out.
        cruise_mps: Top speed to begin with. lead_s: The robot carries on for so long before it sets out.

    Raises:
        ProgramError: A way is blocked or a target is missing; names the step.
    """
    state = scene.robot
    pose = state.pose
    ahead = state.v_mps * lead_s
    pose = pose + np.array([ahead * math.cos(pose[2]), ahead * math.sin(pose[2]), state.w_radps * lead_s])
    place = world_map.place(world_map.home)
    making = Making(robot, world_map, scene, targets, pose, cruise_mps or robot.cruise_mps,
                    np.array(home if home is not None else [place.x_m, place.y_m, place.yaw_rad or 0.0]))
    start = tuple(round(float(v), 5) for v in pose)
    pending = None
    for index, step in enumerate(steps):
        making.step = index
        if step.target is not None and step.target.deferred and index not in targets:
            pending = index
            break
        try:
            motion_of(step.skill)(step, making)
        except ProgramError as error:
            raise ProgramError(error.reason, f"step {index} ({step.skill}): {error}", index) from error
        if step.skill == "look_for" and index + 1 < len(steps):
            # where the robot will look when it has found it is not known yet
            pending = index + 1
            break
    return Program(tuple(making.segments), (start[0], start[1], start[2]), pending, tuple(making.target_ids))
