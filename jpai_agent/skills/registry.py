"""The registry of skills: each file of this package adds one, and everything that lists skills walks this table."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from jpai_agent.plan import SkillSpec


@dataclass(frozen=True, eq=False)
class Skill:
    """A registered skill: its `spec`, the `robots` that have it, and in words how it becomes `motion`."""

    spec: SkillSpec
    robots: tuple[str, ...]
    motion: str


_SKILLS: dict[tuple[str, str], Skill] = {}  # by name and robot: one name may take other arguments on another robot


def skill(*robots: str) -> Callable[[Callable[[], SkillSpec]], SkillSpec]:
    """Register the skill that the decorated function returns, for these robots; the name then stands for the spec.

    Raises:
        ValueError: The name is taken, no robot is named, or the function has no docstring to say how it becomes motion.
    """

    def register(declare: Callable[[], SkillSpec]) -> SkillSpec:
        spec, motion = declare(), inspect.getdoc(declare)
        if not robots or not motion:
            raise ValueError(f"skill {spec.name!r} needs a robot, and a docstring that says how it becomes motion")
        if twice := [robot for robot in robots if (spec.name, robot) in _SKILLS]:
            raise ValueError(f"skill {spec.name!r} is registered twice for {', '.join(twice)}")
        _SKILLS.update({(spec.name, robot): Skill(spec, robots, motion) for robot in robots})
        return spec

    return register


@lru_cache(maxsize=1)
def load() -> tuple[Skill, ...]:
    """Every registered skill in alphabetical order of name; imports each file of this package once."""
    package = importlib.import_module("jpai_agent.skills")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"jpai_agent.skills.{module.name}")
    return tuple(dict.fromkeys(_SKILLS[key] for key in sorted(_SKILLS)))


def skills_for(robot_name: str) -> dict[str, SkillSpec]:
    """The skills of a robot by name, in alphabetical order. Raises ValueError naming those that have some."""
    found = {entry.spec.name: entry.spec for entry in load() if robot_name in entry.robots}
    if not found:
        known = sorted({robot for entry in load() for robot in entry.robots})
        raise ValueError(f"no skills for robot {robot_name!r}; known robots: {', '.join(known)}")
    return found
