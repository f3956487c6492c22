"""The bodies of the rollouts: they do as told, each a little differently, feel contacts, and own up to divergence."""

import math

import numpy as np
import pytest

from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.perturb import draw
from jpai_agent.twin.physics import RolloutPhysics
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene

CONFIG, CART, YARD = load_rehearsal(), load_robot("cart"), load_map("yard")
TICK_S, ORIGIN = 0.05, RobotState(0.0, 0.0, 0.0)


def bodies(*things, robot=ORIGIN, rollouts=8, threads=1):
    where = Scene("s", 0.0, robot, tuple(t for t in things if isinstance(t, Obstacle)),
                  tuple(t for t in things if isinstance(t, Mover)))
    drawn = draw(where, CART, CONFIG, rollouts=rollouts, ticks=10, tick_s=TICK_S, rng=np.random.default_rng(0))
    return drawn, RolloutPhysics(CART, YARD, drawn, timestep_s=0.01, tick_s=TICK_S, threads=threads)


def run(drawn, physics: RolloutPhysics, seconds: float, v: float, w: float = 0.0):
    hits = np.zeros(drawn.rollouts, dtype=bool)
    for _ in range(round(seconds / TICK_S)):
        physics.advance(np.tile([v, w], (drawn.rollouts, 1)), drawn.mover_xy, np.ones(drawn.rollouts, dtype=bool))
        hits |= physics.contact
    return hits


def test_robots_start_where_they_were_drawn():
    drawn, physics = bodies(robot=RobotState(2.0, 1.0, 2.5))
    assert physics.pose == pytest.approx(drawn.start_poses)


def test_the_nominal_robot_reaches_the_commanded_speed_and_the_others_nearly():
    drawn, physics = bodies()
    run(drawn, physics, 3.0, 0.5, 0.4)
    assert physics.speed[0] == pytest.approx([0.5, 0.4], abs=0.03)
    assert physics.speed == pytest.approx(np.tile([0.5, 0.4], (8, 1)), abs=0.08)
    assert np.ptp(physics.pose[:, 0]) > 0.01, "no two robots are alike"


def test_a_command_takes_effect_after_the_delay_of_each_robot():
    drawn, physics = bodies(rollouts=16)
    run(drawn, physics, 0.1, 1.0)
    slow, quick = np.argmax(drawn.delay_s), np.argmin(drawn.delay_s[1:]) + 1
    assert physics.speed[slow, 0] < 0.1 < physics.speed[quick, 0]


def test_a_robot_that_drives_into_a_box_reports_contact():
    drawn, physics = bodies(Obstacle("b", 1.0, 0.0, 0.0, 0.2, 0.2, 0.5))
    assert not run(drawn, physics, 0.3, 0.5).any()
    assert run(drawn, physics, 2.0, 0.5).all()
    assert not physics.diverged.any()


def test_driving_on_the_floor_is_no_contact():
    drawn, physics = bodies(Mover("p", 3.0, 3.0, 0.0, 0.0, 0.35, 1.7, 0.0))
    assert not run(drawn, physics, 2.0, 0.8, 1.0).any()
    assert physics.up.min() > math.cos(math.radians(3.0))


def test_a_robot_in_motion_starts_in_motion():
    drawn, physics = bodies()
    physics.set_speed(0.8, 0.0)
    run(drawn, physics, 0.5, 0.8)
    assert physics.pose[:, 0] - drawn.start_poses[:, 0] == pytest.approx(np.full(8, 0.4), abs=0.05)


def test_only_the_active_rollouts_move():
    drawn, physics = bodies()
    active = np.arange(8) < 4
    for _ in range(20):
        physics.advance(np.tile([0.8, 0.0], (8, 1)), drawn.mover_xy, active)
    gone = physics.pose[:, 0] - drawn.start_poses[:, 0]
    assert gone[:4].min() > 0.4
    assert np.abs(gone[4:]).max() < 1e-9
    assert not physics.diverged.any()


def test_two_threads_give_the_very_same_result():
    one, two = (bodies(rollouts=8, threads=threads) for threads in (1, 2))
    for drawn, physics in (one, two):
        run(drawn, physics, 1.0, 0.8, 0.5)
    assert np.array_equal(one[1].pose, two[1].pose)


@pytest.mark.parametrize("poison", [np.nan, 1e12])
def test_a_diverged_rollout_is_marked_though_mujoco_resets_it(poison):
    drawn, physics = bodies()
    run(drawn, physics, 0.2, 0.5)
    physics._qvel[3, 0] = poison
    run(drawn, physics, 0.2, 0.5)
    assert physics.diverged.tolist() == [i == 3 for i in range(8)]


def test_a_control_tick_that_the_physics_step_does_not_divide_is_refused():
    drawn, _ = bodies()
    with pytest.raises(ValueError, match="multiple"):
        RolloutPhysics(CART, YARD, drawn, timestep_s=0.03, tick_s=TICK_S, threads=1)
