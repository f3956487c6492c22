"""Perturbations: a draw repeats, its first rollout is the scene as perceived, its spreads are the configured ones."""

import dataclasses
import math

import numpy as np
import pytest
import yaml

from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.gaps import box_to_box, footprints
from jpai_agent.twin.perturb import draw, walks
from jpai_agent.world.paths import resource
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene

CONFIG, CART = load_rehearsal(), load_robot("cart")
ORIGIN = RobotState(0.0, 0.0, 0.0)
BOX = Obstacle("box", 3.0, 1.0, 0.3, 0.25, 0.25, 0.5, sigma_m=0.05)
WALKER = Mover("walker", 5.0, -3.0, 0.0, 1.0, 0.35, 1.7, 0.0)
STANDER = Mover("stander", -2.0, 2.0, 0.0, 0.0, 0.35, 1.7, 0.0)


def scene(*things, robot=ORIGIN) -> Scene:
    return Scene("s", 0.0, robot, tuple(t for t in things if isinstance(t, Obstacle)),
                 tuple(t for t in things if isinstance(t, Mover)))


def drawn(where: Scene, seed=0, rollouts=400, ticks=200):
    return draw(where, CART, CONFIG, rollouts=rollouts, ticks=ticks, tick_s=0.05, rng=np.random.default_rng(seed))


def test_a_draw_repeats_with_its_seed_and_differs_with_another():
    first, same, other = (drawn(scene(BOX, WALKER), seed) for seed in (1, 1, 2))
    for field in dataclasses.fields(first):
        assert np.array_equal(getattr(first, field.name), getattr(same, field.name)), field.name
    assert not np.array_equal(first.boxes, other.boxes)


def test_the_first_rollout_is_the_scene_as_perceived():
    d = drawn(scene(BOX, WALKER, STANDER, robot=RobotState(1.0, -1.0, 0.7)))
    assert d.start_poses[0] == pytest.approx([1.0, -1.0, 0.7])
    assert d.boxes[0, 0] == pytest.approx([3.0, 1.0, 0.3, 0.25, 0.25])
    assert d.mover_xy[0] == pytest.approx(np.array([[5.0, -3.0], [-2.0, 2.0]]))
    assert d.mover_velocity[0, 0] == pytest.approx(np.tile([0.0, 1.0], (200, 1)))
    assert not d.mover_velocity[0, 1].any()
    assert not d.pose_errors[:, 0].any()
    assert (d.payload_kg[0], d.mass_factor[0], *d.wheel_gain[0]) == pytest.approx((0.0, 1.0, 1.0, 1.0))


def test_the_spreads_are_the_configured_ones():
    d = drawn(scene(BOX))
    assert d.start_poses[:, :2].std() == pytest.approx(CONFIG.pose.start_sigma_m, rel=0.15)
    assert d.start_poses[:, 2].std() == pytest.approx(math.radians(CONFIG.pose.start_sigma_deg), rel=0.15)
    assert d.boxes[:, 0, :2].std(axis=0) == pytest.approx(0.05, rel=0.15)
    assert d.pose_errors[150:].std(axis=(0, 1))[:2] == pytest.approx(CONFIG.pose.sigma_m, rel=0.2)
    for values, (low, high) in ((d.friction, CONFIG.robot.friction), (d.delay_s, CONFIG.robot.delay_s)):
        assert low <= values.min() < low + 0.1 * (high - low) < high - 0.1 * (high - low) < values.max() <= high


def test_the_robot_believes_the_perceived_pose_wherever_it_truly_starts():
    here = RobotState(1.0, 2.0, 0.5)
    d = drawn(scene(robot=here))
    assert d.start_poses + d.pose_errors[0] == pytest.approx(np.tile(here.pose, (400, 1)))


def test_nothing_is_drawn_into_the_footprint_of_a_robot_that_touches_nothing():
    beside = Obstacle("shelf", 0.0, 0.46, 0.0, 0.45, 0.20, 1.6, sigma_m=0.05)
    d = drawn(scene(beside, Mover("p", 0.72, 0.0, 0.0, 0.0, 0.35, 1.7, 0.0)))
    feet = footprints(d.start_poses, (0.35, 0.25))[:, None]
    assert box_to_box(feet, d.boxes).min() > 0.0
    assert (np.abs(d.mover_xy[:, 0, 0] - d.start_poses[:, 0]) > 0.6).all()


def test_walkers_go_on_with_a_spread_of_speeds_and_courses():
    velocity = walks((WALKER,), CONFIG.people, np.random.default_rng(0), rollouts=500, ticks=200, tick_s=0.05)[:, 0]
    pace = np.hypot(velocity[..., 0], velocity[..., 1])
    assert pace.max() < 1.0 + 3.5 * CONFIG.people.speed_sigma
    assert 0.05 < (pace == 0).any(axis=1).mean() < 0.8, "some stop on their way"
    off_course = np.degrees(np.arctan2(-velocity[:, 0, 0], velocity[:, 0, 1])[pace[:, 0] > 0])
    assert off_course.std() == pytest.approx(CONFIG.people.heading_sigma_deg, rel=0.2)


def test_standing_people_seldom_walk_off_and_never_fast():
    velocity = walks((STANDER,), CONFIG.people, np.random.default_rng(0), rollouts=2000, ticks=400, tick_s=0.05)[:, 0]
    pace = np.hypot(velocity[..., 0], velocity[..., 1])
    assert (pace > 0).any(axis=1).mean() == pytest.approx(CONFIG.people.start_probability, rel=0.25)
    assert pace.max() <= 1.2 + 1e-9


def test_an_empty_scene_can_be_drawn():
    d = drawn(scene(), rollouts=3, ticks=5)
    assert d.boxes.shape == (3, 0, 5)
    assert d.mover_velocity.shape == (3, 0, 5, 2)


def write(tmp_path, **changes):
    values = yaml.safe_load(resource("config", "rehearsal.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "rehearsal.yaml"
    path.write_text(yaml.safe_dump(values | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(("changes", "named"), [
    ({"pass_rate": 1.5}, "pass_rate"), ({"rollouts": 0}, "rollouts"), ({"timestep_s": "fast"}, "timestep_s"),
    ({"surprise": 1}, "surprise"), ({"horizon": {"factor": 1.5, "margin_s": 5.0}}, "longest_s"),
    ({"obstacles": {"sigma_factor": float("nan"), "yaw_sigma_deg": 1.0}}, "obstacles.sigma_factor"),
])
def test_a_bad_setting_is_refused_by_name(tmp_path, changes, named):
    with pytest.raises(ValueError, match=named):
        load_rehearsal(write(tmp_path, **changes))


def test_a_range_upside_down_is_refused(tmp_path):
    robot = yaml.safe_load(resource("config", "rehearsal.yaml").read_text(encoding="utf-8"))["robot"]
    with pytest.raises(ValueError, match=r"robot\.friction"):
        load_rehearsal(write(tmp_path, robot=robot | {"friction": [0.9, 0.4]}))
