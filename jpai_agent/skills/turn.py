"""`turn`: turn on the spot."""

from __future__ import annotations

from jpai_agent.plan import Number, SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart")
def turn() -> SkillSpec:
    """Turns on the spot by the angle, positive to the left, the long way too where the angle says so."""
    return SkillSpec("turn", "その場で回る。正の値は左回り",
                     {"angle_deg": Number(-360.0, 360.0, "deg", required=True, nonzero=True)})
