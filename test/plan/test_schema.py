"""The decoding schema admits only what the parser accepts."""

import json

import pytest

from jpai_agent.plan import Choice, Number, SkillSpec, TargetArg, Text, json_schema, parse_plan

xgrammar = pytest.importorskip("xgrammar")
accepts = pytest.importorskip("xgrammar.testing")._is_grammar_accept_string

SKILLS = {
    spec.name: spec
    for spec in (
        SkillSpec(
            "go_to",
            "行く",
            {"target": TargetArg(), "standoff_m": Number(0.1, 5.0, "m"), "side": Choice(("front", "left"))},
        ),
        SkillSpec(
            "follow",
            "ついて行く",
            {"target": TargetArg(places=False), "duration_s": Number(1, 600, "s"), "until": Choice(("target_stops",))},
            at_most_one_of=("duration_s", "until"),
        ),
        SkillSpec(
            "set_speed",
            "速さ",
            {"speed_mps": Number(0.1, 1.2, "m/s"), "factor": Number(0.1, 3.0, "")},
            one_of=("speed_mps", "factor"),
        ),
        SkillSpec("move", "進む", {"distance_m": Number(-10, 10, "m", required=True, nonzero=True)}),
        SkillSpec("say", "言う", {"text": Text()}),
        SkillSpec("stop", "止まる", {}),
    )
}
BOX = {"label": "赤い箱", "camera": "front", "point": [512, 1000]}


def grammar(cameras=("front",), places=("dock", "exit")):
    schema = json_schema(SKILLS, cameras, places)
    return xgrammar.Grammar.from_json_schema(
        json.dumps(schema), any_whitespace=False, separators=(",", ":"), strict_mode=True
    )


GRAMMAR = grammar()


def act(*steps, **more):
    return json.dumps(
        {"decision": "act", "steps": list(steps), "reason": None} | more, ensure_ascii=False, separators=(",", ":")
    )


STOP = {"skill": "stop"}
RIGHT = [
    act(
        {"skill": "go_to", "target": BOX, "standoff_m": 0.8, "side": "left"},
        {"skill": "go_to", "target": {"place": "dock"}},
    ),
    act({"skill": "go_to", "target": {"label": "箱", "place": "exit"}}),
    act({"skill": "go_to", "target": {"label": "箱"}}),
    act({"skill": "go_to", "target": {"camera": "front", "point": [0, 7]}}),
    act({"skill": "go_to", "target": BOX, "side": "left"}),
    act({"skill": "follow", "target": BOX}),
    act({"skill": "follow", "target": BOX, "until": "target_stops"}),
    act({"skill": "follow", "target": {"label": "人"}, "duration_s": 30}),
    act({"skill": "set_speed", "factor": 0.5}),
    act({"skill": "set_speed", "speed_mps": 1.2}),
    act({"skill": "move", "distance_m": -10}),
    act({"skill": "move", "distance_m": 0.01}),
    act({"skill": "say", "text": "荷物です！"}),
    act(*[STOP] * 8),
    act(STOP, reply="止まります。"),
    '{"decision":"ask","steps":[],"reason":"ambiguous"}',
    '{"decision":"refuse","steps":[],"reason":"unsafe","reply":"危険です。"}',
]
WRONG = [
    "",
    "{}",
    "[]",
    act(),
    act(STOP)[:-1],
    " " + act(STOP),
    "```" + act(STOP) + "```",
    act(STOP) + act(STOP),
    act({"skill": "fly"}),
    act(STOP | {"now": True}),
    act({"skill": "go_to"}),
    act({"skill": "move"}),
    act({"skill": "move", "distance_m": 0}),
    act({"skill": "move", "distance_m": 10.5}),
    act({"skill": "move", "distance_m": float("nan")}),
    act({"skill": "move", "distance_m": "1"}),
    act({"skill": "set_speed"}),
    act({"skill": "set_speed", "speed_mps": 1, "factor": 1}),
    act({"skill": "follow", "target": BOX, "duration_s": 3, "until": "target_stops"}),
    act({"skill": "follow", "target": {"place": "dock"}}),
    act({"skill": "go_to", "target": {}}),
    act({"skill": "go_to", "target": {"place": "moon"}}),
    act({"skill": "go_to", "target": BOX | {"camera": "rear"}}),
    act({"skill": "go_to", "target": BOX | {"point": [1, 1001]}}),
    act({"skill": "go_to", "target": BOX | {"point": [1]}}),
    act({"skill": "go_to", "target": BOX, "side": "up"}),
    act({"skill": "say", "text": ""}),
    act({"skill": "say", "text": "あ" * 121}),
    act({"skill": "say", "text": "a\nb"}),
    act(STOP, note="x"),
    '{"decision":"ask","steps":[],"reason":null}',
    '{"decision":"ask","steps":[{"skill":"stop"}],"reason":"unsafe"}',
    '{"decision":"act","decision":"act","steps":[{"skill":"stop"}],"reason":null}',
    "赤い箱まで行きます。",
]


@pytest.mark.parametrize("text", RIGHT)
def test_a_right_plan_can_be_decoded_and_is_parsed(text):
    assert accepts(GRAMMAR, text)
    assert parse_plan(text, SKILLS, places=("dock", "exit")).to_json() == text


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_a_wrong_plan_cannot_be_decoded(text):
    assert not accepts(GRAMMAR, text)


def test_without_cameras_there_are_no_points_and_without_a_map_no_places():
    blind = grammar(cameras=(), places=())
    assert not accepts(blind, act({"skill": "go_to", "target": BOX}))
    assert not accepts(blind, act({"skill": "go_to", "target": {"place": "dock"}}))
    assert accepts(blind, act({"skill": "go_to", "target": {"label": "箱"}}))
