"""Run a suite on several processes and write its results (DESIGN section 7)."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jpai_agent.sim.episode import Episode, read_suite
from jpai_agent.sim.report import machine, summarise
from jpai_agent.sim.runner import AgentFactory, EpisodeLog, EpisodeResult, run_episode
from jpai_agent.twin.render import SceneRenderer

# made once per process, so that a model is loaded once; must be picklable for more than one job
FactoryMaker = Callable[[], AgentFactory]
# (episode, its folder) -> what keeps the run; must be picklable
LogMaker = Callable[[Episode, Path], AbstractContextManager[EpisodeLog]]
# (episode, result, folder of its run or None, folder for pictures): draws a failure; must be picklable
FailurePicture = Callable[[Episode, EpisodeResult, Path | None, Path], None]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "1"}


def run_suite(
    path: Path | str,
    make_factory: FactoryMaker,
    *,
    out: Path | None = None,
    jobs: int = 1,
    model: Mapping[str, Any] | None = None,
    accelerator: str | None = None,
    make_log: LogMaker | None = None,
    failure_picture: FailurePicture | None = None,
    console: Console | None = None,
) -> tuple[dict[str, Any], list[EpisodeResult]]:
    """Run every episode of a suite; the same suite gives the same results whatever the number of jobs.

    Args:
        path: The suite. All its lines are checked before anything runs.
        make_factory: Called once in each process; gives what makes the agents.
        out: Where results.jsonl (as they come, then in the suite's order) and summary.json go, and `runs/<id>` of every
            episode when there is a make_log, and `failures/` when there is a failure_picture. Made if it is not there.
        jobs: Processes; with 1 all runs in this one.
        model: name, sha256 and bits of the model, for the summary. accelerator: what it ran on, None for the processor.
        console: Where a progress bar is shown; none without.

    Returns:
        The summary and the results, in the suite's order.

    Raises:
        EpisodeError: Bad lines, all of them by number. OSError: The suite cannot be read or `out` not be written.
        ValueError: jobs is less than 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    path = Path(path)
    episodes = read_suite(path)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    plan = _Work(make_factory, out, make_log, failure_picture)
    results: dict[str, EpisodeResult] = {}
    with _results_file(out) as write, _progress(console, len(episodes)) as advance:
        for result in _run_here(plan, episodes) if jobs == 1 else _run_apart(plan, episodes, jobs):
            results[result.id] = result
            write(result)
            advance()
    ordered = [results[episode.id] for episode in episodes]
    summary = summarise(
        path.name, ordered, model or {"name": "unknown", "sha256": None, "bits": None}, machine(accelerator)
    )
    if out is not None:
        lines = "".join(json.dumps(result.to_dict(), ensure_ascii=False) + "\n" for result in ordered)
        (out / "results.jsonl").write_text(lines, encoding="utf-8")
        (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return summary, ordered


class _Work:
    """What a process does with an episode. Pickled to the processes; the factory and the renderer are made there."""

    def __init__(
        self,
        make_factory: FactoryMaker,
        out: Path | None,
        make_log: LogMaker | None,
        failure_picture: FailurePicture | None,
    ) -> None:
        self.make_factory, self.out, self.make_log, self.failure_picture = make_factory, out, make_log, failure_picture

    def run(self, episode: Episode, factory: AgentFactory, renderer: SceneRenderer) -> EpisodeResult:
        folder = None
        if self.out is None or self.make_log is None:
            result = run_episode(episode, factory, renderer=renderer)
        else:
            folder = self.out / "runs" / _safe(episode.id)
            with self.make_log(episode, folder) as log_run:
                result = run_episode(episode, factory, renderer=renderer, log_run=log_run, run_folder=str(folder))
        if self.out is not None and self.failure_picture is not None and not result.goal_reached:
            pictures = self.out / "failures"
            pictures.mkdir(parents=True, exist_ok=True)
            self.failure_picture(episode, result, folder, pictures)
        return result


def _run_here(work: _Work, episodes: Sequence[Episode]) -> Iterator[EpisodeResult]:
    factory = work.make_factory()
    with SceneRenderer() as renderer:
        for episode in episodes:
            yield work.run(episode, factory, renderer)


def _run_apart(work: _Work, episodes: Sequence[Episode], jobs: int) -> Iterator[EpisodeResult]:
    with _environment(_ONE_THREAD):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(jobs, len(episodes)), mp_context=context, initializer=_begin, initargs=(work,)
        ) as pool:
            waiting = [pool.submit(_run_one, episode) for episode in episodes]
            try:
                for done in as_completed(waiting):
                    yield done.result()
            finally:
                for future in waiting:
                    future.cancel()


_worker: tuple[_Work, AgentFactory, SceneRenderer] | None = None


def _begin(work: _Work) -> None:
    global _worker
    _worker = (work, work.make_factory(), SceneRenderer())


def _run_one(episode: Episode) -> EpisodeResult:
    assert _worker is not None
    work, factory, renderer = _worker
    return work.run(episode, factory, renderer)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Settings that processes started meanwhile inherit; those already set stay."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _results_file(out: Path | None) -> Iterator[Callable[[EpisodeResult], None]]:
    """Writes results as they come, so that a run that is broken off leaves what it has found."""
    if out is None:
        yield lambda result: None
        return
    with (out / "results.jsonl").open("w", encoding="utf-8") as file:

        def write(result: EpisodeResult) -> None:
            file.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")
            file.flush()

        yield write


@contextmanager
def _progress(console: Console | None, total: int) -> Iterator[Callable[[], None]]:
    if console is None:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("episodes", total=total)
        yield lambda: bar.advance(task)


def _safe(episode_id: str) -> str:
    """The id as a folder's name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in episode_id).strip(".") or "episode"
