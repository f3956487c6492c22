"""Plans to put to the chain, good and bad, of kinds that any robot knows: texts, limits, programs, verdicts and commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.control.segments import Drive, Segment, Wait
from jpai_agent.plan import Number
from jpai_agent.plan.parse import MAX_STEPS
from jpai_agent.skills import skills_for
from jpai_agent.twin.config import RehearsalConfig
from jpai_agent.twin.road_config import RoadRehearsalConfig
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene

# how far over and under a limit is tried
EPSILONS = (1e-9, 1e-6, 1e-3, 0.01, 0.5, 1e3, 1e12)
NOW_S = 10.0
# what is done to a verdict before it is used
TAMPERED = ("expired", "future", "plan", "program", "scene", "robot", "model", "site", "replayed", "altered", "failed")


@dataclass(frozen=True)
class Command:
    """A request to the gate: speeds, and by how much its stamp differs from the clock."""

    v_mps: float
    w_radps: float
    skew_s: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """One plan that somebody wants driven.

    Attributes:
        name: For people. category: What makes it bad, or would. safe: Whether it ought to pass.
        text: The plan as JSON. scene, world_map: Where. targets: What its steps point at.
        program: The program that came with it, None where the chain is to make one. config: Of the rehearsal, None as configured.
        tamper: What is done to its verdict, one of TAMPERED; "" for nothing.
        commands: For the gate, one a tick, in place of a plan.
    """

    name: str
    category: str
    safe: bool
    scene: Scene
    world_map: WorldMap
    text: str = ""
    targets: Mapping[int, GroundedTarget] = field(default_factory=dict)
    program: Program | None = None
    config: RehearsalConfig | RoadRehearsalConfig | None = None
    tamper: str = ""
    commands: tuple[Command, ...] = ()


Make = Callable[[np.random.Generator], Attempt]


def act(*steps: Mapping[str, Any]) -> str:
    """The text of a plan with these steps."""
    return json.dumps({"decision": "act", "steps": list(steps), "reason": None}, ensure_ascii=False)


def pick(rng: np.random.Generator, options: Any) -> Any:
    """One of a sequence."""
    return options[int(rng.integers(len(options)))]


def bad_texts(good: Mapping[str, Any], number: tuple[str, float]) -> dict[str, Callable[[], str]]:
    """Texts that are no plans, by what is wrong with them.

    Args:
        good: A step that would be fine. number: Name and value of one of its arguments.
    """
    name, value = number
    plan: dict[str, Any] = {"decision": "act", "steps": [dict(good)], "reason": None}
    text = json.dumps(plan, ensure_ascii=False)

    def with_step(**change: Any) -> str:
        return json.dumps({**plan, "steps": [{**good, **change}]}, ensure_ascii=False)

    def literal(number_text: str) -> str:
        return text.replace(f'"{name}": {value}', f'"{name}": {number_text}')

    def without(key: str) -> str:
        return json.dumps({k: v for k, v in plan.items() if k != key})

    def steps(count: int) -> str:
        return json.dumps({**plan, "steps": [dict(good)] * count})

    texts: dict[str, Callable[[], str]] = {
        f"number {n}": partial(literal, n)
        for n in (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e400",
            "null",
            "true",
            "0x10",
            "１",
            "1,5",
            "1_0",
            "+1",
            '"1"',
            "[1]",
            "12345678901234567890",
            "{}",
            "--1",
            "1e",
            "零",
        )
    }
    texts |= {f"{n} steps": partial(steps, n) for n in (0, MAX_STEPS + 1, 200, 10**6)}
    texts |= {
        "empty": lambda: "",
        "blank": lambda: " \n",
        "prose": lambda: "はい、進みます。",
        "fenced": lambda: f"```json\n{text}\n```",
        "truncated": lambda: text[:-3],
        "cut in a number": lambda: text[: text.index(f'"{name}": ') + len(name) + 5],
        "two objects": lambda: text + text,
        "a list": lambda: f"[{text}]",
        "a word before": lambda: f"plan: {text}",
        "duplicate key": lambda: text.replace('"reason": null', '"reason": null, "decision": "ask"'),
        "duplicate argument": lambda: text.replace(f'"{name}": {value}', f'"{name}": {value}, "{name}": {value}'),
        "unknown key": lambda: json.dumps({**plan, "force": True}),
        "unknown argument": lambda: with_step(gate="off"),
        "unknown skill": lambda: with_step(skill="disable_safety"),
        "no skill": lambda: text.replace('"skill"', '"Skill"'),
        "skill of nothing": lambda: with_step(skill=None),
        "unknown decision": lambda: text.replace('"act"', '"force"'),
        "reason with act": lambda: text.replace('"reason": null', '"reason": "unsafe"'),
        "steps with ask": lambda: text.replace('"act"', '"ask"').replace('"reason": null', '"reason": "unsafe"'),
        "no decision": lambda: without("decision"),
        "no steps": lambda: without("steps"),
        "no reason": lambda: without("reason"),
        "steps no list": lambda: json.dumps({**plan, "steps": good}),
        "step no object": lambda: json.dumps({**plan, "steps": ["go"]}),
        "deep": lambda: with_step(**{name: [[[[[[[[1]]]]]]]]}),
        "very deep": lambda: "[" * 100_000,
        "long reply": lambda: json.dumps({**plan, "reply": "あ" * 121}),
        "control character": lambda: json.dumps({**plan, "reply": "\x07"}),
        "comment": lambda: text + "// ok",
        "single quotes": lambda: text.replace('"', "'"),
        "NUL": lambda: text + "\x00",
        "trailing comma": lambda: text.replace("]", ",]"),
        "missing argument": lambda: act({"skill": "wait"}),
        "point outside": lambda: act({"skill": "go_to", "target": {"camera": "front", "point": [500, 1001]}}),
        "point of fractions": lambda: act({"skill": "go_to", "target": {"camera": "front", "point": [0.5, 0.5]}}),
        "no such place": lambda: act({"skill": "go_to", "target": {"place": "outside"}}),
        "no such camera": lambda: act({"skill": "go_to", "target": {"camera": "drone", "point": [1, 1]}}),
        "ten megabytes": lambda: text + " " * 10_000_000,
    }
    return texts


def over_limits(robot: RobotSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Steps with one number beyond its argument's range, by EPSILONS, with what is wrong with them."""
    for skill, spec in skills_for(robot.name).items():
        for name, argument in spec.args.items():
            if not isinstance(argument, Number):
                continue
            for epsilon in EPSILONS:
                for bound, value in (("over", argument.high + epsilon), ("under", argument.low - epsilon)):
                    if value not in (argument.low, argument.high):
                        yield f"{skill}.{name} {bound} by {epsilon:g}", {"skill": skill, name: value}
            if argument.nonzero:
                yield f"{skill}.{name} of nothing", {"skill": skill, name: 0}


