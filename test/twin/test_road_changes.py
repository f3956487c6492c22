"""What voids a running car's verdict: what appears in its corridor and who comes into it unforeseen, not who keeps his lane."""

import math
from dataclasses import replace

import numpy as np
import pytest
from street_drives import CAR, NETWORK, ROAD, TO_LIGHT, cyclist, parked, person, scene, vehicle

from jpai_agent.twin.changes import needs_rehearsal
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.scene import Scene

PASSED = Verdict("v", "pass", 0.0, 32, 1.0, Binding("p", "q", "s", "r", "m", "t"))
WAY = NETWORK.ahead(NETWORK.locate(np.array(TO_LIGHT)), ["straight"], 80.0).points


def at(where: Scene, seconds: float) -> Scene:
    return Scene(where.id, where.stamp_s + seconds, where.robot, where.obstacles, where.movers, where.lights)


def changed(old: Scene, new: Scene, seconds=1.0, path=WAY):
    return needs_rehearsal(PASSED, old, at(new, seconds), path, half_width_m=CAR.width_m / 2, robot=CAR, road=ROAD)


def seen(*things, v_mps=6.0, light=None) -> Scene:
    return scene(TO_LIGHT, *things, v_mps=v_mps, light=light)


def test_without_a_passed_verdict_there_is_nothing_to_keep():
    assert needs_rehearsal(None, seen(), seen(), WAY, robot=CAR, road=ROAD)


def test_an_unchanged_street_and_other_lights_keep_the_verdict():
    things = parked(50, 83.5), vehicle(60, 78.5, 180, 6), person(40, 85.0)
    assert changed(seen(*things, light="green"), seen(*things, light="red"), 0.2) is None


def test_an_obstacle_in_the_corridor_does_not():
    assert "obstacle parked" in changed(seen(), seen(parked(42, 82.0)))


@pytest.mark.parametrize(("x", "y"), [(42, 86.0), (42, 75.0), (98, 81.5), (12, 81.5)])
def test_one_beside_behind_or_far_beyond_the_stop_keeps_it(x, y):
    assert changed(seen(), seen(parked(x, y))) is None


def test_the_faster_it_drives_the_farther_ahead_obstacles_count():
    assert changed(seen(), seen(parked(58, 81.5), v_mps=2.0)) is None
    assert changed(seen(), seen(parked(58, 81.5), v_mps=8.0))


def test_a_known_obstacle_seen_a_little_otherwise_keeps_it():
    assert changed(seen(parked(45, 83.0)), seen(parked(45.4, 83.2))) is None


@pytest.mark.parametrize("other", [vehicle(75, 78.5, 180, 7), vehicle(45, 81.5, 0, 6), cyclist(40, 82.8, 0, 4),
                                   person(45, 85.2, 0, 1.3), person(45, 85.2), vehicle(5, 81.5, 0, 7)])
def test_who_appears_and_keeps_his_lane_or_the_pavement_is_no_news(other):
    assert changed(seen(), seen(other)) is None


def test_who_appears_and_steps_into_the_way_is():
    assert "appeared" in changed(seen(), seen(person(35, 84.0, -90, 1.5)))
    assert "appeared" in changed(seen(), seen(vehicle(36, 76.0, 90, 3)))


def test_who_appears_ahead_too_near_and_slow_is():
    assert "appeared" in changed(seen(v_mps=8.0), seen(vehicle(30, 81.5, 0, 0.5), v_mps=8.0))


def test_a_known_walker_who_walks_on_is_foreseen_and_one_who_turns_into_the_road_is_not():
    before = person(38, 85.0, 0, 1.4)
    assert changed(seen(before), seen(person(39.4, 85.0, 0, 1.4))) is None
    assert "left its predicted set" in changed(seen(before), seen(person(38.0, 83.0, -90, 1.6)))


def test_a_vehicle_that_follows_its_lane_round_a_corner_is_foreseen():
    lane = next(lane for lane in ROAD.lanes.values() if lane.crossing == "crossing_80_80" and lane.turn == "left"
                and np.hypot(*(lane.centre[0] - [89.0, 78.5])) < 0.5)
    x, y, yaw = (float(v) for v in NETWORK.line(lane.id).at(6.0))
    before = vehicle(92.0, 78.5, 180, 5)
    after = vehicle(x, y, math.degrees(yaw), 4)
    assert changed(seen(before), seen(after), 2.0) is None


def test_an_oncoming_vehicle_that_leaves_its_lane_is_not():
    before, after = vehicle(60, 78.5, 180, 6), vehicle(48, 81.3, 160, 6)
    assert "left its predicted set" in changed(seen(before), seen(after), 2.0)


def test_a_parked_car_that_sets_out_is_news_where_it_comes_too_near_before_the_car():
    was = parked(36, 83.2, "parked")
    assert changed(seen(was), seen(vehicle(36, 83.2, 0, 0.0, "parked"))) is None
    assert changed(seen(was, v_mps=8.0), seen(vehicle(38.0, 82.0, -15, 1.0, "parked"), v_mps=8.0), 1.0) is None
    near = parked(30, 83.2, "parked")
    assert changed(seen(near, v_mps=8.0), seen(vehicle(32.0, 82.0, -15, 1.0, "parked"), v_mps=8.0), 1.0)


def test_who_passes_a_car_that_stays_where_it_is_is_no_news():
    assert changed(seen(v_mps=0.0), seen(person(22, 83.4, 0, 1.5), v_mps=0.0), path=np.empty((0, 2))) is None


def test_the_slot_that_it_is_to_park_in_counts_from_afar_and_its_neighbours_do_not():
    into_slot_2 = np.array([[78.5, -30.0], [78.5, 0.0], [92.0, 1.5], [100.0, 8.0], [100.0, 13.0]])
    start = (78.5, -30.0, math.pi / 2)
    known, late = replace(parked(96.0, 14.0), yaw_rad=math.pi / 2), replace(parked(100.5, 14.0, "late"), yaw_rad=math.pi / 2)
    taken = scene(start, known, late, v_mps=6.0)
    assert "slot_2" in changed(scene(start, known, v_mps=6.0), taken, path=into_slot_2)
    assert changed(scene(start, v_mps=6.0), scene(start, known, v_mps=6.0), path=into_slot_2) is None
    assert changed(taken, taken, path=into_slot_2) is None
