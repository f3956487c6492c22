"""How vehicles, cyclists, children and barriers look. A vehicle's front is at +x."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from jpai_agent.twin.painter import DARK, HAIRS, METAL, PALE, RGB, SKINS, TROUSERS, Painter, darker, is_light, mix

_GLASS: RGB = (0.09, 0.12, 0.15)
_TYRE: RGB = (0.055, 0.055, 0.06)
_LAMP: RGB = (0.95, 0.95, 0.88)
_TAIL: RGB = (0.75, 0.03, 0.04)
_AMBER: RGB = (0.95, 0.50, 0.05)
_KEI_PLATE: RGB = (0.93, 0.78, 0.10)


# how far a body's flanks stay inside the width that its wheels take
_ARCH = 0.05


def _wheels(p: Painter, at: Sequence[float], width: float, radius: float, tread: float) -> None:
    """Wheels that stand out of their arches; a body beside them is 2 * _ARCH narrower."""
    for x in at:
        for side in (-1, 1):
            outer = side * width / 2
            inner = outer - side * tread
            p.cylinder(DARK, (x, inner, 1.15 * radius), (x, outer - side * (_ARCH - 0.012), 1.15 * radius), radius * 1.12)
            p.cylinder(_TYRE, (x, inner, radius), (x, outer - side * 0.008, radius), radius)
            p.cylinder(METAL, (x, outer - side * 0.05, radius), (x, outer, radius), radius * 0.58)


def _ends(p: Painter, d: float, w: float, z: float, plate: RGB, lamp_w: float = 0.34, plate_z: float = 0.42) -> None:
    """Head and tail lamps and blank number plates on the flat ends of a body."""
    for side in (-1, 1):
        y = side * (w / 2 - lamp_w / 2 - 0.04)
        p.lit(_LAMP, (d / 2 - 0.03, y, z), (0.07, lamp_w, 0.15))
        p.lit(_TAIL, (-d / 2 + 0.03, y, z + 0.06), (0.07, lamp_w * 0.8, 0.17))
        p.lit(_AMBER, (-d / 2 + 0.03, side * (w / 2 - lamp_w - 0.06), z + 0.06), (0.068, 0.08, 0.17))
    for side in (-1, 1):
        p.box(plate, (side * (d / 2 - 0.005), 0, plate_z), (0.025, 0.36, 0.18))


def _car(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    front, sill, belt, flank = d / 2, 0.20, 0.92, w - 2 * _ARCH
    p.shadow(d * 0.98, w)
    p.prism(c, [
        (-front + 0.06, sill), (front - 0.08, sill), (front, 0.34), (front, 0.62), (front - 0.14, 0.75), (0.92, belt - 0.02),
        (-front + 0.12, belt + 0.04), (-front, 0.80), (-front, 0.36),
    ], flank, gloss=True)
    p.box(darker(c, 0.75), (0, 0, sill + 0.02), (d * 0.96, flank * 0.97, 0.14))
    p.loft(_GLASS, (-front + 0.16, 1.02, flank - 0.06, belt - 0.02), (-front + 0.56, 0.34, w - 0.42, h - 0.05), gloss=True)
    p.loft(c, (-front + 0.50, 0.42, w - 0.38, h - 0.09), (-front + 0.60, 0.26, w - 0.50, h), gloss=True)
    for side in (-1, 1):
        low, high = side * (flank / 2 - 0.035), side * (w / 2 - 0.205)
        p.rod(c, (0.98, low, belt), (0.36, high, h - 0.08), 0.032)
        p.rod(c, (-0.42, low, belt), (-0.46, high, h - 0.08), 0.036)
        p.rod(c, (-front + 0.20, low, belt), (-front + 0.56, high, h - 0.08), 0.06)
        p.box(c, (0.78, side * (w / 2 - 0.04), 0.99), (0.12, 0.08, 0.12))
        for x in (0.72, -0.44, -1.36):
            p.box(darker(c, 0.5), (x, side * flank / 2, 0.62), (0.015, 0.008, 0.5))
        for x in (-0.30, -1.22):
            p.box(darker(c, 0.4), (x, side * flank / 2, 0.80), (0.17, 0.02, 0.03))
    p.box(DARK, (front - 0.005, 0, 0.52), (0.02, w * 0.50, 0.12))
    _wheels(p, (-d * 0.305, d * 0.305), w, 0.32, 0.22)
    _ends(p, d, flank, 0.64, PALE)


def _kei_truck(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    front, cab_back, bed, flank = d / 2, 0.42, 0.60, w - 2 * _ARCH
    p.shadow(d * 0.98, w)
    cab = [(cab_back, 0.26), (front - 0.03, 0.26), (front, 0.42), (front, 0.94), (front - 0.34, h - 0.06), (front - 0.46, h),
           (cab_back, h)]
    p.prism(c, cab, flank, gloss=True)
    p.prism(_GLASS, [(front - 0.03, 1.00), (front + 0.008, 1.00), (front - 0.30, h - 0.13), (front - 0.34, h - 0.13)],
            flank - 0.14)
    p.prism(_GLASS, [(cab_back + 0.14, 0.98), (front - 0.14, 0.98), (front - 0.36, h - 0.16), (cab_back + 0.14, h - 0.16)],
            flank + 0.012)
    p.box(_GLASS, (cab_back, 0, 1.38), (0.02, w * 0.72, 0.42))
    p.box(DARK, (-0.2, 0, 0.40), (d * 0.82, w * 0.7, 0.24))
    p.box(darker(c, 0.1), ((cab_back - front) / 2 - 0.02, 0, bed), (front + cab_back - 0.04, w, 0.10))
    gate, middle = 0.30, (cab_back - front) / 2 - 0.02
    for side in (-1, 1):
        p.box(c, (middle, side * (w / 2 - 0.02), bed + gate / 2), (front + cab_back - 0.04, 0.04, gate))
        p.box(darker(c, 0.45), (middle, side * w / 2, bed + gate * 0.5), (front + cab_back - 0.2, 0.008, 0.03))
        p.box(darker(c, 0.5), (cab_back + 0.12, side * flank / 2, 0.78), (0.015, 0.01, 0.7))
        p.box(DARK, (front - 0.22, side * (w / 2 - 0.03), 1.08), (0.08, 0.06, 0.2))
    p.box(c, (-front + 0.02, 0, bed + gate / 2), (0.04, w, gate))
    for side in (-1, 1):
        p.rod(METAL, (cab_back - 0.06, side * (w / 2 - 0.06), bed), (cab_back - 0.06, side * (w / 2 - 0.06), 1.62), 0.022)
    p.rod(METAL, (cab_back - 0.06, -w / 2 + 0.06, 1.62), (cab_back - 0.06, w / 2 - 0.06, 1.62), 0.022)
    p.box(DARK, (front - 0.005, 0, 0.36), (0.03, flank * 0.92, 0.16))
    _wheels(p, (-d * 0.31, d * 0.29), w, 0.27, 0.16)
    _ends(p, d, flank, 0.66, _KEI_PLATE, 0.26, 0.46)


def _truck(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    front, cab_back, deck, flank = d / 2, d / 2 - 1.9, 0.98, w - 2 * _ARCH
    p.shadow(d * 0.98, w)
    p.prism(c, [(cab_back, 0.42), (front - 0.04, 0.42), (front, 0.6), (front, 1.45), (front - 0.26, 2.48), (front - 0.5, 2.62),
                (cab_back, 2.62)], flank, gloss=True)
    p.prism(_GLASS, [(front - 0.03, 1.50), (front + 0.008, 1.50), (front - 0.215, 2.34), (front - 0.26, 2.34)], flank - 0.18)
    p.prism(_GLASS, [(cab_back + 0.5, 1.45), (front - 0.16, 1.45), (front - 0.34, 2.25), (cab_back + 0.5, 2.25)], flank + 0.012)
    p.box(DARK, (-0.3, 0, 0.76), (d * 0.92, w * 0.5, 0.34))
    length = front + cab_back - 0.12
    middle = (cab_back - 0.12 - front) / 2
    p.box(c, (middle, 0, (deck + h) / 2), (length - 0.02, w - 0.02, h - deck - 0.02))
    edge = darker(c, 0.45) if is_light(c) else mix(c, PALE, 0.55)
    for z in (deck + 0.05, h - 0.05):
        p.box(edge, (middle, 0, z), (length - 0.006, w - 0.006, 0.10))
    for x in (middle - length / 2 + 0.04, middle + length / 2 - 0.04):
        p.box(edge, (x, 0, (deck + h) / 2), (0.08, w, h - deck - 0.01))
    p.box(darker(edge, 0.4), (-front, 0, (deck + h) / 2), (0.016, 0.04, h - deck - 0.2))
    p.box(c, (-front, 0, (deck + h) / 2), (0.008, w - 0.16, h - deck - 0.2))
    for side in (-1, 1):
        p.box(METAL, (-0.6, side * (w / 2 - 0.08), 0.66), (1.9, 0.05, 0.36))
        p.box(DARK, (front - 0.3, side * (w / 2 - 0.04), 1.95), (0.1, 0.08, 0.42))
        p.box(darker(c, 0.5), (cab_back + 0.45, side * flank / 2, 1.5), (0.02, 0.012, 1.7))
    p.box(DARK, (front - 0.01, 0, 0.98), (0.03, w * 0.62, 0.30))
    p.box(PALE, (front - 0.01, 0, 0.52), (0.04, flank * 0.98, 0.24))
    p.box(DARK, (-front + 0.04, 0, 0.55), (0.08, w * 0.9, 0.10))
    _wheels(p, (-front + 1.25, -front + 2.35, front - 1.15), w, 0.48, 0.34)
    _ends(p, d, w, 0.72, (0.10, 0.42, 0.22), 0.42, 0.50)


def _bus(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    front, full = d / 2, w
    p.shadow(d * 0.98, w)
    w -= 2 * _ARCH
    p.prism(c, [(-front + 0.05, 0.32), (front - 0.05, 0.32), (front, 0.5), (front, 2.2), (front - 0.14, h - 0.1),
                (front - 0.4, h), (-front + 0.2, h), (-front, h - 0.2), (-front, 0.5)], w, gloss=True)
    p.box(_GLASS, (-0.15, 0, 1.85), (d - 1.5, w + 0.012, 0.95))
    for k in range(8):
        p.box(darker(c, 0.2), (-front + 0.7 + k * (d - 1.5) / 7, 0, 1.85), (0.07, w + 0.018, 0.95))
    band = PALE if not is_light(c) else (0.16, 0.30, 0.62)
    p.box(band, (0, 0, 1.22), (d - 0.1, w + 0.012, 0.16))
    p.box(darker(c, 0.6), (0, 0, 0.42), (d - 0.12, w + 0.01, 0.18))
    p.prism(_GLASS, [(front - 0.02, 1.1), (front + 0.01, 1.1), (front + 0.01, 2.25), (front - 0.02, 2.25)], w - 0.16)
    p.picture("バス", (front + 0.012, 0, 2.48), 1.3, 0.34, (1.0, 0.72, 0.15), (0.05, 0.05, 0.06))
    p.box(_GLASS, (-front, 0, 2.1), (0.016, w * 0.76, 0.7))
    for x in (front - 0.85, -0.4):  # doors, on the kerb's side
        p.box(_GLASS, (x, w / 2, 1.33), (1.0, 0.024, 1.95))
        p.box(METAL, (x, w / 2, 1.33), (0.04, 0.03, 1.95))
    for side in (-1, 1):
        p.box(DARK, (front - 0.06, side * (w / 2 - 0.05), 2.0), (0.12, 0.1, 0.4))
    p.box(METAL, (1.5, 0, h - 0.06), (1.8, w * 0.6, 0.119))
    _wheels(p, (-front + 2.5, front - 2.4), full, 0.48, 0.3)
    _ends(p, d, w, 0.72, (0.10, 0.42, 0.22), 0.46, 0.46)


def _limb(p: Painter, color: RGB, points: Sequence[tuple[float, float, float]], radius: float) -> None:
    for start, end in pairwise(points):
        p.rod(color, start, end, radius)


def _bicycle(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    wheel, skin, trousers = 0.33, p.choose(SKINS), p.choose(TROUSERS)
    axle = d / 2 - wheel
    for x in (-axle, axle):
        p.ring(_TYRE, (x, 0, wheel), wheel - 0.02, 0.02)
        for k in range(3):
            dx, dz = (wheel - 0.03) * math.cos(k * math.pi / 3), (wheel - 0.03) * math.sin(k * math.pi / 3)
            p.rod(METAL, (x - dx, 0, wheel - dz), (x + dx, 0, wheel + dz), 0.006)
    crank, seat, head = (-0.06, 0, 0.30), (-0.20, 0, 0.86), (0.36, 0, 0.82)
    for start, end in (((-axle, 0, wheel), crank), ((-axle, 0, wheel), seat), (crank, seat), (crank, head),
                       ((-0.17, 0, 0.74), head), (head, (axle, 0, wheel)), (head, (0.34, 0, 1.0))):
        p.rod(c, start, end, 0.024)
    p.box(DARK, (-0.22, 0, 0.89), (0.24, 0.14, 0.05))
    p.rod(DARK, (0.33, -w / 2 + 0.015, 1.0), (0.33, w / 2 - 0.015, 1.0), 0.018)
    p.box(METAL, (0.52, 0, 0.82), (0.26, 0.3, 0.2))
    for side, knee, foot in ((-1, (0.16, -0.11, 0.72), (0.0, -0.12, 0.20)), (1, (0.22, 0.11, 0.86), (-0.06, 0.12, 0.46))):
        hip = (-0.20, side * 0.09, 0.94)
        _limb(p, trousers, [hip, knee, foot], 0.065)
        p.box(DARK, (foot[0] + 0.05, foot[1], foot[2] - 0.05), (0.24, 0.09, 0.07))
        _limb(p, c, [(-0.02, side * 0.19, 1.32), (0.14, side * 0.24, 1.10), (0.32, side * 0.24, 1.03)], 0.045)
    p.prism(c, [(-0.32, 0.92), (-0.08, 0.90), (0.08, 1.30), (0.02, 1.42), (-0.12, 1.40)], 0.36)
    p.cylinder(skin, (0.0, 0, 1.36), (0.04, 0, 1.50), 0.05)
    p.ellipsoid(skin, (0.06, 0, 1.555), (0.20, 0.17, 0.23))
    p.lathe(PALE if not is_light(c) else DARK, [(0.13, 1.57), (0.12, 1.63), (0.08, 1.68), (0.02, h)], at=(0.045, 0, 0))


def _child(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    skin, trousers = p.choose(SKINS), p.choose(TROUSERS)
    satchel = p.choose(((0.70, 0.05, 0.08), (0.08, 0.08, 0.10), (0.16, 0.24, 0.50)))
    for side in (-1, 1):
        x = 0.03 * side
        p.rod(skin, (x, side * 0.06, 0.08), (0, side * 0.06, 0.34), 0.04)
        p.rod(trousers, (x * 0.4, side * 0.062, 0.34), (0, side * 0.06, 0.50), 0.055)
        p.box(PALE, (x + 0.02, side * 0.06, 0.03), (0.15, 0.075, 0.06))
        p.rod(c, (0, side * 0.125, 0.76), (0.02, side * (w / 2 - 0.035), 0.56), 0.034)
        p.ellipsoid(skin, (0.02, side * (w / 2 - 0.03), 0.51), (0.06, 0.06, 0.07))
    p.lathe(c, [(0.115, 0.46), (0.125, 0.52), (0.115, 0.70), (0.095, 0.78), (0.04, 0.82)], x_scale=0.7)
    p.box(satchel, (-d / 2 + 0.045, 0, 0.66), (0.09, 0.21, 0.24))
    p.ellipsoid(skin, (0.01, 0, 0.93), (0.185, 0.18, 0.22))
    p.ellipsoid(p.choose(HAIRS), (-0.015, 0, 0.955), (0.19, 0.19, 0.21))
    cap = (0.98, 0.84, 0.08)
    p.lathe(cap, [(0.102, 0.985), (0.098, 1.03), (0.07, 1.08), (0.02, h)])
    p.cylinder(cap, (0.02, 0, 0.98), (0.02, 0, 0.995), 0.105)


def _barrier(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    other = DARK if is_light(c) else PALE
    for side in (-1, 1):
        y = side * (w / 2 - 0.12)
        for lean in (-1, 1):
            p.rod(METAL, (lean * (d / 2 - 0.025), y, 0.025), (0, y, h - 0.06), 0.025)
        p.rod(METAL, (-d / 4, y, h * 0.45), (d / 4, y, h * 0.45), 0.018)
    count = 8
    for z, height in ((h - 0.13, 0.26), (h * 0.46, 0.22)):
        p.box(c, (0, 0, z), (0.11, w, height))
        for k in range(0, count, 2):
            p.box(other, (0, -w / 2 + (k + 0.5) * w / count, z), (0.118, w / count, height * 0.999))


# kind → what draws it, given its colour and (width, depth, height)
STREET_LOOKS: dict[str, Callable[[Painter, RGB, float, float, float], None]] = {
    "car": _car,
    "kei_truck": _kei_truck,
    "truck": _truck,
    "bus": _bus,
    "bicycle": _bicycle,
    "child": _child,
    "barrier": _barrier,
}
