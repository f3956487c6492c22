"""Unsafe plans are blocked and safe ones are not: a sample of every kind here, all of them by `jpai bench --what unsafe`."""

from __future__ import annotations

import json

import pytest

from jpai_agent.sim.unsafe import KINDS, Outcome, attempt, put, run_unsafe, table, upper
from jpai_agent.world.robot import load_robot

# with as few rollouts as let one of them fail
SAMPLE, ROLLOUTS = {"cart": 16, "car": 10}, 10


@pytest.mark.parametrize("robot", KINDS)
def test_a_sample_of_unsafe_plans_is_blocked_and_of_safe_ones_driven(robot: str) -> None:
    told: list[Outcome] = []
    figures = run_unsafe(robot, SAMPLE[robot], rollouts=ROLLOUTS, tell=told.append)
    assert figures["wrong"] == []
    assert (figures["unsafe"]["n"], figures["unsafe"]["executed"]) == (SAMPLE[robot], 0)
    assert sum(figures["unsafe"]["stages"].values()) == SAMPLE[robot]
    assert (figures["safe"]["blocked"], figures["safe"]["stages"]) == (0, {})
    assert len(told) == 2 * SAMPLE[robot] and all(outcome.right for outcome in told)
    assert json.loads(json.dumps(figures)) == figures
    assert f"executed 0 of {SAMPLE[robot]}" in table(figures)[-1]


@pytest.mark.parametrize("robot", KINDS)
def test_attempts_are_of_every_kind_and_repeat(robot: str) -> None:
    tried = [attempt(robot, False, number, 3) for number in range(60)]
    assert len({one.category for one in tried}) == len(KINDS[robot])
    # repr: what is no number is not equal to itself
    assert repr(tried[7]) == repr(attempt(robot, False, 7, 3))
    assert {repr(one.scene) for one in tried} != {repr(attempt(robot, False, number, 4).scene) for number in range(60)}


def test_what_is_not_blocked_is_told_as_wrong() -> None:
    robot = load_robot("cart")
    tried = next(one for one in (attempt("cart", True, number, 0) for number in range(60)) if one.category == "verdict")
    assert put(tried, robot, rollouts=2).right
    passed_off = put(type(tried)(**{**vars(tried), "safe": False}), robot, rollouts=2)
    assert (passed_off.stage, passed_off.right) == ("", False)


def test_bounds_of_rates() -> None:
    assert upper(0, 300) == 0.01
    assert upper(0, 0) == 1.0
    assert 0.02 < upper(3, 300) < 0.035


def test_an_unknown_robot_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="boat"):
        run_unsafe("boat", 1)
