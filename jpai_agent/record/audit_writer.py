"""Append to the audit log from a thread of its own, so that whoever tells of a stop does not wait for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from jpai_agent.record.audit import AuditError, AuditLog

DEPTH = 10_000
# a record that has waited for longer counts as one that cannot be written
SLOW_S = 10.0
RETRY_S = 1.0
CLOSE_WITHIN_S = 3.0

_Waiting = tuple[str, Mapping[str, Any], "Future[None]", float]


class AuditWriter:
    """Takes records at once and writes them in their order; while that fails, `fault` says so and it is tried again.

    Nothing here raises for want of a disk: whoever would set something in motion asks `fault`, or waits for the record's
    future, and does not begin when it fails.
    """

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(DEPTH)
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
        try:
            self._waiting.put_nowait((kind, data, written, time.monotonic()))
        except queue.Full:
            self._fault = f"the audit log {self.log.path} cannot keep up: {DEPTH} records are waiting"
        if self._fault is not None:
            _fail(written, AuditError(self._fault))
        return written

    def close(self) -> None:
        """Write what is waiting, for a few seconds at most, and end."""
        self._ending.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(CLOSE_WITHIN_S)

    def _run(self) -> None:
        while True:
            waiting = self._waiting.get()
            if waiting is None:
                return
            kind, data, written, self._since = waiting
            while not self._write(kind, data, written):
                if self._ending.wait(RETRY_S):
                    return
            self._since = None

    def _write(self, kind: str, data: Mapping[str, Any], written: Future[None]) -> bool:
        try:
            self.log.append(kind, data)
        except AuditError as error:
            self._fault = str(error)
            # what waits behind it does not get there either
            waiting = [other[2] for other in list(self._waiting.queue) if other is not None]
            for future in (written, *waiting):
                _fail(future, error)
            return False
        self._fault = None
        with suppress(InvalidStateError):
            written.set_result(None)
        return True


def _fail(written: Future[None], error: AuditError) -> None:
    with suppress(InvalidStateError):
        written.set_exception(error)
