"""Turning round: in a crossing in one sweep, else on the road in three strokes."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.road.making import Making
from jpai_agent.control.road.manoeuvre import Stroke
from jpai_agent.control.road.motions import BEYOND_M, free_kerb, motion
from jpai_agent.control.road.parking import add_strokes
from jpai_agent.control.road.passing import standing_boxes
from jpai_agent.control.road.routes import CrossingAhead, Way
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.plan import Step
from jpai_agent.world.robot import RobotSpec

# part of the tightest curvature that is used, distance of points, room to what stands
TIGHT_SHARE, STEP_M, GAP_M = 0.93, 0.25, 0.4
# a crossing this near to the target is where the turn is made
NEAR_M = 20.0
# the first of three strokes turns so far
FIRST_RAD = math.radians(80)


@motion("u_turn")
def u_turn(step: Step, making: Making) -> None:
    """Turn round at the next crossing, or where the target is; on the road where no crossing serves."""
    trip, way = making.under_way(), making.way()
    begin = trip.length_m
    slowing = max(0.0, making.v_mps**2 - 9.0) / (2 * 2.5) if not trip.cuts else 0.0
    ahead = [c for c in way.crossings if c.entry_m > begin + slowing]
    if making.has_target:
        lanes, along, _ = making.passing(making.target, begin)
        way = making.network.way(lanes, trip.start.along_m)
        near = [c for c in way.crossings if c.entry_m > begin + slowing and abs(c.centre_m - along) < NEAR_M]
        if near and _sweep(making, way, near[0]):
            return
        _three_strokes(making, way, along)
        return
    if ahead and _sweep(making, way, ahead[0]):
        return
    _three_strokes(making, way, 0.0)


def _sweep(making: Making, way: Way, crossing: CrossingAhead) -> bool:
    """Turn round in a crossing: a little to the left, then round its middle to the right; False where there is no room."""
    robot, network = making.robot, making.network
    lane_in = next(s.lane for s in way.lanes if abs(s.to_m - crossing.entry_m) < 1e-6)
    back = network.opposite_of(lane_in)
    if back is None:
        return False
    entry = way.at(crossing.entry_m)
    heading = float(entry[2])
    cos, sin = math.cos(heading), math.sin(heading)
    middle = crossing.crossing.x_m, crossing.crossing.y_m
    # in the frame of the crossing, x as the car comes
    aside = cos * (entry[1] - middle[1]) - sin * (entry[0] - middle[0])
    out = network.line(back.id).at(0.0)
    aside_out = cos * (out[1] - middle[1]) - sin * (out[0] - middle[0])
    local = loop_points(aside, float(aside_out), -crossing.crossing.half_m, robot)
    x = middle[0] + cos * local[:, 0] - sin * local[:, 1]
    y = middle[1] + sin * local[:, 0] + cos * local[:, 1]
    points = np.stack([x, y], axis=1)
    if not _free(points, making):
        return False
    making.go_to(crossing.entry_m, [s.lane for s in way.lanes])
    making.flush(rests=False)
    marks = [("crossing", 0.0, _length(points), crossing.id)]
    for walk in network.road.crosswalks:
        marks += [("crosswalk", a, b, walk.id) for a, b in _over(points, walk.x_m, walk.y_m, walk.yaw_rad, walk.half_along_m,
                                                                walk.half_across_m)]
    making.segments.append(RoadDrive(making.step, making.cruise_mps, _rounded(points), marks=tuple(marks)))
    end = points[-1] - points[-2]
    making.pose, making.v_mps = np.array([*points[-1], math.atan2(end[1], end[0])]), 3.0
    trip = making.under_way()
    making.go_to(trip.length_m + BEYOND_M)
    return True


def loop_points(aside_m: float, aside_out_m: float, from_m: float, robot: RobotSpec) -> np.ndarray:
    """(P, 2) the way round a crossing's middle, in its frame: from (from_m, aside_m) heading +x, back to (from_m, aside_out_m).

    Arcs of one radius: to the left, round to the right, to the left, the middle one about the crossing's middle.
    """
    assert robot.ackermann is not None
    radius = 1.0 / (TIGHT_SHARE * robot.ackermann.curvature_max_radpm)

    def angle(offset: float) -> tuple[float, float]:
        """The arc to the left that leads to the round, and how far before the middle it begins."""
        across = offset + radius  # middle of that arc
        return math.acos(min(across / (2 * radius), 1.0)), math.sqrt(max(4 * radius**2 - across**2, 0.0))

    first, before = angle(aside_m)
    last, after = angle(-aside_out_m)
    pieces = [(max(-before - from_m, 0.0), 0.0), (radius * first, 1.0 / radius),
              (radius * (math.pi + first + last), -1.0 / radius), (radius * last, 1.0 / radius), (max(-after - from_m, 0.0), 0.0)]
    return _driven(np.array([from_m, aside_m, 0.0]), pieces)


def _driven(pose: np.ndarray, pieces: list[tuple[float, float]]) -> np.ndarray:
    """(P, 2) points of pieces (length, curvature) driven from a pose (3,)."""
    x, y, yaw = (float(v) for v in pose)
    points = [(x, y)]
    for length, curvature in pieces:
        count = max(1, math.ceil(abs(length) / STEP_M))
        for _ in range(count if abs(length) > 1e-6 else 0):
            step = length / count
            middle = yaw + curvature * step / 2
            chord = step if abs(curvature) < 1e-9 else 2 * math.sin(curvature * step / 2) / curvature
            x, y, yaw = x + chord * math.cos(middle), y + chord * math.sin(middle), yaw + curvature * step
            points.append((x, y))
    return np.array(points)


def _three_strokes(making: Making, way: Way, at: float) -> None:
    """From the kerb to the right, back to the left, and on to the right into the opposite lane. Raises ProgramError."""
    robot, network, trip = making.robot, making.network, making.under_way()
    assert robot.ackermann is not None
    at = max(at, making.soonest_m, trip.length_m + 14.0)
    at, kerb = free_kerb(making, way, at)
    lane = way.lane_at(at).lane
    back = network.opposite_of(lane)
    if back is None:
        raise ProgramError("no_path", "no opposite lane to turn into")
    making.go_to(at, [s.lane for s in way.lanes])
    making.rest(kerb)
    pose = making.pose
    radius = 1.0 / (TIGHT_SHARE * robot.ackermann.curvature_max_radpm)
    apart = (network.road.lanes[lane].width_m + back.width_m) / 2
    # three strokes go 2 R (1 - cos first + cos second) to the right
    second = math.acos(math.cos(FIRST_RAD) - 1.0 + (kerb + apart) / (2 * radius))
    strokes = []
    for length, curvature in ((radius * FIRST_RAD, -1.0 / radius), (-radius * (second - FIRST_RAD), 1.0 / radius),
                              (radius * (math.pi - second), -1.0 / radius)):
        points = _driven(pose, [(length, curvature)])
        yaw = float(pose[2]) + length * curvature
        strokes.append(Stroke(points, length < 0))
        pose = np.array([*points[-1], yaw])
        if not _free(points, making, reverse=length < 0):
            raise ProgramError("no_path", "something stands where the car would turn")
    add_strokes(making, strokes, rests=False)
    first = len(making.segments) - len(strokes)
    drive = making.segments[first]
    assert isinstance(drive, RoadDrive)
    making.segments[first] = RoadDrive(drive.step, drive.cruise_mps, drive.points, False, True,
                                       (("round", 0.0, _length(np.array(drive.points)), "u_turn"),))
    making.go_to(making.under_way().length_m + BEYOND_M)


def _free(points: np.ndarray, making: Making, *, reverse: bool = False) -> bool:
    """Whether nothing stands where a car that drives along points (P, 2) comes."""
    boxes = [box for _, box, _ in standing_boxes(making.scene)]
    if not boxes:
        return True
    robot = making.robot
    step = np.gradient(points, axis=0) * (-1.0 if reverse else 1.0)
    yaw = np.arctan2(step[:, 1], step[:, 0])
    poses = np.stack([points[:, 0] + robot.center_x_m * np.cos(yaw), points[:, 1] + robot.center_x_m * np.sin(yaw), yaw], axis=1)
    gap = footprint_gap_m(poses[:, None], (robot.length_m / 2, robot.width_m / 2), np.array(boxes))
    return float(gap.min()) > GAP_M


def _length(points: np.ndarray) -> float:
    return round(float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()), 3)


def _rounded(points: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)


def _over(points: np.ndarray, x: float, y: float, yaw: float, half_along: float, half_across: float) -> list[tuple[float, float]]:
    """Where points lead over a rectangle: (from, to) in metres along them."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    dx, dy = points[:, 0] - x, points[:, 1] - y
    inside = (np.abs(math.cos(yaw) * dx + math.sin(yaw) * dy) <= half_along) & (
        np.abs(math.cos(yaw) * dy - math.sin(yaw) * dx) <= half_across)
    edges = np.flatnonzero(np.diff(np.r_[0, inside.astype(int), 0]))
    return [(float(along[a]), float(along[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
