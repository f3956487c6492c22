"""Words that are likely to be said to a robot where it is: of its map, of what stands in its world, and of its skills."""

from __future__ import annotations

from collections.abc import Iterable

from jpai_agent.plan import SkillSpec
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import COLORS, KINDS, SIZE_NAMES_JA

# how each skill is asked for, as recognisers write it
SKILL_WORDS: dict[str, tuple[str, ...]] = {
    "continue": ("続けて", "再開"), "drive": ("直進", "道なりに"), "face": ("の方を向いて",),
    "follow": ("ついてきて", "前の車について"),
    "go_to": ("の前まで行って", "手前", "右側", "左側"), "look_for": ("探して",), "move": ("前に進んで", "下がって"),
    "park": ("駐車して", "枠"), "pull_over": ("路肩に寄せて停めて",), "return_home": ("戻って", "充電"), "say": ("と言って",),
    "set_speed": ("スピードを落として", "時速"), "stop": ("止まれ", "止まって", "ストップ"), "stop_at": ("の前で停めて",),
    "turn": ("右を向いて", "左に回って"), "turn_at": ("信号を右折", "交差点を左折"), "u_turn": ("Uターン",),
    "wait": ("秒待って",),
}


def hints(world_map: WorldMap, skills: Iterable[SkillSpec]) -> list[str]:
    """The words, likelier ones first, each once: what skills are asked for with, places, kinds of things, colours and sizes."""
    words = [word for skill in skills for word in SKILL_WORDS.get(skill.name, ())]
    words += [place.names[0] for place in world_map.places]
    words += [names[0] for names in (*COLORS.values(), *SIZE_NAMES_JA.values())] if world_map.road is None else []
    words += [kind.names_ja[0] for kind in KINDS.values()]
    words += [name for place in world_map.places for name in place.names]
    words += [name for kind in KINDS.values() for name in kind.names_ja]
    return list(dict.fromkeys(words))
