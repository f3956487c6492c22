"""Sum up the results of a suite: summary.json, the table per tag, and the machine it ran on (DESIGN section 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jpai_agent.sim.runner import EpisodeResult
from jpai_agent.world.machine import cpu_name, usable_cores

LATENCIES = ("plan", "rehearse", "first_motion")
# what belongs to neither the model nor the rehearsal, and so to the simulation's speed
SIMULATION_PARTS = ("physics", "lidar", "depth", "agent")


def machine(accelerator: str | None = None) -> dict[str, Any]:
    """The machine as summaries describe it: processor, cores that this process may use, accelerator if one was used."""
    return {"cpu": cpu_name(), "cores": usable_cores(), "accelerator": accelerator}


def summarise(
    suite: str,
    results: Sequence[EpisodeResult],
    model: Mapping[str, Any],
    about_machine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        suite: Its file's name. model: name, sha256 and bits of what planned.
    """
    tags = sorted({tag for result in results for tag in result.tags})
    seconds = math.fsum(result.seconds for result in results)
    simulating_s = math.fsum(result.spent_s.get(part, 0.0) for result in results for part in SIMULATION_PARTS)
    return {
        "suite": suite,
        "episodes": len(results),
        "decision_right": _share(results, "decision_right"),
        "goal_reached": _share(results, "goal_reached"),
        "contacts": sum(result.contacts for result in results),
        "violations": sum(len(result.violations) for result in results),
        "latency_ms": {name: _percentiles([result.latency_ms.get(name) for result in results]) for name in LATENCIES},
        "realtime_factor": round(seconds / simulating_s, 2) if simulating_s > 0 else 0.0,
        "tags": {tag: _of_tag([result for result in results if tag in result.tags]) for tag in tags},
        "model": dict(model),
        "machine": dict(about_machine or machine()),
    }


def print_summary(summary: Mapping[str, Any], results: Sequence[EpisodeResult], console: Console) -> None:
    """The tables that a person reads: per tag, latencies, cost of a simulated second, and what failed."""
    table = Table(title=f"{summary['suite']}: {summary['episodes']} episodes", title_justify="left")
    for column in ("tag", "n", "decision right", "goal reached"):
        table.add_column(column, justify="left" if column == "tag" else "right")
    for tag, row in summary["tags"].items():
        table.add_row(tag, str(row["n"]), f"{row['decision_right']:.0%}", f"{row['goal_reached']:.0%}")
    table.add_section()
    table.add_row("all", str(summary["episodes"]), f"{summary['decision_right']:.0%}", f"{summary['goal_reached']:.0%}")
    console.print(table)
    console.print(
        f"contacts {summary['contacts']}, violations {summary['violations']}, "
        f"simulation {summary['realtime_factor']:.1f} x real time per core (processor time, model and rehearsal apart)"
    )
    for name, values in summary["latency_ms"].items():
        console.print(f"{name:>13}: p50 {_shown(values['p50'])}, p95 {_shown(values['p95'])}")
    seconds = math.fsum(result.seconds for result in results) or 1.0
    costs = {
        part: 1000 * math.fsum(r.spent_s.get(part, 0.0) for r in results) / seconds
        for part in (*SIMULATION_PARTS, "color")
    }
    console.print("ms per simulated second: " + ", ".join(f"{part} {cost:.1f}" for part, cost in costs.items()))
    failures = [result for result in results if not result.goal_reached]
    if failures:
        listing = Table(title="failed", title_justify="left")
        for column in ("episode", "decision", "why"):
            listing.add_column(column)
        for result in failures:
            listing.add_row(result.id, f"{result.decision or 'none'} {result.reason or ''}".strip(), _why(result))
        console.print(listing)
    about = summary["machine"]
    console.print(f"{about['cpu']}, {about['cores']} cores, accelerator: {about['accelerator'] or 'none'}")


def _why(result: EpisodeResult) -> str:
    parts = [result.error] if result.error else []
    parts += [] if result.decision_right else ["wrong decision"]
    parts += [f"{result.contacts} contact(s)"] if result.contacts else []
    return ", ".join([*parts, *result.violations, *result.failed_predicates])


def _share(results: Sequence[EpisodeResult], name: str) -> float:
    return round(sum(getattr(result, name) for result in results) / len(results), 4) if results else 0.0


def _of_tag(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    return {
        "n": len(results),
        "decision_right": _share(results, "decision_right"),
        "goal_reached": _share(results, "goal_reached"),
    }


def _percentiles(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"p50": None, "p95": None}
    return {"p50": round(float(np.percentile(known, 50)), 1), "p95": round(float(np.percentile(known, 95)), 1)}


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
