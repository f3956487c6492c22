"""The motor driver: ramps, lag, delay, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.sim.driver import DriverParameters, MotorDriver
from jpai_agent.world.robot import RobotSpec

DT_S = 0.01
PERFECT = DriverParameters((1.0, 1.0), 1e-3, 0.0)


def speeds(
    driver: MotorDriver, seconds: float, command: tuple[float, float] | None, start_s: float = 0.0
) -> np.ndarray:
    """(T, 2) wheel rim speeds in m/s while a command is repeated at 20 Hz."""
    out = []
    for step in range(round(seconds / DT_S)):
        now_s = start_s + step * DT_S
        if command is not None and step % 5 == 0:
            driver.command(*command, now_s)
        out.append(driver.step(now_s, DT_S) * 0.1)
    return np.array(out)


def make(cart: RobotSpec, parameters: DriverParameters = PERFECT, v_mps: float = 0.0) -> MotorDriver:
    return MotorDriver(cart.limits, parameters, 0.1, 0.43, v_mps)


def test_speeding_up_is_ramped_at_the_robots_acceleration(cart: RobotSpec) -> None:
    rim = speeds(make(cart), 1.0, (1.0, 0.0))
    assert rim[-1] == pytest.approx([0.8, 0.8], abs=0.02)
    assert np.diff(rim, axis=0).max() / DT_S <= 0.8 * 1.001


def test_a_sudden_stop_brakes_at_most_at_the_emergency_rate(cart: RobotSpec) -> None:
    rim = speeds(make(cart, v_mps=1.2), 1.0, (0.0, 0.0))
    assert np.diff(rim, axis=0).min() / DT_S >= -2.5 * 1.001
    assert rim[-1] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert rim[int(1.2 / 2.5 / DT_S) + 5] == pytest.approx([0.0, 0.0], abs=1e-2)


def test_reversing_brakes_to_a_stop_first_and_then_speeds_up_gently(cart: RobotSpec) -> None:
    rim = speeds(make(cart, v_mps=0.5), 0.6, (-0.4, 0.0))
    change = np.diff(rim[:, 0]) / DT_S
    assert change[rim[1:, 0] < -0.01].min() >= -0.8 * 1.001


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (0.5, math.inf), (-math.inf, math.nan)])
def test_a_command_that_is_not_finite_is_refused_and_stops_the_robot(cart: RobotSpec, bad: tuple[float, float]) -> None:
    driver = make(cart, v_mps=0.8)
    driver.command(*bad, 0.0)
    assert driver.rejected == 1
    rim = speeds(driver, 0.5, None)
    assert np.isfinite(rim).all()
    assert rim[-1] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_silence_stops_the_robot_after_half_a_second(cart: RobotSpec) -> None:
    driver = make(cart, v_mps=0.8)
    driver.command(0.8, 0.0, 0.0)
    rim = speeds(driver, 1.0, None)
    assert rim[45] == pytest.approx([0.8, 0.8], abs=1e-3)
    assert rim[-1] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_commands_beyond_the_limits_are_cut(cart: RobotSpec) -> None:
    rim = speeds(make(cart), 3.0, (9.0, 0.0))
    assert rim[-1] == pytest.approx([1.2, 1.2], abs=1e-3)
    rim = speeds(make(cart), 3.0, (-9.0, 0.0))
    assert rim[-1] == pytest.approx([-0.4, -0.4], abs=1e-3)


def test_turning_left_makes_the_right_wheel_faster(cart: RobotSpec) -> None:
    left, right = speeds(make(cart), 2.0, (0.0, 1.0))[-1]
    assert (right - left) / 0.43 == pytest.approx(1.0, abs=1e-3)


def test_the_delay_holds_a_command_back(cart: RobotSpec) -> None:
    driver = make(cart, DriverParameters((1.0, 1.0), 1e-3, 0.03))
    rim = speeds(driver, 0.1, (1.0, 0.0))
    assert rim[2] == pytest.approx([0.0, 0.0])
    assert rim[5][0] > 0.0


def test_drivers_differ_within_their_ranges() -> None:
    drawn = [DriverParameters.draw(np.random.default_rng(seed)) for seed in range(50)]
    assert all(0.985 <= g <= 1.015 for d in drawn for g in d.gain)
    assert all(0.04 <= d.lag_s <= 0.10 and 0.0 <= d.delay_s <= 0.03 for d in drawn)
    assert len({d.lag_s for d in drawn}) == 50
