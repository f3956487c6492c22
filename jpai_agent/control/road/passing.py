"""How far beside its lane's middle a car drives: away from the kerb, round what stands in the lane, to the kerb."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.control.road.routes import Network, Way
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Obstacle, Scene

# gap beside things and people that are passed; what comes nearer to the lane's middle than this is in the way
SIDE_M, PERSON_SIDE_M, NEEDED_M, PERSON_NEEDED_M = 0.8, 1.2, 0.4, 0.8
# a swerve is so long, and at least so long where room is short; the car is straight again so much before and beyond a thing
SWERVE_M, SHORTEST_M, STRAIGHT_M = 12.0, 6.5, 0.6
# least room to things beside the way past, and between the car and the centre line where it keeps to its own lane
LEAST_M, LINE_M = 0.35, 0.1
# a vehicle in the middle of the lane this near before a stop line, or before another that waits, waits there
QUEUE_M, QUEUE_MIDDLE_M = 7.0, 0.9
# slower than this a mover stands
STANDING_MPS = 0.3
PERSON_M = 0.45
# what stands farther from the way does not matter
NEAR_M = 12.0
# a car does not go round what it has not watched standing for this long: it may be driving on ahead
WATCHED_S = 1.2
# of something as wide as a vehicle no less than this may stand there, though only its end is seen yet
VEHICLE_WIDE_M, VEHICLE_M = 1.2, 4.4
# nearer behind one another no car goes between two things
WEAVES_M = 3.0
# what is passed stands at most so far ahead and behind
PASS_AHEAD_M, BEHIND_M = 45.0, 10.0


@dataclass(frozen=True)
class Shift:
    """Drive aside_m beside the lane's middle (left positive) between full_from_m and full_to_m, swerving before and after.

    Attributes:
        begin_m, end_m: Where the swerve out begins and the one back ends. leaves_lane: it needs the oncoming lane.
    """

    begin_m: float
    full_from_m: float
    full_to_m: float
    end_m: float
    aside_m: float
    leaves_lane: bool
    name: str


def standing_boxes(scene: Scene) -> list[tuple[str, np.ndarray, bool]]:
    """What stands in a scene: id, box (5,), and whether it may be a person."""
    found = [(o.id, np.array([o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m]), _person_like(o)) for o in scene.obstacles]
    for m in scene.movers:
        if math.hypot(m.vx_mps, m.vy_mps) < STANDING_MPS:
            half_x, half_y = (m.half_x_m, m.half_y_m) if m.half_x_m > 0 else (m.radius_m, m.radius_m)
            found.append((m.id, np.array([m.x_m, m.y_m, m.yaw_rad, half_x, half_y]), m.half_x_m <= 0))
    return found


def _person_like(thing: Obstacle | Mover) -> bool:
    return isinstance(thing, Obstacle) and max(thing.half_x_m, thing.half_y_m) < PERSON_M and 0.9 < thing.height_m < 2.1


def on_way(way: Way, box: np.ndarray) -> tuple[float, float, float, float]:
    """What a box (5,) covers along a way and beside it: (from, to, rightmost, leftmost), by its corners."""
    cos, sin = math.cos(box[2]), math.sin(box[2])
    corners = np.array([[sx * box[3], sy * box[4]] for sx in (-1, 1) for sy in (-1, 1)]) @ np.array([[cos, sin], [-sin, cos]])
    along, _ = way.nearest(box[0], box[1])
    x, y, yaw = way.at(along)
    local = (corners + box[:2] - [x, y]) @ np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    ahead, aside = along + local[:, 0], local[:, 1]
    return float(ahead.min()), float(ahead.max()), float(aside.min()), float(aside.max())


def shifts_round(way: Way, until_m: float, scene: Scene, network: Network, robot: RobotSpec, ignored: Sequence[str] = (),
                 start_m: float = 0.0) -> list[Shift]:
    """The shifts by which a car passes what stands in its lane on a way up to until_m, where there is room to.

    What cannot be passed is left out: the car will stop behind it. Never in crossings, nor past a queue, nor past what may
    yet turn out to move. start_m: how far left of the lane's middle the car is at the way's begin.
    """
    things = standing_boxes(scene)
    shifts: list[Shift] = []
    waited_for = _queue(way, things)
    waited_for |= {o.id for o in scene.obstacles if scene.stamp_s - o.seen_since_s < WATCHED_S}
    waited_for |= {m.id for m in scene.movers if scene.stamp_s - m.seen_since_s < WATCHED_S}
    covers = []
    for name, box, person in things:
        if name in ignored or name in waited_for or float(((way.points - box[:2]) ** 2).sum(axis=1).min()) > NEAR_M**2:
            continue
        begin, end, right, left = on_way(way, box)
        needed = robot.width_m / 2 + (PERSON_NEEDED_M if person else NEEDED_M)
        if right > needed or left < -needed or begin > until_m + robot.front_m or end < -robot.rear_m:
            continue
        if left - right > VEHICLE_WIDE_M:
            end = max(end, begin + VEHICLE_M)
        covers.append((begin, end, right, left, name, PERSON_SIDE_M if person else SIDE_M))
    for begin, end, right, left, name, gap_m in _together(sorted(covers)):
        shift = _shift(way, until_m, network, robot, name, (begin, end, right, left), gap_m, start_m)
        if shift is not None:
            shifts.append(shift)
    shifts = _merged(sorted(shifts, key=lambda s: s.begin_m))
    return [s for s in shifts if _fits(way, s, things, robot, network)]


def _together(covers: list[tuple[float, float, float, float, str, float]]) -> list[tuple[float, float, float, float, str, float]]:
    """What lies so close behind one another that no car weaves through counts as one: often it is one thing, seen in parts."""
    one: list[tuple[float, float, float, float, str, float]] = []
    for begin, end, right, left, name, gap_m in covers:
        if one and begin - one[-1][1] < WEAVES_M:
            first, last, rightmost, leftmost, its_name, its_gap_m = one.pop()
            one.append((first, max(last, end), min(rightmost, right), max(leftmost, left), its_name, max(its_gap_m, gap_m)))
        else:
            one.append((begin, end, right, left, name, gap_m))
    return one


def _shift(way: Way, until_m: float, network: Network, robot: RobotSpec, name: str,
           covers: tuple[float, float, float, float], gap_m: float, start_m: float) -> Shift | None:
    begin, end, right, left = covers
    lane = way.lane_at(begin).lane
    width = network.road.lanes[lane].width_m
    to_left, to_right = left + gap_m + robot.width_m / 2, right - gap_m - robot.width_m / 2
    left_limit = width / 2 + network.road.shoulder_m - robot.width_m / 2 - 0.2
    own = width / 2 - robot.width_m / 2 - LINE_M
    # on the left only where the lane has the room
    aside = to_left if to_left <= left_limit and abs(to_left) < abs(to_right) else min(to_right, 0.0)
    leaves = aside < -own
    if leaves:
        opposite = network.opposite_of(lane)
        if opposite is None or aside < -(width + opposite.width_m / 2 + network.road.shoulder_m - robot.width_m / 2 - 0.2):
            return None
    full_from, full_to = begin - robot.front_m - STRAIGHT_M, end + robot.rear_m + STRAIGHT_M
    swerve = SWERVE_M if abs(aside) > 1.0 else SWERVE_M * 0.75
    out = min(swerve, full_from)
    if out < SHORTEST_M * min(1.0, math.sqrt(abs(aside - start_m) / 2.4)):
        return None
    shift = Shift(full_from - out, full_from, full_to, full_to + swerve, aside, leaves, name)
    return _outside_crossings(way, shift) if leaves else shift


def _outside_crossings(way: Way, shift: Shift) -> Shift | None:
    """The shift with its swerves shortened so that none of it lies in a crossing; None where it cannot be."""
    for crossing in way.crossings:
        if shift.full_to_m + SHORTEST_M > crossing.entry_m and shift.full_from_m - SHORTEST_M < crossing.exit_m:
            return None
        if crossing.exit_m <= shift.full_from_m:
            shift = Shift(max(shift.begin_m, crossing.exit_m), *list(vars(shift).values())[1:])
        elif crossing.entry_m >= shift.full_to_m:
            end = min(shift.end_m, crossing.entry_m)
            shift = Shift(shift.begin_m, shift.full_from_m, shift.full_to_m, end, shift.aside_m, shift.leaves_lane, shift.name)
    return shift


def _queue(way: Way, things: list[tuple[str, np.ndarray, bool]]) -> set[str]:
    """Ids of what stands where one waits for a light or at a stop sign, behind one another."""
    in_lane = []
    for name, box, _ in things:
        begin, end, right, left = on_way(way, box)
        if abs(right + left) / 2 < QUEUE_MIDDLE_M:
            in_lane.append((end, begin, name))
    waiting: set[str] = set()
    for line in (m.from_m for m in way.marks if m.kind in ("light", "sign")):
        head = line
        for end, begin, name in sorted(in_lane, reverse=True):
            if begin < line and -2.0 < head - end < QUEUE_M:
                waiting.add(name)
                head = begin
    return waiting


def _merged(shifts: list[Shift]) -> list[Shift]:
    """Shifts that follow one another closely become one: the car stays out."""
    merged: list[Shift] = []
    for shift in shifts:
        if merged and shift.begin_m < merged[-1].end_m:
            last = merged.pop()
            aside = max(last.aside_m, shift.aside_m, key=abs)
            merged.append(Shift(last.begin_m, last.full_from_m, max(last.full_to_m, shift.full_to_m),
                                max(last.end_m, shift.end_m), aside, last.leaves_lane or shift.leaves_lane, last.name))
        else:
            merged.append(shift)
    return merged


def _fits(way: Way, shift: Shift, things: list[tuple[str, np.ndarray, bool]], robot: RobotSpec, network: Network) -> bool:
    """Whether the car keeps clear of everything that stands while it is shifted."""
    if not things:
        return True
    along = np.arange(shift.begin_m, shift.end_m, 0.5)
    poses = shifted(way, along, offsets(along, 0.0, [shift]))
    poses[:, :2] += robot.center_x_m * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=1)
    boxes = np.array([box for _, box, _ in things])
    gap = footprint_gap_m(poses[:, None], (robot.length_m / 2, robot.width_m / 2), boxes)
    return float(gap.min()) > LEAST_M


def passes_nothing(segments: Sequence[object], scene: Scene, network: Network, robot: RobotSpec) -> bool:
    """Whether a car's drives go, or are about to go, into the oncoming lane for something that does not stand there any more.

    Args:
        segments: The program's, from the one that the car is at.
    """
    place, here = network.in_lane(scene.robot.pose), scene.robot.pose[:2]
    if place is None or not any(_near_pass(s, here) for s in segments if isinstance(s, RoadDrive)):
        return False
    way = network.ahead(replace(place, along_m=max(place.along_m - BEHIND_M, 0.0)), until_m=PASS_AHEAD_M)
    return not any(s.leaves_lane for s in shifts_round(way, PASS_AHEAD_M, scene, network, robot))


def _near_pass(drive: RoadDrive, here: np.ndarray) -> bool:
    points = np.asarray(drive.points)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = float(along[int(np.argmin(np.linalg.norm(points - here, axis=1)))])
    return any(kind == "pass" and begin - PASS_AHEAD_M / 2 < at < end for kind, begin, end, _ in drive.marks)


def blend(share: np.ndarray) -> np.ndarray:
    """From 0 to 1 with no slope and no bend at either end, elementwise."""
    t = np.clip(share, 0.0, 1.0)
    return t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)


def offsets(along: np.ndarray, start_m: float, shifts: Sequence[Shift], start_slope: float = 0.0,
            kerb: tuple[float, float] | None = None) -> np.ndarray:
    """(P,) how far beside the lane's middle, at lengths along a way.

    Args:
        start_m, start_slope: Where the car is at its begin, and the tangent of its heading off the lane's.
        kerb: (aside, where) to come to at its end, if to another offset than 0.
    """
    length = min(max(6.0, 9.0 * math.sqrt(abs(start_m))), SWERVE_M + 3.0)
    t = np.clip(along / length, 0.0, 1.0)
    # the slope fades out with the offset
    aside = start_m * (1.0 - blend(t)) + start_slope * length * t * (1.0 - t) ** 3
    for shift in shifts:
        out = blend((along - shift.begin_m) / max(shift.full_from_m - shift.begin_m, 0.1))
        back = blend((along - shift.full_to_m) / max(shift.end_m - shift.full_to_m, 0.1))
        aside = aside * (1.0 - out + back) + shift.aside_m * (out - back)
    if kerb is not None:
        share = blend((along - (kerb[1] - SWERVE_M - 1.0)) / SWERVE_M)
        aside = aside * (1.0 - share) + kerb[0] * share
    return aside


def over_line(way: Way, along: np.ndarray, aside: np.ndarray, shift: Shift, robot: RobotSpec, network: Network
              ) -> tuple[float, float] | None:
    """From where to where the footprint is over the centre line, or nearly, while it is shifted; None if it never is.

    Args:
        along, aside: (P,) where base_link goes, as of `offsets`.
    """
    within = (along >= shift.begin_m) & (along <= shift.end_m)
    if within.sum() < 2:
        return None
    at, off = along[within], np.arctan(np.gradient(aside[within], along[within]))
    corners = [aside[within] + ahead * np.sin(off) - robot.width_m / 2 * np.cos(off) for ahead in (robot.front_m, -robot.rear_m)]
    width = network.road.lanes[way.lane_at(shift.full_from_m).lane].width_m
    over = np.minimum(*corners) < -(width / 2 - 2 * LINE_M)
    return (float(at[over][0]), float(at[over][-1])) if over.any() else None


def shifted(way: Way, along: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """(P, 3) x, y and heading of base_link that far beside a way."""
    poses = way.at(along, aside)
    if len(along) > 1:
        ahead = np.gradient(poses[:, :2], axis=0)
        poses[:, 2] = np.arctan2(ahead[:, 1], ahead[:, 0])
    return poses
