"""Fine-tuning a checkpoint: it learns, goes on as if never broken off, and what it has learnt is loaded with its base alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))

from own_runs import reviewed

from jpai_agent.plan import ActionPlan, Step
from jpai_agent.vlm import VlmError, load_backend
from jpai_agent.vlm.adapters import BASE, CONFIG, WEIGHTS, find_base
from jpai_agent.vlm.store import add, models_dir
from jpai_agent.vlm.tiny import save_tiny

pytest.importorskip("peft", reason="peft is an extra: requirements-train.lock")

from jpai_agent.train.lora import Settings, Tuner, answer_logits, answer_loss, layers_to_tune

SETTINGS = Settings(rank=4, alpha=16, rate=0.02, epochs=6, batch=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(base, examples, a tuner that has run, the loss before, its adapter)"""
    folder = tmp_path_factory.mktemp("lora")
    save_tiny("qwen3_vl", folder / "base")
    # an output layer of random weights is all but deaf, and nothing behind it could learn
    weights = load_file(folder / "base" / "model.safetensors")
    louder = {"lm_head.weight": 20 * weights["lm_head.weight"]}
    save_file(weights | louder, folder / "base" / "model.safetensors", {"format": "pt"})
    examples = reviewed(folder)
    tuner = Tuner(folder / "base", examples, folder / "out", SETTINGS)
    before = tuner.loss()
    return folder / "base", examples, tuner, before, tuner.run(tell=lambda line: None)


@pytest.fixture
def adapter(made, tmp_path):
    """A copy of the adapter to break."""
    return Path(shutil.copytree(made[4], tmp_path / "adapter"))


def test_the_loss_falls_and_only_the_language_part_is_tuned(made):
    _, _, tuner, before, _ = made
    assert tuner.loss() < 0.8 * before
    assert tuner.step == tuner.steps == len(tuner.history) == 12
    names = [name for name, _ in tuner.backend.model.named_modules() if name.endswith("lora_A")]
    assert names and all("visual" not in name and "lm_head" not in name for name in names)


def test_an_adapter_loaded_with_its_base_answers_as_it_did_when_it_was_trained(made):
    _, examples, tuner, _, adapter = made
    loaded = load_backend(adapter)
    assert loaded.name == "base-tuned"
    for example in examples:
        with torch.no_grad():
            torch.testing.assert_close(answer_loss(loaded, example), answer_loss(tuner.backend, example), rtol=1e-4, atol=1e-4)
        assert loaded.plan(example.request()).text == tuner.backend.plan(example.request()).text


def test_a_run_that_was_broken_off_goes_on_exactly(made, tmp_path):
    base, examples, whole, _, _ = made
    Tuner(base, examples, tmp_path, SETTINGS).run(until=7, tell=lambda line: None)
    assert not (tmp_path / "adapter").exists()
    again = Tuner(base, examples, tmp_path, SETTINGS)
    assert again.step == 7
    again.run(tell=lambda line: None)
    for name, value in again.parameters.items():
        assert torch.equal(value, whole.parameters[name]), name
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]


def test_a_run_does_not_go_on_with_other_examples_settings_or_another_base(made, tmp_path):
    base, examples, _, _, _ = made
    Tuner(base, examples, tmp_path, SETTINGS).run(until=1, tell=lambda line: None)
    with pytest.raises(VlmError, match="was begun with other examples"):
        Tuner(base, examples[:2], tmp_path, SETTINGS)
    with pytest.raises(VlmError, match="was begun with other settings"):
        Tuner(base, examples, tmp_path, replace(SETTINGS, rate=0.01))
    other = tmp_path / "other"
    save_tiny("qwen3_vl", other, seed=1)
    with pytest.raises(VlmError, match="was begun on another checkpoint"):
        Tuner(other, examples, tmp_path, SETTINGS)


def test_two_processes_learn_what_one_does(made, tmp_path, monkeypatch):
    base, examples, whole, _, _ = made
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    other = f"""
from pathlib import Path
from jpai_agent.train.lora import Settings, Tuner
from jpai_agent.train.own import read_examples
examples = read_examples(Path({str(base.parent / "examples")!r}))
Tuner(Path({str(base)!r}), examples, Path({str(tmp_path)!r}), Settings(**{asdict(SETTINGS)!r})).run(until=3)
"""
    told = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": "1", "LOCAL_RANK": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    process = subprocess.Popen([sys.executable, "-c", other])
    monkeypatch.setenv("RANK", "0")
    try:
        both = Tuner(base, examples, tmp_path, SETTINGS)
        assert both.world == 2
        both.run(until=3, tell=lambda line: None)
        assert process.wait() == 0
    finally:
        process.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert [row["loss"] for row in both.history] == pytest.approx([row["loss"] for row in whole.history[:3]], abs=2e-4)


