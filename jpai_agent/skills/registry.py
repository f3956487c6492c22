"""The registry of skills: each file of this package adds one, and everything that lists skills walks this table."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from jpai_agent.plan import SkillSpec


@dataclass(frozen=True)
class Skill:
    """A registered skill: its `spec`, the `robots` that have it, and in words how it becomes `motion`."""

    spec: SkillSpec
    robots: tuple[str, ...]
    motion: str


_SKILLS: dict[str, Skill] = {}


def skill(*robots: str) -> Callable[[Callable[[], SkillSpec]], SkillSpec]:
    """Register the skill that the decorated function returns, for these robots; the name then stands for the spec.

    Raises:
        ValueError: The name is taken, no robot is named, or the function has no docstring to say how it becomes motion.
    """

    def register(declare: Callable[[], SkillSpec]) -> SkillSpec:
        spec, motion = declare(), inspect.getdoc(declare)
        if spec.name in _SKILLS:
            raise ValueError(f"skill {spec.name!r} is registered twice")
        if not robots or not motion:
            raise ValueError(f"skill {spec.name!r} needs a robot, and a docstring that says how it becomes motion")
        _SKILLS[spec.name] = Skill(spec, robots, motion)
        return spec

    return register


@lru_cache(maxsize=1)
def load() -> Mapping[str, Skill]:
    """Every registered skill by name, in alphabetical order; imports each file of this package once."""
    package = importlib.import_module("jpai_agent.skills")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"jpai_agent.skills.{module.name}")
    return MappingProxyType(dict(sorted(_SKILLS.items())))


def skills_for(robot_name: str) -> dict[str, SkillSpec]:
    """The skills of a robot by name, in alphabetical order. Raises ValueError naming those that have some."""
    found = {name: entry.spec for name, entry in load().items() if robot_name in entry.robots}
    if not found:
        known = sorted({robot for entry in load().values() for robot in entry.robots})
        raise ValueError(f"no skills for robot {robot_name!r}; known robots: {', '.join(known)}")
    return found
