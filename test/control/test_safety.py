"""What the way ahead allows: room before obstacles, room for people, and nothing to fear from what is left behind."""

import numpy as np
import pytest
from plant import CART

from jpai_agent.control import View
from jpai_agent.control.safety import AHEAD_M, PERSON_GAP_M, PERSON_NEAR_MPS, allowed
from jpai_agent.control.tracking import ahead_straight

FRONT_M = CART.length_m / 2


def look(*, boxes=(), movers=(), pose=(0.0, 0.0, 0.0), v=0.5, approached=None, way=1.0, **more):
    view = View(0.0, np.array([pose], dtype=float), np.array([[v, 0.0]]), np.array(boxes, dtype=float).reshape(1, -1, 5),
                np.array(movers, dtype=float).reshape(1, -1, 5), tuple(f"p{i}" for i in range(len(movers))))
    near = np.zeros(len(movers), dtype=bool) if approached is None else np.array(approached)
    ahead, reach = ahead_straight(view.pose, way, np.array([3.0]))
    found = allowed(view, np.array([0]), ahead, reach, np.array([v]), CART, near, **more)
    return float(found.free_m[0]), float(found.most_mps[0])


def test_an_empty_yard_allows_everything():
    assert look() == (np.inf, np.inf)


def test_it_can_go_until_the_stopping_room_before_an_obstacle():
    free, _ = look(boxes=[(1.5, 0, 0, 0.25, 0.25)])
    assert free == pytest.approx(1.25 - FRONT_M - AHEAD_M, abs=0.06)
    assert free <= 1.25 - FRONT_M - AHEAD_M


@pytest.mark.parametrize("box", [(1.0, 0.7, 0, 0.3, 0.3), (-1.0, 0, 0, 0.3, 0.3), (6.0, 0, 0, 0.3, 0.3)])
def test_what_is_beside_behind_or_far_off_is_not_in_the_way(box):
    assert look(boxes=[box])[0] == np.inf


def test_in_reverse_it_looks_behind():
    assert look(boxes=[(-1.0, 0, 0, 0.3, 0.3)], way=-1.0)[0] < 0.3
    assert look(boxes=[(1.0, 0, 0, 0.3, 0.3)], way=-1.0)[0] == np.inf


def test_what_it_touches_already_does_not_keep_it_from_leaving():
    assert look(boxes=[(-0.36, 0, 0, 0.05, 0.3)])[0] == np.inf


def test_a_person_who_stands_ahead_is_given_room():
    free, most = look(movers=[(2.0, 0, 0, 0, 0.35)])
    assert free == pytest.approx(2.0 - 0.35 - FRONT_M - PERSON_GAP_M, abs=0.05)
    assert most > PERSON_NEAR_MPS


def test_near_a_person_it_crawls():
    assert look(movers=[(0.5, 1.2, 0, 0, 0.35)])[1] == pytest.approx(PERSON_NEAR_MPS, abs=0.01)
    assert look(movers=[(0.5, 4.0, 0, 0, 0.35)])[1] == np.inf


def test_who_will_cross_is_waited_for_and_who_has_crossed_is_not():
    coming = look(movers=[(1.5, -2.0, 0, 1.0, 0.35)])[0]
    gone = look(movers=[(1.5, 1.2, 0, 1.0, 0.35)])[0]
    assert coming < 1.5
    assert gone == np.inf


def test_a_walker_close_by_passes_a_robot_that_stands():
    assert look(movers=[(0.0, 0.9, 1.0, 0, 0.35)], v=0.0)[0] == 0.0
    assert look(movers=[(0.0, 0.9, 0.0, 0, 0.35)], v=0.0)[0] > 0.0


def test_a_person_who_is_asked_for_may_be_approached():
    person = [(1.6, 0, 0, 0, 0.35)]
    assert look(movers=person, approached=[True])[0] > look(movers=person)[0] + 0.3


def test_who_is_out_of_sight_is_nowhere():
    assert look(movers=[(np.nan,) * 4 + (0.35,)]) == (np.inf, np.inf)
