"""What holds cars up: how far they may go, and how fast, gathered from everything that has a say in it."""

from __future__ import annotations

import numpy as np

from jpai_agent.world.robot import RobotSpec

# braking that stops are planned with, m/s², what makes one urgent, and the part of the emergency brakes that is asked for
COMFORT_MPS2, URGENT_SHARE, EMERGENCY_SHARE = 2.1, 0.89, 0.95
# a command acts so much later
LAG_S = 0.38
# nearer to a stop than this a car stands; speed per metre that is left just before it
THERE_M, LAST_PER_S = 0.06, 1.5
FREE_M = 1e3


class Holds:
    """The tightest of all limits on R cars.

    Attributes:
        free_m: (R,) way that base_link may still go. hard_m: (R,) way that it must never exceed.
        most_mps: (R,) top speed. standing: (R,) whether `free_m` is due to a thing that stands in the way.
    """

    def __init__(self, count: int) -> None:
        self.free_m = np.full(count, FREE_M)
        self.hard_m = np.full(count, FREE_M)
        self.most_mps = np.full(count, np.inf)
        self.standing = np.zeros(count, dtype=bool)

    def stop(self, free_m: np.ndarray, spare_m: float | np.ndarray, where: np.ndarray, standing: bool | np.ndarray = False
             ) -> None:
        """Stop within free_m (R,) where `where` (R,); spare_m more must not be exceeded whatever it takes."""
        free = np.where(where, free_m, FREE_M)
        nearer = free < self.free_m
        self.standing = np.where(nearer, standing, self.standing)
        self.free_m = np.where(nearer, free, self.free_m)
        self.hard_m = np.minimum(self.hard_m, np.where(where, free_m + spare_m, FREE_M))

    def slow(self, most_mps: np.ndarray, where: np.ndarray) -> None:
        """At most so fast, (R,), where `where` (R,)."""
        self.most_mps = np.where(where, np.minimum(self.most_mps, most_mps), self.most_mps)

    def speed(self, v_mps: np.ndarray) -> np.ndarray:
        """(R,) speed that all of it allows cars that go at v_mps (R,)."""
        most = np.minimum(self.most_mps, stop_speed(self.free_m, v_mps))
        return np.maximum(most, 0.0)

    def brakes(self, v_mps: np.ndarray, robot: RobotSpec) -> np.ndarray:
        """(R,) the braking to be used, m/s²: the comfortable one, or as much more as it takes."""
        needed = needed_mps2(self.hard_m, v_mps)
        comfortable = URGENT_SHARE * robot.limits.brake_mps2
        most = EMERGENCY_SHARE * robot.limits.emergency_brake_mps2
        return np.where(needed > comfortable, np.minimum(1.15 * needed, most), comfortable)


def stop_speed(free_m: np.ndarray, v_mps: np.ndarray) -> np.ndarray:
    """(R,) the speed from which a comfortable stop ends after free_m (R,)."""
    left = free_m - LAG_S * v_mps
    speed = np.minimum(np.sqrt(2 * COMFORT_MPS2 * np.maximum(left, 0.0)), LAST_PER_S * np.maximum(free_m, 0.0) + 0.15)
    # the last bit is not overshot for the lag's sake
    speed = np.maximum(speed, np.minimum(0.5, 0.8 * free_m))
    return np.where(free_m < THERE_M, 0.0, speed)


def needed_mps2(hard_m: np.ndarray, v_mps: np.ndarray) -> np.ndarray:
    """(R,) the braking that it takes to stop within hard_m (R,), the lag counted."""
    return v_mps * v_mps / (2 * np.maximum(hard_m - LAG_S * v_mps, 0.05))
