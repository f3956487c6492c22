"""Perception fed by the simulated robot's noisy sensors, held against the truth. No agent: the motion is scripted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from yard_scenes import gaps_to, gaps_to_perceived, gaps_to_walls, ground_of, random_scene, seen_points

from jpai_agent.perception import Perception
from jpai_agent.perception.geometry import wrap
from jpai_agent.sim.robot import SimRobot
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import Motion, ObjectSpec, motion_pose, motion_velocity
from jpai_agent.world.robot import RobotSpec

PERIOD_S = 0.05
STAND, AHEAD, ROUND = (0.0, 0.0), (0.5, 0.0), (0.0, 0.6)


class Watch:
    """A simulated robot, its perception, and the truth beside them."""

    def __init__(
        self, cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer, things: list[ObjectSpec], seed: int
    ) -> None:
        self.robot = SimRobot(cart, "yard", things, seed=seed, renderer=renderer)
        self.perception = Perception(cart, yard)

    def period(self, command: tuple[float, float] = STAND) -> None:
        self.robot.command(*command)
        self.robot.step(PERIOD_S)
        self.perception.update(self.robot.observe())


@pytest.mark.parametrize("seed", [1, 4, 8])
def test_what_is_seen_within_6_m_is_covered_within_a_second_and_nothing_stands_in_empty_space(
    cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer, seed: int
) -> None:
    watch = Watch(cart, yard, renderer, random_scene(np.random.default_rng(seed), 14), seed)
    seen_in_a_row = np.zeros(len(watch.robot.objects))
    checked = 0
    for period in range(140):
        watch.period(STAND if period < 30 else AHEAD if period < 70 else ROUND)
        if period % 4:
            continue
        here = watch.robot.truth().pose
        points = [p[np.hypot(p[:, 0] - here[0], p[:, 1] - here[1]) < 6.0] for p in seen_points(watch.robot, renderer)]
        seen_in_a_row = np.where([len(p) >= 200 for p in points], seen_in_a_row + 1, 0)
        scene = watch.perception.scene()
        for thing, shown, times in zip(watch.robot.objects, points, seen_in_a_row, strict=True):
            if times >= 6:  # six frames at 5 Hz, the first at its appearance
                off = gaps_to_perceived(shown[:: max(1, len(shown) // 50), :2], [*scene.obstacles, *scene.movers])
                assert np.percentile(off, 95) < 0.2, f"{thing} at {watch.robot.time_s:.2f} s"
                checked += 1
        for perceived in scene.obstacles:
            ground = ground_of(perceived)
            empty = np.minimum(gaps_to(ground, watch.robot.objects), gaps_to_walls(ground)) > 0.2
            assert not empty.all(), f"{perceived} stands in empty space"
            assert empty.mean() * perceived.half_x_m * perceived.half_y_m * 4 < 0.3, f"{perceived} is too large"
        assert not scene.movers, "nothing in this scene is a person or moves"
    assert checked > 5


@pytest.mark.parametrize("command", [STAND, AHEAD, ROUND])
@pytest.mark.parametrize(
    ("path", "start_s"),
    [(((5.0, -3.0), (5.0, 4.0)), 0.0), (((4.0, 5.0), (4.0, -4.0)), 2.0), (((2.0, 2.5), (8.0, 2.5)), 0.0)],
)
def test_a_person_walking_at_1_mps_is_reported_as_a_mover_after_one_and_a_half_seconds(
    cart: RobotSpec,
    yard: WorldMap,
    renderer: SceneRenderer,
    path: tuple[tuple[float, float], ...],
    start_s: float,
    command: tuple[float, float],
) -> None:
    who = ObjectSpec("p", "person", (*path[0], 0.0), motion=Motion(path, 1.0, start_s))
    watch = Watch(cart, yard, renderer, [who], seed=5)
    errors, ghosts = [], 0
    while watch.robot.time_s < start_s + 5.0:
        watch.period(command)
        now_s = watch.robot.time_s
        if now_s < start_s + 1.5:
            continue
        x, y, _ = motion_pose(who, now_s)
        vx, vy = motion_velocity(who, now_s)
        scene = watch.perception.scene()
        near = [m for m in scene.movers if math.hypot(m.x_m - x, m.y_m - y) < 0.5]
        assert near, f"nobody seen at {now_s:.2f} s"
        errors.append(min(math.hypot(m.vx_mps - vx, m.vy_mps - vy) for m in near))
        ghosts += len(scene.movers) - len(near)
    assert np.percentile(errors, 90) < 0.3
    assert np.median(errors) < 0.2
    assert ghosts <= 4, "the person is also reported where they were"


def test_a_person_keeps_their_name_when_they_start_to_walk(
    cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer
) -> None:
    who = ObjectSpec("p", "person", (3.5, 1.0, 0.0), motion=Motion(((3.5, 1.0), (3.5, -3.0)), 1.0, 2.0))
    watch = Watch(cart, yard, renderer, [who], seed=2)
    while watch.robot.time_s < 1.9:
        watch.period()
    (standing,) = watch.perception.scene().movers
    while watch.robot.time_s < 5.0:
        watch.period()
    walking = [m for m in watch.perception.scene().movers if math.hypot(m.vx_mps, m.vy_mps) > 0.5]
    assert [m.id for m in walking] == [standing.id]


def test_what_was_seen_is_remembered_when_the_robot_looks_away(
    cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer
) -> None:
    pallet = ObjectSpec("a", "pallet", (3.0, 0.0, 20.0))  # too low for the lidar
    watch = Watch(cart, yard, renderer, [pallet], seed=6)
    while watch.robot.time_s < 1.0:
        watch.period()
    while abs(watch.robot.truth().pose[2]) < math.radians(150):
        watch.period((0.0, 0.8))
    off = gaps_to_perceived(np.array([pallet.pose[:2]]), watch.perception.scene().obstacles)
    assert off[0] < 0.4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_pose_is_known_within_4_cm_and_1_degree(
    cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer, seed: int
) -> None:
    watch = Watch(cart, yard, renderer, [], seed)
    off_m, off_rad = [], []
    for period in range(300):
        watch.period((0.6, 0.6 * math.sin(period / 40)))
        if period >= 20:
            true, believed = watch.robot.truth().pose, watch.perception.robot_state().pose
            off_m.append(math.hypot(*(true - believed)[:2]))
            off_rad.append(abs(wrap(true[2] - believed[2])))
    assert np.percentile(off_m, 95) < 0.04
    assert math.degrees(np.percentile(off_rad, 95)) < 1.0
