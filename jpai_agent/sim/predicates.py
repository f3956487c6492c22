"""The predicates of an episode's expectations, each as a truth value per moment of a recording (DESIGN section 7).

A predicate that speaks of a moment (`near`, `stopped`, …) is true at the moments at which it holds; one that speaks of
a stretch (`waited`, `said`, …) is true from the moment on at which it has come true. `after_s` is the time of the item
before in a sequence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jpai_agent.sim import expectations as ep
from jpai_agent.sim.trajectory import Recording, bearing_deg, wrap_deg
from jpai_agent.world.objects import motion_velocity

STILL_MPS, STILL_RADPS = 0.05, 0.05
STOPPED_FOR_S = 1.0
# a wait: what comes before the first plan and after the last does not count
IGNORED_START_S = 0.5
SPEED_TRIM_S, SPEED_WINDOW_S = 3.0, 2.0
FOLLOW_FROM_S = 3.0
STATIONARY_M, STATIONARY_DEG = 0.10, 5.0
EPS = 1e-6


def holds(recording: Recording, condition: ep.Condition, after_s: float | None = None) -> np.ndarray:
    """(T,) bool: when all predicates of a condition hold. after_s: time of the item before, in a sequence."""
    together = np.ones(len(recording.times), dtype=bool)
    for name, arguments in condition.predicates():
        together &= predicate(recording, name, arguments, after_s)
    return together


def predicate(recording: Recording, name: str, arguments: Any, after_s: float | None = None) -> np.ndarray:
    """(T,) bool: when one predicate holds."""
    return _PREDICATES[name](recording, arguments, after_s)


def standstill(recording: Recording) -> np.ndarray:
    """(T,) bool: neither driving nor turning."""
    return (recording.speed < STILL_MPS) & (recording.turn_rate < STILL_RADPS)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _near(recording: Recording, near: ep.Near, after_s: float | None) -> np.ndarray:
    gaps = recording.gaps(near.object)
    return (gaps >= near.min_m - EPS) & (gaps <= near.max_m + EPS)


def _inside(recording: Recording, inside: ep.Inside, after_s: float | None) -> np.ndarray:
    x0, y0, x1, y1 = inside.box
    x, y = recording.poses[:, 0], recording.poses[:, 1]
    return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)


def _heading(recording: Recording, heading: ep.Heading, after_s: float | None) -> np.ndarray:
    return np.abs(wrap_deg(np.degrees(recording.poses[:, 2]) - heading.deg)) <= heading.tol_deg + EPS


def _facing(recording: Recording, facing: ep.Facing, after_s: float | None) -> np.ndarray:
    at = recording.objects[:, recording.index(facing.object), :2]
    return np.abs(bearing_deg(recording.poses, at)) <= facing.tol_deg + EPS


def _stopped(recording: Recording, stopped: ep.Stopped, after_s: float | None) -> np.ndarray:
    still, times = standstill(recording), recording.times
    true = np.zeros(len(times), dtype=bool)
    for first, last in runs(still):
        true[first : last + 1] = times[first : last + 1] - times[first] >= STOPPED_FOR_S - EPS
    return true


def _moved(recording: Recording, moved: ep.Moved, after_s: float | None) -> np.ndarray:
    x0, y0, yaw0 = recording.poses[0]
    dx, dy = recording.poses[:, 0] - x0, recording.poses[:, 1] - y0
    forward = math.cos(yaw0) * dx + math.sin(yaw0) * dy
    left = -math.sin(yaw0) * dx + math.cos(yaw0) * dy
    return np.hypot(forward - moved.forward_m, left - moved.left_m) <= moved.tol_m + EPS


def _turned(recording: Recording, turned: ep.Turned, after_s: float | None) -> np.ndarray:
    turn_deg = np.degrees(recording.poses[:, 2] - recording.poses[0, 2])
    return np.abs(wrap_deg(turn_deg - turned.deg)) <= turned.tol_deg + EPS


def _waited(recording: Recording, waited: ep.Waited, after_s: float | None) -> np.ndarray:
    """True from the end on of a standstill of the length; in a sequence it counts whole or from the item before on."""
    times = recording.times
    until_s = times[-1] if recording.plan_ended_s is None else recording.plan_ended_s
    still = standstill(recording) & (times >= IGNORED_START_S - EPS) & (times <= until_s + EPS)
    gaps = None if waited.near is None else recording.gaps(waited.near.object)
    true = np.zeros(len(times), dtype=bool)
    for first, last in runs(still):
        if after_s is not None and times[last] < after_s - EPS:
            continue
        starts = {times[first]} if after_s is None else {times[first], max(times[first], after_s)}
        right = any(abs(times[last] - start_s - waited.seconds) <= waited.tol_s + EPS for start_s in starts)
        close = gaps is None or waited.near is None or bool((gaps[first : last + 1] <= waited.near.max_m + EPS).all())
        if right and close:
            true[last:] = True
            break
    return true


def _speed(recording: Recording, speed: ep.Speed, after_s: float | None) -> np.ndarray:
    times, moving = recording.times, recording.speed >= STILL_MPS
    if after_s is not None:
        return _speed_over_window(recording, speed, moving & (times >= after_s - EPS))
    began_s = max((d.time_s for d in recording.decisions if d.decision == "act"), default=0.0)
    counted = np.zeros(len(times), dtype=bool)
    for first, last in runs(moving & (times >= began_s - EPS)):
        counted[first : last + 1] = (times[first : last + 1] >= times[first] + SPEED_TRIM_S) & (
            times[first : last + 1] <= times[last] - SPEED_TRIM_S
        )
    true = np.zeros(len(times), dtype=bool)
    if counted.any():
        true[:] = speed.min_mps - EPS <= np.median(recording.speed[counted]) <= speed.max_mps + EPS
    return true


def _speed_over_window(recording: Recording, speed: ep.Speed, moving: np.ndarray) -> np.ndarray:
    """True from the end on of the first two seconds of motion whose median speed is right."""
    times = recording.times
    true = np.zeros(len(times), dtype=bool)
    for first, last in runs(moving):
        for end in range(first, last + 1):
            start = int(np.searchsorted(times, times[end] - SPEED_WINDOW_S - EPS))
            if start < first or times[end] - times[start] < SPEED_WINDOW_S - EPS:
                continue
            if speed.min_mps - EPS <= np.median(recording.speed[start : end + 1]) <= speed.max_mps + EPS:
                true[end:] = True
                return true
    return true


def _followed(recording: Recording, followed: ep.Followed, after_s: float | None) -> np.ndarray:
    """True from the end of the object's motion (or of the recording) on."""
    spec = recording.specs[recording.index(followed.object)]
    true = np.zeros(len(recording.times), dtype=bool)
    if spec.motion is None:
        return true
    moving = np.array([motion_velocity(spec, t) != (0.0, 0.0) for t in recording.times])
    counted = np.flatnonzero(moving & (recording.times >= spec.motion.start_s + FOLLOW_FROM_S - EPS))
    if len(counted):
        close = recording.gaps(followed.object)[counted] <= followed.max_gap_m + EPS
        true[counted[-1] :] = close.mean() >= followed.fraction - EPS
    return true


