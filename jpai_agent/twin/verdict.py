"""The verdict on a rehearsed program: what was found, what it is bound to, and when it lapses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

START_WITHIN_S = 30.0


@dataclass(frozen=True)
class Binding:
    """What a verdict speaks of, each by its sha256: nothing else may be run under it."""

    plan: str
    program: str
    scene: str
    robot: str
    model: str


@dataclass(frozen=True)
class Verdict:
    """Outcome of N perturbed rollouts of a program.

    Attributes:
        id: Names the verdict.
        status: "pass", "fail", or "invalid" (the physics diverged or nothing could be rehearsed; never a pass).
        made_at_s: On the clock of the scene's stamps.
        rollouts: N; pass_rate: fraction of them that met every rule.
        failed_step: Index in the plan of the step that failed first, in the rollout that failed first; None when all
            rollouts passed.
        reason: Machine-readable reason of most failures ("collision", "person_too_close", "not_reached", "timeout",
            "out_of_bounds", "tipped", "diverged", or why the program gave up: "blocked", "target_lost", "not_found";
            of a car also "near_miss", "red_light", "stop_sign", "crosswalk", "speed_limit", "centre_line", "off_road",
            "slide"); "" when passed.
        min_clearance_m: Smallest gap to anything, over all rollouts, negative by the overlap.
        duration_s: Median simulated duration of the rollouts that passed, waits counted in full.
        peak_speed_mps: Highest speed reached.
        paths: Per rollout, as nested lists, the driven (x, y, yaw) in the map frame every 0.2 s until its end; rollout
            0 is the unperturbed one. For pictures and markers.
        swept: (P, 2) way of the unperturbed rollout, for the check whether the scene has changed near it.
        wall_s: What the rehearsal cost.
        min_ttc_s: Smallest time to a contact, all going on as they do, over all rollouts; inf where none came within 3 s, and
            for robots of which it is not asked.
        violations: Per reason, how many rollouts broke that rule; all that each broke, not only the first.
        under_way: Fraction of the rollouts that passed but were still on the way, or waiting lawfully, when the time that is
            rehearsed was over.
    """

    id: str
    status: str
    made_at_s: float
    rollouts: int
    pass_rate: float
    binding: Binding
    failed_step: int | None = None
    reason: str = ""
    min_clearance_m: float = float("inf")
    duration_s: float = 0.0
    peak_speed_mps: float = 0.0
    paths: list[Any] = field(default_factory=list, repr=False)
    swept: list[Any] = field(default_factory=list, repr=False)
    wall_s: float = 0.0
    min_ttc_s: float = float("inf")
    violations: dict[str, int] = field(default_factory=dict)
    under_way: float = 0.0

    @property
    def passed(self) -> bool:
        """True only for a passed verdict."""
        return self.status == "pass"

    def refusal(self, binding: Binding, now_s: float) -> str | None:
        """Why this verdict does not permit starting what `binding` names at `now_s`; None when it does."""
        if not self.passed:
            return f"verdict {self.id} is {self.status}: {self.reason}"
        changed = [name for name, value in asdict(binding).items() if value != getattr(self.binding, name)]
        if changed:
            return f"verdict {self.id} is bound to another {', '.join(changed)}"
        if not 0.0 <= now_s - self.made_at_s <= START_WITHIN_S:
            age_s = now_s - self.made_at_s
            return f"verdict {self.id} was made {age_s:.1f} s ago; it is void after {START_WITHIN_S:.0f} s"
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, for run folders and messages."""
        return asdict(self)
