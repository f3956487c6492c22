"""Any checkpoint that transformers loads from a local folder can plan; no code and no pickle of it is run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jpai_agent.plan import parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm import VlmError, load_backend
from jpai_agent.vlm.conformance import conformance, requests
from jpai_agent.vlm.hf_backend import HfBackend
from jpai_agent.vlm.patience import Patience, waiting
from jpai_agent.vlm.quantize import store_quantized


@pytest.fixture(scope="module")
def hf(checkpoint):
    return HfBackend(checkpoint, device="cpu")


def test_a_checkpoint_without_a_manifest_plans_through_transformers(checkpoint, request_):
    backend = load_backend(checkpoint)
    assert isinstance(backend, HfBackend)
    answer = backend.plan(request_)
    assert parse_plan(answer.text, skills_for("cart"), places=request_.places)
    assert 0 < answer.probability <= 1
    assert answer.confidence is None
    assert answer.timings_ms["total"] > 0


def test_an_answer_that_does_not_end_is_none_and_counted_as_invalid(hf, checkpoint, request_, monkeypatch):
    whole = hf.plan(request_)
    monkeypatch.setattr("jpai_agent.vlm.hf_backend.ANSWER_TOKENS_MAX", whole.answer_tokens)
    assert hf.plan(request_).text == whole.text
    monkeypatch.setattr("jpai_agent.vlm.hf_backend.ANSWER_TOKENS_MAX", whole.answer_tokens - 1)
    with pytest.raises(VlmError, match=f"no end after {whole.answer_tokens - 1} tokens") as caught:
        hf.plan(request_)
    assert caught.value.reason_code == "plan_error"
    monkeypatch.setattr("jpai_agent.vlm.hf_backend.ANSWER_TOKENS_MAX", 1)
    assert HfBackend(checkpoint, device="cpu").codec_found is None
    assert conformance(hf, requests(2))["invalid"] == 2


TEMPLATE = """\
{%- for message in messages -%}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def test_decoding_leaves_off_once_nobody_waits_for_it(hf, request_):
    with pytest.raises(VlmError, match="deadline") as caught, waiting(Patience(0.0)):
        hf.plan(request_)
    assert caught.value.reason_code == "model_timeout"
    assert hf.plan(request_).text


@pytest.fixture(scope="module")
def decoder_only(tmp_path_factory):
    """A tiny LLaVA: one decoder, byte-level tokens, a processor with a chat template of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
    core.add_special_tokens([AddedToken(token, special=True) for token in controls])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={"image_token": "<image>"},
    )
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(num_hidden_layers=1, image_size=32, patch_size=16, **small),
        text_config=LlamaConfig(
            vocab_size=280,
            num_hidden_layers=1,
            max_position_embeddings=8192,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **small,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    folder = tmp_path_factory.mktemp("llava")
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
        image_token="<image>",
    ).save_pretrained(folder)
    return folder


def test_a_decoder_only_model_with_byte_tokens_plans_too(decoder_only, request_):
    backend = load_backend(decoder_only)
    answer = backend.plan(request_)
    assert parse_plan(answer.text, skills_for("cart"), places=request_.places)
    assert 0 <= answer.probability < 1
    assert answer.answer_tokens >= len(answer.text)


def test_torch_and_the_exported_graphs_read_the_same_prompt_and_give_like_probability(hf, backend, request_):
    torch_answer, onnx_answer = hf.plan(request_), backend.plan(request_)
    assert torch_answer.prompt_tokens == onnx_answer.prompt_tokens
    assert np.log(torch_answer.probability) == pytest.approx(np.log(onnx_answer.probability), rel=0.05)


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(checkpoint, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(VlmError) as caught:
        load_backend(folder)
    assert caught.value.reason_code == "model_unavailable"


@pytest.mark.parametrize("load", [HfBackend, lambda folder: store_quantized(folder, folder / "out", 8)], ids=["run", "quantize"])
def test_weights_that_are_damaged_or_of_other_sizes_are_named(checkpoint, load, tmp_path):
    folder = Path(shutil.copytree(checkpoint, tmp_path / "damaged"))
    weights, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    whole = weights.read_bytes()
    for harmed in (whole[:-8], b"\xff" * 1000):
        weights.write_bytes(harmed)
        with pytest.raises(VlmError, match=r"damaged/model\.safetensors cannot be read") as caught:
            load(folder)
        assert caught.value.reason_code == "model_unavailable"
    weights.write_bytes(whole)
    config["text_config"]["encoder_ffn_dim"] *= 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(VlmError, match=r"cannot load .*damaged") as caught:
        load(folder)
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
