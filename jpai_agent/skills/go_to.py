"""`go_to`: drive to an object, a spot on the floor or a place."""

from __future__ import annotations

from jpai_agent.plan import Choice, Number, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("cart")
def go_to() -> SkillSpec:
    """Tracks a planned path to a pose on the wanted side of the object, with `standoff_m` between the footprints.

    Sides are as the robot sees them when the step begins: front is towards the robot. It ends facing the object. A spot
    on the floor and a place are reached with base_link itself.
    """
    return SkillSpec(
        "go_to", "物のそば、床の一点、または場所まで行く",
        {"target": TargetArg(), "standoff_m": Number(0.2, 5.0, "m"),
         "side": Choice(("front", "behind", "left", "right"))})
