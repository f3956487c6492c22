"""Commands of a car: curvature along a course by feed-forward and feedback, and speeds ramped within its limits."""

from __future__ import annotations

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.road.course import Course, Place
from jpai_agent.world.robot import RobotSpec

# where a command acts: the pose is taken so much later, and the course's curvature as much further on
LATE_S, PREVIEW_S = 0.15, 0.28
# an offset is taken up within about this way, by time but never less than so much; its damping
REJOIN_S, REJOIN_M, DAMPING = 0.75, 2.2, 1.0
# of the steering's rate and angle, what is asked for
RATE_SHARE, ANGLE_SHARE = 0.9, 0.99
# wheels that are off by this while it stands are turned first, at a crawl, until off by less than the second
TURN_FIRST_RAD, TURNED_RAD, CRAWL_MPS, STANDS_MPS = 0.12, 0.05, 0.02, 0.06
# how soon a wanted speed is taken up; change of acceleration, m/s³, usually and in an emergency; share of the acceleration
SETTLE_S, JERK_MPS3, HARD_JERK_MPS3, SHARE = 0.3, 5.0, 40.0, 0.8
COMFORTABLE_MPS2 = 2.8


class Steering:
    """What N cars were asked for last.

    Attributes:
        v: (N,) m/s, signed. a: (N,) its rate. curvature: (N,) rad/m, positive to the left.
    """

    def __init__(self, robot: RobotSpec, n: int) -> None:
        if robot.ackermann is None:
            raise ValueError(f"robot {robot.name} does not steer")
        self._robot, self._ackermann = robot, robot.ackermann
        self.v, self.a, self.curvature = np.zeros(n), np.zeros(n), np.zeros(n)

    def take_over(self, v_mps: np.ndarray, w_radps: np.ndarray) -> None:
        """Carry on from these speeds (N,)."""
        most = self._ackermann.curvature_max_radpm
        self.v = v_mps.astype(float)
        rolling = np.abs(v_mps) > 0.015
        self.curvature = np.where(rolling, np.clip(w_radps / np.where(rolling, v_mps, 1.0), -most, most), self.curvature)
        self.a = np.zeros_like(self.v)

    def towards(self, course: Course, place: Place, rows: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(R,) curvature that leads cars at poses (R, 3) along a course.

        Along the course e' = ψ and ψ' = κ − κ_course; κ = κ_course − e/L² − 2ζψ/L lets the offset decay within L.
        """
        speed = np.abs(self.v[rows])
        late = LATE_S * speed
        # where it will be when the command acts
        turning = course.way * self.curvature[rows]
        now = course.curvature_at(place.along_m + late)
        off = wrap(place.off_rad + late * (turning - course.curvature_at(place.along_m + late / 2)))
        aside = place.aside_m + late * np.sin(place.off_rad)
        length = np.maximum(REJOIN_S * speed, REJOIN_M)
        ahead = course.curvature_at(place.along_m + PREVIEW_S * speed)
        bounded = np.clip(aside, -1.5 * length, 1.5 * length)
        wanted = ahead / (1.0 - np.clip(now * aside, -0.5, 0.5)) - bounded / length**2 - 2 * DAMPING * np.sin(off) / length
        most = ANGLE_SHARE * self._ackermann.curvature_max_radpm
        return np.clip(course.way * wanted, -most, most)

    def command(self, speed: np.ndarray, brakes: np.ndarray, curvature: np.ndarray, way: np.ndarray, dt_s: float
                ) -> tuple[np.ndarray, np.ndarray]:
        """The (v, w) (N,) each to ask for now.

        Args:
            speed: (N,) wanted, 0 or more. brakes: (N,) most deceleration. curvature: (N,) wanted. way: (N,) 1 forward,
                -1 backward, 0 as it goes.
        """
        wheelbase, limits = self._ackermann.wheelbase_m, self._robot.limits
        now, wanted = np.arctan(wheelbase * self.curvature), np.arctan(wheelbase * curvature)
        most = RATE_SHARE * self._ackermann.steer_rate_radps * dt_s
        steer = now + np.clip(wanted - now, -most, most)
        self.curvature = np.tan(steer) / wheelbase
        direction = np.where(way == 0.0, np.sign(self.v), way)
        # against the way it goes, it comes to a stop first
        target = np.where(self.v * direction < -1e-3, 0.0, speed)
        pace = np.abs(self.v)
        first = (pace < STANDS_MPS) & (target > CRAWL_MPS) & (np.abs(wanted - steer) > np.where(
            pace > 0.0, TURNED_RAD, TURN_FIRST_RAD))
        target = np.where(first, CRAWL_MPS, target)
        moving = np.where(pace > 1e-3, np.where(self.v == 0.0, direction, np.sign(self.v)), direction)
        pace = self._ramp(target, brakes, pace, dt_s, limits.accel_mps2)
        self.v = np.where(pace < 1e-3, 0.0, pace) * moving
        return self.v.copy(), self.v * self.curvature

    def _ramp(self, target: np.ndarray, brakes: np.ndarray, pace: np.ndarray, dt_s: float, accel_mps2: float
              ) -> np.ndarray:
        """(N,) paces that take up the targets with bounded acceleration and, but in an emergency, a bounded change of it."""
        urgent = brakes > COMFORTABLE_MPS2
        wanted = np.clip((target - pace) / SETTLE_S, -brakes, SHARE * accel_mps2)
        wanted = np.where(urgent & (target < pace), np.maximum(-brakes, (target - pace) / max(dt_s, 1e-3)), wanted)
        jerk = np.where(urgent, HARD_JERK_MPS3, JERK_MPS3) * dt_s
        # letting go of the brakes, or of the throttle, may be quick
        easing = np.abs(wanted) < np.abs(self.a)
        jerk = np.where(easing, 3 * jerk, jerk)
        self.a = np.clip(wanted, self.a - jerk, self.a + jerk)
        pace = np.maximum(pace + self.a * dt_s, 0.0)
        there = (np.abs(target - pace) < 0.02) & (np.abs(self.a) < 0.4)
        pace = np.where((target == 0.0) & (pace < 0.06), 0.0, np.where(there, target, pace))
        self.a = np.where(pace == 0.0, 0.0, self.a)
        return pace
