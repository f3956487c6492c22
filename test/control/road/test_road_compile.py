"""A car's programs: every skill becomes drives along the road, at the kerb or in a slot, or an error with its reason."""

import math

import numpy as np
import pytest
from town import (
    CAR,
    NORTH,
    SOUTH,
    STREET,
    WEST,
    degrees,
    drive,
    made,
    parked,
    place,
    scene,
    thing,
    town,
    vehicle,
    walker,
)

from jpai_agent.control import ProgramError
from jpai_agent.control.road.motions import motion_of
from jpai_agent.control.road.segments import FollowVehicle, RoadDrive
from jpai_agent.control.segments import Say, Wait
from jpai_agent.plan import Step, Target
from jpai_agent.skills import skills_for
from jpai_agent.world.objects import ObjectSpec
from jpai_agent.world.scene import GroundedTarget

START = (78.5, 12.0, NORTH)
GREEN = {"light_80_80_south": "green"}
SHOP = town(ObjectSpec("s", "convenience_store", (71, 40, 0)))
NAMED = Target("コンビニ", place="convenience_store")
SLOTS = ("slot_1", "slot_2", "slot_3", "slot_4", "slot_5", "slot_6")


def turn(direction, **more):
    return Step("turn_at", {"direction": direction, **more})


def ends(program):
    """(x, y) at which each drive ends."""
    return [s.points[-1] for s in program.segments if isinstance(s, RoadDrive)]


def last_of(program, step):
    """(x, y) at which a step's motion ends."""
    return [s.points[-1] for s in program.segments if isinstance(s, RoadDrive) and s.step == step][-1]


def reason(*args, **more):
    with pytest.raises(ProgramError) as error:
        made(*args, **more)
    return error.value.reason


def shop(where="before", **more):
    step = Step("stop_at", {"target": NAMED, "where": where, **more})
    return made(scene(pose=START, v=5.0), step, targets={0: place(SHOP, "convenience_store")}, world=SHOP)


@pytest.mark.parametrize("name", sorted(skills_for("car")))
def test_every_skill_of_the_registry_has_a_motion(name):
    assert callable(motion_of(name))


@pytest.mark.parametrize(("direction", "end"), [("left", (68.0, 78.5)), ("right", (92.0, 81.5)), ("straight", (78.5, 92.0))])
def test_a_turn_ends_12_m_beyond_the_crossings_centre_and_the_lane_is_kept_after_it(direction, end):
    program = made(scene(pose=START, v=5.0), turn(direction))
    assert last_of(program, 0) == pytest.approx(end, abs=0.1)
    assert program.segments[-1].carry_on and program.segments[-1].step == 1


def test_crossings_and_lights_are_counted_from_the_one_ahead():
    south = scene(pose=(78.5, -30.0, NORTH), v=5.0)
    assert last_of(made(south, turn("left")), 0) == pytest.approx((68, -1.5), abs=0.1)
    assert last_of(made(south, turn("left", nth=2)), 0) == pytest.approx((68, 78.5), abs=0.1)
    assert last_of(made(south, turn("left", at="light")), 0) == pytest.approx((68, 78.5), abs=0.1)
    assert last_of(made(south, turn("right"), turn("left")), 1) == pytest.approx((158.5, 12), abs=0.1)


@pytest.mark.parametrize(("when", "y"), [("before", -1.5), ("at", 78.5), ("after", 78.5)])
def test_a_crossing_is_meant_by_what_stands_there(when, y):
    world = town(ObjectSpec("s", "school", (66, 60, 0)))
    step = turn("left", target=Target("学校", place="school"), when=when)
    program = made(scene(pose=(78.5, -30.0, NORTH), v=5.0), step, targets={0: place(world, "school")}, world=world)
    assert last_of(program, 0) == pytest.approx((68, y), abs=0.1)


