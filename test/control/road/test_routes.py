"""Ways on the street: where a car is, what lies ahead of it, every turn, and the way to a place."""

import itertools
import json
import math

import lanelet2
import numpy as np
import pytest

from jpai_agent.control.road.routes import LanePosition, Network, RoadError
from jpai_agent.world.map import load_map
from jpai_agent.world.paths import resource
from jpai_agent.world.robot import load_robot

EAST, NORTH, WEST, SOUTH = 0.0, math.pi / 2, math.pi, -math.pi / 2
TURNED = {"left": math.pi / 2, "straight": 0.0, "right": -math.pi / 2}


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(load_map("street").road)


def at(network: Network, x: float, y: float, yaw: float) -> LanePosition:
    position = network.locate(np.array([x, y, yaw]))
    assert position is not None
    return position


def test_a_car_is_on_the_lane_that_runs_as_it_heads(network):
    east, west = at(network, 40, 81.3, EAST), at(network, 40, 79.0, WEST + 0.1)
    assert network.opposite_of(east.lane).id == west.lane
    assert east.offset_m == pytest.approx(-0.2)
    assert west.offset_m == pytest.approx(-0.5)
    assert west.heading_error_rad == pytest.approx(0.1)
    assert network.line(east.lane).at(east.along_m) == pytest.approx([40, 81.5, 0])


def test_a_car_that_passes_another_in_the_oncoming_lane_still_belongs_to_its_own(network):
    passing = at(network, 40, 78.45, EAST)
    assert passing.lane == at(network, 40, 81.5, EAST).lane
    assert passing.offset_m == pytest.approx(-3.05)


def test_off_the_road_there_is_no_lane(network):
    assert network.locate(np.array([40.0, 90.0, EAST])) is None
    assert network.locate(np.array([96.0, 14.0, NORTH])) is None
    assert network.locate(np.array([215.0, 81.5, EAST])) is None


def test_across_the_road_the_lane_is_one_that_runs_within_100_degrees(network):
    for yaw in np.linspace(-math.pi, math.pi, 25):
        position = network.locate(np.array([40.0, 80.0, yaw]))
        assert position is not None and abs(position.heading_error_rad) <= math.radians(100)


def test_inside_a_crossing_the_lane_of_the_way_that_is_driven_is_preferred(network):
    way = network.ahead(at(network, 60, 81.5, EAST), ["left"])
    turn = way.crossings[0]
    early = way.at(turn.entry_m + 1.0)
    assert network.road.lanes[network.locate(early).lane].turn == "straight"
    assert network.locate(early, prefer=[span.lane for span in way.lanes]).lane == way.lane_at(turn.entry_m + 1.0).lane
    late = way.at(turn.exit_m - 3.0)
    assert network.road.lanes[network.locate(late).lane].turn == "left"


@pytest.mark.parametrize("direction", ["left", "straight", "right"])
def test_every_turn_of_every_crossing_can_be_driven(network, direction):
    into = [lane for lane in network.road.lanes.values() if lane.crossing is None and lane.following]
    assert len(into) == 36
    for lane in into:
        way = network.ahead(LanePosition(lane.id, network.length_m(lane.id) - 10.0), [direction], until_m=50.0)
        (crossing, *_) = way.crossings
        assert crossing.turn == direction
        assert (crossing.entry_m, way.length_m) == (pytest.approx(10.0), pytest.approx(50.0, abs=10.0))
        assert way.yaw_rad[-1] - way.yaw_rad[0] == pytest.approx(TURNED[direction], abs=1e-3)
        assert np.diff(way.along_m) == pytest.approx(0.5, abs=0.26)
        assert np.hypot(*np.diff(way.points, axis=0).T) == pytest.approx(np.diff(way.along_m), abs=0.01)
        # out of the crossing on the left half of its road
        x, y, yaw = way.at(crossing.exit_m)
        left = -math.sin(yaw) * (x - crossing.crossing.x_m) + math.cos(yaw) * (y - crossing.crossing.y_m)
        assert left == pytest.approx(1.5, abs=1e-3)


def test_without_turns_the_way_goes_straight_to_the_roads_end(network):
    way = network.ahead(at(network, -30, 81.5, EAST))
    assert way.at(way.length_m) == pytest.approx([200, 81.5, 0])
    assert [c.id for c in way.crossings] == ["crossing_0_80", "crossing_80_80", "crossing_160_80"]
    assert way.marks[-1].kind == "end" and way.marks[-1].from_m == pytest.approx(230.0)


