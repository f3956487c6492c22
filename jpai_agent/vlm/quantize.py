"""Keep a checkpoint's linear weights in 8 or 4 bits (torchao, in safetensors), and run such weights on a CPU.

torchao's own tensors are slow in eager mode on a CPU: they are made into whole floating-point matrices at every call. So there
the linear layers are replaced by ones that hand few rows (decoding) to torch's packed kernels, which read the integers as they
are, and make floating-point weights only for many rows (the prompt), where that costs little.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from jpai_agent.vlm.backend import VlmError

BITS = (8, 4)
ENGINE_ENV = "JPAI_ENGINE"
ENGINES = ("onnx", "torch")  # on a CPU; the first where nothing is said
GROUP = 64  # weights that share a scale, of 4 bits: with 32, a tenth more is read for each token
FEW_ROWS = 8
_GROUPS = (32, 64, 128, 256)  # weights to a scale, of 4 bits, that torch has a kernel for
_CARRIED = (".json", ".jinja", ".txt", ".md", ".model")
_SEEING = ("vis", "image", "patch", "projector", "connector")  # in the names of what sees: kept as it is with 4 bits


def store_quantized(checkpoint: Path, out: Path, bits: int) -> None:
    """Write a copy of a checkpoint with its linear layers' weights in `bits`, which plain transformers loads too.

    8 bits: one scale a row. 4 bits: one scale for GROUP weights, of the language part alone; a byte each in the file, half a byte
    in memory. Embeddings and the output layer stay as they are.

    Raises:
        VlmError: bad_request for other bits, model_unavailable when transformers cannot load the checkpoint.
    """
    from transformers import AutoModelForImageTextToText, TorchAoConfig

    from jpai_agent.vlm.processors import LOCAL, loading

    if bits not in BITS:
        raise VlmError("bad_request", f"{bits} bits: linear weights can be kept in {' or '.join(map(str, BITS))}")
    with loading(checkpoint):
        if bits == 8:
            config = TorchAoConfig(scheme(8))
        else:
            config = TorchAoConfig(scheme(4), modules_to_not_convert=list(_left_as_they_are(checkpoint)))
        model: Any = AutoModelForImageTextToText.from_pretrained(checkpoint, use_safetensors=True,
                                                                 quantization_config=config, **LOCAL)
    model.save_pretrained(out)
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and not (out / path.name).exists() and path.suffix in _CARRIED and "index" not in path.name:
            shutil.copy2(path, out / path.name)
    # safetensors are written readable by their owner alone
    for path in out.iterdir():
        path.chmod(0o644)


def scheme(bits: int) -> Any:
    """torchao's way of keeping linear weights in 8 or 4 bits."""
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, PerGroup

    if bits == 8:
        return Int8WeightOnlyConfig(version=2)
    return IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP))  # type: ignore[attr-defined]


def _left_as_they_are(checkpoint: Path) -> Iterator[str]:
    """Names of the linear layers that 4 bits would hurt or do not fit, and of the output layer."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    from jpai_agent.vlm.processors import LOCAL

    config = AutoConfig.from_pretrained(checkpoint, **LOCAL)
    with torch.device("meta"):
        model: Any = AutoModelForImageTextToText.from_config(config)
    output = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and (
                module is output or module.in_features % GROUP or any(part in name for part in _SEEING)):
            yield name


class Int8Linear(nn.Module):
    """A linear layer with int8 weights (N, K) and one scale a row (N,), on a CPU."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("scale", scale.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, K) → (…, N)"""
        rows = x.reshape(-1, x.shape[-1])
        if rows.shape[0] <= FEW_ROWS and x.dtype == torch.bfloat16:
            y = torch._weight_int8pack_mm(rows, self.weight, self.scale.to(x.dtype))
        else:
            y = (rows @ self.weight.to(x.dtype).T) * self.scale.to(x.dtype)
        y = y if self.bias is None else y + self.bias
        return y.reshape(*x.shape[:-1], -1)


