"""The car's runner: along its course within its limits, by the rules of the road, with N cars alike to one."""

import math

import numpy as np
import pytest
from town import (
    CAR,
    NORTH,
    STREET,
    TICK_S,
    aside_m,
    cyclist,
    drive,
    made,
    parked,
    scene,
    thing,
    vehicle,
    walker,
)

from jpai_agent.control import Program, ProgramRunner, RoadRunner, View, runner_for, view_from_scene
from jpai_agent.control.road.compile import keep_lane_program
from jpai_agent.control.road.routes import network_of
from jpai_agent.control.road.segments import Branch, FollowVehicle, RoadDrive
from jpai_agent.control.segments import segment_from_dict
from jpai_agent.plan import Step
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import LIGHT_STATES

START = (78.5, 12.0, NORTH)
LINE_Y = 71.0
HEAD = "light_80_80_south"
GREEN = {HEAD: "green"}
NETWORK = network_of(STREET.road)


def ahead(**args):
    return Step("drive", args)


def straight(distance_m=400.0):
    return ahead(distance_m=distance_m)


def front_y(run):
    return run.front()[:, 1]


def test_robots_get_the_runner_of_their_kind():
    assert isinstance(runner_for(Program((), (0, 0, 0)), CAR), RoadRunner)
    assert isinstance(runner_for(Program((), (0, 0, 0)), load_robot("cart")), ProgramRunner)


def test_segments_of_a_car_are_plain_json():
    drive_on = RoadDrive(1, 5.0, ((0.0, 0.0), (1.0, 0.5)), True, True, (("light", 1.0, 1.0, "a"),), True)
    branch = Branch(((0.0, 0.0), (1.0, 0.0)), (("end", 1.0, 1.0, "b"),))
    follow = FollowVehicle(0, 5.0, "m", 1.0, 2.0, 3.0, "target_turns", (branch,))
    program = Program((drive_on, follow), (0.0, 0.0, 0.0), crosswalks=(("w", 1.0, 2.0, 0.0, 1.5, 4.0),))
    assert [segment_from_dict(s.to_dict()) for s in program.segments] == [drive_on, follow]
    assert Program.from_dict(program.to_dict()) == program


def test_a_view_knows_boxes_that_move_and_lights():
    view = view_from_scene(scene(vehicle("v", (0, 0), (0, 9)), pose=START, lights={HEAD: "yellow"}))
    assert view.mover_boxes.tolist() == [[[NORTH, 2.1, 0.85]]]
    assert (view.light_ids, view.lights.tolist()) == ((HEAD,), [[LIGHT_STATES.index("yellow")]])


@pytest.mark.parametrize("seed", [None, 2])
def test_straight_on_at_29_kmh_it_keeps_to_its_lanes_middle(seed):
    start = scene(pose=(78.2, -30.0, NORTH + 0.03), v=7.0)
    run = drive(made(start, straight(), cruise_mps=8.33), start, 14, n=8, seed=seed, lights=lambda t: GREEN)
    assert np.percentile(np.abs(run.pose[60:, :, 0] - 78.5), 95) < 0.12
    assert 7.6 < run.v.max() <= 30 / 3.6


@pytest.mark.parametrize("seed", [None, 2])
@pytest.mark.parametrize("direction", ["left", "right"])
def test_turns_are_driven_in_their_lane_at_what_they_allow(direction, seed):
    start = scene(pose=(78.5, 40.0, NORTH), v=6.0)
    run = drive(made(start, Step("turn_at", {"direction": direction})), start, 16, n=8, seed=seed, lights=lambda t: GREEN)
    lane = NETWORK.ahead(NETWORK.locate(np.array([78.5, 40.0, NORTH])), [direction], 120.0)
    assert np.percentile(aside_m(run, lane.points), 95) < 0.2
    assert aside_m(run, lane.points).max() < 0.35
    assert np.abs(run.v * run.speed[..., 1]).max() < 2.1
    assert run.runner.succeeded.all()


def test_braking_and_setting_off_are_gentle():
    start = scene(pose=START, v=6.0)
    run = drive(made(start, straight()), start, 25, seed=1, n=4, lights=lambda t: {HEAD: "red" if t < 12 else "green"})
    assert run.acceleration.min() > -2.9 and run.acceleration.max() < 1.9


