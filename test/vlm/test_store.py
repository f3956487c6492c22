"""Checkpoints are taken in from folders after a look, with a manifest; what cannot run here is refused by its reason."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from jpai_agent.vlm import VlmError, load_backend
from jpai_agent.vlm.store import add, check, examine, installed, models_dir, remove, resolve


@pytest.fixture
def folder(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "mine")
    (tmp_path / "mine" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (tmp_path / "mine" / "own.py").write_text("raise SystemExit('code of the checkpoint ran')")
    return tmp_path / "mine"


def configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_checkpoint_is_added_listed_verified_used_by_name_and_removed(state, folder, request_):
    manifest = add(folder, "helper", probe=False)
    assert (manifest.license, manifest.model_type, manifest.bits) == ("apache-2.0", "florence2", 32)
    assert "own.py" not in manifest.files
    assert [found.name for found in installed()] == ["helper"]
    assert check("helper") == manifest
    assert resolve("helper") == models_dir() / "helper"
    assert load_backend(resolve("helper")).plan(request_).model == "helper"
    remove("helper")
    assert installed() == []


def test_a_checkpoint_is_added_in_8_bits_after_a_look_at_the_probe_image(state, folder):
    manifest = add(folder, bits=8)
    assert (manifest.name, manifest.bits, manifest.card["points"]) == ("mine", 8, "xy1000")
    with pytest.raises(VlmError, match="quantized already"):
        add(models_dir() / "mine", "again", bits=4)


def test_an_altered_file_of_a_model_is_named(state, folder):
    add(folder, "helper", probe=False)
    (models_dir() / "helper" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(VlmError, match=r"tokenizer_config\.json was altered") as caught:
        load_backend(resolve("helper"))
    assert caught.value.reason_code == "model_altered"


@pytest.mark.parametrize(("missing", "says"), [
    ("config.json", "has no config.json"), ("model.safetensors", "has no weights"), ("tokenizer.json", "has no tokenizer"),
    ("processor_config.json", "has no image processor")])  # fmt: skip
def test_a_missing_file_is_named(state, folder, missing, says):
    (folder / missing).unlink()
    with pytest.raises(VlmError, match=says):
        add(folder)
    assert installed() == []


def test_a_shard_that_the_index_names_is_missed(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(VlmError, match=r"model-00001-of-00002\.safetensors is missing"):
        examine(folder)


def test_weights_that_were_cut_off_while_copying_are_found(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VlmError, match="is cut off"):
        examine(folder)


def test_pickled_weights_alone_are_refused(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(VlmError, match="never read"):
        examine(folder)


def test_a_checkpoint_that_needs_its_own_code_is_refused(folder):
    configure(folder, model_type="own_model", auto_map={"AutoConfig": "own.Config"})
    with pytest.raises(VlmError, match="code from checkpoints is never run"):
        examine(folder)


@pytest.mark.parametrize(("model_type", "says"), [("qwen9_vl", "does not know model type"), ("qwen3", "no image-text model")])
def test_a_type_that_transformers_does_not_know_or_that_cannot_look_is_refused(folder, model_type, says):
    configure(folder, model_type=model_type)
    with pytest.raises(VlmError, match=says):
        examine(folder)


def test_a_name_that_is_taken_or_would_lead_elsewhere_is_refused(state, folder):
    add(folder, "helper", probe=False)
    for name in ("helper", "../elsewhere", ".hidden"):
        with pytest.raises(VlmError) as caught:
            add(folder, name, probe=False)
        assert caught.value.reason_code == "bad_request"
    for name in ("..", "other"):
        with pytest.raises(VlmError, match="no model"):
            remove(name)
