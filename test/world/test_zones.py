"""Zones to keep out of: exact in the plane, strict in their file, and read with the map."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from jpai_agent.world.map import load_map
from jpai_agent.world.zones import SiteRules, Zone, load_rules

SQUARE = Zone("z", "試験場", ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)))
HALF_M = (0.35, 0.25)


def test_distances_are_negative_inside_and_exact_outside() -> None:
    points = np.array([[1.0, 1.0], [0.5, 1.0], [3.0, 1.0], [3.0, 3.0], [2.0, 1.0]])
    assert SQUARE.distance_m(points) == pytest.approx([-1.0, -0.5, 1.0, math.sqrt(2.0), 0.0])


def test_corners_may_be_given_in_either_order() -> None:
    other = Zone("z", "試験場", tuple(reversed(SQUARE.polygon_m)))
    points = np.random.default_rng(0).uniform(-3, 5, (50, 2))
    assert other.distance_m(points) == pytest.approx(SQUARE.distance_m(points))


def test_rules_have_a_hash_of_what_they_say_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    def read(text: str) -> str:
        (tmp_path / "yard.yaml").write_text(text, encoding="utf-8")
        return load_rules(tmp_path / "yard.yaml").sha256

    zone = "{id: pit, name: ピット, polygon_m: [[0, 0], [1, 0], [1, %s]]}"
    rules = read("speed_limit_mps: 1.2\nkeep_out: [%s]" % (zone % 1))
    assert read("# the pit\nkeep_out:\n  - %s\nspeed_limit_mps: 1.2" % (zone % 1.0)) == rules
    others = [read("speed_limit_mps: 1.3\nkeep_out: [%s]" % (zone % 1)), read("speed_limit_mps: 1.2\nkeep_out: []"),
              read("speed_limit_mps: 1.2\nkeep_out: [%s]" % (zone % 1.001)), read("speed_limit_mps: null\nkeep_out: []")]
    assert len({rules, *others}) == 5


def test_a_footprint_s_gap_is_that_of_its_sides() -> None:
    poses = np.array([[3.0, 1.0, 0.0], [3.0, 1.0, math.pi / 2], [2.3, 1.0, 0.0], [1.0, 1.0, 0.3]])
    gaps = SQUARE.gap_m(poses, HALF_M)
    assert gaps[:3] == pytest.approx([0.65, 0.75, -0.05])
    assert gaps[3] < -0.5


def test_a_footprint_s_gap_agrees_with_points_of_its_outline() -> None:
    rng = np.random.default_rng(1)
    edge = np.linspace(-1.0, 1.0, 81)
    outline = np.concatenate([np.stack([edge, s * np.ones(81)], 1) for s in (-1, 1)]
                             + [np.stack([s * np.ones(81), edge], 1) for s in (-1, 1)]) * HALF_M
    zone = Zone("z", "試験場", ((0.0, 0.0), (2.5, 0.4), (1.5, 2.2)))
    for pose in np.stack([rng.uniform(-1.5, 3.5, 200), rng.uniform(-1.5, 3.5, 200), rng.uniform(-3, 3, 200)], axis=1):
        cos, sin = math.cos(pose[2]), math.sin(pose[2])
        points = pose[:2] + outline @ np.array([[cos, sin], [-sin, cos]])
        nearest, gap = float(zone.distance_m(points).min()), float(zone.gap_m(pose, HALF_M))
        assert (gap < 0.0) == (nearest < 0.0) or abs(nearest) < 0.02
        assert gap <= nearest + 1e-6


@pytest.mark.parametrize("polygon", [
    ((0, 0), (1, 0)), ((0, 0), (1, 0), (2, 0)), ((0, 0), (2, 0), (2, 2), (1, 0.5), (0, 2)),
    ((0, 0), (1, 0), (math.nan, 1)), ((0, 0), (2, 2), (2, 0), (0, 2)), ((0, 0), (0, 0), (1, 0), (1, 1)),
])
def test_a_polygon_that_is_no_convex_area_is_refused(polygon: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="'z'"):
        Zone("z", "試験場", polygon)


def test_a_robot_in_a_zone_is_free_to_leave_it() -> None:
    rules = SiteRules((SQUARE,))
    assert rules.beyond(np.array([1.0, 1.0, 0.0]), HALF_M).zones == ()
    assert rules.beyond(np.array([4.0, 1.0, 0.0]), HALF_M) is rules
    assert rules.entered(np.array([[4.0, 1.0, 0.0], [2.2, 1.0, 0.0]]), HALF_M) is SQUARE
    assert rules.entered(np.array([[4.0, 1.0, 0.0], [2.4, 1.0, 0.0]]), HALF_M) is None
    assert rules.holding(np.array([1.0, 1.0])) is SQUARE


def test_the_yard_has_rules_and_its_places_are_outside_of_its_zones() -> None:
    yard = load_map("yard")
    assert yard.rules.zones and yard.rules.speed_limit_mps == 1.2
    for zone in yard.rules.zones:
        assert float(zone.distance_m(np.array([[p.x_m, p.y_m] for p in yard.places])).min()) > 0.5
    assert load_map("street").rules.speed_limit_mps == math.inf


@pytest.mark.parametrize("text", [
    "keep_out: []", "speed_limit_mps: -1\nkeep_out: []", "speed_limit_mps: 1\nkeep_out: [{id: a, name: b}]",
    "speed_limit_mps: 1\nkeep_out: [{id: a, name: b, polygon_m: [[0, 0], [1, 0]]}]",
    "speed_limit_mps: 1\nkeep_out: [{id: a, name: b, polygon_m: [[0, 0], [1, 0], [0, 1]], more: 1}]", "- 1",
])
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"site\.yaml"):
        load_rules(tmp_path / "site.yaml")
    assert load_rules(tmp_path / "none.yaml") == SiteRules()