def test_an_adapter_is_added_by_name_alone_or_in_8_bits_with_its_base_in_it(made, state):
    _, examples, _, _, adapter = made
    manifest = add(adapter, "mine")
    assert sorted(manifest.files) == ["README.md", CONFIG, WEIGHTS, BASE]
    assert find_base(models_dir() / "mine") == made[0]
    whole = add(adapter, "mine-int8", bits=8, probe=False)
    assert (whole.bits, CONFIG in whole.files) == (8, False)
    for name in ("mine", "mine-int8"):
        assert load_backend(models_dir() / name).plan(examples[0].request()).model == name


def test_an_adapter_of_others_is_told_its_base(made, adapter, state):
    (adapter / BASE).unlink()
    with pytest.raises(VlmError, match=r"does not say which checkpoint it belongs to.*--base"):
        add(adapter, "foreign")
    assert add(adapter, "foreign", base=made[0], probe=False).card["family"] == "Qwen3-VL"
    with pytest.raises(VlmError, match="is a whole checkpoint"):
        add(made[0], "base", base=made[0])


def test_an_adapter_is_not_laid_over_a_base_that_was_altered_or_is_gone(made, adapter, tmp_path):
    altered = Path(shutil.copytree(made[0], tmp_path / "altered"))
    save_tiny("qwen3_vl", altered, seed=3)
    said = json.loads((adapter / BASE).read_text())
    (adapter / "manifest.json").unlink()
    (adapter / BASE).write_text(json.dumps(said | {"folder": str(altered)}))
    with pytest.raises(VlmError, match=r"trained on base with sha256 .* another checkpoint or was altered") as caught:
        load_backend(adapter)
    assert caught.value.reason_code == "model_altered"
    (adapter / BASE).write_text(json.dumps(said | {"folder": str(tmp_path / "gone")}))
    with pytest.raises(VlmError, match=r"needs base, the checkpoint that it was trained on: add it"):
        load_backend(adapter)


@pytest.mark.parametrize(("change", "says"), [
    ({"peft_type": "IA3"}, "LoRA alone can be used"), ({"use_dora": True}, "trained with use_dora"),
    ({"modules_to_save": ["lm_head"]}, "trained with modules_to_save")])  # fmt: skip
def test_other_sorts_of_adapters_are_refused_by_what_they_are(adapter, change, says):
    path = adapter / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (adapter / "manifest.json").unlink()
    with pytest.raises(VlmError, match=says):
        load_backend(adapter)


def test_an_altered_adapter_does_not_load(adapter):
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(VlmError, match="was altered"):
        load_backend(adapter)
    (adapter / "manifest.json").unlink()
    with pytest.raises(VlmError, match=r"adapter_model\.safetensors cannot be read"):
        load_backend(adapter)


def test_a_plan_that_the_grammar_would_not_let_be_answered_is_named(made, tmp_path):
    base, examples, _, _, _ = made
    long = replace(examples[0], plan=ActionPlan("act", (Step("wait", {"duration_s": 1.0}),) * 9))
    with pytest.raises(VlmError, match="example one:0: the grammar of cart's plans does not admit"):
        Tuner(base, [long], tmp_path, SETTINGS)


def test_what_is_quantized_or_an_adapter_itself_is_not_tuned(made, tmp_path):
    base, examples, _, _, adapter = made
    with pytest.raises(VlmError, match="is an adapter: fine-tune the whole checkpoint"):
        Tuner(adapter, examples, tmp_path, SETTINGS)
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "config.json").write_text(json.dumps(config | {"quantization_config": {}}))
    with pytest.raises(VlmError, match="is quantized: fine-tune the whole checkpoint"):
        Tuner(tmp_path / "int8", examples, tmp_path, SETTINGS)


@pytest.mark.parametrize("family", ["florence2", "paligemma"])
def test_an_answer_is_taught_as_it_would_be_generated(family, made, tmp_path):
    """Of an encoder–decoder, and of a prefix that looks both ways: no token of an answer is told those after it."""
    save_tiny(family, tmp_path)
    backend = load_backend(tmp_path)
    request, plan = made[1][1].request(), made[1][1].plan
    with torch.no_grad():
        inputs, answer = backend.lesson(request, plan.to_json())
        whole = answer_logits(backend, inputs, torch.tensor([answer]))
        begun = answer_logits(backend, inputs, torch.tensor([answer[:9]]))
    assert layers_to_tune(backend.model)
    torch.testing.assert_close(begun[:, :9], whole[:, :9], rtol=1e-5, atol=1e-5)
