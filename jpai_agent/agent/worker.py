"""Run slow work beside the control loop: at once with a simulated delay, or on a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol


class Job(Protocol):
    """A piece of slow work under way."""

    def ready(self, now_s: float) -> bool:
        """True when the result may be taken."""

    def result(self) -> Any:
        """The result; raises what the work raised."""


class Worker(Protocol):
    """Takes slow work."""

    def submit(self, work: Callable[[], Any], now_s: float) -> Job:
        """Start `work`; `now_s` is the time of the frame that it speaks of."""


@dataclass
class _Done:
    outcome: Future[Any]
    due_s: float

    def ready(self, now_s: float) -> bool:
        return now_s >= self.due_s

    def result(self) -> Any:
        return self.outcome.result()


class SimulatedWorker:
    """Does the work on the spot and lets it take effect `delay_s` of simulated time later, so that results repeat."""

    def __init__(self, delay_s: float = 0.5) -> None:
        self.delay_s = delay_s

    def submit(self, work: Callable[[], Any], now_s: float) -> Job:
        """Run `work` now; its result is ready at `now_s + delay_s`."""
        outcome: Future[Any] = Future()
        try:
            outcome.set_result(work())
        except Exception as error:  # handed to whoever takes the result
            outcome.set_exception(error)
        return _Done(outcome, now_s + self.delay_s - 1e-9)


@dataclass
class _Running:
    outcome: Future[Any]

    def ready(self, now_s: float) -> bool:
        return self.outcome.done()

    def result(self) -> Any:
        return self.outcome.result()


class ThreadWorker:
    """Does the work on one background thread, in order of arrival."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpai-worker")

    def submit(self, work: Callable[[], Any], now_s: float) -> Job:
        """Queue `work`; its result is ready when it has run."""
        return _Running(self._pool.submit(work))

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
