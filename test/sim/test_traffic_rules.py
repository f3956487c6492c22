"""The rules of the road on hand-made drives through the real road map: each kept, and broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from jpai_agent.sim.episode import Episode, Turn
from jpai_agent.sim.expectations import Expectation
from jpai_agent.sim.judge import judge
from jpai_agent.sim.traffic_rules import broken_rules
from jpai_agent.sim.trajectory import Recording
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import Motion, ObjectSpec, motion_pose
from jpai_agent.world.road import RoadMap

DT_S = 0.05
HALF, CENTER_M, FRONT_M = (1.7, 0.74), 1.25, 2.95
# (x, y) of base_link, m/s there; with a third value the car stands that long before it goes on
Way = Sequence[tuple[float, ...]]


@pytest.fixture(scope="module")
def road() -> RoadMap:
    found = load_map("street").road
    assert found is not None
    return found


def drive(way: Way, specs: Sequence[ObjectSpec] = (), light: Sequence[tuple[str, float]] = (), stay_s: float = 4.0) -> Recording:
    """A car that goes from point to point, its speed changing evenly in between, facing where it goes; then it stands.

    light: phases of the head for who comes from the south of the crossing with lights.
    """
    poses, speeds = [], []
    for (x0, y0, v0, *wait), (x1, y1, v1, *_) in pairwise(way):
        yaw, length = math.atan2(y1 - y0, x1 - x0), math.hypot(x1 - x0, y1 - y0)
        for _ in range(round(wait[0] / DT_S) if wait else 0):
            poses.append((x0, y0, yaw))
            speeds.append(0.0)
        gone = 0.0
        while gone < length - 1e-9:
            v = math.sqrt(max(v0 * v0 + (v1 * v1 - v0 * v0) * gone / length, 0.01))
            poses.append((x0 + (x1 - x0) * gone / length, y0 + (y1 - y0) * gone / length, yaw))
            speeds.append(v)
            gone += v * DT_S
    for _ in range(round(stay_s / DT_S)):
        poses.append((*way[-1][:2], poses[-1][2]))
        speeds.append(0.0)
    times = np.arange(len(poses)) * DT_S
    velocities = np.column_stack([speeds, np.zeros(len(poses)), np.zeros(len(poses))])
    objects = np.array([[motion_pose(s, t) for s in specs] for t in times]).reshape(len(times), len(specs), 3)
    ends = np.cumsum([seconds for _, seconds in light])
    states = [light[min(int(np.searchsorted(ends, t, side="right")), len(light) - 1)][0] for t in times] if light else []
    lights = {"light_80_80_south": np.array(states)} if light else {}
    return Recording(
        tuple(specs), times, np.array(poses), velocities, objects, robot_half=HALF, robot_center_x_m=CENTER_M, lights=lights
    )


def walker(path: Sequence[tuple[float, float]], start_s: float = 0.0, speed: float = 1.2, kind: str = "person") -> ObjectSpec:
    return ObjectSpec("p", kind, (*path[0], 0.0), motion=Motion(tuple(path), speed, start_s))


class TestSpeedLimit:
    """30 km/h and one more, for half a second."""

    @pytest.mark.parametrize(("kmh", "broken"), [(30.0, False), (30.9, False), (31.2, True)])
    def test_what_is_kept_up(self, road: RoadMap, kmh: float, broken: bool) -> None:
        v = kmh / 3.6
        assert broken_rules(drive([(10, 1.5, v), (40, 1.5, v)]), road) == (["speed_limit"] if broken else [])

    def test_a_short_overshoot_is_none(self, road: RoadMap) -> None:
        assert broken_rules(drive([(10, 1.5, 8), (13, 1.5, 8.9), (16, 1.5, 8)]), road) == []


class TestRedLight:
    """Going north on x = 80: the stop line is at y = 71, base_link 2.95 m behind the front."""

    STOP, GO = (78.5, 71 - FRONT_M - 0.5), (78.5, 100)

    def north(self, *light: tuple[str, float], stop: bool, past_m: float = 0.0) -> Recording:
        if stop:
            return drive([(78.5, 45, 8), (78.5, self.STOP[1] + past_m, 0.0)], light=light)
        return drive([(78.5, 45, 8), (*self.GO, 8)], light=light)

    def test_driving_on_green_and_stopping_on_red(self, road: RoadMap) -> None:
        assert broken_rules(self.north(("green", 99), stop=False), road) == []
        assert broken_rules(self.north(("red", 99), stop=True), road) == []

    def test_driving_over_the_line_on_red(self, road: RoadMap) -> None:
        assert broken_rules(self.north(("red", 99), stop=False), road) == ["red_light"]
        assert broken_rules(self.north(("red", 99), stop=True, past_m=0.8), road) == ["red_light"]

    def test_red_counts_from_a_fifth_of_a_second_on_and_yellow_is_no_red(self, road: RoadMap) -> None:
        # the front passes after (71 - 45 - 2.95) / 8 = 2.88 s
        for since_s, broken in ((2.75, False), (2.6, True)):
            found = broken_rules(self.north(("yellow", since_s), ("red", 99), stop=False), road)
            assert found == (["red_light"] if broken else [])

    def test_a_car_that_was_past_the_line_may_clear_the_crossing(self, road: RoadMap) -> None:
        assert broken_rules(drive([(78.5, 69, 2, 3.0), (78.5, 100, 8)], light=[("red", 99)]), road) == []


class TestStopSign:
    """Going east on y = 0 to x = 80: the stop line is at x = 71."""

    @pytest.mark.parametrize(
        ("before_m", "stands_s", "broken"), [(0.5, 1.2, False), (2.8, 1.2, False), (0.5, 0.6, True), (3.6, 2.0, True)]
    )
    def test_a_standstill_of_a_second_within_three_metres(
        self, road: RoadMap, before_m: float, stands_s: float, broken: bool
    ) -> None:
        way = [(40, 1.5, 8), (71 - FRONT_M - before_m, 1.5, 0.0, stands_s), (100, 1.5, 4)]
        # the hand-made car creeps at its stop; what counts is the standstill
        assert broken_rules(drive(way), road) == (["stop_sign"] if broken else [])

    def test_driving_through(self, road: RoadMap) -> None:
        assert broken_rules(drive([(40, 1.5, 4), (100, 1.5, 4)]), road) == ["stop_sign"]

    def test_the_priority_road_and_the_other_side_have_none(self, road: RoadMap) -> None:
        assert broken_rules(drive([(78.5, -30, 8), (78.5, 40, 8)]), road) == []
        assert broken_rules(drive([(85, 1.5, 8), (120, 1.5, 8)]), road) == []


class TestCentreLine:
    """Going east on y = 80, the middle of the lane at 81.5, the centre line at 80."""

    PARKED = ObjectSpec("c", "car", (40, 82.0, 0))

    def swerve(self, *specs: ObjectSpec, aside_m: float = 2.2, stay_s: float = 6.0) -> Recording:
        y = 81.5 - aside_m
        return drive([(15, 81.5, 4), (25, 81.5, 4), (33, y, 4), (46, y, 4), (54, 81.5, 4), (58, 81.5, 4)], specs, stay_s=stay_s)

    def test_keeping_the_lane_and_the_kerb(self, road: RoadMap) -> None:
        assert broken_rules(drive([(15, 81.5, 8), (60, 81.5, 8)]), road) == []
        assert broken_rules(drive([(15, 81.5, 8), (30, 82.9, 4), (45, 82.9, 4)]), road) == []
        assert broken_rules(drive([(15, 80.8, 8), (60, 80.8, 8)]), road) == []

    def test_over_the_line_for_nothing(self, road: RoadMap) -> None:
        assert broken_rules(drive([(15, 80.5, 8), (60, 80.5, 8)]), road) == ["centre_line"]
        assert broken_rules(self.swerve(), road) == ["centre_line"]

    def test_the_wrong_side_of_the_road(self, road: RoadMap) -> None:
        assert broken_rules(drive([(15, 78.5, 8), (60, 78.5, 8)]), road) == ["centre_line"]

    def test_passing_what_stands_in_the_lane(self, road: RoadMap) -> None:
        assert broken_rules(self.swerve(self.PARKED), road) == []
        on_the_pavement = replace(self.PARKED, pose=(40, 86.0, 0))
        assert broken_rules(self.swerve(on_the_pavement), road) == ["centre_line"]

    def test_passing_what_drives(self, road: RoadMap) -> None:
        cyclist = ObjectSpec("b", "bicycle", (20, 82, 0), motion=Motion(((20, 82), (60, 82)), 3.0))
        assert broken_rules(self.swerve(cyclist), road) == ["centre_line"]

    @pytest.mark.parametrize(("start_s", "broken"), [(0.0, True), (30.0, False)])
    def test_passing_while_somebody_comes(self, road: RoadMap, start_s: float, broken: bool) -> None:
        # sets out at 70 and would be at 48 after 4 s, when the robot is at 31
        comes = ObjectSpec("o", "car", (70, 78.5, 180), motion=Motion(((70, 78.5), (0, 78.5)), 6.0, start_s))
        assert broken_rules(self.swerve(self.PARKED, comes), road) == (["centre_line"] if broken else [])

    def test_a_u_turn_in_the_road_and_a_crossing_are_allowed(self, road: RoadMap) -> None:
        turn = [(30, 81.5, 4), (35, 81.5, 2), (37, 80.5, 2), (37.5, 79, 2), (36, 78.3, 2), (25, 78.5, 4)]
        assert broken_rules(drive(turn), road) == []

    def test_a_turn_at_a_crossing_may_cut_the_corner_but_must_end_in_its_lane(self, road: RoadMap) -> None:
        turn = [(78.5, 60, 4), (78.5, 76, 4), (82, 78.0, 4)]
        assert broken_rules(drive([*turn, (86, 78.5, 4), (110, 78.5, 4)]), road) == ["centre_line"]
        left = [(78.5, 60, 4), (78.5, 76, 4), (76, 80.0, 4), (70, 78.5, 4), (50, 78.5, 4)]
        assert broken_rules(drive(left), road) == []

    def test_leaving_the_car_park_to_the_other_side(self, road: RoadMap) -> None:
        way = [(100, 8, 2), (100, 4, 2), (98.5, 0, 2), (96, -1.5, 2), (94, -1.5, 2)]
        assert broken_rules(drive(way), road) == []


class TestCrosswalk:
    """Going north: the crosswalk of the south arm spans y = 72..75; the car's half is x = 76..80."""

    GREEN = (("green", 99.0),)

    def north(self, person: ObjectSpec, stop: bool) -> Recording:
        # the front is on the crosswalk after 3 s
        way = [(78.5, 45, 8), (78.5, 72 - FRONT_M - 1.2, 0)] if stop else [(78.5, 45, 8), (78.5, 100, 8)]
        return drive(way, [person], self.GREEN)

    def test_nobody_there(self, road: RoadMap) -> None:
        assert broken_rules(self.north(walker([(70, 73.5), (70, 80)]), stop=False), road) == []
        assert broken_rules(self.north(ObjectSpec("p", "person", (75.2, 73.5, 0)), stop=False), road) == []

    @pytest.mark.parametrize(
        "path",
        [[(75, 73.5), (79, 73.5)], [(75.5, 73), (84, 73)], [(82.5, 74), (75, 74)]],
        ids=["kerb", "from left", "from right"],
    )
    def test_somebody_in_the_half_or_stepping_towards_it(self, road: RoadMap, path: list[tuple[float, float]]) -> None:
        assert broken_rules(self.north(walker(path), stop=False), road) == ["crosswalk"]
        assert broken_rules(self.north(walker(path), stop=True), road) == []

    def test_somebody_who_stands_in_it(self, road: RoadMap) -> None:
        assert broken_rules(self.north(ObjectSpec("p", "child", (77.0, 73.5, 0)), stop=False), road) == ["crosswalk"]

    def test_somebody_in_the_other_half_who_walks_away(self, road: RoadMap) -> None:
        assert broken_rules(self.north(walker([(80.6, 73.5), (88, 73.5)]), stop=False), road) == []

    def test_who_steps_out_when_nobody_could_stop_is_judged_by_the_contact(self, road: RoadMap) -> None:
        assert broken_rules(self.north(walker([(75.5, 73.5), (84, 73.5)], 2.7), stop=False), road) == []

    def test_waiting_and_going_on_too_early(self, road: RoadMap) -> None:
        way = [(78.5, 45, 8), (78.5, 72 - FRONT_M - 1.0, 0, 1.0), (78.5, 100, 6)]
        slow = walker([(75.5, 73.5), (84, 73.5)], 0.0, 0.5)
        assert broken_rules(drive(way, [slow], self.GREEN), road) == ["crosswalk"]
        patient = [way[0], (*way[1][:3], 8.0), way[2]]
        assert broken_rules(drive(patient, [slow], self.GREEN), road) == []


def test_the_judge_names_broken_rules_among_the_violations_in_the_street_alone(road: RoadMap) -> None:
    recording = drive([(15, 78.5, 8), (60, 78.5, 8)])
    episode = Episode("e", "street", "car", 0, (), (15, 78.5, 0), 8.0, (), (), (Turn(say="x"),), 9.0, Expectation())
    assert "centre_line" in judge(episode, recording).violations
    assert "centre_line" not in judge(replace(episode, world="yard"), recording).violations


def test_gaps_are_measured_from_the_body_which_lies_ahead_of_the_rear_axle() -> None:
    wall = ObjectSpec("w", "barrier", (10, 1.5, 0))  # 0.5 m deep
    recording = drive([(5, 1.5, 1), (5.01, 1.5, 1)], [wall])
    assert recording.gaps("w")[0] == pytest.approx(10 - 0.25 - 5 - FRONT_M, abs=0.02)
