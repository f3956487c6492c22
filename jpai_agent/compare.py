"""Compare models on a suite, side by side: how often they are right, how long each part takes, tokens a second, memory.

Each model runs the suite in a process of its own, so that memory is its own, one after the other, so that none slows another.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jpai_agent.agent import Agent, AgentConfig
from jpai_agent.outward import Accounts
from jpai_agent.playing import bench_log, check_model, failure, model_facts
from jpai_agent.sim.bench import run_suite
from jpai_agent.sim.episode import read_suite
from jpai_agent.sim.report import machine
from jpai_agent.sim.runner import AgentContext, AgentFactory
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmBackend, VlmError, default_model_dir, load_backend
from jpai_agent.vlm.codecs import probe_image
from jpai_agent.vlm.remote import endpoint_name

COMPARED, EMBEDDED = "compare.json", "embedded"
_METER = "answers-{}.jsonl"


class Metered:
    """A backend that notes of each answer how long its parts took and how many tokens it had."""

    def __init__(self, backend: VlmBackend, path: Path) -> None:
        self.name, self._backend, self._path = backend.name, backend, path

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """As the backend's. Raises VlmError."""
        began = time.perf_counter()
        try:
            answer = self._backend.plan(request)
        except VlmError as error:
            self.note({"error": error.reason_code})
            raise
        self.note({"wall_ms": 1000 * (time.perf_counter() - began), "parts_ms": dict(answer.timings_ms),
                   "prompt_tokens": answer.prompt_tokens, "answer_tokens": answer.answer_tokens})
        return answer

    def warm(self, request: PlanRequest) -> None:
        """As the backend's."""
        self._backend.warm(request)

    def note(self, row: Mapping[str, Any]) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class MeteredAgents:
    """Makes agents that think with a model whose answers are noted below `folder`, one file a process."""

    model_dir: Path
    folder: Path
    rollouts: int = 32

    def __call__(self) -> AgentFactory:
        """Load the model and let it plan once. Raises VlmError when a file is missing or altered."""
        before, began = resident_mb(), time.perf_counter()
        plain = load_backend(self.model_dir, note=Accounts("jpai bench"))
        loaded_s = time.perf_counter() - began
        remote = endpoint_name(self.model_dir) is not None
        if not remote:
            plain.warm(PlanRequest("止まって", {"front": probe_image()}))
        backend = Metered(plain, self.folder / _METER.format(os.getpid()))
        backend.note({"load_s": loaded_s, "memory_mb": None if remote else resident_mb() - before,
                      "accelerator_mb": None if remote else accelerator_mb()})
        model_id = model_facts(self.model_dir)["sha256"] or ""

        def make(context: AgentContext) -> Agent:
            return Agent(context.robot, context.world_map, backend, context.worker, context.capture, context.observers,
                         model_id=model_id, config=AgentConfig(rollouts=self.rollouts, seed=context.seed))

        return make


def resident_mb() -> float:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def accelerator_mb() -> float | None:
    """The most that this process held on an accelerator; None without one."""
    torch: Any = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() / 2**20 if torch is not None and torch.cuda.is_available() else None


def compare(models: Sequence[Path], suite: Path, out: Path | None = None, *, jobs: int = 1,
            console: Console | None = None) -> dict[str, Any]:
    """Run a suite with each model and put what came of it side by side.

    Args:
        models: Folders, or endpoint:NAME; `embedded` is the embedded one.
        out: Where compare.json and a folder for each model go; none is kept without.
        jobs: Processes of a model at a time.

    Raises:
        EpisodeError: Bad lines of the suite. VlmError: a model that is missing or altered, before anything runs.
        ValueError: The same model twice.
    """
    folders = [default_model_dir() if str(model) == EMBEDDED and not model.exists() else model for model in models]
    if len(set(folders)) != len(folders):
        raise ValueError("the same model is named twice")
    read_suite(suite)
    for folder in folders:
        check_model(folder)
    with _kept(out) as kept:
        rows, reached = [], []
        for number, folder in enumerate(folders):
            name = model_facts(folder)["name"]
            place = kept / f"{number}-{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}"
            place.mkdir(parents=True, exist_ok=True)
            if console is not None:
                console.print(f"{name} ({number + 1} of {len(folders)})")
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(_run, folder, suite, place, jobs, out is not None).result()
            if "code" in found:
                raise VlmError(found["code"], found["message"])
            rows.append(found["row"])
            reached.append(found["reached"])
        result = {"suite": suite.name, "n": len(reached[0]), "models": rows, "machine": machine(),
                  "against_the_first": [{"model": row["model"]["name"]} | paired(reached[0], other)
                                        for row, other in zip(rows[1:], reached[1:], strict=True)]}
        (kept / COMPARED).write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return result