@pytest.mark.parametrize("state", ["red", "yellow", "unknown"])
def test_it_stops_close_before_the_line_unless_the_light_is_green(state):
    start = scene(pose=START, v=6.0)
    run = drive(made(start, straight()), start, 16, n=4, seed=3, lights=lambda t: {HEAD: state})
    assert ((run.pose[-1, :, 1] + CAR.front_m > LINE_Y - 1.1) & (run.pose[-1, :, 1] + CAR.front_m < LINE_Y - 0.2)).all()
    assert run.v[-1].max() < 0.01


def test_without_a_word_of_the_light_it_stops():
    start = scene(pose=START, v=6.0)
    run = drive(made(start, straight()), start, 14, lights=lambda t: {})
    assert front_y(run)[-1] < LINE_Y


def test_a_light_that_turns_yellow_is_passed_only_when_it_is_too_late_to_stop():
    for far, passes in ((6.0, True), (16.0, False)):
        start = scene(pose=(78.5, LINE_Y - CAR.front_m - far, NORTH), v=6.9)
        run = drive(made(start, straight()), start, 8, lights=lambda t: {HEAD: "yellow" if t < 3 else "red"})
        assert bool(front_y(run)[-1] > LINE_Y) is passes


def test_at_a_stop_sign_it_stands_and_then_goes_on():
    start = scene(pose=(50.0, 1.5, 0.0), v=6.0)
    run = drive(made(start, straight()), start, 14, n=4, seed=5)
    for car in range(4):
        _, seconds, pose = run.stopped(car)[0]
        assert seconds >= 1.2 and 0.2 < 71.0 - (pose[0] + CAR.front_m) < 1.5
    assert (run.pose[-1, :, 0] > 75).all()


def test_at_a_stop_sign_it_gives_way_to_cross_traffic():
    cars = [vehicle("a", (78.5, -30), (78.5, 70), speed=7.0), vehicle("b", (81.5, 55), (81.5, -90), speed=7.0)]
    start = scene(*cars, pose=(58.0, 1.5, 0.0), v=5.0)
    run = drive(made(start, straight()), start, 22, *cars, n=2, seed=5)
    assert min(run.mover_gap_m(0).min(), run.mover_gap_m(1).min()) > 1.5
    assert run.pose[-1, 0, 0] > 85


def test_turning_right_it_gives_way_to_oncoming_traffic():
    oncoming = vehicle("o", (81.5, 120), (81.5, 20), speed=7.0)
    start = scene(oncoming, pose=(78.5, 50.0, NORTH), v=6.0)
    run = drive(made(start, Step("turn_at", {"direction": "right"})), start, 20, oncoming, lights=lambda t: GREEN)
    met = np.argmax(run.movers[:, 0, 1] < 75)
    assert run.pose[met, 0, 0] < 79.5 and run.pose[-1, 0, 0] > 90


@pytest.mark.parametrize("y", [126.0, 134.0])
def test_turning_right_it_gives_way_to_who_comes_into_sight_only_when_it_has_set_out(y):
    oncoming = vehicle("o", (81.5, y), (81.5, -30), speed=7.0)
    start = scene(oncoming, pose=(78.5, 67.2, NORTH))
    run = drive(made(start, Step("turn_at", {"direction": "right"})), start, 15, oncoming, lights=lambda t: GREEN, sight_m=48.0)
    assert run.mover_gap_m().min() > 0.6 and run.pose[-1, 0, 0] > 90


@pytest.mark.parametrize("starts_s", [4.4, 5.5, 7.0])
def test_turning_right_on_a_fresh_green_it_lets_who_stands_opposite_go_first(starts_s):
    oncoming = vehicle("o", (81.5, 91.5), (81.5, 20), speed=6.5, start=starts_s)
    start = scene(oncoming, pose=(78.5, 58.0, NORTH), v=5.0)
    run = drive(made(start, Step("turn_at", {"direction": "right"})), start, 26, oncoming, n=2, seed=3,
                lights=lambda t: {HEAD: "red" if t < 4 else "green"})
    met = np.argmax(run.movers[:, 0, 1] < 76)
    assert (run.pose[met, :, 0] < 79.5).all() and run.mover_gap_m().min() > 0.8 and (run.pose[-1, :, 0] > 90).all()


