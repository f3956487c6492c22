"""Run the decoder layers of a quantized language model in ONNX Runtime on a CPU: a call a layer, the cache of keys in place.

transformers goes on to run the model: it embeds, looks, makes positions and masks. A decoder layer of the common kind (RMS norms,
attention with rotary positions, gated feed-forward) is replaced by a graph with the same integers, and so is the output layer.
A layer of any other kind is left to torch's packed kernels (`quantize`). Each replaced layer is compared with the one it
replaces before it takes its place, so that what a family does differently is found at load.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from jpai_agent.vlm.backend import VlmError
from jpai_agent.vlm.quantize import ENGINE_ENV, Integers, integers

log = logging.getLogger(__name__)

POSITIONS = 1024  # kept room for at first; doubled when it does not do
OUTPUT_GROUP = 128
TOLERANCE = 0.05  # of what a layer adds; activations are int8 in the graph
_GROUPS = (16, 32, 64, 128, 256)  # weights to a scale, as MatMulNBits knows them
_ROWS_GROUP, _LEAST_GROUP = 128, 32  # weights of 8 bits to a scale in the graph, where all of a row have the same
_ACTIVATIONS = {"silu": "Silu", "gelu_pytorch_tanh": "Tanh", "gelu": "Erf"}
_TYPES = {torch.float32: np.float32, torch.int32: np.int32}
_node = partial(helper.make_node, domain="com.microsoft")


def fuse(model: Any, threads: int = 1) -> int:
    """Replace a loaded model's quantized decoder layers, and its output layer with them. Returns how many layers were.

    Args:
        model: As transformers loads it with torchao's weights, on the CPU; changed in place.
        threads: Of the graphs.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    layers, output = getattr(decoder, "layers", None), model.get_output_embeddings()  # type: ignore[operator]
    rotary = getattr(getattr(decoder, "rotary_emb", None), "inv_freq", None)
    if not isinstance(layers, nn.ModuleList) or rotary is None or not isinstance(output, nn.Linear):
        return 0
    step = Step(threads, 2 * rotary.numel())
    made = []
    for index, layer in enumerate(layers):
        if (fused := _replacement(layer, index, step)) is not None:
            layers[index] = fused  # at once: what it replaces is let go
            made.append(fused)
    if not made:
        return 0
    for fused in made:
        fused.gives = torch.float32 if len(made) == len(layers) else model.dtype  # type: ignore[assignment]
    if integers(output) is None:
        model.set_output_embeddings(FusedLinear(in_eight_bits(output), step))  # type: ignore[operator]
    return len(made)


def _replacement(layer: nn.Module, index: int, step: Step) -> FusedLayer | None:
    parts = layer_parts(layer)
    if parts is None or parts.head_dim != step.rotary:
        return None
    made = FusedLayer(parts, index, step)
    error = difference(layer, made, parts)
    if error <= TOLERANCE:
        return made
    log.warning("layer %d computes something else in ONNX Runtime (%.2f of what it adds): left to torch", index, error)
    return None


