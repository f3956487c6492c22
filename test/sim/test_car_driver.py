"""The car's drive-by-wire: ramps, steering, delay, what it does in doubt, and its traction control."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.sim.driver import CarDriver, CarDriverParameters
from jpai_agent.world.robot import RobotSpec

DT_S = 0.01
PERFECT = CarDriverParameters(1.0, 1e-3, 1.0, 0.0, 0.6, 1e-3, 0.0)
LOCK_RAD = 0.6109


def make(car: RobotSpec, parameters: CarDriverParameters = PERFECT, v_mps: float = 0.0) -> CarDriver:
    assert car.ackermann is not None
    return CarDriver(car.limits, car.ackermann, parameters, v_mps)


def run(driver: CarDriver, seconds: float, command: tuple[float, float] | None, v_mps: float = 0.0,
        start_s: float = 0.0) -> np.ndarray:
    """(T, 2) speed and steering angle of a car that does what it is told, a command repeated at 20 Hz."""
    out = []
    for step in range(round(seconds / DT_S)):
        now_s = start_s + step * DT_S
        if command is not None and step % 5 == 0:
            driver.command(*command, now_s)
        v_mps, angle_rad = driver.step(now_s, DT_S, v_mps)
        out.append((v_mps, angle_rad))
    return np.array(out)


def test_speed_grows_at_two_and_shrinks_at_six_at_most(car: RobotSpec) -> None:
    driver = make(car)
    up = run(driver, 2.0, (9.0, 0.0))[:, 0]
    assert np.diff(up).max() / DT_S <= 2.001
    assert up[-1] == pytest.approx(4.0, abs=0.03)
    down = run(driver, 1.0, (0.0, 0.0), up[-1], 2.0)[:, 0]
    assert np.diff(down).min() / DT_S >= -6.001
    assert down[-1] == pytest.approx(0.0, abs=1e-3)


def test_a_turn_rate_becomes_the_bicycles_angle_at_the_steering_rate(car: RobotSpec) -> None:
    angle = run(make(car, v_mps=5.0), 2.0, (5.0, 0.5), 5.0)[:, 1]
    assert angle[-1] == pytest.approx(math.atan(2.45 * 0.5 / 5.0), abs=1e-3)
    assert np.diff(angle).max() / DT_S <= 0.6 * 1.001


def test_the_steering_stops_at_its_lock_and_knows_left_from_right_in_reverse(car: RobotSpec) -> None:
    assert run(make(car), 3.0, (1.0, 1.0))[-1, 1] == pytest.approx(LOCK_RAD)
    assert run(make(car), 3.0, (-1.0, 1.0))[-1, 1] == pytest.approx(-LOCK_RAD)


def test_below_a_centimetre_a_second_the_angle_commanded_last_is_kept(car: RobotSpec) -> None:
    driver = make(car, v_mps=5.0)
    before = run(driver, 1.0, (5.0, 0.5), 5.0)[-1]
    after = run(driver, 2.0, (0.0, 0.0), before[0], 1.0)
    assert after[-1] == pytest.approx([0.0, before[1]], abs=1e-3)
    # crawling speed steers at a standstill
    assert run(driver, 2.0, (0.02, -0.004), 0.0, 3.0)[-1, 1] == pytest.approx(-math.atan(2.45 * 0.2), abs=1e-3)


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (5.0, math.inf), (-math.inf, math.nan)])
def test_a_command_that_is_not_finite_is_refused_and_brakes_comfortably(car: RobotSpec, bad: tuple[float, float]) -> None:
    driver = make(car, v_mps=6.0)
    run(driver, 0.5, (6.0, 0.3), 6.0)
    driver.command(*bad, 0.5)
    assert driver.rejected == 1
    out = run(driver, 3.0, None, 6.0, 0.5)
    assert np.isfinite(out).all()
    assert np.diff(out[:, 0]).min() / DT_S == pytest.approx(-3.0, abs=0.01)
    assert out[-1, 0] == pytest.approx(0.0, abs=1e-3)


def test_silence_brakes_comfortably_after_half_a_second(car: RobotSpec) -> None:
    driver = make(car, v_mps=6.0)
    driver.command(6.0, 0.0, 0.0)
    speed = run(driver, 3.5, None, 6.0)[:, 0]
    assert speed[49] == pytest.approx(6.0, abs=0.01)
    assert np.diff(speed).min() / DT_S == pytest.approx(-3.0, abs=0.01)
    assert speed[-1] == pytest.approx(0.0, abs=1e-3)


def test_a_stop_after_silence_brakes_hard_again(car: RobotSpec) -> None:
    driver = make(car, v_mps=10.0)
    slowed = run(driver, 1.5, None, 10.0)[-1, 0]
    speed = run(driver, 0.5, (0.0, 0.0), slowed, 1.5)[:, 0]
    assert np.diff(speed).min() / DT_S == pytest.approx(-6.0, abs=0.01)


def test_commands_beyond_the_limits_are_cut(car: RobotSpec) -> None:
    assert run(make(car), 8.0, (99.0, 0.0))[-1, 0] == pytest.approx(11.111, abs=1e-2)
    assert run(make(car), 3.0, (-99.0, 0.0))[-1, 0] == pytest.approx(-1.389, abs=1e-2)


def test_wheels_that_lock_or_spin_are_held_near_the_cars_speed(car: RobotSpec) -> None:
    driver = make(car, v_mps=8.0)
    # on ice: the car goes on at 8 m/s whatever the wheels do
    driver.command(0.0, 0.0, 0.0)
    slow = [driver.step(k * DT_S, DT_S, 8.0)[0] for k in range(40)]
    assert min(slow) == pytest.approx(8.0 - 0.7)
    driver = make(car)
    driver.command(8.0, 0.0, 0.0)
    fast = [driver.step(k * DT_S, DT_S, 0.0)[0] for k in range(40)]
    assert max(fast) == pytest.approx(0.3)


def test_the_delay_holds_a_command_back(car: RobotSpec) -> None:
    out = run(make(car, CarDriverParameters(1.0, 1e-3, 1.0, 0.0, 0.6, 1e-3, 0.02)), 0.1, (5.0, 0.0))
    assert (out[:2, 0] == 0.0).all()
    assert out[3, 0] > 0.0


def test_cars_differ_within_their_ranges(car: RobotSpec) -> None:
    assert car.ackermann is not None
    drawn = [CarDriverParameters.draw(np.random.default_rng(seed), car.ackermann) for seed in range(50)]
    assert all(0.985 <= d.speed_gain <= 1.015 and 0.97 <= d.steer_gain <= 1.03 for d in drawn)
    assert all(0.03 <= d.speed_lag_s <= 0.05 and 0.0 <= d.delay_s <= 0.02 for d in drawn)
    assert all(0.54 <= d.steer_rate_radps <= 0.6 for d in drawn)
    assert len({d.steer_trim_rad for d in drawn}) == 50
