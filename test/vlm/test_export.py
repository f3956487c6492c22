"""The exported folder is the checkpoint: int8, loadable by transformers alone, and the graphs do what torch does."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, AutoProcessor

from jpai_agent.vlm import VlmError, verify
from jpai_agent.vlm.export import check, load_dequantized


def test_the_weights_of_linear_layers_are_stored_in_int8(model_folder, checkpoint):
    with safe_open(model_folder / "model.safetensors", framework="pt") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    quantized = [name for name, kind in kinds.items() if kind == "I8"]
    assert any("encoder.layers.0.fc1" in name for name in quantized)
    assert any("vision_tower" in name for name in quantized)
    assert (model_folder / "model.safetensors").stat().st_size < (checkpoint / "model.safetensors").stat().st_size


def test_transformers_loads_the_folder_with_no_custom_code_and_answers(model_folder, frame):
    model = AutoModelForImageTextToText.from_pretrained(model_folder, local_files_only=True, trust_remote_code=False)
    processor = AutoProcessor.from_pretrained(model_folder, local_files_only=True, trust_remote_code=False)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "赤い箱まで行って"}]}]
    prompt = processor.tokenizer.apply_chat_template(messages, tokenize=False)
    inputs = processor(images=frame, text=prompt, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert output.shape[0] == 1


def test_the_stored_weights_are_the_trained_ones_within_int8(model_folder, checkpoint):
    trained = AutoModelForImageTextToText.from_pretrained(checkpoint, local_files_only=True)
    stored = load_dequantized(model_folder)
    for (name, wanted), (_, found) in zip(trained.named_parameters(), stored.named_parameters(), strict=True):
        assert (wanted - found).abs().max() <= wanted.abs().max() / 120, name


def test_the_graphs_agree_with_torch(model_folder):
    found = check(load_dequantized(model_folder), model_folder)
    assert found["features"] < 0.05
    assert found["cross"] < 0.05
    assert found["logits"] < 0.05
    assert found["argmax"] > 0.9


def test_graphs_of_other_weights_do_not_pass_the_check(model_folder):
    model = load_dequantized(model_folder)
    with torch.no_grad():
        model.model.language_model.encoder.layers[0].fc2.bias.add_(torch.linspace(-2, 2, 32))
    with pytest.raises(VlmError, match="differ"):
        check(model, model_folder)


def test_the_manifest_carries_the_training_notes_and_the_measured_differences(model_folder):
    manifest = verify(model_folder)
    assert manifest.card["seed"] == 0
    assert manifest.card["purpose"] == "tests"
    assert 0 <= manifest.card["export"]["check"]["logits"] < 0.05
    assert manifest.parameters > 10_000


def test_a_model_card_that_people_wrote_outlives_the_next_export(model_folder, checkpoint, tmp_path, monkeypatch):
    from jpai_agent.vlm import export as module

    out = tmp_path / "model"
    shutil.copytree(model_folder, out)
    (out / "README.md").write_text("# The model\n")
    graphs = model_folder / "onnx"
    monkeypatch.setattr(module, "export_graphs", lambda model, folder: shutil.copytree(graphs, folder / "onnx"))
    module.export(checkpoint, out)
    assert (out / "README.md").read_text() == "# The model\n"
    assert "README.md" in json.loads((out / "manifest.json").read_text())["files"]
    verify(out)
