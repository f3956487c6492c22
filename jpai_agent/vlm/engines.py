"""Time what could run a language model's linear layers on this CPU, side by side: one token's decoding is all but them.

Decoding reads every weight once for each token, so its bound is the memory's bandwidth, which is measured in the same run. The
layers are as wide as those of a 2B model; there are enough of them to be larger than the processor's caches.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from jpai_agent.vlm.bench import machine
from jpai_agent.vlm.quantize import GROUP, Int4Linear, Int8Linear

WIDTH, INNER, LAYERS = 2048, 6144, 8


def bench_engines(repeats: int = 15, seed: int = 0, *, width: int = WIDTH, inner: int = INNER,
                  layers: int = LAYERS) -> dict[str, Any]:
    """Milliseconds of the processor (least of `repeats`, one thread) for a token through pairs of layers, by engine and bits."""
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(seed)
    shapes = [(inner, width), (width, inner)] * layers
    count = sum(rows * columns for rows, columns in shapes)
    integers = [torch.randint(-8, 8, shape, generator=draw, dtype=torch.int8) for shape in shapes]
    x = torch.randn(1, width, generator=draw)
    rows = {name: (size, _fastest(run, repeats)) for name, size, run in _engines(integers, x)}
    bandwidth = _bandwidth(repeats)
    table = {name: {"ms": round(ms, 2), "gb_per_s": round(size / ms / 1e6, 1),
                    "of_bandwidth": round(size / ms / 1e6 / bandwidth, 2)} for name, (size, ms) in rows.items()}
    return {"what": "one token through linear layers, one thread, least processor time of n", "n": repeats, "weights": count,
            "bandwidth_gb_per_s": round(bandwidth, 1), "engines": table, "machine": machine()}


def _engines(integers: list[torch.Tensor], x: torch.Tensor) -> list[tuple[str, int, Callable[[], Any]]]:
    """Name, bytes of weights, and what is timed."""
    count = sum(values.numel() for values in integers)
    bf16 = x.to(torch.bfloat16)
    scale = {values.shape: torch.full((values.shape[0],), 1 / 400) for values in integers}
    plain = [values.to(torch.bfloat16) / 400 for values in integers]
    eight = [Int8Linear(values, scale[values.shape].to(torch.bfloat16), None) for values in integers]
    four = [Int4Linear(values, torch.full((values.shape[0], values.shape[1] // GROUP), 1 / 400), None, torch.bfloat16)
            for values in integers]
    engines: list[tuple[str, int, Callable[[], Any]]] = [
        ("torch bf16", 2 * count, lambda: _through([partial(_times, weight) for weight in plain], bf16)),
        ("torch int8, packed (chosen)", count, lambda: _through(eight, bf16)),
        ("torch int4, packed (chosen)", count // 2, lambda: _through(four, bf16)),
        ("torchao int8, eager", count, _torchao(plain, bf16)),
    ]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for bits in (8, 4):
        session = onnxruntime.InferenceSession(_graph(integers, bits), options, providers=["CPUExecutionProvider"])
        engines.append((f"ONNX Runtime int{bits}, MatMulNBits", count * bits // 8,
                        partial(session.run, None, {"x": x.numpy()})))
    if importlib.util.find_spec("openvino"):
        import openvino

        model = openvino.Core().read_model(_dequantized(integers))
        ready = openvino.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
        engines.append(("OpenVINO int8", count, partial(ready, {"x": x.numpy()})))
    return engines


def _torchao(plain: list[torch.Tensor], x: torch.Tensor) -> Callable[[], Any]:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layers = []
    for weight in plain:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.bfloat16)
        layer.weight.data = weight
        layers.append(layer)
    stack = torch.nn.Sequential(*layers)
    quantize_(stack, Int8WeightOnlyConfig(version=2))
    return lambda: _through(list(stack), x)


def _times(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return x @ weight.T


def _through(layers: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        for layer in layers:
            x = layer(x)
    return x


def _graph(integers: list[torch.Tensor], bits: int) -> bytes:
    """The layers as ONNX Runtime's MatMulNBits, GROUP weights to a scale."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, weights = [], []
    for index, values in enumerate(integers):
        shifted = (values.numpy().astype(np.int16) + (1 << (bits - 1))).astype(np.uint8).reshape(values.shape[0], -1, GROUP)
        blob = shifted if bits == 8 else shifted[..., ::2] | (shifted[..., 1::2] << 4)
        scales = np.full((values.shape[0], values.shape[1] // GROUP), 1 / 400, dtype=np.float32)
        blob = np.ascontiguousarray(blob)
        weights += [numpy_helper.from_array(blob, f"w{index}"), numpy_helper.from_array(scales, f"s{index}")]
        nodes.append(helper.make_node("MatMulNBits", [_name(index), f"w{index}", f"s{index}"], [_name(index + 1)], bits=bits,
                                      domain="com.microsoft", K=values.shape[1], N=values.shape[0], block_size=GROUP,
                                      accuracy_level=4))
    graph = _whole(nodes, integers, weights)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def _dequantized(integers: list[torch.Tensor]) -> bytes:
    """The layers as matrix products with int8 weights that are scaled in the graph, which OpenVINO fuses."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, weights = [], []
    for index, values in enumerate(integers):
        weights += [numpy_helper.from_array(np.ascontiguousarray(values.numpy().T), f"w{index}"),
                    numpy_helper.from_array(np.full(values.shape[0], 1 / 400, dtype=np.float32), f"s{index}")]
        nodes += [helper.make_node("DequantizeLinear", [f"w{index}", f"s{index}"], [f"d{index}"], axis=1),
                  helper.make_node("MatMul", [_name(index), f"d{index}"], [_name(index + 1)])]
    graph = _whole(nodes, integers, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.ModelProto.SerializeToString(made)


def _whole(nodes: list[Any], integers: list[torch.Tensor], weights: list[Any]) -> Any:
    from onnx import TensorProto, helper

    takes = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, integers[0].shape[1]])
    gives = helper.make_tensor_value_info(_name(len(integers)), TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "layers", [takes], [gives], weights)


def _name(index: int) -> str:
    return "x" if index == 0 else f"y{index}"


def _bandwidth(repeats: int) -> float:
    """GB/s at which one thread reads memory."""
    data = torch.ones(64_000_000, dtype=torch.float32)
    return 4 * data.numel() / _fastest(data.sum, repeats) / 1e6


def _fastest(run: Callable[[], Any], repeats: int) -> float:
    run()
    best = float("inf")
    for _ in range(repeats):
        # of the processor: a machine that does other things too shall not be in it
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return 1e3 * best
