"""The executor: drives nothing but what a verdict covers, slows when the scene changes, and brakes when it is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from jpai_agent.agent import Executor, NotPermitted
from jpai_agent.agent.executor import CHECK_EVERY_S, SLOWED_MPS, Run
from jpai_agent.control import Program, compile_program
from jpai_agent.plan import ActionPlan, Step
from jpai_agent.twin.verdict import START_WITHIN_S, Binding, Verdict
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene

PLAN = ActionPlan("act", (Step("move", {"distance_m": 6.0}), Step("wait", {"duration_s": 1.0})))
BINDING = Binding("plan", "program", "scene", "robot", "model", "site")
PERIOD_S = 0.05


def verdict(number: int = 1, **other: object) -> Verdict:
    return replace(Verdict("", "pass", 0.0, 32, 1.0, BINDING, duration_s=number), **other).sealed()  # type: ignore[arg-type]


class Road:
    """An executor that drives a point: six metres ahead, then a wait."""

    def __init__(self, cart: RobotSpec, yard: WorldMap) -> None:
        self.executor, self.scene = Executor(cart, yard), Scene("s", 0.0, RobotState(0.0, 0.0, 0.0))
        self.program = compile_program(PLAN.steps, {}, self.scene, cart, yard)

    def start(self, given: Verdict | None = None, binding: Binding = BINDING, now_s: float = 0.0) -> Run:
        return self.executor.start(PLAN, self.program, given or verdict(), binding, self.scene, now_s)

    def tick(self) -> tuple[float, float]:
        v, w = self.executor.tick(self.scene, self.scene.stamp_s)
        robot = self.scene.robot
        yaw = robot.yaw_rad + w * PERIOD_S
        moved = RobotState(robot.x_m + v * PERIOD_S * math.cos(yaw), robot.y_m + v * PERIOD_S * math.sin(yaw), yaw, v, w)
        self.scene = replace(self.scene, robot=moved, stamp_s=self.scene.stamp_s + PERIOD_S)
        return v, w

    def run(self, seconds: float) -> float:
        """The speed after so long."""
        return [self.tick()[0] for _ in range(round(seconds / PERIOD_S))][-1]


@pytest.fixture
def road(cart: RobotSpec, yard: WorldMap) -> Road:
    return Road(cart, yard)


def test_without_a_program_it_wants_to_stand(road: Road) -> None:
    assert road.tick() == (0.0, 0.0)
    assert road.executor.run is None


def test_a_passed_verdict_lets_its_program_run_to_its_end(road: Road) -> None:
    run = road.start()
    assert run.step == 0
    assert road.run(3.0) == pytest.approx(road.executor.robot.cruise_mps, abs=0.02)
    while run.outcome is None:
        road.tick()
        assert road.scene.stamp_s < 20.0
    assert run.outcome == "done"
    assert run.step == 2
    assert road.scene.robot.x_m == pytest.approx(6.0, abs=0.05)


FOREIGN: dict[str, Callable[[Verdict], Verdict]] = {
    name: (lambda given, name=name: replace(given, binding=replace(given.binding, **{name: "other"})).sealed())
    for name in ("plan", "program", "scene", "robot", "model", "site")
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_verdict_on_something_else_is_refused_by_name(road: Road, name: str) -> None:
    with pytest.raises(NotPermitted, match=f"bound to another {name}"):
        road.start(FOREIGN[name](verdict()))
    assert road.executor.run is None
    assert road.tick() == (0.0, 0.0)


@pytest.mark.parametrize("status", ["fail", "invalid"])
def test_a_verdict_that_did_not_pass_is_refused(road: Road, status: str) -> None:
    with pytest.raises(NotPermitted, match=f"is {status}: collision"):
        road.start(verdict(status=status, reason="collision", pass_rate=1.0))
    assert road.executor.run is None


@pytest.mark.parametrize("now_s", [START_WITHIN_S + 0.1, -1.0, math.nan])
def test_a_verdict_that_has_expired_or_is_of_the_future_is_refused(road: Road, now_s: float) -> None:
    with pytest.raises(NotPermitted, match="void after"):
        road.start(now_s=now_s)


def test_a_verdict_is_good_until_it_expires(road: Road) -> None:
    assert road.start(now_s=START_WITHIN_S).outcome is None


def test_what_is_refused_leaves_what_runs(road: Road) -> None:
    run = road.start()
    with pytest.raises(NotPermitted):
        road.start(verdict(status="fail"))
    assert road.executor.run is run


def test_each_run_has_a_name_of_its_own(road: Road) -> None:
    assert road.start().id != road.start(verdict(2)).id


def test_a_verdict_starts_one_run_and_renews_none_after_that(road: Road) -> None:
    road.start()
    for _ in range(2):
        with pytest.raises(NotPermitted, match="used before"):
            road.start()
    with pytest.raises(NotPermitted, match="used before"):
        road.executor.rehearsed(verdict(), road.scene)


def test_a_verdict_that_was_refused_is_not_used_up(road: Road) -> None:
    with pytest.raises(NotPermitted, match="another robot"):
        road.start(binding=replace(BINDING, robot="other"))
    assert road.start().verdict == verdict()


@pytest.mark.parametrize("name", ["plan", "program", "robot", "model"])
def test_what_runs_is_not_renewed_by_a_verdict_on_something_else(road: Road, name: str) -> None:
    road.start()
    with pytest.raises(NotPermitted, match="not on what runs"):
        road.executor.rehearsed(FOREIGN[name](verdict(2)), road.scene)
    road.executor.rehearsed(FOREIGN["scene"](verdict(3)), road.scene)


@pytest.mark.parametrize("change", [
    {"status": "pass"}, {"pass_rate": 1.0}, {"made_at_s": 5.0}, {"binding": replace(BINDING, plan="x")},
])
def test_a_verdict_that_was_altered_permits_nothing(road: Road, change: dict[str, object]) -> None:
    altered = replace(verdict(status="fail", pass_rate=0.5), **change)  # type: ignore[arg-type]
    with pytest.raises(NotPermitted, match="altered"):
        road.start(altered)
    road.start()
    with pytest.raises(NotPermitted, match="altered"):
        road.executor.rehearsed(altered, road.scene)


def test_what_runs_is_not_renewed_by_an_old_verdict(road: Road) -> None:
    road.start()
    road.scene = replace(road.scene, stamp_s=START_WITHIN_S + 1.0)
    road.tick()
    with pytest.raises(NotPermitted, match="older"):
        road.executor.rehearsed(verdict(2), road.scene)


def test_what_was_stopped_by_others_while_it_drove_wants_nothing_more(road: Road) -> None:
    road.start()
    road.run(3.0)
    # the gate has stopped it: what the program still wanted is not asked for when the gate opens again
    road.scene = replace(road.scene, robot=replace(road.scene.robot, v_mps=0.0, w_radps=0.0))
    road.executor.cancel()
    assert road.tick() == (0.0, 0.0)


def test_a_robot_that_had_only_just_set_out_stays_at_rest_once_zero_was_asked_for(road: Road) -> None:
    road.start()
    road.run(0.2)
    # odometry lags behind what the motors were given
    road.scene = replace(road.scene, robot=replace(road.scene.robot, v_mps=0.04, w_radps=0.0))
    road.executor.cancel()
    assert road.tick() == (0.0, 0.0)
    road.scene = replace(road.scene, robot=replace(road.scene.robot, v_mps=0.08, w_radps=0.0))
    assert road.tick() == (0.0, 0.0)


def test_a_cancelled_program_brakes_with_the_ordinary_brakes_and_can_be_told(road: Road) -> None:
    run = road.start()
    before = road.run(3.0)
    assert road.executor.cancel() is run
    assert road.executor.cancel() is None
    after = road.tick()[0]
    brake = road.executor.robot.limits.brake_mps2 * PERIOD_S
    assert before - brake - 1e-9 <= after < before
    assert road.run(1.0) == 0.0


def test_another_program_takes_over_from_the_present_speed(road: Road) -> None:
    road.start()
    before = road.run(3.0)
    road.start(verdict(2))
    assert road.tick()[0] == pytest.approx(before, abs=0.06)


def box_ahead(road: Road, away_m: float) -> Obstacle:
    return Obstacle("new", road.scene.robot.x_m + away_m, 0.6, 0.0, 0.15, 0.15, 0.5)


def test_something_new_beside_the_way_slows_the_robot_until_the_rest_is_rehearsed_again(road: Road) -> None:
    run = road.start()
    road.run(3.0)
    road.scene = replace(road.scene, obstacles=(box_ahead(road, 2.0),))
    assert road.run(CHECK_EVERY_S + 0.8) <= SLOWED_MPS + 1e-6
    assert run.change is not None
    assert "obstacle new" in run.change
    road.executor.rehearsed(verdict(2), road.scene)
    assert run.change is None
    assert road.run(0.5) > SLOWED_MPS


def test_a_run_that_is_held_stands_still(road: Road) -> None:
    run = road.start()
    road.run(3.0)
    run.change, run.held = "a person", True
    assert road.run(1.5) == 0.0


def test_a_person_who_appears_near_the_way_is_a_change(road: Road) -> None:
    run = road.start()
    road.run(1.0)
    walker = Mover("p", road.scene.robot.x_m + 2.5, 1.0, 0.0, -0.5, 0.35, 1.7, road.scene.stamp_s)
    road.scene = replace(road.scene, movers=(walker,))
    road.run(CHECK_EVERY_S + PERIOD_S)
    assert run.change is not None
    assert "mover p" in run.change


def test_the_rest_is_not_released_by_a_verdict_that_did_not_pass(road: Road) -> None:
    run = road.start()
    run.change = "something"
    with pytest.raises(NotPermitted, match="is fail"):
        road.executor.rehearsed(verdict(status="fail"), road.scene)
    assert run.change == "something"


def test_a_program_without_motion_is_done_at_once(road: Road) -> None:
    road.program = Program((), (0.0, 0.0, 0.0))
    assert road.start().outcome == "done"
    assert road.tick() == (0.0, 0.0)
