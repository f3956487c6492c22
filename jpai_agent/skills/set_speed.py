"""`set_speed`: drive slower or faster from now on."""

from __future__ import annotations

from jpai_agent.plan import Number, SkillSpec
from jpai_agent.skills.registry import skill

_FACTOR = Number(0.1, 3.0, "倍")


@skill("cart")
def set_speed() -> SkillSpec:
    """No motion: changes the cruising speed of the steps that follow, within the robot's limits."""
    return SkillSpec(
        "set_speed", "走る速さを変える。speed は秒速、factor は今の速さに対する倍率",
        {"speed": Number(0.05, 3.0, "m/s"), "factor": _FACTOR}, one_of=("speed", "factor"))


@skill("car")
def set_car_speed() -> SkillSpec:
    """No motion: changes the cruising speed from here on. A speed over the road's limit is not permitted.

    A factor that would exceed the limit ends at the limit.
    """
    return SkillSpec(
        "set_speed", "走る速さを変える。speed は時速、factor は今の速さに対する倍率",
        {"speed": Number(1.0, 200.0, "km/h"), "factor": _FACTOR}, one_of=("speed", "factor"))
