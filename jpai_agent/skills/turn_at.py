"""`turn_at`: take the way at a crossing."""

from __future__ import annotations

from jpai_agent.plan import Choice, Number, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def turn_at() -> SkillSpec:
    """Drives along the lane to the crossing that is meant and through it in the direction; done 12 m beyond its centre.

    `nth` counts crossings (or lights) from the one ahead, 1 when left out. With a target: the last crossing before it,
    the one at it, or the first after it.
    """
    return SkillSpec(
        "turn_at",
        "交差点で曲がる、または直進する。at は信号か交差点、nth は何番目か。target があればその手前・その場所・その先の交差点",
        {"direction": Choice(("left", "right", "straight"), required=True), "nth": Number(1, 9, "番目"),
         "at": Choice(("crossing", "light")), "target": TargetArg(required=False),
         "when": Choice(("before", "at", "after"))},
        at_most_one_of=("nth", "target"))
