"""Hold what truly happened against what an episode expects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jpai_agent.sim.episode import Episode
from jpai_agent.sim.expectations import Condition, TurnExpectation
from jpai_agent.sim.limits import violations
from jpai_agent.sim.predicates import EPS, STATIONARY_M, STILL_MPS, holds, predicate
from jpai_agent.sim.traffic_rules import broken_rules
from jpai_agent.sim.trajectory import Decision, Recording
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import motion_velocity

MOVED_WITHIN_S = 1.0


@dataclass(frozen=True)
class Judgement:
    """What the judge found.

    Attributes:
        decision, reason: The agent's on the first turn; None when it came to none.
        contacts: Ids of what the robot touched through its own fault.
        violations: Names of the limits exceeded and of the rules of the road broken. failed_predicates: as `final[0].near`.
        goal_reached: The right decision, every predicate, no contact, no violation.
    """

    decision: str | None
    reason: str | None
    decision_right: bool
    goal_reached: bool
    contacts: tuple[str, ...]
    violations: tuple[str, ...]
    failed_predicates: tuple[str, ...]


def judge(episode: Episode, recording: Recording) -> Judgement:
    """Judge an episode by its recording. Raises ValueError for a recording without a moment in it."""
    if len(recording.times) == 0:
        raise ValueError(f"episode {episode.id}: the recording is empty")
    first = decision_on(recording, 0)
    expectations: list[tuple[int, TurnExpectation]] = [(0, episode.expect)]
    expectations += [(index, turn.expect) for index, turn in enumerate(episode.turns) if turn.expect is not None]
    right = all(_decision_right(decision_on(recording, turn), expected) for turn, expected in expectations)
    failed = failed_predicates(episode, recording)
    touched = guilty_contacts(recording)
    broken = violations(recording, episode.robot)
    road = load_map(episode.world).road
    if road is not None:
        broken += broken_rules(recording, road)
    return Judgement(
        first.decision if first else None,
        first.reason if first else None,
        right,
        right and not failed and not touched and not broken,
        tuple(touched),
        tuple(broken),
        tuple(failed),
    )


def decision_on(recording: Recording, turn: int) -> Decision | None:
    """The first decision on a turn; of one overtaken before it was decided, the one on the turn that did so."""
    later = [d for d in recording.decisions if d.turn >= turn]
    return min(later, key=lambda d: (d.turn, d.time_s), default=None)


def failed_predicates(episode: Episode, recording: Recording) -> list[str]:
    """Which of the expectations do not hold, as `final[0].near`, `sequence[1].waited`, `never[0].inside`."""
    failed = []
    for index, condition in enumerate(episode.expect.final):
        failed += [
            f"final[{index}].{name}"
            for name, arguments in condition.predicates()
            if not predicate(recording, name, arguments)[-1]
        ]
    after_s = 0.0
    for index, condition in enumerate(episode.expect.sequence):
        true = holds(recording, condition, after_s) & (recording.times >= after_s - EPS)
        if not true.any():
            failed.append(f"sequence[{index}].{_culprit(recording, condition, after_s)}")
            break
        after_s = float(recording.times[int(np.argmax(true))])
    for index, condition in enumerate(episode.expect.never):
        if holds(recording, condition).any():
            failed.append(f"never[{index}]." + "+".join(name for name, _ in condition.predicates()))
    return failed


def guilty_contacts(recording: Recording) -> list[str]:
    """Ids of what was touched when the robot had driven (over 0.05 m/s) within a second or stood in the other's way.

    It stands in another's way when the other is moving and the robot has left the place at which the episode put it:
    what walks into a robot that has never moved is not the robot's fault.
    """
    guilty: set[str] = set()
    times, speed = recording.times, recording.speed
    away_m = np.hypot(*(recording.poses[:, :2] - recording.poses[0, :2]).T)
    for time_s, ids in recording.contacts:
        lately = (times >= time_s - MOVED_WITHIN_S - EPS) & (times <= time_s + EPS)
        drove = bool((speed[lately] > STILL_MPS).any())
        has_left = bool(away_m[times <= time_s + EPS][-1:].max(initial=0.0) > STATIONARY_M)
        guilty |= {name for name in ids if drove or (has_left and _moves(recording, name, time_s))}
    return sorted(guilty)


def _moves(recording: Recording, object_id: str, time_s: float) -> bool:
    spec = next((s for s in recording.specs if s.id == object_id), None)
    # the contact may have been noted at the end of the period in which it happened
    return spec is not None and any(motion_velocity(spec, t) != (0.0, 0.0) for t in (time_s - 0.05, time_s))


def _decision_right(decision: Decision | None, expected: TurnExpectation) -> bool:
    if expected.decisions is None and expected.reasons is None:
        return True
    if decision is None:
        return False
    return (expected.decisions is None or decision.decision in expected.decisions) and (
        expected.reasons is None or decision.reason in expected.reasons
    )


def _culprit(recording: Recording, condition: Condition, after_s: float) -> str:
    """The predicates of a sequence's item that alone never come true, or all when only their meeting fails."""
    late = recording.times >= after_s - EPS
    names = [
        name
        for name, arguments in condition.predicates()
        if not (predicate(recording, name, arguments, after_s) & late).any()
    ]
    return "+".join(names or [name for name, _ in condition.predicates()])
