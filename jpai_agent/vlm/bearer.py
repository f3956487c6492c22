"""Bearer keys of those who may ask over HTTP: a file of this user's own, a line a client, `NAME KEY`."""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
from pathlib import Path

from jpai_agent.world.keys import KeyFault, keys_dir

log = logging.getLogger(__name__)

FILE = "serve.keys"
OWN = "local"  # the client that the first key is made for
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63}) ([!-~]{16,512})")


def key_file(state: Path | None = None) -> Path:
    """Where the keys lie in a state folder, by default the user's."""
    return keys_dir(state) / FILE


def add_key(name: str, path: Path) -> str:
    """Make a key for another client, keep it in the file (mode 0600), and give it.

    Raises KeyFault, also for a name that is taken.
    """
    key = "jpai-" + secrets.token_urlsafe(32)
    if not _LINE.fullmatch(f"{name} {key}"):
        raise KeyFault(f"{name!r} is no name: up to 64 letters, digits, - and _")
    if path.exists() and name in read_keys(path).values():
        raise KeyFault(f"{path} has a key of {name}: remove its line first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as kept:
            kept.write(f"{name} {key}\n")
    except OSError as error:
        raise KeyFault(f"no key file {path}: {error}") from error
    return key


def read_keys(path: Path) -> dict[str, str]:
    """Names by key. Raises KeyFault for a file that cannot be read, that others may read, or a line that is none."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFault(f"others may read the keys in {path}: chmod 600 it")
        lines = path.read_text(encoding="ascii").splitlines()
    except KeyFault:
        raise
    except (OSError, ValueError) as error:
        raise KeyFault(f"no key file {path}: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise KeyFault(f"{path}, line {number}: not a name, a space and a key of 16 characters or more")
        found[match[2]] = match[1]
    return found


class BearerKeys:
    """The keys of a file, as it is now: one whose line is removed is admitted no more. Raises KeyFault as `read_keys`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed, self._names = path.stat().st_mtime_ns if path.exists() else 0, read_keys(path)

    def client(self, authorization: str) -> str | None:
        """The name of the client whose key a header `Authorization` brings, None for any other."""
        scheme, _, key = authorization.partition(" ")
        given = key.strip().encode("utf-8", "surrogatepass")
        if scheme.lower() != "bearer":
            return None
        found = None
        for known, name in self._now().items():
            if hmac.compare_digest(known.encode(), given):
                found = name
        return found

    def _now(self) -> dict[str, str]:
        try:
            changed = self.path.stat().st_mtime_ns
            if changed != self._changed:
                self._names = read_keys(self.path)
                self._changed = changed
        except OSError as error:  # a KeyFault is one too
            log.warning("nobody is admitted: %s", error)
            return {}
        return self._names
