"""How each skill's step becomes a car's motion: one function a skill, found by the skill's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from jpai_agent.control.motions import new_cruise_mps
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.road.closures import OPEN
from jpai_agent.control.road.making import LATER_M, Making
from jpai_agent.control.road.passing import on_way, standing_boxes
from jpai_agent.control.road.routes import CrossingAhead, LanePosition, RoadError, Way
from jpai_agent.control.road.rules import LINE_M
from jpai_agent.control.road.segments import Branch, FollowVehicle, Mark
from jpai_agent.control.road.trip import Trip
from jpai_agent.control.segments import Say, Wait
from jpai_agent.plan import Step

STANDOFF_M, SLOWEST_MPS = 2.0, 0.5
# a turn is done this far beyond its crossing
BEYOND_M = 3.0
# braking before a turn, and the speed in it, that decide whether it can still be made
LATEST_MPS2, TURN_MPS = 4.0, 3.0
# a car that rolls this slowly in a crossing or is turned this far, this near to a turn's lane in place and heading, is making it
TURNING_MPS, TURNED_RAD, TURNING_M, TURNING_RAD = (0.5, 5.0), math.radians(6), 0.8, math.radians(20)
# room to a crossing from where a car rests, and to what stands at the kerb before and behind it
CLEAR_M, KERB_ROOM_M = 0.7, 1.2
# how far a place at the kerb is sought, and the steps of that
KERB_SEARCH_M, KERB_STEP_M = 60.0, 0.5
SWERVE_M = 13.5
# how many crossings a followed vehicle's ways are made through, and how far beyond
FOLLOWED_CROSSINGS = 2
TURNS = ("straight", "left", "right")

Motion = Callable[[Step, Making], None]
_MOTIONS: dict[str, Motion] = {}


def motion(skill: str) -> Callable[[Motion], Motion]:
    """Register the decorated function as the motion of a car's skill."""

    def add(function: Motion) -> Motion:
        _MOTIONS[skill] = function
        return function

    return add


def motion_of(skill: str) -> Motion:
    """The function that adds a skill's motion to a program. Raises KeyError for a skill without one."""
    return _MOTIONS[skill]


@motion("set_speed")
def set_speed(step: Step, making: Making) -> None:
    """Set the top speed of what follows: over the limit it is not permitted, a factor ends at it."""
    limit = min(lane.speed_limit_mps for lane in making.network.road.lanes.values())
    if float(step.args.get("speed", 0.0)) / 3.6 > limit + 0.01:
        raise ProgramError("too_fast", f"{step.args['speed']} km/h is over the limit of {limit * 3.6:.0f} km/h")
    making.cruise_mps = max(min(new_cruise_mps(step, making.cruise_mps, making.robot), limit), SLOWEST_MPS)


@motion("drive")
def drive(step: Step, making: Making) -> None:
    """Follow the lane: for a distance, up to the target, or to the road's end and come to rest there."""
    way, begin = making.way(), making.under_way().length_m
    if "distance_m" in step.args:
        until = begin + float(step.args["distance_m"])
        if until < making.end_m(way):
            making.go_to(until)
            return
    elif making.has_target:
        lanes, along, _ = making.passing(making.target, begin + 0.5)
        making.go_to(along, lanes)
        return
    making.go_to(max(making.end_m(way), making.hardest_m))
    making.rest()


@motion("turn_at")
def turn_at(step: Step, making: Making) -> None:
    """Take the way at the crossing that is meant."""
    if _turn_begun(step, making):
        return
    way, trip = making.way(), making.under_way()
    begin = trip.length_m
    v = making.v_mps if not trip.cuts else 0.0
    direction = str(step.args["direction"])
    braking = max(0.0, v * v - TURN_MPS**2) / (2 * LATEST_MPS2) if direction != "straight" else 0.0
    # not the crossing that the way begins in: nothing leads into it any more
    entries = [s.from_m for s in way.lanes[1:]]
    ahead = [c for c in way.crossings if c.entry_m > begin - 0.5 and c.entry_m + 2.0 > begin + braking
             and any(abs(entry_m - c.entry_m) < 1e-6 for entry_m in entries)]
    if step.args.get("at") == "light":
        ahead = [c for c in ahead if c.lights]
    crossing = _meant(step, making, way, ahead)
    lanes = [s.lane for s in way.lanes]
    before = lanes.index(_lane_into(way, crossing))
    try:
        through = making.network.turn(lanes[before], direction)
    except RoadError as error:
        raise ProgramError("no_road", str(error)) from error
    after = making.network.road.lanes[through].following
    until = crossing.entry_m + making.network.length_m(through) + BEYOND_M
    making.go_to(until, [*lanes[:before + 1], through, *after[:1]])


