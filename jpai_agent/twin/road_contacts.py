"""What a car touched in the rollouts through its own fault, how near it came, and how little time was left to a contact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.twin.gaps import box_to_box, box_to_circle
from jpai_agent.twin.judge import OVERLAP_M, within_last
from jpai_agent.twin.road_car import car_footprints
from jpai_agent.twin.road_config import RoadRules
from jpai_agent.twin.road_futures import PERSON
from jpai_agent.twin.road_ground import on_walk
from jpai_agent.world.road import RoadMap
from jpai_agent.world.robot import RobotSpec

# contacts and times to them are looked at every so many rows; how far ahead in time, and how finely
STRIDE = 2
TTC_AHEAD_S, TTC_STEP_S = 3.0, 0.2
# gaps wider than this are told as a lower bound
EXACT_M = 3.0


@dataclass(frozen=True)
class RoadRecording:
    """What N rollouts did over T control ticks; row t of rollout n counts while t < ends[n].

    Attributes:
        pose: (T, N, 3) true pose of base_link. speed_mps: (T, N) forward, signed. aside_mps2: (T, N) largest acceleration to the
            side that was asked of the tyres. movers: (T, N, M, 4) x, y, yaw, speed. step: (T, N) running step of the plan.
        missed: (T, N) a drive was taken for ended at rest that truly was not. held: (T, N) stands for a reason.
        ends: (N,) rows recorded. outcome: (N,) "done", "under_way", or why the program gave up, or "timeout".
        stood_before: It had come to rest by the rules before it was recorded.
    """

    pose: np.ndarray
    speed_mps: np.ndarray
    aside_mps2: np.ndarray
    movers: np.ndarray
    step: np.ndarray
    missed: np.ndarray
    ends: np.ndarray
    outcome: list[str]
    stood_before: bool = False


@dataclass(frozen=True)
class Others:
    """What stands and moves: boxes (N, K, 5) of obstacles; kinds (M,), half_m (N, M, 2), box (M,) which movers are boxes."""

    boxes: np.ndarray
    kinds: np.ndarray
    half_m: np.ndarray
    box: np.ndarray


def touching(recording: RoadRecording, others: Others, road: RoadMap, robot: RobotSpec, rules: RoadRules, tick_s: float,
              alive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(T, N) contacts through own fault, (T, N) near misses, (N,) smallest gaps and (N,) smallest times to contact."""
    rows, n = recording.speed_mps.shape
    at = np.arange(0, rows, STRIDE)
    feet = car_footprints(recording.pose, robot)
    moving = np.abs(recording.speed_mps) > rules.moving_mps
    lately = within_last(moving, math.ceil(rules.moved_within_s / tick_s))
    contact, near = np.zeros((rows, n), dtype=bool), np.zeros((rows, n), dtype=bool)
    clearance, ttc_s = np.full(n, np.inf), np.full(n, np.inf)
    counts = alive[at]
    ahead = _Ahead(recording, robot, tick_s)

    def note(gap: np.ndarray, fault: np.ndarray, row: np.ndarray, rollout: np.ndarray) -> None:
        np.minimum.at(clearance, rollout, gap)
        bad = (gap < -OVERLAP_M) & fault
        contact[at[row[bad]], rollout[bad]] = True

    def note_time(seconds: np.ndarray, closing: np.ndarray, row: np.ndarray, rollout: np.ndarray) -> None:
        np.minimum.at(ttc_s, rollout, seconds)
        bad = (seconds < rules.ttc_s) & (closing / (2 * np.maximum(seconds, 1e-3)) > rules.gentle_mps2)
        near[at[row[bad]], rollout[bad]] = True

    reach_m = math.hypot(robot.length_m, robot.width_m) / 2
    speed = np.abs(recording.speed_mps[at])
    if others.boxes.shape[1]:
        size = np.hypot(others.boxes[..., 3], others.boxes[..., 4])
        dx, dy = (others.boxes[..., i] - feet[at][..., None, i] for i in (0, 1))
        gap = np.where(counts[..., None], np.hypot(dx, dy) - size - reach_m, np.inf)
        far = gap >= EXACT_M
        np.minimum(clearance, np.where(far, gap, np.inf).min(axis=(0, 2), initial=np.inf), out=clearance)
        row, rollout, box = np.nonzero(~far)
        note(box_to_box(feet[at[row], rollout], others.boxes[rollout, box]), lately[at[row], rollout], row, rollout)
        row, rollout, box = np.nonzero((gap < speed[..., None] * rules.ttc_s * 1.5) & (speed[..., None] > 1.0))
        seconds = ahead.until(at[row], rollout, others.boxes[rollout, box][:, None])
        note_time(seconds, speed[row, rollout], row, rollout)
    if others.kinds.size:
        states = recording.movers[at]
        dx, dy = states[..., 0] - feet[at][..., None, 0], states[..., 1] - feet[at][..., None, 1]
        size = np.where(others.box, np.hypot(others.half_m[..., 0], others.half_m[..., 1]), others.half_m[..., 0])
        gap = np.where(counts[..., None], np.hypot(dx, dy) - size - reach_m, np.inf)
        cos, sin = np.cos(feet[at][..., None, 2]), np.sin(feet[at][..., None, 2])
        # who drives up from behind keeps the distance
        behind = (cos * dx + sin * dy < -0.6 * robot.length_m / 2) & (np.cos(states[..., 2] - feet[at][..., None, 2]) > 0.5)
        behind &= (others.kinds != PERSON) & (states[..., 3] > recording.speed_mps[at][..., None] - 0.05)
        far = gap >= EXACT_M
        np.minimum(clearance, np.where(far, gap, np.inf).min(axis=(0, 2), initial=np.inf), out=clearance)
        row, rollout, who = np.nonzero(~far)
        mover = np.concatenate([states[row, rollout, who, :3], others.half_m[rollout, who]], axis=-1)
        exact = np.where(others.box[who], box_to_box(feet[at[row], rollout], mover),
                         box_to_circle(feet[at[row], rollout], mover[:, :2], mover[:, 3]))
        in_the_way = _on_crosswalk(road, feet[at[row], rollout, :2], robot) | (others.kinds[who] != PERSON)
        walks = states[row, rollout, who, 3] > 0.05
        fault = (lately[at[row], rollout] | (in_the_way & walks)) & ~behind[row, rollout, who]
        # what touches from the beginning is the car itself, or perception's error
        from_begin = np.zeros(others.half_m.shape[:2], dtype=bool)
        begin = row == 0
        from_begin[rollout[begin], who[begin]] = exact[begin] < 0.0
        fault &= ~from_begin[rollout, who]
        note(exact, fault, row, rollout)
        closing_most = speed[..., None] + states[..., 3]
        soon = (gap < closing_most * rules.ttc_s * 1.5) & (speed[..., None] > rules.moving_mps) & ~behind
        row, rollout, who = np.nonzero(soon & ~from_begin)
        later = np.minimum(at[row][:, None] + np.round(ahead.seconds / tick_s).astype(int), rows - 1)
        future = recording.movers[later, rollout[:, None], who[:, None]]
        half = np.broadcast_to(others.half_m[rollout, who][:, None], (*future.shape[:2], 2))
        # a round one as the square inside, so that its corners do not count
        half = np.where(others.box[who][:, None, None], half, 0.8 * half)
        seconds = ahead.until(at[row], rollout, np.concatenate([future[..., :3], half], axis=-1))
        heading = recording.pose[at[row], rollout, 2]
        own = recording.speed_mps[at[row], rollout][:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        course, pace = states[row, rollout, who, 2], states[row, rollout, who, 3]
        relative = np.linalg.norm(own - pace[:, None] * np.stack([np.cos(course), np.sin(course)], axis=-1), axis=-1)
        note_time(seconds, relative, row, rollout)
    return contact, near, clearance, ttc_s


def _on_crosswalk(road: RoadMap, middles: np.ndarray, robot: RobotSpec) -> np.ndarray:
    """(P,) whether cars with their middles (P, 2) there cover part of a crosswalk."""
    on = np.zeros(len(middles), dtype=bool)
    for walk in road.crosswalks:
        along, left = on_walk(walk, middles, True)
        on |= (np.abs(along) < walk.half_along_m + robot.length_m / 2) & (np.abs(left) < walk.half_across_m + robot.width_m / 2)
    return on


class _Ahead:
    """Where cars would be later if each went on along its own way at its present speed."""

    def __init__(self, recording: RoadRecording, robot: RobotSpec, tick_s: float) -> None:
        self.seconds = np.arange(0.0, TTC_AHEAD_S + 1e-9, TTC_STEP_S)
        self._pose, self._robot, self._ends = recording.pose, robot, recording.ends
        self._speed = recording.speed_mps
        step = np.linalg.norm(np.diff(recording.pose[..., :2], axis=0), axis=-1)
        self._length = np.concatenate([np.zeros((1, step.shape[1])), np.cumsum(step, axis=0)])

    def until(self, row: np.ndarray, rollout: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """(C,) seconds until cars in rows (C,) of rollouts (C,) would touch boxes (C, 1 or S, 5), which are there at `seconds`
        (S,); inf where not within TTC_AHEAD_S."""
        if not len(row):
            return np.zeros(0)
        pose = np.empty((len(row), len(self.seconds), 3))
        for n in np.unique(rollout):
            mine = rollout == n
            end = int(self._ends[n])
            length = self._length[:end, n]
            speed = self._speed[row[mine], n]
            wanted = length[row[mine]][:, None] + np.abs(speed)[:, None] * self.seconds
            for axis in range(3):
                pose[mine, :, axis] = np.interp(wanted, length, self._pose[:end, n, axis])
            # beyond its end it goes straight on
            over = np.maximum(wanted - length[-1], 0.0) * np.where(speed < 0.0, -1.0, 1.0)[:, None]
            pose[mine, :, 0] += over * np.cos(pose[mine, :, 2])
            pose[mine, :, 1] += over * np.sin(pose[mine, :, 2])
        apart = _separation(car_footprints(pose, self._robot), boxes)
        hits = apart <= 0.0
        first = np.argmax(hits, axis=1)
        index = np.arange(len(row))
        before = np.maximum(first - 1, 0)
        high, low = apart[index, before], apart[index, first]
        share = np.where(first > 0, high / np.maximum(high - low, 1e-9), 0.0)
        found = self.seconds[before] + share * TTC_STEP_S * (first > 0)
        return np.where(hits.any(axis=1), found, np.inf)


def _separation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...) how far boxes are apart along the best of their four edge directions; negative where they overlap."""
    dx, dy = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    cos_a, sin_a, cos_b, sin_b = np.cos(a[..., 2]), np.sin(a[..., 2]), np.cos(b[..., 2]), np.sin(b[..., 2])
    along, across = np.abs(cos_a * cos_b + sin_a * sin_b), np.abs(cos_a * sin_b - sin_a * cos_b)
    return np.maximum.reduce([
        np.abs(cos_a * dx + sin_a * dy) - a[..., 3] - along * b[..., 3] - across * b[..., 4],
        np.abs(-sin_a * dx + cos_a * dy) - a[..., 4] - across * b[..., 3] - along * b[..., 4],
        np.abs(cos_b * dx + sin_b * dy) - b[..., 3] - along * a[..., 3] - across * a[..., 4],
        np.abs(-sin_b * dx + cos_b * dy) - b[..., 4] - across * a[..., 3] - along * a[..., 4]])
