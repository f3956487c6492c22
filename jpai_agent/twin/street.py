"""The street's ground as it is seen: asphalt, pavements, paint on the road, signs at stop lines, the car park.

All of it is drawn from the road map. Nothing here is touched but the poles of signs and lights; pavements are 2 cm high to
the eye only. Flat things lie in a group of their own (UNMEASURED_GROUP): cameras see them, lidar meets the floor below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import mujoco
import numpy as np

from jpai_agent.twin.atlas import cell, region
from jpai_agent.twin.lights import LightPlan, add_light
from jpai_agent.twin.painter import UNMEASURED_GROUP
from jpai_agent.twin.scenery import FLOOR_BIT, OBSTACLE_BIT
from jpai_agent.twin.sheet import Sheet, placed, raised, rectangle, region_uv, straightened, strip
from jpai_agent.world.road import CarPark, Crossing, Lane, RoadMap, StopLine

ASPHALT_TILE_M, PAVING_TILE_M = 4.0, 2.0
_ASPHALT_Z, _PAINT_Z, _PAVEMENT_Z = 0.004, 0.008, 0.019
_PAVEMENT_M, _KERB_M, _CORNER_M = 2.0, 0.18, 3.0
_LINE_M, _STOP_LINE_M, _ZEBRA_M = 0.15, 0.45, 0.45
_DASH_M, _GAP_M, _SOLID_BEFORE_M = 5.0, 5.0, 25.0
_POLE_ASIDE_M = 0.6


def add_street_ground(spec: mujoco.MjSpec) -> None:
    """The plane `floor`, for contacts and for what lies beside the road."""
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=FLOOR_BIT, conaffinity=0, rgba=[0.4, 0.4, 0.4, 1]
    )


def add_lights(spec: mujoco.MjSpec, road: RoadMap, plan: LightPlan, *, visual: bool) -> None:
    """The heads of the map with their poles, showing what the plan has at t = 0."""
    for head in road.lights.values():
        crossing = road.crossings[head.crossing]
        # the traffic's left, and how far in that direction the head is from the crossing road's middle
        left = math.sin(head.yaw_rad), -math.cos(head.yaw_rad)
        aside = (head.x_m - crossing.x_m) * left[0] + (head.y_m - crossing.y_m) * left[1]
        add_light(spec, head, crossing.kerb_m + _POLE_ASIDE_M - aside, plan.state_at(head.id, 0.0), visual=visual)


def add_signs(spec: mujoco.MjSpec, road: RoadMap, *, visual: bool) -> None:
    """A 止まれ sign at the kerb beside each stop line of kind "sign", a P sign at the far end of each car park's aisle.

    Their poles' contact solids are `pole:<stop line id>` and `pole:<car park id>`.
    """
    signs = Sheet()
    triangle = np.array([[0.0, 1.78], [0.45, 2.55], [-0.45, 2.55]])
    u0, v0, u1, v1 = region("stop_sign")
    triangle_uv = np.array([[[(u0 + u1) / 2, v1], [u1, v0], [u0, v0]]])
    square = np.array([[-0.35, 1.9], [0.35, 1.9], [0.35, 2.6], [-0.35, 2.6]])
    for line in road.stop_lines:
        if line.kind == "sign":
            lane = road.lanes[line.lane]
            x, y, yaw = _at(lane, line.along_m)
            aside = lane.width_m / 2 + road.shoulder_m + _POLE_ASIDE_M
            x, y = x - aside * math.sin(yaw), y + aside * math.cos(yaw)
            _pole(spec, f"pole:{line.id}", x, y, 2.6, visual=visual)
            _panel(signs, triangle, triangle_uv, x, y, yaw + math.pi, cell("back"))
    for park in road.car_parks:
        lane_x, lane_y, yaw = _at(road.lanes[park.lane], 0.0)
        ahead, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        corners = rectangle(*park.aisle_m)[0]
        # the corner that is farthest on along the lane and nearest to it
        corner = corners[np.argmax(corners @ ahead - np.abs((corners - [lane_x, lane_y]) @ left))]
        x, y = corner + 0.8 * ahead + 0.8 * left
        _pole(spec, f"pole:{park.id}", x, y, 2.65, visual=visual)
        uv = region_uv(region("parking_sign"))
        _panel(signs, square, uv, x, y, yaw + math.pi, uv)
    if visual:
        signs.emit(spec, "signs", "town", 1)


def _panel(signs: Sheet, shape: np.ndarray, uv: np.ndarray, x: float, y: float, yaw_rad: float, back_uv: np.ndarray) -> None:
    """A flat sign that faces along yaw, with its back: its outline (k, 2) as (to the right, up), counter-clockwise."""
    front = np.insert(shape, 0, 0.05, axis=1)[None]
    signs.add(placed(front, x, y, yaw_rad), uv)
    back = np.insert(shape * [-1, 1], 0, -0.05, axis=1)[None]
    signs.add(placed(back, x, y, yaw_rad), back_uv)


def dress_road(spec: mujoco.MjSpec, road: RoadMap) -> None:
    """Asphalt, pavements, kerbs and every marking, under the materials "asphalt", "paving" and "town"."""
    asphalt, paving, paint = _road_sheets(road)
    asphalt.emit(spec, "asphalt", "asphalt", UNMEASURED_GROUP)
    paving.emit(spec, "paving", "paving", UNMEASURED_GROUP)
    paint.emit(spec, "paint", "town", UNMEASURED_GROUP)


@lru_cache(maxsize=4)
def _road_sheets(road: RoadMap) -> tuple[Sheet, Sheet, Sheet]:
    """Asphalt, pavements and paint; the same road is drawn again for every scene."""
    asphalt, paving, paint = Sheet(), Sheet(), Sheet()
    aisles = [park.aisle_m for park in road.car_parks]
    lanes = [lane for lane in road.lanes.values() if lane.crossing is None]
    for lane in lanes:
        half = lane.width_m / 2
        kerb = half + road.shoulder_m
        asphalt.tiled(strip(straightened(lane.centre), -half, kerb), _ASPHALT_Z, ASPHALT_TILE_M)
        for run in _beside(lane.centre, kerb + 1.0, aisles):
            _pavement(paving, paint, run, kerb)
        _lane_marks(paint, lane, [line for line in road.stop_lines if line.lane == lane.id])
    for crossing in road.crossings.values():
        _crossing(asphalt, paving, paint, crossing)
    for line in road.stop_lines:
        lane = road.lanes[line.lane]
        half = lane.width_m / 2
        mark = rectangle(0, -half + _LINE_M, _STOP_LINE_M, half)
        paint.flat(placed(mark, *_at(lane, line.along_m)), _PAINT_Z, cell("paint"))
        if line.kind == "sign":
            _word(paint, "stop_word", *_at(lane, line.along_m - 1.2 - 5.0), 5.0, 1.7)
    for walk in road.crosswalks:
        count = int((2 * walk.half_across_m + _ZEBRA_M) / (2 * _ZEBRA_M))
        bars = (np.arange(count) - (count - 1) / 2) * 2 * _ZEBRA_M - _ZEBRA_M / 2
        shapes = np.concatenate([rectangle(-walk.half_along_m, bar, walk.half_along_m, bar + _ZEBRA_M) for bar in bars])
        paint.flat(placed(shapes, walk.x_m, walk.y_m, walk.yaw_rad), _PAINT_Z, cell("paint"))
    for park in road.car_parks:
        _car_park(asphalt, paint, park)
    return asphalt, paving, paint


def _at(lane: Lane, along_m: float) -> tuple[float, float, float]:
    """x, y and heading on the lane's centre line."""
    steps = np.diff(lane.centre, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.cumsum(lengths)
    k = min(int(np.searchsorted(ends, along_m)), len(steps) - 1)
    x, y = lane.centre[k] + steps[k] * ((along_m - (ends[k] - lengths[k])) / lengths[k])
    return float(x), float(y), math.atan2(steps[k, 1], steps[k, 0])


def _beside(centre: np.ndarray, left_m: float, gaps: Sequence[tuple[float, float, float, float]]) -> list[np.ndarray]:
    """Stretches of a lane's centre line where no aisle opens at left_m beside it, without needless points."""
    band = strip(centre, left_m, left_m)[:, :2].mean(axis=1)
    free = np.ones(len(band), dtype=bool)
    for x0, y0, x1, y1 in gaps:
        free &= ~((band[:, 0] > x0) & (band[:, 0] < x1) & (band[:, 1] > y0 - 1) & (band[:, 1] < y1 + 1))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(int)))
    return [straightened(centre[a : b + 1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _pavement(paving: Sheet, paint: Sheet, line: np.ndarray, kerb: float) -> None:
    paving.tiled(strip(line, kerb + _KERB_M, kerb + _PAVEMENT_M), _PAVEMENT_Z, PAVING_TILE_M)
    paint.flat(strip(line, kerb, kerb + _KERB_M), _PAVEMENT_Z, cell("kerb"))
    foot = strip(line, kerb, kerb)[:, :2]
    paint.add(raised(foot[:, ::-1], _PAVEMENT_Z), cell("kerb_side"))


def _lane_marks(paint: Sheet, lane: Lane, stops: Sequence[StopLine]) -> None:
    half, length = lane.width_m / 2, float(np.linalg.norm(np.diff(lane.centre, axis=0), axis=1).sum())
    line = straightened(lane.centre)
    paint.flat(strip(line, half - _LINE_M / 2, half + _LINE_M / 2), _PAINT_Z, cell("paint"))
    if length > 40.0:
        _word(paint, "limit_30", *_at(lane, 16.0), 3.2, 1.5)
    if lane.opposite is None:
        return
    # each lane paints its own half of the centre line's length before its stop line, the lower id the rest
    solid = max((stop.along_m for stop in stops), default=-math.inf) - _SOLID_BEFORE_M
    starts = np.arange(0.0 if lane.id < lane.opposite else length, length - 1.0, _DASH_M + _GAP_M)
    pieces = [(a, min(a + _DASH_M, length)) for a in starts]
    if math.isfinite(solid):
        pieces.append((max(0.0, solid), length))
    for a, b in pieces:
        mark = rectangle(0.0, -half - _LINE_M / 2, b - a, -half + _LINE_M / 2)
        paint.flat(placed(mark, *_at(lane, a)), _PAINT_Z, cell("paint"))


def _word(paint: Sheet, name: str, x: float, y: float, yaw_rad: float, length: float, width: float) -> None:
    """Words on the road, read by who drives along yaw; they begin at (x, y)."""
    shape = np.array([[[0, width / 2], [0, -width / 2], [length, -width / 2], [length, width / 2]]])
    paint.flat(placed(shape, x, y, yaw_rad), _PAINT_Z - 0.001, region_uv(region(name)))


def _crossing(asphalt: Sheet, paving: Sheet, paint: Sheet, crossing: Crossing) -> None:
    """The cross of two roads and its four rounded corners; the roads run along the map's axes."""
    half, kerb = crossing.half_m, crossing.kerb_m
    middle = np.array([crossing.x_m, crossing.y_m])
    for shape in (rectangle(-half, -kerb, half, kerb), rectangle(-kerb, kerb, kerb, half), rectangle(-kerb, -half, kerb, -kerb)):
        asphalt.tiled(shape + middle, _ASPHALT_Z, ASPHALT_TILE_M)
    radius = min(_CORNER_M, half - kerb)
    angles = np.radians(np.linspace(180, 270, 7))
    arc = kerb + radius + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rim = kerb + radius + (radius - _KERB_M) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outer = kerb + _PAVEMENT_M
    for quarter in range(4):
        turn = quarter * math.pi / 2

        def put(shape: np.ndarray, turn: float = turn) -> np.ndarray:
            return placed(shape, crossing.x_m, crossing.y_m, turn)

        corner = np.full((len(arc) - 1, 1, 2), kerb)
        asphalt.tiled(put(np.concatenate([corner, arc[1:, None], arc[:-1, None]], axis=1)), _ASPHALT_Z, ASPHALT_TILE_M)
        line = np.array([[kerb, half], *arc, [half, kerb]])
        edge = np.array([[kerb + _KERB_M, half], *rim, [half, kerb + _KERB_M]])
        paint.flat(put(np.stack([line[:-1], line[1:], edge[1:], edge[:-1]], axis=1)), _PAVEMENT_Z, cell("kerb"))
        paint.add(raised(put(np.stack([line[:-1], line[1:]], axis=1)), _PAVEMENT_Z), cell("kerb_side"))
        # the pavement goes round the outer corner; its inner points fan out from there
        fan = np.array([[outer, outer]] * (len(edge) - 1))
        paving.tiled(put(np.stack([fan, edge[:-1], edge[1:]], axis=1)), _PAVEMENT_Z, PAVING_TILE_M)
        ends = [[outer, half], edge[0], [outer, outer]], [edge[-1], [half, outer], [outer, outer]]
        paving.tiled(put(np.array(ends)), _PAVEMENT_Z, PAVING_TILE_M)


def _car_park(asphalt: Sheet, paint: Sheet, park: CarPark) -> None:
    x0, y0, x1, y1 = park.aisle_m
    asphalt.tiled(rectangle(x0, y0, x1, y1), _ASPHALT_Z + 0.001, ASPHALT_TILE_M)
    pad: list[np.ndarray] = []
    for slot in park.slots:
        half_l, half_w, line = slot.length_m / 2, slot.width_m / 2, 0.06
        pose = slot.x_m, slot.y_m, slot.yaw_rad
        ground = placed(rectangle(-half_l - 1.0, -half_w - 0.8, half_l + 0.6, half_w + 0.8), *pose)
        pad.append(ground.reshape(-1, 2))
        for y in (-half_w, half_w):
            paint.flat(placed(rectangle(-half_l, y - line, half_l, y + line), *pose), _PAINT_Z, cell("paint"))
        paint.flat(placed(rectangle(half_l - line, -half_w, half_l + line, half_w), *pose), _PAINT_Z, cell("paint"))
        number = re.search(r"(\d+)$", slot.id)
        if number and 1 <= int(number[1]) <= 6:
            x, y = slot.x_m - (half_l - 0.35) * math.cos(slot.yaw_rad), slot.y_m - (half_l - 0.35) * math.sin(slot.yaw_rad)
            _word(paint, f"number_{number[1]}", x, y, slot.yaw_rad, 1.5, 1.1)
    if pad:
        points = np.concatenate(pad)
        (px0, py0), (px1, py1) = points.min(axis=0), points.max(axis=0)
        # from the slots to the aisle, however they lie to one another
        asphalt.tiled(rectangle(min(px0, x0), min(py0, y1), max(px1, x1), max(py1, y0)), _ASPHALT_Z, ASPHALT_TILE_M)


def _pole(spec: mujoco.MjSpec, name: str, x: float, y: float, height: float, *, visual: bool) -> None:
    radius, kind = 0.035, mujoco.mjtGeom.mjGEOM_CYLINDER
    spec.worldbody.add_geom(
        name=name, type=kind, pos=[x, y, height / 2], size=[radius, height / 2, 0], contype=OBSTACLE_BIT, conaffinity=0,
        group=3 if visual else 1, rgba=[0.6, 0.6, 0.6, 1],
    )
    if visual:
        spec.worldbody.add_geom(
            type=kind, pos=[x, y, height / 2], size=[radius, height / 2, 0], contype=0, conaffinity=0, group=1, mass=0.0,
            rgba=[0.80, 0.81, 0.82, 1],
        )
