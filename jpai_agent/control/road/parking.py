"""Into a slot of a car park."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m, wrap
from jpai_agent.control.paths import ProgramError, keep_out
from jpai_agent.control.road.closures import OPEN, Closures
from jpai_agent.control.road.leaving import add_strokes, region_of
from jpai_agent.control.road.lines import Line
from jpai_agent.control.road.making import Making
from jpai_agent.control.road.manoeuvre import MANOEUVRE_MPS, Stroke, reversed_strokes, to_lane
from jpai_agent.control.road.motions import motion
from jpai_agent.control.road.passing import standing_boxes
from jpai_agent.control.road.routes import RoadError, Route
from jpai_agent.control.segments import Wait
from jpai_agent.plan import Step
from jpai_agent.world.road import CarPark, Slot
from jpai_agent.world.scene import Scene

# a thing that reaches this far into a slot takes it; slots nearer than this are seen, those of the map's name are looked at
TAKEN_M, SEEN_M = 0.15, 38.0
# a slot that is pointed at is within this of the point
AT_SLOT_M = 4.0
# where the car decides, before the aisle's begin, how fast it comes there, and how far before it turns in it is so slow
DECIDES_M, LOOKING_MPS, LOOKS_M = 12.0, 4.2, 22.0
# in a slot already within this; ways back before a car in the aisle turns in, and how far it looks ahead for that
THERE_M, THERE_RAD = 0.35, math.radians(6)
BACK_M, AHEAD_M = (0.0, 2.0, 4.0, 6.0), 15.0


@motion("park")
def park(step: Step, making: Making) -> None:
    """Drive to the aisle and into the slot that is meant, or the first free one; from far off, only to where it is seen."""
    park, slots = _meant(making)
    away = min(math.hypot(s.x_m - making.pose[0], s.y_m - making.pose[1]) for s in slots)
    if away > SEEN_M and _approach(making, park, slots[0]):
        making.decides_later = True
        return
    inside = [s for s in slots if _stands_in(making, s)]
    if inside:
        making.segments.append(Wait(making.step, making.cruise_mps, 0.5))
        return
    free = [s for s in slots if not slot_taken(s, making.scene)]
    if not free:
        raise ProgramError("slot_taken" if len(slots) == 1 else "no_free_slot", f"{', '.join(s.id for s in slots)} taken")
    error = ProgramError("no_path", "no way into a free slot")
    for slot in free:
        try:
            if not _from_aisle(making, park, slot):
                _into(making, park, slot)
            return
        except ProgramError as failed:
            error = failed
    raise error


def _meant(making: Making) -> tuple[CarPark, list[Slot]]:
    """The car park and the slots that the target means: all of them, in order, where it means the car park."""
    target = making.target
    parks = making.network.road.car_parks
    if not parks:
        raise ProgramError("no_landmark", "the map has no car park")
    nearest = min(((math.hypot(s.x_m - target.x_m, s.y_m - target.y_m), p, s) for p in parks for s in p.slots),
                  key=lambda found: found[0])
    for place in making.world_map.places:
        if target.kind == "place" and math.hypot(place.x_m - target.x_m, place.y_m - target.y_m) < 0.1:
            for p in parks:
                named = [s for s in p.slots if s.id == place.id]
                if named or p.id == place.id:
                    return p, named or list(p.slots)
    if nearest[0] > AT_SLOT_M:
        raise ProgramError("no_free_slot", f"no slot at ({target.x_m:.1f}, {target.y_m:.1f})")
    return nearest[1], [nearest[2]]


def slot_taken(slot: Slot, scene: Scene) -> bool:
    """Whether something is seen to stand in a slot."""
    pose = np.array([slot.x_m, slot.y_m, slot.yaw_rad])
    half = slot.length_m / 2 - TAKEN_M, slot.width_m / 2 - TAKEN_M
    moving = [np.array([m.x_m, m.y_m, m.yaw_rad, max(m.half_x_m, m.radius_m * 0.7), max(m.half_y_m, m.radius_m * 0.7)])
              for m in scene.movers if m.half_x_m > 0]
    boxes = [box for _, box, _ in standing_boxes(scene)] + moving
    return bool(boxes) and float(footprint_gap_m(pose, half, np.array(boxes)).min()) < 0.0


def _approach(making: Making, park: CarPark, slot: Slot) -> bool:
    """Drive to where the slots are seen; False where that is here."""
    trip = making.under_way()
    lanes, along = _to_lane_beside(making, park, slot)
    x0, y0, x1, y1 = park.aisle_m
    line = making.network.line(park.lane)
    ends = [line.nearest(x, y)[0] for x in (x0, x1) for y in (y0, y1)]
    at_slot, _ = line.nearest(slot.x_m, slot.y_m)
    decides = along - at_slot + min(ends) - DECIDES_M
    if decides < trip.length_m + 2.0:
        return False
    cruise = making.cruise_mps
    making.go_to(max(decides - 15.0, trip.length_m), lanes)
    making.cruise_mps = min(cruise, LOOKING_MPS)
    making.go_to(decides, lanes)
    return True


def _to_lane_beside(making: Making, park: CarPark, slot: Slot) -> tuple[list[int], float]:
    """The lanes of the trip up to beside a slot, on the lane that the aisle is open to, and how far that is.

    Raises ProgramError "keep_out" where every way there is closed, "no_path" where there is none.
    """
    trip, closed = making.under_way(), making.closures
    way = making.way()
    line = making.network.line(park.lane)
    at, _ = line.nearest(slot.x_m, slot.y_m)
    for span in way.lanes:
        along = span.from_m + at - span.lane_from_m
        if (span.lane == park.lane and along >= trip.length_m and span.lane_from_m <= at
                and closed.along(way, trip.length_m, along) is None):
            return [s.lane for s in way.lanes], along
    found = _route_beside(making, park, slot, at, closed)
    if found is None:
        anyway = _route_beside(making, park, slot, at, OPEN)
        zone = closed.along(anyway.way, 0.0, anyway.along_m) if anyway is not None else None
        if zone is not None:
            raise keep_out(zone, f"every way to {slot.id} leads")
        raise ProgramError("no_path", "no way to the car park's aisle")
    before = [s.lane for s in trip.way(making.network, max(trip.length_m, 0.1)).lanes]
    onward = [s.lane for s in found.way.lanes]
    return [*(before[:-1] if before[-1] == onward[0] else before), *onward], trip.length_m + found.along_m


def _route_beside(making: Making, park: CarPark, slot: Slot, at_m: float, closed: Closures) -> Route | None:
    """The shortest way from the trip's end as yet past a slot, which is at_m along its aisle's lane; None where there is none."""
    x, y, _ = (float(v) for v in making.network.line(park.lane).at(at_m))
    here = making.way().lane_at(making.under_way().length_m)
    try:
        found = making.network.route_to(here, x + 0.2 * (slot.x_m - x), y + 0.2 * (slot.y_m - y), closed=closed)
    except RoadError:
        return None
    return found if found.lane == park.lane else None


def _stands_in(making: Making, slot: Slot) -> bool:
    """Whether the car stands in a slot already."""
    goal = slot_pose(slot, making)
    near = math.hypot(*(goal[:2] - making.pose[:2])) < THERE_M
    return making.at_rest and near and abs(float(wrap(goal[2] - making.pose[2]))) < THERE_RAD


def _from_aisle(making: Making, park: CarPark, slot: Slot) -> bool:
    """Add the way into a slot of a car that stands in the aisle, backing first where it needs room; False where it does not."""
    x0, y0, x1, y1 = park.aisle_m
    x, y, yaw = (float(v) for v in making.pose)
    if making.trip is not None or not (x0 - 2.0 < x < x1 + 2.0 and y0 - 1.5 < y < y1 + 2.0):
        return False
    region = region_of(making, park, [slot], making.network.line(park.lane))
    for back in BACK_M:
        begin = np.array([x - back * math.cos(yaw), y - back * math.sin(yaw), yaw])
        out = np.linspace(making.pose[:2], begin[:2], max(2, round(back / 0.25) + 1))
        if not region.free(np.concatenate([out, np.full((len(out), 1), yaw)], axis=1), making.robot).all():
            continue
        ahead = np.linspace(0.0, AHEAD_M, 60)[:, None] * np.array([math.cos(yaw), math.sin(yaw)])
        try:
            strokes, end = to_lane(slot_pose(slot, making), Line(begin[:2] + ahead), region, making.robot, backing=True)
        except ProgramError:
            continue
        way = reversed_strokes(strokes)
        lead_in = begin[:2] + np.linspace(0.0, end, max(2, round(end / 0.25) + 1))[:, None] * np.array(
            [math.cos(yaw), math.sin(yaw)])
        way[0] = Stroke(np.concatenate([lead_in[:-1], way[0].points]), False)
        add_strokes(making, [Stroke(out, True), *way] if back else way, rests=True)
        return True
    return False


def _line_to(making: Making, park: CarPark, lanes: list[int]) -> Line:
    """The line that the car comes along: the car park's lane, and the lane before it where that leads straight into it."""
    network = making.network
    at = len(lanes) - 1 - lanes[::-1].index(park.lane)
    before = [lane for lane in lanes[max(at - 1, 0):at] if network.road.lanes[lane].turn == "straight"]
    return Line(np.concatenate([network.line(lane).points for lane in (*before, park.lane)]))


