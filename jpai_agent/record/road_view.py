"""The road under a map: pavements, lanes with their lines, crosswalks, stop lines, the car park and the lights as read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from jpai_agent.record import style
from jpai_agent.record.canvas import Canvas
from jpai_agent.record.text import Color
from jpai_agent.world.road import CarPark, Crosswalk, Lane, LightHead, RoadMap, StopLine
from jpai_agent.world.scene import SeenLight

ToPixels = Callable[[ArrayLike], np.ndarray]
PAVEMENT_M = 2.0
_STRIPE_M, _STRIPES = 0.45, 9
LAMPS: Mapping[str, Color] = {
    "red": (222, 40, 40), "yellow": (236, 164, 12), "green": (22, 160, 90), "unknown": (150, 160, 174)}


def draw_road(canvas: Canvas, to_px: ToPixels, px_per_m: float, road: RoadMap) -> None:
    """All that lies on the ground, from below to above."""
    outside = [lane for lane in road.lanes.values() if lane.crossing is None]
    edge_m = road.shoulder_m + outside[0].width_m / 2 if outside else 0.0
    for lane in outside:
        canvas.line(to_px(lane.centre), style.PAVEMENT, 2 * (edge_m + PAVEMENT_M) * px_per_m)
    for lane in road.lanes.values():
        canvas.line(to_px(lane.centre), style.ASPHALT, 2 * edge_m * px_per_m)
    for crossing in road.crossings.values():
        x, y, half = crossing.x_m, crossing.y_m, crossing.kerb_m
        corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * half + [x, y]
        canvas.polygon(to_px(corners), style.ASPHALT)
    for park in road.car_parks:
        _car_park(canvas, to_px, park)
    for lane in outside:
        canvas.line(to_px(_beside(lane, lane.width_m / 2)), style.MARKING, 1.4)
        if lane.opposite is not None and lane.id < lane.opposite:
            middle = to_px(_beside(lane, -lane.width_m / 2))
            canvas.dashed(middle, style.MARKING, 1.8, 3.0 * px_per_m, 3.0 * px_per_m)
    for crosswalk in road.crosswalks:
        _crosswalk(canvas, to_px, crosswalk)
    for stop in road.stop_lines:
        _stop_line(canvas, to_px, px_per_m, stop, road.lanes[stop.lane])


def draw_lights(canvas: Canvas, to_px: ToPixels, heads: Mapping[str, LightHead], seen: Sequence[SeenLight]) -> None:
    """Each head where it stands, in the colour that was read of it last; grey where none was."""
    states = {light.id: light.state for light in seen}
    for head in heads.values():
        at, color = to_px((head.x_m, head.y_m)), LAMPS[states.get(head.id, "unknown")]
        canvas.disc(at, 6.5, style.INK, style.CARD, 1.2)
        canvas.disc(at, 4.0, color)


def _beside(lane: Lane, left_m: float) -> np.ndarray:
    """(P, 2) the lane's centre line moved to the left."""
    along = np.gradient(lane.centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.asarray(lane.centre + left_m * np.stack([-along[:, 1], along[:, 0]], axis=1))


def _crosswalk(canvas: Canvas, to_px: ToPixels, crosswalk: Crosswalk) -> None:
    half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [crosswalk.half_along_m, _STRIPE_M / 2]
    for across in np.linspace(-1, 1, _STRIPES) * (crosswalk.half_across_m - _STRIPE_M / 2):
        stripe = turned((crosswalk.x_m, crosswalk.y_m, crosswalk.yaw_rad), half + np.array([0.0, across]))
        canvas.polygon(to_px(stripe), style.MARKING)


def _stop_line(canvas: Canvas, to_px: ToPixels, px_per_m: float, stop: StopLine, lane: Lane) -> None:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lane.centre, axis=0), axis=1))])
    ends = []
    for left_m in (lane.width_m / 2, -lane.width_m / 2):
        side = _beside(lane, left_m)
        ends.append([np.interp(stop.along_m, along, side[:, 0]), np.interp(stop.along_m, along, side[:, 1])])
    color = style.MARKING if stop.kind == "light" else style.STOP_SIGN
    canvas.line(to_px(ends), color, max(2.0, 0.45 * px_per_m))


def _car_park(canvas: Canvas, to_px: ToPixels, park: CarPark) -> None:
    x0, y0, x1, y1 = park.aisle_m
    canvas.polygon(to_px([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), style.ASPHALT)
    for slot in park.slots:
        half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [slot.length_m / 2, slot.width_m / 2]
        canvas.polygon(to_px(turned((slot.x_m, slot.y_m, slot.yaw_rad), half)), style.ASPHALT, style.MARKING, 1.4)


def turned(pose: ArrayLike, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) of a frame at pose (x, y, yaw), in the map."""
    x, y, yaw = np.asarray(pose, float)
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + [x, y])
