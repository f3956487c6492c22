"""`stop_at`: stop at something or at the stop line."""

from __future__ import annotations

from jpai_agent.plan import Choice, Number, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def stop_at() -> SkillSpec:
    """Drives along the lane and comes to rest in it: before the target (default), beside it, or after it.

    `standoff_m` is the gap along the lane between footprints, 2 m when left out.
    """
    return SkillSpec(
        "stop_at", "対象の手前・横・先、または停止線で止まる",
        {"target": TargetArg(required=False), "at": Choice(("stop_line",)), "standoff_m": Number(0.5, 20.0, "m"),
         "where": Choice(("before", "beside", "after"))},
        one_of=("target", "at"))
