"""The model is a native Florence-2 that loads without custom code; training sees what inference sees, and learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from jpai_agent.plan import ActionPlan, Number, SkillSpec, Step, Target, TargetArg
from jpai_agent.train.batch import COLORS_KNOWN, KINDS_KNOWN, Collator, choose_patches
from jpai_agent.train.evaluate import evaluate, hits, judge, rates, report
from jpai_agent.train.fit import set_projection
from jpai_agent.train.losses import AnswerLoss, Probes, all_losses, total
from jpai_agent.train.model import (
    IMAGE_TOKENS,
    PATCHES,
    ModelSize,
    build_model,
    build_processor,
    load_checkpoint,
    save_checkpoint,
)
from jpai_agent.train.sample import Sample
from jpai_agent.train.symbolic import SymbolicPatches, paint_shard
from jpai_agent.train.tokenizer import PlanCodec, PromptCodec, build_tokenizer
from jpai_agent.train.trace import gather_patches, patch_embeddings, trace

SKILLS = {
    "go_to": SkillSpec("go_to", "", {"target": TargetArg()}),
    "wait": SkillSpec("wait", "", {"duration_s": Number(0, 60, "s")}),
}
TINY = ModelSize(
    tower=(8, 16, 24), tower_depths=(1, 1, 1), tower_heads=(1, 2, 2), d_model=48, heads=3, encoder_layers=4,
    decoder_layers=1, encoder_ffn=64, decoder_ffn=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(SKILLS.values(), ["赤い箱まで行って"])


@pytest.fixture(scope="module")
def model(tokenizer):
    return build_model(tokenizer, TINY).eval()


@pytest.fixture(scope="module")
def shard():
    return paint_shard(4, seed=3)


@pytest.fixture(scope="module")
def collator(tokenizer):
    plans = PlanCodec(tokenizer)
    return Collator(PromptCodec(tokenizer), plans, plans.vocabulary["<s>"], plans.vocabulary["<pad>"])


def first_visible(shard, frame: int) -> int:
    return int(np.flatnonzero(shard.pixels[frame] > 200)[0])


def sample(shard, frame: int) -> Sample:
    thing = first_visible(shard, frame)
    x, y = shard.point[frame, thing].tolist()
    plan = ActionPlan("act", (Step("go_to", {"target": Target("赤い箱", "front", (x, y))}),))
    return Sample(frame, "あの赤い箱まで", plan, targets=(thing,), mentions=(thing,), label_spans=((2, 5),), author="x")


def test_it_saves_and_loads_through_the_auto_classes(tmp_path, tokenizer, model):
    save_checkpoint(tmp_path, model, build_processor(tokenizer))
    loaded, processor = load_checkpoint(tmp_path)
    prompt = processor.tokenizer.apply_chat_template([{"role": "user", "content": "赤い箱まで"}], tokenize=False)
    inputs = processor(images=Image.new("RGB", (640, 480), "red"), text=prompt, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 192, 320)
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == IMAGE_TOKENS
    ours = model.generate(**inputs, max_new_tokens=5)
    assert torch.equal(loaded.eval().generate(**inputs, max_new_tokens=5), ours)
    assert ours[0, 0] == tokenizer.convert_tokens_to_ids("<s>")


def test_training_computes_what_inference_does(tokenizer, model):
    pixels, prompt = torch.rand(2, 3, 192, 320), torch.tensor([[1, 20, 21, 2, 0], [1, 20, 21, 22, 2]])
    answer = torch.tensor([[1, 30, 31], [1, 32, 33]])
    image = torch.full((2, IMAGE_TOKENS), model.config.image_token_id)
    with torch.no_grad():
        whole = model(
            input_ids=torch.cat([image, prompt], 1), pixel_values=pixels, decoder_input_ids=answer,
            attention_mask=torch.cat([torch.ones_like(image), (prompt != 0).long()], 1),
        ).logits  # fmt: skip
        tokens = patch_embeddings(model, pixels)[1]
        cells = torch.arange(PATCHES).expand(2, -1)
        ours = trace(model, gather_patches(tokens, torch.arange(2), cells), cells, prompt, prompt != 0, answer).logits
    assert torch.allclose(whole, ours, atol=1e-4)


def test_a_projection_with_a_constant_is_carried_by_the_position_table(tokenizer):
    model = build_model(tokenizer, TINY)
    weight, constant = torch.randn(48, 24) / 5, torch.zeros(48)
    constant = weight @ torch.randn(24)
    projector = model.model.multi_modal_projector
    features = torch.randn(1, 24, 12, 20)
    with torch.no_grad():
        set_projection(model, weight, constant)
        got = projector(features)[0, 1:]
        flat = features.flatten(2).transpose(1, 2)[0]
        want = projector.image_proj_norm(flat @ weight.T + constant)
    assert torch.allclose(got, want, atol=1e-3)


def test_heads_are_told_to_look_at_the_target_and_its_words(shard, collator):
    question = collator.question(sample(shard, 0))
    batch = collator.batch([question], [0], shard, 100, np.random.default_rng(0))
    thing = first_visible(shard, 0)
    kept = batch.cells[0].numpy()
    on = shard.cell_object[0].reshape(-1)[kept] == thing
    assert (batch.heat[0, 0].numpy() == on).all()
    assert (batch.heat[0, 3].numpy() == on).all()
    assert batch.point_goal[0].sum() == pytest.approx(1.0)
    assert batch.point_goal[0].numpy()[~on].sum() == 0
    words = collator.plans.strings
    assert [words[i] for i in batch.prompt[0][batch.span_words[0]]] == list("赤い箱")
    copied = batch.answer_out[0][batch.copy_at[:, 1]]
    assert torch.equal(copied, batch.prompt[0][batch.copy_at[:, 2]])
    x_step = int(batch.point_at[0, 1])
    assert words[int(batch.answer_in[0, x_step])].endswith('"point":[')


def test_numbers_are_copied_from_where_they_are_said(shard, collator):
    plan = ActionPlan("act", (Step("wait", {"duration_s": 24.0}),))
    question = collator.question(Sample(0, "あと24秒まで", plan))
    first, at, length = question.copies[0]
    assert question.answer[first : first + length] == question.prompt[at : at + length]
    assert [collator.plans.strings[i] for i in question.prompt[at : at + length]] == ["2", "4"]


def test_small_objects_keep_their_patches():
    things = np.full(PATCHES, -1)
    things[:150], things[200] = 0, 1
    kept = choose_patches(things, 60, np.random.default_rng(0))
    assert 200 in kept
    assert len(kept) == 60


def test_it_learns_a_handful_of_answers(tokenizer, shard, collator):
    torch.manual_seed(0)
    model = build_model(tokenizer, TINY)
    symbols, probes = SymbolicPatches(48), Probes(48, KINDS_KNOWN, COLORS_KNOWN)
    codec = collator.plans
    answers = AnswerLoss(codec.coordinate_ids, len(codec.vocabulary))
    questions = [collator.question(sample(shard, frame)) for frame in range(4)]
    batch = collator.batch(questions, range(4), shard, 80, np.random.default_rng(0))
    norm = model.model.multi_modal_projector.image_proj_norm
    parameters = [*model.parameters(), *symbols.parameters(), *probes.parameters()]
    optimizer = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=3e-3)
    from jpai_agent.train.symbolic import cell_features

    features = torch.tensor(cell_features(shard, np.arange(4)))
    first = None
    for _ in range(60):
        seen = trace(
            model, gather_patches(symbols(features, norm), batch.rows, batch.cells), batch.cells, batch.prompt,
            batch.prompt_mask, batch.answer_in,
        )  # fmt: skip
        loss = total(all_losses(model, seen, probes, answers, batch))
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
    with torch.no_grad():
        verdicts = evaluate(model, codec, questions, shard, SKILLS, lambda frames: symbols(features[frames], norm))
    assert rates(verdicts)["decision"] == 1.0
    assert "go_to" in report(verdicts)


def test_answers_are_judged_part_by_part(shard):
    asked = sample(shard, 0)
    right = judge(asked, asked.plan.to_json(), shard, SKILLS)
    assert all(right.parts.values())
    off = judge(asked, asked.plan.to_json().replace('"point":[', '"point":[1,1],"x":['), shard, SKILLS)
    assert not off.parts["decision"]
    away = Step("go_to", {"target": Target("赤い箱", "front", (2, 2))})
    missed = judge(asked, ActionPlan("act", (away,)).to_json(), shard, SKILLS)
    assert missed.parts["arguments"]
    assert not missed.parts["point"]
    assert not missed.parts["whole"]


def test_a_point_hits_inside_its_objects_box_only(shard):
    thing = first_visible(shard, 0)
    assert hits(tuple(shard.point[0, thing].tolist()), shard, 0, thing)
    assert not hits((999, 1), shard, 0, thing)


def test_words_for_a_landmark_are_told_to_look_at_what_the_map_has(shard, collator):
    plan = ActionPlan("ask", reason="not_found")
    for places, spot in (((), 0), (("school", "hospital", "hospital_2"), 3)):
        asked = Sample(0, "箱まで行って", plan, robot="car", places=places, place_counts=((0, 1, len(places), "hospital"),))
        question = collator.question(asked)
        (at, length, found), = question.maps
        words = [collator.plans.strings[i] for i in question.prompt]
        assert words[at : at + length] == ["箱"]
        assert found == (words.index("⟦hospital:2⟧") if spot else 0)
        batch = collator.batch([question], [0], shard, 40, np.random.default_rng(0))
        assert batch.map_spot.tolist() == [found]
