"""Shared by the simulator's tests: this folder's helper modules and one renderer for all worlds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot


@pytest.fixture(scope="session")
def renderer() -> Iterator[SceneRenderer]:
    with SceneRenderer() as shared:
        yield shared


@pytest.fixture(scope="session")
def cart() -> RobotSpec:
    return load_robot("cart")


@pytest.fixture(scope="session")
def car() -> RobotSpec:
    return load_robot("car")


@pytest.fixture(scope="session")
def yard() -> WorldMap:
    return load_map("yard")
