"""The car's running gear: it holds its lane, its circle and its place, brakes in the way that is stated, and never tips."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from car_on_plane import CarOnPlane

from jpai_agent.sim.car import wheel_controls
from jpai_agent.sim.driver import CarDriver
from jpai_agent.world.robot import RobotSpec

THIRTY = 30 / 3.6
# what wheels and steering add to the driver's lags, and the side slip in m/s per m/s² to the side, as measured
DRIVE_LAG_S, STEER_LAG_S, SIDE_SLIP_S = 0.020, 0.035, 0.012
# columns of the rows
X, Y, YAW, V, LEFT, W, HEIGHT, UP = range(1, 9)


def gained(rows: np.ndarray) -> np.ndarray:
    """Accelerations over every 0.25 s, as the judge takes them."""
    pace = np.abs(rows[:, V])
    return (pace[25:] - pace[:-25]) / 0.25


def town(time_s: float) -> tuple[float, float]:
    """20 s of driving: away, a left turn at 1.8 m/s² to the side, on, a tight right turn, on in small curves."""
    left_s = math.pi / 2 / 0.45
    if time_s < 6:
        return (6.9, 0.0) if time_s < 4 else (max(4.0, 6.9 - 2.5 * (time_s - 4)), 0.0)
    if time_s < 6 + left_s:
        return 4.0, 0.45
    if time_s < 15:
        return (6.9, 0.0) if time_s < 12.5 else (max(3.0, 6.9 - 2.5 * (time_s - 12.5)), 0.0)
    return (3.0, -0.55) if time_s < 17.5 else (5.0, 0.05 * math.sin(time_s))


def bicycle(car: RobotSpec, driver: CarDriver, command: Callable[[float], tuple[float, float]], seconds: float) -> np.ndarray:
    """(T, 3) x, y, yaw of a kinematic bicycle behind the same driver, with the lags and the side slip of the car's own body."""
    assert car.ackermann is not None
    x = y = yaw = v = angle_rad = 0.0
    rows = []
    for tick in range(round(seconds / 0.01)):
        if tick % 5 == 0:
            driver.command(*command(tick * 0.01), tick * 0.01)
        wanted_mps, wanted_rad = driver.step(tick * 0.01, 0.01, v)
        v += (1 - math.exp(-0.01 / DRIVE_LAG_S)) * (wanted_mps - v)
        angle_rad += (1 - math.exp(-0.01 / STEER_LAG_S)) * (wanted_rad - angle_rad)
        turn = v * math.tan(angle_rad) / car.ackermann.wheelbase_m
        left = -SIDE_SLIP_S * v * turn
        x += 0.01 * (v * math.cos(yaw) - left * math.sin(yaw))
        y += 0.01 * (v * math.sin(yaw) + left * math.cos(yaw))
        yaw += 0.01 * turn
        rows.append((x, y, yaw))
    return np.array(rows)


@pytest.mark.parametrize("load_kg", [0.0, 220.0])
def test_it_stands_still_without_sinking_or_shaking(car: RobotSpec, load_kg: float) -> None:
    rows = CarOnPlane(car, load_kg=load_kg).drive(3.0, (0.0, 0.0))
    assert np.abs(rows[100:, [V, LEFT, W]]).max() < 1e-3
    assert np.ptp(rows[100:, HEIGHT]) < 1e-3
    assert abs(rows[-1, HEIGHT]) < 0.03
    assert np.hypot(*rows[-1, [X, Y]]) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_it_goes_straight_at_30_km_h_when_held_to_a_line(car: RobotSpec, seed: int) -> None:
    plane = CarOnPlane(car, seed=seed, v_mps=THIRTY)

    def held(_: float) -> tuple[float, float]:
        row = plane.now
        return THIRTY, -0.8 * row[YAW] - 0.15 * row[Y]

    rows = plane.drive(6.0, held)
    assert np.abs(rows[:, Y]).max() < 0.15
    assert rows[-1, V] == pytest.approx(THIRTY, rel=0.02)


@pytest.mark.parametrize("friction", [0.9, 0.5])
@pytest.mark.parametrize("v_mps", [2.5, 5.0, 11.0])
def test_it_holds_a_circle_at_two_metres_per_second_squared(car: RobotSpec, v_mps: float, friction: float) -> None:
    plane = CarOnPlane(car, v_mps=v_mps, friction=friction)
    turn = min(2.0 / v_mps, 0.25 * v_mps)
    rows = plane.drive(6.0, (v_mps, turn))
    driver = plane.gear.physics.driver
    angle_rad = driver.steer_gain * math.atan(2.45 * turn / v_mps) + driver.steer_trim_rad
    assert rows[-1, W] / rows[-1, V] == pytest.approx(math.tan(angle_rad) / 2.45, rel=0.01)
    # hardly any side slip or roll
    assert abs(rows[-1, LEFT] / rows[-1, V]) < math.radians(0.6)
    assert math.degrees(math.acos(rows[:, UP].min())) < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_a_kinematic_bicycle_with_its_lags_follows_it_through_20_s_of_town(car: RobotSpec, seed: int) -> None:
    """What a reduced model may rely on: ≤ 0.3 m apart all the way, behind the same driver."""
    plane = CarOnPlane(car, seed=seed)
    rows = plane.drive(20.0, town)
    assert car.ackermann is not None
    model = bicycle(car, CarDriver(car.limits, car.ackermann, plane.gear.physics.driver), town, 20.0)
    assert np.hypot(*(model[:, :2] - rows[:, [X, Y]]).T).max() < 0.3
    assert np.abs(model[:, 2] - rows[:, YAW]).max() < math.radians(2.0)


