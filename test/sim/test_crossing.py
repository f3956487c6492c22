"""Yards in which people walk: made as they are said to be, driven, and what is touched is counted."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.sim.crossing import Crossing, cross, summary, walkers
from jpai_agent.sim.discrimination import random_yard
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import load_map


def test_people_walk_clear_of_what_stands_and_not_into_a_robot_that_has_not_set_out() -> None:
    world_map = load_map("yard")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pose, things = random_yard(rng, world_map)
        people = walkers(rng, world_map, pose, things)
        assert 1 <= len(people) <= 3
        for person in people:
            assert person.motion is not None
            along = np.linspace(*person.motion.path, 100)
            assert np.hypot(*(along - pose[:2]).T).min() > 1.0
            for thing in things:
                assert np.hypot(*(along - thing.pose[:2]).T).min() > 0.3 + math.hypot(*thing.dimensions_m[:2]) / 2


def test_the_rehearsed_way_touches_nobody_where_a_blind_driver_behind_the_gate_does() -> None:
    with SceneRenderer() as renderer:
        crossing = cross(0, 2, renderer)
    assert crossing is not None and crossing.passed
    assert crossing.rollouts == (False, False, False)
    assert crossing.chain is False
    # the gate stops before what stands ahead; it does not get out of the way of those who walk into the robot
    assert crossing.gate is True


def test_figures_count_only_what_was_driven_after_a_passed_verdict() -> None:
    found = [Crossing(True, (False, True, False), 3, False, True), Crossing(False, chain=False), Crossing(False)]
    figures = summary(found)
    assert (figures["episodes"], figures["not_passed"]) == (1, 2)
    assert (figures["rollouts"]["n"], figures["rollouts"]["contacts"]) == (3, 1)
    assert (figures["chain"]["n"], figures["chain"]["contacts"]) == (2, 0)
    assert (figures["gate"]["n"], figures["gate"]["contacts"]) == (1, 1)
    assert figures["arrived"] == 1.0
