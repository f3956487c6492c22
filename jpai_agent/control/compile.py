"""Make a program of a plan's steps: each skill adds segments, each setting out where the one before ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.goals import completed
from jpai_agent.control.motions import motion_of
from jpai_agent.control.paths import PERSON_GAP_M, STEP_M, ProgramError, Surroundings, headings, keep_out
from jpai_agent.control.program import Program
from jpai_agent.control.road.compile import compile_road_program
from jpai_agent.control.segments import TRAIL_M, Drive, Segment, Straight, TurnBy, TurnTo
from jpai_agent.control.view import view_from_scene
from jpai_agent.plan import Step
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, Scene

# slower than this a person stands, and is gone round; whoever walks is waited for while driving
STANDING_MPS = 0.2
# a goal this near is reached already
THERE_M = 0.08
# a path that sets out this far off the heading begins with a turn on the spot
SETTING_OUT_RAD = math.radians(35)
# a goal this near behind the robot is reached in reverse
REVERSE_M, REVERSE_RAD = 1.5, math.radians(150)
# what is followed is first approached to this, from base_link to its middle
NEAR_M = 1.6
# ways to back out, or to draw forward, before a turn that has no room
ROOM_TO_TURN_M = (-0.2, -0.4, -0.6, 0.2, 0.4, 0.6, -0.9)


@dataclass
class Making:
    """The program so far, for the skills to add to.

    Attributes:
        pose: (3,) where the robot will be. cruise_mps: its top speed from here on.
        home: Where the plan's robot belongs, (3,).
        approached: Ids of the things that the plan wants to come near to.
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
    _hidden: list[np.ndarray] = field(default_factory=list)

    @property
    def target(self) -> GroundedTarget:
        """The present step's target. Raises ProgramError when it was not found."""
        if self.step not in self.targets:
            raise ProgramError("target_missing", f"step {self.step} has no target", self.step)
        return self.targets[self.step]

    def around(self, standoff_m: float = math.inf) -> Surroundings:
        """What stands, to plan through; the present target may be approached to the standoff, should it be a person."""
        boxes = np.concatenate([view_from_scene(self.scene).boxes[0], np.array(self._hidden).reshape(-1, 5)])
        named = self.targets[self.step].object_id if self.step in self.targets else None
        people = [[m.x_m, m.y_m, m.radius_m, min(PERSON_GAP_M, standoff_m - 0.1) if m.id == named else PERSON_GAP_M]
                  for m in self.scene.movers if math.hypot(m.vx_mps, m.vy_mps) < STANDING_MPS]
        half_m = self.robot.length_m / 2, self.robot.width_m / 2
        return Surroundings(self.robot, self.world_map.bounds_m, boxes, np.array(people).reshape(-1, 4),
                            self.world_map.rules.beyond(self.pose, half_m))

    def not_into_zone(self, point: np.ndarray) -> None:
        """Raises ProgramError("keep_out") for a point (2,) in a zone that is to be kept out of."""
        zone = self.world_map.rules.holding(point)
        if zone is not None:
            raise keep_out(zone, f"({point[0]:.2f}, {point[1]:.2f}) lies")

    def thing(self, *, whole: bool = False) -> np.ndarray:
        """The target's box (5,): the perceived one, or a small one at the point; `whole`: hidden part guessed."""
        target = self.target
        owner = self.scene.find(target.object_id) if target.object_id else None
        if isinstance(owner, Mover):
            side_m = owner.radius_m * 0.8
            return np.array([owner.x_m, owner.y_m, self.bearing(owner.x_m, owner.y_m), side_m, side_m])
        if not isinstance(owner, Obstacle):
            return np.array([target.x_m, target.y_m, 0.0, 0.05, 0.05])
        box = np.array([owner.x_m, owner.y_m, owner.yaw_rad, owner.half_x_m, owner.half_y_m])
        if whole:
            box = completed(box, self.pose[:2])
            self._hidden.append(box)
        return box

    def bearing(self, x_m: float, y_m: float) -> float:
        """Direction from where the robot will be to a point."""
        return math.atan2(y_m - self.pose[1], x_m - self.pose[0])

    def drive_to(self, goal: np.ndarray, heading_rad: float | None, around: Surroundings) -> None:
        """Add the way to a goal (2,) and, where one is wanted, the turn to a heading. Raises ProgramError."""
        distance_m = float(np.linalg.norm(goal - self.pose[:2]))
        if distance_m > THERE_M and not self._reversed(goal, distance_m, heading_rad, around):
            points = around.plan(self.pose[:2], goal)
            setting_out = float(headings(points[:12])[-1])
            if abs(wrap(setting_out - self.pose[2])) > SETTING_OUT_RAD:
                if self._made_room(setting_out, around):
                    points = around.plan(self.pose[:2], goal)
                    setting_out = float(headings(points[:12])[-1])
                self.turn_to(setting_out, around)
            self.segments.append(Drive(self.step, self.cruise_mps,
                                       tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)))
            self.pose = np.array([*points[-1], headings(points)[-1]])
        if heading_rad is not None:
            self.turn_to(heading_rad, around)

    def turn_to(self, heading_rad: float, around: Surroundings) -> None:
        """Add a turn on the spot, unless it is near enough already. Raises ProgramError without room for it."""
        off = float(wrap(heading_rad - self.pose[2]))
        if abs(off) < math.radians(2):
            return
        if not _turn_is_free(self.pose, off, around):
            raise ProgramError("no_path", f"no room to turn at ({self.pose[0]:.2f}, {self.pose[1]:.2f})")
        self.segments.append(TurnTo(self.step, self.cruise_mps, round(float(wrap(heading_rad)), 5)))
        self.pose = np.array([*self.pose[:2], wrap(heading_rad)])

    def turn_by(self, angle_rad: float, around: Surroundings) -> None:
        """Add a turn by an angle, more than half a turn included. Raises ProgramError without room for it."""
        if not _turn_is_free(self.pose, angle_rad, around):
            raise ProgramError("no_path", f"no room to turn at ({self.pose[0]:.2f}, {self.pose[1]:.2f})")
        self.segments.append(TurnBy(self.step, self.cruise_mps, round(angle_rad, 5)))
        self.pose = np.array([*self.pose[:2], wrap(self.pose[2] + angle_rad)])

    def way_near(self, goal: np.ndarray) -> tuple[tuple[float, float], ...]:
        """Corners of a way to about NEAR_M from a point (2,), none where that is straight ahead or cannot be found."""
        distance_m = float(np.linalg.norm(goal - self.pose[:2]))
        if distance_m <= NEAR_M:
            return ()
        near = goal + (self.pose[:2] - goal) * NEAR_M / distance_m
        try:
            points = self.around(0.0).plan(self.pose[:2], near)
        except ProgramError:
            return ()
        return tuple((round(float(x), 3), round(float(y), 3)) for x, y in points[::round(TRAIL_M / STEP_M)][1:])

    def straight(self, distance_m: float, around: Surroundings) -> None:
        """Add a straight stretch. Raises ProgramError where something stands on it."""
        poses = straight_poses(self.pose, distance_m)
        if not around.free(poses, gap_m=0.0):
            zone = around.rules.entered(poses, around.half_m)
            if zone is not None:
                raise keep_out(zone, f"{distance_m:.1f} m straight on lead")
            raise ProgramError("no_path", f"something stands on the {distance_m:.1f} m straight on")
        self.segments.append(Straight(self.step, self.cruise_mps, round(distance_m, 4)))
        self.pose = poses[-1]

    def _reversed(self, goal: np.ndarray, distance_m: float, heading_rad: float | None, around: Surroundings) -> bool:
        """Reach a near goal behind the robot in reverse, where that is free and the heading may stay."""
        bearing = self.bearing(*goal)
        backwards = float(wrap(bearing + math.pi))
        kept = heading_rad is not None and abs(wrap(heading_rad - backwards)) < math.pi / 3
        behind = abs(wrap(bearing - self.pose[2])) > REVERSE_RAD
        if not (kept and behind and distance_m < REVERSE_M):
            return False
        aligned = np.array([*self.pose[:2], backwards])
        if not around.free(straight_poses(aligned, -distance_m)):
            return False
        self.turn_to(backwards, around)
        self.straight(-distance_m, around)
        return True

    def _made_room(self, heading_rad: float, around: Surroundings) -> bool:
        """Draw back or forward where there is no room to turn; True where that was needed and done."""
        off = float(wrap(heading_rad - self.pose[2]))
        if _turn_is_free(self.pose, off, around):
            return False
        for distance_m in ROOM_TO_TURN_M:
            poses = straight_poses(self.pose, distance_m)
            if around.free(poses[len(poses) // 2:]) and float(around.clearance_m(poses[-1, :2])) \
                    > self.robot.circumscribed_radius_m + 0.02:
                self.straight(distance_m, around)
                return True
        return False


def straight_poses(pose: np.ndarray, distance_m: float) -> np.ndarray:
    """(P, 3) poses along a straight stretch from a pose (3,), both ends included."""
    along = np.linspace(0.0, distance_m, max(2, round(abs(distance_m) / 0.1) + 1))
    return np.stack([pose[0] + along * math.cos(pose[2]), pose[1] + along * math.sin(pose[2]),
                     np.full_like(along, pose[2])], axis=1)


def _turn_is_free(pose: np.ndarray, angle_rad: float, around: Surroundings) -> bool:
    if float(around.clearance_m(pose[:2])) > around.robot.circumscribed_radius_m:
        return True
    yaw = pose[2] + np.linspace(0.0, angle_rad, max(2, round(abs(angle_rad) / math.radians(5)) + 1))
    # where it stands now it stands; what it would turn into counts
    return around.free(np.stack([np.full_like(yaw, pose[0]), np.full_like(yaw, pose[1]), yaw], axis=1)[1:])


def compile_program(steps: Sequence[Step], targets: Mapping[int, GroundedTarget], scene: Scene, robot: RobotSpec,
                    world_map: WorldMap, *, home: Sequence[float] | None = None, cruise_mps: float | None = None,
                    lead_s: float = 0.0) -> Program:
    """Plan every motion of the steps, up to the first whose target waits to be seen.

    Args:
        steps: Of the plan. targets: Found targets by step index.
        scene: Where everything is. home: (x, y, yaw) that `return_home` means; the map's home place when left out.
        cruise_mps: Top speed to begin with. lead_s: The robot carries on for so long before it sets out.

    Raises:
        ProgramError: A way is blocked or a target is missing; names the step.
    """
    if robot.ackermann is not None:
        return compile_road_program(steps, targets, scene, robot, world_map, cruise_mps=cruise_mps, lead_s=lead_s)
    state = scene.robot
    pose = state.pose
    ahead = state.v_mps * lead_s
    pose = pose + np.array([ahead * math.cos(pose[2]), ahead * math.sin(pose[2]), state.w_radps * lead_s])
    place = world_map.place(world_map.home)
    making = Making(robot, world_map, scene, targets, pose, min(cruise_mps or robot.cruise_mps, world_map.rules.speed_limit_mps),
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
            raise ProgramError(error.reason, f"step {index} ({step.skill}): {error}", index, error.about) from error
        if step.skill == "look_for" and index + 1 < len(steps):
            # where the robot will look when it has found it is not known yet
            pending = index + 1
            break
    return Program(tuple(making.segments), (start[0], start[1], start[2]), pending, tuple(making.target_ids))
