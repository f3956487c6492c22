"""What surrounds the street: weather and light, houses and trees away from the roads, hills on the horizon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import mujoco
import numpy as np

from jpai_agent.twin.atlas import cell, draw_atlas, region
from jpai_agent.twin.painter import add_picture
from jpai_agent.twin.sheet import Sheet, placed, raised, region_uv
from jpai_agent.world.road import RoadMap

RGB = tuple[float, float, float]
# nothing of the background comes nearer than this to the middle of a road, or to an object of the scene
CLEAR_OF_ROADS_M, CLEAR_OF_OBJECTS_M = 14.0, 3.0
_GRASS_TILE_M = 12.0
_SKY_PX = 32


@dataclass(frozen=True)
class Weather:
    """Colours and strengths of a look; fog_m: where haze begins and where it hides everything, None without."""

    zenith: RGB
    horizon: RGB
    ambient: float
    camera_light: float
    sun: float
    sun_tint: RGB
    elevation_rad: tuple[float, float]
    asphalt: RGB
    grass: RGB
    fog_m: tuple[float, float] | None = None


WEATHERS: dict[str, Weather] = {
    "sunny": Weather((0.25, 0.48, 0.85), (0.76, 0.86, 0.95), 0.54, 0.22, 0.46, (1.0, 0.97, 0.90), (0.6, 1.2), (0.41, 0.41, 0.42),
                     (0.40, 0.52, 0.24)),
    "overcast": Weather((0.62, 0.66, 0.70), (0.82, 0.84, 0.85), 0.66, 0.24, 0.14, (1.0, 1.0, 1.0), (0.9, 1.4), (0.38, 0.38, 0.39),
                        (0.36, 0.46, 0.24), (120.0, 900.0)),
    "dusk": Weather((0.16, 0.20, 0.42), (0.95, 0.60, 0.36), 0.42, 0.22, 0.28, (1.0, 0.74, 0.52), (0.25, 0.45), (0.40, 0.39, 0.40),
                    (0.34, 0.40, 0.23)),
    "rain": Weather((0.46, 0.49, 0.53), (0.66, 0.69, 0.71), 0.58, 0.22, 0.06, (0.95, 0.98, 1.0), (0.9, 1.4), (0.20, 0.21, 0.22),
                    (0.28, 0.38, 0.20), (20.0, 260.0)),
}


def add_weather(spec: mujoco.MjSpec, rng: np.random.Generator | None, name: str | None = None) -> Weather:
    """Sky, sun and haze of a weather drawn from rng (sunny without), or of the named one. The model's text `weather` tells
    which; the numeric `fog` asks a renderer for haze."""
    name = name or ("sunny" if rng is None else str(rng.choice(list(WEATHERS), p=(0.4, 0.25, 0.15, 0.2))))
    weather = WEATHERS[name]
    spec.add_text(name="weather", data=name)
    sky = spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=_SKY_PX, height=6 * _SKY_PX, nchannel=3
    )
    sky.data = _sky(weather).tobytes()
    level = 1.0 if rng is None else float(rng.uniform(0.88, 1.1))
    azimuth = 2.2 if rng is None else float(rng.uniform(-math.pi, math.pi))
    low, high = weather.elevation_rad
    elevation = (low + high) / 2 if rng is None else float(rng.uniform(low, high))
    tint = np.asarray(weather.sun_tint)
    spec.visual.headlight.ambient = list(level * weather.ambient * (0.6 + 0.4 * tint))
    spec.visual.headlight.diffuse = [level * weather.camera_light] * 3
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.worldbody.add_light(
        name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[80, 80, 60], diffuse=list(level * weather.sun * tint),
        dir=[-math.cos(azimuth) * math.cos(elevation), -math.sin(azimuth) * math.cos(elevation), -math.sin(elevation)],
        specular=[0.2 * weather.sun] * 3, castshadow=True,
    )
    spec.visual.map.haze = 0.001  # the hills are the horizon
    if weather.fog_m is not None:
        extent = spec.stat.extent
        spec.visual.map.fogstart, spec.visual.map.fogend = weather.fog_m[0] / extent, weather.fog_m[1] / extent
        spec.visual.rgba.fog = [*weather.horizon, 1.0]
        spec.add_numeric(name="fog", data=[1.0])
    return weather


def _sky(weather: Weather) -> np.ndarray:
    """(6 n, n, 3) uint8: the faces of the sky's cube, right, left, up, down, front, back; the horizon's colour below it."""
    n = _SKY_PX
    at = (2 * (np.arange(n) + 0.5) / n) - 1
    down, across = np.meshgrid(at, at, indexing="ij")
    length = np.sqrt(1 + across**2 + down**2)
    side, top = np.clip(-down / length, 0, 1), 1 / length
    height = np.concatenate([side, side, top, np.zeros((n, n)), side, side])
    share = (height**0.6)[:, :, None]
    rgb = np.asarray(weather.horizon) * (1 - share) + np.asarray(weather.zenith) * share
    return np.asarray(255 * rgb + 0.5).astype(np.uint8)


def add_materials(spec: mujoco.MjSpec, weather: Weather, rng: np.random.Generator | None) -> None:
    """The materials "asphalt", "paving", "grass" (given to the floor), "town" (the atlas) and "lamp"."""
    noise = rng or np.random.default_rng(0)
    gain = 1.0 if rng is None else float(rng.uniform(0.85, 1.15))
    asphalt = tuple(gain * c for c in weather.asphalt)
    wet = weather.asphalt[0] < 0.25
    add_picture(spec, "asphalt", _grained(asphalt, 256, 0.035, 0.02, noise))
    add_picture(spec, "paving", _paving(tuple(c * (0.75 if wet else 1.0) for c in (0.60, 0.58, 0.55)), noise))
    add_picture(spec, "town", draw_atlas(asphalt, rng))  # type: ignore[arg-type]
    add_picture(spec, "grass", _grained(tuple(gain * c for c in weather.grass), 128, 0.035, 0.05, noise), repeats=True)
    spec.material("grass").texrepeat = [1 / _GRASS_TILE_M, 1 / _GRASS_TILE_M]
    spec.add_material(name="lamp", emission=1.0, specular=0.0, shininess=0.0, rgba=[1, 1, 1, 1])
    floor = spec.geom("floor")
    floor.material, floor.rgba = "grass", [1, 1, 1, 1]


def add_background(spec: mujoco.MjSpec, road: RoadMap, keep_clear: Sequence[tuple[float, float, float]],
                   rng: np.random.Generator | None) -> None:
    """Houses, flats and trees along the roads, one mesh a block, and hills all round. Seen, never touched.

    keep_clear: (x, y, radius_m) of what stands in the scene.
    """
    noise = rng or np.random.default_rng(0)
    xs, ys = sorted({c.x_m for c in road.crossings.values()}), sorted({c.y_m for c in road.crossings.values()})
    ends = np.concatenate([lane.centre for lane in road.lanes.values()])
    (west, south), (east, north) = ends.min(axis=0), ends.max(axis=0)
    taken = [np.array([x, y, r + CLEAR_OF_OBJECTS_M]) for x, y, r in keep_clear]
    for park in road.car_parks:
        corners = np.array([park.aisle_m[:2], park.aisle_m[2:], *((s.x_m, s.y_m) for s in park.slots)])
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        taken += [np.array([x, y, 12.0]) for x in np.arange(x0, x1 + 5, 6.0) for y in np.arange(y0, y1 + 5, 6.0)]
    blocks: dict[tuple[int, int], Sheet] = {}
    for x_axis, roads, others, low, high in ((True, ys, xs, west, east), (False, xs, ys, south, north)):
        stations = [low, *others, high]
        for middle in roads:
            for side in (-1, 1):
                for start, end in pairwise(stations):
                    _row(blocks, taken, x_axis, middle, side, start, end, (xs, ys), noise)
    for (i, j), sheet in blocks.items():
        sheet.emit(spec, f"block_{i}_{j}", "town", 0)
    _hills(spec, ((west + east) / 2, (south + north) / 2), noise)


def _row(blocks: dict[tuple[int, int], Sheet], taken: list[np.ndarray], x_axis: bool, middle: float, side: int, start: float,
         end: float, roads: tuple[Sequence[float], Sequence[float]], rng: np.random.Generator) -> None:
    """Buildings and trees in a row along one side of a road between two others, wherever there is room."""
    at = start + 2.0
    while at < end - 2.0:
        kind = str(rng.choice(["house", "flats", "tree", "tree", "house"]))
        width = {"house": rng.uniform(8, 11), "flats": rng.uniform(13, 17), "tree": rng.uniform(3.0, 5.0)}[kind]
        depth = {"house": rng.uniform(7, 9), "flats": 9.0, "tree": width}[kind]
        back = CLEAR_OF_ROADS_M + depth / 2 + rng.uniform(0.5, 4.0)
        along, aside = at + width / 2, middle + side * back
        x, y = (along, aside) if x_axis else (aside, along)
        at += width + rng.uniform(1.0, 6.0)
        reach = math.hypot(width, depth) / 2
        half = (width / 2, depth / 2) if x_axis else (depth / 2, width / 2)
        if any(abs(v - r) < CLEAR_OF_ROADS_M + h for v, h, across in zip((x, y), half, roads, strict=True) for r in across):
            continue
        spots = np.stack(taken) if taken else np.empty((0, 3))
        if (np.hypot(spots[:, 0] - x, spots[:, 1] - y) < spots[:, 2] + 0.75 * reach).any():
            continue
        taken.append(np.array([x, y, 0.75 * reach + 0.5]))
        sheet = blocks.setdefault((sum(x > r for r in roads[0]), sum(y > r for r in roads[1])), Sheet())
        # the front, local +x, looks at the road
        yaw = -side * math.pi / 2 if x_axis else (math.pi if side > 0 else 0.0)
        if kind == "tree":
            _tree(sheet, x, y, width, rng)
        else:
            _building(sheet, x, y, yaw, depth, width, kind, rng)


def _building(sheet: Sheet, x: float, y: float, yaw: float, depth: float, width: float, kind: str,
              rng: np.random.Generator) -> None:
    style = int(rng.integers(4 if kind == "house" else 2))
    height = rng.uniform(5.0, 6.2) if kind == "house" else rng.uniform(10.0, 14.0)
    d, w = depth / 2, width / 2
    walls = np.array([[[d, -w], [d, w]], [[-d, w], [-d, -w]], [[d, w], [-d, w]], [[-d, -w], [d, -w]]])
    sheet.add(placed(raised(walls, height), x, y, yaw), region_uv(region(f"{kind}_{style}")))
    roof = cell(f"roof_{style}")
    if kind == "flats":
        top = np.array([[[d, -w, height], [d, w, height], [-d, w, height], [-d, -w, height]]])
        sheet.add(placed(top, x, y, yaw), cell("roof_3"))
        return
    over, rise = 0.5, rng.uniform(1.4, 2.4)
    a, b, top_z = d + over, w + over, height + rise
    ridge = w - rng.choice([0.0, d]) if w > d else w
    slopes = np.array([[[a, -b, height], [a, b, height], [0, ridge, top_z], [0, -ridge, top_z]],
                       [[-a, b, height], [-a, -b, height], [0, -ridge, top_z], [0, ridge, top_z]]])
    ends = np.array([[[a, b, height], [-a, b, height], [0, ridge, top_z]],
                     [[-a, -b, height], [a, -b, height], [0, -ridge, top_z]]])
    sheet.add(placed(slopes, x, y, yaw), roof)
    sheet.add(placed(np.array([[[a, -b, height], [-a, -b, height], [-a, b, height], [a, b, height]]]), x, y, yaw), roof)
    sheet.add(placed(ends, x, y, yaw), roof if ridge < w - 0.1 else cell(f"wall_{style}"))


def _tree(sheet: Sheet, x: float, y: float, width: float, rng: np.random.Generator) -> None:
    height, trunk, sides = width * rng.uniform(1.2, 1.8), rng.uniform(1.2, 2.0), 7
    leaf = int(rng.integers(4))
    turn = 2 * np.pi * np.arange(sides + 1) / sides + rng.uniform(0, 1)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    conical = rng.random() < 0.25
    shape = ((0.9, 0.0), (1.0, 0.15), (0.02, 1.0)) if conical else ((0.55, 0.0), (1.0, 0.35), (0.85, 0.72), (0.3, 1.0))
    rings = [(0.16, 0.0), (0.14, trunk + 0.2), *((0.5 * width * r, trunk + height * z) for r, z in shape)]
    for k, ((r0, z0), (r1, z1)) in enumerate(pairwise(rings)):
        low = np.concatenate([circle * r0, np.full((sides + 1, 1), z0)], axis=1)
        high = np.concatenate([circle * r1, np.full((sides + 1, 1), z1)], axis=1)
        color = "trunk" if k == 0 else f"leaf_{(leaf + (k == 1)) % 4}"
        sheet.add(placed(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), x, y, 0.0), cell(color))
    if not conical:
        sheet.add(placed(high[None, :-1], x, y, 0.0), cell(f"leaf_{leaf}"))


def _hills(spec: mujoco.MjSpec, middle: tuple[float, float], rng: np.random.Generator) -> None:
    sheet, count = Sheet(), 48
    for name, radius, height in (("hill_1", 420.0, 34.0), ("hill_0", 330.0, 16.0)):
        turn = 2 * np.pi * np.arange(count + 1) / count
        waves = [rng.uniform(0.2, 0.5) * np.cos(k * turn + rng.uniform(0, 6.28)) for k in (2, 3, 5, 7)]
        top = height * (1.0 + 0.5 * np.sum(waves, axis=0))
        ring = np.asarray(middle) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        low, high = np.concatenate([ring, np.full((count + 1, 1), -2.0)], axis=1), np.concatenate([ring, top[:, None]], axis=1)
        sheet.add(np.stack([low[1:], low[:-1], high[:-1], high[1:]], axis=1), cell(name))
    sheet.emit(spec, "hills", "town", 2)


def _grained(tint: Sequence[float], n: int, grain: float, blotch: float, rng: np.random.Generator) -> np.ndarray:
    """(n, n, 3) uint8, tileable: fine grain over soft blotches."""
    shade = grain * rng.standard_normal((n, n))
    cells = 8
    coarse = np.pad(rng.standard_normal((cells, cells)), (0, 1), mode="wrap")
    at = np.arange(n) * cells / n
    i = at.astype(int)
    f = at - i
    rows = coarse[i] * (1 - f)[:, None] + coarse[i + 1] * f[:, None]
    shade += blotch * (rows[:, i] * (1 - f) + rows[:, i + 1] * f)
    return (np.clip(np.asarray(tint) + shade[:, :, None], 0, 1) * 255).astype(np.uint8)


def _paving(tint: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8: slabs of half a metre, two metres a tile."""
    n, slab = 128, 32
    shade = 0.02 * rng.standard_normal((n, n)) + np.kron(0.03 * rng.standard_normal((4, 4)), np.ones((slab, slab)))
    shade[::slab], shade[:, ::slab] = -0.10, -0.10
    return (np.clip(np.asarray(tint) + shade[:, :, None], 0, 1) * 255).astype(np.uint8)
