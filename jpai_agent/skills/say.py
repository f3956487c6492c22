"""`say`: speak a sentence."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec, Text
from jpai_agent.skills.registry import skill


@skill("cart", "car")
def say() -> SkillSpec:
    """No motion: the sentence is an event of the runner, and the step ends at once."""
    return SkillSpec("say", "言葉を話す", {"text": Text()})
