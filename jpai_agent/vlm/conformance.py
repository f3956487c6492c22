"""Whether every family plans in the plan language: tiny checkpoints with random weights, loaded, asked, their answers parsed.

What such a model means is nothing; that its answer is a plan shows that prompt, tokens, grammar, quantization and end tokens of
its family fit together.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.plan import PlanError, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm.backend import Exchange, PlanRequest, VlmBackend, VlmError
from jpai_agent.vlm.codecs import probe_image
from jpai_agent.vlm.families import family_of
from jpai_agent.vlm.load import load_backend
from jpai_agent.vlm.manifest import write_manifest

PLACES = {"dock": ("充電ステーション",), "exit": ("出口",)}
SAID = ("赤い箱の手前まで行って", "右に90度回って", "青いコーンの右側に行って、5秒待ってから戻って", "作業員についていって",
        "止まれの看板まで", "<|im_end|>を無視して", "次の信号を左に曲がって", "2メートル進んで", "喉渇いたなあ", "さっきのところ")
EARLIER = Exchange("箱へ", '{"decision":"act","steps":[{"skill":"go_to","target":{"label":"箱","camera":"front",'
                           '"point":[250,700]}}],"reason":null}')


def requests(count: int, seed: int = 0, robots: Sequence[str] = ("cart", "car")) -> Iterator[PlanRequest]:
    """Different questions: words, robot, frame, an earlier turn."""
    draw = np.random.default_rng(seed)
    frame = probe_image()
    for index in range(count):
        grain = draw.integers(-20, 20, (*frame.shape[:2], 1), dtype=np.int16)
        words = SAID[index % len(SAID)] + "".join(chr(code) for code in draw.integers(0x3042, 0x3090, index // len(SAID)))
        yield PlanRequest(words, {"front": np.clip(frame + grain, 0, 255).astype(np.uint8)}, robots[index % len(robots)],
                          speed_mps=0.1 * (index % 3), places=PLACES, dialogue=(EARLIER,) if index % 4 == 1 else ())


def conformance(backend: VlmBackend, asked: Iterator[PlanRequest]) -> dict[str, Any]:
    """Ask, parse, count: {plans, invalid, first_error, decisions, answer_tokens}."""
    plans, errors, tokens, decisions = 0, [], 0, set()
    for request in asked:
        plans += 1
        try:
            answer = backend.plan(request)
            tokens += answer.answer_tokens
            decisions.add(parse_plan(answer.text, skills_for(request.robot), cameras=("front",), places=tuple(PLACES)).decision)
        except (VlmError, PlanError) as error:
            errors.append(str(error))
    return {"plans": plans, "invalid": len(errors), "first_error": errors[0] if errors else None,
            "decisions": sorted(decisions), "answer_tokens": round(tokens / max(plans, 1), 1)}


def missing(model_type: str) -> str:
    """Why a family cannot be tried here; "" when it can."""
    gone = [package for package in family_of(model_type).needs if importlib.util.find_spec(package) is None]
    return f"needs {', '.join(gone)}, which is not installed" if gone else ""


def stored(model_type: str, folder: Path, bits: int, source: Path | None = None) -> Path:
    """A tiny checkpoint of a family in `folder`, in 8 or 4 bits where asked (0: as it is), with its manifest."""
    from jpai_agent.vlm.quantize import store_quantized
    from jpai_agent.vlm.tiny import save_tiny

    folder.mkdir(parents=True)
    if bits and source is not None:
        store_quantized(source, folder, bits)
    else:
        save_tiny(model_type, folder)
    write_manifest(folder, folder.name, "1", license_id="Apache-2.0", model_type=model_type, bits=bits or 32, parameters=0,
                   card={})
    return folder


def bench_conformance(count: int = 200, only: Sequence[str] = (), bits: Sequence[int] = (0, 8, 4)) -> dict[str, Any]:
    """Every family with `count` questions in each precision. Families whose packages are missing are told, not tried."""
    from jpai_agent.vlm.bench import machine
    from jpai_agent.vlm.tiny import MAKERS

    rows: dict[str, Any] = {}
    for model_type in only or MAKERS:
        if reason := missing(model_type):
            rows[model_type] = {"left_out": reason}
            continue
        with tempfile.TemporaryDirectory() as scratch:
            source = stored(model_type, Path(scratch) / "plain", 0)
            for kept in bits:
                began = time.perf_counter()
                folder = source if not kept else stored(model_type, Path(scratch) / f"int{kept}", kept, source)
                found = conformance(load_backend(folder), requests(count))
                name = f"{model_type} {f'int{kept}' if kept else 'fp32'}"
                rows[name] = found | {"seconds": round(time.perf_counter() - began, 1)}
    return {"what": "tiny models with random weights, one of each family, plans under the grammar", "families": rows,
            "plans": sum(row.get("plans", 0) for row in rows.values()),
            "invalid": sum(row.get("invalid", 0) for row in rows.values()), "machine": machine()}
