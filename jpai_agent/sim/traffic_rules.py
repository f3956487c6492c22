"""The rules of the road that no car may break, measured on the true motion (DESIGN section 7).

The numbers are the benchmark's own, not the robot file's nor the map's; of the map it takes where things lie. Two things
are read in the driver's favour: a car that could not have stopped any more (half a second, then 5 m/s²) when someone began
to step onto a crosswalk is judged by what it touches alone, and what stood in the lane when the car set out to pass it
counts as standing until it is passed.
"""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.sim.predicates import runs
from jpai_agent.sim.road_truth import (
    Stretch,
    before_line,
    headings,
    left_of,
    line_passages,
    on_crosswalk,
    oncoming,
    outline,
    own_stretch,
    passages,
)
from jpai_agent.sim.trajectory import Recording
from jpai_agent.world.objects import PEOPLE, VEHICLES, motion_velocity
from jpai_agent.world.road import Crosswalk, RoadMap

SPEED_LIMIT_MPS, SPEED_OVER_MPS, SPEED_FOR_S = 30 / 3.6, 1 / 3.6, 0.5
RED_FOR_S = 0.2
STILL_MPS, STAND_S, STAND_WITHIN_M = 0.1, 1.0, 3.0
# what physics and the drawing of lines do to where an edge is
LINE_M = 0.05
# stretches over the centre line that are so close in time are one manoeuvre
ONE_MANOEUVRE_S = 3.0
TURNED_BACK_RAD, TURNING_RAD = math.radians(120.0), math.radians(45.0)
# what is passed: it stands, at most so far ahead when the car pulls out
STANDS_MPS, PASSED_AHEAD_M, PASSED_BEHIND_M = 0.3, 40.0, 12.0
# an oncoming lane is not free when who comes there is so near in time
ONCOMING_S = 2.0
# people: about to be in the car's half of a crosswalk within this time; the stop that nobody can be asked to better
STEPPING_S, PERSON_MPS, BESIDE_M = 1.0, 0.2, 0.3
REACTS_S, STOPS_MPS2 = 0.5, 5.0
EPS = 1e-6


def broken_rules(recording: Recording, road: RoadMap) -> list[str]:
    """Names of the rules that the robot broke: speed_limit, red_light, stop_sign, centre_line, crosswalk."""
    if len(recording.times) < 2:
        return []
    checks = {
        "speed_limit": _too_fast(recording),
        "red_light": _through_red(recording, road),
        "stop_sign": _past_sign(recording, road),
        "centre_line": _over_centre_line(recording, road),
        "crosswalk": any(_past_people(recording, walk) for walk in road.crosswalks),
    }
    return [name for name, broken in checks.items() if broken]


def _too_fast(recording: Recording) -> bool:
    times = recording.times
    fast = runs(recording.speed > SPEED_LIMIT_MPS + SPEED_OVER_MPS)
    return any(times[last] - times[first] >= SPEED_FOR_S - EPS for first, last in fast)


def _through_red(recording: Recording, road: RoadMap) -> bool:
    for line in road.stop_lines:
        states = recording.lights.get(line.light or "")
        if line.kind == "light" and states is not None:
            red = states == "red"
            for passed in line_passages(recording, road, line):
                since = [recording.times[first] for first, last in runs(red) if first <= passed.index <= last]
                if since and (passed.time_s - since[0] > RED_FOR_S or since[0] == recording.times[0]):
                    return True
    return False


def _past_sign(recording: Recording, road: RoadMap) -> bool:
    times, still = recording.times, runs(recording.speed < STILL_MPS)
    for line in road.stop_lines:
        if line.kind == "sign":
            distance = before_line(recording, road, line)
            for passed in line_passages(recording, road, line):
                # only what it stood since it last came near this line counts
                came = _since(distance <= STAND_WITHIN_M, passed.index)
                stood = [times[last] - times[max(first, came)] for first, last in still if came <= last <= passed.index]
                if max(stood, default=0.0) < STAND_S - EPS:
                    return True
    return False


def _since(flags: np.ndarray, index: int) -> int:
    """First index of the unbroken run of True that ends at index or just before it."""
    away = np.flatnonzero(~flags[: index + 1])
    return int(away[-1]) + 1 if len(away) else 0


def _over_centre_line(recording: Recording, road: RoadMap) -> bool:
    over = oncoming(recording, road, LINE_M) & ~_in_crossing(recording, road)
    for first, last in _manoeuvres(recording, over):
        if not (_in_car_park(recording, road, first, last) or _turns_back(recording, first, last)
                or _passes(recording, road, over, first, last)):
            return True
    return False