def test_marks_lie_along_the_way_in_order(network):
    way = network.ahead(at(network, -30, 81.5, EAST))
    found = [(mark.kind, round(mark.from_m, 1), round(mark.to_m, 1), mark.id) for mark in way.marks]
    end = str(way.lanes[-1].lane)
    assert found == [
        ("sign", 21.0, 21.0, "stop_0_80_west"),
        ("crossing", 21.0, 39.0, "crossing_0_80"),
        ("light", 101.0, 101.0, "light_80_80_west"),
        ("crossing", 101.0, 119.0, "crossing_80_80"),
        ("crosswalk", 102.0, 105.0, "crosswalk_80_80_west"),
        ("crosswalk", 115.0, 118.0, "crosswalk_80_80_east"),
        ("sign", 181.0, 181.0, "stop_160_80_west"),
        ("crossing", 181.0, 199.0, "crossing_160_80"),
        ("end", 230.0, 230.0, end),
    ]


def test_north_and_south_have_priority_where_there_are_no_lights(network):
    way = network.ahead(at(network, -1.5, -30, NORTH))
    assert {mark.kind for mark in way.marks} == {"crossing", "end"}


def test_a_turn_crosses_the_crosswalk_that_it_came_by_and_the_one_that_it_leaves_by(network):
    for direction, leaving in (("left", "north"), ("right", "south"), ("straight", "east")):
        way = network.ahead(at(network, 60, 81.5, EAST), [direction], until_m=60.0)
        walks = [mark.id for mark in way.marks if mark.kind == "crosswalk"]
        assert walks == ["crosswalk_80_80_west", f"crosswalk_80_80_{leaving}"]


def test_a_way_that_is_cut_short_has_no_end(network):
    assert "end" not in {mark.kind for mark in network.ahead(at(network, 180, 81.5, EAST), until_m=10.0).marks}
    assert network.ahead(at(network, 180, 81.5, EAST), until_m=10.0).length_m == pytest.approx(10.0)


def test_past_the_last_crossing_there_is_no_turn(network):
    position = at(network, 180, 81.5, EAST)
    for direction in TURNED:
        with pytest.raises(RoadError) as error:
            network.ahead(position, [direction])
        assert error.value.reason == "no_road"
    with pytest.raises(RoadError):
        network.ahead(at(network, 60, 81.5, EAST), ["straight", "straight", "left"])


def test_at_the_very_end_of_a_road_nothing_is_ahead(network):
    way = network.ahead(at(network, 200, 81.5, EAST))
    assert way.length_m == pytest.approx(0.0, abs=1e-5)
    assert [mark.kind for mark in way.marks] == ["end"]
    assert way.crossings == () and way.at(0.0) == pytest.approx([200, 81.5, 0])


def test_a_way_knows_the_crossings_that_it_comes_by(network):
    ahead = network.ahead(at(network, 60, 81.5, EAST)).crossings
    assert [(c.id, c.lights) for c in ahead] == [("crossing_80_80", True), ("crossing_160_80", False)]
    assert [c.centre_m for c in ahead] == pytest.approx([20.0, 100.0])
    turned = network.ahead(at(network, 60, 81.5, EAST), ["left"]).crossings
    assert [c.id for c in turned] == ["crossing_80_80", "crossing_80_160"]


def test_a_turn_that_is_asked_for_inside_a_crossing_is_that_at_the_next_one(network):
    way = network.ahead(at(network, 75, 81.5, EAST), ["left"])
    assert [(c.id, c.turn) for c in way.crossings][:2] == [("crossing_80_80", "straight"), ("crossing_160_80", "left")]


def test_places_are_found_again_on_a_way(network):
    way = network.ahead(at(network, 60, 81.5, EAST), ["right"])
    along, offset = way.nearest(83.0, 50.0)
    assert offset == pytest.approx(1.5, abs=1e-6), "the kerb's side of southbound is east"
    x, y, yaw = way.at(along, offset)
    assert (x, y) == pytest.approx((83.0, 50.0)) and yaw == pytest.approx(SOUTH)
    position = way.lane_at(along)
    assert way.along_of(position.lane, position.along_m) == pytest.approx((along,))
    assert way.along_of(at(network, 40, 78.5, WEST).lane, 5.0) == ()


def test_the_kerb_leaves_thirty_centimetres_to_the_shoulders_edge(network):
    lane, car = at(network, 40, 81.5, EAST).lane, load_robot("car")
    offset = network.kerb_offset_m(lane, car)
    assert 81.5 + offset + car.width_m / 2 == pytest.approx(84.0 - 0.3)


