"""The judge on hand-made trajectories: every predicate true and false, contacts, decisions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jpai_agent.sim.episode import Episode, Turn
from jpai_agent.sim.expectations import Condition, Expectation, TurnExpectation
from jpai_agent.sim.judge import failed_predicates, judge
from jpai_agent.sim.predicates import holds
from jpai_agent.sim.trajectory import Decision, Recording
from jpai_agent.world.objects import Motion, ObjectSpec, motion_pose

DT_S = 0.05
BOX = ObjectSpec("a", "box", (4.0, 0.0, 0.0), size="medium")  # 0.5 m wide: its near face is at x = 3.75
DRUM = ObjectSpec("d", "drum", (0.0, 3.0, 0.0), size="large")  # radius 0.35 m
WALKER = ObjectSpec("p", "person", (0, 0, 0), motion=Motion(((2.0, 0.0), (12.0, 0.0)), 1.0, 1.0))
ACT = Decision(0, 1.0, "act", None)


def course(
    *legs: tuple[float, float, float],
    specs: tuple[ObjectSpec, ...] = (BOX, DRUM, WALKER),
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **also: Any,
) -> Recording:
    """A recording of (seconds, v m/s, w deg/s) legs driven one after the other, speeds changing at once."""
    pose, poses, velocities = np.array([start[0], start[1], math.radians(start[2])]), [], []
    for seconds, v, w_deg in legs:
        w = math.radians(w_deg)
        for _ in range(round(seconds / DT_S)):
            poses.append(pose.copy())
            velocities.append([v, 0.0, w])
            middle = pose[2] + w * DT_S / 2
            pose = pose + np.array([v * math.cos(middle), v * math.sin(middle), w]) * DT_S
    poses.append(pose)
    velocities.append([legs[-1][1], 0.0, math.radians(legs[-1][2])])
    times = np.arange(len(poses)) * DT_S
    objects = np.array([[motion_pose(s, t) for s in specs] for t in times]).reshape(len(times), len(specs), 3)
    return Recording(specs, times, np.array(poses), np.array(velocities), objects, **also)


def episode(turns: int = 1, **expect: Any) -> Episode:
    said = tuple(Turn(say="x", at_s=float(i)) for i in range(turns))
    return Episode(
        "e",
        "yard",
        "cart",
        0,
        (),
        (0, 0, 0),
        0.0,
        (BOX, DRUM, WALKER),
        (),
        said,
        60.0,
        Expectation.model_validate(expect),
    )


def true_at_end(recording: Recording, **predicates: Any) -> bool:
    return bool(holds(recording, Condition.model_validate(predicates))[-1])


STOP = (1.5, 0.0, 0.0)
TO_THE_BOX = course((1.0, 0, 0), (2.6, 1.0, 0), STOP)  # the nose is then at x = 2.95: the gap is 0.8 m


@pytest.mark.parametrize(
    ("bounds", "true"),
    [
        ({"max_m": 0.85}, True),
        ({"max_m": 0.75}, False),
        ({"min_m": 0.75, "max_m": 1.0}, True),
        ({"min_m": 0.85}, False),
    ],
)
def test_near_is_the_gap_between_footprints(bounds: dict[str, float], true: bool) -> None:
    assert true_at_end(TO_THE_BOX, near={"object": "a", **bounds}) is true


def test_near_knows_turned_footprints_round_things_and_overlap() -> None:
    turned = course(STOP, start=(0.0, 0.0, 90.0))
    assert true_at_end(turned, near={"object": "d", "min_m": 2.29, "max_m": 2.31})  # 3 − 0.35 − 0.35
    slanted = course(STOP, start=(0.0, 0.0, 45.0))
    reach = 3.0 - 0.35 - math.hypot(0.35, 0.25) * math.cos(math.atan2(0.25, 0.35) - math.pi / 4)
    assert true_at_end(slanted, near={"object": "d", "max_m": reach + 0.1})
    inside = course(STOP, start=(4.0, 0.0, 30.0))
    assert true_at_end(inside, near={"object": "a", "max_m": 0.0})
    crossing = course(STOP, specs=(ObjectSpec("a", "shelf", (0.0, 0.0, 0.0), size="large"),))  # no corner in the other
    assert true_at_end(crossing, near={"object": "a", "max_m": 0.0})


def test_near_follows_a_moving_object() -> None:
    waiting = course((6.0, 0, 0))
    gap = holds(waiting, Condition.model_validate({"near": {"object": "p", "max_m": 2.0}}))
    assert gap[0]
    assert not gap[-1]


@pytest.mark.parametrize(("box", "true"), [([2, -1, 3, 1], True), ([2.7, -1, 3, 1], False), ([2, 0.1, 3, 1], False)])
def test_inside_is_about_base_links_origin(box: list[float], true: bool) -> None:
    assert true_at_end(TO_THE_BOX, inside={"box": box}) is true


@pytest.mark.parametrize(
    ("deg", "tol_deg", "true"), [(170, 5, True), (-190, 5, True), (-185, 10, True), (-170, 15, False)]
)
def test_heading_is_wrapped(deg: float, tol_deg: float, true: bool) -> None:
    assert true_at_end(course((2.0, 0, 85), STOP), heading={"deg": deg, "tol_deg": tol_deg}) is true


def test_facing_is_towards_the_objects_centre() -> None:
    assert true_at_end(TO_THE_BOX, facing={"object": "a", "tol_deg": 2})
    assert not true_at_end(TO_THE_BOX, facing={"object": "d", "tol_deg": 20})
    assert true_at_end(course((1.0, 0, 90), STOP), facing={"object": "d", "tol_deg": 2})


def test_stopped_means_a_whole_second_of_neither_driving_nor_turning() -> None:
    assert true_at_end(TO_THE_BOX, stopped={})
    assert not true_at_end(course((2.0, 0.5, 0), (0.5, 0, 0)), stopped={})
    assert not true_at_end(course((2.0, 0.0, 10)), stopped={})
    assert not true_at_end(course((0.5, 0.0, 0)), stopped={})


@pytest.mark.parametrize(
    ("forward_m", "left_m", "true"), [(0.0, 2.0, True), (0.1, 1.9, True), (0.5, 2.0, False), (2.0, 0.0, False)]
)
def test_moved_is_the_net_displacement_in_the_start_frame(forward_m: float, left_m: float, true: bool) -> None:
    # starts heading north, turns left and drives two metres west: to its own left
    recording = course((1.0, 0, 90), (2.0, 1.0, 0), STOP, start=(5.0, 5.0, 90.0))
    assert true_at_end(recording, moved={"forward_m": forward_m, "left_m": left_m, "tol_m": 0.2}) is true


@pytest.mark.parametrize(("deg", "true"), [(-90, True), (270, True), (90, False), (-110, False)])
def test_turned_is_the_net_turn_wrapped(deg: float, true: bool) -> None:
    assert true_at_end(course((3.0, 0, 90), STOP, start=(0, 0, 120)), turned={"deg": deg, "tol_deg": 10}) is true


class TestWaited:
    """One unbroken standstill of a length, two-sided."""

    def test_of_the_right_length(self) -> None:
        recording = course((0.5, 0, 0), (2.0, 0.5, 0), (3.0, 0, 0), (2.0, 0.5, 0))
        assert true_at_end(recording, waited={"seconds": 3, "tol_s": 0.2})
        assert not true_at_end(recording, waited={"seconds": 4, "tol_s": 0.5})
        assert not true_at_end(recording, waited={"seconds": 2, "tol_s": 0.5})

    def test_must_not_be_broken_by_a_move_or_a_turn(self) -> None:
        for between in ((0.5, 0.3, 0.0), (0.5, 0.0, 30.0)):
            recording = course((0.5, 0, 0), (2.0, 0.5, 0), (1.5, 0, 0), between, (1.5, 0, 0), (2.0, 0.5, 0))
            assert not true_at_end(recording, waited={"seconds": 3, "tol_s": 0.6})

    def test_does_not_count_the_first_half_second_nor_what_follows_the_last_plan(self) -> None:
        recording = course((3.5, 0, 0), (2.0, 0.5, 0))
        assert true_at_end(recording, waited={"seconds": 3, "tol_s": 0.1})
        assert not true_at_end(recording, waited={"seconds": 3.5, "tol_s": 0.1})
        after = course((0.5, 0, 0), (2.0, 0.5, 0), (5.0, 0, 0), plan_ended_s=5.5)
        assert true_at_end(after, waited={"seconds": 3, "tol_s": 0.1})
        assert not true_at_end(after, waited={"seconds": 5, "tol_s": 0.5})

    def test_may_have_to_be_near_something(self) -> None:
        recording = course((0.5, 0, 0), (2.6, 1.0, 0), (3.0, 0, 0), (1.0, -0.3, 0), plan_ended_s=7.0)
        assert true_at_end(recording, waited={"seconds": 3, "tol_s": 0.2, "near": {"object": "a", "max_m": 1.0}})
        assert not true_at_end(recording, waited={"seconds": 3, "tol_s": 0.2, "near": {"object": "d", "max_m": 1.0}})

    def test_in_a_sequence_comes_after_the_item_before(self) -> None:
        wait = {"waited": {"seconds": 3, "tol_s": 0.3}}
        there = {"near": {"object": "a", "max_m": 1.0}}
        late = course((0.5, 0, 0), (2.6, 1.0, 0), (3.0, 0, 0), (2.0, -0.4, 0))
        early = course((0.5, 0, 0), (0.5, 1.0, 0), (3.0, 0, 0), (2.1, 1.0, 0), (1.0, 0, 0), plan_ended_s=7.0)
        assert failed_predicates(episode(sequence=[there, wait]), late) == []
        assert failed_predicates(episode(sequence=[there, wait]), early) == ["sequence[1].waited"]
        # standing since a second when the item before came true: the whole standstill is the wait
        assert failed_predicates(episode(sequence=[there | {"stopped": {}}, wait]), late) == []


def test_speed_is_the_median_of_a_motion_without_its_first_and_last_three_seconds() -> None:
    recording = course((1.0, 0, 0), (3.0, 1.1, 0), (4.0, 0.4, 0), (3.0, 1.1, 0), STOP, decisions=(ACT,))
    assert true_at_end(recording, speed={"min_mps": 0.35, "max_mps": 0.45})
    assert not true_at_end(recording, speed={"min_mps": 0.5})
    assert not true_at_end(course((5.0, 0.4, 0), STOP), speed={"max_mps": 0.5}), "too short to have a middle"


def test_speed_counts_from_the_latest_turns_plan() -> None:
    decisions = (ACT, Decision(1, 12.0, "act", None))
    recording = course((12.0, 1.0, 0), (10.0, 0.4, 0), STOP, decisions=decisions)
    assert true_at_end(recording, speed={"max_mps": 0.45})
    assert not true_at_end(replace(recording, decisions=(ACT,)), speed={"max_mps": 0.45})


def test_speed_in_a_sequence_is_over_any_two_seconds() -> None:
    recording = course((1.0, 0, 0), (2.5, 1.0, 0), (2.5, 0.4, 0), STOP)
    slow, fast = {"speed": {"max_mps": 0.45}}, {"speed": {"min_mps": 0.9}}
    assert failed_predicates(episode(sequence=[fast, slow]), recording) == []
    assert failed_predicates(episode(sequence=[slow, fast]), recording) == ["sequence[1].speed"]
    assert failed_predicates(episode(sequence=[slow]), course((1.5, 0.4, 0), (1.5, 0, 0))) == ["sequence[0].speed"]


def test_followed_is_a_share_of_the_time_from_three_seconds_after_the_start() -> None:
    # the walker moves at 1 m/s from 1 s to 11 s; the robot starts after 2 s, keeps up, or gives up
    along = course((2.0, 0, 0), (10.0, 1.0, 0))
    assert true_at_end(along, followed={"object": "p", "max_gap_m": 2.8, "fraction": 0.9})
    gave_up = course((2.0, 0, 0), (4.0, 1.0, 0), (6.0, 0, 0))
    assert not true_at_end(gave_up, followed={"object": "p", "max_gap_m": 2.8, "fraction": 0.5})
    assert true_at_end(gave_up, followed={"object": "p", "max_gap_m": 2.8, "fraction": 0.25})
    assert not true_at_end(along, followed={"object": "a", "max_gap_m": 9, "fraction": 0.1}), (
        "what stands is not followed"
    )
    assert not true_at_end(course((2.0, 0, 0)), followed={"object": "p", "max_gap_m": 9, "fraction": 0.1})


def test_stationary_means_never_away_from_the_start() -> None:
    assert true_at_end(course((3.0, 0, 0)), stationary={})
    assert true_at_end(course((1.0, 0.08, 4), (1.0, 0, 0)), stationary={})
    assert not true_at_end(course((1.0, 0.12, 0), (1.0, -0.12, 0)), stationary={}), (
        "back at the start is not never away"
    )
    assert not true_at_end(course((1.0, 0.0, 6), (1.0, 0, -6)), stationary={})


def test_said_searches_replies_in_order() -> None:
    recording = course((5.0, 0, 0), said=((1.0, "赤い箱へ行きます。"), (3.0, "着きました。")))
    assert true_at_end(recording, said={"matches": "箱"})
    assert not true_at_end(recording, said={"matches": "^箱"})
    assert not true_at_end(recording, said={"matches": "青"})
    first, second = {"said": {"matches": "行きます"}}, {"said": {"matches": "着"}}
    assert failed_predicates(episode(sequence=[first, second]), recording) == []
    assert failed_predicates(episode(sequence=[second, first]), recording) == ["sequence[1].said"]


def test_final_never_and_sequence_name_what_failed() -> None:
    expect = {
        "final": [{"near": {"object": "a", "max_m": 0.5}, "stopped": {}}],
        "never": [{"near": {"object": "a", "max_m": 1.0}, "stopped": {}}, {"inside": {"box": [-9, -9, -8, -8]}}],
        "sequence": [{"inside": {"box": [1, -1, 2, 1]}}, {"inside": {"box": [0, -1, 0.5, 1]}}],
    }
    assert failed_predicates(episode(**expect), TO_THE_BOX) == [
        "final[0].near",
        "sequence[1].inside",
        "never[0].near+stopped",
    ]
    assert failed_predicates(episode(sequence=[{"stopped": {}}, {"inside": {"box": [2, -1, 3, 1]}}]), TO_THE_BOX) == []


class TestContacts:
    """Any contact counts when the robot drove within the last second or stood in the other's way."""

    def contacts(self, recording: Recording) -> tuple[str, ...]:
        return judge(episode(), recording).contacts

    def test_while_driving_or_just_after(self) -> None:
        drove = course((2.0, 0.5, 0), (3.0, 0, 0))
        assert self.contacts(replace(drove, contacts=((1.0, frozenset({"a", "wall_east"})),))) == ("a", "wall_east")
        assert self.contacts(replace(drove, contacts=((2.9, frozenset({"a"})),))) == ("a",)

    def test_long_after_standing_still_against_something_that_stands_is_no_new_fault(self) -> None:
        drove = course((2.0, 0.5, 0), (3.0, 0, 0))
        assert self.contacts(replace(drove, contacts=((4.0, frozenset({"a"})),))) == ()

    def test_someone_walking_into_a_robot_that_stopped_in_their_way(self) -> None:
        drove = course((2.0, 0.5, 0), (3.0, 0, 0), contacts=((4.0, frozenset({"p"})),))
        assert self.contacts(drove) == ("p",)

    def test_someone_walking_into_a_robot_that_never_moved_is_not_its_fault(self) -> None:
        assert self.contacts(course((5.0, 0, 0), contacts=((4.0, frozenset({"p"})),))) == ()

    def test_a_contact_fails_the_goal(self) -> None:
        recording = course((2.0, 0.5, 0), (3.0, 0, 0), decisions=(ACT,))
        assert judge(episode(decision="act"), recording).goal_reached
        assert not judge(episode(decision="act"), replace(recording, contacts=((1.0, frozenset({"a"})),))).goal_reached


