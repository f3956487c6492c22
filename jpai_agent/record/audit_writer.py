"""Append to the audit log from a thread of its own, so that whoever tells of a stop does not wait for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from jpai_agent.record.audit import MOST_AT_ONCE, AuditError, AuditLog, Entry

DEPTH = 10_000
# a record that has waited for longer counts as one that cannot be written
SLOW_S = 10.0
RETRY_S = 1.0
CLOSE_WITHIN_S = 3.0

_Waiting = tuple[Entry, "Future[None]", float]


class AuditWriter:
    """Takes records at once and writes them in their order; while that fails, `fault` says so and it is tried again.

    Nothing here raises for want of a disk: whoever would set something in motion asks `fault`, or waits for the record's
    future, and does not begin when it fails.
    """

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        # its put never waits for the thread that takes
        self._inbox: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._fault: str | None = None
        self._since: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jpai-audit", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why records cannot be written at present; None while they can."""
        since = self._since
        if self._fault is None and since is not None and time.monotonic() - since > SLOW_S:
            return f"the audit log {self.log.path} takes longer than {SLOW_S:.0f} s for a record"
        return self._fault

    def note(self, kind: str, **data: Any) -> Future[None]:
        """Have a record written. Its future is done when it is on disk; it has an AuditError when that cannot be now.

        data: JSON-ready values, dataclasses, arrays.
        """
        written: Future[None] = Future()
        if self._inbox.qsize() >= DEPTH:
            self._fault = f"the audit log {self.log.path} cannot keep up: {DEPTH} records are waiting"
        else:
            self._inbox.put((Entry(kind, data, time.time()), written, time.monotonic()))
        if self._fault is not None:
            _fail(written, AuditError(self._fault))
        return written

    def close(self) -> None:
        """Write what is waiting, for a few seconds at most, and end."""
        self._ending.set()
        self._inbox.put(None)
        self._thread.join(CLOSE_WITHIN_S)

    def _run(self) -> None:
        waiting: deque[_Waiting] = deque()
        ending = False
        while waiting or not ending:
            if not waiting:
                ending = self._take(waiting, self._inbox.get())
            ending = self._take_all(waiting) or ending
            if not waiting:
                continue
            self._since = waiting[0][2]
            batch = [waiting[i] for i in range(min(len(waiting), MOST_AT_ONCE))]
            try:
                self.log.append_all([entry for entry, _, _ in batch])
            except AuditError as error:
                self._fault = str(error)
                # what waits behind it does not get there either
                for _, written, _ in waiting:
                    _fail(written, error)
                if self._ending.wait(RETRY_S):
                    return
                continue
            self._fault = self._since = None
            for _, written, _ in batch:
                waiting.popleft()
                with suppress(InvalidStateError):
                    written.set_result(None)

    @staticmethod
    def _take(waiting: deque[_Waiting], one: _Waiting | None) -> bool:
        if one is not None:
            waiting.append(one)
        return one is None

    def _take_all(self, waiting: deque[_Waiting]) -> bool:
        """Take what has come, as far as there is room; True when it ends after that."""
        with suppress(queue.Empty):
            while len(waiting) < DEPTH:
                if self._take(waiting, self._inbox.get_nowait()):
                    return True
        return False


def _fail(written: Future[None], error: AuditError) -> None:
    with suppress(InvalidStateError):
        written.set_exception(error)
