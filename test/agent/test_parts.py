"""Parts of plans: cut, joined and counted so that every step keeps its own target."""

from __future__ import annotations

import pytest

from jpai_agent.agent.parts import Part, cruise_after
from jpai_agent.control.motions import SLOWEST_MPS
from jpai_agent.plan import Step
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget


def steps(text: str) -> tuple[Step, ...]:
    return tuple(Step(name) for name in text)


def targets(**names: str) -> dict[int, GroundedTarget]:
    return {int(index[1:]): GroundedTarget(name, 0.0, 0.0, "floor") for index, name in names.items()}


def named(part: Part) -> tuple[str, dict[int, str]]:
    return "".join(s.skill for s in part.steps), {i: t.label for i, t in part.targets.items()}


WHOLE = Part(steps("abcd"), targets(_1="B", _3="D"))


def test_what_is_left_keeps_its_targets_and_knows_where_it_stood() -> None:
    assert named(WHOLE.after(1)) == ("bcd", {0: "B", 2: "D"})
    assert WHOLE.after(1).after(1).offset == 2
    assert named(WHOLE.after(2)) == ("cd", {1: "D"})


def test_nothing_is_left_after_the_last_step_or_when_no_step_is_named() -> None:
    assert named(WHOLE.after(4)) == ("", {})
    assert named(WHOLE.after(None)) == ("", {})


def test_what_came_before_is_the_rest_of_it() -> None:
    for index in range(5):
        rest = WHOLE.after(index)
        assert WHOLE.before(rest) + rest.steps == WHOLE.steps


@pytest.mark.parametrize(("at", "drop", "expected"), [
    (0, 0, ("xyabcd", {0: "X", 3: "B", 5: "D"})),
    (1, 1, ("axycd", {1: "X", 4: "D"})),
    (2, 1, ("abxyd", {1: "B", 2: "X", 4: "D"})),
    (4, 0, ("abcdxy", {1: "B", 3: "D", 4: "X"})),
])
def test_another_parts_steps_take_the_place_of_some_with_their_targets(at: int, drop: int, expected: object) -> None:
    assert named(WHOLE.spliced(at, Part(steps("xy"), targets(_0="X")), drop)) == expected


def test_splicing_nothing_in_only_drops() -> None:
    assert named(WHOLE.spliced(1, Part(), 1)) == ("acd", {2: "D"})


def set_speed(**args: float) -> Step:
    return Step("set_speed", dict(args))


def test_speeds_set_on_the_way_stay(cart: RobotSpec) -> None:
    assert cruise_after((), 0.8, cart) == 0.8
    assert cruise_after((Step("stop"), set_speed(speed=0.4)), 0.8, cart) == pytest.approx(0.4)
    assert cruise_after((set_speed(factor=0.5), set_speed(factor=0.5)), 0.8, cart) == pytest.approx(0.2)


def test_a_speed_stays_within_what_the_robot_can(cart: RobotSpec) -> None:
    assert cruise_after((set_speed(factor=10.0),), 0.8, cart) == cart.limits.forward_mps
    assert cruise_after((set_speed(factor=0.001),), 0.8, cart) == SLOWEST_MPS
