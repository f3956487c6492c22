"""The embedded model continues on reviewed examples: a point becomes a thing to look at, and its answers get nearer."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from own_runs import reviewed

from jpai_agent.plan import ActionPlan
from jpai_agent.skills import skills_for
from jpai_agent.train.courses import Course
from jpai_agent.train.loop import Loop
from jpai_agent.train.model import ModelSize, build_model, build_processor, load_checkpoint, save_checkpoint
from jpai_agent.train.own import ExamplesError
from jpai_agent.train.own_embedded import OwnTrainer, is_embedded_kind, shard_of
from jpai_agent.train.tokenizer import build_tokenizer

TINY = ModelSize(tower=(8, 16, 24), tower_depths=(1, 1, 1), tower_heads=(1, 2, 2), d_model=48, heads=3, encoder_layers=4,
                 decoder_layers=1, encoder_ffn=64, decoder_ffn=64)  # fmt: skip


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return reviewed(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded") / "checkpoint"
    tokenizer = build_tokenizer(skills_for("cart").values(), ["赤い箱まで行って秒待"], ["dock"])
    save_checkpoint(folder, build_model(tokenizer, TINY), build_processor(tokenizer))
    return folder


def test_a_point_becomes_a_thing_around_it_and_its_words_are_found(examples):
    shard, samples = shard_of(examples)
    assert shard.frames.shape == (3, 192, 320, 3)
    rows, columns = (shard.cell_object[1] == 0).nonzero()
    assert 1 <= len(rows) <= 4
    assert abs((columns.mean() + 0.5) / 20 - 0.255) < 0.05
    assert abs((rows.mean() + 0.5) / 12 - 0.690) < 0.05
    assert (samples[1].targets, samples[1].label_spans, samples[1].earlier, samples[1].question) == (
        (0,), ((0, 3),), "箱まで行って", True)
    assert (samples[2].running, samples[2].speed_mps) == ("go_to", 0.6)


def answer_loss(trainer):
    group = trainer.own_group(np.random.default_rng(0))
    return trainer.losses(trainer.pixel_tokens(group.shard, group.frames), group)


def test_the_loss_on_the_examples_falls(examples, checkpoint, tmp_path):
    trainer = OwnTrainer(checkpoint, examples, [], tmp_path, share=1.0)
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        loss, parts = answer_loss(trainer)
        losses.append(float(parts["answer"].detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_a_run_goes_on_from_its_state_and_leaves_the_tower_as_it_was(examples, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "draw", lambda self: None)  # the curves take longest
    steps = []
    for _ in range(2):
        trainer = OwnTrainer(checkpoint, examples, [], tmp_path, share=1.0)
        tower = {name: value.clone() for name, value in trainer.model.model.vision_tower.state_dict().items()}
        made = trainer.tune(minutes=1e-4)
        steps.append(torch.load(tmp_path / "own.pt", weights_only=True)["step"])
    assert steps == [1, 2]
    loaded = load_checkpoint(made)[0].state_dict()
    assert all(torch.equal(value, loaded[f"model.vision_tower.{name}"]) for name, value in tower.items())
    assert is_embedded_kind(made)


def test_an_example_that_the_model_has_no_words_for_is_named(examples, checkpoint, tmp_path):
    strange = replace(examples[0], plan=ActionPlan("act", examples[1].plan.steps[:1] * 30))
    with pytest.raises(ExamplesError, match="cannot say: one:0: instruction or plan is too long"):
        OwnTrainer(checkpoint, [strange], [], tmp_path, share=1.0)


def test_without_rendered_frames_only_own_examples_can_be_trained_on(examples, checkpoint, tmp_path):
    nothing = Course("cart", None, {}, tmp_path / "train", tmp_path / "val")
    trainer = OwnTrainer(checkpoint, examples, [nothing], tmp_path, share=0.3)
    with pytest.raises(FileNotFoundError, match="no frames"):
        next(trainer.mixed(4, 4, np.random.default_rng(0)))