@dataclass(frozen=True)
class Parts:
    """What the graph of a decoder layer is made of. Norms: (weight as multiplied, epsilon)."""

    attention: tuple[Integers, ...]  # queries, keys, values
    out: Integers
    gate_up: tuple[Integers, ...]
    down: Integers
    norms: tuple[tuple[np.ndarray, float], tuple[np.ndarray, float]]
    head_norms: tuple[tuple[np.ndarray, float], tuple[np.ndarray, float]] | None
    activation: str
    head_dim: int
    scaling: float

    @property
    def heads(self) -> tuple[int, int]:
        """Of queries, of keys."""
        queries, keys = (part.values.shape[0] // self.head_dim for part in self.attention[:2])
        return queries, keys

    @property
    def width(self) -> int:
        return self.down.values.shape[0]


def layer_parts(layer: Any) -> Parts | None:
    """The parts of a decoder layer of the common kind; None for any other, or one that is not quantized."""
    attention, mlp = getattr(layer, "self_attn", None), getattr(layer, "mlp", None)
    named = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
    if attention is None or mlp is None or {name for name, _ in layer.named_children()} != set(named):
        return None
    found = [integers(getattr(attention, f"{name}_proj", None)) for name in "qkvo"]
    found += [integers(getattr(mlp, f"{name}_proj", None)) for name in ("gate", "up", "down")]
    config, head_dim = getattr(attention, "config", None), getattr(attention, "head_dim", 0)
    activation = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", None)
    others = {name for name, _ in attention.named_children()} - {f"{name}_proj" for name in "qkvo"}
    if None in found or activation not in _ACTIVATIONS or others - {"q_norm", "k_norm"} or len(others) == 1:
        return None
    if head_dim % 8 or getattr(attention, "sliding_window", None) is not None:
        return None
    whole: list[Any] = found
    fits = all(map(_grouped, whole)) and whole[3].values.shape[1] == whole[0].values.shape[0]
    alike = len({(part.bits, part.scale.shape[1]) for part in whole[:3]}) == len({part.bits for part in whole}) == 1
    if not (fits and alike):
        return None
    width = whole[6].values.shape[0]
    heads = (_norm(attention.q_norm, head_dim), _norm(attention.k_norm, head_dim)) if others else None
    return Parts(tuple(whole[:3]), whole[3], tuple(whole[4:6]), whole[6],
                 (_norm(layer.input_layernorm, width), _norm(layer.post_attention_layernorm, width)), heads,
                 _ACTIVATIONS[activation], head_dim, float(attention.scaling))


def _grouped(part: Integers) -> bool:
    """Whether MatMulNBits reads such groups of weights to a scale: those of a row that has one scale can be chosen."""
    columns, scales = part.values.shape[1], part.scale.shape[1]
    return columns % _LEAST_GROUP == 0 and (scales == 1 or columns // scales in _GROUPS)


def _norm(norm: Any, width: int) -> tuple[np.ndarray, float]:
    """What a norm multiplies by, whether it keeps that or what it differs by from one, and its epsilon."""
    epsilon = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 1e-6)))
    with torch.inference_mode():
        weight = norm(torch.ones(1, width, dtype=torch.float32))[0].float() * (1 + epsilon) ** 0.5
    return weight.numpy(), epsilon


def layer_graph(parts: Parts) -> tuple[bytes, int]:
    """A decoder layer: x (1, S, width), cos and sin (S, head_dim / 2), cache (1, heads, positions, head_dim) → y, cache.

    Returns the graph and the bytes of its weights.
    """
    graph = _Graph()
    queries, keys = parts.heads
    sizes = [part.values.shape[0] for part in parts.attention]
    graph.norm("x", "normed", *parts.norms[0])
    graph.times("normed", "together", parts.attention)
    graph.split("together", ("q", "k", "v"), sizes)
    graph.add("position", np.zeros(1, np.int64))
    for name, count, norm in zip("qk", (queries, keys), parts.head_norms or (None, None), strict=True):
        source = name
        if norm is not None:
            graph.add(f"{name}_by_head", np.array([1, -1, count, parts.head_dim], np.int64))
            graph.add(f"{name}_whole", np.array([1, -1, count * parts.head_dim], np.int64))
            graph.node("Reshape", [name, f"{name}_by_head"], [f"{name}_heads"])
            graph.norm(f"{name}_heads", f"{name}_heads_normed", *norm)
            graph.node("Reshape", [f"{name}_heads_normed", f"{name}_whole"], [f"{name}_normed"])
            source = f"{name}_normed"
        graph.nodes.append(_node("RotaryEmbedding", [source, "position", "cos", "sin"], [f"{name}_turned"], num_heads=count))
    graph.nodes.append(_node(
        "GroupQueryAttention", ["q_turned", "k_turned", "v", "keys", "values", "last", "total"],
        ["seen", "keys_out", "values_out"], num_heads=queries, kv_num_heads=keys, scale=parts.scaling))
    graph.times("seen", "attended", (parts.out,))
    graph.add("norm_2", parts.norms[1][0])
    graph.nodes.append(_node("SkipSimplifiedLayerNormalization", ["attended", "x", "norm_2"], ["normed_2", "", "", "between"],
                             epsilon=parts.norms[1][1]))
    graph.times("normed_2", "gate_up", parts.gate_up)
    graph.split("gate_up", ("gate", "up"), [part.values.shape[0] for part in parts.gate_up])
    if parts.activation == "Silu":
        graph.nodes.append(_node("QuickGelu", ["gate"], ["active"], alpha=1.0))
    else:
        graph.node("Gelu", ["gate"], ["active"], approximate="tanh" if parts.activation == "Tanh" else "none")
    graph.node("Mul", ["active", "up"], ["gated"])
    graph.times("gated", "added", (parts.down,))
    graph.node("Add", ["between", "added"], ["y"])
    half, cache = parts.head_dim // 2, [1, keys, "positions", parts.head_dim]
    made = graph.model(
        {"x": [1, "rows", parts.width], "cos": ["rows", half], "sin": ["rows", half], "keys": cache, "values": cache,
         "last": [1], "total": [1]}, ("y", "keys_out", "values_out"), {"last", "total"})
    return made, graph.bytes


