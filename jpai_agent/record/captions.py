"""What a video says at each moment, made from the agent's events: instruction, reply, step and state, in Japanese."""

from __future__ import annotations

from dataclasses import dataclass, field

from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Heard, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.plan import ActionPlan
from jpai_agent.record import words
from jpai_agent.world.map import WorldMap

WAITING_STATE = "指示待ち"
# states that a video shows in colour
STATES = ("指示待ち", "計画中", "認識中", "リハーサル中", "走行中", "待機中", "停止", "質問中", "完了")


@dataclass
class Captions:
    """An observer of the agent; `lines` and `status` are what `VideoWriter.add` takes.

    Attributes:
        world: Names of places.
        lines: Instruction in 「」, the robot's reply, the present step or finding; empty where there is none.
        status: One of STATES.
    """

    world: WorldMap
    status: str = WAITING_STATE
    lines: tuple[str, str, str] = ("", "", "")
    _turn: int = 0
    _plans: dict[int, ActionPlan] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Take an event of the agent."""
        said, reply, now = self.lines
        plan = self._plans.get(event.turn)
        if isinstance(event, Heard):
            said, reply, now, self.status, self._turn = f"「{event.text}」", "", "", "計画中", event.turn
        elif isinstance(event, Planned):
            if event.plan is not None and event.plan.decision == "act":
                self.status = "認識中"
        elif isinstance(event, Grounded):
            self.status = "リハーサル中"
        elif isinstance(event, Rehearsed):
            now = words.verdict_line(event.verdict.to_dict())
        elif isinstance(event, Decided):
            self._plans[event.turn] = event.plan
        elif isinstance(event, Replied):
            reply = event.text
        elif isinstance(event, StepStarted) and plan is not None and event.step < len(plan.steps):
            step = plan.steps[event.step]
            now = f"{event.step + 1}/{len(plan.steps)}  {words.step_title(step, self.world)}"
            self.status = {"wait": "待機中", "stop": "停止"}.get(step.skill, "走行中")
        # a plan that gave way to a newer instruction ends without being the news
        elif isinstance(event, Finished) and not (event.outcome == "replaced" and event.turn < self._turn):
            asks = event.outcome == "answered" and plan is not None and plan.decision == "ask"
            self.status = "質問中" if asks else "完了" if event.outcome == "done" else "停止"
            now = "" if event.outcome == "done" else now
        self.lines = (said, reply, now)