class Int4Linear(nn.Module):
    """A linear layer with int4 weights, two to a byte (N, K / 2), and a scale for each group of them (N, groups), on a CPU.

    Where torch has a kernel for the shape, the weights are there once more as that kernel wants them.
    """

    pairs: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, values: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        shifted = (values + 8).to(torch.uint8)
        self.register_buffer("pairs", (shifted[:, ::2] | (shifted[:, 1::2] << 4)).contiguous())
        self.register_buffer("scale", scale.contiguous())
        self.register_buffer("bias", bias)
        self._packed: tuple[torch.Tensor, torch.Tensor] | None = None
        self._group = values.shape[1] // scale.shape[1]
        if dtype == torch.bfloat16 and values.shape[0] % 32 == 0 and self._group in _GROUPS:
            zeros = torch.stack([scale, torch.zeros_like(scale)], -1).transpose(0, 1).contiguous().to(dtype)
            self._packed = torch._convert_weight_to_int4pack_for_cpu(shifted.to(torch.int32), 1), zeros

    def weights(self, dtype: torch.dtype) -> torch.Tensor:
        """(N, K) in floating point."""
        values = torch.stack([self.pairs & 15, self.pairs >> 4], -1).to(dtype) - 8
        return (values.reshape(*self.scale.shape, -1) * self.scale.to(dtype)[..., None]).reshape(values.shape[0], -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, K) → (…, N)"""
        rows = x.reshape(-1, x.shape[-1])
        if self._packed is not None and rows.shape[0] <= FEW_ROWS and x.dtype == torch.bfloat16:
            y = torch._weight_int4pack_mm_for_cpu(rows.contiguous(), self._packed[0], self._group, self._packed[1])
        else:
            y = rows @ self.weights(x.dtype).T
        y = y if self.bias is None else y + self.bias
        return y.reshape(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Integers:
    """What a quantized linear layer holds: values (N, K) int8 in the range of `bits`, scale (N, groups), bias (N,) or None."""

    values: torch.Tensor
    scale: torch.Tensor
    bits: int
    bias: torch.Tensor | None


def integers(linear: Any) -> Integers | None:
    """The integers of a linear layer with torchao's int8 or int4 weights; None for any other layer."""
    if not isinstance(linear, nn.Linear):
        return None
    weight: Any = linear.weight
    kind = type(weight).__name__
    bias = None if linear.bias is None else linear.bias.detach()
    if kind == "Int8Tensor":
        return Integers(weight.qdata, weight.scale.reshape(weight.qdata.shape[0], -1), 8, bias)
    # a zero point would be another layer; torchao's symmetric mapping has none
    four = kind == "IntxUnpackedToInt8Tensor" and weight.target_dtype == torch.int4  # type: ignore[attr-defined]
    if four and not bool(weight.zero_point.any()):
        return Integers(weight.qdata, weight.scale.reshape(weight.qdata.shape[0], -1), 4, bias)
    return None


def packed(linear: Any, dtype: torch.dtype) -> nn.Module | None:
    """What runs a linear layer with torchao's int8 or int4 weights on a CPU; None for any other layer.

    None also for int8 weights with several scales a row: no kernel of torch's reads them.
    """
    found = integers(linear)
    if found is None or (found.bits == 8 and found.scale.shape[1] != 1):
        return None
    bias = None if found.bias is None else found.bias.to(dtype)
    if found.bits == 8:
        return Int8Linear(found.values, found.scale.reshape(-1), bias)
    return Int4Linear(found.values, found.scale, bias, dtype)


def pack_for_cpu(model: nn.Module, *, threads: int = 1, engine: str | None = None) -> int:
    """Replace a loaded model's quantized linear layers by what is fast on a CPU. Returns how many linear layers are torch's.

    Args:
        threads: Of ONNX Runtime.
        engine: "torch": torch's packed kernels alone; "onnx": decoder layers of the common kind as graphs (`fused`). Left out:
            what the environment variable JPAI_ENGINE says, else "onnx".

    Raises:
        VlmError: bad_request for another engine.
    """
    from jpai_agent.vlm.fused import fuse

    engine = engine or os.environ.get(ENGINE_ENV) or ENGINES[0]
    if engine not in ENGINES:
        raise VlmError("bad_request", f"{ENGINE_ENV}={engine}: quantized models run with {' or '.join(ENGINES)} on a CPU")
    if engine == "onnx":
        fuse(model, threads)
    dtype = getattr(model, "dtype", torch.float32)
    found = [(parent, name, made) for parent in list(model.modules()) for name, child in list(parent.named_children())
             if (made := packed(child, dtype)) is not None]
    for parent, name, made in found:
        setattr(parent, name, made)
    return len(found)
