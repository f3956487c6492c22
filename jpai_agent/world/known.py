"""The worlds and robots that the package brings, and which of them belong together when only one is named."""

from __future__ import annotations

from collections.abc import Mapping

# who is meant in a world when nobody says so
ROBOTS: Mapping[str, str] = {"yard": "cart", "street": "car"}
# where a robot is meant to be when nobody says so
WORLDS: Mapping[str, str] = {robot: world for world, robot in ROBOTS.items()}


def robot_for(world: str) -> str:
    """The robot of a world. Raises ValueError naming the known worlds."""
    if world not in ROBOTS:
        raise ValueError(f"unknown world {world!r}; known worlds: {', '.join(ROBOTS)}")
    return ROBOTS[world]