def test_a_place_on_the_left_of_the_road_ahead_is_passed_directly(network):
    route = network.route_to(at(network, 20, 81.5, EAST), 50.0, 90.0, facing_rad=SOUTH)
    assert (route.along_m, route.side, route.distance_m) == (pytest.approx(30.0), "left", pytest.approx(8.5))
    assert route.way.length_m == pytest.approx(60.0)


def test_a_place_on_the_other_side_is_approached_so_that_it_is_on_the_left(network):
    start = at(network, 20, 81.5, EAST)
    kerb = network.route_to(start, 120.0, 70.0, facing_rad=NORTH)
    assert kerb.side == "left"
    assert kerb.way.at(kerb.along_m) == pytest.approx([120.0, 78.5, kerb.way.at(kerb.along_m)[2]], abs=0.01)
    assert math.cos(kerb.way.at(kerb.along_m)[2]) == pytest.approx(-1.0)
    soon = network.route_to(start, 120.0, 70.0, side_matters=False)
    assert (soon.side, soon.along_m) == ("right", pytest.approx(100.0))


def test_where_the_kerb_side_cannot_be_reached_the_other_one_serves(network):
    """The lane that comes in from the road's end begins there: no way leads onto it."""
    route = network.route_to(at(network, 140, 81.5, EAST), 190.0, 70.0, facing_rad=NORTH)
    assert route.side == "right"
    assert route.way.at(route.along_m)[:2] == pytest.approx([190.0, 81.5])


def test_of_two_roads_at_a_corner_the_one_counts_that_the_place_looks_at(network):
    start = at(network, 20, 81.5, EAST)
    by_front = {yaw: network.route_to(start, 92.0, 92.0, facing_rad=yaw).way for yaw in (SOUTH, WEST)}
    ends = {yaw: by_front[yaw].lane_at(network.route_to(start, 92.0, 92.0, facing_rad=yaw).along_m) for yaw in by_front}
    centre = {yaw: network.road.lanes[ends[yaw].lane].centre for yaw in ends}
    assert np.allclose(centre[SOUTH][:, 1], 81.5), "the road south of it"
    assert np.allclose(centre[WEST][:, 0], 81.5), "the road west of it, on its side"


def test_a_place_that_was_passed_is_reached_round_the_block(network):
    route = network.route_to(at(network, 40, 81.5, EAST), 20.0, 90.0, facing_rad=SOUTH)
    assert route.along_m > 250
    assert route.way.at(route.along_m)[:2] == pytest.approx([20.0, 81.5], abs=0.01)
    assert [c.turn for c in route.way.crossings].count("straight") <= 1


def test_past_the_last_crossing_nothing_behind_can_be_reached(network):
    with pytest.raises(RoadError) as error:
        network.route_to(at(network, 180, 81.5, EAST), 40.0, 90.0)
    assert error.value.reason == "no_path"


def test_routes_are_as_short_as_lanelet2s_own(network):
    folder = resource("sim", "worlds")
    origin = json.loads((folder / "street.json").read_text(encoding="utf-8"))["origin_deg"]
    lanelets = lanelet2.io.load(
        str(folder / "street.osm"), lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(*origin))
    )
    rules = lanelet2.traffic_rules.create(
        lanelet2.traffic_rules.Locations.Germany, lanelet2.traffic_rules.Participants.Vehicle
    )
    graph = lanelet2.routing.RoutingGraph(lanelets, rules)
    outside = [lane for lane in network.road.lanes.values() if lane.crossing is None and lane.following]
    rng = np.random.default_rng(5)
    for start, goal in itertools.islice(zip(rng.permutation(len(outside)), rng.permutation(len(outside)), strict=True), 12):
        a, b = outside[start], outside[goal]
        theirs = graph.shortestPath(lanelets.laneletLayer[a.id], lanelets.laneletLayer[b.id], 0, False)
        x, y, yaw = network.line(b.id).at(20.0)
        if theirs is None or a.id == b.id:
            continue
        route = network.route_to(LanePosition(a.id, 0.0), x - math.sin(yaw) * 5.0, y + math.cos(yaw) * 5.0)
        assert route.lane == b.id
        length = sum(network.length_m(lanelet.id) for lanelet in theirs) - network.length_m(b.id) + 20.0
        assert route.along_m == pytest.approx(length, abs=0.5)