@contextmanager
def _kept(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def _run(model: Path, suite: Path, place: Path, jobs: int, keep: bool) -> dict[str, Any]:
    """One model, in a process of its own: its row and per episode whether the goal was reached; or why it cannot run."""
    for old in place.glob(_METER.format("*")):
        old.unlink()
    try:
        summary, results = run_suite(suite, MeteredAgents(model, place), out=place if keep else None, jobs=jobs,
                                     model=model_facts(model), make_log=bench_log if keep else None,
                                     failure_picture=failure if keep else None, console=Console(stderr=True))
    except VlmError as error:
        return {"code": error.reason_code, "message": str(error)}
    lines = [json.loads(line) for path in sorted(place.glob(_METER.format("*")))
             for line in path.read_text(encoding="utf-8").splitlines()]
    return {"row": row_of(summary, lines), "reached": {result.id: result.goal_reached for result in results}}


def row_of(summary: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A model's figures, of a suite's summary and the lines that were noted of its answers."""
    answers = [line for line in lines if "wall_ms" in line]
    loads = [line for line in lines if "load_s" in line]
    parts = list(dict.fromkeys(part for answer in answers for part in answer["parts_ms"]))
    # what the family of backends calls decoding; an endpoint tells the whole alone
    decoding = "decode" if "decode" in parts else "total"
    spent_s = sum(answer["parts_ms"].get(decoding, 0.0) for answer in answers) / 1000
    tokens = sum(answer["answer_tokens"] for answer in answers)
    quality = {key: summary[key] for key in ("decision_right", "goal_reached", "contacts", "violations")}
    return {"model": summary["model"], **quality, "plans": len(answers), "errors": sum("error" in line for line in lines),
            "plan_ms": _spread([answer["wall_ms"] for answer in answers]),
            "parts_ms": {part: _spread([answer["parts_ms"][part] for answer in answers if part in answer["parts_ms"]])
                         for part in parts if part != "total"},
            "tokens_per_s": round(tokens / spent_s, 1) if spent_s and tokens else None, "tokens_over": decoding,
            "answer_tokens": _spread([answer["answer_tokens"] for answer in answers]),
            "prompt_tokens": _spread([answer["prompt_tokens"] for answer in answers]),
            "load_s": _most(loads, "load_s", 2), "memory_mb": _most(loads, "memory_mb", 0),
            "accelerator_mb": _most(loads, "accelerator_mb", 0), "latency_ms": summary["latency_ms"]}


def paired(first: Mapping[str, bool], other: Mapping[str, bool]) -> dict[str, Any]:
    """Episodes that one of two models alone brought to their goal, and how likely a difference like that is by chance.

    Returns: {won, lost, p}: p two-sided by McNemar's exact test (McNemar 1947), None where they never differ.
    """
    won = sum(other[key] and not value for key, value in first.items())
    lost = sum(value and not other[key] for key, value in first.items())
    count = won + lost
    chance = None if not count else min(1.0, 2 * sum(math.comb(count, k) for k in range(min(won, lost) + 1)) / 2**count)
    return {"won": won, "lost": lost, "p": None if chance is None else round(chance, 4)}


def print_compared(result: Mapping[str, Any], console: Console) -> None:
    """The table that a person reads, a column a model."""
    rows = result["models"]
    table = Table(title=f"{result['suite']}: {result['n']} episodes", title_justify="left")
    table.add_column("")
    for row in rows:
        bits = row["model"].get("bits")
        table.add_column(row["model"]["name"] + (f", {bits} bits" if bits else ""), justify="right")
    for title, key in (("decision right", "decision_right"), ("goal reached", "goal_reached")):
        table.add_row(title, *(f"{row[key]:.1%}" for row in rows))
    for title, key in (("contacts", "contacts"), ("violations", "violations"), ("answers", "plans"), ("no answer", "errors")):
        table.add_row(title, *(str(row[key]) for row in rows))
    table.add_section()
    table.add_row("plan p50 / p95, ms", *(_pair(row["plan_ms"]) for row in rows))
    for part in dict.fromkeys(part for row in rows for part in row["parts_ms"]):
        table.add_row(f"  {part}", *(_pair(row["parts_ms"].get(part)) for row in rows))
    table.add_row("first motion p50 / p95, ms", *(_pair(row["latency_ms"]["first_motion"]) for row in rows))
    table.add_section()
    table.add_row("tokens a second", *("–" if row["tokens_per_s"] is None else f"{row['tokens_per_s']:.1f}" for row in rows))
    table.add_row("tokens of an answer, p50", *(_number(row["answer_tokens"]["p50"]) for row in rows))
    table.add_row("memory, MB", *(_number(row["memory_mb"]) for row in rows))
    if any(row["accelerator_mb"] for row in rows):
        table.add_row("on the accelerator, MB", *(_number(row["accelerator_mb"]) for row in rows))
    table.add_row("loading, s", *(_number(row["load_s"], 1) for row in rows))
    console.print(table)
    for pair in result["against_the_first"]:
        chance = "" if pair["p"] is None else f" (p = {pair['p']:.2g})"
        console.print(f"{pair['model']} reaches {pair['won']} goals that {rows[0]['model']['name']} does not, and misses "
                      f"{pair['lost']} that it does{chance}")
    about = result["machine"]
    console.print(f"memory: what loading and a first plan add to the process; {about['cpu']}, {about['cores']} cores")


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{q}": round(float(np.percentile(values, q)), 1) if values else None for q in (50, 95)}


def _most(lines: Sequence[Mapping[str, Any]], key: str, digits: int) -> float | None:
    known = [line[key] for line in lines if line[key] is not None]
    return round(max(known), digits) if known else None


def _pair(values: Mapping[str, float | None] | None) -> str:
    return "–" if not values or values["p50"] is None else f"{values['p50']:.0f} / {values['p95']:.0f}"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
