"""`return_home`: go back to the home place."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec
from jpai_agent.skills.registry import skill


@skill("cart")
def return_home() -> SkillSpec:
    """Tracks a planned path to the map's home place, reached with base_link itself."""
    return SkillSpec("return_home", "ホームの場所へ戻る", {})
