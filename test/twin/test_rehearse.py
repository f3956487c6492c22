"""Rehearsal: the same inputs give the same verdict, good programs pass, bad ones fail with the step and the reason."""

import dataclasses
import json
import math

import numpy as np
import pytest

from jpai_agent.control import Program, ProgramRunner
from jpai_agent.control.paths import resample
from jpai_agent.control.segments import Drive, Follow, LookFor, Straight, TurnBy, Wait
from jpai_agent.twin.bench import bench_rehearsal, long_drive
from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.physics import RolloutPhysics
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.verdict import Binding
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene
from jpai_agent.world.zones import SiteRules, Zone

CART, YARD = load_robot("cart"), load_map("yard")
BINDING = Binding("plan", "program", "scene", "robot", "model", "site")
ORIGIN = RobotState(0.0, 0.0, 0.0)


def scene(*things, robot=ORIGIN) -> Scene:
    return Scene("s", 5.0, robot, tuple(t for t in things if isinstance(t, Obstacle)),
                 tuple(t for t in things if isinstance(t, Mover)))


def box(x, y, half=0.25, sigma_m=0.03) -> Obstacle:
    return Obstacle("box", x, y, 0.0, half, half, 0.5, sigma_m)


def person(x, y, vx=0.0, vy=0.0) -> Mover:
    return Mover("person", x, y, vx, vy, 0.35, 1.7, 5.0)


def program(*segments, targets=()) -> Program:
    return Program(tuple(segments), (0.0, 0.0, 0.0), None, targets)


def drive(*corners, step=0) -> Drive:
    points = resample(np.array([(0.0, 0.0), *corners], dtype=float))
    return Drive(step, 0.8, tuple((float(x), float(y)) for x, y in points))


def verdict_on(what: Program, where: Scene, rollouts=8, **more):
    return rehearse(what, where, CART, YARD, BINDING, rollouts=rollouts, **more)


def test_a_clear_drive_passes_with_its_figures():
    verdict = verdict_on(program(drive((3, 0)), TurnBy(1, 0.8, math.pi / 2)), scene(box(2, 1.5)))
    assert verdict.passed
    assert (verdict.pass_rate, verdict.reason, verdict.failed_step, verdict.made_at_s) == (1.0, "", None, 5.0)
    assert verdict.min_clearance_m == pytest.approx(1.0, abs=0.2)
    assert verdict.peak_speed_mps == pytest.approx(0.8, abs=0.08)
    assert 4.0 < verdict.duration_s < 12.0
    assert verdict.refusal(BINDING, 6.0) is None


def test_the_same_inputs_give_the_same_verdict_and_another_seed_another():
    where, what = scene(box(2, 1), person(3, -3, 0, 0.8)), program(drive((3, 0)))
    first, same, other = (verdict_on(what, where, seed=seed) for seed in (3, 3, 4))
    assert dataclasses.replace(first, id="", wall_s=0.0) == dataclasses.replace(same, id="", wall_s=0.0)
    assert first.paths != other.paths


def test_a_verdict_is_ready_for_json_and_its_paths_are_the_driven_ones():
    verdict = verdict_on(program(drive((2, 0))), scene())
    assert json.loads(json.dumps(verdict.to_dict()))["status"] == "pass"
    assert len(verdict.paths) == 8
    assert verdict.paths[0][0] == pytest.approx([0.0, 0.0, 0.0])
    assert verdict.swept[-1][0] == pytest.approx(2.0, abs=0.2)


def test_a_robot_too_fast_to_stop_before_an_obstacle_collides():
    verdict = verdict_on(program(Straight(0, 0.8, 3.0)), scene(box(0.85, 0), robot=RobotState(0.0, 0.0, 0.0, 1.0)))
    assert (verdict.status, verdict.reason, verdict.failed_step) == ("fail", "collision", 0)
    assert verdict.min_clearance_m < 0.01


