"""Time decoding with a model of 2B class on this CPU, engine by engine, against the memory's bandwidth and against llama.cpp.

The language part of Qwen3-VL-2B with random weights. Every engine runs in a process of its own and they take turns, a few tokens
each, with a reading of memory in between: what else the machine does meets them all alike. Decoding reads every weight once a
token, so the bandwidth is its limit. `jpai bench --what large`; llama.cpp is timed by the Python that $JPAI_LLAMA_PYTHON names,
one with llama-cpp-python and gguf.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource as process
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from jpai_agent.vlm.quantize import Int4Linear, Int8Linear, integers, pack_for_cpu, scheme

LLAMA_ENV = "JPAI_LLAMA_PYTHON"
PROMPT, ROOM = 64, 1024
MOST_S = 10.0  # that an engine's turn may take
READ = 128_000_000  # float32, far more than caches hold


@dataclass(frozen=True)
class Size:
    """Of the language part. Left out: as Qwen3-VL-2B's."""

    width: int = 2048
    inner: int = 6144
    layers: int = 28
    heads: int = 16
    key_heads: int = 8
    head_dim: int = 128
    words: int = 151936


class LanguagePart(nn.Module):
    """A decoder with its output layer, as far as `fuse` and decoding need a model."""

    decoder: Any

    def __init__(self, decoder: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.decoder, self.lm_head = decoder, output
        self.dtype = torch.bfloat16

    def get_decoder(self) -> nn.Module:
        return self.decoder

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, output: nn.Module) -> None:
        self.lm_head = output


