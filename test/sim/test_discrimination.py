"""The bench of the twin's judgement: scenes, programs good and bad, and what driving them blindly does."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from jpai_agent.control import Program, ProgramError
from jpai_agent.control.segments import Straight
from jpai_agent.sim.discrimination import (
    BAD,
    SOUND,
    THINGS,
    bench_discrimination,
    make_program,
    perceived,
    random_yard,
    truly_collides,
)
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import ObjectSpec, footprint
from jpai_agent.world.robot import RobotSpec

BOX = (ObjectSpec("box", "box", (2.0, 0.0, 0.0), size="medium"),)


def ahead(distance_m: float) -> Program:
    return Program((Straight(0, 0.8, distance_m),), (0.0, 0.0, 0.0))


def _wrapped(angles: np.ndarray) -> np.ndarray:
    return np.arctan2(np.sin(angles), np.cos(angles))


def test_random_yards_repeat_and_nothing_in_them_touches_or_hides_another(yard: WorldMap) -> None:
    for seed in range(10):
        (x, y, heading_deg), things = random_yard(np.random.default_rng(seed), yard)
        assert random_yard(np.random.default_rng(seed), yard) == ((x, y, heading_deg), things)
        assert len(things) == THINGS
        corners = [footprint(thing).corners() for thing in things]
        for a, b in itertools.combinations(corners, 2):
            assert np.linalg.norm(a[:, None] - b[None], axis=2).min() > 0.3
        seen = [np.arctan2(*(outline - [x, y])[:, ::-1].T) - math.radians(heading_deg) for outline in corners]
        views = sorted((float(np.min(a)), float(np.max(a))) for a in map(_wrapped, seen))
        assert all(left[1] < right[0] for left, right in itertools.pairwise(views))
        for outline in corners:
            assert np.hypot(*(outline - [x, y]).T).min() > 0.5
            bearing = np.arctan2(*(outline.mean(axis=0) - [x, y])[::-1]) - math.radians(heading_deg)
            assert abs(math.remainder(float(bearing), math.tau)) < math.radians(45)


@pytest.mark.parametrize(("distance_m", "collides"), [(1.2, False), (2.0, True)])
def test_a_program_is_judged_by_driving_it_blindly(distance_m: float, collides: bool, cart: RobotSpec, yard: WorldMap) -> None:
    assert truly_collides(ahead(distance_m), cart, yard, BOX, (0.0, 0.0, 0.0), seed=1) is collides


def test_what_hangs_on_the_robot_is_left_undecided(cart: RobotSpec, yard: WorldMap) -> None:
    # the gap of about nothing that is left is within the localiser's error
    assert truly_collides(ahead(1.42), cart, yard, BOX, (0.0, 0.0, 0.0), seed=2) is None


def test_programs_of_every_kind_are_made_for_a_perceived_scene(cart: RobotSpec, yard: WorldMap, renderer: SceneRenderer) -> None:
    pose, things = random_yard(np.random.default_rng(3), yard)
    scene = perceived(cart, yard, things, pose, 0, renderer)
    assert len(scene.obstacles) >= THINGS // 2
    for kind in SOUND + BAD:
        for seed in range(20):
            try:
                program = make_program(kind, np.random.default_rng(seed), scene, cart, yard)
            except ProgramError:
                continue
            assert program.segments
            assert program.start[:2] == pytest.approx(pose[:2], abs=0.1)
            break
        else:
            raise AssertionError(f"no program of kind {kind}")


def test_the_twin_tells_programs_that_collide_from_those_that_do_not() -> None:
    figures = bench_discrimination(4, seed=0, jobs=1)
    assert (figures["n"]["colliding"], figures["n"]["safe"]) == (4, 4)
    assert figures["colliding_failed"] >= 0.75
    assert figures["safe_failed"] <= 0.25
    assert sum(n for _, n in figures["kinds"]["colliding"].values()) == 4
    assert set(figures["kinds"]["safe"]) <= set(SOUND)
    assert figures["machine"]["cores"] >= 1
    assert json.loads(json.dumps(figures)) == figures
