"""Make a car's program of a plan's steps, and the one of a car that just keeps its lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from jpai_agent.control.paths import ProgramError
from jpai_agent.control.program import Program
from jpai_agent.control.road import parking, turning
from jpai_agent.control.road.making import Making
from jpai_agent.control.road.motions import motion_of
from jpai_agent.control.road.routes import Network, RoadError
from jpai_agent.control.road.segments import FollowVehicle, RoadDrive
from jpai_agent.control.segments import Segment
from jpai_agent.plan import Step
from jpai_agent.world.map import WorldMap
from jpai_agent.world.road import RoadMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene

# nothing ahead is worth setting out for when so little of the road is left
LEAST_M = 1.0
__all__ = ["compile_road_program", "keep_lane_program", "parking", "turning"]


@lru_cache(maxsize=4)
def network_of(road: RoadMap) -> Network:
    """The network of a road map, made once."""
    return Network(road)


def compile_road_program(steps: Sequence[Step], targets: Mapping[int, GroundedTarget], scene: Scene, robot: RobotSpec,
                         world_map: WorldMap, *, cruise_mps: float | None = None, lead_s: float = 0.0) -> Program:
    """Plan every motion of the steps, up to the first whose target, or what it depends on, waits to be seen.

    Args, errors: as `compile_program`; further reasons "no_road" (a turn where no road goes), "no_landmark", "behind"
    (passed, and no way leads back to it), "slot_taken", "no_free_slot", "too_fast".
    """
    making = _making(targets, scene, robot, world_map, cruise_mps, lead_s)
    start = making.pose
    pending = None
    for index, step in enumerate(steps):
        making.step = index
        target = step.target
        if target is not None and index not in targets:
            if target.deferred:
                pending = index
                break
            raise ProgramError("no_landmark" if target.place else "target_missing", f"step {index}: nothing known of it", index)
        try:
            motion_of(step.skill)(step, making)
        except RoadError as error:
            raise ProgramError(error.reason, f"step {index} ({step.skill}): {error}", index) from error
        except ProgramError as error:
            raise ProgramError(error.reason, f"step {index} ({step.skill}): {error}", index) from error
        if making.decides_later:
            pending = index
            break
        if making.followed and index + 1 < len(steps):
            pending = index + 1
            break
    making.step = len(steps)
    _carry_on(making)
    return _program(making, start, pending)


def keep_lane_program(scene: Scene, robot: RobotSpec, world_map: WorldMap, cruise_mps: float | None = None,
                      lead_s: float = 0.0) -> Program:
    """The program of a car that moves without a plan: along its lane, straight on at crossings, to the road's end.

    Raises:
        ProgramError: "no_road" off the road.
    """
    making = _making({}, scene, robot, world_map, cruise_mps, lead_s)
    start = making.pose
    making.v_mps = max(making.v_mps, 0.2)
    _carry_on(making)
    return _program(making, start, None)


def _making(targets: Mapping[int, GroundedTarget], scene: Scene, robot: RobotSpec, world_map: WorldMap,
            cruise_mps: float | None, lead_s: float) -> Making:
    if world_map.road is None:
        raise ProgramError("no_road", f"map {world_map.name} has no roads")
    state = scene.robot
    turned, ahead = state.w_radps * lead_s, state.v_mps * lead_s
    middle = state.yaw_rad + turned / 2
    pose = state.pose + np.array([ahead * math.cos(middle), ahead * math.sin(middle), turned])
    return Making(robot, world_map, network_of(world_map.road), scene, targets, pose, max(state.v_mps, 0.0),
                  cruise_mps or robot.cruise_mps)


def _carry_on(making: Making) -> None:
    """After the last step the car goes on along its lane, unless it came to rest."""
    if making.at_rest:
        return
    if making.followed:
        last = making.segments[-1]
        if isinstance(last, FollowVehicle) and last.until != "target_stops" and last.branches:
            way = last.branches[0]
            making.segments.append(RoadDrive(making.step, making.cruise_mps, way.points, rests=True, marks=way.marks,
                                             carry_on=True))
        return
    end = making.end_m(making.way())
    begin = making.under_way().length_m
    making.go_to(max(end, making.hardest_m, begin + LEAST_M), carry_on=True)
    making.rest()


def _program(making: Making, start: np.ndarray, pending: int | None) -> Program:
    segments = tuple(making.segments)
    named = {name for segment in segments for name in _crosswalks(segment)}
    walks = tuple((w.id, w.x_m, w.y_m, w.yaw_rad, w.half_along_m, w.half_across_m)
                  for w in making.network.road.crosswalks if w.id in named)
    x, y, yaw = (round(float(v), 5) for v in start)
    return Program(segments, (x, y, yaw), pending, tuple(making.target_ids), walks)


def _crosswalks(segment: Segment) -> set[str]:
    if isinstance(segment, RoadDrive):
        return {mark[3] for mark in segment.marks if mark[0] == "crosswalk"}
    if isinstance(segment, FollowVehicle):
        return {mark[3] for branch in segment.branches for mark in branch.marks if mark[0] == "crosswalk"}
    return set()
