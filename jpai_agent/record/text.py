"""Japanese text in pictures: find a font, break lines by Japanese rules, measure and draw."""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

# where Debian and Fedora put Japanese gothic fonts
_SYSTEM_FONTS = (
    "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
    "/usr/share/fonts/truetype/fonts-japanese-gothic.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/ipa-ex-gothic-fonts/ipaexg.ttf",
)
# no picture has room for more; what follows is not even looked at
_LONGEST = 400
# stands for a character that the font lacks, as printers do it
MISSING = "〓"
_INVISIBLE = {"\u200b", "\u200d", "\ufe0e", "\ufe0f", "\ufeff"}
# JIS X 4051: what may not begin and what may not end a line
_NOT_FIRST = set("、。，．・：；？！）」』】〉》〕］｝ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々,.:;?!)]}%％…‥")
_NOT_LAST = set("（「『【〈《〔［｛([{")
_PAUSES = set("、。，．？！")


@lru_cache(maxsize=1)
def font_path() -> Path:
    """A Japanese font, of the package matplotlib-fontja or of the system. Raises FileNotFoundError naming both."""
    spec = importlib.util.find_spec("matplotlib_fontja")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for path in (*(Path(folder) / "fonts" / "ipaexg.ttf" for folder in folders), *map(Path, _SYSTEM_FONTS)):
        if path.is_file():
            return path
    raise FileNotFoundError(
        "no Japanese font: install the Python package matplotlib-fontja or Debian's fonts-ipaexfont-gothic"
    )


@lru_cache(maxsize=64)
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """The font at a size."""
    return ImageFont.truetype(str(font_path()), size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def has_glyph(char: str) -> bool:
    """True when the font can draw the character."""
    if char.isspace():
        return True
    probe = font(24)
    mask, missing = probe.getmask(char), _missing_mask()
    return mask.size != missing.size or bytes(mask) != bytes(missing)


@lru_cache(maxsize=1)
def _missing_mask() -> Image.core.ImagingCore:
    return font(24).getmask("\U0010fffd")


def printable(text: str) -> str:
    """The text (its first 400 characters) on one line, with nothing in it that the font cannot draw."""
    shown = (
        "" if c in _INVISIBLE else " " if c.isspace() else c if c.isprintable() and has_glyph(c) else MISSING
        for c in text[:_LONGEST]
    )
    return "".join(shown).strip()


def width_px(text: str, size_px: int) -> float:
    """Advance width of the text."""
    return font(size_px).getlength(text)


def shorten(text: str, size_px: int, room_px: float) -> str:
    """The text, cut with an ellipsis where it is wider than the room."""
    text = printable(text)
    if width_px(text, size_px) <= room_px:
        return text
    kept = bisect_right(range(1, len(text) + 1), room_px, key=lambda length: width_px(text[:length] + "…", size_px))
    return text[:kept] + "…"


def wrap(text: str, size_px: int, room_px: float, max_lines: int) -> list[str]:
    """Break the text into at most `max_lines` lines no wider than the room; the last one is cut where it does not fit.

    No line begins with a closing mark or ends with an opening one, words of Latin letters stay whole, and a break after
    a pause is preferred to one within the last third of a line.
    """
    rest = printable(text)
    lines: list[str] = []
    while rest and len(lines) < max_lines - 1:
        cut = _line_end(rest, size_px, room_px)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, shorten(rest, size_px, room_px)] if rest else lines


def _line_end(text: str, size_px: int, room_px: float) -> int:
    longest = max(
        1, bisect_right(range(1, len(text) + 1), room_px, key=lambda length: width_px(text[:length], size_px))
    )
    if longest == len(text):
        return longest
    for cut in range(longest, longest * 2 // 3, -1):
        if text[cut - 1] in _PAUSES and text[cut] not in _NOT_FIRST:
            return cut
    for cut in range(longest, 0, -1):
        within_word = (
            text[cut - 1].isascii() and text[cut].isascii() and text[cut - 1].isalnum() and text[cut].isalnum()
        )
        if text[cut] not in _NOT_FIRST and text[cut - 1] not in _NOT_LAST and not within_word:
            return cut
    return longest


def fit(text: str, sizes_px: tuple[tuple[int, int], ...], room_px: float) -> tuple[int, list[str]]:
    """The first (size, most lines) of `sizes_px` at which the whole text fits, with its lines; the last one cuts it."""
    whole = printable(text).replace(" ", "")
    for size_px, max_lines in sizes_px:
        lines = wrap(text, size_px, room_px, max_lines)
        if "".join(lines).replace(" ", "") == whole:
            return size_px, lines
    return size_px, lines


def draw_text(
    draw: ImageDraw.ImageDraw,
    xy: tuple[float, float],
    text: str,
    size_px: int,
    color: Color,
    *,
    bold: bool = False,
    anchor: str = "ls",
    halo: Color | None = None,
) -> float:
    """Draw one line, by default from its baseline's left end, and return where it ends.

    The font has one weight; bold widens its upright strokes, which leaves dense letters like 電 open. halo is drawn
    around the letters, to be read on any ground.
    """
    face = font(size_px)
    if halo is not None:
        draw.text(xy, text, halo, face, anchor=anchor, stroke_width=max(2.0, size_px / 6), stroke_fill=halo)
    reach = size_px / 60 if bold else 0.0
    for shift in (-reach, reach) if bold else (0.0,):
        draw.text((xy[0] + shift, xy[1]), text, color, face, anchor=anchor)
    return xy[0] + face.getlength(text)
