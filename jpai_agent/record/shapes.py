"""Smooth rounded boxes, discs and pills on a Pillow image, which draws them jagged by itself."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw

from jpai_agent.record import style
from jpai_agent.record.text import Color, draw_text, width_px

Box = tuple[float, float, float, float]
_FINE = 4


@lru_cache(maxsize=128)
def _mask(width: int, height: int, radius: int) -> Image.Image:
    fine = Image.new("L", (width * _FINE, height * _FINE), 0)
    ImageDraw.Draw(fine).rounded_rectangle((0, 0, width * _FINE - 1, height * _FINE - 1), radius * _FINE, 255)
    return fine.reduce(_FINE)


def rounded(image: Image.Image, box: Box, radius: int, fill: Color, edge: Color | None = None) -> None:
    """A filled box (left, top, right, bottom) with round corners and, with edge, a border of one pixel."""
    left, top, right, bottom = (round(v) for v in box)
    if edge is not None:
        image.paste(edge, (left, top), _mask(right - left, bottom - top, radius))
        left, top, right, bottom, radius = left + 1, top + 1, right - 1, bottom - 1, radius - 1
    image.paste(fill, (left, top), _mask(right - left, bottom - top, radius))


def framed(image: Image.Image, picture: Image.Image, box: Box, radius: int, edge: Color) -> None:
    """A picture with round corners and a border of one pixel; it must be as large as the box less the border."""
    left, top, right, bottom = (round(v) for v in box)
    rounded(image, box, radius, edge)
    image.paste(picture, (left + 1, top + 1), _mask(right - left - 2, bottom - top - 2, radius - 1))


def badge(
    image: Image.Image, center: tuple[float, float], text: str, text_px: int, color: Color = style.ACCENT
) -> None:
    """A number in a disc; wider for longer text."""
    half_y = text_px * 0.72
    half_x = max(half_y, width_px(text, text_px) / 2 + text_px * 0.35)
    x, y = round(center[0]), round(center[1])
    rounded(image, (x - half_x, y - half_y, x + half_x, y + half_y), round(half_y), color)
    draw_text(ImageDraw.Draw(image), (x, y + text_px * 0.36), text, text_px, style.CARD, bold=True, anchor="ms")


def chip(
    image: Image.Image, right_top: tuple[float, float], text: str, text_px: int, color: Color, ground: Color
) -> Box:
    """A word on a tinted ground, placed by its upper right corner; returns its box."""
    width, height = width_px(text, text_px) + text_px * 1.5, text_px * 1.9
    box = (right_top[0] - width, right_top[1], right_top[0], right_top[1] + height)
    rounded(image, box, round(height / 2), ground)
    draw_text(
        ImageDraw.Draw(image),
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + text_px * 0.36),
        text,
        text_px,
        color,
        bold=True,
        anchor="ms",
    )
    return box


def pill_size(mark: str, text: str, text_px: int) -> tuple[float, float]:
    """(width, height) of a pill."""
    return width_px(mark, text_px - 1) + 12 + (width_px(text, text_px) + 13 if text else 0), text_px + 9


def pill(
    image: Image.Image, left_top: tuple[float, float], mark: str, text: str, text_px: int, color: Color = style.ACCENT
) -> None:
    """A mark on a coloured ground with its label beside it, from the upper left corner."""
    x, y = round(left_top[0]), round(left_top[1])
    width, height = pill_size(mark, text, text_px)
    head = width_px(mark, text_px - 1) + 12
    rounded(image, (x, y, x + width, y + height), 6, color)
    if text:
        rounded(image, (x + head, y + 1.5, x + width - 1.5, y + height - 1.5), 5, style.CARD)
    draw = ImageDraw.Draw(image)
    base = y + height / 2 + text_px * 0.36
    draw_text(draw, (x + head / 2, base), mark, text_px - 1, style.CARD, bold=True, anchor="ms")
    if text:
        draw_text(draw, (x + head + 5, base), text, text_px, style.INK)