def _stationary(recording: Recording, stationary: ep.Stationary, after_s: float | None) -> np.ndarray:
    """True as long as the robot has never left its start."""
    away = np.hypot(*(recording.poses[:, :2] - recording.poses[0, :2]).T) > STATIONARY_M
    away |= np.abs(wrap_deg(np.degrees(recording.poses[:, 2] - recording.poses[0, 2]))) > STATIONARY_DEG
    return ~np.logical_or.accumulate(away)


def _said(recording: Recording, said: ep.Said, after_s: float | None) -> np.ndarray:
    earliest_s = -math.inf if after_s is None else after_s
    found = [time_s for time_s, text in recording.said if time_s >= earliest_s - EPS and re.search(said.matches, text)]
    # what was said within the last period counts at the last moment
    return (
        recording.times >= min(*found, recording.times[-1]) - EPS
        if found
        else np.zeros(len(recording.times), dtype=bool)
    )


_PREDICATES: dict[str, Callable[[Recording, Any, float | None], np.ndarray]] = {
    "near": _near,
    "inside": _inside,
    "heading": _heading,
    "facing": _facing,
    "stopped": _stopped,
    "moved": _moved,
    "turned": _turned,
    "waited": _waited,
    "speed": _speed,
    "followed": _followed,
    "stationary": _stationary,
    "said": _said,
}
