"""Make a car's program of a plan's steps, and the one of a car that just keeps its lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jpai_agent.control.paths import ProgramError, keep_out
from jpai_agent.control.program import Program
from jpai_agent.control.road import parking, turning
from jpai_agent.control.road.making import Making
from jpai_agent.control.road.motions import motion_of
from jpai_agent.control.road.routes import RoadError, network_of
from jpai_agent.control.road.segments import POINT_M, FollowVehicle, RoadDrive
from jpai_agent.control.segments import Segment
from jpai_agent.plan import Step
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene

# nothing ahead is worth setting out for when so little of the road is left
LEAST_M = 1.0
# footprint to a zone along the way, and how far before it a car stops that goes on by itself
ZONE_GAP_M, ZONE_ROOM_M = 0.1, 2.0
__all__ = ["compile_road_program", "keep_lane_program", "parking", "turning"]


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
            raise ProgramError(error.reason, f"step {index} ({step.skill}): {error}", index, error.about) from error
        if making.decides_later:
            pending = index
            break
        if making.followed and index + 1 < len(steps):
            pending = index + 1
            break
    making.step = len(steps)
    _carry_on(making)
    return _clear_of_zones(_program(making, start, pending), scene, robot, world_map)


def keep_lane_program(scene: Scene, robot: RobotSpec, world_map: WorldMap, cruise_mps: float | None = None,
                      lead_s: float = 0.0, *, passes: bool = True) -> Program:
    """The program of a car that moves without a plan: along its lane, straight on at crossings, to the road's end or a zone.

    Args:
        passes: It goes round what stands in its lane; else it waits behind that.

    Raises:
        ProgramError: "no_road" off the road.
    """
    making = _making({}, scene, robot, world_map, cruise_mps, lead_s)
    start = making.pose
    making.v_mps, making.passes = max(making.v_mps, 0.2), passes
    _carry_on(making)
    program = _program(making, start, None)
    try:
        return _clear_of_zones(program, scene, robot, world_map)
    except ProgramError:
        # too near to stop before it in comfort: the rehearsal says so, and the car brakes as hard as it may
        return program


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


def _clear_of_zones(program: Program, scene: Scene, robot: RobotSpec, world_map: WorldMap) -> Program:
    """The program; where what it goes on with would enter a zone, that ends before it.

    Raises ProgramError("keep_out") where a step of the plan leads into one, or it is too near to stop before.
    """
    half_m = robot.length_m / 2, robot.width_m / 2
    rules = world_map.rules.beyond(scene.robot.pose, half_m, robot.center_x_m)
    segments: list[Segment] = []
    for segment in program.segments if rules.zones else ():
        ways = [segment] if isinstance(segment, RoadDrive) else segment.branches[:1] if isinstance(segment, FollowVehicle) else ()
        for way in ways:
            poses = _poses(np.array(way.points), isinstance(segment, RoadDrive) and segment.reverse)
            zone = rules.entered(poses, half_m, robot.center_x_m, ZONE_GAP_M)
            if zone is None:
                continue
            reached = int(np.argmax(zone.gap_m(poses, half_m, robot.center_x_m) < ZONE_GAP_M))
            kept = reached - round(ZONE_ROOM_M / POINT_M)
            stops_m = scene.robot.v_mps**2 / (2 * robot.limits.brake_mps2) if not segments else 0.0
            if not (isinstance(segment, RoadDrive) and segment.carry_on) or kept * POINT_M < max(stops_m, LEAST_M):
                error = keep_out(zone, f"step {segment.step} leads")
                raise ProgramError(error.reason, str(error), segment.step, error.about)
            until_m = kept * POINT_M
            marks = tuple(mark for mark in segment.marks if mark[1] < until_m and mark[0] != "end")
            segment = replace(segment, points=segment.points[:kept + 1], rests=True, marks=marks)
        segments.append(segment)
    return replace(program, segments=tuple(segments)) if rules.zones else program


def _poses(points: np.ndarray, reverse: bool) -> np.ndarray:
    """(P, 3) poses of base_link along points (P, 2)."""
    ahead = np.gradient(points, axis=0) if len(points) > 1 else np.array([[1.0, 0.0]])
    yaw = np.arctan2(ahead[:, 1], ahead[:, 0]) + (math.pi if reverse else 0.0)
    return np.concatenate([points, yaw[:, None]], axis=1)


def _crosswalks(segment: Segment) -> set[str]:
    if isinstance(segment, RoadDrive):
        return {mark[3] for mark in segment.marks if mark[0] == "crosswalk"}
    if isinstance(segment, FollowVehicle):
        return {mark[3] for branch in segment.branches for mark in branch.marks if mark[0] == "crosswalk"}
    return set()
