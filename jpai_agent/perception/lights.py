"""Read traffic lights where the map says they hang: each head is projected into a camera, and its lit lamp looked for there.

As Autoware does (map-based detection, then classification of the crop). A lamp counts when it is bright and of a lamp's colour
and size, has dark beside it, lies where that colour's lamp is expected, and its two neighbours in the head are dark: red
roofs, signs and tail lamps are none of that. Two of the last three readings must agree.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

import cv2
import numpy as np

from jpai_agent.perception.geometry import project
from jpai_agent.perception.returns import Tilt
from jpai_agent.world.road import LightHead
from jpai_agent.world.robot import CameraSpec
from jpai_agent.world.scene import SeenLight
from jpai_agent.world.sensors import Image

CAMERA = "tele"
NEAREST_M, FARTHEST_M = 5.0, 80.0
# a head that shines more than so far past the camera is another road's
FACING_COS = math.cos(math.radians(50))
# errors of the estimated pose and of the body's pitch: angle and place
AIM_RAD, AIM_M = 0.014, 0.25
READINGS, AGREEING, STALE_S = 3, 2, 1.5
SMALLEST_LAMP_PX = 2.2
# lamps in the order green, yellow, red from the driver's left; hues in OpenCV's half degrees
LAMPS = ("green", "yellow", "red")
_HUES = {"green": ((62, 100),), "yellow": ((14, 33),), "red": ((0, 9), (171, 180))}
_BRIGHT, _SATURATED = 140, 110
# of the lamp's brightness, at most, what lies beside a lamp and a lamp that is not lit
_DARK_BESIDE, _DARK_LAMP = 0.62, 0.6


@dataclass(frozen=True)
class Aim:
    """Where a head is expected in an image: middle (2,) in pixels, metres to it, pixels per metre."""

    head: LightHead
    middle_px: np.ndarray
    away_m: float
    px_per_m: float

    @property
    def margin_px(self) -> float:
        """How far off it may be."""
        return AIM_RAD * self.px_per_m * self.away_m + AIM_M * self.px_per_m


class LightReader:
    """Keeps what was read of the lights of a map.

    Args:
        camera: The one that is read. heads: of the map.
    """

    def __init__(self, camera: CameraSpec, heads: dict[str, LightHead]) -> None:
        self.camera = camera
        self._heads = heads
        self._readings: dict[str, deque[tuple[float, str]]] = {}

    def aims(self, pose: np.ndarray, tilt: Tilt) -> list[Aim]:
        """The heads that face a robot at pose (3,) in the map and are near enough, with where they should be in the image; those
        outside of it are left out."""
        if not self._heads:
            return []
        heads = list(self._heads.values())
        cos, sin = math.cos(pose[2]), math.sin(pose[2])
        offset = np.array([[h.x_m, h.y_m] for h in heads]) - pose[:2]
        x, y = offset @ [cos, sin], offset @ [-sin, cos]
        z = np.array([h.z_m for h in heads]) + tilt.ahead * x + tilt.left * y + tilt.offset_m
        to_head = np.stack([x, y, z], axis=1) - self.camera.position_m
        away = np.linalg.norm(to_head, axis=1)
        yaws = np.array([h.yaw_rad for h in heads]) - pose[2]
        facing = -(np.cos(yaws) * to_head[:, 0] + np.sin(yaws) * to_head[:, 1]) / np.maximum(away, 1e-6)
        pitch = math.radians(self.camera.pitch_deg)
        ahead = to_head[:, 0] * math.cos(pitch) - to_head[:, 2] * math.sin(pitch)
        size = np.array([self.camera.width_px, self.camera.height_px])
        places = project(self.camera, np.stack([x, y, z], axis=1)) / 1000.0 * size
        aims = []
        for k, head in enumerate(heads):
            if not (ahead[k] >= NEAREST_M and away[k] <= FARTHEST_M and facing[k] >= FACING_COS):
                continue
            scale = self.camera.focal_px / float(ahead[k])
            rim = np.array([2, 1]) * head.lamp_pitch_m * scale
            if ((places[k] > rim) & (places[k] < size - rim)).all():
                aims.append(Aim(head, places[k], float(away[k]), scale))
        return aims

    def take(self, image: Image, pose: np.ndarray, tilt: Tilt) -> None:
        """Read the lights of a frame that was taken at pose (3,) in the map."""
        for aim in self.aims(pose, tilt):
            readings = self._readings.setdefault(aim.head.id, deque(maxlen=READINGS))
            readings.append((image.stamp_s, read_head(image.rgb, aim)))

    def seen(self, now_s: float) -> tuple[SeenLight, ...]:
        """What was read in the last STALE_S, "unknown" where the readings do not tell."""
        found = []
        for head_id, readings in sorted(self._readings.items()):
            fresh = [(stamp_s, state) for stamp_s, state in readings if now_s - stamp_s <= STALE_S]
            if not fresh:
                continue
            counts = Counter(state for _, state in fresh if state != "unknown")
            state = next((s for _, s in reversed(fresh) if counts[s] >= AGREEING), "unknown")
            stamps = [stamp_s for stamp_s, s in fresh if s == state] or [fresh[-1][0]]
            found.append(SeenLight(head_id, state, stamps[-1]))
        return tuple(found)


def read_head(rgb: np.ndarray, aim: Aim) -> str:
    """State of the head that an image (H, W, 3) shows where it is aimed at: "green", "yellow", "red", or "unknown"."""
    lamp_px = aim.head.lamp_diameter_m * aim.px_per_m
    pitch_px = aim.head.lamp_pitch_m * aim.px_per_m
    if lamp_px < SMALLEST_LAMP_PX:
        return "unknown"
    half = np.array([2 * pitch_px, 0.5 * lamp_px]) + aim.margin_px + lamp_px
    low = np.maximum(np.floor(aim.middle_px - half), 0).astype(int)
    high = np.minimum(np.ceil(aim.middle_px + half) + 1, [rgb.shape[1], rgb.shape[0]]).astype(int)
    crop = rgb[low[1] : high[1], low[0] : high[0]]
    if crop.shape[0] < 3 or crop.shape[1] < 3:
        return "unknown"
    hue, saturation, value = cv2.split(cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2HSV))
    vivid = (value >= _BRIGHT) & (saturation >= _SATURATED)
    best, state = 0.0, "unknown"
    for k, lamp in enumerate(LAMPS):
        mask = np.zeros(hue.shape, dtype=np.uint8)
        for first, last in _HUES[lamp]:
            mask |= (vivid & (hue >= first) & (hue <= last)).astype(np.uint8)
        count, _, stats, middles = cv2.connectedComponentsWithStats(mask, connectivity=8)
        expected = aim.middle_px + np.array([(k - 1) * pitch_px, 0.0]) - low
        for blob in range(1, count):
            middle = middles[blob]
            off_px = float(np.hypot(*(middle - expected)))
            if off_px > aim.margin_px or not _is_lamp(value, stats[blob], middle, k, lamp_px, pitch_px):
                continue
            score = 1.0 - 0.5 * off_px / aim.margin_px
            if score > best:
                best, state = score, lamp
    return state


def _is_lamp(value: np.ndarray, stats: np.ndarray, middle: np.ndarray, place: int, lamp_px: float, pitch_px: float) -> bool:
    """Whether a blob is as large as a lamp, lies in the dark, and the head's other lamps are dark."""
    area, width, height = stats[cv2.CC_STAT_AREA], stats[cv2.CC_STAT_WIDTH], stats[cv2.CC_STAT_HEIGHT]
    full = math.pi / 4 * lamp_px**2
    if not (0.3 * full - 2 <= area <= 1.7 * full + 6 and max(width, height) <= 1.5 * lamp_px + 2):
        return False
    left, top = stats[cv2.CC_STAT_LEFT], stats[cv2.CC_STAT_TOP]
    lit = float(value[top : top + height, left : left + width].max())
    for other in range(3):
        if other != place:
            at = middle + np.array([(other - place) * pitch_px, 0.0])
            if _brightness(value, at, 0.3 * lamp_px) > _DARK_LAMP * lit:
                return False
    # the board reaches beyond the lamps, above and below and at the ends
    around = np.array([[0.0, -0.85], [0.0, 0.85], [-0.67, 0.0], [0.67, 0.0]]) * lamp_px
    beside = [_brightness(value, middle + offset, 0.0) for offset in around]
    return float(np.median(beside)) < _DARK_BESIDE * lit


def _brightness(value: np.ndarray, at: np.ndarray, radius_px: float) -> float:
    """Mean brightness around a place; 0 outside of the crop."""
    x, y, r = round(float(at[0])), round(float(at[1])), int(radius_px)
    patch = value[max(0, y - r) : max(0, y + r + 1), max(0, x - r) : max(0, x + r + 1)]
    return float(patch.mean()) if patch.size else 0.0
