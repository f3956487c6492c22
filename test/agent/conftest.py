"""Shared by the agent's tests: this folder's helper modules, the cart and its yard."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot


@pytest.fixture(scope="session")
def cart() -> RobotSpec:
    return load_robot("cart")


@pytest.fixture(scope="session")
def yard() -> WorldMap:
    return load_map("yard")
