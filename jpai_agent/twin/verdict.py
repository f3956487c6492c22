"""The verdict on a rehearsed program: what was found, what it is bound to, and when it lapses."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jpai_agent.language import failure

START_WITHIN_S = 30.0
# of the bound of a pass rate: 95 % of such intervals hold the true rate
WILSON_Z = 1.96


@dataclass(frozen=True)
class Binding:
    """What a verdict speaks of, each by its sha256: nothing else may be run under it. `site`: the rules of the place."""

    plan: str
    program: str
    scene: str
    robot: str
    model: str
    site: str


@dataclass(frozen=True)
class Verdict:
    """Outcome of N perturbed rollouts of a program.

    Attributes:
        id: Names the verdict by its content (see `sealed`).
        status: "pass", "fail", or "invalid" (the physics diverged or nothing could be rehearsed; never a pass).
        made_at_s: On the clock of the scene's stamps.
        rollouts: N; pass_rate: fraction of them that met every rule.
        failed_step: Index in the plan of the step that failed first, in the rollout that failed first; None when all
            rollouts passed.
        reason: Machine-readable reason of most failures ("collision", "person_too_close", "not_reached", "timeout",
            "out_of_bounds", "tipped", "keep_out", "speed_limit", "diverged", or why the program gave up: "blocked",
            "target_lost", "not_found";
            of a car also "near_miss", "red_light", "stop_sign", "crosswalk", "speed_limit", "centre_line", "off_road",
            "slide"); "" when passed.
        min_clearance_m: Smallest gap to anything, over all rollouts, negative by the overlap.
        duration_s: Median simulated duration of the rollouts that passed, waits counted in full.
        peak_speed_mps: Highest speed reached.
        paths: Per rollout, as nested lists, the driven (x, y, yaw) in the map frame every 0.2 s until its end; rollout
            0 is the unperturbed one. For pictures and markers.
        swept: (P, 2) way of the unperturbed rollout, for the check whether the scene has changed near it.
        wall_s: What the rehearsal cost.
        min_ttc_s: Smallest time to a contact, all going on as they do, over all rollouts; inf where none came within 3 s.
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

    @property
    def pass_rate_low(self) -> float:
        """Lower bound of the rate at which perturbed runs would pass: Wilson's 95 % interval of pass_rate of rollouts."""
        return wilson(round(self.pass_rate * self.rollouts), self.rollouts)[0]

    def in_words(self, label: str | None = None) -> str:
        """What was found, in Japanese; label: the user's words for what the failed step is about."""
        good = round(self.pass_rate * self.rollouts)
        if self.passed:
            return f"リハーサルでは{self.rollouts}回のうち{good}回うまくいきました。"
        where = f"{self.failed_step + 1}番目の動作、" if self.failed_step is not None else ""
        return failure(self.reason, label) + f"（{where}{self.rollouts}回のうち{self.rollouts - good}回）"

    def sealed(self) -> Verdict:
        """The verdict under the id that its content has: status, figures, binding, times. Altered, it is not `genuine`."""
        return replace(self, id=self._name())

    @property
    def genuine(self) -> bool:
        """Whether the content is what the id was made of."""
        return self.id == self._name()

    def _name(self) -> str:
        # to what survives a message: times in ns, points in mm
        swept = [[round(float(x) * 1e3), round(float(y) * 1e3)] for x, y in self.swept]
        content = [self.status, round(self.made_at_s * 1e9), self.rollouts, self.pass_rate, asdict(self.binding),
                   self.failed_step, self.reason, self.min_clearance_m, self.duration_s, self.peak_speed_mps, swept,
                   self.min_ttc_s, self.violations, self.under_way,
                   # a second rehearsal of the same is another verdict: each permits one start
                   self.wall_s]
        return f"verdict-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}"

    def refusal(self, binding: Binding, now_s: float) -> str | None:
        """Why this verdict does not permit starting what `binding` names at `now_s`; None when it does."""
        if not self.genuine:
            return f"verdict {self.id} was altered"
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
        return asdict(self) | {"pass_rate_low": round(self.pass_rate_low, 4), "in_words": self.in_words()}


def wilson(hits: int, n: int, z: float = WILSON_Z) -> tuple[float, float]:
    """Wilson's interval (low, high) of a rate seen as hits of n; (0, 1) for n = 0."""
    if n <= 0:
        return 0.0, 1.0
    rate, spread = hits / n, z * z / n
    middle = rate + spread / 2
    half = z * math.sqrt(rate * (1.0 - rate) / n + spread / (4 * n))
    return max((middle - half) / (1.0 + spread), 0.0), min((middle + half) / (1.0 + spread), 1.0)
