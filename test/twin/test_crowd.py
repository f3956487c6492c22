"""People of the rollouts: blind to what moves, polite to what stands, known only when near."""

import numpy as np
import pytest

from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.crowd import Crowd
from jpai_agent.twin.gaps import box_to_circle, footprints
from jpai_agent.twin.perturb import draw
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, RobotState, Scene

CONFIG, CART = load_rehearsal(), load_robot("cart")
BOUNDS, HALF, TICK_S, N = (-12.0, -8.0, 12.0, 8.0), (0.35, 0.25), 0.05, 16


def crowd_of(mover: Mover) -> Crowd:
    scene = Scene("s", 0.0, RobotState(0.0, 0.0, 0.0), (), (mover,))
    drawn = draw(scene, CART, CONFIG, rollouts=N, ticks=400, tick_s=TICK_S, rng=np.random.default_rng(0))
    return Crowd(drawn, CONFIG.people, BOUNDS, HALF, CONFIG.judge.moving_mps, TICK_S, np.random.default_rng(1))


def walk(crowd: Crowd, robot_speed_mps: float, ticks: int = 400) -> np.ndarray:
    """Smallest gap to a robot at the origin per rollout (N,)."""
    poses, gaps = np.zeros((N, 3)), []
    for tick in range(ticks):
        crowd.advance(tick, poses, np.full(N, robot_speed_mps))
        gaps.append(box_to_circle(footprints(poses, HALF)[:, None], crowd.xy, 0.35)[:, 0])
    return np.min(gaps, axis=0)


HEADING_HERE = Mover("p", 4.0, 0.05, -1.0, 0.0, 0.35, 1.7, 0.0)


def test_the_nominal_walker_goes_straight_on():
    crowd = crowd_of(Mover("p", 4.0, 3.0, -1.0, 0.0, 0.35, 1.7, 0.0))
    walk(crowd, 0.5, ticks=100)
    assert crowd.xy[0, 0] == pytest.approx([-1.0, 3.0])


def test_people_walk_round_a_robot_that_stands_and_get_past_it():
    crowd = crowd_of(HEADING_HERE)
    assert walk(crowd, 0.0).min() > 0.1
    assert (crowd.xy[:, 0, 0] < -0.5).mean() > 0.6


def test_people_do_not_see_a_robot_that_moves():
    assert walk(crowd_of(HEADING_HERE), 0.5).min() < 0.0


def test_people_stay_within_the_walls():
    crowd = crowd_of(Mover("p", 10.0, 0.0, 1.5, 0.5, 0.35, 1.7, 0.0))
    walk(crowd, 0.0)
    assert (crowd.xy >= np.array(BOUNDS[:2])).all()
    assert (crowd.xy <= np.array(BOUNDS[2:])).all()


def test_what_is_told_follows_the_truth_with_noise_except_in_the_nominal_rollout():
    crowd = crowd_of(HEADING_HERE)
    walk(crowd, 0.5, ticks=20)
    xy, velocity = crowd.told()
    assert xy[0] == pytest.approx(crowd.xy[0])
    assert velocity[0, 0] == pytest.approx([-1.0, 0.0])
    assert 0.0 < np.abs(xy - crowd.xy).max() < 0.2


def test_who_is_far_away_is_not_seen():
    crowd = crowd_of(Mover("p", 11.0, 0.0, 0.0, 0.0, 0.35, 1.7, 0.0))
    assert not crowd.seen(np.zeros((N, 3))).any()
    assert crowd.seen(np.tile([5.0, 0.0, 0.0], (N, 1))).all()
