"""What voids a running verdict: what appears, moves or strays near the corridor, but not seeing more of the known."""

import numpy as np
import pytest

from jpai_agent.twin.changes import needs_rehearsal
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.scene import Mover, Obstacle, RobotState, Scene

PATH = np.array([[0.0, 0.0], [6.0, 0.0]])
PASSED = Verdict("v", "pass", 0.0, 32, 1.0, Binding("p", "q", "s", "r", "m", "t"))
FAILED = Verdict("v", "fail", 0.0, 32, 0.0, Binding("p", "q", "s", "r", "m", "t"))


def box(x, y, half_x=0.25, half_y=0.25, name="box") -> Obstacle:
    return Obstacle(name, x, y, 0.0, half_x, half_y, 0.5)


def person(x, y, vx=0.0, vy=0.0, name="person") -> Mover:
    return Mover(name, x, y, vx, vy, 0.35, 1.7, 0.0)


def seen(*things, at_s=0.0) -> Scene:
    return Scene("s", at_s, RobotState(0.0, 0.0, 0.0), tuple(t for t in things if isinstance(t, Obstacle)),
                 tuple(t for t in things if isinstance(t, Mover)))


def changed(old: Scene, new: Scene, path=PATH):
    return needs_rehearsal(PASSED, old, new, path)


@pytest.mark.parametrize("verdict", [None, FAILED])
def test_without_a_passed_verdict_there_is_nothing_to_keep(verdict):
    assert needs_rehearsal(verdict, seen(), seen(), PATH)


def test_an_unchanged_scene_keeps_the_verdict():
    things = box(3, 1), person(4, -2, 0.0, 0.0)
    assert changed(seen(*things), seen(*things, at_s=5.0)) is None


def test_an_obstacle_that_appears_near_the_corridor_voids_it():
    assert "box" in changed(seen(), seen(box(3, 1.2)))


def test_an_obstacle_that_appears_far_from_the_corridor_does_not():
    assert changed(seen(), seen(box(3, 1.8))) is None
    assert changed(seen(), seen(box(-2, 0))) is None


@pytest.mark.parametrize(("shift_m", "voids"), [(0.1, False), (0.19, False), (0.3, True)])
def test_a_moved_obstacle_counts_from_a_fifth_of_a_metre(shift_m, voids):
    assert bool(changed(seen(box(3, 1)), seen(box(3, 1 - shift_m)))) is voids


def test_seeing_the_back_of_a_known_thing_changes_nothing():
    front, whole = box(3, 1.0, 0.4, 0.03), box(3, 1.37, 0.4, 0.4)
    assert changed(seen(front), seen(whole)) is None


def test_a_known_thing_that_turns_out_to_reach_along_the_corridor_does():
    assert changed(seen(box(3, 0.8, 0.1, 0.1)), seen(box(4, 0.8, 1.1, 0.1)))


def test_a_known_thing_falling_into_pieces_changes_nothing():
    assert changed(seen(box(3, 1, 0.5, 0.3)), seen(box(2.7, 1, 0.2, 0.3, "a"), box(3.4, 1, 0.1, 0.3, "b"))) is None


def test_a_walker_on_its_predicted_way_keeps_the_verdict():
    old = seen(person(3, 3, 0.0, -1.0))
    for way in (person(3, 2.0, 0.0, -1.0), person(3.4, 2.1, 0.3, -0.9), person(3, 3, 0.0, 0.0)):
        assert changed(old, seen(way, at_s=1.0)) is None


@pytest.mark.parametrize("way", [person(3, 0.5, 0.0, -1.0), person(4.2, 2.8, 1.0, 0.0), person(3, 3.8, 0.0, 1.0)])
def test_a_walker_elsewhere_has_left_its_predicted_set(way):
    assert "predicted" in changed(seen(person(3, 3, 0.0, -1.0)), seen(way, at_s=1.0))


def test_a_standing_person_who_walks_off_voids_it():
    assert changed(seen(person(3, 1.5)), seen(person(3, 1.0, 0.0, -0.8), at_s=1.0))


def test_a_standing_thing_taken_for_a_person_later_changes_nothing_until_it_walks():
    old = seen(box(3, 1.5, 0.25, 0.15))
    assert changed(old, seen(person(3, 1.5))) is None
    assert changed(old, seen(person(3, 1.4, 0.0, -0.8)))


def test_a_walker_who_comes_from_far_matters_when_it_can_be_there_soon():
    assert changed(seen(), seen(person(3, 6, 0.0, 0.0))) is None
    assert changed(seen(), seen(person(3, 4, 0.0, -1.2)))


def test_a_robot_that_stays_watches_its_surroundings():
    assert changed(seen(), seen(box(0.9, 0)), path=np.zeros((0, 2)))
    assert changed(seen(), seen(box(3, 0)), path=np.zeros((0, 2))) is None