class _Graph:
    """Nodes and weights of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self._weights: list[Any] = []
        self.bytes = 0  # of integers and scales

    def add(self, name: str, values: np.ndarray) -> None:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))

    def node(self, kind: str, takes: list[str], gives: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, takes, gives, **attributes))

    def norm(self, source: str, target: str, weight: np.ndarray, epsilon: float) -> None:
        self.add(f"{target}_weight", weight)
        self.node("SimplifiedLayerNormalization", [source, f"{target}_weight"], [target], epsilon=epsilon, axis=-1)

    def split(self, source: str, targets: tuple[str, ...], sizes: list[int]) -> None:
        self.add(f"{source}_sizes", np.array(sizes, np.int64))
        self.node("Split", [source, f"{source}_sizes"], list(targets), axis=-1)

    def times(self, source: str, target: str, parts: tuple[Integers, ...]) -> None:
        """source · the parts' weights, one below the other."""
        bits, columns = parts[0].bits, parts[0].values.shape[1]
        scale = torch.cat([part.scale for part in parts]).float().numpy()
        group = columns // scale.shape[1]
        if group not in _GROUPS:
            group = _ROWS_GROUP if columns % _ROWS_GROUP == 0 else _LEAST_GROUP
            scale = np.repeat(scale, columns // group, axis=1)
        blob = np.concatenate([_stored(part, group) for part in parts])
        self.add(f"{target}_integers", blob)
        self.add(f"{target}_scale", scale)
        self.bytes += blob.nbytes + scale.nbytes
        takes = [source, f"{target}_integers", f"{target}_scale"]
        if any(part.bias is not None for part in parts):
            given = [np.zeros(part.values.shape[0], np.float32) if part.bias is None else part.bias.float().numpy()
                     for part in parts]
            self.add(f"{target}_bias", np.concatenate(given))
            takes += ["", "", f"{target}_bias"]
        # level 4: activations as int8
        self.nodes.append(_node("MatMulNBits", takes, [target], bits=bits, K=columns, N=blob.shape[0], block_size=group,
                                accuracy_level=4))

    def model(self, takes: dict[str, list[Any]], gives: tuple[str, ...], whole: set[str] = frozenset()) -> bytes:  # type: ignore[assignment]
        given = [helper.make_tensor_value_info(name, TensorProto.INT32 if name in whole else TensorProto.FLOAT, shape)
                 for name, shape in takes.items()]
        given_back = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in gives]
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        made = helper.make_model(helper.make_graph(self.nodes, "fused", given, given_back, self._weights),
                                 opset_imports=opsets, ir_version=10)
        return bytes(made.SerializeToString())


