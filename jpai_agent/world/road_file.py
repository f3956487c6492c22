"""Reads a Lanelet2 road map into `RoadMap`. Which lane continues which is asked of lanelet2's routing graph.

`sim/worlds/make_street.py` says which tags the file has beside Lanelet2's own. lanelet2's traffic rules are those of Germany;
nothing that depends on the side of the road is asked of them: lanes are one-way, and one follows another where their bounds meet.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpai_agent.world.road import CarPark, Crossing, Crosswalk, Lane, LightHead, RoadMap, Slot, StopLine

if TYPE_CHECKING:
    from lanelet2.core import LaneletMap

SPACING_M = 0.5
_SPEED = re.compile(r"(\d+(?:\.\d+)?) km/h")


@lru_cache(maxsize=4)
def load_road(path: Path, origin: tuple[float, float]) -> RoadMap:
    """Read the Lanelet2 file at path; origin is the latitude and longitude of the map frame's origin.

    Raises ValueError when the file is none or lacks a tag, ImportError when lanelet2 is not installed (it has wheels for x86-64).
    """
    import lanelet2

    try:
        lanelets, errors = lanelet2.io.loadRobust(
            str(path), lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(*origin))
        )
        if errors:
            raise ValueError("; ".join(errors))
        return _road(lanelets)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"road map {path.name}: {error}") from error


def _road(lanelets: LaneletMap) -> RoadMap:
    import lanelet2

    rules = lanelet2.traffic_rules.create(lanelet2.traffic_rules.Locations.Germany, lanelet2.traffic_rules.Participants.Vehicle)
    graph = lanelet2.routing.RoutingGraph(lanelets, rules)
    every = sorted(lanelets.laneletLayer, key=lambda lanelet: lanelet.id)
    driven = [lanelet for lanelet in every if lanelet.attributes["subtype"] == "road"]
    by_right = {(lanelet.rightBound.id, lanelet.rightBound.inverted()): lanelet.id for lanelet in driven}
    lanes = {}
    for lanelet in driven:
        tags, right = dict(lanelet.attributes.items()), lanelet.rightBound
        lanes[lanelet.id] = Lane(
            lanelet.id,
            _resampled(_xy(lanelet.centerline)),
            _width(lanelet),
            _speed_mps(tags["speed_limit"]),
            tuple(sorted(after.id for after in graph.following(lanelet))),
            tags.get("crossing"),
            tags.get("turn_direction", ""),
            by_right.get((right.id, not right.inverted())),
        )
    squares = [p for p in lanelets.polygonLayer if p.attributes["type"] == "intersection_area"]
    crossings = {c.id: c for c in sorted(map(_crossing, squares), key=lambda c: (c.y_m, c.x_m))}
    lines, heads = _guards(driven, lanes)
    walks = tuple(_crosswalk(walk) for walk in every if walk.attributes["subtype"] == "crosswalk")
    shoulder = {float(lanelet.attributes["shoulder_m"]) for lanelet in driven}
    if len(shoulder) != 1:
        raise ValueError(f"shoulders of different widths: {sorted(shoulder)}")
    return RoadMap(lanes, crossings, lines, heads, walks, _car_parks(lanelets), shoulder.pop())


def _guards(driven: list[Any], lanes: dict[int, Lane]) -> tuple[tuple[StopLine, ...], dict[str, LightHead]]:
    """Stop lines with their kind, and the light heads, from the lanelets' regulatory elements."""
    lines, heads = [], {}
    for lanelet in driven:
        for rule in lanelet.trafficLights():
            head = _head(rule.trafficLights[0], rule.attributes["crossing"])
            heads[head.id] = head
            lines.append(_stop_line(rule.stopLine, lanes[lanelet.id], rule.attributes["crossing"], "light", head.id))
        for rule in lanelet.trafficSigns():
            if rule.type() == "jp330":
                lines.append(_stop_line(rule.refLines()[0], lanes[lanelet.id], rule.attributes["crossing"], "sign", None))
    return tuple(sorted(lines, key=lambda line: line.id)), dict(sorted(heads.items()))


def _stop_line(line: Any, lane: Lane, crossing: str, kind: str, light: str | None) -> StopLine:
    middle = _xy(line).mean(axis=0)
    lengths = np.hypot(*np.diff(lane.centre, axis=0).T)
    nearest = int(np.argmin(np.hypot(*(lane.centre - middle).T)))
    return StopLine(line.attributes["name"], lane.id, round(float(lengths[:nearest].sum()), 3), crossing, kind, light)


