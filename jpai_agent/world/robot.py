"""Robot files: geometry, limits and sensors of a robot, read from `config/robots/<name>.yaml`."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jpai_agent.world.paths import resource


@dataclass(frozen=True)
class CameraSpec:
    """A camera on the robot.

    Attributes:
        name: As in plans and topics.
        width_px, height_px: Colour image; depth images are (depth_height_px, depth_width_px).
        hfov_deg: Horizontal field of view.
        position_m: (x, y, z) in base_link; pitch_deg: downwards positive.
        depth_rate_hz, depth_max_m: Depth stream; rate 0 for a camera without depth.
    """

    name: str
    width_px: int
    height_px: int
    hfov_deg: float
    position_m: tuple[float, float, float]
    pitch_deg: float
    depth_width_px: int
    depth_height_px: int
    depth_rate_hz: float
    depth_max_m: float

    @property
    def focal_px(self) -> float:
        """Focal length of the colour image in pixels (square pixels)."""
        return self.width_px / 2 / math.tan(math.radians(self.hfov_deg) / 2)


@dataclass(frozen=True)
class LidarSpec:
    """A lidar: rows of `beams` over the full circle, 0 rad forward at beam beams/2 when angle_min is −π.

    Attributes:
        height_m: Of its centre above the floor. x_m: ahead of base_link.
        rows_deg: Elevation of each row, upwards positive; one level row for a planar lidar.
    """

    beams: int
    range_max_m: float
    height_m: float
    rate_hz: float
    x_m: float = 0.0
    rows_deg: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class Ackermann:
    """Steering of a car whose base_link is at the middle of the rear axle.

    Attributes:
        wheelbase_m: Between the axles. steer_max_rad: of the bicycle model's single front wheel; steer_rate_radps: how fast.
        lateral_mps2: Most acceleration to the side that is asked for.
    """

    wheelbase_m: float
    steer_max_rad: float
    steer_rate_radps: float
    lateral_mps2: float

    @property
    def curvature_max_radpm(self) -> float:
        """Curvature of the tightest circle that base_link can drive."""
        return math.tan(self.steer_max_rad) / self.wheelbase_m


@dataclass(frozen=True)
class Limits:
    """What the motors may be asked for. Accelerations are positive magnitudes; the jerk of speeding up is limited where given."""

    forward_mps: float
    reverse_mps: float
    yaw_radps: float
    accel_mps2: float
    brake_mps2: float
    emergency_brake_mps2: float
    yaw_accel_radps2: float
    jerk_mps3: float | None = None


@dataclass(frozen=True)
class RobotSpec:
    """One robot: what the controllers, the twin, the gate and perception need to know of it.

    Attributes:
        length_m, width_m: The footprint, a rectangle whose middle is center_x_m ahead of base_link.
        ackermann: Steering of a car; None for a differential drive, which turns on the spot.
        vehicle_interface: What its motors are told beside /cmd_vel: "twist" (nothing), "ackermann" or "autoware".
        act_confidence: How sure the model must be that to act is right (0..1, by its calibration), or it asks back; 0 never asks.
        sha256: Hash of the robot file and of the model that it names.
    """

    name: str
    model_xml: Path
    length_m: float
    width_m: float
    mass_kg: float
    cruise_mps: float
    limits: Limits
    cameras: tuple[CameraSpec, ...]
    lidar: LidarSpec
    control_rate_hz: float
    sha256: str
    center_x_m: float = 0.0
    ackermann: Ackermann | None = None
    vehicle_interface: str = "twist"
    act_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.act_confidence <= 1.0:
            raise ValueError(f"act_confidence of robot {self.name} must be 0..1, not {self.act_confidence}")

    @property
    def circumscribed_radius_m(self) -> float:
        """Radius of the circle around base_link that holds the footprint."""
        return math.hypot(self.length_m / 2 + abs(self.center_x_m), self.width_m / 2)

    @property
    def front_m(self) -> float:
        """Distance of the foremost point from base_link."""
        return self.center_x_m + self.length_m / 2

    @property
    def rear_m(self) -> float:
        """Distance of the rearmost point behind base_link."""
        return self.length_m / 2 - self.center_x_m

    def camera(self, name: str) -> CameraSpec:
        """The camera of that name. Raises KeyError with the known names."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise KeyError(f"robot {self.name} has no camera {name!r}; it has {', '.join(c.name for c in self.cameras)}")


def load_robot(name: str) -> RobotSpec:
    """Read `config/robots/<name>.yaml`. Raises ValueError naming the file and the known robots when there is none."""
    path = resource("config", "robots", f"{name}.yaml")
    if not path.is_file():
        known = sorted(p.stem for p in resource("config", "robots").glob("*.yaml"))
        raise ValueError(f"unknown robot {name!r}: no file {path.name}; known robots: {', '.join(known)}")
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        model_xml = resource("sim", "robots", data.pop("model_xml"))
        cameras = tuple(CameraSpec(**{**c, "position_m": tuple(c["position_m"])}) for c in data.pop("cameras"))
        return RobotSpec(name=name, model_xml=model_xml,
                         sha256=hashlib.sha256(path.read_bytes() + model_xml.read_bytes()).hexdigest(),
                         limits=Limits(**data.pop("limits")), lidar=_lidar(data.pop("lidar")), cameras=cameras,
                         ackermann=Ackermann(**data.pop("ackermann")) if "ackermann" in data else None, **data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"robot file {path.name}: {error}") from error


def _lidar(data: dict[str, Any]) -> LidarSpec:
    return LidarSpec(**{**data, "rows_deg": tuple(data.get("rows_deg", (0.0,)))})
