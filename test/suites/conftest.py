"""Shared by the suites' tests: this folder's helper modules and one renderer for all episodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jpai_agent.twin.render import SceneRenderer


@pytest.fixture(scope="session")
def renderer() -> Iterator[SceneRenderer]:
    with SceneRenderer() as shared:
        yield shared
