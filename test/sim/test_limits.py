"""Limits, on made-up speed curves and on what the simulated cart really does."""

from __future__ import annotations

import numpy as np
import pytest

from jpai_agent.sim.limits import speed_gain, violations
from jpai_agent.sim.robot import SimRobot
from jpai_agent.sim.trajectory import Recorder, Recording
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.robot import RobotSpec

DT_S = 0.05


def moving(forward: np.ndarray, turning: np.ndarray | None = None, **also: object) -> Recording:
    """A recording of forward speeds and turn rates at 20 Hz."""
    count = len(forward)
    velocities = np.column_stack([forward, np.zeros(count), np.zeros(count) if turning is None else turning])
    return Recording((), np.arange(count) * DT_S, np.zeros((count, 3)), velocities, np.zeros((count, 0, 3)), **also)  # type: ignore[arg-type]


def ramp(start: float, end: float, rate: float) -> np.ndarray:
    """Speeds from start to end at a rate in m/s², with half a second of standing at both."""
    steps = max(1, round(abs(end - start) / rate / DT_S))
    return np.concatenate([np.full(10, start), np.linspace(start, end, steps + 1), np.full(10, end)])


@pytest.mark.parametrize(
    ("forward", "names"),
    [
        (ramp(0, 1.25, 0.75), []),
        (ramp(0, 1.28, 0.75), ["forward_speed"]),
        (ramp(0, -0.44, 0.75), []),
        (ramp(0, -0.46, 0.75), ["reverse_speed"]),
        (ramp(0, 1.0, 0.82), []),
        (ramp(0, 1.0, 0.95), ["acceleration"]),
        (ramp(0, -0.4, 1.2), ["acceleration"]),
        (ramp(1.2, 0.0, 2.4), []),
        (ramp(1.2, 0.0, 3.0), ["braking"]),
    ],
)
def test_a_limit_is_broken_beyond_five_percent(forward: np.ndarray, names: list[str]) -> None:
    assert violations(moving(forward), "cart") == names


def test_turning_faster_than_allowed_is_named() -> None:
    assert violations(moving(np.zeros(20), np.full(20, -1.55)), "cart") == []
    assert violations(moving(np.zeros(20), np.full(20, -1.6)), "cart") == ["yaw_rate"]


@pytest.mark.parametrize(
    ("v", "w", "names"),
    [
        (11.1, 0.0, []),
        (11.8, 0.0, ["forward_speed"]),
        (-1.48, 0.0, ["reverse_speed"]),
        (8.0, 0.25, []),
        (8.0, -0.28, ["lateral_acceleration"]),
        (2.0, 0.57, []),
        (2.0, 0.63, ["steering"]),
        (0.3, 0.3, []),
    ],
)
def test_a_car_is_held_to_its_lateral_acceleration_and_to_its_lock(v: float, w: float, names: list[str]) -> None:
    assert violations(moving(np.full(40, v), np.full(40, w)), "car") == names


def test_a_car_may_brake_hard_and_speed_up_gently() -> None:
    assert violations(moving(np.concatenate([ramp(0, 8, 1.9), ramp(8, 0, 5.9)])), "car") == []
    assert violations(moving(ramp(0, 8, 2.3)), "car") == ["acceleration"]
    assert violations(moving(ramp(8, 0, 6.6)), "car") == ["braking"]


def test_the_jitter_of_a_physics_step_is_no_acceleration() -> None:
    shaking = np.full(100, 0.8) + 0.02 * np.random.default_rng(0).uniform(-1, 1, 100)
    assert violations(moving(shaking), "cart") == []


def test_a_blow_is_judged_as_a_contact_and_not_as_braking() -> None:
    crash = np.concatenate([np.full(30, 1.0), np.zeros(30)])
    assert violations(moving(crash), "cart") == ["braking"]
    assert violations(moving(crash, contacts=((1.5, frozenset({"a"})),)), "cart") == []


def test_a_robot_without_limits_is_an_error() -> None:
    with pytest.raises(KeyError, match="tank"):
        violations(moving(np.zeros(3)), "tank")
    assert len(speed_gain(moving(np.zeros(1)))) == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_cart_driven_at_its_limits_breaks_none_whatever_the_seed(
    cart: RobotSpec, renderer: SceneRenderer, seed: int
) -> None:
    robot = SimRobot(cart, "yard", robot_pose=(-10.0, 0.0, 0.0), seed=seed, renderer=renderer)
    recorder = Recorder((), (0.35, 0.25))
    for command in [(1.2, 0.0)] * 80 + [(0.0, 0.0)] * 30 + [(-0.4, 0.0)] * 30 + [(0.0, 1.5)] * 40 + [(0.6, -1.5)] * 40:
        robot.command(*command)
        robot.step(DT_S)
        recorder.add(robot.truth())
    assert violations(recorder.recording(), "cart") == []
