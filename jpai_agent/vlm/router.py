"""Choose who plans, among the endpoints that the policy allows and the model on this machine, and say why.

The cheapest place that is expected to answer in time is asked; of equal ones the more trusted, then the faster. What fails is
left alone for a while. A failure moves a request to places that are trusted as much as the one that it would have gone to, or
more, never to less: who can make the office's server fail does not thereby get its questions sent abroad. The model here is the
last that is asked, where no place suits the only one; the time that it needs is kept for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmBackend, VlmError
from jpai_agent.vlm.http import HttpError, Note
from jpai_agent.vlm.openai_backend import EndpointBackend
from jpai_agent.vlm.patience import Patience, check_patience, left_s, waiting
from jpai_agent.vlm.policy import TRUST, Policy

log = logging.getLogger(__name__)

LOCAL = "this machine"
REST_S, REST_MOST_S = 5.0, 300.0  # after a failure, twice as long after each more
TOKENS = 2000, 100  # of a prompt and an answer, before one has been seen
LOCAL_S = 0.5  # that the model here takes, before it has been seen
MEMORY = 0.3  # weight of the newest answer in what is expected of the next
AT_LEAST_S = 0.1  # that an endpoint takes, before it has been seen


@dataclass
class State:
    """What is known of a place: failures in a row, until when it rests (monotonic), time and tokens expected, the last error."""

    failures: int = 0
    rests_until: float = 0.0
    expected_s: float | None = None
    prompt_tokens: float = TOKENS[0]
    answer_tokens: float = TOKENS[1]
    error: str = ""


@dataclass(frozen=True)
class Route:
    """Places in the order in which they are asked, and why each stands where it does or is left out."""

    order: tuple[str, ...]
    why: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.why)


class Router:
    """A backend that asks others.

    Args:
        endpoints: Of the policy. local: the model on this machine; None where there is none.
        note: Writes to the audit log (`AuditWriter.note`) who was asked and why.
        clock: Monotonic seconds.
    """

    def __init__(self, policy: Policy, endpoints: Sequence[EndpointBackend], local: VlmBackend | None, note: Note,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.name = "router"
        self._policy, self._local, self._note, self._clock = policy, local, note, clock
        self._endpoints = {backend.name: backend for backend in endpoints}
        self._states = {name: State() for name in (*self._endpoints, LOCAL)}
        self._lock = threading.Lock()

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The answer of the first place that has one. Raises VlmError: the last one's that was asked, or called off."""
        request.check()
        begin, within_s = self._clock(), min(self._policy.deadline_s, left_s())
        route = self.route()
        log.info("%s", route)
        failed: VlmError | None = None
        asked: str | None = None
        try:
            for name in route.order:
                check_patience()
                left = within_s - (self._clock() - begin)
                if name != LOCAL and self._local is not None:
                    left -= self._needed(LOCAL)
                if left < (needed := self._needed(name)):
                    failed = failed or VlmError("model_timeout", f"{name} would take {needed:.1f} s, there are {left:.1f} s")
                    log.warning("%s is not asked: it would take %.1f s, %.1f s are left", name, needed, left)
                    continue
                try:
                    answer = self._ask(name, request, left)
                    asked = name
                    return answer
                except VlmError as error:
                    log.warning("%s: %s", name, error)
                    failed = error
                    if _called_off(error):
                        raise
            raise failed or VlmError("policy", f"nobody may be asked: {route}")
        finally:
            self._note("route", asked=asked, why=str(route), after=str(failed or ""))

    def warm(self, request: PlanRequest) -> None:
        """Warm the model of this machine; others are not told of it."""
        if self._local is not None:
            self._local.warm(request)

    def cancel(self) -> None:
        """Call off what is under way at endpoints."""
        for backend in self._endpoints.values():
            backend.cancel()

    def route(self) -> Route:
        """Who would be asked now, first to last."""
        now = self._clock()
        why: list[str] = []
        fit: list[str] = []
        with self._lock:
            for name, backend in self._endpoints.items():
                if self._local is not None and backend.endpoint.why_no_frames:
                    why.append(f"{name} left out: {backend.endpoint.why_no_frames}")
                else:
                    fit.append(name)
            fit.sort(key=self._worth)
            order = []
            floor = self._trust(fit[0]) if fit else 0
            for name in fit:
                state = self._states[name]
                if self._trust(name) < floor:
                    why.append(f"{name} left out: {TRUST[self._trust(name)]} is trusted less than {fit[0]} ({TRUST[floor]})")
                elif now < state.rests_until:
                    why.append(f"{name} rests {state.rests_until - now:.0f} s after {state.failures} failures ({state.error})")
                else:
                    order.append(name)
                    expected = "?" if state.expected_s is None else f"{state.expected_s:.1f}"
                    why.append(f"{name}: {self._yen(name):.3f} yen, {expected} s of {self._limit(name):.1f} s, "
                               f"{TRUST[self._trust(name)]}")
        if self._local is not None:
            order.append(LOCAL)
            why.append(f"{LOCAL}: {self._local.name}, {'last' if len(order) > 1 else 'alone'}")
        return Route(tuple(order), tuple(why))

    def _ask(self, name: str, request: PlanRequest, left_s: float) -> PlanAnswer:
        begin = self._clock()
        try:
            if name == LOCAL:
                assert self._local is not None
                with waiting(Patience(time.monotonic() + left_s)):
                    answer = self._local.plan(request)
            else:
                answer = self._endpoints[name].plan(request, left_s)
        except VlmError as error:
            self._failed(name, error)
            raise
        self._answered(name, answer, self._clock() - begin)
        return answer

    def _failed(self, name: str, error: VlmError) -> None:
        cause = error.__cause__
        asked = cause.retry_after_s if isinstance(cause, HttpError) else None
        # without a cause nobody was asked, for want of patience
        if cause is None or _called_off(error):
            return
        with self._lock:
            state = self._states[name]
            state.failures += 1
            rest = min(REST_S * 2 ** min(state.failures - 1, 10), REST_MOST_S)
            state.rests_until = self._clock() + min(max(rest, asked or 0.0), REST_MOST_S)
            state.error = f"{cause.kind}" if isinstance(cause, HttpError) else error.reason_code

    def _answered(self, name: str, answer: PlanAnswer, seconds: float) -> None:
        def newer(old: float, new: float) -> float:
            return old + MEMORY * (new - old)

        with self._lock:
            state = self._states[name]
            state.failures, state.error = 0, ""
            state.expected_s = seconds if state.expected_s is None else newer(state.expected_s, seconds)
            if answer.prompt_tokens:
                state.prompt_tokens = newer(state.prompt_tokens, answer.prompt_tokens)
                state.answer_tokens = newer(state.answer_tokens, answer.answer_tokens)

    def _worth(self, name: str) -> tuple[float, int, float]:
        known = self._states[name].expected_s
        return round(self._yen(name), 6), -self._trust(name), self._limit(name) if known is None else known

    def _yen(self, name: str) -> float:
        state = self._states[name]
        return self._endpoints[name].yen(state.prompt_tokens, state.answer_tokens)

    def _trust(self, name: str) -> int:
        return self._policy.trust(self._endpoints[name].endpoint)

    def _limit(self, name: str) -> float:
        return min(self._policy.deadline_s, self._endpoints[name].endpoint.deadline_s)

    def _needed(self, name: str) -> float:
        """Seconds that a place is expected to take."""
        known = self._states[name].expected_s
        return known if known is not None else (LOCAL_S if name == LOCAL else AT_LEAST_S)


def _called_off(error: VlmError) -> bool:
    return isinstance(error.__cause__, HttpError) and error.__cause__.kind == "cancelled"
