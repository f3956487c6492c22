"""Everything that the robot says of itself: each template of its replies once, each form of a step, and each name of a place."""

from __future__ import annotations

from jpai_agent.language import failure, replies
from jpai_agent.language.questions import ABOUT, MISSING
from jpai_agent.language.steps import phrase
from jpai_agent.plan.types import Step, Target
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import KINDS

BOX, SHOP = Target("赤い箱", "front", (500, 500)), Target("コンビニ", place="convenience_store")
CART_STEPS = (
    *(Step("go_to", {"target": BOX, "side": side}) for side in ("front", "behind", "left", "right")),
    *(Step("go_to", {"target": BOX, "standoff_m": gap}) for gap in (0.35, 1.0, 1.5, 2.0)),
    Step("go_to", {"target": BOX, "side": "behind", "standoff_m": 3.0}),
    Step("face", {"target": BOX}), Step("follow", {"duration_s": 20.0}), Step("follow", {"target": BOX, "until": "target_stops"}),
    Step("look_for", {"label": "青いバケツ"}), Step("return_home"), Step("stop"), Step("continue"),
    *(Step("move", {"distance_m": way}) for way in (0.1, 0.3, 0.5, 0.8, 1.0, 1.2, 2.75, 4.0, 6.0, 8.0, 10.0, -1.0)),
    *(Step("turn", {"angle_deg": angle}) for angle in (10, 22.5, 45, 90, 120, 180, 270, 360, -30)),
    *(Step("wait", {"duration_s": span}) for span in (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 60, 90, 180, 600, 3600, 14400)),
    *(Step("set_speed", {"speed": speed}) for speed in (0.3, 0.5, 1.0, 1.2)),
    Step("set_speed", {"factor": 1.5}), Step("set_speed", {"factor": 0.5}), Step("say", {"text": "荷物が届きました"}),
)
CAR_STEPS = (
    Step("drive"), Step("drive", {"target": SHOP}), *(Step("drive", {"distance_m": way}) for way in (10, 20, 50, 100, 150, 300)),
    *(Step("turn_at", {"direction": "left", "nth": nth}) for nth in range(1, 10)),
    Step("turn_at", {"direction": "right", "at": "light"}), Step("turn_at", {"direction": "straight", "nth": 2, "at": "light"}),
    *(Step("turn_at", {"target": SHOP, "direction": "left", "when": when}) for when in ("before", "at", "after")),
    *(Step("stop_at", {"target": SHOP, "where": where}) for where in ("before", "beside", "after")),
    Step("stop_at", {"target": SHOP, "standoff_m": 3}), Step("stop_at", {"at": "stop_line"}), Step("pull_over"),
    Step("pull_over", {"target": SHOP}), Step("pull_over", {"target": SHOP, "where": "after"}),
    Step("park", {"target": Target("駐車場", place="parking")}), Step("park", {"target": Target("3番", place="slot_3")}),
    Step("u_turn"), Step("u_turn", {"target": SHOP}), Step("follow", {"until": "target_turns"}),
    *(Step("set_speed", {"speed": speed}) for speed in (5, 8, 10, 15, 20, 30)), Step("continue"),
)


def everything_said() -> list[str]:
    """Sentences and names, each once."""
    replied = [template.format(label="赤い箱") for table in (replies._ASK, replies._REFUSE) for template in table.values()]
    replied += [failure(code, label) for code in replies.FAILURES for label in ("赤い箱", None)]
    replied += [*MISSING.values(), *("右のコーン" + about for about in ABOUT.values()), failure("no such code")]
    steps = [(phrase(step, {}, None, car), car) for car, some in ((False, CART_STEPS), (True, CAR_STEPS)) for step in some]
    told = [words for step, _ in steps for words in (f"{step.te}、", f"{step.masu}。")]
    places = [name for world in ("yard", "street") for place in load_map(world).places for name in place.names]
    things = [name for kind in KINDS.values() for name in kind.names_ja]
    zones = [failure("forbidden", zone.name) for zone in load_map("yard").rules.zones]
    return list(dict.fromkeys([*replied, *told, *(f"{place}へ戻ります。" for place in places), *things, *zones]))
