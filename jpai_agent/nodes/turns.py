"""Which instruction an event of the agent belongs to: the one being planned, or the one that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.nodes import convert
from jpai_agent.nodes.base import stamp_of
from jpai_msgs.action import ExecuteInstruction
from jpai_msgs.msg import ErrorCode, Plan, Verdict

Stage = ExecuteInstruction.Feedback
_ENDINGS = {
    "done": ErrorCode.NONE,
    "failed": ErrorCode.EXECUTION_FAILED,
    "stopped": ErrorCode.STOPPED,
    "replaced": ErrorCode.PREEMPTED,
}
# of runs that failed
_REASONS = {
    "stopped": ErrorCode.STOPPED,
    "estop": ErrorCode.GATE_LATCHED,
    "locked": ErrorCode.GATE_LOCKED,
    "changed": ErrorCode.VERDICT_REFUSED,
    "fault": ErrorCode.EXECUTOR_UNAVAILABLE,
}


@dataclass
class Turn:
    """An instruction and what became of it.

    Attributes:
        goal: The action goal that it came as, if it did. tell: called at every change. ended: called once, at its end.
        code, message: How it ended, or will.
    """

    text: str
    session: str = ""
    goal: Any = None
    tell: Callable[[Turn], None] | None = None
    ended: Callable[[Turn], None] | None = None
    stage: int = Stage.PLANNING
    step: int = -1
    plan: Plan = field(default_factory=Plan)
    verdict: Verdict = field(default_factory=Verdict)
    reply: str = ""
    code: int = ErrorCode.NONE
    message: str = ""
    stops: bool = False
    canceled: bool = False


class Turns:
    """Follows the agent's events. Endings are held back until `settle`, so that the words that come with them are kept.

    Args:
        error_code: Gives the code for a plan that could not be had.
        model: Gives the hash of the model.
    """

    def __init__(self, error_code: Callable[[], int], model: Callable[[], str]) -> None:
        self.planned: Turn | None = None
        self.running: Turn | None = None
        self._error_code, self._model = error_code, model
        self._over: list[Turn] = []

    def begin(self, turn: Turn) -> None:
        """An instruction is about to be heard; one that is still being planned is dropped for it."""
        if self.planned is not None:
            self._end(self.planned, ErrorCode.PREEMPTED, "another instruction came before it was planned")
        self.planned = turn

    def drop(self, code: int, message: str) -> None:
        """What was being planned is dropped: a stop or a cancel."""
        if self.planned is not None:
            self._end(self.planned, code, message)
            self.planned = None

    def settle(self) -> None:
        """Report the instructions that have ended."""
        over, self._over = self._over, []
        for turn in over:
            if turn.ended is not None:
                turn.ended(turn)

    def take(self, event: Event) -> None:
        """Follow an event."""
        turn = self.planned or self.running
        if isinstance(event, Replied) and self.planned is None and self._over:
            # words about an end come right after it
            turn = self._over[-1]
        if turn is None:
            return
        if isinstance(event, Planned):
            self._planned(turn, event)
        elif isinstance(event, Grounded):
            turn.stage = Stage.REHEARSING
        elif isinstance(event, Rehearsed):
            turn.verdict = convert.verdict_msg(event.verdict)
        elif isinstance(event, Decided):
            self._decided(turn, event)
        elif isinstance(event, Replied):
            turn.reply = event.text
        elif isinstance(event, StepStarted):
            turn = self.running or turn
            turn.stage, turn.step = Stage.EXECUTING, event.step
        elif isinstance(event, Finished):
            self._finished(event)
            return
        else:
            return
        if turn.tell is not None:
            turn.tell(turn)

    def _planned(self, turn: Turn, event: Planned) -> None:
        if turn is self.running:
            turn.stage = Stage.LOOKING
        elif event.plan is None:
            turn.code, turn.message = self._error_code(), event.error
        else:
            turn.stage, turn.code, turn.message = Stage.GROUNDING, ErrorCode.NONE, ""
            turn.plan = Plan(
                id=f"plan-{event.plan.sha256()[:12]}",
                json=event.plan.to_json(),
                sha256=event.plan.sha256(),
                instruction=turn.text,
                session=turn.session,
                model=self._model(),
                image_stamp=stamp_of(event.image.stamp_s if event.image else event.time_s),
            )

    def _decided(self, turn: Turn, event: Decided) -> None:
        if turn is not self.planned:
            return
        if event.decision != "act":
            if turn.code == ErrorCode.NONE:
                turn.code = ErrorCode.ASKED if event.decision == "ask" else ErrorCode.REFUSED
                turn.message = f"{event.decision}: {event.reason}"
            if not turn.plan.json:
                turn.plan = Plan(
                    json=event.plan.to_json(), sha256=event.plan.sha256(), instruction=turn.text, session=turn.session
                )
            return
        turn.stops = [step.skill for step in event.plan.steps] == ["stop"]
        if turn.stops:
            turn.plan = Plan(json=event.plan.to_json(), sha256=event.plan.sha256(), instruction=turn.text, session=turn.session)
        elif self.running is None:
            self.running, self.planned = turn, None

    def _finished(self, event: Finished) -> None:
        planned = self.planned
        if event.outcome == "answered" and planned is not None:
            self._end(planned, planned.code, planned.message)
            self.planned = None
        elif event.outcome == "done" and planned is not None and planned.stops:
            self._end(planned, ErrorCode.NONE, "")
            self.planned = None
        elif self.running is not None:
            running, self.running = self.running, None
            code = _REASONS.get(event.reason) or _ENDINGS.get(event.outcome, ErrorCode.UNKNOWN)
            self._end(running, code, event.reason or event.outcome)
            if event.outcome == "replaced":
                self.running, self.planned = planned, None

    def _end(self, turn: Turn, code: int, message: str) -> None:
        turn.code = ErrorCode.CANCELED if turn.canceled and code == ErrorCode.STOPPED else code
        turn.message = "" if code == ErrorCode.NONE else message
        self._over.append(turn)
