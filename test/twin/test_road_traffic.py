"""The other road users of the rollouts: they keep their lanes, lights and distances, and sometimes do what nobody foresaw."""

import math
from itertools import pairwise

import numpy as np
import pytest
from street_drives import CAR, NETWORK, ROAD, cyclist, person, vehicle, with_config

from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.twin.road_futures import CYCLIST, PERSON, VEHICLE, draw_futures, kind_of
from jpai_agent.twin.road_signals import GREEN, RED, YELLOW, Signals
from jpai_agent.twin.road_traffic import Traffic
from jpai_agent.world.scene import SeenLight

CONFIG, TICK_S, FAR = load_road_rehearsal(), 0.05, np.array([-300.0, -300.0, 0.0])
CALM = with_config(with_config(CONFIG, "vehicles", stop_every_s=1e9), "people", stop_every_s=1e9, steps_out_probability=0.0)


def lights(seconds=60.0, rollouts=8, seen=(), seed=0) -> Signals:
    return Signals(ROAD, tuple(SeenLight(head, state, 0.0) for head, state in seen), CONFIG.lights, CONFIG.perception,
                   rollouts=rollouts, ticks=round(seconds / TICK_S) + 1, tick_s=TICK_S, rng=np.random.default_rng(seed))


def play(*movers, seconds=20.0, rollouts=8, config=CALM, seen=(), car=FAR, car_mps=0.0, seed=0):
    """States (T, N, M, 4), and the traffic at the end."""
    signals, rng = lights(seconds, rollouts, seen), np.random.default_rng(seed)
    delay_s = np.full(rollouts, 0.2)
    futures = draw_futures(movers, NETWORK, signals, config, rollouts=rollouts, tick_s=TICK_S, delay_s=delay_s, rng=rng)
    traffic = Traffic(movers, futures, signals, CAR, config, delay_s=delay_s, tick_s=TICK_S, rng=rng)
    states = []
    for tick in range(round(seconds / TICK_S)):
        at = car + np.array([car_mps * tick * TICK_S, 0.0, 0.0])
        poses, speed = np.tile(at, (rollouts, 1)), np.tile([car_mps, 0.0], (rollouts, 1))
        states.append(traffic.state())
        traffic.advance(tick, poses, speed)
    return np.array(states), traffic


def test_kinds_are_told_by_shape_and_speed():
    assert [kind_of(m) for m in (vehicle(0, 0, 0, 5), cyclist(0, 0, 0, 4), person(0, 0, 0, 1.3), person(0, 0, 0, 4.5))] == [
        VEHICLE, CYCLIST, PERSON, CYCLIST]


def test_they_begin_where_they_were_seen_less_the_delay_and_the_first_goes_on_as_it_was():
    states, traffic = play(vehicle(20, 81.5, 0, 6), person(30, 85.0, 0, 1.2), seconds=3.0)
    assert states[0, 0, :, :2] == pytest.approx(np.array([[20 + 6 * 0.2, 81.5], [30 + 1.2 * 0.2, 85.0]]), abs=0.05)
    assert states[-1, 0, 0, :2] == pytest.approx([20 + 6 * 3.15, 81.5], abs=0.3)
    assert np.unique(states[-1, :, 0, 0].round(3)).size == 8
    told, shape = traffic.told(np.tile([30.0, 81.5, 0.0], (8, 1)))
    # what is told is as old as the delay
    assert told[0, 0, 0] == pytest.approx(traffic.xy[0, 0, 0] - 6 * 0.2, abs=0.1)
    assert told[0, 0, 2:4] == pytest.approx([6.0, 0.0], abs=0.05)
    assert shape[0, 0] == pytest.approx([0.0, 2.1, 0.85], abs=0.05)


def test_who_is_beyond_sight_is_not_told():
    _, traffic = play(vehicle(20, 81.5, 0, 6), seconds=0.2)
    assert np.isnan(traffic.told(np.tile([150.0, 81.5, 0.0], (8, 1)))[0]).all()


