"""How objects look: the yard's kinds drawn from primitives inside the solid that stands for them in contacts, and the
table of all kinds (the street's are in `appearance_street` and `appearance_landmarks`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import mujoco
import numpy as np

from jpai_agent.twin.appearance_landmarks import LANDMARK_LOOKS
from jpai_agent.twin.appearance_street import STREET_LOOKS
from jpai_agent.twin.painter import (
    COLOR_RGB,
    DARK,
    HAIRS,
    METAL,
    PALE,
    RGB,
    SKINS,
    TROUSERS,
    Painter,
    darker,
    is_light,
    mix,
)
from jpai_agent.world.objects import ObjectSpec

Draw = Callable[[Painter, RGB, float, float, float], None]


def paint(painter: Painter, body: mujoco.MjsBody, spec: ObjectSpec) -> None:
    """Add the geoms that show this object to its body."""
    painter.begin(body)
    LOOKS[spec.kind](painter, painter.shade(COLOR_RGB[spec.shown_color]), *spec.dimensions_m)


def _box(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    tape = (0.62, 0.45, 0.24) if is_light(c) else (0.86, 0.76, 0.56)
    edge, t = darker(c, 0.4), 0.10 * w
    p.box(c, (0, 0, h / 2), (d, w, h))
    p.box(tape, (0, 0, h * 0.87), (d + 0.006, t, h * 0.26 + 0.006))
    p.box(tape, (0, 0, h), (d + 0.004, t, 0.006))
    for sx in (-1, 1):
        for sy in (-1, 1):
            p.box(edge, (sx * d / 2, sy * w / 2, h / 2), (0.018 * 2 * w, 0.018 * 2 * w, h))
    for sx in (-1, 1):
        p.box(edge, (sx * d / 2, 0, h), (0.02 * w, w, 0.02 * h))
        p.box(edge, (0, sx * w / 2, h), (d, 0.02 * w, 0.02 * h))
        p.box(edge, (0, sx * w / 2, h * 0.25), (d * 0.3, 0.006, h * 0.16))
        p.box(edge, (sx * d / 2, w * 0.22, h * 0.25), (0.006, w * 0.3, h * 0.16))


def _cone(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    stripe = (0.55, 0.56, 0.58) if min(c) > 0.75 else PALE
    foot, tip = 0.40 * w, 0.045 * w + 0.008
    z0, cuts = 0.05 * h, (0.42, 0.66)

    def radius(share: float) -> float:
        return foot + (tip - foot) * share

    p.box(darker(c, 0.45), (0, 0, z0 / 2), (d, w, z0))
    p.lathe(darker(c, 0.15), [(foot * 1.1, z0 * 0.9), (foot, z0 * 1.9)])
    rings = [(radius(share), z0 + (h - z0) * share) for share in (0.0, *cuts, 1.0)]
    for ends, color in zip(pairwise(rings), (c, stripe, c), strict=True):
        p.lathe(color, ends)


def _drum(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    r, rib = w / 2, mix(darker(c, 0.25), METAL, 0.12)
    p.cylinder(c, (0, 0, 0.01), (0, 0, h - 0.02), r * 0.955, gloss=True)
    for z, t in ((0.0, 0.035), (h / 3 - 0.02, 0.035), (2 * h / 3 - 0.02, 0.035), (h - 0.035, 0.035)):
        p.cylinder(rib, (0, 0, z), (0, 0, z + t), r, gloss=True)
    p.cylinder(darker(c, 0.2), (0, 0, h - 0.02), (0, 0, h - 0.0005), r * 0.9)
    p.cylinder(METAL, (r * 0.55, 0, h - 0.02), (r * 0.55, 0, h), r * 0.12)


def _pallet(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    dark = darker(c, 0.45)
    for sy in (-1, 0, 1):
        p.box(dark, (0, sy * (w / 2 - 0.05), h / 2), (d * 0.98, 0.10, h * 0.66))
        p.box(c, (0, sy * (w / 2 - 0.05), h * 0.09), (d, 0.10, h * 0.18))
    boards = 6
    pitch = d / (boards - 0.28)
    for k in range(boards):
        p.box(c, (-d / 2 + pitch * (k + 0.36), 0, h * 0.91), (pitch * 0.72, w, h * 0.18))


def _bin(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    lid = mix(c, (0.0, 0.0, 0.0), 0.30) if is_light(c) else mix(c, (1.0, 1.0, 1.0), 0.22)
    p.lathe(c, [(w * 0.37, 0.0), (w * 0.46, h * 0.74)], sides=4)
    p.box(darker(c, 0.3), (0, 0, h * 0.76), (d, w, h * 0.05))
    p.lathe(lid, [(w * 0.485, h * 0.78), (w * 0.43, h * 0.93), (w * 0.30, h)], sides=4)
    for sx in (-1, 1):
        p.box(DARK, (sx * w * 0.455, 0, h * 0.855), (0.02, w * 0.56, h * 0.085), tilt_y_deg=-sx * 20)
        p.box(darker(c, 0.35), (sx * w * 0.425, 0, h * 0.40), (0.012, w * 0.34, w * 0.34))


def _chair(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    metal, leg, seat = METAL if not min(c) > 0.75 else DARK, 0.032, 0.45
    x, y = d / 2 - leg / 2, w / 2 - leg / 2
    for sy in (-1, 1):
        p.box(metal, (x, sy * y, seat / 2), (leg, leg, seat))
        p.box(metal, (-x, sy * y, h * 0.48), (leg, leg, h * 0.96))
    p.box(c, (0, 0, seat), (d, w, 0.07))
    p.box(c, (-x, 0, h - 0.165), (leg * 1.05, w, 0.33))
    p.box(metal, (0, y, 0.2), (d - leg, 0.018, 0.018))
    p.box(metal, (0, -y, 0.2), (d - leg, 0.018, 0.018))


def _desk(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    frame = DARK if is_light(c) else METAL
    p.box(c, (0, 0, h - 0.03), (d, w, 0.06))
    for sx in (-1, 1):
        for sy in (-1, 1):
            p.box(frame, (sx * (d / 2 - 0.04), sy * (w / 2 - 0.05), (h - 0.06) / 2), (0.05, 0.05, h - 0.06))
    for sy in (-1, 1):
        p.box(frame, (0, sy * (w / 2 - 0.05), 0.12), (d - 0.1, 0.04, 0.04))
        p.box(darker(c, 0.25), (0, sy * (w / 2 - 0.05), h - 0.11), (d - 0.1, 0.03, 0.10))
    p.box(darker(c, 0.12), (-d / 2 + 0.08, 0, h - 0.25), (0.025, w - 0.12, 0.38))


def _shelf(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    post, board = darker(c, 0.3), 0.045
    for sx in (-1, 1):
        for sy in (-1, 1):
            p.box(post, (sx * (d / 2 - 0.02), sy * (w / 2 - 0.02), h / 2), (0.04, 0.04, h))
    levels = (0.12, 0.12 + (h - 0.16) / 3, 0.12 + 2 * (h - 0.16) / 3, h - 0.04)
    for z in levels:
        p.box(c, (0, 0, z), (d, w, board))
    reach = math.hypot(w - 0.05, levels[3] - levels[0])
    lean = math.degrees(math.atan2(w - 0.05, levels[3] - levels[0]))
    for sign in (-1, 1):  # a thin cross brace on the back
        y, z = (w / 2 - 0.03) * sign, levels[0]
        p.rod(METAL, (-d / 2 + 0.015, -y, z), (-d / 2 + 0.015, y, z + reach * math.cos(math.radians(lean))), 0.008)


def _plant(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    r, pot = w / 2, 0.34 * h
    leaf = p.choose(((0.12, 0.42, 0.13), (0.18, 0.48, 0.16), (0.10, 0.35, 0.16), (0.28, 0.50, 0.16)))
    p.lathe(c, [(r * 0.62, 0.0), (r * 0.86, pot * 0.84)])
    p.lathe(darker(c, 0.15), [(r * 0.95, pot * 0.80), (r * 0.95, pot)])
    p.cylinder((0.20, 0.13, 0.08), (0, 0, pot * 0.9), (0, 0, pot + 0.004), r * 0.85)
    p.cylinder((0.35, 0.23, 0.13), (0, 0, pot), (0, 0, h * 0.65), 0.03 * h)
    low, high = h * 0.44, h
    span = high - low
    for k in range(5):
        a = 2 * math.pi * k / 5
        at, size = r * 0.46, r * 1.08
        p.ellipsoid(
            darker(leaf, 0.22 * (k % 2)),
            (at * math.cos(a), at * math.sin(a), low + span * (0.32 + 0.10 * (k % 3))),
            (size, size, span * 0.60),
        )
    p.ellipsoid(mix(leaf, (1, 1, 1), 0.08), (0, 0, high - span * 0.34), (r * 1.45, r * 1.45, span * 0.68))


def _ball(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    r = w / 2
    stripe = (0.45, 0.46, 0.48) if min(c) > 0.75 else PALE
    p.ellipsoid(c, (0, 0, r), (w, w, w), gloss=True)
    p.cylinder(stripe, (-0.035 * r, 0, r), (0.035 * r, 0, r), r * 1.008)
    p.cylinder(stripe, (0, -0.035 * r, r), (0, 0.035 * r, r), r * 1.008)


def _bucket(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    r, rim = w / 2, 0.72 * h
    p.lathe(c, [(r * 0.68, 0.0), (r * 0.93, rim * 0.97)])
    p.lathe(darker(c, 0.2), [(r, rim * 0.92), (r, rim)])
    p.cylinder(darker(c, 0.7), (0, 0, rim * 0.9), (0, 0, rim + 0.002), r * 0.88)
    metal, tube = (DARK if is_light(c) else METAL), 0.012
    rise = h - tube - rim * 0.95
    arc = [(0.0, r * 0.97 * math.cos(a), rim * 0.95 + rise * math.sin(a)) for a in np.linspace(0, math.pi, 7)]
    for start, end in pairwise(arc):
        p.rod(metal, start, end, tube)


def _handcart(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    deck, tube = 0.20, 0.022
    p.box(c, (0, 0, deck - 0.03), (d * 0.97, w * 0.98, 0.06))
    p.box(DARK, (0, 0, deck - 0.03), (d, w, 0.03))
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (d / 2 - 0.09), sy * (w / 2 - 0.13)
            p.cylinder(DARK, (x - 0.02, y, 0.065), (x + 0.02, y, 0.065), 0.065)
            p.box(METAL, (x, y, 0.11), (0.06, 0.05, 0.06))
    side, y = d / 2 - 0.06, -(w / 2 - 0.03)
    for sx in (-1, 1):
        p.rod(METAL, (sx * side, y, deck), (sx * side, y, h - tube), tube)
    p.rod(c, (-side, y, h - tube), (side, y, h - tube), tube)
    p.rod(METAL, (-side, y, h * 0.55), (side, y, h * 0.55), tube * 0.8)


def _sign(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    ink = DARK if is_light(c) else PALE
    p.box(DARK, (0, 0, 0.02), (d, w * 0.12, 0.04))
    for sy in (-1, 1):
        p.box(DARK, (0, sy * (w / 2 - 0.04), 0.02), (d, 0.08, 0.04))
        p.box(METAL, (0, sy * (w / 2 - 0.04), h * 0.30), (0.035, 0.035, h * 0.6))
    p.box(METAL, (0, 0, 0.03), (0.04, w * 0.9, 0.03))
    board = h - w / 2
    p.box(c, (0, 0, board), (0.05, w, w))
    for sx in (-1, 1):
        x = sx * 0.026
        for s in (-1, 1):
            p.box(ink, (x, 0, board + s * w * 0.43), (0.006, w * 0.90, 0.022))
            p.box(ink, (x, s * w * 0.44, board), (0.006, 0.022, w * 0.86))
        p.box(ink, (x, 0, board + 0.05 * w), (0.006, 0.075, w * 0.40))
        p.box(ink, (x, 0, board - 0.26 * w), (0.006, 0.085, 0.085))


def _body(p: Painter, clothes: RGB, trousers: RGB) -> None:
    skin, stride = p.choose(SKINS), 0.055
    for sy in (-1, 1):
        p.rod(trousers, (stride * sy, sy * 0.085, 0.10), (0, sy * 0.08, 0.80), 0.072)
        p.box(DARK, (stride * sy + 0.03, sy * 0.085, 0.04), (0.17, 0.09, 0.08))
        p.rod(clothes, (0, sy * 0.185, 1.36), (-stride * 0.6 * sy, sy * 0.203, 0.92), 0.046)
        p.ellipsoid(skin, (-stride * 0.6 * sy, sy * 0.203, 0.85), (0.08, 0.07, 0.11))
    p.lathe(
        clothes,
        [(0.155, 0.76), (0.165, 0.82), (0.155, 0.98), (0.19, 1.25), (0.185, 1.36), (0.13, 1.42), (0.05, 1.45)],
        x_scale=0.68,
    )
    p.cylinder(skin, (0, 0, 1.42), (0, 0, 1.50), 0.048)
    p.ellipsoid(skin, (0.012, 0, 1.555), (0.19, 0.165, 0.225))


def _person(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    _body(p, c, p.choose(TROUSERS))
    p.ellipsoid(p.choose(HAIRS), (-0.016, 0, 1.605), (0.20, 0.182, 0.19))


def _worker(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    _body(p, c, darker(c, 0.18))
    helmet = p.choose(((0.97, 0.80, 0.08), (0.96, 0.96, 0.94)))
    yellowish = c[0] > 0.55 and c[1] > 0.6 and c[2] < 0.4
    vest = (0.98, 0.40, 0.05) if yellowish else (0.78, 0.95, 0.10)
    # a harness vest: bands over chest and back and around the waist, so that the clothes' colour stays in sight
    p.lathe(vest, [(0.172, 0.92), (0.172, 1.00)], x_scale=0.72)
    for sx in (-1, 1):
        for sy in (-1, 1):
            p.box(vest, (sx * 0.118, sy * 0.085, 1.18), (0.028, 0.055, 0.40), tilt_y_deg=sx * 3)
            p.box(PALE, (sx * 0.124, sy * 0.085, 1.18), (0.028, 0.018, 0.38), tilt_y_deg=sx * 3)
    p.lathe(helmet, [(0.118, 1.585), (0.112, 1.63), (0.085, 1.675), (0.04, 1.697), (0.01, 1.70)], gloss=True)
    p.cylinder(helmet, (0.022, 0, 1.58), (0.022, 0, 1.592), 0.125)


_YARD: dict[str, Draw] = {
    "box": _box,
    "cone": _cone,
    "drum": _drum,
    "pallet": _pallet,
    "bin": _bin,
    "chair": _chair,
    "desk": _desk,
    "shelf": _shelf,
    "plant": _plant,
    "ball": _ball,
    "bucket": _bucket,
    "handcart": _handcart,
    "sign": _sign,
    "person": _person,
    "worker": _worker,
}

# kind → what draws it, given its colour and (width, depth, height)
LOOKS: dict[str, Draw] = _YARD | STREET_LOOKS | LANDMARK_LOOKS
