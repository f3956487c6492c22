"""What a sensor's reading shows: a checksum, by which a frozen sensor is known, and whether it shows anything at all."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from jpai_agent.world.sensors import DepthImage, LidarScan

# a depth frame with fewer readings than this share, or with no more relief than this, shows nothing
SHOWN_SHARE, RELIEF_M = 0.02, 0.01


@dataclass(frozen=True)
class Shown:
    """As `Gate.sensor` takes it.

    Attributes:
        content: Checksum of what is shown, without the stamp; None where repeating itself is no fault.
        blank: Nothing is shown.
    """

    content: int | None
    blank: bool


def shown_by_scan(scan: LidarScan) -> Shown:
    """Of a turn of a lidar. One that meets nothing at all is always the same; one without any answer is a covered lidar."""
    ranges = np.ascontiguousarray(scan.ranges_m)
    hit = np.isfinite(ranges) & (ranges > 0)
    blank = not (hit | np.isposinf(ranges)).any()
    return Shown(zlib.crc32(ranges.tobytes()) if hit.any() else None, blank)


def shown_by_depth(depth: DepthImage) -> Shown:
    """Of a depth frame: black, white or even ones show nothing."""
    shown = depth.depth_m[depth.depth_m > 0]
    blank = shown.size < SHOWN_SHARE * depth.depth_m.size or float(np.ptp(shown)) < RELIEF_M
    return Shown(zlib.crc32(np.ascontiguousarray(depth.depth_m).tobytes()), blank)
