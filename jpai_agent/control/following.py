"""Keep behind something that moves: a gap, its speed, and a stop when it is lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.segments import Follow
from jpai_agent.control.tracking import ahead_straight, stop_speed, turn_rate
from jpai_agent.control.view import View

if TYPE_CHECKING:
    from jpai_agent.control.runner import ProgramRunner

GAP_M = 1.0
LOST_S = 6.0
STOPPED_MPS, STOPPED_S, PATIENCE_S = 0.12, 2.5, 20.0


def follow(runner: ProgramRunner, segment: Follow, rows: np.ndarray, view: View, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Wanted speeds (R,), (R,) of the robots that follow; ends the segment or fails it as "target_lost"."""
    pose = view.pose[rows]
    seen = _target(segment, rows, view)
    known = ~np.isnan(seen[:, 0])
    runner._goal[rows[known]] = seen[known, :4]
    runner._blocked_s[rows] = np.where(known, 0.0, runner._blocked_s[rows] + dt_s)
    goal = runner._goal[rows]
    offset = goal[:, :2] - pose[:, :2]
    distance = np.linalg.norm(offset, axis=1)
    radius_m = np.where(known, seen[:, 4], 0.3)
    gap_m = distance - radius_m - runner.robot.length_m / 2
    off = wrap(np.arctan2(offset[:, 1], offset[:, 0]) - pose[:, 2])
    closing = (goal[:, 2] * np.cos(pose[:, 2]) + goal[:, 3] * np.sin(pose[:, 2]))
    v = np.clip(0.9 * (gap_m - GAP_M) + np.where(known, np.maximum(closing, 0.0), 0.0), 0.0, None)
    v = np.minimum(np.minimum(v, stop_speed(gap_m - 0.6, runner.robot)), runner.robot.limits.forward_mps)
    v = np.where(np.abs(off) > math.radians(40), 0.0, v * np.cos(off))
    v = np.where(gap_m < GAP_M + 0.05, np.where(closing > 0.1, v, 0.0), v)
    ahead, along_m = ahead_straight(pose, 1.0, np.maximum(distance - radius_m - 0.5, 0.0))
    blocked_s = runner._blocked_s[rows].copy()
    v = runner.held(segment, rows, view, ahead, along_m, v, 0.0)
    runner._blocked_s[rows] = blocked_s
    w = np.where(np.abs(off) < math.radians(3), 0.0, turn_rate(off, runner.robot))
    speed = np.hypot(goal[:, 2], goal[:, 3])
    runner._turned[rows] = np.maximum(runner._turned[rows], np.where(known & (speed > 0.25), 1.0, 0.0))
    runner._idle_s[rows] = np.where(speed < STOPPED_MPS, runner._idle_s[rows] + dt_s, 0.0)
    since_s = view.time_s - runner._begun_s[rows]
    done = np.zeros(len(rows), dtype=bool)
    if segment.duration_s:
        done |= since_s >= segment.duration_s
    if segment.until_stops:
        # it has walked and stands, and the robot has caught up
        done |= (runner._turned[rows] > 0) & (runner._idle_s[rows] > STOPPED_S) & (gap_m < GAP_M + 0.4)
        done |= (runner._turned[rows] == 0) & (since_s > PATIENCE_S)
    runner._next(rows[done])
    runner.failed[rows[~done & (blocked_s > LOST_S)]] = "target_lost"
    return np.where(done, 0.0, v), np.where(done, 0.0, w)


def _target(segment: Follow, rows: np.ndarray, view: View) -> np.ndarray:
    """(R, 5) the target as seen: a mover, or something that stands; NaN where it is out of sight."""
    if segment.target_id in view.mover_ids:
        movers = view.movers if len(view.movers) == 1 else view.movers[rows]
        return np.broadcast_to(movers[:, view.mover_ids.index(segment.target_id)], (len(rows), 5)).copy()
    if segment.target_id in view.box_ids:
        boxes = view.boxes if len(view.boxes) == 1 else view.boxes[rows]
        box = np.broadcast_to(boxes[:, view.box_ids.index(segment.target_id)], (len(rows), 5))
        still = np.zeros((len(rows), 2))
        return np.concatenate([box[:, :2], still, np.full((len(rows), 1), 0.25)], axis=1)
    return np.full((len(rows), 5), np.nan)
