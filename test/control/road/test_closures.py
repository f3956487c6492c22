"""Closed roads: ways lead round them where the town has another, and are refused by their name where it has none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from town import CAR, HALF_M, NORTH, STREET, made, place, scene, town

from jpai_agent.agent.mind import NO_PROGRAM
from jpai_agent.control import Program, ProgramError
from jpai_agent.control.paths import headings
from jpai_agent.control.road.closures import OPEN, closures_of
from jpai_agent.control.road.compile import keep_lane_program
from jpai_agent.control.road.routes import LanePosition, Network, RoadError
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.language import failure
from jpai_agent.plan import Step, Target
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import ObjectSpec
from jpai_agent.world.scene import GroundedTarget
from jpai_agent.world.zones import SiteRules, Zone

EAST = 0.0
START = (20.0, 81.5, EAST)
NETWORK = Network(STREET.road)
HOSPITAL = GroundedTarget("病院", 150.0, 120.0, "place", EAST)
GO = Step("stop_at", {"target": Target("病院", place="hospital"), "where": "beside"})


def works(x0: float, y0: float, x1: float, y1: float, name: str = "works") -> Zone:
    return Zone(name, "工事区間", ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


# the lane east of the lights, which is the short way to the hospital
SHORT_WAY = works(100.0, 80.2, 110.0, 83.0)


def closed(*zones: Zone, world: WorldMap = STREET) -> WorldMap:
    return replace(world, rules=SiteRules(zones))


HOSPITAL_TOWN = town(ObjectSpec("h", "hospital", (150.0, 120.0, 0.0)))


def to_hospital(*zones: Zone, start: tuple[float, float, float] = START) -> Program:
    world = closed(*zones, world=HOSPITAL_TOWN)
    return made(scene(pose=start, v=4.0), GO, targets={0: HOSPITAL}, world=world)


def points(program: Program) -> np.ndarray:
    return np.concatenate([np.array(s.points) for s in program.segments if isinstance(s, RoadDrive)])


def gap_m(program: Program, zone: Zone) -> float:
    path = points(program)
    return float(zone.gap_m(np.concatenate([path, headings(path)[:, None]], axis=1), HALF_M, CAR.center_x_m).min())


def length_m(program: Program) -> float:
    return float(np.hypot(*np.diff(points(program), axis=0).T).sum())


def refused(*args: object, **more: object) -> ProgramError:
    with pytest.raises(ProgramError) as error:
        made(*args, **more)  # type: ignore[arg-type]
    return error.value


def test_a_way_leads_round_a_closed_road_to_the_same_place() -> None:
    short, round_it = to_hospital(), to_hospital(SHORT_WAY)
    assert gap_m(short, SHORT_WAY) < 0.0
    assert gap_m(round_it, SHORT_WAY) > 0.1
    assert points(round_it)[-1] == pytest.approx(points(short)[-1], abs=0.05)
    # down at the lights, along y = 0, and up again
    assert length_m(round_it) == pytest.approx(length_m(short) + 160.0, abs=12.0)
    assert points(round_it)[:, 1].min() == pytest.approx(1.5, abs=0.1)


def test_a_way_that_a_zone_lies_beside_stays_as_it_is() -> None:
    assert to_hospital(works(100.0, 82.6, 110.0, 86.0)).segments == to_hospital().segments


def test_with_the_other_way_closed_too_it_takes_the_third_and_with_all_closed_it_is_refused() -> None:
    south = works(100.0, 0.0, 110.0, 3.0, "south")
    there = to_hospital(SHORT_WAY, south)
    # by the north, on the lane beyond: the place is then on the right
    assert min(gap_m(there, SHORT_WAY), gap_m(there, south)) > 0.1
    assert points(there)[-1] == pytest.approx([161.5, 120.0], abs=2.0)
    north = works(100.0, 160.0, 110.0, 163.0, "north")
    world = closed(SHORT_WAY, south, north, world=HOSPITAL_TOWN)
    error = refused(scene(pose=START, v=4.0), Step("say", {"text": "行きます"}), GO, targets={1: HOSPITAL}, world=world)
    assert (error.reason, error.step, error.about) == ("keep_out", 1, "工事区間")


def test_a_refusal_names_the_closed_road_in_japanese() -> None:
    ahead = works(40.0, 80.2, 50.0, 83.0)
    error = refused(scene(pose=START, v=4.0), GO, targets={0: HOSPITAL}, world=closed(ahead, world=HOSPITAL_TOWN))
    decision, reason, code = NO_PROGRAM[error.reason]
    assert (decision, reason) == ("refuse", "not_permitted")
    assert failure(code, error.about) == "工事区間は立ち入り禁止なので、入れません。"


def test_a_place_straight_ahead_behind_a_closed_road_is_come_to_from_elsewhere() -> None:
    world = town(ObjectSpec("s", "convenience_store", (71.0, 40.0, 0.0)))
    start, shop = (78.5, -30.0, NORTH), place(world, "convenience_store")
    go = Step("stop_at", {"target": Target("コンビニ", place="convenience_store")})
    before = works(77.0, 18.0, 80.0, 26.0)
    short = made(scene(pose=start, v=4.0), go, targets={0: shop}, world=world)
    there = made(scene(pose=start, v=4.0), go, targets={0: shop}, world=closed(before, world=world))
    assert gap_m(short, before) < 0.0 < gap_m(there, before)
    assert points(there)[-1] == pytest.approx([81.5, 49.0], abs=0.3), "southbound, before it"


def test_a_place_on_a_closed_road_is_refused() -> None:
    at_it = works(155.0, 110.0, 165.0, 130.0)
    error = refused(scene(pose=START, v=4.0), GO, targets={0: HOSPITAL}, world=closed(at_it, world=HOSPITAL_TOWN))
    assert (error.reason, error.about) == ("keep_out", "工事区間")


def test_the_car_park_is_reached_round_a_closed_road_and_refused_where_there_is_no_other() -> None:
    park, start = Step("park", {"target": Target(place="slot_2")}), (78.5, -30.0, NORTH)
    targets = {0: place(STREET, "slot_2")}
    # the turn from the south into the road of the car park
    turn = next(lane for lane in STREET.road.lanes.values() if lane.crossing == "crossing_80_0" and lane.turn == "right"
                and np.allclose(lane.centre[0], [78.5, -9.0], atol=0.1))
    short = made(scene(pose=start, v=4.0), park, targets=targets)
    assert np.hypot(*(points(short) - turn.centre[len(turn.centre) // 2]).T).min() < 0.5
    middle = turn.centre[len(turn.centre) // 2]
    corner = works(middle[0] - 0.3, middle[1] - 0.3, middle[0] + 0.3, middle[1] + 0.3)
    there = made(scene(pose=start, v=4.0), park, targets=targets, world=closed(corner))
    assert gap_m(there, corner) > 0.1
    aisle = works(88.5, 0.2, 89.5, 2.8)
    error = refused(scene(pose=start, v=4.0), park, targets=targets, world=closed(aisle))
    assert (error.reason, error.about) == ("keep_out", "工事区間")


def test_a_turn_that_is_asked_for_into_a_closed_road_is_refused_and_one_before_it_is_made() -> None:
    where, into = scene(pose=(60.0, 81.5, EAST), v=4.0), works(77.0, 95.0, 80.0, 105.0)
    error = refused(where, Step("turn_at", {"direction": "left"}), Step("drive", {"distance_m": 30.0}), world=closed(into))
    assert (error.reason, error.about) == ("keep_out", "工事区間")
    beyond = Step("turn_at", {"direction": "right", "when": "before", "target": Target("病院", place="hospital")})
    target = {0: GroundedTarget("病院", 120.0, 92.0, "place", -math.pi / 2)}
    assert points(made(where, beyond, targets=target, world=closed(SHORT_WAY)))[-1][1] < 70.0


def test_a_car_that_goes_without_a_plan_stops_before_a_closed_road() -> None:
    where = scene(pose=(20.0, 81.5, EAST), v=5.0)
    program = keep_lane_program(where, CAR, closed(works(60.0, 80.2, 66.0, 83.0)))
    assert program.segments[-1].rests
    assert points(program)[-1][0] + CAR.front_m == pytest.approx(58.0, abs=0.7)
    assert keep_lane_program(where, CAR, closed(works(24.0, 80.2, 30.0, 83.0))) == keep_lane_program(where, CAR, STREET)


def test_a_car_that_stands_in_a_zone_may_leave_it() -> None:
    here = works(15.0, 80.2, 30.0, 83.0)
    assert points(to_hospital(here)) == pytest.approx(points(to_hospital()))


def test_a_lane_is_closed_where_the_footprint_would_reach_into_a_zone() -> None:
    found = closures_of(STREET.road, SiteRules((SHORT_WAY,)), CAR)
    lane = next(lane for lane in STREET.road.lanes.values() if np.allclose(lane.centre[0], [89.0, 81.5], atol=0.1)).id
    ((begin, end, zone),) = found.stretches[lane]
    assert zone is SHORT_WAY
    assert begin == pytest.approx(11.0 - CAR.front_m, abs=0.5)
    assert end == pytest.approx(21.0 + CAR.rear_m, abs=0.5)
    assert (found.on(lane, 0.0, begin - 0.1), found.on(lane, end + 0.1, 62.0), found.on(lane, 0.0, 62.0)) == (None, None, zone)
    assert set(found.stretches) == {lane}
    assert closures_of(STREET.road, SiteRules((SHORT_WAY,)), CAR) is found
    assert closures_of(STREET.road, SiteRules(), CAR) == OPEN


def test_ways_round_are_as_short_as_on_a_map_without_the_closed_lanes() -> None:
    lanes = [lane for lane in STREET.road.lanes.values() if lane.crossing is None and lane.following]
    rng = np.random.default_rng(3)
    ways = 0
    for _ in range(10):
        start, goal, *shut = (lanes[i] for i in rng.permutation(len(lanes))[:6])
        zones = []
        for lane in shut:
            x, y = lane.centre[len(lane.centre) // 2]
            zones.append(works(x - 0.6, y - 0.6, x + 0.6, y + 0.6, str(lane.id)))
        found = closures_of(STREET.road, SiteRules(tuple(zones)), CAR)
        without = replace(STREET.road, lanes={
            lane.id: replace(lane, following=()) if lane.id in found.stretches else lane for lane in STREET.road.lanes.values()})
        x, y, yaw = NETWORK.line(goal.id).at(20.0)
        place_xy = float(x - math.sin(yaw) * 5.0), float(y + math.cos(yaw) * 5.0)
        routes = []
        for network, closures in ((NETWORK, found), (Network(without), OPEN)):
            try:
                route = network.route_to(LanePosition(start.id, 0.0), *place_xy, closed=closures)
                routes.append((route.lane, round(route.along_m, 3)))
                assert found.along(route.way, 0.0, route.along_m) is None
            except RoadError as error:
                routes.append((error.reason, 0.0))
        assert routes[0] == routes[1]
        ways += routes[0][1] > 0.0
    assert ways > 4
