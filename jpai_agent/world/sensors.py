"""What the robot's sensors deliver, whoever the robot is: simulated, real, or played back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Image:
    """A colour frame: (H, W, 3) uint8 RGB."""

    camera: str
    stamp_s: float
    rgb: np.ndarray


@dataclass(frozen=True)
class DepthImage:
    """A depth frame of the same camera: (h, w) float32 metres along the optical axis; 0 where there is no reading."""

    camera: str
    stamp_s: float
    depth_m: np.ndarray


@dataclass(frozen=True)
class LidarScan:
    """One turn of a lidar: (n,) ranges in metres of a planar one, (rows, n) of one with rows; inf where nothing was hit,
    NaN for a dropout.

    Beam i looks along `angle_min_rad + i * angle_step_rad` in base_link; the elevations of rows are the robot file's.
    """

    stamp_s: float
    ranges_m: np.ndarray
    angle_min_rad: float
    angle_step_rad: float
    range_max_m: float


@dataclass(frozen=True)
class Odometry:
    """Wheel odometry: pose (3,) x, y, yaw in the odom frame and the speeds (v m/s, w rad/s) of base_link."""

    stamp_s: float
    pose: np.ndarray
    v_mps: float
    w_radps: float


@dataclass(frozen=True)
class Localization:
    """A localiser's fix: pose (3,) x, y, yaw in the map frame, with its standard deviations."""

    stamp_s: float
    pose: np.ndarray
    sigma_xy_m: float = 0.03
    sigma_yaw_rad: float = 0.0175


@dataclass(frozen=True)
class Observation:
    """Everything new since the last observation; members that did not arrive are None.

    Attributes:
        stamp_s: Time of the observation.
    """

    stamp_s: float
    odometry: Odometry | None = None
    localization: Localization | None = None
    scan: LidarScan | None = None
    images: dict[str, Image] = field(default_factory=dict)
    depths: dict[str, DepthImage] = field(default_factory=dict)
