"""`stop`: come to rest."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart", "car")
def stop() -> SkillSpec:
    """Brakes smoothly to standstill and ends the step; a stop word never takes this way."""
    return SkillSpec("stop", "いったん止まる", {})