def test_turning_right_it_does_not_wait_for_good_for_what_stands_opposite():
    broken_down = parked("o", 81.4, 92.0, NORTH)
    start = scene(broken_down, pose=(78.5, 58.0, NORTH), v=5.0)
    run = drive(made(start, Step("turn_at", {"direction": "right"})), start, 22,
                lights=lambda t: {HEAD: "red" if t < 4 else "green"})
    still_s = sum(seconds for _, seconds, _ in run.stopped())
    assert 4.0 < still_s < 9.0 and run.pose[-1, 0, 0] > 90


@pytest.mark.parametrize(("path", "begin"), [(((75, 73.5), (85.5, 73.5)), 2.0), (((85, 73.5), (74.5, 73.5)), 1.0)])
def test_it_waits_for_people_on_a_crosswalk_in_its_half_or_stepping_towards_it(path, begin):
    someone = walker("p", *path, speed=1.2, start=begin)
    start = scene(someone, pose=(78.5, 45.0, NORTH), v=6.0)
    run = drive(made(start, straight()), start, 22, someone, n=4, seed=4, lights=lambda t: GREEN)
    in_half = (run.movers[:, 0, 0] > 76) & (run.movers[:, 0, 0] < 80)
    front = run.pose[:, :, 1] + CAR.front_m
    assert (front[in_half] < 72.0).all()
    assert run.mover_gap_m().min() > 1.0 and (front[-1] > 80).all()


@pytest.mark.parametrize(("x", "slowly"), [(75.2, True), (72.5, False), (84.6, False)])
def test_it_comes_slowly_to_a_crosswalk_by_whose_kerb_on_its_side_somebody_stands(x, slowly):
    someone = walker("p", (x, 73.3), (90, 73.3), start=99.0)
    start = scene(someone, pose=(78.5, 40.0, NORTH), v=6.9)
    run = drive(made(start, straight()), start, 14, someone, lights=lambda t: GREEN)
    at_it = np.abs(front_y(run) - 72.0) < 0.6
    assert bool(run.v[at_it].max() < 2.6) is slowly and front_y(run)[-1] > 80 and run.acceleration.min() > -3.0


def test_turning_left_it_waits_for_people_on_the_crosswalk_of_the_exit():
    someone = walker("p", (73.5, 74.5), (73.5, 85), speed=1.2, start=4.5)
    start = scene(someone, pose=(78.5, 45.0, NORTH), v=6.0)
    run = drive(made(start, Step("turn_at", {"direction": "left"})), start, 25, someone, n=2, seed=4, lights=lambda t: GREEN)
    assert run.mover_gap_m().min() > 1.0 and run.runner.succeeded.all()


@pytest.mark.parametrize(("direction", "at"), [("left", (73.3, 75.2)), ("right", (86.6, 84.8))])
def test_turning_it_lets_who_stands_by_the_crosswalk_of_the_exit_go_first_and_goes_on_if_he_does_not(direction, at):
    someone = walker("p", at, (at[0], 80.0), speed=1.2, start=99.0)
    start = scene(someone, pose=(78.5, 52.0, NORTH), v=5.0)
    run = drive(made(start, Step("turn_at", {"direction": direction})), start, 24, someone, lights=lambda t: GREEN)
    assert 3.5 < sum(seconds for _, seconds, _ in run.stopped()) < 6.0 and run.runner.succeeded.all()


@pytest.mark.parametrize(("x", "slowly"), [(75.6, True), (73.5, False)])
def test_by_people_who_stand_at_the_kerb_it_drives_more_slowly(x, slowly):
    someone = walker("p", (x, 45.0), (90, 45.0), start=99.0)
    start = scene(someone, pose=START, v=6.9)
    run = drive(made(start, straight()), start, 9, someone, lights=lambda t: GREEN)
    beside = np.abs(front_y(run) - 45.2) < 0.5
    assert bool(run.v[beside].max() < 5.3) is slowly and run.acceleration.min() > -2.2