def test_a_crossing_that_is_too_near_to_turn_at_is_left_for_the_next():
    program = made(scene(pose=(78.5, 70.0, NORTH), v=7.0), turn("left"))
    assert last_of(program, 0)[1] == pytest.approx(158.5, abs=0.1)


def test_a_turn_from_within_a_crossing_is_at_the_next_one():
    assert last_of(made(scene(pose=(165.4, 78.4, WEST)), turn("left")), 0) == pytest.approx((81.5, 68.0), abs=0.1)


@pytest.mark.parametrize(("pose", "v"), [((78.5, 73.4, NORTH), 4.0), ((79.4, 78.2, math.radians(60)), 3.0)])
def test_a_turn_that_has_been_begun_is_made_to_its_end_when_it_is_planned_anew(pose, v):
    program = made(scene(pose=pose, v=v, lights=GREEN), Step("turn_at", {"direction": "right", "at": "light"}))
    end = program.segments[0].points[-1]
    assert end[0] == pytest.approx(92.0, abs=1.0) and end[1] == pytest.approx(78.5 + 3.0, abs=0.2)


def test_where_no_road_goes_there_is_no_turn():
    assert reason(scene(pose=START), turn("left", nth=4)) == "no_road"
    assert reason(scene(pose=(158.5, 12.0, NORTH)), turn("left", at="light")) == "no_road"


@pytest.mark.parametrize(("where", "y"), [("before", 36 - 2 - 2.95), ("beside", 40 - 1.25), ("after", 44 + 2 + 0.45)])
def test_it_rests_before_beside_and_after_a_landmark(where, y):
    program = shop(where)
    assert ends(program)[-1] == pytest.approx((78.5, y), abs=0.05)
    assert program.segments[-1].rests and not program.segments[-1].carry_on


def test_the_standoff_is_the_gap_along_the_lane():
    assert ends(shop(standoff_m=5.0))[-1][1] == pytest.approx(36 - 5 - 2.95, abs=0.05)


def test_before_a_thing_in_the_lane_it_stops_at_the_gap():
    cone = parked("c", 78.4, 45.0, NORTH, (0.2, 0.2))
    where = scene(cone, pose=START, v=5.0)
    step = Step("stop_at", {"target": Target("コーン", "front", (500, 500)), "standoff_m": 1.0})
    run = drive(made(where, step, targets={0: thing(cone)}), where, 14)
    assert run.runner.succeeded.all() and run.gap_m(cone)[-1, 0] == pytest.approx(1.0, abs=0.2)


def test_at_a_stop_line_the_front_rests_before_it():
    assert ends(made(scene(pose=START, v=5.0), Step("stop_at", {"at": "stop_line"})))[-1][1] == pytest.approx(
        71.0 - 0.7 - CAR.front_m, abs=0.05)


def test_of_several_landmarks_the_one_reached_first_is_meant():
    world = town(ObjectSpec("far", "vending_machine", (74.5, 130, 0)), ObjectSpec("near", "vending_machine", (74.5, 50, 0)))
    step = Step("pull_over", {"target": Target("自販機", place="vending_machine")})
    program = made(scene(pose=START, v=5.0), step, targets={0: place(world, "vending_machine")}, world=world)
    assert ends(program)[-1][1] == pytest.approx(50 - CAR.center_x_m, abs=0.1)


def test_a_landmark_that_is_not_straight_on_is_driven_to():
    world = town(ObjectSpec("h", "hospital", (40, 71, 90)))
    step = Step("stop_at", {"target": Target("病院", place="hospital"), "where": "beside"})
    program = made(scene(pose=START, v=5.0), step, targets={0: place(world, "hospital")}, world=world)
    assert ends(program)[-1] == pytest.approx((40 + CAR.center_x_m, 78.5), abs=0.2)