def _stored(part: Integers, group: int) -> np.ndarray:
    """(N, K / group, bytes of a group), as MatMulNBits reads it: counted from the lowest, the first of two in the low half."""
    shifted: Any = (part.values.numpy().astype(np.int16) + (1 << (part.bits - 1))).astype(np.uint8)
    if part.bits == 4:
        shifted = shifted[:, ::2] | (shifted[:, 1::2] << 4)
    grouped: np.ndarray = shifted.reshape(part.values.shape[0], part.values.shape[1] // group, -1)
    return grouped


class Step:
    """What the layers of a model share in a step: threads, positions, room in their caches."""

    def __init__(self, threads: int, rotary: int) -> None:
        self.rotary, self.room = rotary, POSITIONS
        self.options = onnxruntime.SessionOptions()
        self.options.log_severity_level = 3
        # what a long prompt takes would stay with each of the sessions
        self.options.enable_cpu_mem_arena = False
        self.options.intra_op_num_threads, self.options.inter_op_num_threads = threads, 1
        # a pool for the process would be forced upon every other session in it; those of the layers must not wait busily then
        self.options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.last, self.total = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
        self._cos, self._sin = torch.zeros(1, rotary // 2), torch.zeros(1, rotary // 2)
        self._given: tuple[Any, Any] = None, None
        self._turned: tuple[torch.Tensor, torch.Tensor] = (self._cos, self._sin)

    def session(self, graph: bytes) -> onnxruntime.InferenceSession:
        # by a file: a session that is given bytes keeps them
        with tempfile.NamedTemporaryFile(suffix=".onnx") as scratch:
            scratch.write(graph)
            scratch.flush()
            return onnxruntime.InferenceSession(scratch.name, self.options, providers=["CPUExecutionProvider"])

    def begin(self, rotated: Any, mask: torch.Tensor | None, past: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The cosines and sines of a step, (rows, rotary / 2) each, made once for all layers. Raises VlmError for other masks."""
        if rotated is not self._given[0] or mask is not self._given[1] or int(self.total) != past + rows:
            if not _causal(mask, past, rows):
                raise VlmError("model_unavailable", f"this model masks as its fast layers cannot: set {ENGINE_ENV}=torch")
            cos, sin = (values[0, :, : self.rotary // 2] for values in rotated)
            if rows == 1:
                self._turned = self._cos.copy_(cos), self._sin.copy_(sin)
            else:
                self._turned = cos.float().contiguous(), sin.float().contiguous()
            self._given = rotated, mask
            self.last.fill_(past + rows - 1)
            self.total.fill_(past + rows)
            while self.room < past + rows:
                self.room *= 2
        return self._turned


class FusedLayer(nn.Module):
    """A decoder layer as a session with a cache of its own, for one sequence at a time."""

    def __init__(self, parts: Parts, index: int, step: Step) -> None:
        super().__init__()
        self.index, self.gives, self._step = index, torch.float32, step
        graph, self.weight_bytes = layer_graph(parts)
        self._session = step.session(graph)
        self._cache = [torch.zeros(1, parts.heads[1], step.room, parts.head_dim) for _ in "kv"]
        self._width, self._length = parts.width, 0
        self._one, self._source = torch.zeros(1, 1, parts.width), 0
        self._binding = self._bound(self._one)

    def _bound(self, target: torch.Tensor) -> Any:
        binding = self._session.io_binding()
        for name, tensor in zip(("keys", "values"), self._cache, strict=True):
            _bind(binding.bind_input, name, tensor)
            _bind(binding.bind_output, f"{name}_out", tensor)
        _bind(binding.bind_input, "last", self._step.last)
        _bind(binding.bind_input, "total", self._step.total)
        _bind(binding.bind_output, "y", target)
        return binding

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *, position_embeddings: Any,
                past_key_values: Any = None, **_: Any) -> torch.Tensor:
        """(1, S, width) → (1, S, width). Raises VlmError for several sequences, or a mask but the causal one."""
        x = hidden_states.to(torch.float32)
        rows = x.shape[1]
        past = 0 if past_key_values is None else past_key_values.get_seq_length(self.index)
        if x.shape[0] != 1 or (past and past != self._length):
            raise VlmError("bad_request", "fast layers hold one sequence at a time")
        cos, sin = self._step.begin(position_embeddings, attention_mask, past, rows)
        if self._step.room != self._cache[0].shape[2]:
            self._grow()
        self._length = past + rows
        if past_key_values is not None:
            # the cache proper is here: transformers' own only counts, which it does by elements
            counted = x.new_zeros(1, 1, rows, 1)
            past_key_values.update(counted, counted, self.index)
        if rows > 1:
            y = torch.empty(1, rows, self._width)
            self._run(self._bound(y), x.contiguous(), cos, sin)
            return y.to(self.gives)
        if x.data_ptr() != self._source:
            self._source = x.data_ptr()
            for name, tensor in (("x", x), ("cos", cos), ("sin", sin)):
                _bind(self._binding.bind_input, name, tensor)
        self._session.run_with_iobinding(self._binding)
        return self._one.to(self.gives)

    def _run(self, binding: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
        for name, tensor in (("x", x), ("cos", cos), ("sin", sin)):
            _bind(binding.bind_input, name, tensor)
        self._session.run_with_iobinding(binding)

    def _grow(self) -> None:
        for which, kept in enumerate(self._cache):
            more = kept.new_zeros(1, kept.shape[1], self._step.room, kept.shape[3])
            more[:, :, : self._length] = kept[:, :, : self._length]
            self._cache[which] = more
        self._binding, self._source = self._bound(self._one), 0


class FusedLinear(nn.Module):
    """A linear layer as a session."""

    def __init__(self, weights: Integers, step: Step) -> None:
        super().__init__()
        graph = _Graph()
        graph.times("x", "y", (weights,))
        self.out_features, self.in_features = weights.values.shape
        self.weight_bytes = graph.bytes
        self._session = step.session(graph.model({"x": ["rows", self.in_features]}, ("y",)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, K) → (…, N), float32"""
        rows = x.reshape(-1, self.in_features).to(torch.float32).contiguous()
        y = torch.empty(rows.shape[0], self.out_features)
        binding = self._session.io_binding()
        _bind(binding.bind_input, "x", rows)
        _bind(binding.bind_output, "y", y)
        self._session.run_with_iobinding(binding)
        return y.reshape(*x.shape[:-1], -1)


def in_eight_bits(linear: nn.Linear, rows: int = 8192) -> Integers:
    """A floating-point layer in 8 bits, OUTPUT_GROUP weights to a scale; made in portions."""
    values, scales = [], []
    group = OUTPUT_GROUP if linear.in_features % OUTPUT_GROUP == 0 else linear.in_features
    for part in linear.weight.detach().split(rows):
        grouped = part.float().reshape(part.shape[0], -1, group)
        scale = (grouped.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
        values.append((grouped / scale).round_().to(torch.int8).reshape(part.shape))
        scales.append(scale[..., 0])
    bias = None if linear.bias is None else linear.bias.detach()
    return Integers(torch.cat(values), torch.cat(scales), 8, bias)


@torch.inference_mode()
def difference(layer: nn.Module, made: FusedLayer, parts: Parts, rows: int = 5) -> float:
    """How far apart a layer and its replacement are, over what the layer adds; the last row is decoded after the others."""
    draw = torch.Generator().manual_seed(0)
    dtype = next(layer.parameters()).dtype
    # small beside what is added, or bfloat16 would round that away
    x = (0.1 * torch.randn(1, rows, parts.width, generator=draw)).to(dtype)
    angles = torch.rand(1, rows, parts.head_dim // 2, generator=draw).repeat(1, 1, 2) * 6
    turned = angles.cos().to(dtype), angles.sin().to(dtype)
    try:
        wanted: Any = layer(x, position_embeddings=turned, attention_mask=None)
    except (TypeError, ValueError, RuntimeError) as error:
        log.warning("layer %d is called in another way than most: %s", made.index, error)
        return float("inf")
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted).float()
    counted = _Counted()
    found = [made(x[:, :-1], position_embeddings=tuple(part[:, :-1] for part in turned), past_key_values=counted),
             made(x[:, -1:], position_embeddings=tuple(part[:, -1:] for part in turned), past_key_values=counted)]
    return float((torch.cat(found, 1) - wanted).norm() / (wanted - x.float()).norm())


class _Counted:
    """As much of transformers' cache as a fused layer uses."""

    def __init__(self) -> None:
        self._rows = 0

    def get_seq_length(self, _: int) -> int:
        return self._rows

    def update(self, keys: torch.Tensor, values: torch.Tensor, _: int) -> None:
        self._rows += keys.shape[-2]


def _causal(mask: torch.Tensor | None, past: int, rows: int) -> bool:
    if mask is None:
        return True
    seen = mask if mask.dtype == torch.bool else mask >= 0
    return bool((seen[..., : past + rows] == torch.ones(rows, past + rows, dtype=torch.bool).tril(past)).all())


def _bind(bind: Any, name: str, tensor: torch.Tensor) -> None:
    bind(name, "cpu", 0, _TYPES[tensor.dtype], tuple(tensor.shape), tensor.data_ptr())
