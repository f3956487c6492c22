"""Programs: a plan's steps become motions that set out where the one before ends, as plain JSON, or an error with its step."""

import json
import math

import numpy as np
import pytest
from plant import CART, HALF_M, YARD, angle, at, box, made, person, scene, spot

from jpai_agent.control import Program, ProgramError
from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.control.motions import motion_of
from jpai_agent.control.segments import Drive, Follow, LookFor, Say, Straight, TurnBy, TurnTo, Wait
from jpai_agent.plan import Step, Target
from jpai_agent.skills import skills_for

A = box("a", 4, 1)
POINTED = Target("赤い箱", "front", (500, 500))
LATER = Target("赤い箱")


def go_to(**more):
    return Step("go_to", {"target": POINTED, **more})


def kinds(program):
    return [type(segment) for segment in program.segments]


def end_of(program):
    """(3,) where the program ends: the last path's end and the last heading."""
    points = np.array([s for s in program.segments if isinstance(s, Drive)][-1].points)
    last = program.segments[-1]
    heading = last.yaw_rad if isinstance(last, TurnTo) else math.atan2(*(points[-1] - points[-2])[::-1])
    return np.array([*points[-1], heading])


@pytest.mark.parametrize("name", sorted(skills_for("cart")))
def test_every_skill_of_the_registry_has_a_motion(name):
    assert callable(motion_of(name))


