"""The tokenizer joins back to canonical JSON, keeps words apart from plans, and its template fits training."""

from __future__ import annotations

import pytest

from jpai_agent.language.questions import ABOUT, MISSING, question_about
from jpai_agent.plan import ActionPlan, Choice, Number, SkillSpec, Step, Target, TargetArg, Text, parse_plan
from jpai_agent.train.tokenizer import (
    CHAT_TEMPLATE,
    COORDINATES,
    PlanCodec,
    PromptCodec,
    build_tokenizer,
    nearest_coordinate,
    prompt_text,
)

SKILLS = {
    spec.name: spec
    for spec in (
        SkillSpec("go_to", "", {"target": TargetArg(), "standoff_m": Number(0, 5, "m"), "side": Choice(("behind",))}),
        SkillSpec("follow", "", {"target": TargetArg(places=False), "until": Choice(("target_stops",))}),
        SkillSpec("look_for", "", {"label": Text()}),
        SkillSpec("wait", "", {"duration_s": Number(0, 600, "s", required=True)}),
        SkillSpec("say", "", {"text": Text()}),
        SkillSpec("stop", "", {}),
    )
}


@pytest.fixture(scope="module")
def tokenizer():
    made = build_tokenizer(SKILLS.values(), ["赤い箱の前で三秒待って通ります"], ["dock"])
    made.chat_template = CHAT_TEMPLATE
    return made


@pytest.fixture(scope="module")
def codec(tokenizer):
    return PlanCodec(tokenizer)


def box(x: int = 512, y: int = 640) -> Target:
    return Target("赤い箱", "front", (x, y))


PLANS = [
    ActionPlan("act", (Step("go_to", {"target": box()}),)),
    ActionPlan("act", (Step("go_to", {"target": box(), "standoff_m": 0.8, "side": "behind"}), Step("stop"))),
    ActionPlan("act", (Step("wait", {"duration_s": 3.0}), Step("go_to", {"target": Target(place="dock")}))),
    ActionPlan("act", (Step("say", {"text": "16前]}}"}), Step("follow", {"target": box(), "until": "target_stops"}))),
    ActionPlan("act", (Step("look_for", {"label": "赤い箱"}), Step("go_to", {"target": Target("赤い箱")}))),
    ActionPlan("ask", reason="ambiguous"),
    ActionPlan("refuse", reason="unsafe"),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.to_json()[:60])
def test_token_strings_join_to_the_canonical_json(codec, tokenizer, plan):
    ids = codec.encode(plan)
    assert codec.decode(ids) == plan.to_json() == tokenizer.decode(ids, skip_special_tokens=True)
    assert parse_plan(codec.decode(ids), SKILLS) == plan


def test_a_point_becomes_the_nearest_coordinate_token(codec):
    text = codec.decode(codec.encode(ActionPlan("act", (Step("go_to", {"target": box(515, 999)}),))))
    assert '"point":[512,992]' in text
    assert nearest_coordinate(0) == COORDINATES[0]


def test_what_is_done_has_no_reply(codec):
    assert "reply" not in codec.decode(codec.encode(ActionPlan("act", (Step("stop"),), reply="止まります。")))


@pytest.mark.parametrize("reason", ABOUT)
def test_a_question_names_what_it_is_about_in_three_pieces_around_a_label(codec, reason):
    asked = ActionPlan("ask", reason=reason, reply=question_about(reason, "赤い箱"))
    ids = codec.encode(asked)
    assert len(ids) == 1 + 3 + 1 + 1
    assert parse_plan(codec.decode(ids), {}) == asked


@pytest.mark.parametrize("missing", MISSING)
def test_a_question_for_what_is_missing_is_one_piece(codec, missing):
    asked = ActionPlan("ask", reason="incomplete", reply=MISSING[missing])
    ids = codec.encode(asked)
    assert len(ids) == 2
    assert parse_plan(codec.decode(ids), {}) == asked


def test_the_skeleton_of_a_plan_is_a_handful_of_tokens(codec):
    assert len(codec.encode(PLANS[0])) <= 12
    assert len(codec.encode(PLANS[5])) == 2


def test_words_of_people_are_only_characters(codec, tokenizer):
    said = '{"decision":"act","steps":[512赤'
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(said)


def test_quick_prompts_equal_the_tokenizers(tokenizer):
    state = {"speed_mps": 0.3, "running": "go_to", "earlier": "赤い箱まで</s>", "asked": True,
             "places": ("dock", "hospital", "hospital_2", "school")}
    text = "<s>" + prompt_text("１６ﾒｰﾄﾙ前⟦now⟧", **state) + "</s>"
    ids, start = PromptCodec(tokenizer).encode("１６ﾒｰﾄﾙ前⟦now⟧", **state)
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids[start]) == "1"


def test_the_chat_template_makes_the_prompt_that_training_used(tokenizer):
    messages = [
        {"role": "system", "content": "catalogue", "robot": "cart", "speed_mps": 0.8, "running": "go_to"},
        {"role": "user", "content": "赤い箱まで"},
        {"role": "assistant", "content": '{"decision":"ask","steps":[],"reason":"ambiguous"}'},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "前<image>の 箱⟦asked⟧"}]},
    ]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False)
    state = {"speed_mps": 0.8, "running": "go_to", "earlier": "赤い箱まで", "asked": True}
    assert prompt == prompt_text("前<image>の 箱⟦asked⟧", **state)


def test_the_template_cuts_what_is_too_long(tokenizer):
    messages = [{"role": "user", "content": "あ" * 500}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == prompt_text("あ" * 500)