def test_at_the_kerb_it_stands_clear_of_lane_and_pavement():
    program = made(scene(pose=START, v=5.0), Step("pull_over", {}))
    run = drive(program, scene(pose=START, v=5.0), 10)
    left = run.pose[-1, 0, 0] - CAR.width_m / 2
    assert left == pytest.approx(76.3, abs=0.1) and abs(degrees(run.pose[-1, 0, 2] - NORTH)) < 2.5
    assert run.runner.succeeded.all() and not program.segments[-1].carry_on


def test_it_does_not_pull_over_in_a_crossing_or_where_somebody_parks():
    program = made(scene(pose=(78.5, 55.0, NORTH), v=6.0), Step("pull_over", {}))
    assert ends(program)[-1][1] > 89.0 + CAR.rear_m
    taken = parked("p", 77.0, 32.0, NORTH)
    program = made(scene(taken, pose=START, v=6.0), Step("pull_over", {}))
    assert ends(program)[-1][1] > 34.1 + CAR.rear_m


def test_from_the_kerb_it_waits_for_who_comes_from_behind():
    where = scene(pose=(77.05, 12.0, NORTH))
    other = vehicle("o", (78.9, -15), (78.9, 60), speed=7.0)
    program = made(where, Step("drive", {"distance_m": 20.0}))
    run = drive(program, where, 12, other, lights=lambda t: GREEN)
    assert program.segments[0].marks[0][0] == "merge" and run.mover_gap_m().min() > 0.2
    assert run.pose[np.argmax(run.movers[:, 0, 1] > 10), 0, 0] < 77.2 and run.pose[-1, 0, 0] > 78.3


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_is_driven_into_forwards(slot):
    where = scene(pose=(80.0, 1.5, 0.0), v=4.0)
    program = made(where, Step("park", {"target": Target(place=slot)}), targets={0: place(STREET, slot)})
    run = drive(program, where, 40, seed=3, n=2)
    goal = STREET.place(slot)
    middle = run.middle()[-1]
    assert np.abs(middle[:, :2] - [goal.x_m, goal.y_m]).max() < 0.3 and run.runner.succeeded.all()
    assert max(abs(degrees(yaw - NORTH)) for yaw in middle[:, 2]) < 4.0
    assert not any(s.reverse for s in program.segments)


def test_cars_in_the_slots_beside_are_not_touched():
    others = [parked("a", 100, 14, NORTH), parked("b", 108, 14, SOUTH)]
    where = scene(*others, pose=(80.0, 1.5, 0.0), v=4.0)
    program = made(where, Step("park", {"target": Target(place="slot_3")}), targets={0: place(STREET, "slot_3")})
    run = drive(program, where, 40, seed=3, n=4)
    assert run.runner.succeeded.all() and min(run.gap_m(o).min() for o in others) > 0.6


def test_the_car_park_means_its_first_free_slot():
    where = scene(parked("a", 96, 14, NORTH), parked("b", 100, 14.4, NORTH), pose=(80.0, 1.5, 0.0), v=4.0)
    program = made(where, Step("park", {"target": Target(place="parking")}), targets={0: place(STREET, "parking")})
    assert ends(program)[-1] == pytest.approx((104, 14 - CAR.center_x_m), abs=0.05)


def test_a_slot_that_is_taken_and_a_full_car_park_are_refused():
    cars = [parked(f"c{k}", 92 + 4 * k, 14, NORTH) for k in range(1, 7)]
    where = scene(*cars, pose=(80.0, 1.5, 0.0), v=4.0)
    for name, why in (("slot_2", "slot_taken"), ("parking", "no_free_slot")):
        assert reason(where, Step("park", {"target": Target(place=name)}), targets={0: place(STREET, name)}) == why


def test_from_far_off_it_decides_on_a_slot_when_it_sees_them():
    where = scene(pose=(20.0, 1.5, 0.0), v=5.0)
    program = made(where, Step("say", {"text": "行きます"}), Step("park", {"target": Target(place="parking")}),
                   targets={1: place(STREET, "parking")})
    assert program.pending_from == 1 and last_of(program, 1)[0] < 90.0
    assert program.segments[-1].carry_on and program.segments[-1].cruise_mps < 5.0


