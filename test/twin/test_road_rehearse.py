"""Rehearsal of a car: what is safe among others passes, what breaks a rule of the road fails with its name."""

import dataclasses
import json
import math

import numpy as np
import pytest
from street_drives import (
    BINDING,
    CAR,
    ROAD,
    STREET,
    TO_LIGHT,
    TO_SIGN,
    around,
    cyclist,
    drive,
    parked,
    person,
    scene,
    vehicle,
    verdict_on,
    with_config,
)

from jpai_agent.control import Program, ProgramRunner, RoadRunner
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.control.segments import Wait
from jpai_agent.twin.bench import bench_rehearsal
from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.road_bench import minute_drive
from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot

CONFIG = load_road_rehearsal()


def test_a_clear_drive_over_a_stop_sign_passes_with_its_figures():
    verdict = verdict_on(drive(TO_SIGN, 62.0), scene(TO_SIGN, v_mps=5.0))
    assert verdict.passed
    assert (verdict.reason, verdict.violations, verdict.failed_step, verdict.under_way) == ("", {}, None, 0.0)
    assert verdict.paths[0][-1][:2] == pytest.approx([82.0, 1.5], abs=0.3)
    assert verdict.peak_speed_mps == pytest.approx(6.9, abs=0.3)
    assert math.isinf(verdict.min_ttc_s)


@pytest.mark.parametrize("turn", ["left", "straight", "right"])
def test_a_turn_at_the_lights_passes_among_others_on_their_ways(turn):
    others = (vehicle(110, 78.5, 180, 6), cyclist(40, 82.7, 0, 4), person(50, 84.9, 0, 1.2), vehicle(8, 81.5, 0, 7, "behind"))
    verdict = verdict_on(drive(TO_LIGHT, 75.0, [turn]), scene(TO_LIGHT, *others, v_mps=5.0, light="green"))
    assert verdict.pass_rate >= 0.9, verdict.violations


def test_the_same_inputs_give_the_same_verdict_and_another_seed_another():
    where, what = scene(TO_LIGHT, vehicle(45, 81.5, 0, 5), v_mps=6.0, light="red"), drive(TO_LIGHT, 70.0)
    short = with_config(CONFIG, "horizon", longest_s=8.0)
    first, same, other = (verdict_on(what, where, rollouts=4, seed=seed, config=short) for seed in (3, 3, 4))
    assert dataclasses.replace(first, id="", wall_s=0.0) == dataclasses.replace(same, id="", wall_s=0.0)
    assert first.paths != other.paths
    assert json.loads(json.dumps(first.to_dict()))["rollouts"] == 4


def test_who_does_not_look_at_a_red_light_fails_for_it():
    where = scene(TO_LIGHT, v_mps=6.0, light="red")
    assert verdict_on(drive(TO_LIGHT, 90.0), where, rollouts=6).passed
    verdict = verdict_on(drive(TO_LIGHT, 90.0, rules=False), where)
    assert (verdict.status, verdict.reason, verdict.failed_step) == ("fail", "red_light", 0)


def test_who_does_not_stop_at_a_sign_fails_for_it():
    verdict = verdict_on(drive(TO_SIGN, 60.0, rules=False), scene(TO_SIGN, v_mps=6.0))
    assert (verdict.reason, verdict.pass_rate, verdict.violations) == ("stop_sign", 0.0, {"stop_sign": 12})


def test_a_car_that_waits_at_a_light_when_the_time_is_over_has_passed_and_is_told_of():
    config = with_config(with_config(CONFIG, "lights", red_left_s=(60.0, 90.0)), "horizon", longest_s=20.0)
    verdict = verdict_on(drive(TO_LIGHT, 90.0), scene(TO_LIGHT, v_mps=6.0, light="red"), rollouts=4, config=config)
    assert verdict.passed
    assert verdict.under_way == 1.0
    assert verdict.paths[0][-1][0] < 71.0


