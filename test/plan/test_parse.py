"""Plans are read strictly: what is right is kept as it stands, anything else is an error with its reason."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpai_agent.plan import (
    ActionPlan,
    Choice,
    Number,
    PlanError,
    SkillSpec,
    Step,
    Target,
    TargetArg,
    Text,
    parse_plan,
)
from jpai_agent.plan.parse import MAX_CHARS, REASON_CODES

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
BOX = {"label": "赤い箱", "camera": "front", "point": [512, 634]}
EXAMPLE = (
    '{"decision":"act","steps":[{"skill":"go_to","target":{"label":"赤い箱","camera":"front","point":[512,634]},'
    '"standoff_m":0.8},{"skill":"move","distance_m":-1.5},{"skill":"go_to","target":{"place":"dock"}}],"reason":null}'
)


def read(text):
    return parse_plan(text, SKILLS, cameras=("front",), places=("dock", "exit"))


def act(*steps, **more):
    return json.dumps({"decision": "act", "steps": list(steps), "reason": None} | more, ensure_ascii=False)


def test_a_right_plan_is_kept_as_it_stands():
    plan = read(EXAMPLE)
    assert plan.decision == "act"
    assert plan.steps[0] == Step("go_to", {"target": Target("赤い箱", "front", (512, 634)), "standoff_m": 0.8})
    assert plan.to_json() == EXAMPLE


def test_the_order_of_keys_does_not_matter_and_does_not_change_the_hash():
    shuffled = (
        '{"reason":null,"steps":[{"standoff_m":0.8,"target":{"point":[512,634],"camera":"front","label":"赤い箱"},'
        '"skill":"go_to"}],"decision":"act"}'
    )
    assert read(shuffled).sha256() == read(act({"skill": "go_to", "target": BOX, "standoff_m": 0.8})).sha256()


@pytest.mark.parametrize("decision", ["ask", "refuse"])
def test_a_question_or_refusal_has_a_reason_and_no_steps(decision):
    assert read(f'{{"decision":"{decision}","steps":[],"reason":"unsafe","reply":"危険です。"}}').reply == "危険です。"


STEP = {"skill": "stop"}
BROKEN = {
    "truncated": [
        '{"decision":"act","steps":[{"skill":"st',
        '{"decision":"act","steps":[{"skill":"stop"}],"reason":null',
        "{",
    ],
    "fenced": ["```json\n" + act(STEP) + "\n```"],
    "not_json": [
        "",
        "赤い箱まで行きます。",
        act(STEP) + " 以上です",
        "{'decision': 'act'}",
        act(STEP) + act(STEP),
        "{,}",
        act(STEP)[:-1] + ",}",
        '{"decision":"act" "steps":[]}',
        '{"decision":"ac\nt"}',
    ],
    "duplicate_key": [
        '{"decision":"ask","decision":"act","steps":[{"skill":"stop"}],"reason":null}',
        '{"decision":"act","steps":[{"skill":"move","distance_m":1,"distance_m":2}],"reason":null}',
    ],
    "not_finite": [
        '{"decision":"act","steps":[{"skill":"move","distance_m":NaN}],"reason":null}',
        '{"decision":"act","steps":[{"skill":"move","distance_m":-Infinity}],"reason":null}',
        '{"decision":"act","steps":[{"skill":"move","distance_m":1e999}],"reason":null}',
        '{"decision":"act","steps":[{"skill":"move","distance_m":' + "9" * 400 + '}],"reason":null}',
    ],
    "too_long": [act(STEP) + " " * MAX_CHARS, "a" * 10_000_000],
    "too_deep": ["[" * 5000, '{"decision":' * 500, act({"skill": "go_to", "target": {"label": [[[["x"]]]]}})],
    "wrong_type": [
        "[]",
        "null",
        "1",
        '"act"',
        act("stop"),
        act([STEP]),
        act(STEP).replace('[{"skill": "stop"}]', '{"skill": "stop"}'),
        act({"skill": "go_to", "target": "赤い箱"}),
        act({"skill": "go_to", "target": {"label": 3}}),
        act({"skill": "say", "text": 5}),
        act({"skill": "go_to", "target": BOX, "side": ["left"]}),
        act(STEP, reply=None),
        act({"skill": "go_to", "target": {"place": None}}),
    ],
    "missing_key": ["{}", '{"decision":"act","steps":[]}', '{"steps":[],"reason":null}', act({"target": BOX})],
    "unknown_key": [act(STEP, note="x"), act({"skill": "go_to", "target": BOX | {"box": 1}})],
    "unknown_decision": [
        act(STEP).replace('"act"', '"go"'),
        act(STEP).replace('"act"', "[]"),
        act(STEP).replace('"act"', "null"),
    ],
    "unknown_reason": [
        act(STEP).replace("null", '"unsafe"'),
        '{"decision":"ask","steps":[],"reason":null}',
        '{"decision":"ask","steps":[],"reason":"tired"}',
        '{"decision":"ask","steps":[],"reason":{}}',
    ],
    "too_many_steps": [act(*[STEP] * 21)],
    "no_steps": [act()],
    "steps_not_allowed": ['{"decision":"refuse","steps":[{"skill":"stop"}],"reason":"unsafe"}'],
    "unknown_skill": [act({"skill": "fly"}), act({"skill": None}), act({"skill": ["stop"]}), act({"skill": "Stop"})],
    "unknown_argument": [act({"skill": "stop", "now": True}), act({"skill": "move", "distance_m": 1, "speed": 9})],
    "missing_argument": [act({"skill": "move"}), act({"skill": "go_to"}), act({"skill": "say"})],
    "argument_conflict": [
        act({"skill": "set_speed"}),
        act({"skill": "set_speed", "speed_mps": 0.5, "factor": 2}),
        act({"skill": "follow", "target": BOX, "duration_s": 3, "until": "target_stops"}),
    ],
    "bad_argument": [
        act({"skill": "move", "distance_m": 11}),
        act({"skill": "move", "distance_m": 0}),
        act({"skill": "move", "distance_m": "1"}),
        act({"skill": "move", "distance_m": True}),
        act({"skill": "move", "distance_m": None}),
        act({"skill": "go_to", "target": BOX, "side": "up"}),
        act({"skill": "follow", "target": {"place": "dock"}}),
        act({"skill": "say", "text": "あ" * 121}),
    ],
    "bad_target": [
        act({"skill": "go_to", "target": {}}),
        act({"skill": "go_to", "target": {"point": [1, 2]}}),
        act({"skill": "go_to", "target": {"camera": "front"}}),
        *[
            act({"skill": "go_to", "target": BOX | {"point": point}})
            for point in ([1], [1, 2, 3], [1.0, 2], [-1, 2], [1, 1001], [True, 2], "1,2", {"x": 1}, None, ["1", "2"])
        ],
    ],
    "unknown_place": [act({"skill": "go_to", "target": {"place": "moon"}})],
    "unknown_camera": [act({"skill": "go_to", "target": BOX | {"camera": "rear"}})],
    "bad_text": [
        act({"skill": "go_to", "target": {"label": ""}}),
        act({"skill": "go_to", "target": {"label": "あ" * 41}}),
        act(STEP, reply="あ" * 121),
        act(STEP, reply="a\u0007"),
        act({"skill": "say", "text": "a\nb"}),
        '{"decision":"act","steps":[{"skill":"say","text":"\\ud800"}],"reason":null}',
    ],
}


def test_every_reason_has_an_example():
    assert set(BROKEN) == set(REASON_CODES)


@pytest.mark.parametrize(
    ("code", "text"),
    [(code, text) for code, texts in BROKEN.items() for text in texts],
    ids=lambda value: value if value in REASON_CODES else value[:40],
)
def test_a_broken_plan_is_an_error_with_its_reason(code, text):
    with pytest.raises(PlanError) as caught:
        read(text)
    assert caught.value.reason_code == code
    assert str(caught.value)


@pytest.mark.parametrize("text", [None, 5, b'{"decision":"act"}', ["{}"]])
def test_what_is_no_text_is_an_error(text):
    with pytest.raises(PlanError):
        read(text)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(EXAMPLE) - 1), st.characters() | st.just(""))
def test_a_damaged_plan_is_right_or_an_error_and_never_anything_else(position, char):
    text = EXAMPLE[:position] + char + EXAMPLE[position + 1 :]
    try:
        outcome = read(text)
    except PlanError as error:
        outcome = error.reason_code
    assert isinstance(outcome, ActionPlan) or outcome in REASON_CODES


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["decision", "steps", "reason", "reply", "skill", "target", "point"]), inner, max_size=4
            )
        ),
    )
)
def test_any_json_is_a_plan_or_an_error(value):
    with pytest.raises(PlanError):
        read(json.dumps(value))