def slot_pose(slot: Slot, making: Making) -> np.ndarray:
    """(3,) base_link of a car that stands in a slot."""
    back = making.robot.center_x_m
    return np.array([slot.x_m - back * math.cos(slot.yaw_rad), slot.y_m - back * math.sin(slot.yaw_rad), slot.yaw_rad])


def _into(making: Making, park: CarPark, slot: Slot) -> None:
    """Add the way into a slot. Raises ProgramError("no_path")."""
    trip = making.under_way()
    lanes, along = _to_lane_beside(making, park, slot)
    line = _line_to(making, park, lanes)
    goal = slot_pose(slot, making)
    at_slot, _ = line.nearest(slot.x_m, slot.y_m)
    region = region_of(making, park, [slot], line)
    # the earliest place on the lane that the car can still turn in from, as slow as that
    slowed = max(0.0, making.v_mps**2 - MANOEUVRE_MPS**2) / (2 * 2.0) if not trip.cuts else 4.0
    earliest = trip.length_m + slowed + 0.3 - along + at_slot
    try:
        strokes, end = to_lane(goal, line, region, making.robot, from_m=max(earliest, 0.0), backing=True)
    except ProgramError:
        # past where it could turn in forwards: in several strokes, the first one back
        strokes, end = to_lane(goal, line, region, making.robot, from_m=max(earliest, 0.0))
    turn_in = along - at_slot + end
    # slowly where the slots come into sight: there may be another choice to make
    cruise = making.cruise_mps
    if turn_in - LOOKS_M > trip.length_m:
        making.go_to(turn_in - LOOKS_M, lanes)
    making.cruise_mps = min(cruise, LOOKING_MPS)
    making.go_to(turn_in, lanes)
    making.cruise_mps = cruise
    making.flush(rests=reversed_strokes(strokes)[0].reverse)
    add_strokes(making, reversed_strokes(strokes), rests=True)
