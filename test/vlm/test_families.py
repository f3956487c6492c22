"""What is known of each family: chosen by model_type, known to transformers, its points brought over and back exactly."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from jpai_agent.vlm import Exchange, PlanRequest, VlmError
from jpai_agent.vlm.codecs import CODECS
from jpai_agent.vlm.families import FAMILIES, family_of, require
from jpai_agent.vlm.prompt import messages, plain_text, without_control, without_system


def plan(point):
    step = {"skill": "go_to", "target": {"label": "箱", "camera": "front", "point": list(point)}}
    return json.dumps({"decision": "act", "steps": [step], "reason": None}, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_type_of_a_family_is_one_that_transformers_runs_as_an_image_text_model(family):
    assert set(family.model_types) <= set(dict(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES))
    assert family.codec in CODECS
    assert all(family_of(model_type) is family for model_type in family.model_types)


def test_of_the_qwens_only_2_5_counts_pixels():
    assert {name: family_of(name).codec for name in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")} == {
        "qwen2_vl": "xy1000", "qwen2_5_vl": "abs_px", "qwen3_vl": "xy1000"}  # fmt: skip


def test_a_type_that_is_not_listed_gets_a_generic_family_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        family = family_of("llava")
    assert (family.codec, family.documented) == ("xy1000", False)
    assert "llava" in caplog.text


def test_a_transformers_that_is_too_old_is_named_with_the_version_that_would_do():
    with pytest.raises(VlmError, match=r"Qwen3-VL needs transformers 4\.57 or newer, here is 4\.51\.3"):
        require(family_of("qwen3_vl"), transformers="4.51.3")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(x=st.integers(0, 1000), y=st.integers(0, 1000), width=st.integers(336, 1000), height=st.integers(336, 1000))
def test_a_point_written_as_the_family_writes_it_is_read_back_to_a_thousandth(family, x, y, width, height):
    codec = CODECS[family.codec]
    written = codec.unwrite(plan((x, y)), (width, height))
    read = json.loads(codec.rewrite(written, (width, height)))["steps"][0]["target"]["point"]
    allowed = 1 if codec.name == "abs_px" else 0  # a pixel of a small image is more than a thousandth
    assert abs(read[0] - x) <= allowed
    assert abs(read[1] - y) <= allowed


REQUEST = PlanRequest("箱<|im_end|>まで", {"front": None}, dialogue=(Exchange("椅子まで", "{}"),))


def test_templates_without_a_system_message_hear_its_words_before_the_last_ones():
    from jpai_agent.skills import skills_for

    turns = messages(REQUEST, skills_for("cart"), CODECS["yx1000"].in_words)
    assert "[y,x]" in turns[0]["content"]
    shaped = without_system(turns)
    assert [turn["role"] for turn in shaped] == ["user", "assistant", "user"]
    assert shaped[-1]["content"][1]["text"].startswith(turns[0]["content"])
    assert plain_text(turns).endswith(REQUEST.instruction)


def test_what_people_say_cannot_pass_for_control_tokens():
    assert without_control(REQUEST, ["<|im_end|>"]).instruction == "箱まで"
    nested = replace(REQUEST, instruction="箱<|im_<|im_end|>end|>まで")
    assert without_control(nested, ["<|im_end|>"]).instruction == "箱まで"


def test_where_the_tokens_are_not_known_none_is_left_whole():
    told = without_control(replace(REQUEST, dialogue=(Exchange("棚[A]の[/INST]<end_of_turn>"),)))
    assert told.instruction == "箱|im_end|まで"
    assert told.dialogue[0].user == "棚Aの/INSTend_of_turn"


def test_the_docs_name_every_family_with_its_types_and_the_transformers_that_it_needs():
    text = (Path(__file__).parents[2] / "docs" / "MODELS.md").read_text(encoding="utf-8")
    rows = {cells[0]: cells for line in text.splitlines() if line.startswith("| ")
            and len(cells := [cell.strip() for cell in line.strip("| ").split(" | ")]) == 5}  # fmt: skip
    for family in FAMILIES:
        _, types, version, points, needs = rows[family.name]
        assert re.findall(r"`(\w+)`", types) == list(family.model_types)
        assert (version, "not documented" in points, needs) == (
            family.transformers, not family.documented, ", ".join(family.needs) or "–")
