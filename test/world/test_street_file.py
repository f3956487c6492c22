"""The street's Lanelet2 file: made by its script, sound for lanelet2, and with the numbers of the world's specification."""

import json
import math
import subprocess
import sys

import lanelet2
import numpy as np
import pytest

from jpai_agent.world.map import load_map
from jpai_agent.world.paths import resource
from jpai_agent.world.road import RoadMap
from jpai_agent.world.robot import load_robot

WORLDS = resource("sim", "worlds")


@pytest.fixture(scope="module")
def road() -> RoadMap:
    return load_map("street").road


@pytest.fixture(scope="module")
def lanelets():
    origin = json.loads((WORLDS / "street.json").read_text(encoding="utf-8"))["origin_deg"]
    projector = lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(*origin))
    found, errors = lanelet2.io.loadRobust(str(WORLDS / "street.osm"), projector)
    assert not errors
    return found


def outside(road, x=None, y=None, yaw=0.0):
    """The lanes outside of crossings that run that way at that x or y."""
    lanes = [lane for lane in road.lanes.values() if lane.crossing is None]
    ahead = np.array([math.cos(yaw), math.sin(yaw)])
    return [
        lane
        for lane in lanes
        if np.allclose((lane.centre[-1] - lane.centre[0]) / np.linalg.norm(lane.centre[-1] - lane.centre[0]), ahead)
        and (x is None or np.allclose(lane.centre[:, 0], x))
        and (y is None or np.allclose(lane.centre[:, 1], y))
    ]


def test_the_script_makes_the_very_same_files(tmp_path):
    subprocess.run([sys.executable, str(WORLDS / "make_street.py"), str(tmp_path)], check=True)
    for name in ("street.osm", "street.json"):
        assert (tmp_path / name).read_bytes() == (WORLDS / name).read_bytes()


def test_lanelet2_finds_no_fault_in_the_routing_graph(lanelets):
    rules = lanelet2.traffic_rules.create(
        lanelet2.traffic_rules.Locations.Germany, lanelet2.traffic_rules.Participants.Vehicle
    )
    graph = lanelet2.routing.RoutingGraph(lanelets, rules)
    assert not list(graph.checkValidity(False))
    driven = [lanelet for lanelet in lanelets.laneletLayer if lanelet.attributes["subtype"] == "road"]
    assert all(rules.canPass(lanelet) for lanelet in driven)
    assert len(driven) == 48 + 9 * 12


def test_traffic_keeps_left(road):
    for centre in (0, 80, 160):
        assert len(outside(road, y=centre + 1.5, yaw=0.0)) == 4
        assert len(outside(road, y=centre - 1.5, yaw=math.pi)) == 4
        assert len(outside(road, x=centre - 1.5, yaw=math.pi / 2)) == 4
        assert len(outside(road, x=centre + 1.5, yaw=-math.pi / 2)) == 4


def test_lanes_have_the_width_the_limit_the_reach_and_an_opposite(road):
    assert road.shoulder_m == 1.0
    for lane in road.lanes.values():
        assert lane.width_m == 3.0
        assert lane.speed_limit_mps == pytest.approx(30 / 3.6)
        assert np.hypot(*np.diff(lane.centre, axis=0).T).max() <= 1.0
    points = np.concatenate([lane.centre for lane in road.lanes.values()])
    assert points.min() == -40.0 and points.max() == 200.0
    for lane in (lane for lane in road.lanes.values() if lane.crossing is None):
        beside = road.lanes[lane.opposite]
        assert beside.opposite == lane.id
        assert beside.centre[::-1] == pytest.approx(lane.centre + _right(lane) * 3.0)


def _right(lane):
    step = lane.centre[-1] - lane.centre[0]
    return np.array([step[1], -step[0]]) / np.linalg.norm(step)


def test_lanes_follow_one_another_without_a_gap_or_a_kink(road):
    for lane in road.lanes.values():
        for after in (road.lanes[i] for i in lane.following):
            assert after.centre[0] == pytest.approx(lane.centre[-1])
            headings = [math.atan2(*(b - a)[::-1]) for a, b in ((lane.centre[-2], lane.centre[-1]), after.centre[:2])]
            assert abs(math.remainder(headings[1] - headings[0], 2 * math.pi)) < math.radians(0.5)


