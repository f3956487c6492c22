"""Every backend gets the same conversation, made from robot, state, map, dialogue and instruction."""

from dataclasses import replace

import pytest

from jpai_agent.skills import skills_for
from jpai_agent.vlm import Exchange, VlmError
from jpai_agent.vlm.prompt import check_prompt, messages, system_text

SKILLS = skills_for("cart")


def test_the_conversation_runs_from_the_system_message_to_the_instruction(request_):
    earlier = (Exchange("赤い箱まで行って", '{"decision":"ask","steps":[],"reason":"ambiguous"}'), Exchange("やっぱり"))
    turns = messages(replace(request_, dialogue=earlier, speed_mps=0.3, running="go_to"), SKILLS)
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert (turns[0]["robot"], turns[0]["speed_mps"], turns[0]["running"]) == ("cart", 0.3, "go_to")
    assert turns[0]["places"]["dock"] == ["充電ステーション", "ドック"]
    assert turns[-1]["content"] == [{"type": "image"}, {"type": "text", "text": request_.instruction}]


def test_the_system_message_names_every_skill_with_its_ranges_and_every_place(request_):
    text = system_text(request_, SKILLS)
    for name, spec in SKILLS.items():
        assert f"- {name}: {spec.description}" in text
        assert all(argument in text for argument in spec.args)
    assert "dock=充電ステーション" in text
    assert "-10..10 m" in text


def test_the_embedded_template_reads_state_dialogue_and_instruction(request_, tokenizer, checkpoint):
    from transformers import AutoTokenizer

    from jpai_agent.train.tokenizer import prompt_text

    saved = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    asked = Exchange("箱まで", '{"decision":"ask","steps":[],"reason":"ambiguous"}')
    request = replace(request_, dialogue=(asked,), speed_mps=0.8, running="follow", instruction="赤い方")
    prompt = saved.apply_chat_template(messages(request, SKILLS), tokenize=False)
    assert prompt == prompt_text("赤い方", speed_mps=0.8, running="follow", earlier="箱まで", asked=True)


def test_the_embedded_template_reads_which_landmarks_the_map_has(request_, checkpoint):
    from transformers import AutoTokenizer

    from jpai_agent.train.tokenizer import prompt_text

    saved = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    places = {"parking": ("駐車場",), "school_2": ("学校",), "convenience_store": ("コンビニ",), "school": ("学校",)}
    request = replace(request_, robot="car", places=places, instruction="コンビニの角を左")
    prompt = saved.apply_chat_template(messages(request, skills_for("car")), tokenize=False)
    assert prompt == prompt_text("コンビニの角を左", robot="car", places=places)
    assert "⟦convenience_store⟧⟦school:2⟧" in prompt


def test_the_example_uses_a_skill_that_the_robot_has(request_):
    assert '"skill":"go_to"' in system_text(request_, SKILLS)
    assert '"skill":"stop_at"' in system_text(replace(request_, robot="car"), skills_for("car"))


def test_a_template_that_cuts_the_instruction_is_an_error():
    check_prompt("⟦cart⟧⟦now⟧ 赤い箱へ 行って", "赤い箱へ行って")
    check_prompt("⟦now⟧赤い箱", "<赤い>箱")
    with pytest.raises(VlmError) as caught:
        check_prompt("⟦now⟧赤い箱へ行って", "赤い箱へ行って、でも青い箱には近づかないで")
    assert caught.value.reason_code == "too_long"
