"""`drive`: follow the lane."""

from __future__ import annotations

from jpai_agent.plan import Number, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill


@skill("car")
def drive() -> SkillSpec:
    """Keeps the lane under the rules of the road, straight on at crossings: to the road's end, for a distance, or up to the
    target. Ends without coming to rest, but for the road's end.
    """
    return SkillSpec(
        "drive", "車線に沿って走る。距離や目標を省くと道の終わりまで",
        {"distance_m": Number(0.0, 1000.0, "m", nonzero=True), "target": TargetArg(required=False)},
        at_most_one_of=("distance_m", "target"))
