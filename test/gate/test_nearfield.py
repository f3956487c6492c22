"""The last obstacle stop: what is driven at and nearer than braking needs stops; what is beside, behind or old does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpai_agent.gate.nearfield import NearConfig, NearField, points_of_scan, stopping_m
from jpai_agent.world.robot import load_robot
from jpai_agent.world.sensors import LidarScan

CART, CAR = load_robot("cart"), load_robot("car")
CONFIG = NearConfig()


def seeing(robot, *points: tuple[float, float], echoes: int = CONFIG.echoes) -> NearField:
    near = NearField(robot)
    near.see("scan", np.array([p for p in points for _ in range(echoes)]).reshape(-1, 2), 0.0)
    return near


def test_what_is_ahead_stops_from_the_distance_that_braking_needs():
    need = stopping_m(0.8, CART.limits.emergency_brake_mps2, CONFIG)
    assert need == pytest.approx(0.8 * CONFIG.react_s + 0.64 / 5.0 + CONFIG.margin_m)
    assert seeing(CART, (CART.front_m + need - 0.01, 0.0)).blocked(0.8, 0.0, 0.8, 0.0)
    assert not seeing(CART, (CART.front_m + need + 0.01, 0.0)).blocked(0.8, 0.0, 0.8, 0.0)
    assert not seeing(CART, (CART.front_m + need - 0.01, 0.0)).blocked(0.4, 0.0, 0.4, 0.0)


def test_what_is_beside_or_behind_does_not_stop_and_backwards_the_rear_is_the_front():
    beside, behind = seeing(CART, (0.5, 0.3)), seeing(CART, (-0.5, 0.0))
    assert not beside.blocked(0.8, 0.0, 0.8, 0.0) and not behind.blocked(0.8, 0.0, 0.8, 0.0)
    assert behind.blocked(-0.4, 0.0, 0.4, 0.0)
    assert seeing(CAR, (-CAR.rear_m - 0.3, 0.0)).blocked(-1.0, 0.0, 1.0, 0.0)


def test_a_curve_is_looked_along():
    # on an arc to the left of radius 3 m, a quarter of a turn ahead
    near = seeing(CAR, (6.0, 6.0))
    assert near.clear_m(3.0, 0.5, 0.0) == pytest.approx(6.0 * math.pi / 2 - CAR.front_m, abs=0.01)
    assert near.clear_m(3.0, 0.0, 0.0) == math.inf and near.clear_m(3.0, -0.5, 0.0) == math.inf
    assert seeing(CAR, (6.0, -6.0)).clear_m(3.0, -0.5, 0.0) == pytest.approx(6.0 * math.pi / 2 - CAR.front_m, abs=0.01)
    assert seeing(CAR, (-6.0, 6.0)).clear_m(-3.0, -0.5, 0.0) == pytest.approx(6.0 * math.pi / 2 - CAR.rear_m, abs=0.01)


def test_a_stray_echo_and_an_old_one_stop_nothing():
    stray = seeing(CART, (0.5, 0.0), echoes=CONFIG.echoes - 1)
    assert not stray.blocked(0.8, 0.0, 0.8, 0.0)
    old = seeing(CART, (0.5, 0.0))
    assert old.blocked(0.8, 0.0, 0.8, CONFIG.old_s) and not old.blocked(0.8, 0.0, 0.8, CONFIG.old_s + 0.01)


def test_each_sensor_replaces_only_its_own_points():
    near = seeing(CART, (0.5, 0.0))
    near.see("depth", np.full((5, 2), np.nan), 0.0)
    assert near.blocked(0.8, 0.0, 0.8, 0.0)
    near.see("scan", np.empty((0, 2)), 0.0)
    assert not near.blocked(0.8, 0.0, 0.8, 0.0)


def test_beams_that_met_nothing_are_no_points():
    ranges = np.array([np.nan, np.inf, 0.0, 2.0])
    points = points_of_scan(LidarScan(0.0, ranges, -math.pi, math.pi / 2, 10.0), CART)
    assert points == pytest.approx(np.array([[0.0, 2.0]]), abs=1e-9)


@given(st.floats(0.01, 1.2), st.floats(0.0, 3.0), st.floats(-1.5, 1.5))
def test_who_is_stopped_at_a_speed_is_stopped_at_every_higher_one(v, gap, w):
    near = seeing(CART, (CART.front_m + gap, 0.0))
    if near.blocked(v, w, v, 0.0):
        assert near.blocked(v, w, v * 1.5, 0.0)


@given(st.floats(0.05, 11.0), st.floats(0.0, 0.05))
def test_braking_begins_early_enough_whenever_within_the_time_to_react(v, late_s):
    room = stopping_m(v, CAR.limits.emergency_brake_mps2, CONFIG)
    driven = v * (CONFIG.react_s - late_s) + v * v / (2 * CAR.limits.emergency_brake_mps2)
    assert driven < room
