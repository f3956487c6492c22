"""`look_for`: search for something that is not in view."""

from __future__ import annotations

from jpai_agent.plan import SkillSpec, Text
from jpai_agent.plan.parse import LABEL_MAX_CHARS
from jpai_agent.skills.registry import skill


@skill("cart")
def look_for() -> SkillSpec:
    """Looks, and turns on the spot by 45° to look again until it is found or a whole turn is done."""
    return SkillSpec("look_for", "見えていない物を、向きを変えながら探す", {"label": Text(max_chars=LABEL_MAX_CHARS)})
