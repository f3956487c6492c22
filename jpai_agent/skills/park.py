"""`park`: park in a slot of the car park."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def park() -> SkillSpec:
    """Drives to the car park's aisle and into the slot that is named, or pointed at, or the first that is seen to be free."""
    return SkillSpec("park", "駐車場の枠に停める。parking は空いている最初の枠", {"target": TargetArg()})