def test_a_child_that_crosses_is_let_pass_and_one_that_jumps_out_before_the_car_is_hit():
    what = drive(TO_SIGN, 35.0)
    assert verdict_on(what, scene(TO_SIGN, person(45, 4.5, -90, 1.5), v_mps=6.0)).passed
    verdict = verdict_on(what, scene(TO_SIGN, person(28, 3.6, -90, 2.0), v_mps=6.9))
    assert (verdict.status, verdict.reason) == ("fail", "collision")
    assert verdict.min_ttc_s < 1.0
    assert verdict.min_clearance_m < 0.0


def test_a_lead_car_that_brakes_hard_is_not_hit():
    config = with_config(CONFIG, "vehicles", stop_every_s=6.0)
    where = scene(TO_LIGHT, vehicle(42, 81.5, 0, 6.5), v_mps=6.9)
    verdict = verdict_on(drive(TO_LIGHT, 42.0), where, rollouts=16, config=config)
    assert verdict.passed, verdict.violations
    assert verdict.min_ttc_s < 3.0


def test_a_drive_that_sets_out_too_near_behind_another_is_a_near_miss():
    where = scene(TO_LIGHT, vehicle(29.5, 81.5, 0, 1.0), v_mps=8.0)
    verdict = verdict_on(drive(TO_LIGHT, 42.0), where, rollouts=8)
    assert verdict.reason in ("near_miss", "collision")
    assert verdict.min_ttc_s < 1.0


def test_passing_a_parked_car_passes_while_the_oncoming_lane_is_free_and_fails_into_who_comes():
    stands = parked(42, 81.3)
    assert verdict_on(around(TO_LIGHT, 42), scene(TO_LIGHT, stands, v_mps=4.0)).passed
    comes = scene(TO_LIGHT, stands, vehicle(72, 78.5, 180, 6), v_mps=5.0)
    verdict = verdict_on(around(TO_LIGHT, 42, rules=False), comes)
    assert (verdict.status, verdict.reason) == ("fail", "centre_line")
    assert verdict.violations["collision"] > 6


def test_driving_over_the_centre_line_for_nothing_fails():
    verdict = verdict_on(around(TO_LIGHT, 42), scene(TO_LIGHT, v_mps=4.0), rollouts=4)
    assert (verdict.reason, verdict.pass_rate) == ("centre_line", 0.0)


def test_a_car_park_is_no_way_off_the_road():
    start, aisle = (92.8, 1.5, 0.0), 6.0
    along = [0.5 * k for k in range(81)]
    points = tuple((start[0] + x, 1.5 + (aisle - 1.5) * min(max((x - 4.0) / 14.0, 0.0), 1.0)) for x in along)
    into, beyond = (dataclasses.replace(drive(start, 20.0, rules=False), segments=(RoadDrive(0, 4.0, points[:n], rests=True),))
                    for n in (41, 81))
    assert verdict_on(into, scene(start, v_mps=3.0), rollouts=4).passed
    verdict = verdict_on(beyond, scene(start, v_mps=3.0), rollouts=4)
    assert (verdict.reason, verdict.violations["off_road"]) == ("off_road", 4)


def test_a_blocked_lane_fails_as_blocked():
    wall = dataclasses.replace(parked(50, 81.5, "barrier"), half_x_m=0.3, half_y_m=1.4)
    verdict = verdict_on(drive(TO_LIGHT, 40.0), scene(TO_LIGHT, wall, v_mps=5.0), rollouts=4)
    assert (verdict.status, verdict.reason) == ("fail", "blocked")


def test_on_a_wet_road_a_late_stop_fails_that_a_dry_one_allows():
    what, where = drive(TO_SIGN, 25.0), scene(TO_SIGN, person(33.0, 1.5), v_mps=7.5)
    by_road = {}
    for name, friction in (("dry", (0.85, 0.9)), ("wet", (0.2, 0.25))):
        verdict = verdict_on(what, where, config=with_config(CONFIG, "car", friction=friction))
        by_road[name] = verdict.violations.get("collision", 0)
    assert by_road["dry"] == 0
    assert by_road["wet"] > 6


