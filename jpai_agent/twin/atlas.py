"""The one picture that the street's scenery is coloured from: a palette, facades, and words painted on road and signs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jpai_agent.twin.lettering import word_mask
from jpai_agent.twin.sheet import Region

_PX, _CELL_PX = 512, 16
RGB = tuple[float, float, float]

# plain colours, by name; the first ones vary with the generator
_PALETTE: dict[str, RGB] = {
    "wall_0": (0.88, 0.85, 0.78), "wall_1": (0.80, 0.76, 0.70), "wall_2": (0.70, 0.71, 0.72), "wall_3": (0.76, 0.66, 0.55),
    "roof_0": (0.22, 0.23, 0.26), "roof_1": (0.32, 0.20, 0.17), "roof_2": (0.20, 0.27, 0.36), "roof_3": (0.40, 0.38, 0.36),
    "leaf_0": (0.17, 0.38, 0.14), "leaf_1": (0.13, 0.32, 0.13), "leaf_2": (0.24, 0.42, 0.16), "leaf_3": (0.11, 0.27, 0.15),
    "trunk": (0.32, 0.23, 0.15), "hill_0": (0.28, 0.40, 0.34), "hill_1": (0.34, 0.46, 0.42),
    "paint": (0.88, 0.88, 0.86), "yellow": (0.88, 0.66, 0.10), "kerb": (0.66, 0.66, 0.64), "kerb_side": (0.50, 0.50, 0.49),
    "metal": (0.60, 0.62, 0.63), "back": (0.50, 0.52, 0.53), "blue": (0.05, 0.22, 0.60),
}
_VARIED = [name for name in _PALETTE if name.split("_")[0] in ("wall", "roof", "leaf")]
_HOUSES, _FLATS = 4, 2
# what lies below the palette: name → (x, y, width, height) in pixels
_BOXES: dict[str, tuple[int, int, int, int]] = {
    **{f"house_{k}": (k * 128, 32, 128, 96) for k in range(_HOUSES)},
    **{f"flats_{k}": (k * 128, 128, 128, 128) for k in range(_FLATS)},
    "stop_sign": (256, 128, 96, 96),
    "parking_sign": (352, 128, 64, 64),
    "stop_word": (0, 256, 80, 224),
    **{f"number_{k}": (80 + 56 * (k - 1), 256, 56, 64) for k in range(1, 7)},
    "limit_30": (80, 320, 80, 128),
}


@lru_cache(maxsize=64)
def cell(name: str) -> np.ndarray:
    """Texture coordinates (2,) of a plain colour."""
    row, column = divmod(list(_PALETTE).index(name), _PX // _CELL_PX)
    return (np.array([column, row]) + 0.5) * _CELL_PX / _PX


def region(name: str) -> Region:
    """Texture coordinates (left, top, right, bottom) of a picture in the atlas, half a pixel inside."""
    x, y, width, height = _BOXES[name]
    return (x + 0.5) / _PX, (y + 0.5) / _PX, (x + width - 0.5) / _PX, (y + height - 0.5) / _PX


def draw_atlas(asphalt: RGB, rng: np.random.Generator | None) -> np.ndarray:
    """(512, 512, 3) uint8. asphalt is the road's colour, which is the ground of the words painted on it."""
    sheet = np.empty((_PX, _PX, 3), dtype=np.float32)
    sheet[:] = 0.5
    colors = {name: np.asarray(rgb, dtype=np.float32) for name, rgb in _PALETTE.items()}
    if rng is not None:
        for name in _VARIED:
            spread = 0.05 if name.startswith("leaf") else 0.09
            colors[name] = np.clip(colors[name] + rng.uniform(-spread, spread) + rng.uniform(-0.03, 0.03, 3), 0.04, 0.95)
    for index, rgb in enumerate(colors.values()):
        row, column = divmod(index, _PX // _CELL_PX)
        sheet[row * _CELL_PX : (row + 1) * _CELL_PX, column * _CELL_PX : (column + 1) * _CELL_PX] = rgb
    for k in range(_HOUSES):
        _put(sheet, f"house_{k}", _tinted(_house_front(k), colors[f"wall_{k}"], colors[f"roof_{k}"]))
    for k in range(_FLATS):
        _put(sheet, f"flats_{k}", _tinted(_flats_front(k), colors[f"wall_{k + 1}"], colors["roof_3"]))
    ground = np.asarray(asphalt, dtype=np.float32)
    for name, text, color in _WORDS:
        _, _, width, height = _BOXES[name]
        share = word_mask(text, width, height, 4, True)[:, :, None]
        grain = (rng or np.random.default_rng(0)).standard_normal((height, width, 1), dtype=np.float32)
        _put(sheet, name, (ground + 0.03 * grain) * (1 - share) + colors[color] * share)
    _put(sheet, "stop_sign", _stop_sign())
    _put(sheet, "parking_sign", _on(word_mask("P", 64, 64, 3), colors["blue"], colors["paint"]))
    return (np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)


_WORDS: tuple[tuple[str, str, str], ...] = (
    ("stop_word", "止\nま\nれ", "paint"), ("limit_30", "30", "yellow"), *((f"number_{k}", str(k), "paint") for k in range(1, 7)),
)


def _put(sheet: np.ndarray, name: str, pixels: np.ndarray) -> None:
    x, y, width, height = _BOXES[name]
    sheet[y : y + height, x : x + width] = pixels


def _on(share: np.ndarray, ground: np.ndarray, ink: np.ndarray) -> np.ndarray:
    return ground * (1 - share[:, :, None]) + ink * share[:, :, None]


def _tinted(front: np.ndarray, wall: np.ndarray, trim: np.ndarray) -> np.ndarray:
    """Colours of a facade plan: 0 wall, 1 pane, 2 frame, 3 door, 4 trim."""
    colors = np.stack([wall, [0.22, 0.28, 0.34], np.minimum(wall * 1.25, 0.95), [0.30, 0.22, 0.16], trim]).astype(np.float32)
    return colors[front]


@lru_cache(maxsize=8)
def _house_front(style: int) -> np.ndarray:
    plan = np.zeros((96, 128), dtype=np.intp)
    plan[46:50] = 4
    for top in (12, 58):
        for left in ((12, 52, 92), (20, 84), (10, 44, 96), (30, 70))[style]:
            width = (24, 28, 20, 26)[style]
            plan[top - 2 : top + 24, left - 2 : left + width + 2] = 2
            plan[top : top + 22, left : left + width] = 1
            plan[top : top + 22, left + width // 2] = 2
    left = (52, 50, 70, 8)[style]
    plan[56:, left - 2 : left + 20] = 2
    plan[58:, left : left + 18] = 3
    return plan


@lru_cache(maxsize=4)
def _flats_front(style: int) -> np.ndarray:
    plan = np.zeros((128, 128), dtype=np.intp)
    for floor in range(4):
        top = 8 + 30 * floor
        for k in range(5):
            left = 6 + 25 * k
            plan[top : top + 18, left : left + 15] = 1
            plan[top : top + 18, left + 7] = 2
            if style:
                plan[top + 13 : top + 22, left - 3 : left + 18] = 2
    return plan


@lru_cache(maxsize=1)
def _stop_sign() -> np.ndarray:
    """The inverted red triangle with its white edge and 止まれ; drawn over the whole square, the polygon cuts it out."""
    n = 96
    y, x = (np.mgrid[0:n, 0:n] + 0.5) / n
    half = (1 - y) / 2
    edge = np.minimum((half - np.abs(x - 0.5)) * 0.87, y)
    red, white = np.array([0.78, 0.03, 0.06]), np.array([0.95, 0.95, 0.94])
    picture = np.where((edge < 0.035)[:, :, None], white, red)
    share = np.zeros((n, n), dtype=np.float32)
    share[12:44, 16:80] = word_mask("止まれ", 64, 32, 4)
    return (picture * (1 - share[:, :, None]) + white * share[:, :, None]).astype(np.float32)
