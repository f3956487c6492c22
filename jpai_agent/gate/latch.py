"""Keep a latch over the death of any process: a small file, replaced as a whole, that is believed only when it is whole."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

VERSION = 1
CAUSE_CHARS, MAX_BYTES = 500, 4096


class LatchFile:
    """Whether a gate is latched, and why.

    A file that is there and cannot be read counts as a latch; one that was never written does not. What cannot be written is
    destroyed, which needs no room on the disk and reads as a latch too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> str | None:
        """Why the gate is latched; None when it is not."""
        try:
            if not self.path.exists() and not self.path.is_symlink():
                return None
            text = self.path.read_bytes()[:MAX_BYTES].decode("utf-8")
            cause = json.loads(text)["latch"]
            if not (cause is None or isinstance(cause, str)) or text != _written(cause):
                return "the stored latch is damaged"
            return cause
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            return f"the stored latch cannot be read: {type(error).__name__}"

    def store(self, cause: str | None) -> None:
        """Keep a latch, or that there is none. On the disk when it returns. Raises OSError; what stays then reads as a latch."""
        try:
            self._replace(_written(None if cause is None else cause[:CAUSE_CHARS]).encode())
        except OSError:
            self._destroy()
            raise

    def _replace(self, data: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _destroy(self) -> None:
        try:
            os.truncate(self.path, 0)
        except OSError:
            return  # nothing can be written at all: then nothing can be stored at the next start either, which latches


def _written(cause: str | None) -> str:
    """The file's text, of which there is exactly one for each cause."""
    body = json.dumps(cause, ensure_ascii=False)
    return json.dumps({"version": VERSION, "latch": cause, "crc32": zlib.crc32(body.encode())}, ensure_ascii=False)
