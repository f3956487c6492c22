"""Stands in for the model's process: the real server around a table of answers, for trying the graph without one."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.server import VlmServer


class Table:
    """Answers from a JSON file: instruction → plan JSON text. `slow` ones take a second."""

    name = "stand-in"

    def __init__(self, path: Path) -> None:
        self._path = path

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The text that stands in the table. Raises VlmError for an instruction that does not."""
        request.check()
        table = json.loads(self._path.read_text(encoding="utf-8"))
        if request.instruction not in table:
            raise VlmError("plan_error", f"not in the table: {request.instruction!r}")
        if "ゆっくり" in request.instruction:
            time.sleep(1.0)
        return PlanAnswer(table[request.instruction], model=self.name)

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


def main() -> None:
    """Serve the table argv[2] at argv[1] until a signal."""
    server = VlmServer(Table(Path(sys.argv[2])), sys.argv[1], sha256="0" * 64)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    server.run()


if __name__ == "__main__":
    main()