class TestDecisions:
    """Judged on the first turn, and on later ones that say so."""

    @pytest.mark.parametrize(
        ("expect", "right"),
        [
            ({"decision": "ask"}, True),
            ({"decision": ["act", "ask"]}, True),
            ({"decision": "act"}, False),
            ({}, True),
            ({"decision": "ask", "reason": "ambiguous"}, True),
            ({"decision": "ask", "reason": ["not_found", "ambiguous"]}, True),
            ({"decision": "ask", "reason": "not_found"}, False),
            ({"decision": "ask", "reason": None}, True),
        ],
    )
    def test_acceptable_values_may_be_a_list(self, expect: dict[str, Any], right: bool) -> None:
        recording = course((2.0, 0, 0), decisions=(Decision(0, 0.5, "ask", "ambiguous"),))
        assert judge(episode(**expect), recording).decision_right is right

    def test_none_at_all_is_wrong_and_the_goal_is_missed(self) -> None:
        found = judge(episode(decision="act"), course((2.0, 0, 0)))
        assert (found.decision, found.decision_right, found.goal_reached) == (None, False, False)

    def test_a_later_turn_is_judged_where_it_carries_its_own(self) -> None:
        asked = replace(
            episode(2, decision="act"),
            turns=(Turn(say="x"), Turn(say="y", at_s=1.0, expect=TurnExpectation(decision="ask"))),
        )
        for second, right in (("ask", True), ("act", False)):
            reason = "ambiguous" if second == "ask" else None
            recording = course((2.0, 0, 0), decisions=(ACT, Decision(1, 1.5, second, reason)))
            assert judge(asked, recording).decision_right is right

    def test_of_an_overtaken_turn_is_that_of_the_turn_that_overtook_it(self) -> None:
        recording = course((2.0, 0, 0), decisions=(Decision(1, 0.9, "act", None),))
        assert judge(episode(2, decision="act"), recording).decision_right

    def test_the_first_one_of_a_turn_counts(self) -> None:
        recording = course((2.0, 0, 0), decisions=(ACT, Decision(0, 5.0, "ask", "not_found")))
        assert judge(episode(decision="act"), recording).decision == "act"


def test_an_empty_recording_is_refused() -> None:
    nothing = Recording((), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 0, 3)))
    with pytest.raises(ValueError, match="empty"):
        judge(episode(), nothing)
