"""Workers that plan for several clients with one model: who waits where, who is turned away, and what is told to whom when.

Every request that was taken is settled once: with a plan, or with a typed error at its deadline at the latest, whatever the model
does meanwhile. What cannot be answered in time, by what the last plans took, is not taken.

Requests are not put together into batches: the embedded model's graphs are bound by arithmetic (a frame of a batch of four costs
as much as one alone), and their int8 activations share one scale, so that a plan would depend on who else asks at the time.
Workers beside each other use as many cores, and each plan is what it would be alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmBackend, VlmError
from jpai_agent.vlm.fair_queue import FairQueue, QueueFullError
from jpai_agent.vlm.metrics import Metrics
from jpai_agent.vlm.patience import Patience, waiting

log = logging.getLogger(__name__)

PER_CLIENT = 4
WAITING_MAX = 64
WAITING_MAX_BYTES = 256 << 20
MEMORY = 0.2  # weight of the newest plan in what the next is expected to take
END_S = 0.5  # what a plan under way may still take when the pool ends

Outcome = PlanAnswer | VlmError


class Job:
    """A request on its way. `client` is whose turn it takes; `patience` ends at its deadline."""

    def __init__(self, client: str, route: str, make: Callable[[], PlanRequest], budget_s: float,
                 done: Callable[[Outcome], None]) -> None:
        self.client, self.route, self.make, self.done = client, route, make, done
        self.came = time.monotonic()
        self.began: float | None = None
        self.patience = Patience(self.came + budget_s)


class PlanPool:
    """A model, its workers and those who wait for it. `start` it; any thread may ask.

    Args:
        backend: The model. Its `concurrent`, where it has one that is true, says that several threads may plan at a time.
        workers: How many of them; 1 for any other model.
        sha256: Of the model, for the metrics.
        per_client: Requests that wait of one client at most.
    """

    def __init__(self, backend: VlmBackend, workers: int = 1, *, sha256: str = "", per_client: int = PER_CLIENT,
                 waiting_max: int = WAITING_MAX) -> None:
        self.backend = backend
        self.workers = max(1, workers) if getattr(backend, "concurrent", False) else 1
        self.sha256 = sha256
        self.metrics = Metrics()
        self._queue: FairQueue[Job] = FairQueue(per_client, waiting_max, WAITING_MAX_BYTES)
        self._open: set[Job] = set()
        self._working: set[Job] = set()
        self._plan_s: float | None = None
        self._lock = threading.Lock()
        self._work, self._watch = threading.Condition(self._lock), threading.Condition(self._lock)
        self._stopping = False
        self._threads = [threading.Thread(target=self._think, name=f"vlm-thinker-{index}", daemon=True)
                         for index in range(self.workers)]
        self._watcher = threading.Thread(target=self._wait_for_deadlines, name="vlm-deadlines", daemon=True)
        self.metrics.watch("queue_length", lambda: self.queued)
        self.metrics.watch("working", lambda: len(self._working))
        self.metrics.watch("working_seconds", lambda: self.working_s)
        self.metrics.watch("workers", lambda: self.workers)
        self.metrics.watch("model_info", lambda: 1, model=backend.name, sha256=sha256)

    def start(self) -> None:
        """Begin to work."""
        for thread in (*self._threads, self._watcher):
            thread.start()

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def working_s(self) -> float:
        """Age of the oldest plan under way, else 0."""
        began = [job.began for job in list(self._working) if job.began is not None]
        return time.monotonic() - min(began) if began else 0.0

    @property
    def thinking(self) -> bool:
        """True while a plan is under way that nobody could call off, after `close`."""
        return any(thread.is_alive() for thread in self._threads)

    def submit(self, client: str, make: Callable[[], PlanRequest], budget_s: float, done: Callable[[Outcome], None], *,
               route: str = "", size_bytes: int = 0) -> Job:
        """Have a plan made. `done` is called once, in another thread, with the answer or the error.

        Args:
            client: Who asks; each has a queue of its own. make: gives the request, in the worker that plans it.
            budget_s: Longest until `done` is called. route, size_bytes: of the request, for the metrics and the queue's bound.

        Raises:
            VlmError: model_busy when it is not taken, model_timeout without time, model_unavailable once the pool has ended.
        """
        job = Job(client, route, make, budget_s, done)
        try:
            with self._lock:
                if self._stopping:
                    raise VlmError("model_unavailable", "the server ends")
                if budget_s <= 0:
                    raise VlmError("model_timeout", "the deadline passed before the request came")
                self._admit(job, budget_s)
                try:
                    self._queue.add(client, job, size_bytes)
                except QueueFullError as error:
                    raise VlmError("model_busy", str(error)) from error
                self._open.add(job)
                self._work.notify()
                self._watch.notify()
        except VlmError as error:
            self.metrics.count("requests_total", route=route, outcome=error.reason_code)
            raise
        return job

    def cancel(self, job: Job) -> None:
        """Nobody waits for it any more: out of the queue; where a decoder is at it, it leaves off. `done` is not called."""
        job.patience.called_off = True
        with self._lock:
            self._queue.drop(job.client, job)
            mine = self._close(job)
        if mine:
            self.metrics.count("requests_total", route=job.route, outcome="cancelled")

    def close(self) -> None:
        """End: what waits is told so, what is under way is called off."""
        with self._lock:
            self._stopping = True
            left = list(self._open)
            for job in left:
                job.patience.called_off = True
            self._work.notify_all()
            self._watch.notify_all()
        for job in left:
            self._settle(job, VlmError("model_unavailable", "the server ends"))
        end = time.monotonic() + END_S
        for thread in (*self._threads, self._watcher):
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def _admit(self, job: Job, budget_s: float) -> None:
        """Raise VlmError("model_busy") for what would not be ready in time; one that need not wait is always taken."""
        if self._plan_s is None or len(self._working) < self.workers:
            return
        before = self._queue.before(job.client) + 1  # and one under way, about half done
        expected_s = self._plan_s * (before / self.workers + 1)
        if expected_s > budget_s:
            raise VlmError("model_busy", f"it would take {expected_s:.1f} s, there are {budget_s:.1f} s")

    def _think(self) -> None:
        while (job := self._next()) is not None:
            outcome = self._plan(job)
            with self._lock:
                self._working.discard(job)
                if job.began is not None and isinstance(outcome, PlanAnswer):
                    took = time.monotonic() - job.began
                    self._plan_s = took if self._plan_s is None else self._plan_s + MEMORY * (took - self._plan_s)
            self._settle(job, outcome)

    def _next(self) -> Job | None:
        with self._lock:
            while not self._stopping:
                if (job := self._queue.take()) is not None:
                    job.began = time.monotonic()
                    self._working.add(job)
                    return job
                self._work.wait()
        return None

    def _plan(self, job: Job) -> Outcome:
        try:
            with waiting(job.patience):
                job.patience.check()
                return self.backend.plan(job.make())
        except VlmError as error:
            return error
        except Exception as error:
            log.exception("the backend failed")
            return VlmError("model_unavailable", f"{type(error).__name__}: {error}")

    def _wait_for_deadlines(self) -> None:
        while True:
            with self._lock:
                if self._stopping:
                    return
                now = time.monotonic()
                past = [job for job in self._open if job.patience.deadline <= now]
                for job in past:
                    self._queue.drop(job.client, job)
                if not past:
                    first = min((job.patience.deadline for job in self._open), default=None)
                    self._watch.wait(None if first is None else first - now)
            for job in past:
                where = "waiting" if job.began is None else "under way"
                self._settle(job, VlmError("model_timeout", f"the deadline passed while the request was {where}"))

    def _close(self, job: Job) -> bool:
        """Whether it is this caller who settles it."""
        mine = job in self._open
        self._open.discard(job)
        return mine

    def _settle(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            mine = self._close(job)
        if not mine:
            if isinstance(outcome, PlanAnswer):
                self.metrics.count("late_total", route=job.route)
            return
        self._count(job, outcome)
        try:
            job.done(outcome)
        except Exception:
            log.exception("an answer was not told")

    def _count(self, job: Job, outcome: Outcome) -> None:
        told = outcome.reason_code if isinstance(outcome, VlmError) else "answered"
        self.metrics.count("requests_total", route=job.route, outcome=told)
        self.metrics.took(time.monotonic() - job.came, route=job.route)
        if isinstance(outcome, PlanAnswer):
            self.metrics.count("prompt_tokens_total", outcome.prompt_tokens)
            self.metrics.count("answer_tokens_total", outcome.answer_tokens)
            for part, ms in outcome.timings_ms.items():
                self.metrics.count("plan_seconds_total", ms / 1000, part=part)


def state(pool: PlanPool) -> dict[str, Any]:
    """A heartbeat: model, sha256, queue (requests waiting), working_s, workers."""
    return {"model": pool.backend.name, "sha256": pool.sha256, "queue": pool.queued, "working_s": pool.working_s,
            "workers": pool.workers}
