"""`move`: drive straight."""

from __future__ import annotations

from jpai_agent.plan import Number, SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart")
def move() -> SkillSpec:
    """Drives along the present heading and stops; negative distances go backwards at reverse speed."""
    return SkillSpec("move", "まっすぐ進む。負の値は後退",
                     {"distance_m": Number(-10.0, 10.0, "m", required=True, nonzero=True)})