def _turn_begun(step: Step, making: Making) -> bool:
    """Whether the car is making the turn already, when its plan is made anew on the way: then it is made to its end."""
    trip, road, network = making.under_way(), making.network.road, making.network
    direction, here = str(step.args["direction"]), road.lanes[trip.start.lane]
    if trip.cuts or making.step > 0 or here.crossing is None or direction == "straight" or int(step.args.get("nth", 1)) > 1:
        return False
    least, most = TURNING_MPS
    if making.v_mps > most or (making.has_target and here.turn != direction):
        return False
    before = next((lane for lane in road.lanes.values() if here.id in lane.following), None)
    lane = next((a for a in before.following if road.lanes[a].turn == direction), None) if before is not None else None
    if lane is None:
        return False
    x, y, yaw = (float(v) for v in making.pose)
    along, offset = network.line(lane).nearest(x, y)
    error = math.remainder(yaw - float(network.line(lane).at(along)[2]), math.tau)
    turned = abs(math.remainder(yaw - float(network.line(lane).at(0.0)[2]), math.tau))
    if abs(offset) > TURNING_M or abs(error) > TURNING_RAD or (turned < TURNED_RAD and making.v_mps < least):
        return False
    making.trip = Trip(LanePosition(lane, along, offset, error), [lane])
    making.go_to(network.length_m(lane) - along + BEYOND_M, [lane, *road.lanes[lane].following[:1]])
    return True


def _meant(step: Step, making: Making, way: Way, ahead: Sequence[CrossingAhead]) -> CrossingAhead:
    """The crossing that a turn_at means. Raises ProgramError("no_road") where there is none."""
    if making.has_target:
        # it only names the crossing: the car need not come by it
        _, along, _ = making.passing(making.target, making.under_way().length_m, closed=OPEN)
        if along > way.length_m:
            raise ProgramError("behind", "the target is not on the way straight on")
        when = step.args.get("when", "at")
        if when == "before":
            found = [c for c in ahead if c.centre_m < along][-1:]
        elif when == "after":
            found = [c for c in ahead if c.centre_m > along][:1]
        else:
            found = sorted(ahead, key=lambda c: abs(c.centre_m - along))[:1]
    else:
        found = list(ahead[int(step.args.get("nth", 1)) - 1:][:1])
    if not found:
        raise ProgramError("no_road", "no such crossing ahead")
    return found[0]


def _lane_into(way: Way, crossing: CrossingAhead) -> int:
    """The lane that leads into a crossing."""
    return next(a.lane for a, b in zip(way.lanes, way.lanes[1:], strict=False) if abs(b.from_m - crossing.entry_m) < 1e-6)


@motion("stop_at")
def stop_at(step: Step, making: Making) -> None:
    """Come to rest in the lane: at the stop line, or before, beside or after the target."""
    trip = making.under_way()
    if "target" not in step.args:
        way = making.way()
        lines = [m for m in way.marks if m.kind in ("light", "sign")
                 and m.from_m - LINE_M - making.robot.front_m >= min(making.hardest_m, trip.length_m + 40.0)]
        if not lines:
            raise ProgramError("target_missing", "no stop line ahead")
        making.go_to(lines[0].from_m - LINE_M - making.robot.front_m)
        making.rest()
        return
    where = str(step.args.get("where", "before"))
    lanes, at = _rest_by(making, where, float(step.args.get("standoff_m", STANDOFF_M)))
    if where != "after" and making.target.object_id:
        making.target_ids.append(making.target.object_id)
    way = making.network.way(lanes, trip.start.along_m)
    making.go_to(_out_of_crossings(way, at, making, back=where == "before"), lanes)
    making.rest()


def _rest_by(making: Making, where: str, standoff_m: float) -> tuple[list[int], float]:
    """The lanes to a target and where on them base_link rests before, beside or after it. Raises ProgramError."""
    robot, trip = making.robot, making.under_way()
    length = trip.length_m
    for from_m in (length - robot.front_m, length + LATER_M + robot.front_m):
        lanes, _, target = making.passing(making.target, from_m)
        way = making.network.way(lanes, trip.start.along_m)
        begin, end, _, _ = on_way(way, making.box_of(target))
        at = {"before": begin - standoff_m - robot.front_m, "after": end + standoff_m + robot.rear_m,
              "beside": (begin + end) / 2 - robot.center_x_m}[where]
        if at >= making.hardest_m - 0.3:
            return lanes, at
        if making.hardest_m - at <= LATER_M and (where != "before" or making.hardest_m + robot.front_m < begin - 0.5
                                                 or _beside_the_lane(making, way, target)):
            # it is too near to stop at in comfort
            return lanes, making.soonest_m
    raise ProgramError("behind", "the target has been passed")


def _beside_the_lane(making: Making, way: Way, target: object) -> bool:
    """Whether a target stands clear of the car's lane."""
    _, _, right, left = on_way(way, making.box_of(target))  # type: ignore[arg-type]
    return right > making.robot.width_m / 2 + 0.4 or left < -making.robot.width_m / 2 - 0.4


def _out_of_crossings(way: Way, at: float, making: Making, *, back: bool) -> float:
    """Where base_link rests instead of in a crossing: before it where that is wanted and reached, else beyond."""
    robot = making.robot
    for crossing in way.crossings:
        low, high = crossing.entry_m - robot.front_m - CLEAR_M, crossing.exit_m + robot.rear_m + CLEAR_M
        if low < at < high:
            at = low if back and low >= making.hardest_m else high
    return at


