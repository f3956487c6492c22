"""What surrounds the yard's objects: floor, markings, walls, sky and light, plain or varied by a generator."""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np

FLOOR_BIT, OBSTACLE_BIT = 1, 2
_TEXTURE_PX = 256
_TILE_M = 4.0

_FLOORS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("concrete", (0.60, 0.60, 0.58)),
    ("concrete", (0.50, 0.51, 0.52)),
    ("concrete", (0.66, 0.63, 0.57)),
    ("asphalt", (0.27, 0.27, 0.28)),
    ("asphalt", (0.36, 0.36, 0.36)),
    ("paving", (0.55, 0.50, 0.46)),
    ("paving", (0.52, 0.54, 0.55)),
    ("epoxy", (0.42, 0.50, 0.45)),
    ("epoxy", (0.46, 0.50, 0.56)),
)
_WALLS: tuple[tuple[float, float, float], ...] = (
    (0.78, 0.78, 0.76),
    (0.70, 0.72, 0.74),
    (0.82, 0.78, 0.70),
    (0.60, 0.62, 0.62),
    (0.72, 0.66, 0.60),
)
_SKIES: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...] = (
    ((0.45, 0.62, 0.85), (0.80, 0.87, 0.94)),
    ((0.62, 0.68, 0.74), (0.84, 0.86, 0.88)),
    ((0.35, 0.50, 0.78), (0.72, 0.80, 0.90)),
    ((0.55, 0.58, 0.62), (0.70, 0.72, 0.74)),
    ((0.60, 0.62, 0.75), (0.95, 0.86, 0.74)),
)


def add_ground_and_walls(
    spec: mujoco.MjSpec, bounds_m: tuple[float, float, float, float], height_m: float, thickness_m: float
) -> None:
    """The plane `floor` and four walls `wall_*` whose inner faces are the bounds (x0, y0, x1, y1). Contacts only."""
    x0, y0, x1, y1 = bounds_m
    cx, cy, half = (x0 + x1) / 2, (y0 + y1) / 2, thickness_m / 2
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[cx, cy, 0],
        size=[0, 0, 1],
        contype=FLOOR_BIT,
        conaffinity=0,
        rgba=[0.55, 0.55, 0.54, 1],
    )
    long, wide = (x1 - x0) / 2 + thickness_m, (y1 - y0) / 2
    for name, px, py, sx, sy in (
        ("west", x0 - half, cy, half, wide),
        ("east", x1 + half, cy, half, wide),
        ("south", cx, y0 - half, long, half),
        ("north", cx, y1 + half, long, half),
    ):
        spec.worldbody.add_geom(
            name=f"wall_{name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[px, py, height_m / 2],
            size=[sx, sy, height_m / 2],
            contype=OBSTACLE_BIT,
            conaffinity=0,
            rgba=[0.75, 0.75, 0.73, 1],
        )


def dress_yard(spec: mujoco.MjSpec, world: dict[str, Any], rng: np.random.Generator | None) -> None:
    """Textures, sky, lights and the markings of the yard's places. world is the content of yard.json."""
    style, tint = _pick(_FLOORS, rng)
    texture = spec.add_texture(
        name="floor", type=mujoco.mjtTexture.mjTEXTURE_2D, width=_TEXTURE_PX, height=_TEXTURE_PX, nchannel=3
    )
    texture.data = _floor_texture(style, tint, rng).tobytes()
    floor = spec.add_material(
        name="floor", texuniform=True, texrepeat=[1 / _TILE_M, 1 / _TILE_M], specular=0.05, shininess=0.1
    )
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    ground = spec.geom("floor")
    ground.material, ground.rgba = "floor", [1, 1, 1, 1]
    wall_rgb = _pick(_WALLS, rng)
    for side in ("west", "east", "south", "north"):
        spec.geom(f"wall_{side}").rgba = [*wall_rgb, 1]
    _light(spec, rng)
    _mark_places(spec, world, wall_rgb)


def _pick(choices: tuple, rng: np.random.Generator | None) -> Any:
    return choices[0 if rng is None else int(rng.integers(len(choices)))]


