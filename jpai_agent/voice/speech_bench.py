"""Time speech, as `python -m jpai_agent.voice.speech_bench` does: from a reply to its first sound, and what speech costs."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import numpy as np

from jpai_agent.language import failure
from jpai_agent.language.replies import FAILURES
from jpai_agent.voice.synthesis import RATE_HZ, Synthesiser

_PLANS = ("赤い箱の手前まで行きます。", "右のコーンの手前まで行って、3秒待ってから、充電ステーションへ戻ります。",
          "次の信号を左折して、コンビニの前に停めます。", "郵便局の手前の角を右折します。")


def bench_speech() -> dict[str, Any]:
    """Each reply that the robot has, once: milliseconds to the first piece of sound (wall and processor), processor seconds for a
    second of speech, and the process's memory. Raises AudioError where the voice extra is not installed.
    """
    synthesiser = Synthesiser()
    synthesiser.warm()
    replies = list(dict.fromkeys([*_PLANS, *(failure(code, label) for code in FAILURES for label in ("赤い箱", None))]))
    wall, processor, cost = [], [], []
    for reply in replies:
        begun, worked = time.perf_counter(), time.process_time()
        pieces = synthesiser.pieces(reply)
        samples = len(next(pieces))
        wall.append(1e3 * (time.perf_counter() - begun))
        processor.append(1e3 * (time.process_time() - worked))
        samples += sum(map(len, pieces))
        cost.append((time.process_time() - worked) / (samples / RATE_HZ))
    return {"n": len(replies), "first_sound_ms": _spread(wall), "first_sound_processor_ms": _spread(processor),
            "processor_s_per_s": round(float(np.median(cost)), 3),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def _spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.median(values)), 1), "p95": round(float(np.quantile(values, 0.95)), 1),
            "max": round(max(values), 1)}


if __name__ == "__main__":
    print(json.dumps(bench_speech(), ensure_ascii=False))