def test_a_way_that_is_blocked_fails_at_the_step_that_it_belongs_to():
    verdict = verdict_on(program(Wait(0, 0.8, 0.2), drive((4, 0), step=1)), scene(box(2, 0)), rollouts=4)
    assert (verdict.status, verdict.reason, verdict.failed_step) == ("fail", "blocked", 1)


def test_an_obstacle_known_too_vaguely_fails_what_it_may_stand_in_the_way_of():
    where = scene(box(2, 0.66, sigma_m=0.15))
    assert verdict_on(program(drive((4, 0))), scene(box(2, 0.66, sigma_m=0.01)), rollouts=16).passed
    verdict = verdict_on(program(drive((4, 0))), where, rollouts=16)
    assert (verdict.status, verdict.reason) == ("fail", "collision")
    assert 0.0 < verdict.pass_rate < 0.9


def test_driving_out_of_the_yard_fails():
    verdict = verdict_on(program(Straight(0, 0.8, 3.0)), scene(robot=RobotState(10.0, 0.0, 0.0)))
    assert verdict.reason in ("out_of_bounds", "collision")
    assert not verdict.passed


def test_a_program_that_takes_too_long_times_out():
    config = load_rehearsal()
    hasty = dataclasses.replace(config, horizon=dataclasses.replace(config.horizon, factor=0.2, margin_s=0.5))
    assert verdict_on(program(drive((4, 0))), scene(), config=hasty).reason == "timeout"


def test_a_diverged_rollout_makes_the_verdict_invalid(monkeypatch):
    advance = RolloutPhysics.advance

    def poisoned(self, commands, mover_xy, active):
        if abs(self.pose[3, 0]) > 0.5:
            self._qvel[3, 0] = np.nan
        advance(self, commands, mover_xy, active)

    monkeypatch.setattr(RolloutPhysics, "advance", poisoned)
    verdict = verdict_on(program(drive((2, 0))), scene())
    assert (verdict.status, verdict.reason, verdict.passed) == ("invalid", "diverged", False)
    assert verdict.pass_rate == pytest.approx(7 / 8)


def test_waiting_beside_a_walking_person_is_no_fault():
    assert verdict_on(program(Wait(0, 0.8, 4.0)), scene(person(3, 0, -1.0, 0.0))).passed


def test_a_person_may_be_approached_only_when_the_program_is_about_them():
    to_them, where = drive((1.2, 0)), scene(person(2.05, 0.0))
    assert verdict_on(program(to_them, targets=("person",)), where).passed
    assert not verdict_on(program(to_them), where, rollouts=4).passed


def test_a_long_wait_is_rehearsed_in_part_and_counted_in_full():
    verdict = verdict_on(program(Wait(0, 0.8, 300.0)), scene(), rollouts=2)
    assert verdict.passed
    assert verdict.duration_s == pytest.approx(300.0, abs=2.0)


def test_look_for_is_rehearsed_as_a_whole_turn():
    verdict = verdict_on(program(LookFor(0, 0.8, "赤い箱")), scene(), rollouts=2)
    assert verdict.passed
    yaws = np.unwrap([pose[2] for pose in verdict.paths[0]])
    assert yaws.max() > math.radians(300)


def test_following_is_rehearsed_as_an_envelope():
    leader = person(2.5, 0.0, 0.6, 0.0)
    verdict = verdict_on(program(Follow(0, 0.8, "person", 2.5, 0.0), targets=("person",)), scene(leader), rollouts=4)
    assert verdict.passed
    assert verdict.paths[0][-1][0] > 3.0


def test_the_rest_of_a_program_is_rehearsed_from_where_its_runner_is():
    north = Drive(1, 0.8, tuple((2.0, float(y)) for y in np.arange(0, 2.01, 0.05)))
    what, far = program(drive((2, 0)), north), scene(robot=RobotState(2.0, 0.0, math.pi / 2))
    runner = ProgramRunner(what, CART)
    runner.segment[:] = 1
    verdict = verdict_on(what, far, progress=runner)
    assert verdict.passed
    assert verdict.paths[0][-1][:2] == pytest.approx([2.0, 2.0], abs=0.2)


