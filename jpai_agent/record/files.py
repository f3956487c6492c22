"""Files that grow while a run goes on and are whole after every write, so that nothing is lost when a process dies."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

import numpy as np


def jsonable(value: Any, digits: int = 4) -> Any:
    """The value as JSON-ready data: numbers rounded, what is not finite as null, dataclasses and plans as objects."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist(), digits)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): jsonable(member, digits) for key, member in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        members = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [jsonable(member, digits) for member in members]
    if hasattr(value, "to_dict"):
        return jsonable(value.to_dict(), digits)
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name), digits) for field in fields(value)}
    return str(value)


def dump(value: Any) -> str:
    """One line of strict JSON, Japanese unescaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write a file as a whole or not at all, its numbers rounded. Raises OSError."""
    write_exact(path, jsonable(value))


def write_exact(path: Path, value: Any) -> None:
    """Write a file of data that is JSON-ready and stays as it is, as a whole or not at all. Raises OSError."""
    # not forced to the disk, which takes long: what must outlive a loss of power (a gate's latch, the audit log's checkpoint)
    # is written by those whose it is
    half = path.with_name(path.name + ".part")
    half.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    os.replace(half, path)


class JsonArray:
    """A file that holds a JSON array, one member a line, and is valid JSON after every `append`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+", encoding="utf-8", newline="\n")
        self._file.write("[\n]\n")
        self._file.flush()
        self._length = 0

    def append(self, member: Any) -> int:
        """Add a JSON-ready member; returns its index."""
        self._file.seek(0, os.SEEK_END)
        self._file.seek(self._file.tell() - len("\n]\n"))
        self._file.write(("\n" if self._length == 0 else ",\n") + dump(member) + "\n]\n")
        self._file.flush()
        self._length += 1
        return self._length - 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Lines:
    """A text file written line by line, each on disk's way at once."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="\n", buffering=1)

    def append(self, line: str) -> None:
        """Add a line."""
        self._file.write(line + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
