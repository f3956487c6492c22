"""The judge: which rule a recorded rollout broke first, and how close it came to anything."""

import dataclasses

import numpy as np
import pytest

from jpai_agent.twin.config import load_rehearsal
from jpai_agent.twin.gaps import box_to_box, footprints
from jpai_agent.twin.judge import Recording, box_gaps, judge, main_reason

RULES = load_rehearsal().judge
BOUNDS, HALF, TICK_S = (-12.0, -8.0, 12.0, 8.0), (0.35, 0.25), 0.05
ROWS = 41
FAR_BOX = np.array([[[0.0, 5.0, 0.0, 0.25, 0.25]]])


def straight(speed_mps=1.0, movers=1, **changes) -> Recording:
    """One rollout along the x axis from the origin for two seconds, nobody near."""
    pose = np.zeros((ROWS, 1, 3))
    pose[:, 0, 0] = np.arange(ROWS) * TICK_S * speed_mps
    return dataclasses.replace(Recording(
        pose=pose, speed_mps=np.full((ROWS, 1), speed_mps), up=np.ones((ROWS, 1)),
        contact=np.zeros((ROWS, 1), dtype=bool), mover_xy=np.full((ROWS, 1, movers, 2), 7.0),
        step=np.zeros((ROWS, 1), dtype=int), missed=np.zeros((ROWS, 1), dtype=bool), ends=np.array([ROWS]),
        outcome=["done"], exempt=np.zeros((ROWS, 1, movers), dtype=bool), diverged=np.zeros(1, dtype=bool)), **changes)


def judged(recording: Recording, boxes=FAR_BOX):
    result = judge(recording, boxes, np.array([0.35]), BOUNDS, HALF, RULES, TICK_S)
    return result.reasons[0], int(result.failed_rows[0]), float(result.clearance_m[0])


def flag(row: int) -> np.ndarray:
    flags = np.zeros((ROWS, 1), dtype=bool)
    flags[row:] = True
    return flags


def test_a_clean_run_passes_and_its_clearance_is_exact():
    reason, _, clearance_m = judged(straight(), np.array([[[1.0, 1.0, 0.0, 0.25, 0.25]]]))
    assert (reason, clearance_m) == ("", pytest.approx(0.5))


def test_a_contact_in_motion_is_a_collision_at_its_time():
    assert judged(straight(contact=flag(10)))[:2] == ("collision", 10)


def test_overlapping_footprints_are_a_collision_even_where_the_physics_saw_no_contact():
    assert judged(straight(), np.array([[[1.5, 0.0, 0.0, 0.25, 0.25]]]))[0] == "collision"


def test_what_touches_a_robot_that_has_long_stood_still_is_not_its_doing():
    assert judged(straight(0.0, contact=flag(30)))[0] == ""
    stopped = np.where(np.arange(ROWS)[:, None] < 20, 1.0, 0.0)
    assert judged(dataclasses.replace(
        straight(contact=flag(25)), speed_mps=stopped))[0] == "collision", "moved within the last second"


def person_at(x, y) -> np.ndarray:
    return np.tile([float(x), float(y)], (ROWS, 1, 1, 1))


def test_passing_a_person_closely_is_too_close_and_standing_by_one_is_not():
    beside = person_at(1.0, 0.25 + 0.2 + 0.35)
    assert judged(straight(mover_xy=beside))[0] == "person_too_close"
    assert judged(straight(0.0, mover_xy=person_at(0.0, 0.8)))[0] == ""


def test_a_robot_that_creeps_may_come_nearer_to_people():
    beside = person_at(0.7, 0.25 + 0.25 + 0.35)
    assert judged(straight(0.2, mover_xy=beside))[0] == ""
    assert judged(straight(0.4, mover_xy=beside))[0] == "person_too_close"
    assert judged(straight(0.3, mover_xy=person_at(0.9, 0.25 + 0.05 + 0.35)))[0] == "person_too_close"


def test_the_person_that_the_step_is_about_may_be_approached():
    beside = person_at(1.0, 0.8)
    assert judged(straight(mover_xy=beside, exempt=np.ones((ROWS, 1, 1), dtype=bool)))[0] == ""


def test_a_person_who_walks_up_to_a_robot_that_drives_away_is_not_its_doing():
    chasing = np.zeros((ROWS, 1, 1, 2))
    chasing[:, 0, 0, 0] = -1.3 + np.arange(ROWS) * TICK_S * 1.2
    assert judged(straight(mover_xy=chasing))[0] == ""


def test_a_robot_may_leave_a_person_who_stood_near_at_the_start():
    assert judged(straight(mover_xy=person_at(-0.9, 0.0)))[0] == ""
    assert judged(straight(mover_xy=person_at(0.9, 0.0)))[0] == "person_too_close"


def test_leaving_the_map_and_tipping_fail():
    assert judged(straight(12.0))[0] == "out_of_bounds"
    assert judged(straight(up=np.where(flag(7), 0.9, 1.0)))[:2] == ("tipped", 7)


def test_a_goal_that_only_the_robot_believes_in_is_not_reached():
    missed = np.zeros((ROWS, 1), dtype=bool)
    missed[18] = True
    assert judged(straight(missed=missed))[:2] == ("not_reached", 18)


@pytest.mark.parametrize("outcome", ["timeout", "blocked", "target_lost"])
def test_a_program_that_did_not_end_well_fails_by_its_own_reason(outcome):
    assert judged(straight(outcome=[outcome]))[:2] == (outcome, ROWS - 1)


def test_divergence_outweighs_everything():
    assert judged(straight(contact=flag(3), diverged=np.ones(1, dtype=bool)))[0] == "diverged"


def test_rows_after_the_end_do_not_count():
    assert judged(straight(contact=flag(20), ends=np.array([15])))[0] == ""


def test_the_first_broken_rule_is_named():
    assert judged(straight(contact=flag(12), up=np.where(flag(20), 0.9, 1.0)))[:2] == ("collision", 12)


def test_the_commonest_reason_speaks_for_all():
    assert main_reason(["", "timeout", "collision", "timeout"]) == "timeout"
    assert main_reason(["", ""]) == ""


def test_pruned_gaps_are_exact_where_they_are_smallest():
    rng = np.random.default_rng(0)
    poses = rng.uniform(-5, 5, (50, 6, 3))
    boxes = np.concatenate([rng.uniform(-5, 5, (6, 9, 3)), rng.uniform(0.05, 1.0, (6, 9, 2))], axis=2)
    full = box_to_box(footprints(poses, HALF)[:, :, None], boxes).min(axis=2)
    quick = box_gaps(poses, boxes, HALF)
    assert quick.min(axis=0) == pytest.approx(full.min(axis=0))
    assert quick[full < 0.5] == pytest.approx(full[full < 0.5])
    assert (quick <= full + 1e-9).all()