@motion("pull_over")
def pull_over(step: Step, making: Making) -> None:
    """Swerve to the kerb and come to rest there, at once or by the target."""
    trip = making.under_way()
    if making.has_target:
        lanes, at = _rest_by(making, str(step.args.get("where", "beside")), STANDOFF_M)
    else:
        lanes, at = [s.lane for s in making.way().lanes], 0.0
    way = making.network.way(lanes, trip.start.along_m)
    already = trip.start.offset_m > 1.0 and not trip.cuts
    at = max(at, making.soonest_m if already else max(making.soonest_m, trip.length_m + SWERVE_M + 0.5))
    at, kerb = free_kerb(making, way, at)
    making.go_to(at, lanes)
    making.rest(kerb)


def free_kerb(making: Making, way: Way, at: float) -> tuple[float, float]:
    """The first place at `at` or later, outside of crossings, where nothing stands at the kerb: base_link's length along the
    way and offset. Raises ProgramError("no_path")."""
    robot = making.robot
    things = [on_way(way, box) for _, box, _ in standing_boxes(making.scene)]
    limit = min(at + KERB_SEARCH_M, making.end_m(way) + 1.0)
    while at <= limit:
        moved = _out_of_crossings(way, at, making, back=False)
        if moved > at:
            # the swerve does not begin in the crossing either
            at = moved + SWERVE_M * 0.6
        kerb = making.network.kerb_offset_m(way.lane_at(at).lane, robot)
        half = robot.width_m / 2 + 0.3
        taken = [end for begin, end, right, left in things
                 if right < kerb + half and left > kerb - half
                 and end > at - robot.rear_m - SWERVE_M * 0.6 and begin < at + robot.front_m + KERB_ROOM_M]
        if not taken:
            return at, kerb
        at = max(at + KERB_STEP_M, max(taken) + robot.rear_m + SWERVE_M * 0.6 + 0.1)
    raise ProgramError("no_path", "no free place at the kerb ahead")


@motion("follow")
def follow(step: Step, making: Making) -> None:
    """Take the lanes that the vehicle takes; what comes after that is planned when it has ended."""
    target = making.target
    trip = making.under_way()
    if trip.cuts:
        making.flush(rests=False)
        trip = making.under_way()
    until = str(step.args.get("until", ""))
    branches = _branches(making, FOLLOWED_CROSSINGS if until != "target_turns" else 0)
    making.segments.append(FollowVehicle(making.step, making.cruise_mps, target.object_id or "", target.x_m, target.y_m,
                                         float(step.args.get("duration_s", 0.0)), until, branches))
    making.trip, making.v_mps = None, making.cruise_mps
    making.followed = True


def _branches(making: Making, crossings: int) -> tuple[Branch, ...]:
    """The ways through the next crossings, straight on first; beyond them straight on to the road's end."""
    trip = making.under_way()
    found: list[tuple[str, ...]] = [()]
    for _ in range(crossings):
        found += [(*turns, turn) for turns in found if len(turns) == max(map(len, found)) for turn in TURNS]
    branches: list[Branch] = []
    seen: set[tuple[int, ...]] = set()
    for turns in sorted(found, key=lambda t: (any(turn != "straight" for turn in t), len(t), t)):
        try:
            way = making.network.ahead(trip.start, turns)
        except RoadError:
            continue
        lanes = tuple(s.lane for s in way.lanes)
        if lanes not in seen:
            seen.add(lanes)
            branches.append(_branch(way, making, trip.start.offset_m if way.length_m else 0.0))
    return tuple(branches)


def _branch(way: Way, making: Making, offset_m: float) -> Branch:
    length = max(making.end_m(way), 1.0)
    along = np.linspace(0.0, length, max(2, math.ceil(length / 0.5) + 1))
    poses = way.at(along, offset_m * np.exp(-along / 6.0))
    marks: tuple[Mark, ...] = tuple((m.kind, round(m.from_m, 3), round(m.to_m, 3), m.id) for m in way.marks)
    return Branch(tuple((round(float(x), 4), round(float(y), 4)) for x, y in poses[:, :2]), marks)


@motion("wait")
def wait(step: Step, making: Making) -> None:
    """Come to rest, then stand still."""
    _rest_at_once(making)
    making.segments.append(Wait(making.step, making.cruise_mps, float(step.args["duration_s"])))


@motion("stop")
def stop(step: Step, making: Making) -> None:
    """Come to rest in the lane."""
    _rest_at_once(making)
    making.segments.append(Wait(making.step, making.cruise_mps, 0.5))


def _rest_at_once(making: Making) -> None:
    if not making.at_rest:
        making.go_to(min(making.soonest_m, max(making.end_m(making.way()), making.hardest_m)))
        making.rest()


@motion("say")
def say(step: Step, making: Making) -> None:
    """Say it, whether driving or standing."""
    if making.trip is not None and making.trip.cuts:
        making.say(str(step.args["text"]))
    else:
        making.segments.append(Say(making.step, making.cruise_mps, str(step.args["text"])))


@motion("continue")
def resume(step: Step, making: Making) -> None:
    """Adds nothing: the agent has put what was left after it, as steps of its own."""
