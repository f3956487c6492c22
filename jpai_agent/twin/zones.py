"""Hold a finished rehearsal of a car to the zones that are to be kept out of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.twin.verdict import Verdict
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.zones import SiteRules

# poses of the rollouts are recorded some way apart: between them a footprint is looked at this often
BETWEEN = 4
# as deep as rounding is no entry; one who stands in a zone may not go in deeper than this
OVERLAP_M, DEEPER_M = 0.005, 0.05


def kept_out(verdict: Verdict, program: Program, robot: RobotSpec, rules: SiteRules) -> Verdict:
    """The verdict, sealed; a failed one ("keep_out") where the footprint of any rollout entered a zone."""
    entries = [_entry(np.asarray(path, dtype=float), robot, rules) for path in verdict.paths] if rules.zones else []
    bad = sum(entry is not None for entry in entries)
    if not bad:
        return verdict.sealed()
    first = min((entry for entry in entries if entry is not None), key=lambda entry: entry[0])
    good = max(round(verdict.pass_rate * verdict.rollouts) - bad, 0)
    violations = verdict.violations | {"keep_out": bad}
    step = _step_at(program, first[1])
    return replace(verdict, status="fail", reason="keep_out", pass_rate=good / max(verdict.rollouts, 1), violations=violations,
                   failed_step=step if verdict.failed_step is None else min(step, verdict.failed_step)).sealed()


def _entry(path: np.ndarray, robot: RobotSpec, rules: SiteRules) -> tuple[int, np.ndarray] | None:
    """Row of a path (P, 3) at which the footprint has entered a zone, and its pose there; None where it never does."""
    if len(path) == 0:
        return None
    fine = path
    if len(path) > 1:
        at = np.linspace(0.0, len(path) - 1, BETWEEN * (len(path) - 1) + 1)
        columns = (path[:, 0], path[:, 1], np.unwrap(path[:, 2]))
        fine = np.stack([np.interp(at, np.arange(len(path)), column) for column in columns], axis=1)
    found = []
    for zone in rules.zones:
        gap = zone.gap_m(fine, (robot.length_m / 2, robot.width_m / 2), robot.center_x_m)
        inside = np.flatnonzero(gap < min(-OVERLAP_M, float(gap[0]) - DEEPER_M))
        if len(inside):
            found.append(int(inside[0]))
    return (min(found), fine[min(found)]) if found else None


def _step_at(program: Program, pose: np.ndarray) -> int:
    """The plan's step whose drive comes nearest to a pose (3,)."""
    nearest, step = np.inf, 0
    for segment in program.segments:
        if isinstance(segment, RoadDrive):
            away = float(np.hypot(*(np.asarray(segment.points) - pose[:2]).T).min())
            if away < nearest:
                nearest, step = away, segment.step
    return step
