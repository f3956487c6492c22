"""Make frames fit to leave the machine: as `data:` URLs, and coarse where faces and plates may not be seen.

Nothing in this package finds every face or plate, so nothing here pretends to: a coarse frame is coarse all over. With COARSE_PX
over a 90° camera a face (0.16 m wide) is 5 pixels wide one metre away and 10 at half a metre, a figure of a Japanese number plate
(80 mm high) 2.6 pixels high at one metre. Nearer than that a person or a plate may still be known.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np

COARSE_PX = 64
JPEG_QUALITY = 90
PATCH_PX = 28  # processors that speak of absolute pixels bring sides to multiples of it
SIDE_MOST_PX = 980  # the plan's schema ends points at 1000


def coarse(image: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) uint8 brought to COARSE_PX pixels of width, each the mean of what was there, and back to its size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (COARSE_PX, max(1, round(COARSE_PX * height / width))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def even(image: np.ndarray) -> np.ndarray:
    """A frame with sides that are multiples of PATCH_PX up to SIDE_MOST_PX: a processor leaves it the size that it has."""
    scale = min(1.0, SIDE_MOST_PX / max(image.shape[:2]))
    height, width = (max(PATCH_PX, round(scale * side / PATCH_PX) * PATCH_PX) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def data_url(image: np.ndarray, exact: bool = False) -> str:
    """A frame (H, W, 3) uint8 RGB as a `data:` URL without any metadata: JPEG; PNG where every pixel must stay what it is."""
    kind, how = ("png", [cv2.IMWRITE_PNG_COMPRESSION, 1]) if exact else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    written, data = cv2.imencode(f".{kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)
    if not written:
        raise ValueError(f"the frame cannot be written as {kind}")
    return f"data:image/{kind};base64," + base64.b64encode(data.tobytes()).decode("ascii")