@pytest.mark.parametrize("standoff_m", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("side", ["front", "left", "right", "behind"])
def test_an_object_is_reached_at_the_standoff_and_faced(side, standoff_m):
    end = end_of(made(scene(A), go_to(side=side, standoff_m=standoff_m), targets={0: at(A)}))
    gap = float(footprint_gap_m(end, HALF_M, np.array([A.x_m, A.y_m, 0.0, A.half_x_m, A.half_y_m])))
    # the gap of two corners is measured a little short
    assert standoff_m - 0.3 * standoff_m - 0.02 <= gap <= standoff_m + 0.02
    assert angle(math.atan2(A.y_m - end[1], A.x_m - end[0]) - end[2]) == pytest.approx(0.0, abs=1.0)


def test_left_out_the_standoff_is_60_cm():
    drives = [made(scene(A), step, targets={0: at(A)}).segments for step in (go_to(), go_to(standoff_m=0.6))]
    assert drives[0] == drives[1]


@pytest.mark.parametrize(("side", "direction"), [("front", (-1, 0)), ("behind", (1, 0)), ("left", (0, 1)), ("right", (0, -1))])
def test_sides_are_the_robots_own_view(side, direction):
    ahead = box("a", 4, 0)
    end = end_of(made(scene(ahead), go_to(side=side), targets={0: at(ahead)}))
    offset = end[:2] - [4, 0]
    assert np.allclose(offset / np.linalg.norm(offset), direction, atol=0.05)


def test_behind_a_face_leaves_room_for_what_was_not_seen():
    face = box("a", 4, 0, half_x=0.03, half_y=0.4)
    end = end_of(made(scene(face), go_to(side="behind"), targets={0: at(face)}))
    # as deep as wide: 0.8 m from its face on
    assert end[0] == pytest.approx(3.97 + 0.8 + 0.6 + HALF_M[0], abs=0.08)


def test_a_side_that_is_taken_is_left_for_one_nearby():
    beside = box("b", 2.9, 0.75, 0.2, 0.2)
    end = end_of(made(scene(A, beside), go_to(), targets={0: at(A)}))
    gap = float(footprint_gap_m(end, HALF_M, np.array([2.9, 0.75, 0.0, 0.2, 0.2])))
    assert gap > 0.02


def test_a_thing_in_the_corner_has_no_behind():
    corner = box("a", 11.6, 7.6)
    with pytest.raises(ProgramError) as failed:
        made(scene(corner), Step("wait", {"duration_s": 1.0}), go_to(side="behind"), targets={1: at(corner)})
    assert (failed.value.reason, failed.value.step) == ("goal_blocked", 1)


def test_floor_and_place_are_reached_with_base_link_itself():
    for target in (spot(3, 2), spot(-11, 0, "place")):
        program = made(scene(), go_to(), targets={0: target})
        assert program.segments[-1].points[-1] == (target.x_m, target.y_m)


def test_a_floor_spot_that_is_taken_is_left_for_the_nearest_free_one():
    program = made(scene(A), go_to(), targets={0: spot(3.5, 1.0)})
    end = np.array(program.segments[-1].points[-1])
    assert 0.0 < np.linalg.norm(end - [3.5, 1.0]) <= 0.5


def test_each_step_sets_out_where_the_one_before_ends():
    program = made(scene(A), go_to(), Step("move", {"distance_m": -0.5}), Step("turn", {"angle_deg": 90.0}), go_to(),
                   targets={0: at(A), 3: spot(0, 0)})
    drives = [s for s in program.segments if isinstance(s, Drive)]
    straight = next(s for s in program.segments if isinstance(s, Straight))
    faced = math.atan2(A.y_m, A.x_m)
    back = np.array(drives[0].points[-1]) + straight.distance_m * np.array([math.cos(faced), math.sin(faced)])
    assert np.allclose(drives[1].points[0], back, atol=1e-3)
    assert [s.step for s in program.segments] == sorted(s.step for s in program.segments)


def test_the_small_skills_become_what_they_say():
    program = made(scene(), Step("move", {"distance_m": 2.0}), Step("turn", {"angle_deg": -360.0}),
                   Step("wait", {"duration_s": 3.0}), Step("say", {"text": "通ります"}), Step("stop"), Step("continue"))
    assert kinds(program) == [Straight, TurnBy, Wait, Say, Wait]
    assert program.segments[1].angle_rad == pytest.approx(-2 * math.pi, abs=1e-4)
    assert program.segments[3].text == "通ります"


def test_set_speed_holds_for_the_steps_after_it_within_the_limits():
    steps = [Step("move", {"distance_m": 1.0}), Step("set_speed", {"speed": 0.4}), Step("move", {"distance_m": 1.0}),
             Step("set_speed", {"factor": 1.5}), Step("move", {"distance_m": 1.0}), Step("set_speed", {"factor": 3.0}),
             Step("move", {"distance_m": 1.0})]
    assert [s.cruise_mps for s in made(scene(), *steps).segments] == [0.8, 0.4, 0.6, CART.limits.forward_mps]


def test_more_than_the_limit_is_refused_and_the_limit_is_not():
    move = Step("move", {"distance_m": 1.0})
    with pytest.raises(ProgramError) as refused:
        made(scene(), Step("set_speed", {"speed": 1.21}), move)
    assert refused.value.reason == "too_fast"
    assert made(scene(), Step("set_speed", {"speed": 1.2}), move).segments[0].cruise_mps == 1.2


def test_return_home_goes_home():
    program = made(scene(), Step("return_home"), home=(2.0, -3.0, 1.0))
    assert program.segments[-2].points[-1] == (2.0, -3.0)
    assert program.segments[-1].yaw_rad == pytest.approx(1.0, abs=1e-4)
    assert made(scene(), Step("return_home")).segments[-2].points[-1] == (-11.0, 0.0)


def test_facing_turns_and_does_not_drive():
    program = made(scene(A), Step("face", {"target": POINTED}), targets={0: at(A)})
    assert kinds(program) == [TurnTo]
    assert program.segments[0].yaw_rad == pytest.approx(math.atan2(1, 4), abs=1e-3)


def test_what_waits_for_a_look_is_left_out():
    program = made(scene(A), go_to(), Step("go_to", {"target": LATER}), Step("say", {"text": "x"}), targets={0: at(A)})
    assert program.pending_from == 1
    assert {s.step for s in program.segments} == {0}
    assert made(scene(), Step("go_to", {"target": LATER})).segments == ()


def test_a_search_is_rehearsed_and_what_follows_it_waits():
    program = made(scene(), Step("look_for", {"label": "箱"}), Step("go_to", {"target": LATER}))
    assert kinds(program) == [LookFor]
    assert program.pending_from == 1
    assert made(scene(), Step("look_for", {"label": "箱"})).pending_from is None


def test_a_resolved_label_is_a_target_like_any_other():
    assert made(scene(A), Step("go_to", {"target": LATER}), targets={0: at(A)}).pending_from is None


def test_a_target_that_was_not_found_is_an_error():
    with pytest.raises(ProgramError) as failed:
        made(scene(), go_to())
    assert failed.value.reason == "target_missing"


@pytest.mark.parametrize(("step", "things"), [
    (Step("move", {"distance_m": 3.0}), (box("a", 2, 0),)), (Step("move", {"distance_m": -2.0}), (box("a", -1.5, 0.2),)),
])
def test_straight_into_a_thing_is_no_program(step, things):
    with pytest.raises(ProgramError) as failed:
        made(scene(*things), step)
    assert failed.value.reason == "no_path"


def test_straight_into_the_wall_is_no_program():
    with pytest.raises(ProgramError):
        made(scene(pose=(10.0, 0.0, 0.0)), Step("move", {"distance_m": 2.0}))


def test_too_near_to_an_object_it_backs_off_instead_of_going_round():
    near = box("a", 0.9, 0.0)
    program = made(scene(near), go_to(standoff_m=1.0), targets={0: at(near)})
    assert kinds(program) == [Straight]
    assert program.segments[0].distance_m == pytest.approx(-(1.0 - (0.65 - HALF_M[0])), abs=0.02)


def test_where_there_is_no_room_to_turn_it_first_makes_some():
    walled = (box("n", 0.3, 0.36, 0.5, 0.05), box("s", 0.3, -0.36, 0.5, 0.05), box("e", 0.7, 0.0, 0.1, 0.4))
    program = made(scene(*walled), go_to(), targets={0: spot(-4.0, 0.0)})
    assert kinds(program)[0] is Straight


def test_a_person_who_is_asked_for_may_be_approached_and_others_may_not():
    asked, other = person("p", 4, 0), person("q", 2, 0.2)
    program = made(scene(asked, other), go_to(), targets={0: at(asked)})
    points = np.array([p for s in program.segments if isinstance(s, Drive) for p in s.points])
    assert program.target_ids == ("p",)
    assert np.hypot(points[:, 0] - 2, points[:, 1] - 0.2).min() > 0.35 + HALF_M[1] + 0.5
    assert np.hypot(points[-1, 0] - 4, points[-1, 1]) < 0.35 + HALF_M[0] + 0.7


def test_who_walks_is_waited_for_and_not_gone_round():
    walker = person("p", 2, 0, 0.0, 1.0)
    program = made(scene(walker), go_to(), targets={0: spot(5, 0)})
    assert np.abs([p[1] for p in program.segments[-1].points]).max() < 0.05


def test_following_carries_its_ends_and_the_way_to_the_target():
    target = person("p", 5, 0)
    wall = box("w", 2.5, 0.0, 0.2, 1.0)
    program = made(scene(target, wall), Step("follow", {"target": POINTED, "until": "target_stops"}), targets={0: at(target)})
    segment = program.segments[0]
    assert isinstance(segment, Follow)
    assert (segment.target_id, segment.until_stops, segment.duration_s) == ("p", True, 0.0)
    assert np.abs([y for _, y in segment.way]).max() > 1.0


def test_a_program_survives_json_and_its_hash_is_of_what_it_does():
    steps = (go_to(), Step("follow", {"target": POINTED, "duration_s": 5.0}), Step("say", {"text": "はい"}))
    targets = {0: at(A), 1: at(person("p", 6, 0))}
    program, again = (made(scene(A, person("p", 6, 0)), *steps, targets=targets) for _ in range(2))
    back = Program.from_dict(json.loads(json.dumps(program.to_dict())))
    assert back == program
    assert back.sha256() == program.sha256() == again.sha256()
    assert made(scene(A), go_to(standoff_m=0.7), targets={0: at(A)}).sha256() != program.sha256()


@pytest.mark.parametrize("text", ["{}", '{"segments":[{"kind":"fly"}],"start":[0,0,0],"pending_from":null,"target_ids":[]}'])
def test_json_that_is_no_program_is_an_error(text):
    with pytest.raises(ValueError, match="not a"):
        Program.from_dict(json.loads(text))


def test_its_duration_is_about_right():
    program = made(scene(), go_to(), Step("wait", {"duration_s": 5.0}), targets={0: spot(8, 0)})
    assert 14.0 < program.duration_s(CART) < 22.0
    assert YARD.home == "dock"
