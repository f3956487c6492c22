"""Settings of the voice: a dataclass whose defaults a YAML file may change, and a command once more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

Settings = TypeVar("Settings")


def load_settings(kind: type[Settings], file: Path, instead: Mapping[str, Any]) -> Settings:
    """The settings of a file; what is given `instead` and is not None takes its place.

    Args:
        kind: A dataclass whose defaults hold for what the file leaves out, and which raises ValueError for a value that it
            does not allow.

    Raises:
        ValueError: Names the file and what is wrong in it, or says what is wrong with what was given.
    """
    known = [member.name for member in fields(kind)]  # type: ignore[arg-type]
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(told, dict):
            raise ValueError("it must be names with values")
        unknown = sorted(map(str, set(told) - set(known)))
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        kind(**told)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: {error}") from error
    return kind(**told | {name: value for name, value in instead.items() if value is not None})


def check_numbers(settings: object, ranges: Mapping[str, tuple[float, float]], whose: str) -> None:
    """Raise ValueError where a setting is no number within its range (low, high). whose: "hearing", for the message."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not low <= value <= high:
            raise ValueError(f"{name} of {whose} must be a number from {low:g} to {high:g}, not {value!r}")
