"""Is everything blocked that must not be driven, and nothing else? Plans of both sorts, put to the chain without a model.

A plan counts as blocked when it is no plan ("parse"), no program can be made of it ("compile"), the program that came with it is
none ("program"), its rehearsal fails ("verdict"), the executor refuses it ("executor") or the gate does not pass what it asks
("gate"). Whatever else its controllers might have done to save the day does not count.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jpai_agent.agent import Executor, NotPermitted
from jpai_agent.gate.core import Gate, GateConfig
from jpai_agent.sim import attempts_car_safe, attempts_cart_safe
from jpai_agent.sim.attempts import NOW_S, Attempt, Command
from jpai_agent.sim.report import machine
from jpai_agent.twin.validate import Refused, Validated, validate
from jpai_agent.twin.verdict import START_WITHIN_S, Binding, wilson
from jpai_agent.world.robot import RobotSpec, load_robot

KINDS = {"cart": attempts_cart_safe.KINDS, "car": attempts_car_safe.KINDS}
STAGES = ("parse", "compile", "program", "verdict", "executor", "gate")
MODEL = "the model that made it"


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt. `stage` blocked it for `reason`, one of STAGES; "" when it would be driven."""

    name: str
    category: str
    safe: bool
    stage: str
    reason: str

    @property
    def right(self) -> bool:
        """Whether it was blocked if and only if it had to be."""
        return self.safe == (self.stage == "")


def attempt(robot: str, safe: bool, number: int, seed: int) -> Attempt:
    """The attempt of that number: kinds by their shares, the rest drawn by seed and number. Raises ValueError for the robot."""
    if robot not in KINDS:
        raise ValueError(f"no plans to try for robot {robot!r}; there are for {', '.join(KINDS)}")
    shares = np.cumsum([share for share, _, _ in KINDS[robot]])
    # spread evenly, so that the first few are of all kinds
    at = (number * 0.6180339887498949) % 1.0 * shares[-1]
    _, bad, good = KINDS[robot][int(np.searchsorted(shares, at, side="right"))]
    made = (good if safe else bad)(np.random.default_rng((seed, number, safe)))
    return replace(made, name=f"{'safe' if safe else 'unsafe'}-{number:04d} {made.category}: {made.name}")


def put(tried: Attempt, robot: RobotSpec, *, rollouts: int | None = None, seed: int = 0) -> Outcome:
    """Put one attempt to the chain, as far as it gets."""

    def blocked(stage: str, reason: str) -> Outcome:
        return Outcome(tried.name, tried.category, tried.safe, stage, reason)

    if tried.commands:
        stopped = _at_gate(tried.commands, robot, tried.safe)
        return blocked("gate" if stopped else "", stopped)
    try:
        done = validate(
            tried.text,
            tried.targets,
            tried.scene,
            robot,
            tried.world_map,
            given=tried.program,
            model=MODEL,
            rollouts=rollouts,
            seed=seed,
            config=tried.config,
        )
    except Refused as refused:
        return blocked(refused.stage, refused.reason)
    if not done.verdict.passed and tried.tamper not in ("altered", "failed"):
        return blocked("verdict", done.verdict.reason)
    try:
        _start(tried, done, robot)
    except NotPermitted as error:
        return blocked("executor", str(error).split(" ", 2)[-1])
    return blocked("", "")


def _start(tried: Attempt, done: Validated, robot: RobotSpec) -> None:
    """Begin it under its verdict, after what is to be done to that. Raises NotPermitted."""
    executor = Executor(robot, tried.world_map)
    verdict, now_s = done.verdict, NOW_S + 0.5
    binding = Binding(done.plan.sha256(), done.program.sha256(), tried.scene.sha256(), robot.sha256, MODEL,
                      tried.world_map.rules.sha256)
    if tried.tamper in vars(binding):
        binding = replace(binding, **{tried.tamper: "another"})
    elif tried.tamper == "expired":
        now_s = NOW_S + START_WITHIN_S + 0.1
    elif tried.tamper == "future":
        now_s = NOW_S - 0.1
    elif tried.tamper == "altered":
        verdict = replace(verdict, status="pass", reason="", pass_rate=1.0)
    for _ in range(2 if tried.tamper == "replayed" else 1):
        executor.start(done.plan, done.program, verdict, binding, tried.scene, now_s)


def _at_gate(commands: Sequence[Command], robot: RobotSpec, safe: bool) -> str:
    """What the gate did about the commands: a safe one must come through unchanged, of an unsafe one nothing over the limits.

    "" when all came through as it was asked, or something over the limits did.
    """
    limits, period_s = robot.limits, 1.0 / robot.control_rate_hz
    gate = Gate(limits, GateConfig(), robot.ackermann)
    gate.arm()
    gate.plan_accepted("tried")
    last, changed = (0.0, 0.0), ""
    for tick, command in enumerate(commands):
        now_s = tick * period_s
        gate.heartbeat(now_s)
        for sensor in gate.config.sensor_timeouts_s:
            gate.sensor(sensor, now_s)
        gate.request(command.v_mps, command.w_radps, now_s, command.skew_s)
        given = gate.tick(now_s)
        v, w = given.v_mps, given.w_radps
        if not (abs(v - command.v_mps) <= 1e-6 and abs(w - command.w_radps) <= 1e-6):
            changed = changed or "; ".join(given.reasons) or "changed"
        if not safe and (
            _over(v, w, last, robot, period_s, first=tick == 0)
            or (not abs(command.skew_s) <= gate.config.stamp_skew_s and (v, w) != (0.0, 0.0))
        ):
            return ""
        last = (v, w)
    return changed


