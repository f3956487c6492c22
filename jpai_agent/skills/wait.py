"""`wait`: stand still for a while."""

from __future__ import annotations

from jpai_agent.plan import Number, SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart", "car")
def wait() -> SkillSpec:
    """Brakes to standstill, then counts the duration at rest."""
    return SkillSpec("wait", "その場で待つ", {"duration_s": Number(0.0, 600.0, "s", required=True, nonzero=True)})
