"""Draws the looks of objects into bodies of a spec: primitives, solids of revolution, prisms, pictures.

Local frame of an object: origin on the floor at the footprint's centre, x along the heading (the depth), y to the
left (the width), z up. Everything drawn here is seen by cameras and lidar (geom group 1) and touched by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from jpai_agent.twin.lettering import lettered

SEEN_GROUP, UNMEASURED_GROUP = 1, 2

RGB = tuple[float, float, float]

COLOR_RGB: dict[str, RGB] = {
    "red": (0.80, 0.05, 0.06),
    "blue": (0.05, 0.20, 0.78),
    "yellow": (0.97, 0.82, 0.04),
    "green": (0.05, 0.52, 0.14),
    "white": (0.93, 0.93, 0.92),
    "black": (0.05, 0.05, 0.055),
    "orange": (0.98, 0.42, 0.02),
    "purple": (0.42, 0.10, 0.60),
    "brown": (0.42, 0.24, 0.11),
    "pink": (0.98, 0.50, 0.70),
    "gray": (0.48, 0.49, 0.50),
}
METAL: RGB = (0.62, 0.63, 0.65)
DARK: RGB = (0.10, 0.10, 0.11)
PALE: RGB = (0.93, 0.93, 0.91)
SKINS: tuple[RGB, ...] = ((0.91, 0.74, 0.62), (0.86, 0.66, 0.52), (0.72, 0.52, 0.38), (0.48, 0.33, 0.24))
HAIRS: tuple[RGB, ...] = ((0.05, 0.04, 0.04), (0.12, 0.08, 0.06), (0.25, 0.15, 0.09), (0.45, 0.44, 0.43))
TROUSERS: tuple[RGB, ...] = ((0.12, 0.13, 0.17), (0.20, 0.21, 0.24), (0.36, 0.33, 0.28), (0.09, 0.09, 0.10))


def mix(a: RGB, b: RGB, share: float) -> RGB:
    return tuple(x + share * (y - x) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def darker(color: RGB, share: float = 0.35) -> RGB:
    return mix(color, (0.0, 0.0, 0.0), share)


def is_light(color: RGB) -> bool:
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] > 0.5


class Painter:
    """Draws objects into bodies of one spec; meshes of equal shape are shared.

    rng varies shades, skin, hair and trousers; without it every object of a colour looks the same.
    """

    def __init__(self, spec: mujoco.MjSpec, rng: np.random.Generator | None) -> None:
        self._spec = spec
        self._rng = rng
        self._assets: dict[tuple, str] = {}
        self._body: mujoco.MjsBody | None = None
        for name, specular, shininess, emission in (("matte", 0.08, 0.1, 0.0), ("gloss", 0.5, 0.6, 0.0), ("lit", 0.0, 0.0, 0.7)):
            spec.add_material(name=name, specular=specular, shininess=shininess, emission=emission, rgba=[1, 1, 1, 1])

    def begin(self, body: mujoco.MjsBody) -> None:
        """What is drawn from now on belongs to this body."""
        self._body = body

    # one primitive each; sizes are full extents in metres

    def box(self, color: RGB, center: Sequence[float], extent: Sequence[float], *, tilt_y_deg: float = 0.0) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_BOX, color, pos=center, size=[e / 2 for e in extent], quat=_quat_y(tilt_y_deg))

    def cylinder(
        self, color: RGB, bottom: Sequence[float], top: Sequence[float], radius: float, gloss: bool = False
    ) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_CYLINDER, color, gloss, fromto=[*bottom, *top], size=[radius, 0, 0])

    def rod(self, color: RGB, bottom: Sequence[float], top: Sequence[float], radius: float) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_CAPSULE, color, fromto=[*bottom, *top], size=[radius, 0, 0])

    def ellipsoid(self, color: RGB, center: Sequence[float], extent: Sequence[float], gloss: bool = False) -> None:
        self._add(mujoco.mjtGeom.mjGEOM_ELLIPSOID, color, gloss, pos=center, size=[e / 2 for e in extent])

    def lathe(
        self,
        color: RGB,
        profile: Sequence[tuple[float, float]],
        *,
        sides: int = 20,
        x_scale: float = 1.0,
        gloss: bool = False,
        at: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """A closed solid of revolution about the z axis of `at` through (radius, z) points from bottom to top.

        Four sides make a square frustum whose radius is half the side.
        """
        key = ("lathe", tuple((round(r, 4), round(z, 4)) for r, z in profile), sides, round(x_scale, 4))
        if key not in self._assets:
            vertices, faces = _revolve(key[1], sides, x_scale)
            self._spec.add_mesh(name=self._new(key), uservert=vertices, userface=faces)
        self._add(mujoco.mjtGeom.mjGEOM_MESH, color, gloss, meshname=self._assets[key], pos=at)

    def ring(self, color: RGB, center: Sequence[float], radius: float, tube: float) -> None:
        """A torus about an axis along y; radius is that of its middle line."""
        key = ("ring", round(radius, 4), round(tube, 4))
        if key not in self._assets:
            vertices, faces = _torus(radius, tube)
            self._spec.add_mesh(name=self._new(key), uservert=vertices, userface=faces)
        self._add(mujoco.mjtGeom.mjGEOM_MESH, color, meshname=self._assets[key], pos=center)

    def prism(
        self, color: RGB, outline: Sequence[tuple[float, float]], width: float, y: float = 0.0, gloss: bool = False
    ) -> None:
        """A convex outline of (x, z) points, counter-clockwise in that plane, drawn out to `width` along y about `y`."""
        ring = [(x, z) for x, z in outline]
        self._hull(color, [(x, y - width / 2, z) for x, z in ring], [(x, y + width / 2, z) for x, z in ring], gloss)

    def wall(self, color: RGB, outline: Sequence[tuple[float, float]], depth: float, x: float = 0.0) -> None:
        """A convex outline of (y, z) points, counter-clockwise seen from the front, drawn out to `depth` along x about `x`."""
        self._hull(color, [(x + depth / 2, y, z) for y, z in outline], [(x - depth / 2, y, z) for y, z in outline], False)

    def roof(self, color: RGB, depth: float, width: float, low: float, high: float) -> None:
        """A hipped roof over a rectangle; its ridge runs along y."""
        ridge = width / 2 - depth / 2
        x, y = depth / 2, width / 2
        self._hull(color, [(x, -y, low), (x, y, low), (0.02, ridge, high), (0.02, -ridge, high)],
                   [(-x, -y, low), (-x, y, low), (-0.02, ridge, high), (-0.02, -ridge, high)], False)

    def loft(
        self, color: RGB, low: tuple[float, float, float, float], high: tuple[float, float, float, float], gloss: bool = False
    ) -> None:
        """A frustum between two rectangles (x0, x1, width, z) whose middles lie over y = 0."""
        low_ring, high_ring = ([(x0, -w / 2, z), (x1, -w / 2, z), (x1, w / 2, z), (x0, w / 2, z)] for x0, x1, w, z in (low, high))
        self._hull(color, high_ring, low_ring, gloss)

    def picture(
        self, text: str, center: Sequence[float], width: float, height: float, color: RGB, ground: RGB, *,
        side: str = "front", lit: bool = True, weight_px: int = 2,
    ) -> None:
        """A flat panel with words, one line below another, seen from the object's "front", "back", "left" or "right"."""
        width_px = max(32, min(256, round(64 * width / height))) // 4 * 4
        size_px = (width_px, max(32, min(128, round(width_px * height / width))))
        key = ("picture", text, color, ground, lit, size_px)
        if key not in self._assets:
            name = self._new(key)
            pixels = lettered(text, color, ground, size_px, weight_px)
            add_picture(self._spec, name, pixels, emission=0.55 if lit else 0.0)
        panel = ("panel", round(width, 3), round(height, 3))
        if panel not in self._assets:
            w, h = width / 2, height / 2
            mesh = self._spec.add_mesh(
                name=self._new(panel), uservert=[0, -w, -h, 0, w, -h, 0, w, h, 0, -w, h], userface=[0, 1, 2, 0, 2, 3],
                usertexcoord=[0, 1, 1, 1, 1, 0, 0, 0],
            )
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        turn = {"front": 0.0, "left": 90.0, "back": 180.0, "right": 270.0}[side]
        half = math.radians(turn) / 2
        self._add(
            mujoco.mjtGeom.mjGEOM_MESH, (1.0, 1.0, 1.0), material=self._assets[key], meshname=self._assets[panel],
            pos=center, quat=[math.cos(half), 0, 0, math.sin(half)],
        )

    def lit(self, color: RGB, center: Sequence[float], extent: Sequence[float]) -> None:
        """A box that shines."""
        self._add(mujoco.mjtGeom.mjGEOM_BOX, color, material="lit", pos=center, size=[e / 2 for e in extent])

    def shadow(self, depth: float, width: float) -> None:
        """The dark patch under a vehicle; nothing that lidar meets."""
        self._add(
            mujoco.mjtGeom.mjGEOM_BOX, (0.0, 0.0, 0.0), pos=(0, 0, 0.013), size=(depth / 2, width / 2, 0.002),
            group=UNMEASURED_GROUP, alpha=0.35,
        )

    def _hull(
        self, color: RGB, near: Sequence[tuple[float, float, float]], far: Sequence[tuple[float, float, float]], gloss: bool
    ) -> None:
        """The solid between two convex rings of equal number, each counter-clockwise seen from outside of `near`."""
        key = ("hull", *((round(x, 4), round(y, 4), round(z, 4)) for x, y, z in (*near, *far)))
        if key not in self._assets:
            vertices, faces = _between(near, far)
            self._spec.add_mesh(name=self._new(key), uservert=vertices, userface=faces)
        self._add(mujoco.mjtGeom.mjGEOM_MESH, color, gloss, meshname=self._assets[key])

    def _new(self, key: tuple) -> str:
        return self._assets.setdefault(key, f"{key[0]}_{len(self._assets)}")

    def choose(self, choices: Sequence[RGB]) -> RGB:
        return choices[0 if self._rng is None else int(self._rng.integers(len(choices)))]

    def shade(self, color: RGB) -> RGB:
        if self._rng is None:
            return color
        gain, tint = self._rng.uniform(0.88, 1.08), self._rng.uniform(-0.025, 0.025, 3)
        red, green, blue = np.clip(np.asarray(color) * gain + tint, 0.0, 1.0).tolist()
        return red, green, blue

    def _add(self, kind: mujoco.mjtGeom, color: RGB, gloss: bool = False, *, material: str | None = None,
             group: int = SEEN_GROUP, alpha: float = 1.0, **placed: Any) -> None:
        assert self._body is not None
        self._body.add_geom(
            type=kind,
            rgba=[*color, alpha],
            material=material or ("gloss" if gloss else "matte"),
            contype=0,
            conaffinity=0,
            group=group,
            mass=0.0,
            **placed,
        )


