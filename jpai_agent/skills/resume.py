"""`continue`: go on with what was interrupted."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart", "car")
def resume() -> SkillSpec:
    """No motion of its own: the agent puts the steps that were left in its place."""
    return SkillSpec("continue", "中断した動作を続きから再開する", {})