def test_vehicles_keep_their_lanes_and_take_different_ways_at_crossings():
    states, _ = play(vehicle(100, 78.5, 180, 7), seconds=25.0, rollouts=24, seen=[("light_80_80_east", "green")])
    states = states[:, :, 0]
    assert np.abs(states[:20, :, 1] - 78.5).max() < 0.6
    ends = states[-1, :, :2]
    assert {bool(y > 95) for _, y in ends} == {True, False}
    assert (ends[:, 0] < 65).any()
    # the first one goes straight on
    assert states[-1, 0, 1] == pytest.approx(78.5, abs=0.1)


def test_vehicles_stop_at_red_and_go_at_green_a_little_later():
    config = with_config(CALM, "lights", red_left_s=(8.0, 8.0), green_s=(30.0, 30.0))
    signals = Signals(ROAD, (SeenLight("light_80_80_east", "red", 0.0),), config.lights, config.perception, rollouts=2,
                      ticks=601, tick_s=TICK_S, rng=np.random.default_rng(0))
    delay_s, rng = np.zeros(2), np.random.default_rng(0)
    movers = vehicle(120, 78.5, 180, 7), vehicle(130, 78.5, 180, 7, "second")
    futures = draw_futures(movers, NETWORK, signals, config, rollouts=2, tick_s=TICK_S, delay_s=delay_s, rng=rng)
    traffic = Traffic(movers, futures, signals, CAR, config, delay_s=delay_s, tick_s=TICK_S, rng=rng)
    fronts = []
    for tick in range(300):
        traffic.advance(tick, np.tile(FAR, (2, 1)), np.zeros((2, 2)))
        fronts.append(traffic.xy[:, 0, 0] - 2.1)
    fronts = np.array(fronts)
    # the line for traffic from the east lies at x 89
    assert (fronts[: round(8.4 / TICK_S)] > 89.0).all()
    assert (fronts[-1] < 89.0).all()
    assert (np.linalg.norm(traffic.xy[:, 1] - traffic.xy[:, 0], axis=-1) > 4.2).all()


def test_vehicles_stop_at_signs_and_give_way_to_a_car_that_comes():
    states, _ = play(vehicle(30, 1.5, 0, 7), seconds=12.0)
    front = states[:, :, 0, 0] + 2.1
    assert ((states[:, :, 0, 3] < 0.2) & (front < 71.0) & (front > 68.0)).any(axis=0).all()
    # a car from the south that is always 25 m before the crossing
    held, _ = play(vehicle(60, 1.5, 0, 5), seconds=12.0, car=np.array([78.5, -25.0, math.pi / 2]), car_mps=0.0)
    assert held[-1, 0, 0, 0] > 71.0, "a car that stands is not waited for"
    signals, rng, delay_s = lights(12.0, 2), np.random.default_rng(0), np.zeros(2)
    movers = (vehicle(60, 1.5, 0, 5),)
    futures = draw_futures(movers, NETWORK, signals, CALM, rollouts=2, tick_s=TICK_S, delay_s=delay_s, rng=rng)
    traffic = Traffic(movers, futures, signals, CAR, CALM, delay_s=delay_s, tick_s=TICK_S, rng=rng)
    for tick in range(200):
        traffic.advance(tick, np.tile([78.5, -25.0, math.pi / 2], (2, 1)), np.tile([5.0, 0.0], (2, 1)))
    assert (traffic.xy[:, 0, 0] + 2.1 < 71.5).all()


def test_who_comes_from_behind_keeps_off_the_car_and_who_comes_the_other_way_does_not():
    states, _ = play(vehicle(5, 81.5, 0, 7), seconds=10.0, car=np.array([30.0, 81.5, 0.0]))
    assert (states[-1, :, 0, 0] + 2.1 < 30.0 - CAR.rear_m - 1.0).all()
    states, _ = play(vehicle(45, 81.5, 180, 7), seconds=6.0, car=np.array([30.0, 81.5, 0.0]))
    assert (states[-1, :, 0, 0] < 25.0).any()


def test_some_who_drive_stop_dead_and_some_who_stand_drive_off_but_never_the_first():
    config = with_config(CONFIG, "vehicles", stop_every_s=8.0, start_probability=0.6, start_after_s=(0.5, 8.0))
    states, _ = play(vehicle(20, 81.5, 0, 6), vehicle(30, 78.5, 180, 0.0, "stands"), seconds=10.0, rollouts=24, config=config)
    pace = states[..., 3]
    stopped = (pace[:, :, 0] < 0.1).any(axis=0)
    assert 4 < stopped.sum() < 24 and not stopped[0]
    left = pace[-1, :, 1] > 1.0
    assert 6 < left.sum() < 22 and not left[0]
    hardest = -np.diff(pace[:, :, 0], axis=0).min() / TICK_S
    assert hardest == pytest.approx(CONFIG.vehicles.brake_hard_mps2, rel=0.05)


