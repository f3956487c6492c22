"""The reduced car: it drives circles and stops as a bicycle on tyres does, late and a little off, and slides if asked too much.
"""

import dataclasses
import math

import numpy as np
import pytest
from street_drives import CAR, TO_LIGHT, parked, scene

from jpai_agent.twin.gaps import box_to_box
from jpai_agent.twin.road_car import GRAVITY_MPS2, ROLLING, Cars, car_footprints, draw_car, nominal_car
from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.world.robot import load_robot

CONFIG, TICK_S = load_road_rehearsal(), 0.05


def one_car(v_mps=0.0, w_radps=0.0, **own):
    drawn = dataclasses.replace(nominal_car(CAR, CONFIG.car, np.zeros(3), 1), **{k: np.array([v]) for k, v in own.items()})
    return Cars(CAR, drawn, timestep_s=0.0125, tick_s=TICK_S, v_mps=v_mps, w_radps=w_radps)


def run(car, seconds, v, w=0.0):
    poses = []
    for _ in range(round(seconds / TICK_S)):
        car.advance(np.array([[v, w]]), np.ones(1, dtype=bool))
        poses.append(car.pose[0].copy())
    return np.array(poses)


def test_it_drives_the_circle_that_it_is_told_within_its_lock():
    car = one_car()
    poses = run(car, 20.0, 3.0, 0.5)[100:]
    assert car.speed[0] == pytest.approx([3.0 * ROLLING, 0.5 * ROLLING], rel=0.01)
    assert np.ptp(poses[:, 0]) == pytest.approx(12.0, abs=0.15)
    tightest = one_car()
    run(tightest, 10.0, 1.0, 1.0)
    assert tightest.speed[0, 1] / tightest.speed[0, 0] == pytest.approx(CAR.ackermann.curvature_max_radpm, rel=0.01)


def test_it_speeds_up_and_brakes_as_its_file_says():
    car = one_car()
    run(car, 1.5, 8.0)
    assert car.speed[0, 0] == pytest.approx(2.0 * 1.5, abs=0.35)
    fast = one_car(8.0)
    way = run(fast, 4.0, 0.0)[-1, 0]
    assert fast.speed[0, 0] == pytest.approx(0.0, abs=0.01)
    assert way == pytest.approx(8.0**2 / (2 * 6.0), abs=1.0)


def test_the_steering_takes_its_time():
    car = one_car(5.0)
    run(car, 0.3, 5.0, 0.8)
    angle = math.atan(CAR.ackermann.wheelbase_m * car.speed[0, 1] / car.speed[0, 0])
    assert 0.02 < angle < 0.6 * 0.3


def test_standing_still_it_keeps_its_wheels_as_they_are():
    car = one_car(3.0, 0.4)
    run(car, 2.0, 0.0, 0.0)
    run(car, 0.5, 1.0, 1.0 * 0.4 / 3.0)
    assert car.speed[0, 1] / car.speed[0, 0] == pytest.approx(0.4 / 3.0, rel=0.05)


def test_a_wet_road_lengthens_an_emergency_stop_and_widens_a_curve():
    slippery = 0.3
    ways = {mu: run(one_car(8.0, friction=mu), 6.0, 0.0)[-1, 0] for mu in (slippery, 0.9)}
    assert ways[slippery] - 8.0 * 0.15 == pytest.approx(8.0**2 / (2 * slippery * GRAVITY_MPS2), rel=0.1)
    assert ways[0.9] < 0.7 * ways[slippery]
    car = one_car(8.0, friction=slippery)
    run(car, 3.0, 8.0, 0.8)
    assert car.speed[0, 0] * car.speed[0, 1] <= slippery * GRAVITY_MPS2 * 1.01
    assert car.aside_mps2[0] > slippery * GRAVITY_MPS2


def test_late_drivers_act_later_and_all_differ_but_the_first():
    ways = [run(one_car(delay_s=delay_s), 1.0, 8.0)[-1, 0] for delay_s in (0.0, 0.2)]
    assert ways[0] - ways[1] > 0.1
    drawn = draw_car(scene(TO_LIGHT), CAR, CONFIG, rollouts=8, ticks=5, tick_s=TICK_S, rng=np.random.default_rng(0))
    assert drawn.start_poses[0] == pytest.approx(TO_LIGHT)
    for name in ("friction", "speed_gain", "steer_gain", "speed_lag_s", "delay_s", "understeer_s2pm2"):
        values = getattr(drawn, name)
        assert len(np.unique(values)) > 4, name
        assert values[0] == pytest.approx({"friction": 0.7, "speed_gain": 1.0, "steer_gain": 1.0, "speed_lag_s": 0.055,
                                           "delay_s": 0.03, "understeer_s2pm2": 0.0}[name])


def test_what_is_drawn_into_the_car_is_moved_out_of_it():
    near = dataclasses.replace(parked(TO_LIGHT[0] + CAR.front_m + 2.2, 81.5), sigma_m=0.5)
    drawn = draw_car(scene(TO_LIGHT, near), CAR, CONFIG, rollouts=32, ticks=5, tick_s=TICK_S, rng=np.random.default_rng(1))
    assert (box_to_box(car_footprints(drawn.start_poses, CAR)[:, None], drawn.boxes) > 0.0).all()
    with pytest.raises(ValueError, match="cart has no ackermann"):
        draw_car(scene(TO_LIGHT), load_robot("cart"), CONFIG, rollouts=2, ticks=5, tick_s=TICK_S, rng=np.random.default_rng(1))


def test_the_footprint_lies_ahead_of_the_rear_axle():
    assert car_footprints(np.array([1.0, 2.0, math.pi / 2]), CAR) == pytest.approx([1.0, 3.25, math.pi / 2, 1.7, 0.74])
