"""One tiny checkpoint with random weights of each family is loaded from disk, as it is and quantized, and answers with plans."""

import pytest
import torch
from torch import nn

from jpai_agent.vlm import load_backend
from jpai_agent.vlm.conformance import conformance, missing, requests, stored
from jpai_agent.vlm.fused import FusedLayer
from jpai_agent.vlm.quantize import Int4Linear, Int8Linear, packed
from jpai_agent.vlm.tiny import MAKERS

COMMON = ("qwen3_vl", "internvl", "smolvlm", "idefics3")  # their decoder layers run in ONNX Runtime
COUNT = {0: 3, 8: 1, 4: 1}  # of each family; `jpai bench --what conformance` asks 200 times


@pytest.fixture(scope="session", params=MAKERS)
def family(request, tmp_path_factory):
    if reason := missing(request.param):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("families") / request.param
    return request.param, stored(request.param, folder, 0)


@pytest.mark.parametrize("bits", [0, 8, 4])
def test_every_family_answers_with_plans(family, bits, tmp_path):
    model_type, plain = family
    folder = plain if not bits else stored(model_type, tmp_path / model_type, bits, plain)
    backend = load_backend(folder)
    kept = {type(module) for module in backend._model.modules()} & {Int8Linear, Int4Linear, FusedLayer}
    fused = {FusedLayer} if bits and model_type in COMMON else set()
    # with 4 bits what sees stays as it is
    torchs = {Int8Linear} if bits == 8 else {Int4Linear} if bits == 4 and not fused else set()
    assert kept == fused | torchs
    found = conformance(backend, requests(COUNT[bits], robots=("cart",)))
    assert found["invalid"] == 0, found["first_error"]


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_packed_layers_compute_what_their_integers_say(rows, dtype):
    draw = torch.Generator().manual_seed(0)
    values, bias = torch.randint(-8, 8, (64, 96), generator=draw, dtype=torch.int8), torch.randn(64, generator=draw)
    x = torch.randn(rows, 96, generator=draw)
    row, group = torch.rand(64, generator=draw) / 50, torch.rand(64, 3, generator=draw) / 50
    exact8 = nn.functional.linear(x, values * row[:, None], bias)
    exact4 = nn.functional.linear(x, values * group.repeat_interleave(32, 1), bias)
    near = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    given = x.to(dtype)
    torch.testing.assert_close(Int8Linear(values, row, bias.to(dtype))(given).float(), exact8, **near)
    torch.testing.assert_close(Int4Linear(values, group, bias.to(dtype), dtype)(given).float(), exact4, **near)


@pytest.mark.parametrize(("kind", "made"), [
    (lambda ao: ao.Int8WeightOnlyConfig(version=2), Int8Linear),
    (lambda ao: ao.Int8WeightOnlyConfig(version=2, granularity=ao.PerGroup(32)), None),
    (lambda ao: ao.IntxWeightOnlyConfig(torch.int8, ao.PerGroup(32)), None),
    (lambda ao: ao.IntxWeightOnlyConfig(torch.int4, ao.PerGroup(32)), Int4Linear),
    (lambda ao: ao.IntxWeightOnlyConfig(torch.int4, ao.PerGroup(48)), Int4Linear),
], ids=["int8", "int8 in groups", "intx8 in groups", "int4 in 32", "int4 in 48"])  # fmt: skip
def test_torchaos_weights_are_computed_as_by_itself_or_left_to_it(kind, made):
    import torchao.quantization as ao

    torch.manual_seed(0)
    linear, x = nn.Linear(192, 64, dtype=torch.bfloat16), torch.randn(20, 192, dtype=torch.bfloat16)
    ao.quantize_(nn.Sequential(linear), kind(ao))
    layer = packed(linear, torch.bfloat16)
    assert type(layer) is (made or type(None))
    for rows in (x[:1], x) if layer is not None else ():
        torch.testing.assert_close(layer(rows), linear(rows), rtol=0.05, atol=0.05)
