"""Run the project's own checks, as `jpai test` does: lint, import borders, types, unit tests, the ROS graph."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def stages(extra: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The checks in their order; `extra` pytest arguments narrow the run to pytest alone."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if extra:
        return [("tests", [*pytest, *extra])]
    return [
        ("lint", [_tool("ruff"), "check", "jpai_agent", "test", "launch", "jpai_msgs", "setup.py"]),
        ("borders", [_tool("lint-imports"), "--config", "pyproject.toml", "--no-cache"]),
        ("types", [_tool("mypy"), "--no-error-summary", "--cache-dir", ".cache/mypy"]),
        ("tests", [*pytest, "-n", "2", "--dist", "loadfile", "test", "--ignore", "test/ros"]),
        # the graph's tests measure reactions: nothing else runs beside them
        ("graph", [*pytest, "test/ros"]),
    ]


def run_checks(extra: Sequence[str] = ()) -> int:
    """Run every stage, print how each went; returns the first exit status that is not 0, else 0."""
    status = 0
    for name, command in stages(extra):
        begin = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        print(f"jpai test: {name} {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - begin:.0f} s", flush=True)
        status = status or code
    return status
