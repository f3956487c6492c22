"""`follow`: go behind someone or something that moves."""

from __future__ import annotations

from jpai_agent.plan import Choice, Number, SkillSpec, TargetArg
from jpai_agent.skills.registry import skill

_DURATION = Number(0.0, 600.0, "s", nonzero=True)


@skill("cart")
def follow() -> SkillSpec:
    """Steers at the mover and keeps a gap of 0.8 to 1.5 m; stops when it is lost.

    Ends after `duration_s`, or when the mover has come to rest after walking; with neither, another instruction ends
    it.
    """
    return SkillSpec(
        "follow", "人や動くものについて行く",
        {"target": TargetArg(places=False), "duration_s": _DURATION, "until": Choice(("target_stops",))},
        at_most_one_of=("duration_s", "until"))


@skill("car")
def follow_vehicle() -> SkillSpec:
    """Takes the lanes that the vehicle takes, at a safe gap and under all rules of the road.

    Ends after `duration_s`, when the vehicle turns off or comes to rest, or when another instruction ends it.
    """
    return SkillSpec(
        "follow", "見えている車について走る",
        {"target": TargetArg(places=False), "duration_s": _DURATION, "until": Choice(("target_turns", "target_stops"))},
        at_most_one_of=("duration_s", "until"))