@pytest.mark.parametrize("seed", range(6))
def test_an_emergency_stop_from_30_km_h_on_a_dry_road_takes_less_than_a_metre_more_than_the_brakes_need(
    car: RobotSpec, seed: int
) -> None:
    plane = CarOnPlane(car, seed=seed, v_mps=THIRTY)
    before = plane.drive(1.0, (THIRTY, 0.0))[-1]
    rows = plane.drive(3.0, (0.0, 0.0))
    assert rows[-1, X] - before[X] - before[V] ** 2 / (2 * 6.0) < 1.0
    assert gained(rows).min() > -6.3
    # it stops and stays, without swinging back
    assert rows[:, V].min() > -0.05
    assert np.abs(rows[-100:, V]).max() < 1e-3


def test_a_wet_road_makes_the_stop_longer_but_not_crooked(car: RobotSpec) -> None:
    plane = CarOnPlane(car, seed=1, v_mps=THIRTY, friction=0.5)
    start = plane.drive(1.0, (THIRTY, 0.3))[-1]
    rows = plane.drive(3.0, (0.0, 0.0))
    assert 0.8 < np.hypot(*(rows[-1, [X, Y]] - start[[X, Y]])) - start[V] ** 2 / 12.0 < 2.3
    # the wheels keep turning, so that it stays on its curve
    turned = rows[-1, YAW] - start[YAW]
    way = np.hypot(*np.diff(rows[:, [X, Y]], axis=0).T).sum()
    assert turned / way == pytest.approx(start[W] / start[V], rel=0.15)


def test_it_speeds_up_at_no_more_than_two_and_reaches_40_km_h(car: RobotSpec) -> None:
    rows = CarOnPlane(car, seed=2).drive(8.0, (20.0, 0.0))
    assert gained(rows).max() < 2.1
    assert rows[-1, V] == pytest.approx(40 / 3.6, rel=0.02)


def test_silence_brakes_comfortably_and_keeps_the_curve(car: RobotSpec) -> None:
    plane = CarOnPlane(car, v_mps=6.0)
    before = plane.drive(3.0, (6.0, 0.3))[-1]
    rows = plane.drive(4.0, None)
    assert gained(rows).min() == pytest.approx(-3.0, abs=0.15)
    assert abs(rows[-1, V]) < 1e-3
    moving = rows[rows[:, V] > 1.0]
    assert moving[:, W] / moving[:, V] == pytest.approx(before[W] / before[V], abs=0.003)


def test_full_lock_turns_on_a_radius_of_three_and_a_half_metres_both_ways(car: RobotSpec) -> None:
    for v_mps in (1.0, -1.0):
        plane = CarOnPlane(car)
        row = plane.drive(8.0, (v_mps, v_mps * 0.5))[-1]
        assert row[V] / row[W] == pytest.approx(2.45 / math.tan(0.6109), rel=0.01)


def test_three_points_turn_it_round_in_eight_and_a_half_metres(car: RobotSpec) -> None:
    plane = CarOnPlane(car)
    assert car.ackermann is not None
    # steered at a crawl before each stretch; a right-hand turn from the left kerb of a road with left-hand traffic
    for v_mps, until_rad in ((1.5, -1.25), (-1.0, -2.1), (1.5, -3.1)):
        side = -1.0 if v_mps > 0 else 1.0
        plane.drive(2.2, (math.copysign(0.02, v_mps), side * 0.02 * 0.3))
        while plane.now[YAW] % -math.tau > until_rad:
            plane.drive(0.1, (v_mps, side * abs(v_mps) * 0.3))
        plane.drive(1.0, (0.0, 0.0))
    rows = plane.rows
    corners = np.concatenate([rows[:, [Y]] + np.sin(rows[:, [YAW]]) * along + np.cos(rows[:, [YAW]]) * side
                              for along in (car.front_m, -car.rear_m) for side in (car.width_m / 2, -car.width_m / 2)])
    assert np.ptp(corners) < 8.5


def test_it_reverses_at_five_km_h(car: RobotSpec) -> None:
    rows = CarOnPlane(car).drive(5.0, (-9.0, 0.0))
    assert rows[-1, V] == pytest.approx(-5 / 3.6, rel=0.02)


def test_no_swerve_at_top_speed_tips_it(car: RobotSpec) -> None:
    plane = CarOnPlane(car, v_mps=11.0, friction=1.0, load_kg=220.0)
    plane.drive(1.0, (11.0, 1.0))
    plane.drive(1.5, (11.0, -1.0))
    plane.drive(3.0, (0.0, 0.0))
    assert math.degrees(math.acos(plane.rows[:, UP].min())) < 8.0


def test_all_wheels_roll_about_one_point() -> None:
    left, right, rl, rr, fl, fr = wheel_controls(2.0, math.radians(30.0), 2.45)
    radius = 2.45 / math.tan(math.radians(30.0))
    assert 2.45 / math.tan(left) + 0.64 == pytest.approx(radius)
    assert 2.45 / math.tan(right) - 0.64 == pytest.approx(radius)
    assert (rl + rr) / 2 * 0.28 == pytest.approx(2.0)
    assert fl / rl == pytest.approx(1 / math.cos(left))
    assert fr / rr == pytest.approx(1 / math.cos(right))
