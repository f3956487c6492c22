"""What the agent tells its observers: one small class per thing that happens, each with the time it happened at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jpai_agent.control import Program
from jpai_agent.plan import ActionPlan
from jpai_agent.twin.verdict import Verdict
from jpai_agent.world.scene import GroundedTarget, Scene
from jpai_agent.world.sensors import Image


@dataclass(frozen=True)
class Event:
    """Anything that happens. `time_s` is on the robot's clock; `turn` counts the instructions heard, from 0."""

    time_s: float
    turn: int


@dataclass(frozen=True)
class Heard(Event):
    """An instruction arrived."""

    text: str


@dataclass(frozen=True)
class Planned(Event):
    """The model answered. `plan` is None when its answer was no plan; `error` then says why.

    `confidence` is the share of such decisions that is right, None where the model does not tell.
    """

    image: Image | None
    plan: ActionPlan | None
    raw_text: str
    latency_ms: float
    error: str = ""
    timings_ms: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None


@dataclass(frozen=True)
class Grounded(Event):
    """The plan's targets were found in the world, by step index."""

    scene: Scene
    targets: dict[int, GroundedTarget]


@dataclass(frozen=True)
class Rehearsed(Event):
    """A program was rehearsed."""

    program: Program
    verdict: Verdict
    latency_ms: float


@dataclass(frozen=True)
class Decided(Event):
    """The agent's own decision on a turn, after perception and rehearsal."""

    decision: str
    reason: str | None
    plan: ActionPlan


@dataclass(frozen=True)
class StepStarted(Event):
    """A step of the plan begins."""

    step: int


@dataclass(frozen=True)
class Replied(Event):
    """The robot says something (Japanese): a reply, a question, or a `say` step."""

    text: str


@dataclass(frozen=True)
class Finished(Event):
    """A plan ended: "done", "failed", "stopped", "replaced"; for questions and refusals "answered"."""

    outcome: str
    reason: str = ""


Observer = Callable[[Event], Any]