def _over(v: float, w: float, last: tuple[float, float], robot: RobotSpec, period_s: float, *, first: bool) -> bool:
    """Whether a command is beyond what the robot may be asked for after the last one."""
    limits, slack = robot.limits, 1e-6
    if not (math.isfinite(v) and math.isfinite(w)):
        return True
    speeds_up = abs(v) - abs(last[0]) if v * last[0] >= 0.0 else abs(v)
    fast = v > limits.forward_mps + slack or v < -limits.reverse_mps - slack or abs(w) > limits.yaw_radps + slack
    steps = 0.0 if first else limits.accel_mps2 * period_s
    return fast or speeds_up > steps + slack


def run_unsafe(
    robot: str = "cart",
    n: int = 300,
    seed: int = 0,
    *,
    jobs: int = 1,
    rollouts: int | None = None,
    tell: Callable[[Outcome], None] | None = None,
) -> dict[str, Any]:
    """Put n plans that must be blocked and n that must pass to a robot's chain. The same arguments give the same outcomes.

    Args:
        rollouts: Of each rehearsal, by default as configured. jobs: processes. tell: Is told every outcome, in order.

    Returns:
        unsafe: n, executed, upper (of the rate of executing such a plan: 3/n for none, else Wilson's), stages: {stage: n}.
        safe: n, blocked, upper, stages. categories: {name: {unsafe: n, executed, safe: n, blocked, stages}}.
        wrong: names, stages and reasons of all that went wrong. seed, robot, wall_s, machine.

    Raises ValueError for an unknown robot.
    """
    attempt(robot, True, 0, seed)
    begun = time.perf_counter()
    outcomes: list[Outcome] = []
    for outcome in _outcomes([(robot, safe, number, seed, rollouts) for number in range(n) for safe in (False, True)], jobs):
        outcomes.append(outcome)
        if tell is not None:
            tell(outcome)
    unsafe, safe = [o for o in outcomes if not o.safe], [o for o in outcomes if o.safe]
    executed, blocked = sum(not o.stage for o in unsafe), sum(bool(o.stage) for o in safe)
    categories = {}
    for name in dict.fromkeys(o.category for o in outcomes):
        bad, good = [o for o in unsafe if o.category == name], [o for o in safe if o.category == name]
        categories[name] = {
            "unsafe": len(bad),
            "executed": sum(not o.stage for o in bad),
            "safe": len(good),
            "blocked": sum(bool(o.stage) for o in good),
            "stages": _stages(bad),
        }
    return {
        "what": f"plans put to the {robot}'s chain without a model: plan, program, rehearsal, executor, gate",
        "robot": robot,
        "seed": seed,
        "unsafe": {"n": n, "executed": executed, "upper": upper(executed, n), "stages": _stages(unsafe)},
        "safe": {"n": n, "blocked": blocked, "upper": upper(blocked, n), "stages": _stages(safe)},
        "categories": categories,
        "wrong": [f"{o.name}: {f'{o.stage} ({o.reason})' if o.stage else 'executed'}" for o in outcomes if not o.right],
        "wall_s": round(time.perf_counter() - begun, 1),
        "machine": machine(),
    }


def upper(hits: int, n: int) -> float:
    """Upper bound of a rate seen as hits of n, 95 %: 3/n for none, else that of Wilson's interval."""
    if n <= 0:
        return 1.0
    return round(min(3.0 / n, 1.0) if hits == 0 else wilson(hits, n)[1], 4)


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as lines for people."""
    unsafe, safe = figures["unsafe"], figures["safe"]
    lines = [f"{'category':<10} {'unsafe':>6} {'executed':>8}  {'safe':>5} {'blocked':>7}  blocked by"]
    for name, row in figures["categories"].items():
        stages = ", ".join(f"{stage} {count}" for stage, count in row["stages"].items())
        lines.append(f"{name:<10} {row['unsafe']:>6} {row['executed']:>8}  {row['safe']:>5} {row['blocked']:>7}  {stages}")
    lines.append(f"{'all':<10} {unsafe['n']:>6} {unsafe['executed']:>8}  {safe['n']:>5} {safe['blocked']:>7}")
    lines.append(
        f"robot {figures['robot']}, seed {figures['seed']}: unsafe plans executed {unsafe['executed']} of {unsafe['n']} "
        f"(at most {unsafe['upper']:.2%}), safe plans blocked {safe['blocked']} of {safe['n']} (at most {safe['upper']:.2%})"
    )
    return lines + [f"wrong: {wrong}" for wrong in figures["wrong"]]


def _stages(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts = Counter(o.stage for o in outcomes if o.stage)
    return {stage: counts[stage] for stage in STAGES if counts[stage]}


def _outcomes(jobs_for: list[tuple[str, bool, int, int, int | None]], jobs: int) -> Iterator[Outcome]:
    """The outcomes in order, by `jobs` processes."""
    if jobs <= 1:
        yield from map(_one, jobs_for)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        yield from pool.map(_one, jobs_for, chunksize=4)


def _begin() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _one(job: tuple[str, bool, int, int, int | None]) -> Outcome:
    robot, safe, number, seed, rollouts = job
    return put(attempt(robot, safe, number, seed), load_robot(robot), rollouts=rollouts, seed=seed)
