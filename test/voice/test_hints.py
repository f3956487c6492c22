"""A recogniser is told the words of the map, of things and of every skill."""

from __future__ import annotations

import pytest

from jpai_agent.skills import load, skills_for
from jpai_agent.voice.hints import SKILL_WORDS, hints
from jpai_agent.world.map import load_map


@pytest.mark.parametrize(("robot", "world", "words"), [
    ("cart", "yard", {"充電ステーション", "1番バース", "箱", "パイロン", "赤", "小さい", "止まれ", "戻って"}),
    ("car", "street", {"駐車場", "コンビニ", "Uターン", "止まれ"}),
])
def test_hints_are_the_words_of_places_things_and_skills_each_once(robot: str, world: str, words: set[str]) -> None:
    found = hints(load_map(world), skills_for(robot).values())
    assert words <= set(found)
    assert len(found) == len(set(found))


def test_every_skill_has_words_that_ask_for_it() -> None:
    assert {skill.spec.name for skill in load()} == set(SKILL_WORDS)
