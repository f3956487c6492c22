"""Try the faults of the tables, one after the other and seed by seed, and tell how each went."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from jpai_agent.nodes.bench import BenchError
from jpai_agent.nodes.fault_bench import Fault, GateBench, Result, try_fault
from jpai_agent.nodes.fault_graph import GraphBench, GraphFault, try_graph_fault
from jpai_agent.nodes.fault_graph_table import graph_faults
from jpai_agent.nodes.fault_table import gate_faults
from jpai_agent.supervisor import GraphError

SEEDS = (0, 1, 2, 3, 4)
TRIALS = 3
F = TypeVar("F", Fault, GraphFault)
B = TypeVar("B", GateBench, GraphBench)


def names(robot: str = "cart") -> list[str]:
    """The faults that there are for a robot, in their order: those around its gate, then those of the whole graph."""
    return [fault.name for fault in gate_faults(robot)] + [fault.name for fault in graph_faults(robot)]


def run_faults(robot: str = "cart", seeds: Iterable[int] = SEEDS, only: Sequence[str] | None = None,
               tell: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Put the faults in, `only` those named where that is given.

    Args:
        seeds: Of when a fault comes and what varies in it. tell: called with each result as it comes.

    Returns:
        A result for each fault and seed; one that the bench itself could not try is not ok.

    Raises:
        ValueError: Unknown names, or an unknown robot.
    """
    unknown = set(only or ()) - set(names(robot))
    if unknown:
        raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}; known: {', '.join(names(robot))}")
    by_parameters: dict[tuple[tuple[str, Any], ...], list[Fault]] = defaultdict(list)
    for fault in gate_faults(robot):
        if only is None or fault.name in only:
            by_parameters[tuple(sorted(fault.parameters.items()))].append(fault)
    whole = [fault for fault in graph_faults(robot) if only is None or fault.name in only]
    results = []
    for seed in seeds:
        for parameters, alike in by_parameters.items():
            results += _around_the_gate(robot, dict(parameters), alike, seed, tell)
        results += _of_the_graph(robot, whole, seed, tell)
    return results


def _around_the_gate(robot: str, parameters: dict[str, Any], faults: Sequence[Fault], seed: int,
                     tell: Callable[[Result], None]) -> list[Result]:
    """All of them on one gate; after one that breaks the bench, another is made."""

    def trial(bench: GateBench, fault: Fault) -> Result:
        bench.stand_in.fitted_estop = bool(parameters.get("estop_timeout_s"))
        result = try_fault(bench, fault, seed)
        if fault.spoils_gate:
            bench.kill()
        return result

    return _until_known(robot, faults, seed, lambda: GateBench(robot, seed, **parameters), trial, tell)


def _of_the_graph(robot: str, faults: Sequence[GraphFault], seed: int, tell: Callable[[Result], None]) -> list[Result]:
    """All of them on one graph; after one that costs a process, or breaks the bench, another is made."""
    return _until_known(robot, faults, seed, lambda: GraphBench(robot, seed),
                        lambda bench, fault: try_graph_fault(bench, fault, seed), tell, lambda fault: fault.spoils_graph)


def _until_known(robot: str, faults: Sequence[F], seed: int, make: Callable[[], B], trial: Callable[[B, F], Result],
                 tell: Callable[[Result], None], spoils: Callable[[F], bool] = lambda fault: False) -> list[Result]:
    """A result for each fault: a trial that is void is repeated, and the last one counts, whatever it is."""
    results = []
    with ExitStack() as stack:
        bench: B | None = None
        for fault in faults:
            for repeats in range(TRIALS):
                spoilt = spoils(fault)
                try:
                    if bench is None:
                        bench = stack.enter_context(make())
                    result = replace(trial(bench, fault), repeats=repeats)
                except (BenchError, GraphError) as error:
                    spoilt = True
                    result = Result(fault.name, fault.row, robot, seed, fault.expect, fault.deadline_s, False, None,
                                    f"bench: {error}", True, repeats)
                if spoilt:
                    stack.close()
                    bench = None
                if not result.void:
                    break
            results.append(result)
            tell(result)
    return results


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Figures of a run: by fault, how many seeds went right and the longest time to zero in s; and all in all."""
    faults: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        faults[result.name].append(result)
    return {
        "robot": results[0].robot if results else "",
        "faults": len(faults), "tried": len(results), "ok": sum(result.ok for result in results),
        "all_ok": bool(results) and all(result.ok for result in results),
        "repeated": sum(result.repeats for result in results),
        "by_fault": [{
            "name": name, "row": of[0].row, "expect": of[0].expect, "deadline_s": of[0].deadline_s, "n": len(of),
            "ok": sum(result.ok for result in of),
            "max_s": max((result.took_s for result in of if result.took_s is not None), default=None),
            "wrong": sorted({result.detail for result in of if not result.ok})} for name, of in faults.items()],
    }


def line(result: Result) -> str:
    """A result in a line."""
    took = "" if result.took_s is None else f" {result.took_s:.3f} s"
    again = f" (after {result.repeats} void trials)" if result.repeats else ""
    return f"{'ok   ' if result.ok else 'WRONG'} {result.robot} {result.seed} {result.name}{took}{again} {result.detail}".rstrip()


def table(results: Sequence[Result]) -> Table:
    """The results for people."""
    figures = summary(results)
    shown = Table(title=f"{figures['robot']}: {figures['ok']} of {figures['tried']} as they must, {figures['faults']} faults, "
                        f"{figures['repeated']} void trials repeated")
    for column in ("row", "fault", "expected", "deadline s", "longest s", "ok", ""):
        shown.add_column(column)
    for fault in figures["by_fault"]:
        took = "" if fault["max_s"] is None else f"{fault['max_s']:.3f}"
        deadline = "" if fault["expect"] == "goes_on" else f"{fault['deadline_s']:.2f}"
        shown.add_row(fault["row"], fault["name"], fault["expect"], deadline, took, f"{fault['ok']}/{fault['n']}",
                      "; ".join(fault["wrong"])[:90], style=None if fault["ok"] == fault["n"] else "red")
    return shown


def main(arguments: list[str] | None = None) -> int:
    """Try and print; 1 when one did not go as it must."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.nodes.faults", description=__doc__)
    parser.add_argument("--robot", default="cart")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--only", action="append", help="a fault's name; may be given several times")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    results = run_faults(options.robot, range(options.seeds), options.only, 
                         lambda result: console.print(line(result), markup=False, soft_wrap=True, highlight=False))
    if options.json:
        print(json.dumps(summary(results) | {"results": [asdict(result) for result in results]}, ensure_ascii=False))
    else:
        Console().print(table(results))
    return 0 if results and all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