def test_every_arm_of_every_crossing_goes_left_straight_and_right(road):
    assert len(road.crossings) == 9
    into = [lane for lane in road.lanes.values() if lane.crossing is None and lane.following]
    assert len(into) == 36
    for lane in into:
        assert sorted(road.lanes[i].turn for i in lane.following) == ["left", "right", "straight"]


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_turn_is_one_that_the_car_can_take(road, direction):
    steering = load_robot("car").ackermann
    for lane in (lane for lane in road.lanes.values() if lane.turn == direction):
        step = np.diff(lane.centre, axis=0)
        length, yaw = np.hypot(*step.T), np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
        curvature = np.diff(yaw) / ((length[1:] + length[:-1]) / 2)
        assert np.abs(curvature).max() < 0.75 * steering.curvature_max_radpm
        # at the speed of the turn the wheel is turned no faster than it can be
        speed = math.sqrt(steering.lateral_mps2 / np.abs(curvature).max())
        angle = np.arctan(steering.wheelbase_m * curvature)
        assert np.abs(np.diff(angle) / length[1:-1]).max() * speed < steering.steer_rate_radps


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_turning_car_stays_off_the_pavement_and_the_oncoming_halves(road, direction):
    car, kerb = load_robot("car"), 4.0
    box = np.array([[x, y * car.width_m / 2] for x in (car.front_m, 0.0, -car.rear_m) for y in (1, -1)])
    for lane in (lane for lane in road.lanes.values() if lane.turn == direction):
        crossing = road.crossings[lane.crossing]
        for a, b in zip(lane.centre[:-1], lane.centre[1:], strict=True):
            c, s = (b - a) / np.linalg.norm(b - a)
            corners = box @ np.array([[c, s], [-s, c]]) + a - [crossing.x_m, crossing.y_m]
            assert (np.abs(corners).min(axis=1) < kerb).all(), "one of the two roads holds every corner"
            if direction == "left":
                # seen with the entry from the west: the exit's half of the road is x < 0
                entry = lane.centre[1] - lane.centre[0]
                u = entry / np.linalg.norm(entry)
                assert (corners @ u < 0.0).all(), "over the exit's centre line"


def test_lights_and_crosswalks_are_on_all_arms_of_the_middle_crossing(road):
    assert [c.id for c in road.crossings.values() if c.lights] == ["crossing_80_80"]
    assert {c.half_m for c in road.crossings.values()} == {9.0}
    assert {h.approach for h in road.lights.values()} == {"north", "south", "east", "west"}
    west = road.lights["light_80_80_west"]
    # seen from the west: beyond the crossing, over its lane, looking back
    assert (west.x_m, west.y_m, west.z_m) == (89.0, 81.5, 5.0)
    assert math.cos(west.yaw_rad) == pytest.approx(-1.0)
    south = road.lights["light_80_80_south"]
    assert (south.x_m, south.y_m) == (78.5, 89.0)
    assert math.sin(south.yaw_rad) == pytest.approx(-1.0)
    middles = sorted((w.x_m, w.y_m) for w in road.crosswalks)
    assert middles == [(73.5, 80.0), (80.0, 73.5), (80.0, 86.5), (86.5, 80.0)]
    assert {(w.half_along_m, w.half_across_m) for w in road.crosswalks} == {(1.5, 4.0)}


def test_stop_lines_are_nine_metres_out_with_signs_for_east_and_west_only(road):
    lights, signs = ([line for line in road.stop_lines if line.kind == kind] for kind in ("light", "sign"))
    assert len(lights) == 4 and len(signs) == 16
    for line in road.stop_lines:
        lane, crossing = road.lanes[line.lane], road.crossings[line.crossing]
        at = lane.centre[0] + (lane.centre[-1] - lane.centre[0]) * line.along_m / np.linalg.norm(lane.centre[-1] - lane.centre[0])
        away = at - [crossing.x_m, crossing.y_m]
        assert sorted(np.abs(away)) == pytest.approx([1.5, 9.0])
        if line.kind == "sign":
            assert abs(away[0]) == 9.0 and line.crossing != "crossing_80_80" and line.light is None
        else:
            head = road.lights[line.light]
            assert head.crossing == line.crossing
            # beyond the crossing, and its lamps look at who waits at the line
            assert math.hypot(head.x_m - at[0], head.y_m - at[1]) == pytest.approx(18.0)


def test_the_car_park_opens_to_the_eastbound_lane_of_the_southern_road(road):
    (park,) = road.car_parks
    assert park.id == "parking" and park.aisle_m == (90.0, 4.0, 120.0, 10.5)
    assert np.allclose(road.lanes[park.lane].centre[:, 1], 1.5)
    assert road.lanes[park.lane].centre[0, 0] < 90 and road.lanes[park.lane].centre[-1, 0] > 120
    assert [(s.id, s.x_m, s.y_m, s.length_m, s.width_m) for s in park.slots] == [
        (f"slot_{k}", 92.0 + 4 * k, 14.0, 5.5, 2.6) for k in range(1, 7)
    ]
    assert {s.yaw_rad for s in park.slots} == {math.pi / 2}


def test_the_rules_are_in_the_file_as_lanelet2_has_them(lanelets):
    kinds = [element.attributes["subtype"] for element in lanelets.regulatoryElementLayer]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"traffic_light": 4, "traffic_sign": 16, "right_of_way": 20}