@pytest.mark.parametrize("begin", [1.0, 1.6, 2.2, 3.0])
def test_a_child_that_runs_into_the_road_is_not_touched(begin):
    child = walker("c", (74.0, 36), (83.5, 36), speed=1.8, start=begin)
    start = scene(child, pose=START, v=6.9)
    run = drive(made(start, straight()), start, 12, child, n=4, seed=6, lights=lambda t: GREEN)
    assert run.mover_gap_m().min() > 0.3 and (run.pose[-1, :, 1] > 36).all()


def test_it_stops_behind_a_lead_car_that_stops_dead():
    lead = vehicle("l", (78.5, 27), (78.5, 55), speed=7.0)
    start = scene(lead, pose=START, v=6.9)
    run = drive(made(start, straight()), start, 14, lead, n=8, seed=3, lights=lambda t: GREEN)
    assert run.mover_gap_m().min() > 1.8 and run.acceleration.min() > -5.0
    assert run.v[-1].max() < 0.05


def test_it_follows_a_slow_lead_car_at_its_speed_and_a_safe_gap():
    lead = vehicle("l", (78.5, 30), (78.5, 200), speed=4.0)
    start = scene(lead, pose=START, v=6.9)
    run = drive(made(start, straight()), start, 20, lead, n=4, seed=3, lights=lambda t: GREEN)
    gap = run.mover_gap_m()
    assert gap[-100:].min() > 4.0 and gap[-100:].max() < 14.0 and run.v[-100:].mean() == pytest.approx(4.0, abs=0.3)


def test_a_cyclist_is_followed_where_the_lane_has_no_room_to_pass():
    rider = cyclist("b", (77.8, 28), (77.8, 200), speed=3.5)
    start = scene(rider, pose=START, v=6.9)
    run = drive(made(start, straight()), start, 15, rider, lights=lambda t: GREEN)
    assert run.mover_gap_m().min() > 2.0 and (run.pose[..., 0] < 78.8).all()


def test_what_turns_up_in_the_lane_is_stopped_for_and_blocks_it_in_the_end():
    known, start = scene(pose=START, v=6.0), scene(parked("x", 78.4, 36.0, NORTH), pose=START, v=6.0)
    run = drive(made(known, straight()), start, 36, n=2, lights=lambda t: GREEN)
    gap = run.gap_m(start.obstacles[0])
    assert 1.8 < gap.min() < 3.2 and list(run.runner.failed) == ["blocked", "blocked"]


def test_in_the_oncoming_lane_it_passes_a_parked_car_when_that_is_free():
    truck = parked("p", 78.2, 45.0, NORTH)
    oncoming = vehicle("o", (81.5, 95), (81.5, -20), speed=7.0)
    for others in ((), (oncoming,)):
        start = scene(truck, *others, pose=START, v=6.0)
        run = drive(made(start, straight(50.0)), start, 25, *others, n=2, seed=2, lights=lambda t: GREEN)
        out = run.pose[:, 0, 0] + CAR.width_m / 2 > 80.0
        assert run.gap_m(truck).min() > 0.5 and run.runner.succeeded.all() and out.any()
        for index in np.flatnonzero(out):
            if others and run.movers[index, 0, 1] > run.front()[index, 1]:
                closing = run.v[index, 0] + 7.0
                assert run.movers[index, 0, 1] - 2.1 - run.front()[index, 1] > 2.0 * closing


def test_n_cars_do_what_one_does():
    lead = vehicle("l", (78.5, 30), (78.5, 60), speed=5.0)
    start = scene(lead, parked("p", 75.0, 40, NORTH), pose=START, v=5.0)
    program = made(start, straight())
    one, many = (drive(program, start, 12, lead, n=n, lights=lambda t: GREEN) for n in (1, 8))
    assert np.allclose(one.command, many.command, atol=1e-9)


def test_a_repeated_runner_goes_on_where_the_first_one_is():
    start = scene(pose=(50.0, 1.5, 0.0), v=6.0)
    program = made(start, straight())
    run = drive(program, start, 5.5)
    again = run.runner.repeated(3)
    pose = np.repeat(run.pose[-1], 3, axis=0)
    view = View(5.5, pose, np.zeros((3, 2)), np.empty((1, 0, 5)), np.empty((1, 0, 5)), ())
    commands = [runner.tick(view, TICK_S) for runner in (again, RoadRunner(program, CAR, 3))]
    assert np.allclose(commands[0].v_mps, commands[0].v_mps[0]) and again.step_of(2) == 0


