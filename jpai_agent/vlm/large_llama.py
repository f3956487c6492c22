"""One process of `large`: decode with llama.cpp, random weights of the same size and bits. Run by a Python with llama-cpp-python.

Layers in Q4_0 or Q8_0 (32 weights to a scale), output in Q8_0: as many bits as the engines have that it is compared with.
"""

from __future__ import annotations

import argparse
import json
import resource as process
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np

PROMPT, ROOM, ROWS = 64, 1024, 1024
MOST_S = 10.0


def write_model(path: Path, size: dict[str, int], bits: int) -> int:
    """Write a GGUF of the architecture of Qwen3 with one layer's random weights in each. Returns the bytes that a token reads."""
    kind = gguf.GGMLQuantizationType.Q4_0 if bits == 4 else gguf.GGMLQuantizationType.Q8_0
    eight = gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(path, "qwen3")
    width, inner, head_dim = size["width"], size["inner"], size["head_dim"]
    queries, keys = size["heads"] * head_dim, size["key_heads"] * head_dim
    writer.add_block_count(size["layers"])
    writer.add_context_length(ROOM)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(size["heads"])
    writer.add_head_count_kv(size["key_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_freq_base(5e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(size["words"])
    draw = np.random.default_rng(0)

    def matrix(rows: int, columns: int, stored: Any = kind) -> tuple[np.ndarray, Any]:
        # the same rows again and again: to quantize as many anew would take minutes
        few = gguf.quants.quantize(0.02 * draw.standard_normal((min(rows, ROWS), columns), dtype=np.float32), stored)
        return np.resize(few, (rows, few.shape[1])), stored

    whole = matrix(size["words"], width, eight)
    layer = {"attn_q": matrix(queries, width), "attn_k": matrix(keys, width), "attn_v": matrix(keys, width),
             "attn_output": matrix(width, queries), "ffn_gate": matrix(inner, width), "ffn_up": matrix(inner, width),
             "ffn_down": matrix(width, inner)}
    norms = {"attn_norm": width, "ffn_norm": width, "attn_q_norm": head_dim, "attn_k_norm": head_dim}
    # embeddings and output share it
    writer.add_tensor("token_embd.weight", whole[0], raw_dtype=whole[1])
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for index in range(size["layers"]):
        for name, (values, stored) in layer.items():
            writer.add_tensor(f"blk.{index}.{name}.weight", values, raw_dtype=stored)
        for name, length in norms.items():
            writer.add_tensor(f"blk.{index}.{name}.weight", np.ones(length, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return int(whole[0].nbytes + size["layers"] * sum(values.nbytes for values, _ in layer.values()))


class Decoder:
    """Greedy decoding through llama.cpp's own calls."""

    def __init__(self, path: Path, threads: int, words: int) -> None:
        llama_cpp.llama_backend_init()
        self._words = words
        given = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), given)
        wanted = llama_cpp.llama_context_default_params()
        wanted.n_ctx, wanted.n_threads, wanted.n_threads_batch = ROOM, threads, threads
        self._context = llama_cpp.llama_init_from_model(self._model, wanted)
        if not self._context:
            raise RuntimeError("llama.cpp cannot load the model")

    def first(self, tokens: list[int]) -> None:
        """Read a prompt and decode its first token."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._decode(tokens)

    def next(self) -> None:
        """Decode one more token."""
        self._decode([self._token])

    def _decode(self, tokens: list[int]) -> None:
        given = (llama_cpp.llama_token * len(tokens))(*tokens)
        batch = llama_cpp.llama_batch_get_one(given, len(tokens))
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama.cpp cannot decode")
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), (self._words,))
        self._token = int(logits.argmax())


def main() -> int:
    """Say what it is, then time as many tokens as each line of standard input asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--size", required=True)
    asked = parser.parse_args()
    size = json.loads(asked.size)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "random.gguf"
        count = write_model(path, size, asked.bits)
        decoder = Decoder(path, asked.threads, size["words"])
        decoder.first(list(range(8)))
        began = time.perf_counter()
        decoder.first(list(range(PROMPT)))
        said = {"first_token_ms": round(1e3 * (time.perf_counter() - began), 1), "bytes": count,
                "memory_mb": round(process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1024),
                "resident_mb": round(int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024),
                "version": llama_cpp.__version__}
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        times: list[list[float]] = []
        ends = time.perf_counter() + MOST_S
        while len(times) < int(line) and time.perf_counter() < ends:
            wall, busy = time.perf_counter(), time.process_time()
            decoder.next()
            times.append([time.perf_counter() - wall, time.process_time() - busy])
        print(json.dumps(times), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