def test_cyclists_keep_beside_the_kerb_and_wander():
    states, _ = play(cyclist(20, 82.6, 0, 4.5), seconds=8.0, rollouts=24)
    aside = states[:, :, 0, 1] - 81.5
    assert aside.mean() == pytest.approx(1.1, abs=0.15)
    assert 0.05 < np.diff(np.quantile(aside, [0.16, 0.84])) / 2 < 0.5


def test_people_along_the_kerb_keep_to_it_but_for_some_and_others_walk_straight_on():
    calm, _ = play(person(20, 85.0, 5, 1.3), seconds=15.0, rollouts=24)
    assert calm[:, 1:, 0, 1].min() > 84.0
    restless = with_config(CALM, "people", steps_out_probability=0.5)
    some, _ = play(person(20, 85.0, 5, 1.3), seconds=15.0, rollouts=24, config=restless)
    assert 4 < (some[-1, :, 0, 1] < 83.0).sum() < 20
    across, _ = play(person(45, 84.0, -90, 1.4), seconds=4.0)
    assert across[-1, :, 0, 1] == pytest.approx(84.0 - 1.4 * 4.15, abs=1.5)


def test_who_stands_at_a_crosswalk_may_cross_while_the_cars_have_red():
    walker = person(73.5, 85.0)
    crossing = with_config(CALM, "people", cross_probability=1.0)
    states, traffic = play(walker, seconds=40.0, rollouts=16, config=crossing, seen=[("light_80_80_west", "green")])
    column = traffic._signals.ids.index("light_80_80_west")
    for n in range(1, 16):
        moving = np.flatnonzero(states[:, n, 0, 3] > 0.1)
        if len(moving):
            assert traffic._signals.states[moving[0] - 1, n, column] == RED
            assert states[-1, n, 0, 1] < 83.0
    assert (states[-1, 1:, 0, 1] < 78.0).any()
    assert states[-1, 0, 0, 1] == pytest.approx(85.0, abs=0.01)


def test_lights_go_on_from_what_was_seen_green_yellow_red_and_both_roads_never_have_green():
    signals = lights(rollouts=32, seen=[("light_80_80_west", "green")])
    west, north = (signals.states[:, :, signals.ids.index(f"light_80_80_{side}")] for side in ("west", "north"))
    assert (west[0] == GREEN).all() and (west[0, 0] == west[100, 0])
    assert not ((west == GREEN) & (north != RED)).any()
    for n in range(32):
        changes = np.flatnonzero(np.diff(west[:, n])) + 1
        order = [int(west[i, n]) for i in changes]
        follows = {int(GREEN): int(YELLOW), int(YELLOW): int(RED), int(RED): int(GREEN)}
        assert all(follows[a] == b for a, b in pairwise(order))
        spans = {a: (changes[i + 1] - changes[i]) * TICK_S for i, a in enumerate(order[:-1])}
        assert all(span >= 2.9 for span in spans.values())
        assert spans.get(int(GREEN), 9.0) >= 4.9
    assert len(np.unique((west == GREEN).sum(axis=0))) > 20


def test_lights_are_read_late_within_sight_and_unknown_beyond():
    signals = lights(rollouts=2, seen=[("light_80_80_west", "red")])
    column = signals.ids.index("light_80_80_west")
    near, far, turned = ([x, 81.5, yaw] for x, yaw in ((40.0, 0.0), (0.0, 0.0), (40.0, math.pi)))
    assert signals.told(0, np.array([near, near]))[0, column] == RED
    turn = int(np.argmax(signals.states[:, 0, column] == GREEN))
    assert signals.told(turn, np.array([near, near]))[0, column] == RED
    assert signals.told(turn + 20, np.array([near, near]))[0, column] == GREEN
    for _ in range(30):
        told = signals.told(turn + 20, np.array([far, turned]))
    assert (told[:, column] == 0).all()
