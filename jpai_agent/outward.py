"""The audit log of what leaves this machine, opened with its first record, for programs that may ask an endpoint."""

from __future__ import annotations

import atexit
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from jpai_agent.record.audit import AuditLog
from jpai_agent.record.audit_writer import AuditWriter


class Accounts:
    """`note` of an audit log that is not touched before there is something to record.

    Args:
        source: Who tells, in the log. path: the log; by default the user's.
    """

    def __init__(self, source: str, path: Path | None = None) -> None:
        self._source, self._path = source, path
        self._writer: AuditWriter | None = None
        self._lock = threading.Lock()

    def __call__(self, kind: str, **data: Any) -> Future[None]:
        """Have a record written; as `AuditWriter.note`."""
        with self._lock:
            if self._writer is None:
                self._writer = AuditWriter(AuditLog(self._source, self._path))
                atexit.register(self._writer.close)
        return self._writer.note(kind, **data)
