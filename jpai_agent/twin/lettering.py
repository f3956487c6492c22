"""Words and numbers as pictures, for signs and for paint on the road. Where no Japanese font is found they stay blank."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# where Debian and Fedora put Japanese gothic fonts
_SYSTEM_FONTS = (
    "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
    "/usr/share/fonts/truetype/fonts-japanese-gothic.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc",
    "/usr/share/fonts/ipa-ex-gothic-fonts/ipaexg.ttf",
)


@lru_cache(maxsize=1)
def japanese_font() -> Path | None:
    """A Japanese font of the package matplotlib-fontja or of the system, None when there is none."""
    spec = importlib.util.find_spec("matplotlib_fontja")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    candidates = (*(Path(folder) / "fonts" / "ipaexg.ttf" for folder in folders), *map(Path, _SYSTEM_FONTS))
    return next((path for path in candidates if path.is_file()), None)


@lru_cache(maxsize=128)
def word_mask(text: str, width_px: int, height_px: int, weight_px: int = 1, stretched: bool = False) -> np.ndarray:
    """Coverage of the text, as large as it fits into the picture, its lines (\\n) below one another: (h, w) float32, 0 to 1.

    weight_px thickens the strokes, as paint and signs have them; stretched fills the picture whatever the words' own shape.
    """
    sheet = Image.new("L", (width_px, height_px), 0)
    path = japanese_font()
    if path is None:
        return np.zeros((height_px, width_px), dtype=np.float32)
    lines = text.split("\n")
    # drawn large and squeezed into the cell, so that long words fill it too
    px = 96
    font = ImageFont.truetype(str(path), px, layout_engine=ImageFont.Layout.BASIC)
    cell = height_px // len(lines)
    for row, line in enumerate(lines):
        left, top, right, bottom = font.getbbox(line, stroke_width=weight_px * 2)
        word = Image.new("L", (int(right - left), int(bottom - top)), 0)
        ImageDraw.Draw(word).text((-left, -top), line, fill=255, font=font, stroke_width=weight_px * 2)
        scales = 0.92 * width_px / word.width, 0.86 * cell / word.height
        across, down = scales if stretched else (min(scales),) * 2
        size = max(1, round(word.width * across)), max(1, round(word.height * down))
        sheet.paste(word.resize(size, Image.Resampling.LANCZOS), ((width_px - size[0]) // 2, row * cell + (cell - size[1]) // 2))
    return np.asarray(sheet, dtype=np.float32) / 255.0


def lettered(text: str, color: tuple[float, float, float], ground: tuple[float, float, float], size_px: tuple[int, int],
             weight_px: int = 1) -> np.ndarray:
    """The text in one colour on another, (height, width, 3) uint8; size_px is (width, height)."""
    share = word_mask(text, *size_px, weight_px)[:, :, None]
    return np.asarray(255 * (np.asarray(ground) * (1 - share) + np.asarray(color) * share) + 0.5).astype(np.uint8)
