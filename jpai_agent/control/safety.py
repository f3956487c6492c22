"""How fast the robot may go for what is in its way: it can always stop before it, and people get room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# a footprint that will be this near to a thing touches it, for all that is known of both; room in front of it at rest
TOUCH_M, AHEAD_M = 0.05, 0.15
# only what the way comes nearer to is in the way
NEARER_M = 0.01
# gap that people's circles are given, one who is to be approached, and those beside a turn on the spot
PERSON_GAP_M, APPROACHED_GAP_M, TURNING_GAP_M = 0.45, 0.0, 0.15
# within this of a person the robot crawls
PERSON_NEAR_M, PERSON_NEAR_MPS = 1.0, 0.3
# a walker who is this near passes a robot that stands
LET_PASS_M, WALKING_MPS = 0.40, 0.25
# a walker is met this long before to after the robot would be there, if it went on as fast as it does, or at least so;
# the farther off that is, the less is sure of it
BEFORE_S, AFTER_S, UNSURE, LEAST_MPS = 0.5, 0.7, 0.35, 0.5
FAR_AWAY_M = 1e3


@dataclass(frozen=True)
class Allowed:
    """What the way ahead allows: free_m (R,) to go until the robot must stand, inf where all is free, and most_mps (R,)
    for people near the way."""

    free_m: np.ndarray
    most_mps: np.ndarray


def allowed(view: View, rows: np.ndarray, ahead: np.ndarray, reach_m: np.ndarray, speed_mps: np.ndarray,
            robot: RobotSpec, approached: np.ndarray, *, person_gap_m: float = PERSON_GAP_M, crawl: bool = True
            ) -> Allowed:
    """Look along the poses ahead for obstacles, and for people where they will be then.

    Args:
        view: What is believed. rows: (R,) simulations.
        ahead: (R, P, 3) poses that base_link will take, the present one first. reach_m: (P,) or (R, P) how far off.
        speed_mps: (R,) present speed. approached: (M,) movers that the plan wants to come near to.
        person_gap_m: Least gap to other movers. crawl: Slow down near people who are to be approached, too.
    """
    reach = np.broadcast_to(reach_m, ahead.shape[:2])
    half_m = robot.length_m / 2, robot.width_m / 2
    free = np.full(len(rows), np.inf)
    most = np.full(len(rows), np.inf)
    boxes = view.boxes if len(view.boxes) == 1 else view.boxes[rows]
    if boxes.shape[1]:
        near = _near(boxes, ahead, float(reach.max()) + robot.circumscribed_radius_m + TOUCH_M)
        if near.any():
            gap = footprint_gap_m(ahead[:, :, None], half_m, boxes[:, None, near])
            gap = np.where(gap < gap[:, :1] - NEARER_M, gap, np.inf).min(axis=2)
            free = _first(gap, reach, TOUCH_M) - AHEAD_M
    if view.movers.shape[1]:
        movers = view.movers if len(view.movers) == 1 else view.movers[rows]
        movers = np.where(np.isnan(movers[..., :1]), FAR_AWAY_M, movers)
        walking = np.hypot(movers[..., 2], movers[..., 3]) > WALKING_MPS
        # what a tracker says of somebody who stands is noise
        movers[..., 2:4] *= walking[..., None]
        now, then = _person_gaps(movers, ahead, reach, speed_mps, half_m)
        least = np.where(approached, APPROACHED_GAP_M, person_gap_m)
        nearer = then < now[:, None] - NEARER_M
        blocking = np.where(nearer, then - least, np.inf).min(axis=2)
        free = np.minimum(free, _first(blocking, reach, 0.0))
        passing = ((now < LET_PASS_M) & walking & ~approached).any(axis=1)
        free = np.where(passing, 0.0, free)
        slow = np.ones(len(approached), dtype=bool) if crawl else ~approached
        if slow.any():
            until = _first(np.where(slow, np.minimum(then, now[:, None]), np.inf).min(axis=2), reach, PERSON_NEAR_M)
            brake = 0.5 * robot.limits.brake_mps2
            with np.errstate(invalid="ignore"):
                most = np.sqrt(PERSON_NEAR_MPS**2 + 2 * brake * np.maximum(until, 0.0))
    return Allowed(free, most)


def _near(boxes: np.ndarray, ahead: np.ndarray, within_m: float) -> np.ndarray:
    """(K,) boxes that are within reach of any of the robots."""
    here = ahead[:, 0]
    away = np.hypot(boxes[..., 0] - here[:, :1], boxes[..., 1] - here[:, 1:2]) - np.hypot(boxes[..., 3], boxes[..., 4])
    return (away < within_m).any(axis=0)


def _person_gaps(movers: np.ndarray, ahead: np.ndarray, reach: np.ndarray, speed_mps: np.ndarray,
                 half_m: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of the footprint to movers now (R, M), and of poses ahead (R, P, M) to where they are about that time."""
    when = reach / np.maximum(speed_mps, LEAST_MPS)[:, None]
    after = AFTER_S + UNSURE * when
    cos, sin = np.cos(ahead[..., 2])[..., None], np.sin(ahead[..., 2])[..., None]
    # everything in the frame of each pose ahead: where movers are, and how they go
    dx, dy = movers[:, None, :, 0] - ahead[..., 0, None], movers[:, None, :, 1] - ahead[..., 1, None]
    x, y = cos * dx + sin * dy, cos * dy - sin * dx
    vx, vy = movers[:, None, :, 2], movers[:, None, :, 3]
    along, across = cos * vx + sin * vy, cos * vy - sin * vx
    nearest2 = np.inf
    for time_s in (when - BEFORE_S, when + (after - BEFORE_S) / 2, when + after):
        # the present comes first: pose 0, time 0
        time_s[:, 0] = 0.0
        later = np.maximum(time_s, 0.0)[..., None]
        over_x = np.maximum(np.abs(x + along * later) - half_m[0], 0.0)
        over_y = np.maximum(np.abs(y + across * later) - half_m[1], 0.0)
        nearest2 = np.minimum(nearest2, over_x * over_x + over_y * over_y)
    gap = np.sqrt(nearest2) - movers[:, None, :, 4]
    return gap[:, 0], gap


def _first(gap: np.ndarray, reach: np.ndarray, least_m: float) -> np.ndarray:
    """(R,) how far it is until the gap (R, P) is below least_m, between poses by proportion; inf where it never is."""
    below = gap < least_m
    at = np.argmax(below, axis=1)
    row = np.arange(len(gap))
    if not below.any():
        return np.full(len(gap), np.inf)
    before = np.maximum(at - 1, 0)
    high, low = np.minimum(gap[row, before], FAR_AWAY_M), gap[row, at]
    share = np.minimum(np.maximum(high - least_m, 0.0) / np.maximum(high - low, 1e-6), 1.0)
    # gaps far off say little about where between the poses it happens: a thing may come from the side
    share *= high < 1.0
    found = reach[row, before] + share * (reach[row, at] - reach[row, before])
    return np.where(below[row, at], found, np.inf)