def add_picture(spec: mujoco.MjSpec, name: str, pixels: np.ndarray, *, emission: float = 0.0, repeats: bool = False) -> None:
    """A texture and a material of that name from (h, w, 3) uint8 pixels."""
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=pixels.shape[1], height=pixels.shape[0], nchannel=3
    )
    texture.data = pixels.tobytes()
    material = spec.add_material(
        name=name, specular=0.0, shininess=0.0, emission=emission, rgba=[1, 1, 1, 1], texuniform=repeats
    )
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _quat_y(angle_deg: float) -> list[float]:
    half = math.radians(angle_deg) / 2
    return [math.cos(half), 0.0, math.sin(half), 0.0]


def _revolve(profile: Sequence[tuple[float, float]], sides: int, x_scale: float) -> tuple[list[float], list[int]]:
    """Vertices (flat) and triangles (flat) of the solid; every ring has its own flat cap at both ends."""
    turn = math.pi / sides if sides == 4 else 0.0
    reach = 1 / math.cos(math.pi / 4) if sides == 4 else 1.0
    angles = [turn + 2 * math.pi * k / sides for k in range(sides)]
    vertices: list[float] = []
    for radius, z in profile:
        for a in angles:
            vertices += [radius * reach * math.cos(a) * x_scale, radius * reach * math.sin(a), z]
    bottom, top = len(profile) * sides, len(profile) * sides + 1
    vertices += [0.0, 0.0, profile[0][1], 0.0, 0.0, profile[-1][1]]
    faces: list[int] = []
    for k in range(sides):
        n = (k + 1) % sides
        for ring in range(len(profile) - 1):
            a, b, c, d = ring * sides + k, ring * sides + n, (ring + 1) * sides + n, (ring + 1) * sides + k
            faces += [a, b, c, a, c, d]
        last = (len(profile) - 1) * sides
        faces += [bottom, n, k, top, last + k, last + n]
    return vertices, faces




