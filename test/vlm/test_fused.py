"""Quantized decoder layers of the common kind run as graphs that compute what they replace; any other is left to torch."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from jpai_agent.vlm import VlmError
from jpai_agent.vlm.fused import FusedLayer, FusedLinear, Step, fuse, in_eight_bits
from jpai_agent.vlm.large import Decoder, Size, bench_large, language_part, serve, weight_bytes
from jpai_agent.vlm.quantize import Int4Linear, Int8Linear, pack_for_cpu

TINY = Size(width=64, inner=192, layers=2, heads=4, key_heads=2, head_dim=16, words=200)


def logits(model, token, cache):
    with torch.inference_mode():
        hidden = model.decoder(input_ids=torch.tensor([token]), past_key_values=cache, use_cache=True).last_hidden_state
        return model.lm_head(hidden[:, -1:])


@pytest.mark.parametrize("bits", [8, 4])
def test_a_prompt_and_what_follows_are_computed_as_by_torch(bits):
    from transformers import DynamicCache

    plain, fused = language_part(TINY, bits), language_part(TINY, bits)
    assert fuse(fused) == TINY.layers
    assert all(isinstance(layer, FusedLayer) for layer in fused.decoder.layers) and isinstance(fused.lm_head, FusedLinear)
    caches = DynamicCache(config=plain.decoder.config), DynamicCache(config=fused.decoder.config)
    for tokens in ([3, 1, 4, 1, 5], [9], [2], [6, 5, 3], [5]):
        wanted, found = (logits(model, tokens, cache).float() for model, cache in zip((plain, fused), caches, strict=True))
        # bfloat16 there, int8 activations here
        assert (found - wanted).norm() < 0.05 * wanted.norm()
    assert caches[1].get_seq_length() == 11


@pytest.mark.parametrize(("group", "layers"), [(32, TINY.layers), (8, 0)])
def test_weights_of_8_bits_in_groups_keep_the_scale_of_each(group, layers):
    from torchao.quantization import Int8WeightOnlyConfig, PerGroup, quantize_
    from transformers import DynamicCache

    plain, fused = (language_part(TINY, 16) for _ in range(2))
    for model in (plain, fused):
        quantize_(model.decoder.layers, Int8WeightOnlyConfig(version=2, granularity=PerGroup(group)))
    assert fuse(fused) == layers
    wanted, found = (logits(model, [3, 1, 4], DynamicCache(config=model.decoder.config)).float() for model in (plain, fused))
    assert (found - wanted).norm() < 0.05 * wanted.norm()


def test_a_cache_grows_with_its_sequence_and_begins_anew_with_the_next(monkeypatch):
    from transformers import DynamicCache

    monkeypatch.setattr("jpai_agent.vlm.fused.POSITIONS", 4)
    model = language_part(TINY, 8)
    fuse(model)
    cache = DynamicCache(config=model.decoder.config)
    first = logits(model, [3, 1], cache)
    for token in range(7):
        last = logits(model, [token], cache)
    whole = logits(model, [3, 1, *range(7)], DynamicCache(config=model.decoder.config))
    torch.testing.assert_close(whole, last, rtol=0.02, atol=0.02)
    torch.testing.assert_close(logits(model, [3, 1], DynamicCache(config=model.decoder.config)), first)


def test_models_with_one_thread_and_with_several_run_beside_each_other():
    x, weights = torch.randn(1, 64), in_eight_bits(nn.Linear(64, 96))
    wanted = FusedLinear(weights, Step(1, 16))(x)
    for threads in (2, 1, 2):
        torch.testing.assert_close(FusedLinear(weights, Step(threads, 16))(x), wanted)


def test_a_mask_that_is_not_causal_is_refused():
    model = language_part(TINY, 8)
    fuse(model)
    x, turned = torch.zeros(1, 3, 64), (torch.ones(1, 3, 16), torch.zeros(1, 3, 16))
    with pytest.raises(VlmError, match="JPAI_ENGINE=torch"):
        model.decoder.layers[0](x, torch.ones(1, 1, 3, 3, dtype=torch.bool), position_embeddings=turned)


def test_a_layer_that_computes_something_else_is_left_to_torch(caplog):
    class Doubled(nn.Module):
        def __init__(self, kept):
            super().__init__()
            self.q_proj, self.k_proj, self.v_proj, self.o_proj = kept.q_proj, kept.k_proj, kept.v_proj, kept.o_proj
            self.q_norm, self.k_norm, self.config = kept.q_norm, kept.k_norm, kept.config
            self.head_dim, self.scaling = kept.head_dim, kept.scaling
            self._kept = [kept]

        def forward(self, **given):
            seen, weights = self._kept[0](**given)
            return 2 * seen, weights

    model = language_part(TINY, 4)
    model.decoder.layers[1].self_attn = Doubled(model.decoder.layers[1].self_attn)
    assert fuse(model) == 1
    assert "layer 1 computes something else" in caplog.text
    assert isinstance(model.decoder.layers[0], FusedLayer) and not isinstance(model.decoder.layers[1], FusedLayer)


@pytest.mark.parametrize(("bits", "kind"), [(8, Int8Linear), (4, Int4Linear)])
def test_the_environment_leaves_all_to_torch(monkeypatch, bits, kind):
    monkeypatch.setenv("JPAI_ENGINE", "torch")
    model = language_part(TINY, bits)
    assert pack_for_cpu(model) == 7 * TINY.layers
    assert any(isinstance(module, kind) for module in model.modules())
    monkeypatch.setenv("JPAI_ENGINE", "other")
    with pytest.raises(VlmError, match="onnx or torch"):
        pack_for_cpu(model)


def test_weights_that_a_token_reads_are_counted():
    model = language_part(TINY, 4)
    linear = TINY.layers * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 192)
    output = 64 * 200
    fuse(model)
    # a scale of four bytes for 64 weights
    assert weight_bytes(model) == linear // 2 + linear // 16 + output + output // 16


def test_decoding_is_greedy_and_goes_on():
    decoder = Decoder(language_part(TINY, 16))
    decoder.first([1, 2, 3])
    decoder.next()
    assert decoder._cache.get_seq_length() == 4


def test_engines_are_compared_with_each_other_and_with_the_bandwidth(monkeypatch):
    class Stand:
        def __init__(self, name, *_):
            self.said = {"bytes": 100 if name == "memory" else 50, "first_token_ms": 1, "resident_mb": 1, "memory_mb": 1}
            self.seconds = {"memory": 0.1, "llama.cpp": 0.08}.get(name, 0.1)

        def turn(self, count):
            return np.full((count, 2), self.seconds)

        def close(self):
            pass

    monkeypatch.setenv("JPAI_LLAMA_PYTHON", "python")
    monkeypatch.setattr("jpai_agent.vlm.large._Child", Stand)
    found = bench_large((4,), 1, 4, 2, size=TINY, only=["ONNX", "llama"])
    row, other = found["bits"]["4"]["engines"].values()
    assert (row["n"], row["tokens_per_s"]["median"], row["of_limit"]["median"]) == (4, 10, 0.5)
    assert row["ratio_to_llama_cpp"]["median"] == 0.8
    assert other["tokens_per_s"]["median"] == 12.5


def test_a_process_of_an_engine_times_the_tokens_it_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", ["2\n", "1\n"])
    serve("ONNX Runtime, a call a layer (chosen)", 4, 1, TINY)
    said, *turns = map(json.loads, capsys.readouterr().out.splitlines())
    assert said["first_token_ms"] > 0 and said["bytes"] > 0
    assert [len(turn) for turn in turns] == [2, 1]


def test_there_is_no_bench_of_an_accelerator_without_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no accelerator"):
        bench_large(device="cuda")