def test_a_run_that_is_dropped_brakes_in_its_lane():
    start = scene(pose=(78.5, 40.0, NORTH), v=6.5)
    runner = RoadRunner(made(start, straight()), CAR)
    run = drive(made(start, straight()), start, 1.0, runner=runner, lights=lambda t: GREEN)
    pose, v = run.pose[-1].copy(), float(run.v[-1, 0])
    for _ in range(80):
        command = runner.brake(View(0.0, pose, np.array([[v, 0.0]]), np.empty((1, 0, 5)), np.empty((1, 0, 5)), ()), TICK_S)
        v = float(command.v_mps[0])
        pose = pose + np.array([0.0, v * TICK_S, 0.0])
    assert v == 0.0 and pose[0, 1] - run.pose[-1, 0, 1] < 6.5**2 / (2 * 2.2) + 2.0


def test_a_car_without_a_plan_keeps_its_lane_and_its_rules():
    start = scene(pose=(40.0, 1.5, 0.0), v=6.0)
    program = keep_lane_program(start, CAR, STREET)
    run = drive(program, start, 20)
    assert program.segments[0].carry_on and run.runner.carrying.all()
    assert run.stopped()[0][1] > 1.2 and run.pose[-1, 0, 0] > 90


def test_a_followed_vehicles_turn_is_taken():
    lead = vehicle("l", (78.5, 28), (78.5, 72), (76, 77.5), (72, 78.5), (20, 78.5), speed=5.0)
    start = scene(lead, pose=START, v=5.0)
    segments = made(start, Step("follow", {}), targets={0: thing(lead)}).segments
    assert isinstance(segments[0], FollowVehicle) and len(segments[0].branches) > 3
    run = drive(Program(segments, START, crosswalks=()), start, 26, lead, n=2, seed=1, lights=lambda t: GREEN)
    assert (run.pose[-1, :, 0] < 60).all() and np.abs(run.pose[-1, :, 1] - 78.5).max() < 0.3
    assert run.mover_gap_m().min() > 2.0


def test_following_until_it_turns_ends_straight_on():
    lead = vehicle("l", (78.5, 28), (78.5, 72), (76, 77.5), (72, 78.5), (20, 78.5), speed=5.0)
    start = scene(lead, pose=START, v=5.0)
    program = made(start, Step("follow", {"until": "target_turns"}), targets={0: thing(lead)})
    run = drive(program, start, 26, lead, lights=lambda t: GREEN)
    assert run.runner.succeeded.all() and run.pose[-1, 0, 1] > 90 and abs(run.pose[-1, 0, 0] - 78.5) < 0.2


def test_a_followed_vehicle_that_is_gone_is_lost():
    lead = vehicle("l", (78.5, 28), (78.5, 60))
    start = scene(lead, pose=START, v=5.0)
    program = made(start, Step("follow", {}), targets={0: thing(lead)})
    run = drive(program, start, 18, lights=lambda t: GREEN)
    assert list(run.runner.failed) == ["target_lost"] and run.v[-1, 0] < 0.1


def test_wheels_that_do_not_turn_are_given_up():
    start = scene(pose=START)
    runner = RoadRunner(made(start, straight()), CAR)
    for tick in range(160):
        still = View(tick * TICK_S, np.array([START]), np.zeros((1, 2)), np.empty((1, 0, 5)), np.empty((1, 0, 5)), ())
        runner.tick(still, TICK_S)
    assert list(runner.failed) == ["stuck"]


def test_commands_keep_within_what_the_car_can_steer():
    start = scene(pose=(78.5, 12.0, NORTH), v=5.0)
    run = drive(made(start, Step("u_turn", {})), start, 40, seed=4, n=4, lights=lambda t: GREEN)
    v, w = run.command[..., 0], run.command[..., 1]
    moving = np.abs(v) > 0.05
    most = CAR.ackermann.curvature_max_radpm
    assert np.abs(w[moving] / v[moving]).max() <= most + 1e-6
    assert np.abs(run.v * run.speed[..., 1]).max() < 2.1 and math.isfinite(float(w.sum()))
