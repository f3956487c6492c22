"""An agent that does as a script says, for tests of what surrounds an agent. It obeys no one and looks at nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jpai_agent.agent.events import Decided, Finished, Heard, Planned, Replied
from jpai_agent.perception import Perception
from jpai_agent.plan import ActionPlan, Step
from jpai_agent.sim.runner import AgentContext, AgentFactory
from jpai_agent.world.sensors import Observation

THINKS_S = 0.5


@dataclass(frozen=True)
class Script:
    """What is done about an instruction: for so many seconds these speeds, or a decision against it.

    Attributes:
        v_mps, w_radps, seconds: The motion. decision, reason: "act" moves, all else does not. reply: said when decided.
    """

    v_mps: float = 0.0
    w_radps: float = 0.0
    seconds: float = 0.0
    decision: str = "act"
    reason: str | None = None
    reply: str = ""


@dataclass
class ScriptedAgent:
    """Half a second after it heard something it decides, and moves as its script says."""

    context: AgentContext
    scripts: Mapping[str, Script]
    accepted_plan_id: str = ""
    heard: list[tuple[float, str]] = field(default_factory=list)
    _script: Script | None = None
    _from_s: float = math.inf
    _decided: bool = True

    def __post_init__(self) -> None:
        self.perception = Perception(self.context.robot, self.context.world_map)

    @property
    def idle(self) -> bool:
        return self._script is None

    def hear(self, text: str, now_s: float) -> None:
        self.heard.append((now_s, text))
        self._tell(Heard(now_s, self._turn, text))
        self._script, self._from_s, self._decided = self.scripts[text], now_s + THINKS_S, False

    def tick(self, observation: Observation) -> tuple[float, float]:
        self.perception.update(observation)
        now_s, script = observation.stamp_s, self._script
        if script is None or now_s < self._from_s - 1e-6:
            return 0.0, 0.0
        if not self._decided:
            self._decide(script, now_s)
        if now_s < self._from_s + script.seconds - 1e-6:
            return script.v_mps, script.w_radps
        self._script = None
        self._tell(Finished(now_s, self._turn, "done"))
        return 0.0, 0.0

    def _decide(self, script: Script, now_s: float) -> None:
        self._decided = True
        steps = (Step("wait", {"duration_s": 1.0}),) if script.decision == "act" else ()
        plan = ActionPlan(script.decision, steps, script.reason)
        self._tell(Planned(self._from_s - THINKS_S, self._turn, None, plan, plan.to_json(), 123.0))
        self._tell(Decided(now_s, self._turn, script.decision, script.reason, plan))
        if script.reply:
            self._tell(Replied(now_s, self._turn, script.reply))
        if script.decision == "act":
            self.accepted_plan_id = f"plan-{self._turn}"

    @property
    def _turn(self) -> int:
        return len(self.heard) - 1

    def _tell(self, event: object) -> None:
        for observer in self.context.observers:
            observer(event)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Make:
    """A picklable agent factory."""

    scripts: Mapping[str, Script]
    made: Callable[[ScriptedAgent], None] | None = None

    def __call__(self, context: AgentContext) -> ScriptedAgent:
        agent = ScriptedAgent(context, self.scripts)
        if self.made is not None:
            self.made(agent)
        return agent


@dataclass(frozen=True)
class MakeMaker:
    """A picklable maker of agent factories, as the benchmark takes it."""

    scripts: Mapping[str, Script]

    def __call__(self) -> AgentFactory:
        return Make(self.scripts)