def test_it_comes_slowly_to_where_it_turns_into_a_slot():
    where = scene(pose=(70.0, 1.5, 0.0), v=6.9)
    program = made(where, Step("park", {"target": Target(place="slot_4")}), targets={0: place(STREET, "slot_4")})
    run = drive(program, where, 25.0)
    assert run.v[run.pose[:, 0, 0] > 96.0].max() < 4.6


def test_past_the_place_to_turn_in_it_parks_in_several_strokes():
    where = scene(pose=(91.0, 1.5, 0.0))
    program = made(where, Step("park", {"target": Target(place="slot_1")}), targets={0: place(STREET, "slot_1")})
    run = drive(program, where, 60, n=2, seed=1)
    assert any(s.reverse for s in program.segments) and run.runner.succeeded.all()
    assert np.abs(run.middle()[-1, :, :2] - [96, 14]).max() < 0.3


def test_a_slot_is_left_in_reverse_and_the_lane_joined():
    where = scene(parked("a", 96, 14, NORTH), parked("b", 104, 14, NORTH), pose=(100.0, 12.75, NORTH))
    program = made(where, Step("drive", {"distance_m": 10.0}))
    run = drive(program, where, 30, n=2, seed=1)
    assert program.segments[0].reverse and min(run.gap_m(o).min() for o in where.obstacles) > 0.5
    assert np.abs(run.pose[-1, :, 1] - 1.5).max() < 0.2 and (run.pose[:, :, 1] > 1.2).all()


def test_it_turns_round_in_the_crossing_in_one_sweep():
    where = scene(pose=START, v=5.0)
    program = made(where, Step("u_turn", {}))
    run = drive(program, where, 40, seed=2, n=4, lights=lambda t: GREEN)
    assert not any(s.reverse for s in program.segments) and run.runner.succeeded.all()
    assert np.abs(run.pose[-1, :, 0] - 81.5).max() < 0.2 and max(abs(degrees(y - SOUTH)) for y in run.pose[-1, :, 2]) < 3
    # its outline stays on the paved cross of the two roads
    corner = np.abs(run.middle()[..., :2] - 80.0).min(axis=-1)
    assert corner.max() < 4.0


def test_where_the_crossing_is_taken_it_turns_round_in_three_strokes_on_the_road():
    where = scene(parked("x", 80, 80, 0.0), pose=START, v=5.0)
    program = made(where, Step("u_turn", {}))
    run = drive(program, where, 40, seed=2, n=4)
    x = run.middle()[..., 0]
    assert [s.reverse for s in program.segments if isinstance(s, RoadDrive)][:4] == [False, False, True, False]
    assert run.runner.succeeded.all() and np.abs(run.pose[-1, :, 0] - 81.5).max() < 0.2
    assert x.min() > 76.0 and x.max() < 84.0


def test_the_speed_is_set_up_to_the_limit():
    where = scene(pose=START, v=5.0)
    assert made(where, Step("set_speed", {"speed": 15})).segments[0].cruise_mps == pytest.approx(15 / 3.6, abs=1e-3)
    assert made(where, Step("set_speed", {"factor": 2.0})).segments[0].cruise_mps == pytest.approx(30 / 3.6, abs=1e-3)
    assert reason(where, Step("set_speed", {"speed": 100})) == "too_fast"


def test_waits_and_words_have_their_place():
    program = made(scene(pose=START, v=5.0), Step("say", {"text": "a"}), Step("drive", {"distance_m": 10.0}),
                   Step("say", {"text": "b"}), Step("drive", {"distance_m": 10.0}), Step("wait", {"duration_s": 2.0}))
    assert [type(s) for s in program.segments] == [Say, RoadDrive, Say, RoadDrive, RoadDrive, Wait]
    assert [getattr(s, "rests", None) for s in program.segments] == [None, False, None, False, True, None]
    stop = made(scene(pose=START, v=5.0), Step("stop", {}))
    assert 25 / (2 * 3) < ends(stop)[-1][1] - 12.0 < 12.0 and not stop.segments[-2].carry_on


