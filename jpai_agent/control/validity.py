"""Can this robot be asked to drive a program that somebody else made? Numbers, limits and bounds, before any rehearsal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from jpai_agent.control.program import Program
from jpai_agent.control.road.segments import MARK_KINDS, FollowVehicle, RoadDrive
from jpai_agent.control.segments import Drive, Follow, Segment, Straight, TurnBy, Wait
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec

MOST_SEGMENTS, MOST_POINTS = 400, 20_000
# what a plan can ask for, with room for the manoeuvres that a program adds
MOST_STRAIGHT_M, MOST_TURN_RAD, MOST_WAIT_S = 12.0, 2 * math.pi + 0.01, 600.0
# neighbouring points of a path
DRIVE_SPACING_M, ROAD_SPACING_M = 0.15, 1.5
# limits are in decimal figures, programs in rounded ones
ROUNDING = 1e-3


def check_program(program: Program, robot: RobotSpec, world_map: WorldMap) -> None:
    """Raises ValueError for a program with numbers that are not finite, of no or absurd size, over a limit, or off the map."""
    if not 0 < len(program.segments) <= MOST_SEGMENTS:
        raise ValueError(f"a program has 1 to {MOST_SEGMENTS} segments, not {len(program.segments)}")
    paths = [path for segment in program.segments for path in _paths(segment)]
    if sum(map(len, paths)) > MOST_POINTS:
        raise ValueError(f"paths of more than {MOST_POINTS} points")
    for value in _numbers(program.to_dict()):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of a program")
    top_mps = min(robot.limits.forward_mps, world_map.rules.speed_limit_mps, _road_limit_mps(world_map)) + ROUNDING
    x0, y0, x1, y1 = world_map.bounds_m
    for index, segment in enumerate(program.segments):
        where = f"segment {index} ({segment.kind})"
        if not 0.0 < segment.cruise_mps <= top_mps:
            raise ValueError(f"{where}: cruise_mps {segment.cruise_mps:g} is not in (0, {top_mps:.2f}]")
        if segment.step < 0:
            raise ValueError(f"{where}: step {segment.step}")
        _check_kind(segment, where, robot)
        for path in _paths(segment):
            points = np.asarray(path, dtype=float).reshape(-1, 2)
            spacing_m = DRIVE_SPACING_M if isinstance(segment, Drive) else ROAD_SPACING_M
            if len(points) < 2 or any(math.dist(a, b) > spacing_m for a, b in pairwise(points)):
                raise ValueError(f"{where}: a path is two or more points at most {spacing_m} m apart")
            if not ((points >= [x0, y0]) & (points <= [x1, y1])).all():
                raise ValueError(f"{where}: the path leaves the map's bounds {[x0, y0, x1, y1]}")


def _road_limit_mps(world_map: WorldMap) -> float:
    """The highest speed limit of any lane; inf where there are none."""
    lanes = world_map.road.lanes.values() if world_map.road is not None else ()
    return max((lane.speed_limit_mps for lane in lanes), default=math.inf)


def _check_kind(segment: Segment, where: str, robot: RobotSpec) -> None:
    if isinstance(segment, (RoadDrive, FollowVehicle)) is not (robot.ackermann is not None) and not _for_any(segment):
        raise ValueError(f"{where} is not for robot {robot.name}")
    if isinstance(segment, Straight) and not abs(segment.distance_m) <= MOST_STRAIGHT_M:
        raise ValueError(f"{where}: distance_m {segment.distance_m:g}")
    if isinstance(segment, TurnBy) and not abs(segment.angle_rad) <= MOST_TURN_RAD:
        raise ValueError(f"{where}: angle_rad {segment.angle_rad:g}")
    if isinstance(segment, (Wait, Follow, FollowVehicle)) and not 0.0 <= segment.duration_s <= MOST_WAIT_S:
        raise ValueError(f"{where}: duration_s {segment.duration_s:g}")
    if isinstance(segment, RoadDrive):
        for kind, begin_m, end_m, _ in segment.marks:
            if kind not in MARK_KINDS or begin_m > end_m + ROUNDING:
                raise ValueError(f"{where}: mark {kind} from {begin_m:g} to {end_m:g} m")


def _for_any(segment: Segment) -> bool:
    return segment.kind in ("wait", "say")


def _paths(segment: Segment) -> list[Any]:
    """The paths that a segment leads along."""
    if isinstance(segment, (Drive, RoadDrive)):
        return [segment.points]
    if isinstance(segment, FollowVehicle):
        return [branch.points for branch in segment.branches]
    return []


def _numbers(values: Any) -> Iterator[float]:
    """All numbers in JSON-ready values."""
    if isinstance(values, bool) or values is None or isinstance(values, str):
        return
    if isinstance(values, (int, float)):
        yield values
        return
    for value in values.values() if isinstance(values, dict) else values:
        yield from _numbers(value)
