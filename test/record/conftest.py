"""One made-up run for all tests of this folder, and the renderer that takes its pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up_run import MadeUpRun

from jpai_agent.twin.render import SceneRenderer


@pytest.fixture(scope="session")
def renderer() -> Iterator[SceneRenderer]:
    with SceneRenderer() as shared:
        yield shared


@pytest.fixture(scope="session")
def run(renderer: SceneRenderer) -> MadeUpRun:
    return MadeUpRun(renderer)
