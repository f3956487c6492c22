"""Describe the arguments that a skill takes: their kinds, ranges and defaults. The skill registry is written in these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from jpai_agent.plan.types import Target

TEXT_MAX_CHARS = 120


@dataclass(frozen=True)
class Number:
    """A finite number in [low, high]; zero is rejected where `nonzero`. `unit` is for people and prompts (m, s, deg)."""

    low: float
    high: float
    unit: str
    required: bool = False
    nonzero: bool = False
    kind: ClassVar[str] = "number"

    def check(self, value: Any) -> None:
        """Raise ValueError with the range when `value` is not a number within it."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
        if not self.low <= value <= self.high or (self.nonzero and value == 0):
            raise ValueError(f"{value} is outside {self.low}..{self.high} {self.unit}")


@dataclass(frozen=True)
class Choice:
    """One of a fixed set of words."""

    options: tuple[str, ...]
    required: bool = False
    kind: ClassVar[str] = "choice"

    def check(self, value: Any) -> None:
        """Raise ValueError with the options when `value` is none of them."""
        if value not in self.options:
            raise ValueError(f"{value!r} is not one of {', '.join(self.options)}")


@dataclass(frozen=True)
class Text:
    """Words, at most `max_chars` of them, without control characters."""

    max_chars: int = TEXT_MAX_CHARS
    required: bool = True
    kind: ClassVar[str] = "text"

    def check(self, value: Any) -> None:
        """Raise ValueError when `value` is no printable text of the right length."""
        if not isinstance(value, str) or not 0 < len(value) <= self.max_chars:
            raise ValueError(f"needs 1..{self.max_chars} characters of text")
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise ValueError("holds control characters")


@dataclass(frozen=True)
class TargetArg:
    """A target: point, place or label."""

    required: bool = True
    places: bool = True
    kind: ClassVar[str] = "target"

    def check(self, value: Any) -> None:
        """Raise ValueError when `value` is no target, or a place where none is meant."""
        if not isinstance(value, Target):
            raise ValueError(f"{value!r} is not a target")
        if value.place is not None and not self.places:
            raise ValueError(f"takes no place, got {value.place!r}")


Argument = Number | Choice | Text | TargetArg


@dataclass(frozen=True)
class SkillSpec:
    """A skill as the plan language sees it.

    Attributes:
        name: The skill's name in a plan.
        description: What it does, in Japanese, for the model's catalogue and the docs.
        args: Arguments by name, in the order in which a plan writes them.
        one_of: Names of which exactly one must be present; empty when there is no such rule.
        at_most_one_of: Names of which no two may be present.
    """

    name: str
    description: str
    args: dict[str, Argument]
    one_of: tuple[str, ...] = ()
    at_most_one_of: tuple[str, ...] = ()