def _head(line: Any, crossing: str) -> LightHead:
    """Its line runs from the left lamp to the right one, as seen by the traffic that it is for."""
    tags, lamps = line.attributes, _xy(line)
    (x, y), (dx, dy) = lamps.mean(axis=0), lamps[-1] - lamps[0]
    # the traffic's direction is 90° left of the line; the lamps shine against it
    return LightHead(
        tags["name"],
        crossing,
        tags["approach"],
        float(x),
        float(y),
        round(float(np.mean([p.z for p in line])), 3),
        math.atan2(-dx, dy),
        float(tags["lamp_diameter_m"]),
        float(tags["lamp_pitch_m"]),
    )


def _crossing(square: Any) -> Crossing:
    xy, tags = _xy(square), square.attributes
    x, y = (xy.min(axis=0) + xy.max(axis=0)) / 2
    return Crossing(tags["name"], float(x), float(y), float(np.ptp(xy[:, 0])) / 2, tags["lights"] == "yes", float(tags["kerb_m"]))


def _crosswalk(walk: Any) -> Crosswalk:
    left, right = _xy(walk.leftBound), _xy(walk.rightBound)
    x, y = (left.mean(axis=0) + right.mean(axis=0)) / 2
    along, across = left.mean(axis=0) - right.mean(axis=0), left[-1] - left[0]
    return Crosswalk(
        walk.attributes["name"],
        walk.attributes["crossing"],
        float(x),
        float(y),
        round(math.atan2(along[1], along[0]), 6),
        round(float(np.hypot(*along)) / 2, 3),
        round(float(np.hypot(*across)) / 2, 3),
    )


def _car_parks(lanelets: LaneletMap) -> tuple[CarPark, ...]:
    areas = sorted(lanelets.areaLayer, key=lambda area: area.id)
    slots: dict[str, list[Slot]] = {}
    for area in (a for a in areas if a.attributes["subtype"] == "parking"):
        tags, xy = area.attributes, _outline(area)
        yaw = math.radians(float(tags["yaw_deg"]))
        ahead = np.array([math.cos(yaw), math.sin(yaw)])
        x, y = (xy.min(axis=0) + xy.max(axis=0)) / 2
        length, width = float(np.ptp(xy @ ahead)), float(np.ptp(xy @ np.array([-ahead[1], ahead[0]])))
        slots.setdefault(tags["car_park"], []).append(
            Slot(tags["name"], float(x), float(y), yaw, round(length, 3), round(width, 3))
        )
    parks = []
    for area in (a for a in areas if a.attributes["subtype"] == "freespace"):
        xy, name = _outline(area), area.attributes["name"]
        (x0, y0), (x1, y1) = xy.min(axis=0), xy.max(axis=0)
        parks.append(
            CarPark(name, tuple(slots.get(name, ())), (float(x0), float(y0), float(x1), float(y1)), int(area.attributes["lane"]))
        )
    return tuple(parks)


def _outline(area: Any) -> np.ndarray:
    return np.concatenate([_xy(line) for line in area.outerBound])


def _xy(line: Any) -> np.ndarray:
    """(P, 2), to the millimetre: latitudes and longitudes carry about a micrometre of noise."""
    return np.round([[p.x, p.y] for p in line], 3) + 0.0


def _resampled(xy: np.ndarray) -> np.ndarray:
    """The same line with its long pieces cut into points SPACING_M apart."""
    length = np.hypot(*np.diff(xy, axis=0).T)
    cuts = np.maximum(1, np.round(length / SPACING_M)).astype(int)
    piece = np.repeat(np.arange(len(cuts)), cuts)
    share = (np.arange(len(piece)) - np.repeat(np.cumsum(cuts) - cuts, cuts)) / cuts[piece]
    return np.concatenate([xy[piece] + share[:, None] * (xy[piece + 1] - xy[piece]), xy[-1:]])


def _width(lanelet: Any) -> float:
    left, right = _xy(lanelet.leftBound), _xy(lanelet.rightBound)
    return round(math.dist(left[0], right[0]), 3)


def _speed_mps(text: str) -> float:
    match = _SPEED.fullmatch(text)
    if match is None:
        raise ValueError(f"speed limit {text!r} is not in km/h")
    return float(match[1]) / 3.6