def _manoeuvres(recording: Recording, over: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every stretch over the centre line, those close in time taken together."""
    joined: list[tuple[int, int]] = []
    for first, last in runs(over):
        if joined and recording.times[first] - recording.times[joined[-1][1]] <= ONE_MANOEUVRE_S:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _in_crossing(recording: Recording, road: RoadMap) -> np.ndarray:
    """(T,) whether the footprint's middle is in a crossing's square."""
    middle = recording.footprints[:, :2]
    inside = np.zeros(len(middle), dtype=bool)
    for crossing in road.crossings.values():
        inside |= (np.abs(middle - [crossing.x_m, crossing.y_m]) <= crossing.half_m).all(axis=1)
    return inside


def _in_car_park(recording: Recording, road: RoadMap, first: int, last: int) -> bool:
    """The robot drives into or out of a car park: at a time close to the stretch part of it is on the aisle."""
    near = np.abs(recording.times - np.clip(recording.times, recording.times[first], recording.times[last])) <= ONE_MANOEUVRE_S
    points = outline(recording)[near]
    for park in road.car_parks:
        x0, y0, x1, y1 = park.aisle_m
        if ((points > [x0, y0]) & (points < [x1, y1])).all(axis=2).any():
            return True
    return False


def _turns_back(recording: Recording, first: int, last: int) -> bool:
    """The robot turns round, or, when the recording ends on the way, is turning."""
    times, yaw = recording.times, recording.poses[:, 2]
    before = int(np.searchsorted(times, times[first] - ONE_MANOEUVRE_S))
    after = min(len(times) - 1, int(np.searchsorted(times, times[last] + ONE_MANOEUVRE_S)))
    if abs(_wrap(yaw[after] - yaw[before])) >= TURNED_BACK_RAD:
        return True
    return bool(times[-1] - times[last] < ONE_MANOEUVRE_S and abs(_wrap(yaw[last] - yaw[first])) >= TURNING_RAD)


def _passes(recording: Recording, road: RoadMap, over: np.ndarray, first: int, last: int) -> bool:
    """Something stands in the robot's lane, and the oncoming lane is free for as long as the robot is in it."""
    lane = own_stretch(road, recording.poses[first])
    if lane is None:
        return False
    stands = False
    ahead, aside = _beside(recording, lane, first)
    for column, spec in enumerate(recording.specs):
        width, depth, _ = spec.dimensions_m
        angle = math.radians(recording.objects[first, column, 2]) - math.atan2(lane.direction[1], lane.direction[0])
        half_aside = (abs(math.sin(angle)) * depth + abs(math.cos(angle)) * width) / 2
        in_lane = abs(aside[column]) - half_aside < lane.lane.width_m / 2
        close = -PASSED_BEHIND_M <= ahead[column] <= PASSED_AHEAD_M
        stands |= in_lane and close and math.hypot(*motion_velocity(spec, float(recording.times[first]))) < STANDS_MPS
    return stands and not any(_meets(recording, lane, index) for index in range(first, last + 1) if over[index])


def _beside(recording: Recording, lane: Stretch, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every object how far ahead of the robot's middle it is along a lane, and how far left of the lane's middle."""
    at = recording.objects[index, :, :2]
    return (at - recording.footprints[index, :2]) @ lane.direction, (at - lane.start) @ left_of(lane.direction)


def _meets(recording: Recording, lane: Stretch, index: int) -> bool:
    """A vehicle comes towards the robot in the oncoming lane, and is there within ONCOMING_S."""
    ahead, aside = _beside(recording, lane, index)
    width_m = lane.lane.width_m
    own = float(headings(recording)[index] @ lane.direction) * float(recording.velocities[index, 0])
    for column, spec in enumerate(recording.specs):
        if spec.kind in VEHICLES:
            towards = -float(np.array(motion_velocity(spec, float(recording.times[index]))) @ lane.direction)
            gap = ahead[column] - spec.dimensions_m[1] / 2 - recording.robot_half[0]
            opposite = -1.5 * width_m <= aside[column] <= -0.5 * width_m
            if towards > STANDS_MPS and opposite and ahead[column] > 0.0 and gap < ONCOMING_S * max(own + towards, 0.0):
                return True
    return False


def _past_people(recording: Recording, walk: Crosswalk) -> bool:
    """The robot drove onto a crosswalk while somebody was in its half or stepping towards it."""
    people = [column for column, spec in enumerate(recording.specs) if spec.kind in PEOPLE]
    if not people:
        return False
    for forward in (True, False):
        direction = np.array([math.cos(walk.yaw_rad), math.sin(walk.yaw_rad)]) * (1.0 if forward else -1.0)
        # the middle of the car's half of the near edge
        edge = np.array([walk.x_m, walk.y_m]) - direction * walk.half_along_m + left_of(direction) * walk.half_across_m / 2
        for passed in passages(recording, edge, direction, walk.half_across_m / 2):
            distance = (edge - recording.front) @ direction
            for column in people:
                since = _since(_in_the_way(recording, walk, forward, column), passed.index)
                v = float(recording.velocities[since, 0]) if since <= passed.index else 0.0
                if since <= passed.index and distance[since] >= REACTS_S * v + v * v / (2 * STOPS_MPS2):
                    return True
    return False


def _in_the_way(recording: Recording, walk: Crosswalk, forward: bool, column: int) -> np.ndarray:
    """(T,) whether a person is in the car's half of a crosswalk, or going to be within STEPPING_S."""
    spec, at = recording.specs[column], recording.objects[:, column, :2]
    velocity = np.array([motion_velocity(spec, float(t)) for t in recording.times])
    steps = np.hypot(velocity[:, 0], velocity[:, 1]) > PERSON_MPS
    there = np.zeros(len(at), dtype=bool)
    for ahead_s in np.linspace(0.0, STEPPING_S, 5):
        along, left = on_crosswalk(walk, at + velocity * ahead_s, forward)
        in_half = (np.abs(along) <= walk.half_along_m + BESIDE_M) & (left >= -BESIDE_M) & (left <= walk.half_across_m)
        there |= in_half & (steps | (ahead_s == 0.0))
    return there


def _wrap(angle: float) -> float:
    return float((angle + math.pi) % (2 * math.pi) - math.pi)
