"""The maps: the yard's places, the street's roads, and an episode's landmarks by name."""

import math
import time

import pytest

from jpai_agent.world.map import load_map
from jpai_agent.world.objects import KINDS, ObjectSpec
from jpai_agent.world.road_file import load_road


def test_the_yard_has_no_roads_and_its_dock_is_home():
    yard = load_map("yard")
    assert yard.road is None
    assert yard.place(yard.home).x_m == -11.0


def test_the_street_has_roads_a_car_park_and_six_numbered_slots():
    street = load_map("street")
    assert street.road is not None
    assert [p.id for p in street.places] == ["parking", *(f"slot_{k}" for k in range(1, 7))]
    for k in range(1, 7):
        slot = street.place(f"slot_{k}")
        assert (slot.x_m, slot.y_m) == (92 + 4 * k, 14)
        assert slot.yaw_rad == pytest.approx(math.pi / 2, abs=1e-5)
        assert f"{k}番" in slot.names


def test_the_street_is_read_once():
    road = load_map("street").road
    start = time.perf_counter()
    assert load_map("street").road is road
    assert time.perf_counter() - start < 0.1


def test_an_unknown_world_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="street, yard"):
        load_map("moon")


def test_a_road_file_that_is_none_is_named(tmp_path):
    bad = tmp_path / "bad.osm"
    bad.write_text("<osm>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.osm"):
        load_road(bad, (35.0, 139.0))


def test_landmarks_become_places_numbered_in_the_order_of_the_episode():
    objects = [
        ObjectSpec("a", "convenience_store", (30, 90, -90)),
        ObjectSpec("b", "car", (20, 78.5, 180)),
        ObjectSpec("c", "post_office", (120, 70, 90)),
        ObjectSpec("d", "convenience_store", (120, 90, -90)),
        ObjectSpec("e", "convenience_store", (90, 120, 180)),
    ]
    street = load_map("street")
    episode = street.with_landmarks(objects)
    added = episode.places[len(street.places) :]
    assert [p.id for p in added] == ["convenience_store", "post_office", "convenience_store_2", "convenience_store_3"]
    assert [p.kind for p in added] == ["convenience_store", "post_office", "convenience_store", "convenience_store"]
    assert added[0].names == added[2].names == KINDS["convenience_store"].names_ja
    assert (added[1].x_m, added[1].y_m, added[1].yaw_rad) == (120, 70, pytest.approx(math.pi / 2))
    assert episode.road is street.road
    assert len(street.places) == 7, "the map itself stays as it is"
