"""How the street's landmarks look. A building's front is at +x: 8 m wide along y, 6 m deep, 4 m high.

Every kind is told by shape, colour and, where a Japanese font is at hand, a sign with its name on front and sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jpai_agent.twin.painter import DARK, METAL, PALE, RGB, Painter, darker, is_light, mix

_WHITE: RGB = (0.93, 0.93, 0.91)
_RED: RGB = (0.82, 0.06, 0.08)
_GREEN: RGB = (0.05, 0.50, 0.22)
_PANE: RGB = (0.20, 0.27, 0.33)
_INSIDE: RGB = (0.86, 0.88, 0.82)
_LEAVES: tuple[RGB, ...] = ((0.16, 0.42, 0.14), (0.12, 0.36, 0.15), (0.25, 0.48, 0.16))


def _windows(p: Painter, x: float, ys: Sequence[float], z: float, width: float, height: float, frame: RGB = PALE) -> None:
    """A row of windows on a wall that faces +x."""
    for y in ys:
        p.box(frame, (x, y, z), (0.03, width + 0.12, height + 0.12))
        p.box(_PANE, (x, y, z), (0.05, width, height))
        p.box(frame, (x, y, z), (0.056, 0.05, height))


def _side_windows(p: Painter, y: float, xs: Sequence[float], z: float, width: float, height: float) -> None:
    """The same window on both walls that face ±y."""
    for x in xs:
        p.box(_PANE, (x, 0, z), (width, 2 * y + 0.03, height))


def _spread(count: int, span: float) -> list[float]:
    return [-span / 2 + span * (k + 0.5) / count for k in range(count)]


def _side_signs(
    p: Painter, text: str, at: Sequence[float], width: float, height: float, color: RGB, ground: RGB = (1.0, 1.0, 1.0)
) -> None:
    """The same panel on both walls that face ±y; at = (x, distance from the middle, z)."""
    x, y, z = at
    p.picture(text, (x, y, z), width, height, color, ground, side="left")
    p.picture(text, (x, -y, z), width, height, color, ground, side="right")


def _convenience_store(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y = d / 2, w / 2
    band = (0.96, 0.55, 0.08) if not (c[0] > 0.8 and 0.3 < c[1] < 0.7 and c[2] < 0.3) else (0.05, 0.45, 0.2)
    p.box(_WHITE, (-0.1, 0, 1.5), (d - 0.2, w, 3.0))
    p.box(_WHITE, (0, 0, (2.95 + h) / 2), (d, w, h - 2.95))
    for stripe, z, height in ((c, h - 0.14, 0.18), (band, h - 0.32, 0.12), (c, 3.06, 0.18)):
        p.lit(stripe, (0, 0, z), (d + 0.016, w + 0.016, height))
    word = c if not is_light(c) else _GREEN
    p.picture("コンビニ", (x + 0.012, 0, 3.42), 3.4, 0.5, word, (1, 1, 1))
    _side_signs(p, "コンビニ", (0.3, y + 0.012, 3.42), 3.4, 0.5, word)
    p.lit(_INSIDE, (x - 0.22, 0, 1.5), (0.06, w - 0.9, 2.4))
    for z, goods in ((0.6, (0.75, 0.2, 0.15)), (1.05, (0.9, 0.7, 0.2)), (1.5, (0.25, 0.45, 0.7))):
        p.box(goods, (x - 0.19, -2.4, z), (0.05, 2.3, 0.22))
        p.box(mix(goods, (0.4, 0.7, 0.4), 0.5), (x - 0.19, 2.4, z), (0.05, 2.3, 0.22))
    for at in (-3.55, -2.35, -1.1, 1.1, 2.35, 3.55):
        p.box(METAL, (x - 0.17, at, 1.5), (0.08, 0.07, 2.5))
    p.box((0.55, 0.70, 0.76), (x - 0.15, 0, 1.25), (0.05, 1.9, 2.3))
    for at in (-0.95, 0.0, 0.95):
        p.box(DARK, (x - 0.13, at, 1.25), (0.07, 0.06, 2.34))
    p.box(c, (x - 0.12, 0, 2.52), (0.1, 2.0, 0.22))
    p.box(METAL, (x - 0.15, 0, 0.15), (0.09, w - 0.5, 0.3))


def _post_office(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y = d / 2, w / 2
    red = _RED if is_light(c) else c
    p.box((0.86, 0.82, 0.76), (-0.05, 0, 1.7), (d - 0.1, w - 0.06, 3.4))
    p.box(red, (0, 0, 3.15), (d, w, 0.7))
    p.box((0.80, 0.76, 0.70), (-0.1, 0, 3.55), (d - 0.5, w - 0.5, 0.4))
    p.box(_WHITE, (x - 0.1, 0, h - 0.7), (0.21, 1.4, 1.4))
    # 〒 is drawn, so that it does not hang on a font
    for up, extent in ((0.42, (0.03, 0.95, 0.17)), (0.12, (0.03, 0.95, 0.17)), (-0.22, (0.03, 0.19, 0.80))):
        p.lit(red, (x, 0, h - 0.72 + up), extent)
    for side in (-1, 1):
        p.picture("郵便局", (x + 0.008, side * 2.4, 3.15), 2.2, 0.6, (1, 1, 1), red)
    _side_signs(p, "〒郵便局", (0.3, y + 0.008, 3.15), 3.4, 0.6, (1, 1, 1), red)
    _windows(p, x - 0.1, (-2.8, 2.8), 1.5, 1.7, 1.3)
    _side_windows(p, y - 0.03, _spread(3, 5.0), 1.6, 1.0, 1.1)
    p.box(_PANE, (x - 0.08, 0, 1.15), (0.06, 2.0, 2.3))
    for at in (-1.0, 0.0, 1.0):
        p.box(PALE, (x - 0.06, at, 1.16), (0.07, 0.08, 2.32))
    # the pillar box at the door
    p.box(_RED, (x - 0.18, 1.55, 0.75), (0.36, 0.42, 0.95))
    p.box(darker(_RED, 0.4), (x - 0.18, 1.55, 0.14), (0.2, 0.24, 0.28))
    p.box(DARK, (x, 1.55, 1.02), (0.012, 0.3, 0.06))


def _gas_station(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y = d / 2, w / 2
    word = DARK if is_light(c) else _WHITE
    p.box((0.60, 0.60, 0.59), (0, 0, 0.02), (d, w, 0.04))
    p.box(_WHITE, (0.1, 0, h - 0.42), (d - 0.3, w - 0.1, 0.5))
    p.lit(c, (0, 0, h - 0.35), (d, w, 0.7))
    p.box(_WHITE, (0, 0, h - 0.60), (d + 0.012, w + 0.012, 0.10))
    p.picture("ガソリン", (x + 0.01, 0, h - 0.29), 3.0, 0.46, word, c)
    _side_signs(p, "ガソリン", (0.3, y + 0.01, h - 0.29), 3.0, 0.46, word, c)
    for at in (-2.6, 2.6):
        p.box(_WHITE, (1.5, at, (h - 0.7) / 2), (0.35, 0.35, h - 0.7))
        p.box(c, (1.5, at, 0.6), (0.37, 0.37, 0.5))
    for at in (-1.35, 1.35):
        p.box((0.75, 0.75, 0.73), (1.5, at, 0.10), (1.2, 0.9, 0.20))
        p.box(_WHITE, (1.5, at, 1.0), (0.5, 0.62, 1.6))
        p.box(c, (1.5, at, 1.72), (0.52, 0.64, 0.26))
        p.box(DARK, (1.5, at, 1.36), (0.53, 0.44, 0.28))
        for k, nozzle in enumerate((_RED, (0.9, 0.75, 0.1), _GREEN)):
            p.box(nozzle, (1.5, at + 0.18 * (k - 1), 0.98), (0.56, 0.09, 0.24))
            p.rod(DARK, (1.78, at + 0.18 * (k - 1), 0.9), (1.78, at + 0.18 * (k - 1), 0.4), 0.02)
    # the kiosk at the back
    p.box((0.84, 0.85, 0.84), (-x + 1.0, 0, 1.65), (2.0, w - 1.2, 3.3))
    p.box(_PANE, (-x + 2.0, -1.2, 1.4), (0.05, 3.0, 1.9))
    p.box((0.30, 0.34, 0.38), (-x + 2.0, 2.0, 1.5), (0.05, 2.2, 2.6))
    p.box(c, (-x + 2.0, 0, 3.0), (0.06, w - 1.2, 0.3))


def _hospital(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y = d / 2, w / 2
    wall = mix(c, _WHITE, 0.75)
    p.box(wall, (-0.2, 0, h / 2 - 0.1), (d - 0.4, w, h - 0.2))
    p.box(mix(wall, METAL, 0.4), (-0.2, 0, h - 0.12), (d - 0.37, w + 0.02, 0.16))
    for z in (1.55, 2.75):
        _windows(p, x - 0.4, (-3.2, -2.2, 2.2, 3.2), z, 0.7, 0.62, METAL)
        _side_windows(p, y, _spread(4, 5.2), z, 0.75, 0.62)
        p.box((0.55, 0.75, 0.72), (-0.2, 0, z - 0.5), (d - 0.38, w + 0.012, 0.10))
    p.box(wall, (x - 0.45, 0, h / 2), (0.3, 2.9, h))
    # the cross is drawn, so that it does not hang on a font
    for extent in ((0.06, 1.15, 0.38), (0.06, 0.38, 1.15)):
        p.lit(_RED, (x - 0.28, 0, 3.22), extent)
    for side in (-1, 1):
        for extent in ((0.9, 0.05, 0.28), (0.28, 0.05, 0.9)):
            p.lit(_RED, (1.9, side * (y - 0.01), 3.3), extent)
    p.picture("病院", (x - 0.27, 0, 2.38), 1.7, 0.5, (0.05, 0.25, 0.55), (1, 1, 1))
    _side_signs(p, "病院", (-0.4, y + 0.012, 3.38), 2.2, 0.6, (0.05, 0.25, 0.55))
    p.box(_WHITE, (x - 0.5, 0, 2.0), (1.0, 3.4, 0.16))
    p.box((0.05, 0.35, 0.62), (x - 0.5, 0, 2.0), (1.0, 3.42, 0.06))
    for at in (-1.6, 1.6):
        p.box(METAL, (x - 0.08, at, 0.96), (0.12, 0.12, 1.92))
    p.box(_PANE, (x - 0.28, 0, 0.95), (0.06, 2.4, 1.85))
    for at in (-1.2, 0.0, 1.2):
        p.box(PALE, (x - 0.26, at, 0.95), (0.07, 0.07, 1.9))


def _station(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y, eaves = d / 2, w / 2, 2.75
    wall, roof = mix(c, (0.90, 0.84, 0.70), 0.6), (0.30, 0.17, 0.13)
    p.box(wall, (-0.2, 0, eaves / 2), (d - 0.7, w - 0.3, eaves))
    p.roof(roof, d, w, eaves, h - 0.45)
    # a gable over the entrance, with the clock
    p.wall(wall, [(-1.7, eaves - 0.2), (1.7, eaves - 0.2), (1.7, eaves + 0.2), (0, h - 0.12), (-1.7, eaves + 0.2)], 1.6, x - 0.9)
    for side in (-1, 1):
        slope = [(side * 1.9, eaves + 0.02), (side * 1.9, eaves + 0.14), (0, h), (0, h - 0.14)]
        p.wall(darker(roof, 0.1), slope[::side], 1.8, x - 0.9)
    p.cylinder(DARK, (x - 0.12, 0, 3.3), (x - 0.08, 0, 3.3), 0.40)
    p.cylinder((1.0, 1.0, 0.96), (x - 0.10, 0, 3.3), (x - 0.06, 0, 3.3), 0.35)
    p.box(DARK, (x - 0.05, 0, 3.41), (0.03, 0.05, 0.24))
    p.box(DARK, (x - 0.05, -0.08, 3.27), (0.03, 0.22, 0.05))
    p.box((0.05, 0.22, 0.55), (x - 0.3, 0, 2.32), (0.55, 4.6, 0.52))
    p.picture("中央駅", (x - 0.02, 0, 2.32), 4.2, 0.46, (1, 1, 1), (0.05, 0.22, 0.55))
    _side_signs(p, "駅", (1.2, y - 0.14, 2.05), 1.1, 1.1, (1, 1, 1), (0.05, 0.22, 0.55))
    p.box((0.13, 0.13, 0.14), (x - 0.53, 0, 1.05), (0.05, 3.6, 2.1))
    for at in (-1.9, 1.9):
        p.box(PALE, (x - 0.3, at, 1.05), (0.3, 0.3, 2.1))
    for at in (-1.2, -0.4, 0.4, 1.2):  # ticket gates
        p.box((0.80, 0.81, 0.82), (x - 0.35, at, 0.5), (0.5, 0.22, 1.0))
        p.box((0.1, 0.6, 0.3), (x - 0.1, at, 0.92), (0.03, 0.16, 0.1))
    _windows(p, x - 0.54, (-3.0, 3.0), 1.35, 1.2, 1.1)
    _side_windows(p, y - 0.14, (-1.6, -0.2), 1.4, 0.9, 1.0)
    p.box((0.42, 0.30, 0.22), (-0.2, 0, 0.2), (d - 0.66, w - 0.26, 0.4))


def _tree(p: Painter, x: float, y: float, top: float, reach: float) -> None:
    leaf = p.choose(_LEAVES)
    p.cylinder((0.33, 0.22, 0.13), (x, y, 0), (x, y, top * 0.55), 0.11)
    p.ellipsoid(leaf, (x, y, top * 0.72), (reach, reach, top * 0.56))
    p.ellipsoid(darker(leaf, 0.18), (x - 0.2, y + 0.25, top * 0.55), (reach * 0.8, reach * 0.7, top * 0.34))


def _park(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y = d / 2, w / 2
    p.box((0.30, 0.48, 0.18), (0, 0, 0.02), (d, w, 0.04))
    p.box((0.80, 0.70, 0.50), (0.7, 0, 0.03), (3.4, 5.6, 0.05))
    rail = mix(c, PALE, 0.25)
    for side in (-1, 1):  # a fence that leaves the middle of the front open
        for k in range(8):
            p.rod(rail, (x - 0.04, side * (1.1 + k * 0.405), 0.05), (x - 0.04, side * (1.1 + k * 0.405), 0.82), 0.022)
        for z in (0.45, 0.82):
            p.rod(rail, (x - 0.04, side * 1.1, z), (x - 0.04, side * (y - 0.04), z), 0.028)
            p.rod(rail, (x - 0.04, side * (y - 0.04), z), (-x + 0.04, side * (y - 0.04), z), 0.028)
        for k in range(7):
            p.rod(rail, (x - 0.9 - k * 0.82, side * (y - 0.04), 0.05), (x - 0.9 - k * 0.82, side * (y - 0.04), 0.82), 0.022)
    p.box((0.14, 0.36, 0.13), (-x + 0.35, 0, 0.55), (0.7, w, 1.1))
    for tree in ((-1.6, -2.7, h, 2.5), (-1.7, 2.6, h - 0.05, 2.3), (-1.9, 0.1, 3.3, 1.9)):
        _tree(p, *tree)
    # swing
    frame, bars = (0.10, 0.32, 0.75), 2.1
    for end in (-0.9, 1.3):
        for lean in (-0.6, 0.6):
            p.rod(frame, (1.0 + lean, end - 1.3, 0.05), (1.0, end - 1.3, bars), 0.05)
    p.rod(frame, (1.0, -2.2, bars), (1.0, 0.0, bars), 0.05)
    for at in (-1.6, -0.65):
        for rope in (-0.2, 0.2):
            p.rod(METAL, (1.0, at + rope, bars), (1.0, at + rope, 0.5), 0.015)
        p.box(_RED, (1.0, at, 0.48), (0.22, 0.48, 0.05))
    # slide
    p.wall((0.95, 0.72, 0.08), [(1.5, 0.10), (1.5, 0.22), (2.9, 1.52), (2.9, 1.40)][::-1], 0.55, 0.9)
    for at in (2.9, 3.3):
        for across in (0.65, 1.15):
            p.rod((0.85, 0.15, 0.12), (across, at, 0.05), (across, at, 1.9), 0.04)
    p.box((0.95, 0.72, 0.08), (0.9, 3.1, 1.46), (0.55, 0.45, 0.06))
    p.box((0.40, 0.28, 0.18), (x - 0.3, -1.45, 0.7), (0.1, 0.1, 1.3))
    p.box((0.40, 0.28, 0.18), (x - 0.3, -2.75, 0.7), (0.1, 0.1, 1.3))
    p.box((0.40, 0.28, 0.18), (x - 0.3, -2.1, 1.25), (0.1, 1.5, 0.62))
    p.picture("公園", (x - 0.24, -2.1, 1.25), 1.3, 0.5, (1, 1, 1), _GREEN)


def _school(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x, y, top = d / 2, w / 2, 3.2
    wall = mix(c, (0.95, 0.90, 0.80), 0.72)
    p.box(wall, (-0.35, 0, top / 2), (d - 0.7, w, top))
    p.box(mix(c, (0.5, 0.45, 0.4), 0.5), (-0.35, 0, top), (d - 0.67, w + 0.02, 0.12))
    for z in (0.75, 1.65, 2.6):
        _windows(p, x - 0.7, (-3.4, -2.5, -1.6, 1.6, 2.5, 3.4), z, 0.5, 0.52)
        _side_windows(p, y, [v - 0.4 for v in _spread(5, 5.0)], z, 0.55, 0.52)
    # the clock tower
    p.box(mix(wall, c, 0.35), (x - 0.65, 0, h / 2 - 0.1), (0.7, 2.0, h - 0.2))
    p.box(mix(c, (0.5, 0.45, 0.4), 0.5), (x - 0.65, 0, h - 0.1), (0.86, 2.2, 0.2))
    for turn in (1, -1):
        at = x - 0.65 + turn * 0.36
        p.cylinder(DARK, (at - 0.02, 0, 3.2), (at + 0.02, 0, 3.2), 0.52)
        p.cylinder((1.0, 1.0, 0.97), (at - 0.03, 0, 3.2), (at + 0.03, 0, 3.2), 0.46)
        p.box(DARK, (at, 0, 3.36), (0.09, 0.06, 0.34))
        p.box(DARK, (at, 0.12, 3.17), (0.09, 0.28, 0.06))
    p.picture("学校", (x - 0.29, 0, 2.3), 1.6, 0.6, (1, 1, 1), (0.25, 0.18, 0.12))
    _side_signs(p, "学校", (-0.3, y + 0.02, 2.13), 2.2, 0.36, (1, 1, 1), (0.25, 0.18, 0.12))
    p.box(_PANE, (x - 0.3, 0, 0.85), (0.06, 1.5, 1.7))
    p.box(PALE, (x - 0.28, 0, 0.86), (0.07, 0.07, 1.72))
    # wall and gate along the front
    for side in (-1, 1):
        p.box((0.62, 0.55, 0.47), (x - 0.08, side * (y - 1.15), 0.3), (0.16, 2.3, 0.6))
        p.box((0.50, 0.38, 0.30), (x - 0.15, side * 1.55, 0.55), (0.3, 0.3, 1.1))
        for k in range(4):
            p.rod(DARK, (x - 0.12, side * (0.55 + 0.25 * k), 0.05), (x - 0.12, side * (0.55 + 0.25 * k), 0.8), 0.02)
        p.rod(DARK, (x - 0.12, side * 0.45, 0.8), (x - 0.12, side * 1.4, 0.8), 0.025)


def _vending_machine(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    x = d / 2
    p.box(c, (-0.02, 0, h / 2 + 0.02), (d - 0.04, w, h - 0.04))
    p.box(DARK, (-0.02, 0, 0.03), (d - 0.1, w - 0.06, 0.06))
    p.lit((0.90, 0.95, 0.97), (x - 0.03, 0.06, 1.28), (0.05, w - 0.22, 0.74))
    drinks = ((0.80, 0.10, 0.10), (0.15, 0.45, 0.20), (0.15, 0.25, 0.70), (0.92, 0.70, 0.15), (0.35, 0.20, 0.10))
    for row, z in enumerate((1.52, 1.28, 1.04)):
        for k in range(5):
            y = 0.06 + (w - 0.3) * ((k + 0.5) / 5 - 0.5)
            p.box(drinks[(2 * row + k) % 5], (x - 0.005, y, z), (0.02, 0.07, 0.16))
        p.box(METAL, (x - 0.006, 0.06, z - 0.105), (0.02, w - 0.22, 0.03))
    p.box(DARK, (x - 0.012, -w / 2 + 0.09, 1.15), (0.02, 0.08, 0.3))
    p.box(METAL, (x - 0.012, -w / 2 + 0.09, 0.85), (0.02, 0.10, 0.16))
    p.box(DARK, (x - 0.012, 0.02, 0.36), (0.02, w - 0.3, 0.22))
    p.picture("自販機", (x - 0.012, 0.0, 0.68), 0.56, 0.18, DARK if is_light(c) else PALE, c)
    p.box(darker(c, 0.35), (-0.02, 0, h - 0.03), (d - 0.03, w, 0.06))


def _bus_stop(p: Painter, c: RGB, w: float, d: float, h: float) -> None:
    ring = c if not is_light(c) else (0.10, 0.25, 0.60)
    p.box((0.55, 0.55, 0.54), (0, 0, 0.06), (d, w, 0.12))
    p.cylinder(METAL, (0, 0, 0.1), (0, 0, h - w + 0.02), 0.035)
    p.cylinder(ring, (-0.025, 0, h - w / 2), (0.025, 0, h - w / 2), w / 2)
    for side, at in (("front", 0.032), ("back", -0.032)):
        p.cylinder(PALE, (at * 0.9 - 0.001, 0, h - w / 2), (at * 0.9 + 0.001, 0, h - w / 2), w * 0.39)
        p.picture("バス", (at, 0, h - w / 2), 0.34, 0.16, ring, PALE, side=side, lit=False)
    p.box(PALE, (0, 0, 1.28), (0.08, 0.42, 0.55))
    p.box(ring, (0, 0, 1.52), (0.09, 0.42, 0.10))
    for k in range(4):
        p.box((0.35, 0.35, 0.38), (0, 0, 1.40 - 0.09 * k), (0.088, 0.32, 0.025))


# kind → what draws it, given its colour and (width, depth, height)
LANDMARK_LOOKS: dict[str, Callable[[Painter, RGB, float, float, float], None]] = {
    "convenience_store": _convenience_store,
    "post_office": _post_office,
    "gas_station": _gas_station,
    "hospital": _hospital,
    "station": _station,
    "park": _park,
    "school": _school,
    "vending_machine": _vending_machine,
    "bus_stop": _bus_stop,
}
