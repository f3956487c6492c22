"""Estimate the robot's pose in the map: wheel odometry carried forward, corrected by the localiser's noisy fixes."""

from __future__ import annotations

from collections import deque

import numpy as np

from jpai_agent.perception.geometry import compose, inverse, wrap
from jpai_agent.world.sensors import Localization, Odometry

# odometry readings that are kept, for sensors that arrive late
TRAIL = 40


class PoseEstimator:
    """A Kalman filter over the transform map → odom (3,), which drifts slowly: smooth poses that do not drift.

    The state moves only by the drift of odometry (about 1 % of the way); fixes correct it by their stated spread
    (Thrun, Burgard, Fox: Probabilistic Robotics, chapter 3).
    """

    drift_per_m = 0.01
    drift_per_rad = 0.02

    def __init__(self) -> None:
        self.map_from_odom: np.ndarray | None = None
        self._variance = np.zeros(3)
        self._odom_pose: np.ndarray | None = None
        # (stamp, pose) of the last second
        self._trail: deque[tuple[float, np.ndarray]] = deque(maxlen=TRAIL)

    def odometry(self, reading: Odometry) -> None:
        """Take an odometry reading."""
        pose = np.asarray(reading.pose, dtype=float)
        if not np.isfinite(pose).all():
            return
        if self._odom_pose is not None:
            step = compose(inverse(self._odom_pose), pose)
            way_m, turn_rad = float(np.hypot(step[0], step[1])), abs(float(step[2]))
            # drift is a slow walk: its variance grows with the way, 1 cm after the first metre
            grown = np.array([self.drift_per_m**2 * way_m] * 2 + [self.drift_per_rad**2 * turn_rad])
            self._variance += grown + self.drift_per_m**2 * 1e-3
        self._odom_pose = pose
        self._trail.append((reading.stamp_s, pose))

    def fix(self, reading: Localization) -> None:
        """Take a fix of the localiser."""
        if self._odom_pose is None or not np.isfinite(reading.pose).all():
            return
        spread = np.array([reading.sigma_xy_m, reading.sigma_xy_m, reading.sigma_yaw_rad])
        if self.map_from_odom is None:
            self.map_from_odom = compose(np.asarray(reading.pose, dtype=float), inverse(self._odom_pose))
            self._variance = spread**2
            return
        # correct heading about the robot, not about the distant odom origin
        gain = self._variance / (self._variance + spread**2)
        pose = self.pose
        error = np.asarray(reading.pose, dtype=float) - pose
        error[2] = wrap(error[2])
        self.map_from_odom = compose(pose + gain * error, inverse(self._odom_pose))
        self._variance = self._variance * (1.0 - gain)

    @property
    def ready(self) -> bool:
        """True once odometry and a fix have been seen."""
        return self.map_from_odom is not None and self._odom_pose is not None

    @property
    def odom_pose(self) -> np.ndarray:
        """(3,) pose in the odom frame. Raises RuntimeError before the first odometry."""
        if self._odom_pose is None:
            raise RuntimeError("no odometry yet")
        return self._odom_pose

    def odom_pose_at(self, stamp_s: float) -> np.ndarray:
        """(3,) pose in odom at a time: between two readings where there are such, else the nearest one.

        Raises RuntimeError before the first odometry.
        """
        newest = self.odom_pose
        later = None
        for time_s, pose in reversed(self._trail):
            if time_s <= stamp_s:
                if later is None:
                    return pose
                share = (stamp_s - time_s) / max(later[0] - time_s, 1e-6)
                step = later[1] - pose
                step[2] = wrap(step[2])
                return pose + share * step
            later = time_s, pose
        return newest if later is None else later[1]

    def pose_at(self, stamp_s: float) -> np.ndarray:
        """(3,) pose in the map at a time. Raises RuntimeError before the first fix."""
        if self.map_from_odom is None:
            raise RuntimeError("no localiser fix yet")
        return compose(self.map_from_odom, self.odom_pose_at(stamp_s))

    @property
    def pose(self) -> np.ndarray:
        """(3,) pose in the map frame. Raises RuntimeError before the first fix."""
        if self.map_from_odom is None:
            raise RuntimeError("no localiser fix yet")
        return compose(self.map_from_odom, self.odom_pose)
