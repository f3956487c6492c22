"""`u_turn`: turn back."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def u_turn() -> SkillSpec:
    """Turns round at the next crossing where that fits in one sweep, else by a three-point turn; at the target where one is
    given.
    """
    return SkillSpec("u_turn", "Uターンして来た方へ戻る", {"target": TargetArg(required=False)})
