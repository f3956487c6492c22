"""Shared by perception's tests: this folder's helper module, the car and the street's map."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import ObjectSpec
from jpai_agent.world.robot import RobotSpec, load_robot

SHOP = ObjectSpec("shop", "convenience_store", (30.0, 91.0, -90.0))


@pytest.fixture(scope="session")
def car() -> RobotSpec:
    return load_robot("car")


@pytest.fixture(scope="session")
def street() -> WorldMap:
    """The street with a shop north of y = 80."""
    return load_map("street").with_landmarks([SHOP])
