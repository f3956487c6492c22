"""`face`: turn towards something."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("cart")
def face() -> SkillSpec:
    """Turns on the spot until base_link's x axis points at the target."""
    return SkillSpec("face", "その場で対象の方を向く", {"target": TargetArg()})