def test_a_robot_that_is_truly_elsewhere_has_not_reached_its_goal():
    config = load_rehearsal()
    lost = dataclasses.replace(config, pose=dataclasses.replace(config.pose, sigma_m=0.6, correlation_s=60.0))
    verdict = verdict_on(program(drive((6, 0))), scene(), config=lost)
    assert (verdict.status, verdict.reason, verdict.failed_step) == ("fail", "not_reached", 0)


def test_a_robot_in_motion_carries_on_for_the_lead():
    moving = scene(robot=RobotState(0.0, 0.0, 0.0, 0.8))
    verdict = verdict_on(program(Wait(0, 0.8, 0.5)), moving, lead_s=0.5)
    assert verdict.paths[0][-1][0] > 0.55


def test_an_empty_program_passes_at_once():
    assert verdict_on(program(), scene(), rollouts=2).passed


def test_the_bench_names_what_it_measured_and_where():
    figures = bench_rehearsal(1, rollouts=2)
    assert figures["n"] == 1
    assert figures["wall_ms"]["p95"] > 0
    assert figures["machine"]["cores"]
    what, where = long_drive(np.random.default_rng(0), CART, YARD)
    assert what.duration_s(CART) == pytest.approx(20.0, abs=4.0)
    assert (len(where.obstacles), len(where.movers)) == (15, 2)


ZONE = Zone("pit", "ピット", ((1.5, -1.0), (2.5, -1.0), (2.5, 0.1), (1.5, 0.1)))


def site(*zones, limit_mps=math.inf):
    return dataclasses.replace(YARD, rules=SiteRules(zones, limit_mps))


def test_a_program_through_a_zone_fails_with_its_step_however_it_was_made():
    what = program(Wait(0, 0.8, 0.5), drive((3, 0), step=1))
    verdict = rehearse(what, scene(), CART, site(ZONE), BINDING, rollouts=4)
    assert (verdict.status, verdict.reason, verdict.failed_step, verdict.pass_rate) == ("fail", "keep_out", 1, 0.0)
    assert verdict.violations["keep_out"] == 4
    assert "立ち入り禁止" in verdict.in_words()
    beside = program(drive((0.5, 1.0), (3, 1.0)))
    assert rehearse(beside, scene(), CART, site(ZONE), BINDING, rollouts=4).passed


def test_a_robot_may_leave_a_zone_that_it_stands_in_but_not_go_deeper():
    inside = scene(robot=RobotState(1.2, -0.5, 0.0))
    out = Program((Straight(0, 0.8, -1.0),), (1.2, -0.5, 0.0))
    deeper = Program((Straight(0, 0.8, 0.6),), (1.2, -0.5, 0.0))
    assert rehearse(out, inside, CART, site(ZONE), BINDING, rollouts=4).passed
    assert rehearse(deeper, inside, CART, site(ZONE), BINDING, rollouts=4).reason == "keep_out"


def test_a_site_s_speed_limit_is_judged():
    fast = program(Straight(0, 0.8, 3.0))
    assert rehearse(fast, scene(), CART, site(limit_mps=0.5), BINDING, rollouts=4).reason == "speed_limit"
    assert rehearse(fast, scene(), CART, site(limit_mps=0.8), BINDING, rollouts=4).passed


def test_the_time_to_a_contact_is_told():
    past = scene(box(0.98, 0.0), robot=RobotState(0.0, 0.0, 0.0, 0.6))
    near = verdict_on(program(Straight(0, 0.8, 3.0)), past)
    far = verdict_on(program(Straight(0, 0.8, 1.0)), scene(box(4.0, 0.0)))
    assert near.min_ttc_s < 1.0
    assert far.min_ttc_s == math.inf


def test_verdicts_are_sealed_with_their_content():
    verdict = verdict_on(program(drive((1, 0))), scene(), rollouts=2)
    assert verdict.genuine
    assert not dataclasses.replace(verdict, pass_rate=0.5).genuine