def language_part(size: Size, bits: int, device: str = "cpu", *, shared: bool = False) -> LanguagePart:
    """Random weights, the linear layers' in `bits` as `store_quantized` keeps them (16: bfloat16); one layer's numbers in each.

    shared: They are in memory once, for engines that make copies of their own.
    """
    from torchao.quantization import quantize_
    from transformers import Qwen3VLTextConfig, Qwen3VLTextModel

    rope = {"rope_type": "default", "mrope_section": [size.head_dim // 2 - 2 * (size.head_dim // 6), size.head_dim // 6,
                                                      size.head_dim // 6], "mrope_interleaved": True, "rope_theta": 5e6}
    config_of: Any = Qwen3VLTextConfig
    config = config_of(
        vocab_size=size.words, hidden_size=size.width, intermediate_size=size.inner, num_hidden_layers=1, head_dim=size.head_dim,
        num_attention_heads=size.heads, num_key_value_heads=size.key_heads, rope_parameters=rope, attn_implementation="sdpa")
    with torch.device("meta"):
        decoder: Any = Qwen3VLTextModel(config).eval()
        output = nn.Linear(size.width, size.words, bias=False)
    rotary = type(decoder.rotary_emb)(config)
    decoder.to(torch.bfloat16).to_empty(device="cpu").requires_grad_(False)
    decoder.rotary_emb = rotary
    numbers = 0.02 * torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    for name, weight in decoder.named_parameters():
        weight.copy_(torch.ones(weight.shape) if "norm" in name else _repeated(numbers, weight))
    output.weight = decoder.embed_tokens.weight
    decoder.to(device)
    if bits != 16:
        quantize_(decoder.layers, scheme(bits))
    for index in range(1, size.layers):
        kept = {id(weight): weight for weight in decoder.layers[0].parameters()} if shared else {}
        layer = copy.deepcopy(decoder.layers[0], kept)
        layer.self_attn.layer_idx = index
        decoder.layers.append(layer)
    decoder.config.num_hidden_layers = size.layers
    return LanguagePart(decoder, output.to(device))


def _repeated(numbers: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    # anew for each of them would take minutes
    return numbers.to(like.dtype).repeat(-(-like.numel() // numbers.numel()))[: like.numel()].reshape(like.shape)


def weight_bytes(model: LanguagePart) -> int:
    """Bytes of weights that a token's decoding reads: of the layers and of the output, not of the embeddings."""
    from jpai_agent.vlm.fused import FusedLayer, FusedLinear

    total = 0
    for module in (*model.decoder.modules(), model.lm_head):
        if isinstance(module, FusedLayer | FusedLinear):
            total += module.weight_bytes
        elif isinstance(module, Int4Linear | Int8Linear):
            per_scale = 2 * module.scale.element_size() if isinstance(module, Int4Linear) else module.scale.element_size()
            count = module.pairs.nbytes if isinstance(module, Int4Linear) else module.weight.nbytes
            total += count + module.scale.numel() * per_scale
        elif (found := integers(module)) is not None:
            total += found.values.numel() * found.bits // 8 + found.scale.nbytes
        elif isinstance(module, nn.Linear):
            total += module.weight.nbytes
    return total


class Decoder:
    """A language part that decodes greedily through transformers' own code."""

    def __init__(self, model: LanguagePart, device: str = "cpu") -> None:
        from transformers import DynamicCache

        self._model, self._device, self._cache_type = model, device, DynamicCache
        self.bytes = weight_bytes(model)

    @torch.inference_mode()
    def first(self, tokens: Sequence[int]) -> None:
        """Read a prompt and decode its first token."""
        self._cache = self._cache_type(config=self._model.decoder.config)
        self._token = torch.tensor([list(tokens)], device=self._device)
        self.next()

    @torch.inference_mode()
    def next(self) -> None:
        """Decode one more token."""
        hidden = self._model.decoder(input_ids=self._token, past_key_values=self._cache, use_cache=True).last_hidden_state
        self._token = self._model.lm_head(hidden[:, -1:]).argmax(-1)
        if self._device != "cpu":
            torch.cuda.synchronize()


def torch_engine(size: Size, bits: int, threads: int) -> Decoder:
    """torch's packed kernels, the output layer as it is."""
    torch.set_num_threads(threads)
    model = language_part(size, bits)
    pack_for_cpu(model, engine="torch")
    return Decoder(model)


def torchao_engine(size: Size, bits: int, threads: int) -> Decoder:
    """torchao's own tensors, in eager mode."""
    torch.set_num_threads(threads)
    return Decoder(language_part(size, bits))


def fused_engine(size: Size, bits: int, threads: int) -> Decoder:
    """What `jpai` runs: decoder layers and output layer in ONNX Runtime."""
    torch.set_num_threads(1)
    model = language_part(size, bits, shared=True)
    pack_for_cpu(model, threads=threads)
    return Decoder(model)


def cuda_engine(size: Size, bits: int, threads: int) -> Decoder:
    """torchao's tensors on an accelerator (16: bfloat16)."""
    return Decoder(language_part(size, bits, "cuda"), "cuda")


ENGINES: dict[str, Callable[[Size, int, int], Any]] = {
    "ONNX Runtime, a call a layer (chosen)": fused_engine, "torch's packed kernels": torch_engine,
    "torchao, eager": torchao_engine}
LLAMA = "llama.cpp"
MEMORY = "memory"


def serve(engine: str, bits: int, threads: int, size: Size, device: str = "cpu") -> None:
    """One engine's process: says what it is, then times as many tokens as each line of standard input asks for."""
    if engine == MEMORY:
        step, said = _reading(threads, device)
    else:
        make = cuda_engine if device == "cuda" else ENGINES[engine]
        decoder = make(size, bits, threads)
        decoder.first(range(8))  # what only the first call needs
        began = time.perf_counter()
        decoder.first(range(PROMPT))
        said = {"first_token_ms": round(1e3 * (time.perf_counter() - began), 1), "bytes": decoder.bytes}
        step = decoder.next
    said["memory_mb"] = round(process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1024)
    said["resident_mb"] = _resident_mb()
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        times: list[list[float]] = []
        ends = time.perf_counter() + MOST_S
        while len(times) < int(line) and time.perf_counter() < ends:
            wall, busy = time.perf_counter(), time.process_time()
            step()
            times.append([time.perf_counter() - wall, time.process_time() - busy])
        print(json.dumps(times), flush=True)


def _reading(threads: int, device: str) -> tuple[Callable[[], Any], dict[str, Any]]:
    """Read a buffer far larger than the caches once."""
    torch.set_num_threads(threads)
    data = torch.ones(READ * (8 if device == "cuda" else 1), device=device)

    def read() -> None:
        data.sum()
        if device == "cuda":
            torch.cuda.synchronize()

    read()
    return read, {"bytes": data.nbytes}


def _resident_mb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024)


class _Child:
    """An engine in its process."""

    def __init__(self, name: str, bits: int, threads: int, size: Size, device: str) -> None:
        asked = [f"--bits={bits}", f"--threads={threads}", f"--size={json.dumps(asdict(size))}"]
        command = [sys.executable, "-m", "jpai_agent.vlm.large", f"--engine={name}", f"--device={device}", *asked]
        if name == LLAMA:
            command = [os.environ[LLAMA_ENV], str(Path(__file__).with_name("large_llama.py")), *asked]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
        # llama.cpp tells more than a pipe holds
        self._told = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(command, text=True, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._told)
        self.said = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("{", "[")):
                return json.loads(line)
        self._told.seek(0)
        raise RuntimeError(self._told.read().strip().splitlines()[-1])

    def turn(self, count: int) -> np.ndarray:
        """(tokens, 2): seconds by the wall clock, seconds of the processor."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return np.array(self._read())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._told.close()


def bench_large(bits: Sequence[int] = (4, 8), threads: int = 2, tokens: int = 96, turn: int = 12, device: str = "cpu",
                size: Size | None = None, only: Sequence[str] = ()) -> dict[str, Any]:
    """Tokens a second of each engine in each number of bits, their share of the limit, and their ratio to llama.cpp.

    Args:
        tokens: Of each engine, after a prompt of PROMPT. turn: of them at a time.
        device: "cuda": torchao and bfloat16 on an accelerator instead.

    Raises ValueError where there is no such device.
    """
    from jpai_agent.vlm.bench import machine

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no accelerator here that torch can use")
    size = size or Size()
    names = ["torchao, eager"] if device == "cuda" else [*ENGINES, *([LLAMA] if os.environ.get(LLAMA_ENV) else [])]
    names = [name for name in names if not only or any(name.startswith(part) for part in only)]
    figures = {str(each): _compared(names, each, threads, tokens, turn, device, size)
               for each in (*bits, *([16] if device == "cuda" else []))}
    clock = "processor time" if threads == 1 and device == "cpu" else "wall clock"
    what = f"decoding with the language part of Qwen3-VL-2B, random weights; engines take turns; {clock}, a turn's median token"
    accelerator = torch.cuda.get_device_name() if device == "cuda" else None
    return {"what": what, "size": asdict(size), "threads": threads, "tokens": tokens, "prompt_tokens": PROMPT, "bits": figures,
            "llama_cpp": None if os.environ.get(LLAMA_ENV) else f"not timed: ${LLAMA_ENV} names no Python",
            "machine": machine() | {"accelerator": accelerator}}


def _compared(names: Sequence[str], bits: int, threads: int, tokens: int, turn: int, device: str, size: Size) -> dict[str, Any]:
    children: dict[str, _Child] = {}
    rows: dict[str, dict[str, Any]] = {}
    try:
        for name in (MEMORY, *names):
            try:
                children[name] = _Child(name, bits, threads, size, device)
            except RuntimeError as error:
                rows[name] = {"left_out": str(error)}
        turns: dict[str, list[np.ndarray]] = {name: [] for name in children}
        for _ in range(-1, max(1, tokens // turn)):
            for name, child in children.items():
                turns[name].append(child.turn(3 if name == MEMORY else turn))
    finally:
        for child in children.values():
            child.close()
    # one thread: of the processor, so that what else the machine does is not in it; the first turn is for warming
    clock = 1 if threads == 1 and device == "cpu" else 0
    pace = {name: np.array([np.median(taken[:, clock]) for taken in of[1:]]) for name, of in turns.items()}
    read = children[MEMORY].said["bytes"] / pace.pop(MEMORY)
    for name, seconds in pace.items():
        said = children[name].said
        rows[name] = {"tokens_per_s": _spread(1 / seconds), "of_limit": _spread(said["bytes"] / seconds / read, 2),
                      "mb_a_token": round(said["bytes"] / 1e6), "n": sum(len(taken) for taken in turns[name][1:]),
                      **{key: said[key] for key in ("first_token_ms", "resident_mb", "memory_mb")}}
        if LLAMA in pace and name != LLAMA:
            rows[name]["ratio_to_llama_cpp"] = _spread(pace[LLAMA] / seconds, 2)
    return {"bandwidth_gb_per_s": _spread(read / 1e9), "engines": rows}


def _spread(values: np.ndarray, digits: int = 1) -> dict[str, Any]:
    return {"median": round(float(np.median(values)), digits), "range": [round(float(end), digits) for end in
                                                                         (values.min(), values.max())]}


def main(arguments: list[str] | None = None) -> int:
    """An engine's process."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.vlm.large", description=__doc__)
    for name in ("engine", "device", "size"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--bits", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    asked = parser.parse_args(arguments)
    serve(asked.engine, asked.bits, asked.threads, Size(**json.loads(asked.size)), asked.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
