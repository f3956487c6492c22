"""Try a robot with its model on suites, unsafe plans and faults, and issue the certificate under which its gate may be armed."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from jpai_agent.record.certificate import Certificate, issue, subject_of
from jpai_agent.record.progress import Progress
from jpai_agent.sim.report import machine
from jpai_agent.twin.verdict import wilson
from jpai_agent.world.paths import resource

T = TypeVar("T")

# failures told by name in a certificate
MOST_NAMED = 20
FAULTS_AT_ONCE = 40


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        name: As in config/certification.yaml, which has its bar.
        n: Cases tried. failures: how many went wrong. bound: 95 % upper bound of the rate of failure.
        detail: JSON-ready: what was tried, with which figures. failed: names of what went wrong.
    """

    name: str
    n: int
    failures: int
    detail: Mapping[str, Any] = field(default_factory=dict)
    failed: Sequence[str] = ()

    @property
    def bound(self) -> float:
        """3/n for none of n, else the upper end of Wilson's interval; 1 where nothing was tried."""
        if self.n <= 0:
            return 1.0
        return min(3.0 / self.n, 1.0) if self.failures == 0 else wilson(self.failures, self.n)[1]


@dataclass(frozen=True)
class Trial:
    """What is tried, and how much of it.

    Attributes:
        robot, world: Names. model_dir: the model's folder. suites: files of episodes.
        plans, fault_seeds: How many unsafe and as many safe plans, seeds a fault. faults, episodes: how many of each robot's, of
            each suite, spread evenly; None: all. rollouts: of each plan's rehearsal; None: as many as configured.
        seed: Of everything drawn. jobs: processes. tell: is told what is being done. done: keeps the parts of a check that takes
            long.
    """

    robot: str
    world: str
    model_dir: Path
    suites: Sequence[Path]
    plans: int
    fault_seeds: int
    faults: int | None = None
    episodes: int | None = None
    rollouts: int | None = None
    seed: int = 0
    jobs: int = 1
    tell: Callable[[str], None] = print
    done: Progress = field(default_factory=lambda: Progress(None, {}))


# tries one sort of thing; may raise ValueError for bad input
Check = Callable[[Trial], Iterable[Result]]


def suites(trial: Trial) -> Iterable[Result]:
    """The suites, with the model: decisions, goals, contacts and violations over all of them."""
    from jpai_agent.playing import ModelAgents, model_facts
    from jpai_agent.sim.bench import run_suite

    results, told = [], []
    for path in trial.suites:
        lines = _episodes(path, trial)
        trial.tell(f"suite {path.name}: {len(lines)} episodes")
        with tempfile.TemporaryDirectory(prefix="jpai-certify-") as folder:
            chosen = Path(folder) / path.name
            chosen.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            summary, found = run_suite(chosen, ModelAgents(trial.model_dir), jobs=trial.jobs, model=model_facts(trial.model_dir))
        results += found
        told.append({"suite": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "episodes": len(found),
                     **{name: summary[name] for name in ("decision_right", "goal_reached", "contacts", "violations")}})
    for name, wrong in (("decisions", [r.id for r in results if not r.decision_right]),
                        ("goals", [r.id for r in results if not r.goal_reached]),
                        ("contacts", [r.id for r in results if r.contacts or r.error]),
                        ("violations", [f"{r.id}: {', '.join(r.violations)}" for r in results if r.violations])):
        yield Result(name, len(results), len(wrong), {"suites": told} if name == "decisions" else {}, wrong)