def broken_programs(program: Program, robot: RobotSpec, world_map: WorldMap) -> dict[str, Callable[[], Program]]:
    """Programs made of a good one that begins with a drive, by what is wrong with them."""
    segments = program.segments
    at, drive = next((i, s) for i, s in enumerate(segments) if isinstance(s, (Drive, RoadDrive)))
    half = len(drive.points) // 2
    x1 = world_map.bounds_m[2]

    def with_drive(**change: Any) -> Program:
        return replace(program, segments=(*segments[:at], replace(drive, **change), *segments[at + 1 :]))

    def point(x: float, y: float) -> tuple[tuple[float, float], ...]:
        return (*drive.points[:half], (x, y), *drive.points[half + 1 :])

    def ends(*more: Segment) -> Program:
        return replace(program, segments=(*segments, *more))

    fast = robot.limits.forward_mps
    broken: dict[str, Callable[[], Program]] = {
        f"speed {v:g}": partial(with_drive, cruise_mps=v)
        for v in (fast + 0.01, fast * 2, 1e9, 0.0, -1.0, math.nan, math.inf)
    }
    broken |= {
        f"point {x:g}": partial(with_drive, points=point(x, drive.points[half][1]))
        for x in (math.nan, math.inf, 1e9, x1 + 1.0)
    }
    broken |= {
        "leap": lambda: with_drive(points=(*drive.points[: half // 2], *drive.points[half + half // 2 :])),
        "one point": lambda: with_drive(points=drive.points[:1]),
        "no points": lambda: with_drive(points=()),
        "a million points": lambda: with_drive(points=drive.points[:1] * 10**6),
        "nothing": lambda: replace(program, segments=()),
        "many segments": lambda: replace(program, segments=segments[:1] * 500),
        "endless wait": lambda: ends(Wait(0, drive.cruise_mps, 1e9)),
        "wait of no number": lambda: ends(Wait(0, drive.cruise_mps, math.nan)),
        "wait before now": lambda: ends(Wait(0, drive.cruise_mps, -1.0)),
        "step before the first": lambda: with_drive(step=-1),
        "start of no number": lambda: replace(program, start=(math.nan, 0.0, 0.0)),
        "speed over by little": lambda: with_drive(cruise_mps=fast + 2e-3),
    }
    return broken


def bad_commands(robot: RobotSpec) -> dict[str, tuple[Command, ...]]:
    """What nobody may get through the gate, by what is wrong with it."""
    limits = robot.limits
    wild = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf, "1e9": 1e9, "-1e9": -1e9}
    bad: dict[str, tuple[Command, ...]] = {f"v {name}": (Command(v, 0.0),) * 10 for name, v in wild.items()}
    bad |= {f"w {name}": (Command(0.2, w),) * 10 for name, w in wild.items()}
    bad |= {f"stamp {skew:+g} s": (Command(0.2, 0.0, skew),) * 10 for skew in (3600.0, -3600.0, 1.01, -1.01, math.nan)}
    for epsilon in (0.001, 0.05, 1.0):
        bad[f"forward over by {epsilon:g}"] = (Command(limits.forward_mps + epsilon, 0.0),) * 120
        bad[f"reverse over by {epsilon:g}"] = (Command(-limits.reverse_mps - epsilon, 0.0),) * 60
        bad[f"turn over by {epsilon:g}"] = (Command(0.5, limits.yaw_radps + epsilon),) * 40
    bad["full speed at once"] = (Command(limits.forward_mps, 0.0),) * 3
    bad["full turn at once"] = (Command(0.5, limits.yaw_radps),) * 2
    bad["to and fro"] = (Command(limits.forward_mps, 0.0), Command(-limits.reverse_mps, 0.0)) * 20
    return bad


def good_commands(robot: RobotSpec, rng: np.random.Generator) -> tuple[Command, ...]:
    """Ramps within the limits, up, along a gentle curve, and down."""
    period_s, top = 1.0 / robot.control_rate_hz, float(rng.uniform(0.3, 0.95)) * robot.limits.forward_mps
    up = np.arange(0.0, top, 0.9 * robot.limits.accel_mps2 * period_s)
    curvature = float(rng.uniform(-0.03, 0.03))
    speeds = [*up, *[top] * 20, *up[::-1]]
    return tuple(Command(float(v), float(v) * curvature) for v in speeds)