def _between(
    near: Sequence[tuple[float, float, float]], far: Sequence[tuple[float, float, float]]
) -> tuple[list[float], list[int]]:
    """Vertices (flat) and triangles (flat) of a solid with flat faces."""
    count = len(near)
    faces_of_points = [list(near), list(reversed(far))]
    faces_of_points += [[near[(k + 1) % count], near[k], far[k], far[(k + 1) % count]] for k in range(count)]
    vertices: list[float] = []
    faces: list[int] = []
    for points in faces_of_points:
        first = len(vertices) // 3
        vertices += [c for point in points for c in point]
        for k in range(1, len(points) - 1):
            faces += [first, first + k, first + k + 1]
    return vertices, faces


def _torus(radius: float, tube: float, around: int = 20, across: int = 6) -> tuple[list[float], list[int]]:
    vertices: list[float] = []
    faces: list[int] = []
    for i in range(around):
        a = 2 * math.pi * i / around
        for j in range(across):
            b = 2 * math.pi * j / across
            reach = radius + tube * math.cos(b)
            vertices += [reach * math.cos(a), tube * math.sin(b), reach * math.sin(a)]
            here, up = i * across + j, i * across + (j + 1) % across
            there, over = (i + 1) % around * across + j, (i + 1) % around * across + (j + 1) % across
            faces += [here, up, over, here, over, there]
    return vertices, faces