def _floor_texture(style: str, tint: tuple[float, float, float], rng: np.random.Generator | None) -> np.ndarray:
    """(256, 256, 3) uint8, tileable, one tile is 4 m wide."""
    noise = rng or np.random.default_rng(0)
    n = _TEXTURE_PX
    shade = np.zeros((n, n))
    # blotches of a few sizes: smooth, periodic noise
    for cells, strength in ((8, 0.020), (32, 0.015)):
        coarse = noise.standard_normal((cells, cells))
        wrapped = np.pad(coarse, (0, 1), mode="wrap")
        at = np.arange(n) * cells / n
        i = at.astype(int)
        f = at - i
        rows = wrapped[i] * (1 - f)[:, None] + wrapped[i + 1] * f[:, None]
        shade += strength * (rows[:, i] * (1 - f) + rows[:, i + 1] * f)
    grain = {"asphalt": 0.06, "concrete": 0.025, "paving": 0.03, "epoxy": 0.008}[style]
    shade += grain * noise.standard_normal((n, n))
    if style == "concrete":
        shade[:2, :] -= 0.12
        shade[:, :2] -= 0.12
    elif style == "paving":
        tile = n // 8
        shade[np.arange(n) % tile == 0, :] -= 0.12
        for row in range(8):
            offset = (tile // 2) * (row % 2)
            shade[row * tile : (row + 1) * tile, (np.arange(n) + offset) % tile == 0] -= 0.12
            shade[row * tile : (row + 1) * tile] += np.repeat(0.025 * noise.standard_normal(8), tile)[
                (np.arange(n) + offset) % n
            ]
    rgb = np.asarray(tint)[None, None, :] + shade[:, :, None]
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _light(spec: mujoco.MjSpec, rng: np.random.Generator | None) -> None:
    zenith, horizon = _pick(_SKIES, rng)
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        width=32,
        height=192,
        rgb1=list(zenith),
        rgb2=list(horizon),
    )
    level = 1.0 if rng is None else float(rng.uniform(0.75, 1.15))
    warm = 0.0 if rng is None else float(rng.uniform(-0.06, 0.06))
    azimuth = 0.9 if rng is None else float(rng.uniform(-math.pi, math.pi))
    elevation = 1.0 if rng is None else float(rng.uniform(0.6, 1.35))
    sun = np.array([1 + warm, 1.0, 1 - warm]) * level
    spec.visual.headlight.ambient = list(0.42 * sun)
    spec.visual.headlight.diffuse = list(0.30 * sun)
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    toward = [-math.cos(azimuth) * math.cos(elevation), -math.sin(azimuth) * math.cos(elevation), -math.sin(elevation)]
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, 12],
        dir=toward,
        diffuse=list(0.45 * sun),
        specular=[0.25, 0.25, 0.25],
        castshadow=True,
    )


def _mark_places(spec: mujoco.MjSpec, world: dict[str, Any], wall_rgb: tuple[float, float, float]) -> None:
    """Paint on the floor and panels on the walls; nothing here is touched by the robot."""
    at = {place["id"]: place["xy_m"] for place in world["places"]}
    x0, y0, x1, y1 = world["bounds_m"]
    yellow, white, blue, steel = (0.85, 0.70, 0.15), (0.85, 0.85, 0.83), (0.20, 0.45, 0.70), (0.55, 0.57, 0.60)

    def slab(rgb: tuple[float, float, float], x: float, y: float, z: float, sx: float, sy: float, sz: float) -> None:
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[x, y, z],
            size=[sx / 2, sy / 2, sz / 2],
            rgba=[*rgb, 1],
            contype=0,
            conaffinity=0,
            group=0,
        )

    def outline(rgb: tuple[float, float, float], x: float, y: float, sx: float, sy: float) -> None:
        for sign in (-1, 1):
            slab(rgb, x + sign * sx / 2, y, 0.002, 0.08, sy, 0.004)
            slab(rgb, x, y + sign * sy / 2, 0.002, sx, 0.08, 0.004)

    dock_x, dock_y = at["dock"]
    outline(blue, dock_x, dock_y, 1.3, 1.1)
    slab((0.88, 0.90, 0.91), x0 + 0.06, dock_y, 0.55, 0.12, 0.5, 1.1)
    slab((0.15, 0.65, 0.30), x0 + 0.125, dock_y, 0.95, 0.01, 0.35, 0.12)
    for place, wall_y in (("entrance", y0 + 0.01), ("exit", y1 - 0.01)):
        x, y = at[place]
        slab(steel, x, wall_y, 1.05, 2.4, 0.02, 2.1)
        for k in range(-2, 3):
            slab(white, x + 0.5 * k, y, 0.002, 0.22, 0.9, 0.004)
    for berth in ("berth_1", "berth_2", "berth_3"):
        x, y = at[berth]
        outline(yellow, x, y - 0.1, 1.8, 2.0)
        slab((0.66, 0.68, 0.72), x, y1 - 0.01, 1.0, 1.8, 0.02, 2.0)
    office_y, storage_y = at["office"][1], at["storage"][1]
    slab((0.38, 0.30, 0.24), x1 - 0.01, office_y, 1.0, 0.02, 1.0, 2.0)
    slab((0.55, 0.68, 0.78), x1 - 0.01, office_y - 1.4, 1.4, 0.02, 1.2, 0.8)
    slab((0.40, 0.47, 0.52), x1 - 0.01, storage_y, 1.05, 0.02, 2.6, 2.1)
    for z in (0.5, 0.9, 1.3, 1.7):
        slab((0.30, 0.36, 0.41), x1 - 0.02, storage_y, z, 0.02, 2.6, 0.03)
    slab(tuple(0.8 * c for c in wall_rgb), (x0 + x1) / 2, y1 - 0.005, 0.06, x1 - x0, 0.01, 0.12)  # type: ignore[arg-type]
    slab(tuple(0.8 * c for c in wall_rgb), (x0 + x1) / 2, y0 + 0.005, 0.06, x1 - x0, 0.01, 0.12)  # type: ignore[arg-type]
