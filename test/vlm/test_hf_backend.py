"""Any checkpoint that transformers loads from a local folder can plan; no code and no pickle of it is run."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from jpai_agent.plan import parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm import VlmError, load_backend
from jpai_agent.vlm.hf_backend import HfBackend


@pytest.fixture(scope="module")
def hf(checkpoint):
    return HfBackend(checkpoint, device="cpu")


def test_a_checkpoint_without_a_manifest_plans_through_transformers(checkpoint, request_):
    backend = load_backend(checkpoint)
    assert isinstance(backend, HfBackend)
    answer = backend.plan(request_)
    assert parse_plan(answer.text, skills_for("cart"), places=request_.places)
    assert 0 < answer.confidence <= 1
    assert answer.timings_ms["total"] > 0


def test_torch_and_the_exported_graphs_read_the_same_prompt_and_give_like_confidence(hf, backend, request_):
    torch_answer, onnx_answer = hf.plan(request_), backend.plan(request_)
    assert torch_answer.prompt_tokens == onnx_answer.prompt_tokens
    assert torch_answer.confidence == pytest.approx(onnx_answer.confidence, rel=0.05)


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(checkpoint, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(VlmError) as caught:
        load_backend(folder)
    assert caught.value.reason_code == "model_unavailable"


def test_a_checkpoints_own_code_is_not_run(checkpoint, tmp_path):
    folder = tmp_path / "coded"
    shutil.copytree(checkpoint, folder)
    config = (folder / "config.json").read_text().replace('"florence2"', '"own_model"')
    (folder / "config.json").write_text(config.replace("{", '{"auto_map": {"AutoConfig": "own.Config"},', 1))
    (folder / "own.py").write_text("raise SystemExit('code of the checkpoint ran')")
    with pytest.raises(VlmError):
        load_backend(folder)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(VlmError) as caught:
        load_backend(tmp_path)
    assert caught.value.reason_code == "model_unavailable"


def test_words_without_a_frame_are_an_error(hf, request_):
    from dataclasses import replace

    with pytest.raises(VlmError):
        hf.plan(replace(request_, images={}))
