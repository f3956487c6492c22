"""What of the agent's events goes into the audit log: instructions, plans, verdicts, decisions and endings."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from jpai_agent.agent.events import Decided, Event, Finished, Heard, Planned, Rehearsed
from jpai_agent.record.audit_writer import AuditWriter

LONGEST = 4000


class AuditEvents:
    """An observer of the agent that writes to the audit log.

    Args:
        writer: Of the agent's process. model: Gives the hash of the model that plans.

    Attributes:
        written: Done when all that was told so far is on disk; it has an AuditError when that cannot be.
    """

    def __init__(self, writer: AuditWriter, model: Any) -> None:
        self._writer, self._model = writer, model
        self.written: Future[None] = Future()
        self.written.set_result(None)

    def __call__(self, event: Event) -> None:
        """Have an event written, if it is one that counts."""
        head = {"turn": event.turn, "at_s": event.time_s}
        note = self._note
        if isinstance(event, Heard):
            note("instruction", **head, text=event.text[:LONGEST], characters=len(event.text))
        elif isinstance(event, Planned):
            plan = event.plan.to_dict() if event.plan is not None else None
            sha256 = event.plan.sha256() if event.plan is not None else None
            note("plan", **head, plan=plan, sha256=sha256, model=self._model(), error=event.error[:LONGEST])
        elif isinstance(event, Rehearsed):
            verdict = event.verdict
            note("verdict", **head, id=verdict.id, status=verdict.status, reason=verdict.reason, rollouts=verdict.rollouts,
                 pass_rate=verdict.pass_rate, min_clearance_m=verdict.min_clearance_m, binding=verdict.binding)
        elif isinstance(event, Decided):
            note("decision", **head, decision=event.decision, reason=event.reason, plan=event.plan.sha256())
        elif isinstance(event, Finished):
            note("end", **head, outcome=event.outcome, reason=event.reason)

    def _note(self, kind: str, **data: Any) -> None:
        # records are written in their order: the last one's end is that of all
        self.written = self._writer.note(kind, **data)
