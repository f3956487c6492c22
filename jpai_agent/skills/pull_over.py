"""`pull_over`: stop at the kerb."""

from __future__ import annotations

from jpai_agent.plan import Choice, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def pull_over() -> SkillSpec:
    """Drives along the lane, swerves to the left edge and comes to rest there, at once or by the target (beside by default)."""
    return SkillSpec(
        "pull_over", "路肩に寄せて止まる。対象があればその手前・横・先",
        {"target": TargetArg(required=False), "where": Choice(("before", "beside", "after"))})