def test_a_curve_taken_faster_than_the_tyres_hold_is_a_slide():
    config = with_config(CONFIG, "judge", slide_mps2=1.2)
    verdict = verdict_on(drive(TO_LIGHT, 75.0, ["left"]), scene(TO_LIGHT, light="green"), rollouts=2, config=config)
    assert verdict.reason == "slide"


def test_the_rest_of_a_program_is_rehearsed_from_where_its_runner_is():
    what, later = drive(TO_SIGN, 62.0), (67.3, 1.5, 0.0)
    runner = RoadRunner(what, CAR, 1)
    runner._along[:], runner._fresh[:] = 47.3, False
    verdict = verdict_on(what, scene(later), rollouts=4, progress=runner)
    assert verdict.passed
    assert verdict.paths[0][0][0] == pytest.approx(67.3, abs=0.2)
    assert verdict.paths[0][-1][0] == pytest.approx(82.0, abs=0.3)


def test_a_car_that_carries_on_is_rehearsed_a_little_beyond_its_plan():
    what = drive(TO_LIGHT, 25.0, rests=False)
    onward = dataclasses.replace(drive((45.0, 81.5, 0.0), 60.0).segments[0], step=1, carry_on=True)
    verdict = verdict_on(dataclasses.replace(what, segments=(*what.segments, onward)), scene(TO_LIGHT, v_mps=6.0), rollouts=4)
    assert verdict.passed
    assert 68.0 < verdict.paths[0][-1][0] < 75.0


def test_long_waits_are_rehearsed_in_part_and_counted_in_full():
    what = Program((Wait(0, 6.9, 300.0),), TO_SIGN)
    verdict = verdict_on(what, scene(TO_SIGN), rollouts=2)
    assert verdict.passed
    assert verdict.duration_s == pytest.approx(300.0, abs=2.0)


def test_a_car_in_motion_carries_on_for_the_lead():
    verdict = verdict_on(Program((Wait(0, 6.9, 0.5),), TO_SIGN), scene(TO_SIGN, v_mps=6.0), rollouts=2, lead_s=0.5)
    assert verdict.paths[0][-1][0] > 25.0


def test_an_empty_program_passes_at_once():
    assert verdict_on(Program((), TO_SIGN), scene(TO_SIGN), rollouts=2).passed


def test_what_belongs_to_the_other_kind_of_robot_is_refused_by_name():
    what, where, yard = drive(TO_SIGN, 20.0), scene(TO_SIGN), load_map("yard")
    with pytest.raises(ValueError, match="yard has no roads"):
        rehearse(what, where, CAR, yard, BINDING)
    with pytest.raises(TypeError, match="RoadRehearsalConfig"):
        rehearse(what, where, CAR, STREET, BINDING, config=load_rehearsal())
    with pytest.raises(TypeError, match="RoadRunner"):
        rehearse(what, where, CAR, STREET, BINDING, progress=ProgramRunner(Program((), TO_SIGN), load_robot("cart")))
    with pytest.raises(TypeError, match="cart"):
        rehearse(Program((), TO_SIGN), where, load_robot("cart"), yard, BINDING, config=CONFIG)


def test_lanes_in_all_directions_can_be_driven():
    lanes = [lane for lane in ROAD.lanes.values() if lane.crossing is None]
    for lane in lanes[::4]:
        (x0, y0), (x1, y1) = lane.centre[[0, 1]]
        start = float(x0), float(y0), math.atan2(y1 - y0, x1 - x0)
        assert verdict_on(drive(start, 12.0), scene(start, v_mps=4.0), rollouts=2).passed, lane.id


def test_the_bench_rehearses_minutes_among_a_dozen_others():
    figures = bench_rehearsal(1, robot="car", rollouts=2)
    assert (figures["n"], figures["simulated_s"]["p50"]) == (1, 60.0)
    assert figures["wall_ms"]["p95"] >= figures["wall_ms"]["p50"] > 0
    what, where = minute_drive(np.random.default_rng(0), CAR, STREET)
    assert what.duration_s(CAR) >= 60.0
    assert (len(where.movers), len(where.obstacles)) == (12, 8)
    with pytest.raises(ValueError, match="unknown robot 'boat'"):
        bench_rehearsal(1, robot="boat")
