"""Yards in which people walk: made as they are said to be, driven, and what is touched is counted."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.sim.crossing import DROVE, STOOD, Crossing, cross, summary, touched, walkers
from jpai_agent.sim.discrimination import random_yard
from jpai_agent.sim.runner import PERIOD_S
from jpai_agent.sim.trajectory import Recording
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
    assert crossing.rollouts == ("", "", "")
    assert crossing.chain == ""
    # the gate stops before what is ahead; it does not plan round those who come from the side
    assert crossing.gate != ""


def test_figures_count_only_what_was_driven_after_a_passed_verdict() -> None:
    found = [Crossing(True, ("", DROVE, STOOD), 3, "", DROVE), Crossing(False, chain=STOOD), Crossing(False)]
    figures = summary(found)
    assert (figures["episodes"], figures["not_passed"]) == (1, 2)
    assert [figures["rollouts"][name] for name in ("n", "contacts", "walked_into")] == [3, 1, 1]
    assert [figures["chain"][name] for name in ("n", "contacts", "walked_into")] == [2, 0, 1]
    assert [figures["gate"][name] for name in ("n", "contacts", "walked_into")] == [1, 1, 0]
    assert figures["arrived"] == 1.0


def recording(speeds_mps: list[float], contact_s: float | None) -> Recording:
    """A drive along x at these speeds, one a period, with somebody touched at a time."""
    times = np.arange(len(speeds_mps)) * PERIOD_S
    velocities = np.column_stack([speeds_mps, np.zeros((len(times), 2))])
    contacts = () if contact_s is None else ((contact_s, frozenset({"p0"})),)
    return Recording((), times, np.zeros((len(times), 3)), velocities, np.zeros((len(times), 0, 3)), contacts)


def test_a_contact_is_the_robots_doing_when_it_has_driven_lately() -> None:
    assert touched(recording([0.3] * 40, None)) == ""
    assert touched(recording([0.3] * 40, 1.5)) == DROVE
    assert touched(recording([0.3] * 20 + [0.0] * 10, 1.4)) == DROVE
    # it has stood for over a second; that it is pushed is not driving
    assert touched(recording([0.3] * 20 + [0.0] * 30 + [0.2], 2.5)) == STOOD