def _episodes(path: Path, trial: Trial) -> list[str]:
    """The lines of a suite that are tried: this robot's, all or a few of them spread evenly. Raises ValueError, OSError."""
    from jpai_agent.sim.episode import read_suite

    read_suite(path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    own = [line for line in lines if json.loads(line)["robot"] == trial.robot]
    if not own:
        raise ValueError(f"{path} has no episode for robot {trial.robot}")
    return spread(own, trial.episodes)


def spread(things: Sequence[T], n: int | None) -> list[T]:
    """So many of them, evenly; all for None."""
    n = len(things) if n is None else min(n, len(things))
    return [things[i * len(things) // n] for i in range(n)]


def unsafe_plans(trial: Trial) -> Iterable[Result]:
    """Plans that must be blocked and plans that must pass, put to the chain without a model."""
    from jpai_agent.sim.unsafe import run_unsafe

    trial.tell(f"{trial.plans} unsafe and {trial.plans} safe plans")
    figures = run_unsafe(trial.robot, trial.plans, trial.seed, jobs=trial.jobs, rollouts=trial.rollouts)
    detail = {"stages": figures["unsafe"]["stages"], "categories": figures["categories"], "seed": trial.seed}
    wrong = figures["wrong"]
    yield Result("unsafe plans", figures["unsafe"]["n"], figures["unsafe"]["executed"], detail,
                 [line for line in wrong if line.startswith("unsafe")])
    yield Result("safe plans", figures["safe"]["n"], figures["safe"]["blocked"], {"stages": figures["safe"]["stages"]},
                 [line for line in wrong if line.startswith("safe")])


def fault_table(trial: Trial) -> Iterable[Result]:
    """Faults put around the real gate and into the whole graph, each with what must follow; needs ROS 2."""
    from rich.console import Console

    from jpai_agent.nodes import faults

    tried = spread(faults.names(trial.robot), trial.faults)
    trial.tell(f"{len(tried)} faults x {trial.fault_seeds} seeds")

    def once(names: Sequence[str], seed: int) -> list[dict[str, Any]]:
        return [asdict(one) for one in faults.run_faults(trial.robot, [seed], names, lambda r: trial.tell(faults.line(r)))]

    results = []
    for seed in range(trial.fault_seeds):
        # a bench takes its time to come up, and a seed of all of them takes too long to be lost
        for at in range(0, len(tried), FAULTS_AT_ONCE):
            batch = tried[at : at + FAULTS_AT_ONCE]
            part = f"faults {at} to {at + len(batch)}, seed {seed}"
            results += [faults.Result(**one) for one in trial.done.of(part, partial(once, batch, seed))]
    Console(stderr=True).print(faults.table(results))
    figures = faults.summary(results)
    wrong = [f"{result.name}, seed {result.seed}: {result.detail}" for result in results if not result.ok]
    yield Result("faults", figures["tried"], len(wrong), {"by_fault": figures["by_fault"]}, wrong)


CHECKS: Mapping[str, Check] = {"plans": unsafe_plans, "faults": fault_table, "suites": suites}


def bars() -> Mapping[str, Any]:
    """What config/certification.yaml asks for."""
    return yaml.safe_load(resource("config", "certification.yaml").read_text(encoding="utf-8"))


def judged(result: Result, bar: Mapping[str, float], *, quick: bool) -> dict[str, Any]:
    """A result as the certificate has it, held against its bar; with quick the number of cases does not count."""
    enough = result.n >= (1 if quick else bar["least_n"])
    return {"name": result.name, "n": result.n, "failures": result.failures, "bound": round(result.bound, 6),
            "most": bar["most"], "least_n": bar["least_n"], "passed": enough and result.failures <= bar["most"] * result.n,
            "failed": list(result.failed)[:MOST_NAMED], "detail": dict(result.detail)}


def certify(robot: str, world: str, model_dir: Path, suite_files: Sequence[Path], *, quick: bool = False, seed: int = 0,
            jobs: int = 1, checks: Mapping[str, Check] | None = None, tell: Callable[[str], None] = print,
            progress: Path | None = None, resume: bool = False) -> Certificate:
    """Run every check and sign what they found.

    A check that breaks is a failed one. What is tried stays what it was: files that change meanwhile fail the certificate.

    Args:
        checks: By default all there are. quick: Only a little of each, which arms nothing.
        progress: Keeps what is done, for a trial that breaks off. resume: go on from there; what was done with other files,
            another amount or another seed is done again.

    Raises:
        CertificateError: An altered model, no key. ValueError: bad input, such as an unknown robot or a suite without episodes.
    """
    asked = bars()
    amount = asked["tried"]["quick" if quick else "full"]
    subject = subject_of(robot, world, model_dir)
    trial = Trial(robot, world, model_dir, suite_files, **amount, seed=seed, jobs=jobs, tell=tell)
    for path in suite_files:
        # what is wrong is said before anything runs
        _episodes(path, trial)
    about = {"subject": asdict(subject), "amount": amount, "seed": seed,
             "suites": [hashlib.sha256(path.read_bytes()).hexdigest() for path in suite_files]}
    done = Progress(progress, about, resume=resume)
    trial = replace(trial, done=done)
    begun = time.monotonic()
    found: dict[str, dict[str, Any]] = {}
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            if name in done:
                tell(f"{name}: done before")
            results = done.of(name, lambda check=check: [asdict(result) for result in check(trial)])  # type: ignore[misc]
            found |= {one["name"]: judged(Result(**one), asked["bars"][one["name"]], quick=quick) for one in results}
        except Exception as error:  # whatever breaks a check has broken what it tries
            tell(f"{name} broke: {type(error).__name__}: {error}")
            found[name] = _broken(name, f"{type(error).__name__}: {error}")
    for name in asked["bars"]:
        if name not in found:
            found[name] = judged(Result(name, 0, 0), asked["bars"][name], quick=quick)
    if subject_of(robot, world, model_dir) != subject:
        found["unchanged"] = _broken("unchanged", "files changed while they were tried")
    return issue(subject, list(found.values()), passed=all(result["passed"] for result in found.values()), quick=quick,
                 machine=machine() | {"seconds": round(time.monotonic() - begun, 1)}, days=asked["valid_days"])


def _broken(name: str, why: str) -> dict[str, Any]:
    """A result in place of one that could not be had."""
    return judged(Result(name, 0, 0, failed=[why]), {"most": 0.0, "least_n": 1}, quick=False)


def table(certificate: Certificate) -> list[str]:
    """A certificate's results as lines for people."""
    lines = [f"{'check':<14} {'n':>6} {'failures':>8} {'at most':>9} {'bar':>7}  "]
    for result in certificate.results:
        figures = f"{result['n']:>6} {result['failures']:>8} {result['bound']:>9.2%} {result['most']:>7.1%}"
        lines.append(f"{result['name']:<14} {figures}  {'ok' if result['passed'] else 'FAILED'}")
        if not result["passed"]:
            few = not certificate.quick and 0 < result["n"] < result["least_n"]
            lines += [f"  only {result['n']} of at least {result['least_n']} cases"] if few else []
            lines += [f"  {line}" for line in list(result["failed"])[:5]]
    return lines
