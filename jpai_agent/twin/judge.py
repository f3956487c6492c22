"""Judge finished rollouts from what was recorded of them: which rule each broke first, when, and how close it was."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from jpai_agent.twin.config import JudgeRules
from jpai_agent.twin.gaps import box_to_box, box_to_circle, footprints, within_bounds
from jpai_agent.world.zones import SiteRules

# a box and the footprint may share this much before it counts without a contact of the physics: rounding, not touching
OVERLAP_M = 0.005
# gaps to boxes are exact below this
EXACT_M = 0.5
# a person who stands near at the start may not be approached by more than this
NEARER_M = 0.02
# a site's speed limit may be exceeded by this share and this much (DESIGN section 7)
OVER_SHARE, OVER_MPS = 0.05, 0.05
# times to contact beyond this are none; who comes nearer slower than this does not come
TTC_WITHIN_S, COMES_MPS = 3.0, 0.05


@dataclass(frozen=True)
class Recording:
    """What N rollouts did over T control ticks; row t of rollout n counts while t < ends[n].

    Attributes:
        pose: (T, N, 3) true pose, map frame. speed_mps: (T, N) magnitude. up: (T, N) cosine of the tilt.
        contact: (T, N) touched anything but the floor during the tick that led to row t.
        mover_xy: (T, N, M, 2). step: (T, N) running step of the plan.
        missed: (T, N) a goal was taken for reached that truly was not.
        ends: (N,) rows recorded, at least 1.
        outcome: (N,) "done", or why the program gave up, or "timeout".
        exempt: (T, N, M) movers that the running step is about, which may be approached.
        diverged: (N,) the physics is void.
    """

    pose: np.ndarray
    speed_mps: np.ndarray
    up: np.ndarray
    contact: np.ndarray
    mover_xy: np.ndarray
    step: np.ndarray
    missed: np.ndarray
    ends: np.ndarray
    outcome: list[str]
    exempt: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Judgement:
    """Per rollout: reasons "" when it passed, failed_rows (N,) where it failed, clearance_m (N,) smallest gap, ttc_s (N,)
    smallest time to a contact; violations: by how many rollouts each rule was broken, at any time."""

    reasons: list[str]
    failed_rows: np.ndarray
    clearance_m: np.ndarray
    ttc_s: np.ndarray
    violations: dict[str, int]


def judge(recording: Recording, boxes: np.ndarray, mover_radii_m: np.ndarray,
          bounds_m: tuple[float, float, float, float], half_m: tuple[float, float], rules: JudgeRules,
          tick_s: float, site: SiteRules | None = None) -> Judgement:
    """Judge each rollout by the rule that it broke first.

    Args:
        boxes: (N, K, 5) where obstacles truly stood. mover_radii_m: (M,). bounds_m: inner faces of the walls.
        half_m: half length and half width of the footprint. tick_s: time between rows. site: zones and speed limit.
    """
    site = site or SiteRules()
    rows, n = recording.speed_mps.shape
    alive = np.arange(rows)[:, None] < recording.ends
    moving = recording.speed_mps > rules.moving_mps
    lately = within_last(moving, math.ceil(rules.moved_within_s / tick_s))

    feet = footprints(recording.pose, half_m)
    to_walls = np.where(alive, within_bounds(feet, bounds_m), np.inf)
    to_boxes = np.where(alive, box_gaps(recording.pose, boxes, half_m), np.inf)
    to_movers = np.where(alive[..., None], box_to_circle(feet[:, :, None], recording.mover_xy, mover_radii_m), np.inf)

    touching = (recording.contact | (to_boxes < -OVERLAP_M)) & lately
    pace = np.minimum(recording.speed_mps / rules.crawl_mps, 1.0)[..., None]
    wanted_m = rules.creep_gap_m + (rules.person_gap_m - rules.creep_gap_m) * pace
    near_limit = np.minimum(wanted_m, np.maximum(to_movers[0] - NEARER_M, 0.0))
    # a person who comes to a robot that does not come nearer by its own motion is not its doing
    stayed = box_to_circle(np.concatenate([feet[:1], feet[:-1]])[:, :, None], recording.mover_xy, mover_radii_m)
    closing = stayed - to_movers > rules.moving_mps * tick_s / 2
    too_close = ((to_movers < near_limit) & closing & ~recording.exempt).any(axis=2) & moving
    broken = {"out_of_bounds": to_walls < -OVERLAP_M, "tipped": recording.up < math.cos(math.radians(rules.tip_deg)),
              "collision": touching, "person_too_close": too_close, "not_reached": recording.missed,
              "keep_out": _into_zone(recording.pose, half_m, site) & moving,
              "speed_limit": recording.speed_mps > site.speed_limit_mps * (1.0 + OVER_SHARE) + OVER_MPS}

    reasons, failed_rows = [], np.full(n, rows)
    violations: dict[str, int] = {}
    for i in range(n):
        first = {name: int(np.argmax(when[:, i])) for name, when in broken.items() if (when[:, i] & alive[:, i]).any()}
        if recording.diverged[i]:
            reason, row = "diverged", int(recording.ends[i]) - 1
        elif first:
            reason = min(first, key=lambda name: first[name])
            row = first[reason]
        else:
            reason = "" if recording.outcome[i] == "done" else recording.outcome[i]
            row = int(recording.ends[i]) - 1
        for name in first or ((reason,) if reason else ()):
            violations[name] = violations.get(name, 0) + 1
        reasons.append(reason)
        failed_rows[i] = row if reason else rows
    clearance = np.minimum(np.minimum(to_walls, to_boxes).min(axis=0), to_movers.min(axis=(0, 2), initial=np.inf))
    # farther off, gaps to boxes are bounds only, which come and go
    exact = np.minimum(to_walls, np.where(to_boxes < EXACT_M, to_boxes, np.inf))[..., None]
    ttc_s = time_to_contact(np.concatenate([exact, to_movers], axis=2), moving, tick_s)
    return Judgement(reasons, failed_rows, clearance, ttc_s, violations)


def time_to_contact(gaps_m: np.ndarray, moving: np.ndarray, tick_s: float) -> np.ndarray:
    """(N,) smallest time in which a gap (T, N, K) would be closed if it went on closing as it does, while the robot moves (T, N).

    inf where none would within TTC_WITHIN_S.
    """
    if len(gaps_m) < 2:
        return np.full(gaps_m.shape[1], np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        closing = (gaps_m[:-1] - gaps_m[1:]) / tick_s
        time_s = np.where((closing > COMES_MPS) & np.isfinite(closing) & moving[1:, :, None],
                          np.maximum(gaps_m[1:], 0.0) / closing, np.inf)
    least = time_s.min(axis=(0, 2))
    return np.where(least <= TTC_WITHIN_S, least, np.inf)


def _into_zone(pose: np.ndarray, half_m: tuple[float, float], site: SiteRules) -> np.ndarray:
    """(T, N) whether the footprint is in a zone, deeper than where the rollout set out."""
    into = np.zeros(pose.shape[:2], dtype=bool)
    for zone in site.zones:
        gap = zone.gap_m(pose, half_m)
        into |= gap < np.minimum(-OVERLAP_M, gap[0] - NEARER_M)
    return into


def main_reason(reasons: list[str]) -> str:
    """The commonest reason of the failed rollouts, the earliest named where they tie; "" when all passed."""
    counts = Counter(reason for reason in reasons if reason)
    return counts.most_common(1)[0][0] if counts else ""


def box_gaps(poses: np.ndarray, boxes: np.ndarray, half_m: tuple[float, float]) -> np.ndarray:
    """(T, N) gap between the footprint at poses (T, N, 3) and the nearest of boxes (N, K, 5).

    Exact wherever it can be the smallest of its rollout, or is below EXACT_M; elsewhere a lower bound.
    """
    rows, n = poses.shape[:2]
    if boxes.shape[1] == 0:
        return np.full((rows, n), np.inf)
    apart = np.hypot(poses[..., None, 0] - boxes[..., 0], poses[..., None, 1] - boxes[..., 1])
    least = apart - np.hypot(boxes[..., 3], boxes[..., 4]) - math.hypot(*half_m)
    most = apart - np.minimum(boxes[..., 3], boxes[..., 4]) - min(half_m)
    row, rollout, box = np.nonzero(least < np.maximum(most.min(axis=(0, 2)), EXACT_M)[:, None])
    feet = footprints(poses[row, rollout], half_m)
    least[row, rollout, box] = box_to_box(feet, boxes[rollout, box])
    return least.min(axis=2)


def within_last(flags: np.ndarray, rows: int) -> np.ndarray:
    """(T, N) whether a flag (T, N) was up in this row or the `rows` before."""
    last_up = np.maximum.accumulate(np.where(flags, np.arange(len(flags))[:, None], -rows - 1), axis=0)
    return np.arange(len(flags))[:, None] - last_up <= rows
