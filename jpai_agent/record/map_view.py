"""The top-down map: what the robot believed, rehearsed, planned and drove, with Japanese names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from jpai_agent.record import style
from jpai_agent.record.canvas import Canvas
from jpai_agent.record.road_view import draw_lights, draw_road, turned
from jpai_agent.record.shapes import pill, pill_size
from jpai_agent.record.text import draw_text, shorten, width_px
from jpai_agent.world.map import WorldMap
from jpai_agent.world.scene import Mover, Obstacle, SeenLight

_MARGIN_M = 0.35
_ARROW_S = 1.5
# lengths that a scale bar may have, and the least that it measures on the picture
_SCALES_M, _SCALE_PX = (2, 5, 10, 20, 50), 40.0
Bounds = tuple[float, float, float, float]


@dataclass
class MapContent:
    """What a map shows; positions in the map frame, metres and radians.

    Attributes:
        footprint_m: (length, width) of the robot, whose middle is center_x_m ahead of base_link.
        targets: (badge, x, y, label). rollouts: per rollout (T, ≥2).
        planned, driven, truth: (N, ≥2). start, end: poses (x, y, yaw).
        outlines: True footprints of what stood there, each (N, 2), for pictures of failures.
        lights: What was read of traffic lights. view_m: (x0, y0, x1, y1) that is shown; the world's bounds where it is None.
    """

    world: WorldMap
    footprint_m: tuple[float, float]
    obstacles: Sequence[Obstacle] = ()
    movers: Sequence[Mover] = ()
    targets: Sequence[tuple[str, float, float, str]] = ()
    rollouts: Sequence[np.ndarray] = ()
    planned: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    driven: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    truth: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    outlines: Sequence[np.ndarray] = ()
    center_x_m: float = 0.0
    lights: Sequence[SeenLight] = ()
    view_m: Bounds | None = None

    @property
    def shown_m(self) -> Bounds:
        """(x0, y0, x1, y1) of what is shown."""
        return self.view_m or self.world.bounds_m


class Projection:
    """Map frame to pixels: bounds (x0, y0, x1, y1), centred, as large as the picture allows; x to the right, y up."""

    def __init__(self, bounds_m: Bounds, width_px: int, height_px: int) -> None:
        x0, y0, x1, y1 = bounds_m
        self.px_per_m = min(width_px / (x1 - x0 + 2 * _MARGIN_M), height_px / (y1 - y0 + 2 * _MARGIN_M))
        self._origin = np.array(
            [width_px / 2 - self.px_per_m * (x0 + x1) / 2, height_px / 2 + self.px_per_m * (y0 + y1) / 2]
        )

    def __call__(self, xy: ArrayLike) -> np.ndarray:
        """Points (..., ≥2) in metres to (..., 2) in pixels."""
        return self._origin + np.asarray(xy, float)[..., :2] * [self.px_per_m, -self.px_per_m]


def draw_map(content: MapContent, width: int, height: int, *, text_px: int = 14) -> Image.Image:
    """The map as an RGB picture of that size."""
    to_px = Projection(content.shown_m, width, height)
    road = content.world.road
    canvas = Canvas(width, height, style.CARD if road is None else style.GROUND)
    if road is None:
        _floor(canvas, to_px, content.world)
    else:
        draw_road(canvas, to_px, to_px.px_per_m, road)
    for obstacle in content.obstacles:
        canvas.polygon(
            to_px(_corners((obstacle.x_m, obstacle.y_m, obstacle.yaw_rad), obstacle.half_x_m, obstacle.half_y_m)),
            style.OBSTACLE,
            style.OBSTACLE_EDGE,
            1.2,
        )
    for outline in content.outlines:
        canvas.polygon(to_px(outline), None, style.TRUTH, 1.4)
    for place in content.world.places:
        _place_mark(canvas, to_px((place.x_m, place.y_m)), home=place.id == content.world.home)
    canvas.bundle([to_px(path) for path in content.rollouts if len(path)], style.ROLLOUT, 1.5, 0.10)
    canvas.line(to_px(content.driven), style.DRIVEN, 4.5)
    canvas.dashed(to_px(content.truth), style.TRUTH, 2.0, 7.0, 3.0)
    canvas.dashed(to_px(content.planned), style.PLANNED, 1.8, 6.0, 5.0)
    for mover in content.movers:
        at = to_px((mover.x_m, mover.y_m))
        tip = to_px((mover.x_m + mover.vx_mps * _ARROW_S, mover.y_m + mover.vy_mps * _ARROW_S))
        canvas.arrow(at, tip, style.MOVER, 2.2, 9.0)
        if mover.half_x_m > 0.0:
            box = _corners((mover.x_m, mover.y_m, mover.yaw_rad), mover.half_x_m, mover.half_y_m)
            canvas.polygon(to_px(box), style.MOVER, style.CARD, 1.5)
        else:
            canvas.disc(at, max(4.0, mover.radius_m * to_px.px_per_m), style.MOVER, style.CARD, 1.5)
    if road is not None:
        draw_lights(canvas, to_px, road.lights, content.lights)
    for _, x, y, _ in content.targets:
        canvas.disc(to_px((x, y)), 5.0, style.ACCENT, style.CARD, 1.6)
    body = (*content.footprint_m, content.center_x_m)
    if content.start is not None:
        canvas.polygon(to_px(turned(content.start, _body(*body))), style.CARD, style.DRIVEN, 1.8)
        canvas.polygon(to_px(turned(content.start, _nose(*body))), style.DRIVEN)
    if content.end is not None:
        canvas.polygon(to_px(turned(content.end, _body(*body))), style.DRIVEN, style.CARD, 1.4)
        canvas.polygon(to_px(turned(content.end, _nose(*body))), style.CARD)
    image = Image.fromarray(canvas.finish())
    _letter(image, content, to_px, text_px)
    return image


def _floor(canvas: Canvas, to_px: Projection, world: WorldMap) -> None:
    x0, y0, x1, y1 = world.bounds_m
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    canvas.polygon(to_px(corners), style.FLOOR)
    step = 2.0
    for x in np.arange(math.ceil(x0 / step) * step, x1, step):
        canvas.line(to_px([[x, y0], [x, y1]]), style.GRID, 1.0)
    for y in np.arange(math.ceil(y0 / step) * step, y1, step):
        canvas.line(to_px([[x0, y], [x1, y]]), style.GRID, 1.0)
    canvas.polygon(to_px(corners), None, style.WALL, 3.0)


def _corners(pose: ArrayLike, half_x: float, half_y: float) -> np.ndarray:
    return turned(pose, _body(2 * half_x, 2 * half_y, 0.0))


def _body(length: float, width: float, center_x: float) -> np.ndarray:
    return np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2] + [center_x, 0.0]


def _nose(length: float, width: float, center_x: float) -> np.ndarray:
    return np.array([[0.75, 0.0], [0.05, 0.55], [0.05, -0.55]]) * [length / 2, width / 2] + [center_x, 0.0]


def _place_mark(canvas: Canvas, at: np.ndarray, *, home: bool) -> None:
    shape = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]]) * 5.5
    canvas.polygon(at + shape, style.GOOD if home else style.CARD, style.GOOD if home else style.PLACE, 1.6)


def _letter(image: Image.Image, content: MapContent, to_px: Projection, text_px: int) -> None:
    """Write names where they cover nothing: targets first, then places, then start and scale."""
    draw = ImageDraw.Draw(image)
    x0, y0, x1, y1 = content.shown_m
    left, top = to_px((x0, y1))
    right, bottom = to_px((x1, y0))
    room = (max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height))
    places = [place for place in content.world.places if _inside(to_px((place.x_m, place.y_m)), room)]
    busy = [to_px(path) for path in (content.driven, content.planned, content.truth) if len(path)]
    busy += [to_px([(m.x_m, m.y_m), (m.x_m + m.vx_mps, m.y_m + m.vy_mps)]) for m in content.movers]
    labeller = Labeller(
        (room[0] + 4, room[1] + 4, room[2] - 4, room[3] - 4), np.concatenate(busy) if busy else np.zeros((0, 2))
    )
    for _, x, y, _ in content.targets:
        labeller.reserve(_around(to_px((x, y)), 7))
    for place in places:
        labeller.reserve(_around(to_px((place.x_m, place.y_m)), 7))
    if content.world.road is not None:
        for head in content.world.road.lights.values():
            labeller.reserve(_around(to_px((head.x_m, head.y_m)), 8))
    for obstacle in content.obstacles:
        labeller.reserve(
            _around(to_px((obstacle.x_m, obstacle.y_m)), max(obstacle.half_x_m, obstacle.half_y_m) * to_px.px_per_m)
        )
    for pose in (content.start, content.end):
        if pose is not None:
            labeller.reserve(_around(to_px(turned(pose, np.array([[content.center_x_m, 0.0]]))[0]),
                                     content.footprint_m[0] / 2 * to_px.px_per_m))
    _scale_bar(draw, to_px, labeller, room)
    for badge, x, y, label in content.targets:
        text = shorten(label, text_px, 190)
        box = labeller.find(to_px((x, y)), *pill_size(badge, text, text_px), 9)
        pill(image, (box[0], box[1]), badge, text, text_px)
    for place in places:
        name, home = place.names[0], place.id == content.world.home
        if any(math.dist((x, y), (place.x_m, place.y_m)) < 0.05 for _, x, y, _ in content.targets):
            continue  # it has its step's label
        box = labeller.find(to_px((place.x_m, place.y_m)), width_px(name, text_px), text_px + 2, 9)
        draw_text(
            draw, (box[0], box[3] - 3), name, text_px, style.GOOD if home else style.PLACE, halo=style.FLOOR, bold=home
        )
    if content.start is not None and content.end is not None and math.dist(content.start[:2], content.end[:2]) > 0.8:
        for pose, word in ((content.start, "出発"), (content.end, "到着")):
            box = labeller.find(
                to_px(pose), width_px(word, text_px), text_px + 2, content.footprint_m[0] / 2 * to_px.px_per_m + 3
            )
            draw_text(draw, (box[0], box[3] - 3), word, text_px, style.DRIVEN, bold=True, halo=style.FLOOR)


def _inside(at: np.ndarray, room: Sequence[float]) -> bool:
    return bool(room[0] <= at[0] <= room[2] and room[1] <= at[1] <= room[3])


def _around(at: np.ndarray, radius: float) -> tuple[float, float, float, float]:
    return at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius


def _scale_bar(draw: ImageDraw.ImageDraw, to_px: Projection, labeller: Labeller, room: Sequence[float]) -> None:
    metres = next((m for m in _SCALES_M if m * to_px.px_per_m >= _SCALE_PX), _SCALES_M[-1])
    length, right, bottom = metres * to_px.px_per_m, room[2] - 12, room[3] - 12
    left = right - length
    draw.line([(left, bottom - 5), (left, bottom), (right, bottom), (right, bottom - 5)], style.MUTED, 2)
    draw_text(draw, ((left + right) / 2, bottom - 5), f"{metres} m", 12, style.MUTED, anchor="ms", halo=style.FLOOR)
    labeller.reserve((left, bottom - 18, right, bottom + 2))


class Labeller:
    """Finds room for labels: inside the frame, off what is reserved, and off busy points where that is possible."""

    def __init__(self, frame: tuple[float, float, float, float], busy: np.ndarray) -> None:
        self._frame, self._busy = frame, busy
        self.taken: list[tuple[float, float, float, float]] = []

    def reserve(self, box: tuple[float, float, float, float]) -> None:
        """Keep later labels off the box (left, top, right, bottom)."""
        self.taken.append(box)

    def find(self, at: np.ndarray, width: float, height: float, gap: float) -> tuple[float, float, float, float]:
        """The best box for a label of that size beside the point; it is reserved."""
        best = min(self._candidates(at, width, height, gap), key=lambda pair: pair[0])[1]
        self.taken.append(best)
        return best

    def _candidates(
        self, at: np.ndarray, width: float, height: float, gap: float
    ) -> list[tuple[float, tuple[float, float, float, float]]]:
        left, top, right, bottom = self._frame
        rated = []
        for rank, (reach, (side_x, side_y)) in enumerate(
            (reach, side) for reach in (gap, gap + height, gap + 2 * height) for side in _SIDES
        ):
            x = at[0] + side_x * (reach + width / 2) - width / 2
            y = at[1] + side_y * (reach + height / 2) - height / 2
            x, y = min(max(x, left), right - width), min(max(y, top), bottom - height)
            box = (x, y, x + width, y + height)
            overlap = sum(_overlap(box, other) for other in self.taken)
            inside = self._busy[
                (self._busy[:, 0] > x - 2)
                & (self._busy[:, 0] < box[2] + 2)
                & (self._busy[:, 1] > y - 2)
                & (self._busy[:, 1] < box[3] + 2)
            ]
            rated.append((overlap * 100.0 + len(inside) * 3.0 + rank, box))
        return rated


_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.9), (-0.7, -0.9), (0.7, 0.9), (-0.7, 0.9))


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
