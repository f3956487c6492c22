"""How fast the robot may go for what is in its way: it can always stop before it, and people get room."""

from __future__ import annotations

import numpy as np

from jpai_agent.control.geometry import box_distance_m
from jpai_agent.control.view import View
from jpai_agent.world.robot import RobotSpec

# room to the side of a footprint's half width; room kept in front when stopped
SIDE_M, AHEAD_M = 0.06, 0.20
# room to people: where the way crosses theirs, and at standstill
PERSON_SIDE_M, PERSON_AHEAD_M = 0.25, 0.45
PERSON_NEAR_M, PERSON_NEAR_MPS = 1.0, 0.3
HORIZON_S = 3.0


def free_way_m(view: View, rows: np.ndarray, ahead: np.ndarray, along_m: np.ndarray, speed_mps: np.ndarray, robot: RobotSpec,
               exempt: np.ndarray) -> np.ndarray:
    """How far base_link may go along the points ahead before it must stand still.

    Args:
        view: What is believed. rows: (R,) simulations.
        ahead: (R, P, 2) points that base_link will pass; along_m: (P,) how far they are.
        speed_mps: (R,) at which movers are met: present speed, at least a walk.
        exempt: (M,) movers that are meant to be approached.

    Returns:
        (R,) metres, inf where all is free; stopping room in front of the footprint already taken off.
    """
    count = len(rows)
    half_m = robot.width_m / 2
    front_m = robot.length_m / 2
    free = np.full(count, np.inf)
    boxes = view.boxes[rows] if len(view.boxes) > 1 else view.boxes
    if boxes.shape[1]:
        near = box_distance_m(ahead[:, :, None, :], boxes[:, None, :, :]).min(axis=2) < half_m + SIDE_M
        # what the robot stands beside already does not hold it: only what the way comes nearer to
        free = np.minimum(free, _first(near, along_m) - AHEAD_M - (front_m - half_m))
    movers = view.movers[rows] if len(view.movers) > 1 else np.broadcast_to(view.movers, (count, *view.movers.shape[1:]))
    movers = movers[:, ~exempt]
    if movers.shape[1]:
        when_s = np.minimum(along_m[None, :] / np.maximum(speed_mps, 0.4)[:, None], HORIZON_S)
        # also now: who stands where the way leads is in the way whatever their speed says
        for time_s in (when_s, np.zeros_like(when_s)):
            at = movers[:, None, :, :2] + movers[:, None, :, 2:4] * time_s[:, :, None, None]
            gap = np.linalg.norm(ahead[:, :, None, :] - at, axis=3) - movers[:, None, :, 4]
            near = (np.nan_to_num(gap, nan=np.inf) < half_m + PERSON_SIDE_M).any(axis=2)
            free = np.minimum(free, _first(near, along_m) - PERSON_AHEAD_M - (front_m - half_m) + PERSON_SIDE_M)
    return free


def person_cap_mps(view: View, rows: np.ndarray, exempt: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(R,) top speed for people nearby: a crawl within a metre of the footprint's circle."""
    movers = (view.movers[rows] if len(view.movers) > 1 else view.movers)[:, ~exempt]
    if not movers.shape[1]:
        return np.full(len(rows), np.inf)
    gap = np.linalg.norm(movers[:, :, :2] - view.pose[rows][:, None, :2], axis=2) - movers[:, :, 4] - robot.length_m / 2
    return np.where(np.nan_to_num(gap, nan=np.inf).min(axis=1) < PERSON_NEAR_M, PERSON_NEAR_MPS, np.inf)


def _first(near: np.ndarray, along_m: np.ndarray) -> np.ndarray:
    """(R,) how far the first near point is, inf where none is."""
    return np.where(near.any(axis=1), along_m[np.argmax(near, axis=1)], np.inf)
