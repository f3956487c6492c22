"""Point conventions of model families, and the probe that finds out which one a model really speaks.

Inside the project a point is [x, y] in 0..1000 over the image. Swapped axes are the likeliest silent error of all, so a
model is shown one asymmetric image when it is loaded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.families import family_of

log = logging.getLogger(__name__)

_POINT = re.compile(r'("point":\[)(\d{1,4}),(\d{1,4})(?=\])')
_PROBE_TOLERANCE = 120.0  # of 1000
COORDINATE_MAX = 1000  # that the grammar of plans admits, whatever it counts


@dataclass(frozen=True)
class PointCodec:
    """How a model family writes points: `decode(a, b, width_px, height_px)` gives x, y in 0..1000, unrounded.

    `encode` is its inverse: of x, y in 0..1000 what the family writes, unrounded. `width_px` and `height_px` are those of the
    image as the model's processor resized it. `in_words` tells a model in Japanese what to write.
    """

    name: str
    decode: Callable[[int, int, int, int], tuple[float, float]]
    encode: Callable[[int, int, int, int], tuple[float, float]]
    in_words: str

    def rewrite(self, text: str, size_px: tuple[int, int]) -> str:
        """Plan JSON with its points in the project's convention; all else stays as the model wrote it."""
        return _points(text, self.decode, size_px)

    def unwrite(self, text: str, size_px: tuple[int, int]) -> str:
        """Plan JSON of the project with its points as the model writes them, for what it is told of earlier turns."""
        return _points(text, self.encode, size_px)


def _points(text: str, convert: Callable[[int, int, int, int], tuple[float, float]], size_px: tuple[int, int]) -> str:
    def replaced(match: re.Match[str]) -> str:
        first, second = convert(int(match[2]), int(match[3]), *size_px)
        return f"{match[1]}{min(round(first), COORDINATE_MAX)},{min(round(second), COORDINATE_MAX)}"
    return _POINT.sub(replaced, text)


CODECS: Mapping[str, PointCodec] = {codec.name: codec for codec in (
    PointCodec("xy1000", lambda a, b, width, height: (a, b), lambda x, y, width, height: (x, y),
               "[x,y]です。左上が[0,0]、右下が[1000,1000]で"),
    PointCodec("yx1000", lambda a, b, width, height: (b, a), lambda x, y, width, height: (y, x),
               "[y,x]です。左上が[0,0]、右下が[1000,1000]で、縦の位置yを先に書き"),
    PointCodec("abs_px", lambda a, b, width, height: (1000 * a / width, 1000 * b / height),
               lambda x, y, width, height: (x * width / 1000, y * height / 1000), "画素数での[x,y]です。左上が[0,0]で"),
)}


def codec_for(model_type: str) -> PointCodec:
    """The codec that a model family documents."""
    return CODECS[family_of(model_type).codec]


PROBE_POINT = (255, 690)
PROBE_INSTRUCTION = "赤い箱まで行って"


def probe_image(width: int = 640, height: int = 480) -> np.ndarray:
    """A grey yard with one red box left of the middle and low in the image, centred at PROBE_POINT: (H, W, 3) uint8."""
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    image = np.where(rows < 0.38, [196.0, 210.0, 224.0], [150.0, 150.0, 146.0] + 25.0 * (rows - 0.38))
    image = np.broadcast_to(image, (height, width, 3)).copy()
    x, y = PROBE_POINT[0] * width // 1000, PROBE_POINT[1] * height // 1000
    half_w, half_h = width // 16, height // 12
    image[y - half_h:y + half_h, x - half_w:x + half_w] = [200.0, 30.0, 28.0]
    image[y - half_h:y - half_h // 2, x - half_w:x + half_w] = [225.0, 60.0, 55.0]
    # the grain of a camera, the same each time
    grain = np.random.default_rng(0).normal(0.0, 2.0, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Probe:
    """What the probe showed: `best` names the convention that fits the answer, None when nothing fitted."""

    expected: str
    best: str | None
    errors: Mapping[str, float]
    answer: str

    @property
    def contradicts(self) -> bool:
        """True when the answer fits another convention than the expected one, which it does not fit."""
        return self.best is not None and self.best != self.expected


def probe(ask: Callable[[PlanRequest], PlanAnswer], expected: str, size_px: Callable[[np.ndarray], tuple[int, int]],
          robot: str = "cart", candidates: Iterable[str] = CODECS) -> Probe:
    """Ask a model for the red box of the probe image and see in which convention its answer is right.

    Args:
        ask: Plans with the points left as the model wrote them.
        expected: Name of the codec that the family documents.
        size_px: (width, height) of an image as the model's processor resizes it.
    """
    image = probe_image()
    try:
        answer = ask(PlanRequest(PROBE_INSTRUCTION, {"front": image}, robot)).text
    except VlmError as error:
        if error.reason_code != "plan_error":
            raise
        answer = str(error)
    match = _POINT.search(answer)
    errors: dict[str, float] = {}
    for name in candidates if match else ():
        x, y = CODECS[name].decode(int(match[2]), int(match[3]), *size_px(image))  # type: ignore[index]
        errors[name] = float(np.hypot(x - PROBE_POINT[0], y - PROBE_POINT[1]))
    fitting = [name for name in sorted(errors, key=errors.__getitem__) if errors[name] <= _PROBE_TOLERANCE]
    best = expected if expected in fitting else (fitting[0] if fitting else None)
    result = Probe(expected, best, errors, answer)
    if result.contradicts:
        log.warning("the model points in %s, its family documents %s: using %s", best, expected, best)
    elif best is None:
        log.info("the probe image told nothing about the model's points (%s); using %s", answer[:80], expected)
    return result