def test_a_drive_ends_before_the_roads_end_or_after_its_distance():
    near_end = scene(pose=(78.5, 170.0, NORTH), v=4.0)
    program = made(near_end, Step("drive", {}))
    assert 200 - 6.0 < ends(program)[-1][1] + CAR.front_m < 200 - 5.0 and program.segments[-1].rests
    assert last_of(made(scene(pose=START), Step("drive", {"distance_m": 30.0})), 0)[1] == pytest.approx(42.0, abs=0.01)


def test_following_goes_on_through_the_next_crossings_and_what_comes_after_waits():
    lead = vehicle("l", (78.5, 28), (78.5, 60))
    steps = Step("follow", {"until": "target_stops"}), turn("left")
    program = made(scene(lead, pose=START, v=5.0), *steps, targets={0: thing(lead)})
    assert isinstance(program.segments[0], FollowVehicle) and program.pending_from == 1
    assert program.segments[0].branches[0].points[-1][0] == pytest.approx(78.5)


def test_a_target_that_waits_to_be_seen_ends_the_program():
    program = made(scene(pose=START, v=5.0), turn("left"), Step("stop_at", {"target": Target("赤い車")}))
    assert program.pending_from == 1 and program.segments[-1].carry_on


def test_a_place_that_the_map_does_not_have_is_said_so():
    assert reason(scene(pose=START), Step("stop_at", {"target": Target(place="castle")})) == "no_landmark"


def test_what_has_been_passed_and_cannot_be_reached_is_behind():
    pointed = GroundedTarget("箱", 75.0, 150.0, "floor")
    assert reason(scene(pose=(78.5, 185.0, NORTH)), Step("stop_at", {"target": Target("箱", "front", (1, 1))}),
                  targets={0: pointed}) == "behind"


def test_things_in_the_lane_are_passed_with_a_gap_and_people_with_a_wider_one():
    for thing_, gap in ((parked("p", 77.5, 45.0, NORTH), 0.7), (walker("w", (77.3, 45), (77.3, 46), start=99.0), 1.0)):
        where = scene(thing_, pose=START, v=5.0)
        program = made(where, Step("drive", {"distance_m": 55.0}))
        x = np.array([p for s in program.segments if isinstance(s, RoadDrive) for p in s.points if 40 < p[1] < 47])[:, 0]
        right = 77.5 + 0.85 if gap == 0.7 else 77.6
        assert x.max() - CAR.width_m / 2 - right > gap


def test_a_queue_before_a_light_is_not_passed():
    queue = [parked("q", 78.5, 66.5, NORTH), parked("r", 78.5, 60.0, NORTH)]
    program = made(scene(*queue, pose=START, v=5.0), Step("drive", {"distance_m": 100.0}))
    assert all(abs(x - 78.5) < 0.01 for x, _ in program.segments[0].points)


def test_nothing_is_passed_in_a_crossing():
    program = made(scene(parked("x", 78.5, 82.0, NORTH), pose=START, v=5.0), Step("drive", {"distance_m": 100.0}))
    assert all(abs(x - 78.5) < 0.01 for x, _ in program.segments[0].points)


def test_the_same_scene_gives_the_same_program():
    where = scene(parked("p", 78.2, 45.0, NORTH), pose=START, v=5.0)
    assert made(where, turn("right")).sha256() == made(where, turn("right")).sha256()


def test_across_the_lane_it_finds_back_to_it():
    where = scene(pose=(79.0, 30.0, WEST + 0.9))
    run = drive(made(where, Step("drive", {"distance_m": 15.0})), where, 40, lights=lambda t: GREEN)
    assert run.runner.succeeded.all() and math.isfinite(float(run.pose.sum()))
