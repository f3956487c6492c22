"""Time a model from words and frame to plan, and say on what machine."""

from __future__ import annotations

import argparse
import json
import os
import resource as process
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.vlm.backend import PlanRequest, VlmBackend
from jpai_agent.vlm.codecs import probe_image
from jpai_agent.vlm.load import default_model_dir, load_backend
from jpai_agent.vlm.manifest import MANIFEST, read_manifest
from jpai_agent.world.machine import cpu_name, usable_cores

INSTRUCTIONS = (
    "赤い箱の手前まで行って", "青いコーンの右側に行って、5秒待ってから充電ステーションに戻って", "右に90度回って",
    "一番奥のドラム缶のそばまで行ってください", "作業員についていって", "2メートル進んで左を向いて、そこで10秒待って",
)
PLACES = {"dock": ("充電ステーション",), "entrance": ("入口",), "exit": ("出口",), "office": ("事務所",)}


def bench(backend: VlmBackend, count: int = 60, seed: int = 0, images: Sequence[np.ndarray] = ()) -> dict[str, Any]:
    """Plan `count` times, each on a frame not seen before, and return the figures in milliseconds.

    Args:
        backend: The model.
        count: Timed requests, after two that are not.
        seed: Of the grain that makes each frame new to the feature cache.
        images: Frames to use, each (H, W, 3) uint8; left out, the probe image.
    """
    draw = np.random.default_rng(seed)
    frames = list(images) or [probe_image()]
    answers, wall_ms = [], []
    for index in range(-2, count):
        grain = draw.integers(-2, 3, frames[0].shape, dtype=np.int16)
        frame = np.clip(frames[index % len(frames)] + grain, 0, 255).astype(np.uint8)
        request = PlanRequest(INSTRUCTIONS[index % len(INSTRUCTIONS)], {"front": frame}, places=PLACES)
        began = time.perf_counter()
        answer = backend.plan(request)
        if index >= 0:
            answers.append(answer)
            wall_ms.append(1000 * (time.perf_counter() - began))
    parts = {part: _percentiles([answer.timings_ms[part] for answer in answers]) for part in answers[0].timings_ms}
    spent = np.array([[answer.timings_ms["grammar"], answer.timings_ms["total"]] for answer in answers])
    return {
        "model": backend.name, "n": count, "plan_ms": _percentiles(wall_ms), "parts_ms": parts,
        "grammar_share": round(float(spent[:, 0].sum() / spent[:, 1].sum()), 4),
        "prompt_tokens": _percentiles([answer.prompt_tokens for answer in answers]),
        "answer_tokens": _percentiles([answer.answer_tokens for answer in answers]),
        "memory_mb": round(process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1024), "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """The machine in words: processor, cores, load of the last minute, accelerator."""
    return {"cpu": cpu_name(), "cores": usable_cores(), "load_1min": round(os.getloadavg()[0], 2), "accelerator": None}


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 1) for q in (50, 95)}


def main(arguments: list[str] | None = None) -> int:
    """Print the figures of a model folder as JSON."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.vlm.bench", description=__doc__)
    parser.add_argument("--model", type=Path, default=None, help="model folder (default: the embedded model)")
    parser.add_argument("--count", type=int, default=60, help="timed requests")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model")
    options = parser.parse_args(arguments)
    folder = options.model or default_model_dir()
    began = time.perf_counter()
    backend = load_backend(folder, threads=options.threads)
    loaded_s = time.perf_counter() - began
    figures = bench(backend, options.count) | {"load_s": round(loaded_s, 2), "threads": options.threads}
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        figures |= {"sha256": manifest.sha256, "bits": manifest.bits, "parameters": manifest.parameters}
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
