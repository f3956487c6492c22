"""Anti-aliased lines, shapes and translucency on an RGB array: drawn at twice the size, then reduced."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from jpai_agent.record.text import Color

_SCALE = 2
# cv2 takes fixed-point coordinates: this many bits behind the point
_SHIFT = 4
_ONE = 1 << _SHIFT


class Canvas:
    """A picture in the making. Coordinates and widths are in pixels of the finished picture, points are (N, 2)."""

    def __init__(self, width: int, height: int, background: Color) -> None:
        self.width, self.height = width, height
        self._pixels = np.full((height * _SCALE, width * _SCALE, 3), background, np.uint8)

    def finish(self) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        return cv2.resize(self._pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def line(self, points: np.ndarray, color: Color, width: float) -> None:
        """An open line through the points."""
        if len(points) >= 2:
            self._polyline(self._pixels, points, color, width, closed=False)

    def dashed(self, points: np.ndarray, color: Color, width: float, dash: float, gap: float) -> None:
        """A dashed line through the points."""
        for piece in dashes(points, dash, gap):
            self._polyline(self._pixels, piece, color, width, closed=False)

    def bundle(self, lines: Sequence[np.ndarray], color: Color, width: float, alpha: float) -> None:
        """Many lines that show through each other: the more lie on a spot, the darker it is."""
        count = np.zeros(self._pixels.shape[:2], np.uint8)
        mask = np.empty_like(count)
        for points in lines:
            if len(points) >= 2:
                mask[:] = 0
                self._polyline(mask, points, 1, width, closed=False)
                count += mask
        for level in range(1, int(count.max()) + 1):
            share = 1.0 - (1.0 - alpha) ** level
            there = count == level
            self._pixels[there] = (self._pixels[there] * (1.0 - share) + np.array(color) * share).astype(np.uint8)

    def polygon(
        self, points: np.ndarray, fill: Color | None = None, edge: Color | None = None, width: float = 1.0
    ) -> None:
        """A closed shape."""
        if fill is not None:
            cv2.fillPoly(self._pixels, [self._fixed(points)], fill, cv2.LINE_AA, _SHIFT)
        if edge is not None:
            self._polyline(self._pixels, points, edge, width, closed=True)

    def disc(
        self, center: ArrayLike, radius: float, fill: Color | None = None, edge: Color | None = None, width: float = 1.0
    ) -> None:
        """A circle."""
        angle = np.linspace(0.0, 2 * math.pi, 48, endpoint=False)
        self.polygon(np.asarray(center) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), fill, edge, width)

    def arrow(self, start: ArrayLike, end: ArrayLike, color: Color, width: float, head: float) -> None:
        """An arrow with a filled head of that length."""
        tail, tip = np.asarray(start, float), np.asarray(end, float)
        length = float(np.linalg.norm(tip - tail))
        if length < 1.0:
            return
        along = (tip - tail) / length
        across = np.array([-along[1], along[0]])
        neck = tip - along * min(head, length)
        self._polyline(self._pixels, np.stack([tail, neck]), color, width, closed=False)
        self.polygon(np.stack([tip, neck + across * head * 0.45, neck - across * head * 0.45]), color)

    @staticmethod
    def _fixed(points: np.ndarray) -> np.ndarray:
        # the -0.5 puts the centre of the doubled pixel grid where the finished pixel's is
        return np.round((np.asarray(points, float) * _SCALE - 0.5) * _ONE).astype(np.int32).reshape(-1, 1, 2)

    def _polyline(
        self, image: np.ndarray, points: np.ndarray, color: Color | int, width: float, *, closed: bool
    ) -> None:
        kind = cv2.LINE_8 if image.ndim == 2 else cv2.LINE_AA
        cv2.polylines(image, [self._fixed(points)], closed, color, max(1, round(width * _SCALE)), kind, _SHIFT)


def dashes(points: np.ndarray, dash: float, gap: float) -> list[np.ndarray]:
    """The pieces of a dashed line through the points (N, 2), each (M, 2); lengths in the points' unit."""
    points = np.asarray(points, float)
    if len(points) < 2:
        return []
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    pieces = []
    for begin in np.arange(0.0, lengths[-1], dash + gap):
        end = min(begin + dash, lengths[-1])
        inner = points[(lengths > begin) & (lengths < end)]
        ends = [
            np.array([np.interp(at, lengths, points[:, 0]), np.interp(at, lengths, points[:, 1])])
            for at in (begin, end)
        ]
        pieces.append(np.vstack([ends[0], inner, ends[1]]))
    return pieces
