"""The audit log: what was heard, planned, rehearsed, started, stopped and armed, in a chain that cannot be altered unseen.

One file of JSON lines for all processes of a user; whoever appends holds a lock. A record names the hash of the one before it
and is signed; beside the log lies a signed checkpoint of its end, so that a shortened log is found too. What a checkpoint
cannot tell is that both were put back to an older state together: for that, keep copies of it elsewhere
(`jpai audit checkpoint`) and hold the log against them.

What is appended is on disk (fdatasync) before `append` returns, and then the checkpoint (fsync, then renamed into place). Nodes
append through `audit_writer`, off their own threads and several records at once where they come fast: a stop never waits for the
disk, a start does.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jpai_agent.record.files import jsonable
from jpai_agent.record.keys import KeyFault, genuine, public_hex, signing_key
from jpai_agent.world.paths import state_dir

FORMAT = 1
KEY = "audit"
FIRST = "0" * 64
# records that are written, and so may be lost by a crash, together
MOST_AT_ONCE = 64
# what is signed begins like this, so that a signature on one kind of thing is none on another
RECORD_MARK, CHECKPOINT_MARK = b"jpai audit record 1\n", b"jpai audit checkpoint 1\n"
_RECORD = {"seq": int, "time": float, "source": str, "kind": str, "data": dict, "prev": str, "hash": str, "sig": str}
_CHECKPOINT = {"log": str, "seq": int, "hash": str, "end": int, "time": float, "sig": str}


class AuditError(OSError):
    """The log cannot be written; the message says why. Nothing may be set in motion then."""


@dataclass(frozen=True)
class Record:
    """One thing that happened.

    Attributes:
        seq: Counts from 0. time: Unix seconds of the wall clock. source: the process that tells.
        kind: "begin", "process", "instruction", "plan", "verdict", "decision", "start", "refused", "end", "gate", "torn" …
        prev: The hash of the record before. hash: sha256 of everything above. sig: over that hash, hex.
    """

    seq: int
    time: float
    source: str
    kind: str
    data: Mapping[str, Any]
    prev: str
    hash: str = ""
    sig: str = ""

    def digest(self) -> str:
        """The hash that belongs to its content."""
        content = {name: value for name, value in asdict(self).items() if name not in ("hash", "sig")}
        return hashlib.sha256(canonical(content)).hexdigest()

    def signed_by(self, public: str) -> bool:
        """Its hash was signed with the private half of this key."""
        return genuine(public, self.sig, RECORD_MARK + self.hash.encode())


@dataclass(frozen=True)
class Entry:
    """What is to be recorded. data: JSON-ready, or dataclasses and arrays. time: Unix seconds; None for that of the writing."""

    kind: str
    data: Mapping[str, Any]
    time: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Where the log ended: sequence number and hash of its last record, the end of its line in bytes; signed."""

    log: str
    seq: int
    hash: str
    end: int
    time: float
    sig: str = ""

    def signed_by(self, public: str) -> bool:
        """It was signed with the private half of this key."""
        return genuine(public, self.sig, self._content())

    def signed(self, key: Ed25519PrivateKey) -> Checkpoint:
        """Itself with a signature."""
        return replace(self, sig=key.sign(self._content()).hex())

    def _content(self) -> bytes:
        return CHECKPOINT_MARK + canonical({name: value for name, value in asdict(self).items() if name != "sig"})


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: the same bytes for the same content."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def audit_path() -> Path:
    """The user's audit log."""
    return state_dir() / "audit.jsonl"


def checkpoint_path(log: Path) -> Path:
    """The checkpoint that lies beside a log."""
    return log.with_suffix(".checkpoint")


def parse_record(line: bytes) -> Record | None:
    """The record of a line; None when it is none."""
    try:
        values = json.loads(line.decode("utf-8"))
        # there is one way to write a record: another one of the same content is none
        return Record(**values) if _like(values, _RECORD) and canonical(values) == line else None
    except (ValueError, RecursionError):
        return None


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint of a file; None when there is none. Raises ValueError when it is not one, OSError."""
    try:
        values = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    if not _like(values, _CHECKPOINT):
        raise ValueError(f"{path} is no checkpoint")
    return Checkpoint(**values)


def _like(values: Any, members: Mapping[str, type]) -> bool:
    return isinstance(values, dict) and set(values) == set(members) and all(type(values[k]) is t for k, t in members.items())


class AuditLog:
    """A log that any number of processes append to.

    Args:
        source: Who appends. path: The log; by default the user's. The folder `keys` beside it has the key that signs it.
    """

    def __init__(self, source: str, path: Path | None = None) -> None:
        self.source = source
        self.path = path or audit_path()
        self._key: Ed25519PrivateKey | None = None
        self._public = ""

    def append(self, kind: str, data: Mapping[str, Any]) -> Record:
        """Append a record; it is on disk when this returns. The log begins with the first one. Raises as `append_all`."""
        return self.append_all([Entry(kind, data)])[0]

    def append_all(self, entries: Sequence[Entry]) -> list[Record]:
        """Append records, at most MOST_AT_ONCE; all of them are on disk when this returns.

        Raises:
            AuditError: Disk full or read-only, no key, or a log that is not as it was left; none was appended then.
        """
        try:
            if self._key is None:
                self._key = signing_key(KEY, self.path.parent)
                self._public = public_hex(self._key)
            with self._locked() as file:
                return self._write(file, entries[:MOST_AT_ONCE], self._end(file))
        except AuditError:
            raise
        except (OSError, ValueError) as error:
            raise AuditError(f"the audit log {self.path} cannot be written: {error}") from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # a file of its own: the log may be moved aside meanwhile
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                yield file
            finally:
                os.close(file)
        finally:
            os.close(lock)

    def _end(self, file: int) -> Checkpoint:
        """The log's end, after mending what a crash has left."""
        size = os.fstat(file).st_size
        at = read_checkpoint(checkpoint_path(self.path))
        if at is None:
            if b"\n" in os.pread(file, size, 0):
                raise self._altered("its checkpoint is gone")
            # not even its first record was whole
            os.ftruncate(file, 0)
            log = secrets.token_hex(8)
            about = {"format": FORMAT, "log": log, "public_key": self._public}
            return self._after(self._write(file, [Entry("begin", about)], Checkpoint(log, -1, FIRST, 0, 0.0)), log, file)
        if not at.signed_by(self._public):
            raise self._altered("its checkpoint was not made with this user's key")
        if size < at.end:
            raise self._altered(f"it is {at.end - size} bytes shorter than its checkpoint says")
        return at if size == at.end else self._mended(file, at, size)

    def _mended(self, file: int, at: Checkpoint, size: int) -> Checkpoint:
        """A process died while it wrote: take whole records over, put down what was torn."""
        tail = os.pread(file, size - at.end, at.end)
        *lines, piece = tail.split(b"\n")
        if piece:
            # the next record begins on a line of its own
            os.write(file, b"\n")
            lines.append(piece)
        for number, line in enumerate(lines, start=1):
            found = parse_record(line)
            end = at.end + len(line) + 1
            if found is not None and found.prev == at.hash and found.digest() == found.hash and found.signed_by(self._public):
                at = Checkpoint(at.log, found.seq, found.hash, end, found.time)
            elif found is None and number == len(lines):
                about = {"bytes": len(line), "sha256": hashlib.sha256(line).hexdigest()}
                torn = self._write(file, [Entry("torn", about)], Checkpoint(at.log, at.seq, at.hash, end, at.time))
                return self._after(torn, at.log, file)
            else:
                raise self._altered(f"its last {size - at.end} bytes were not written by this user")
        return at

    @staticmethod
    def _after(written: Sequence[Record], log: str, file: int) -> Checkpoint:
        last = written[-1]
        return Checkpoint(log, last.seq, last.hash, os.fstat(file).st_size, last.time)

    def _write(self, file: int, entries: Sequence[Entry], at: Checkpoint) -> list[Record]:
        assert self._key is not None
        written: list[Record] = []
        seq, prev = at.seq, at.hash
        for entry in entries:
            seq += 1
            when = round(time.time() if entry.time is None else entry.time, 3)
            record = Record(seq, when, self.source, entry.kind, jsonable(entry.data, 6), prev)
            prev = record.digest()
            written.append(replace(record, hash=prev, sig=self._key.sign(RECORD_MARK + prev.encode()).hex()))
        lines = b"".join(canonical(asdict(record)) + b"\n" for record in written)
        try:
            left = lines
            while left:
                left = left[os.write(file, left) :]
            os.fdatasync(file)
            self._keep(Checkpoint(at.log, seq, prev, at.end + len(lines), written[-1].time).signed(self._key))
        except OSError:
            # take back what was not recorded as a whole; what stays is mended by the next one who appends
            with suppress(OSError):
                os.ftruncate(file, at.end)
            raise
        return written

    def _keep(self, checkpoint: Checkpoint) -> None:
        path = checkpoint_path(self.path)
        half = path.with_name(path.name + ".part")
        file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            content = canonical(asdict(checkpoint)) + b"\n"
            if os.write(file, content) != len(content):
                raise AuditError(f"the checkpoint {path} cannot be written: no space left")
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(half, path)

    def _altered(self, why: str) -> AuditError:
        return AuditError(
            f"the audit log {self.path} was altered: {why}; `jpai audit verify` says where, `jpai audit renew` puts it aside"
        )


def renew(path: Path | None = None) -> Path:
    """Put a log and its checkpoint aside, for whoever looks into it; the next record begins another log, and says so.

    Returns the path that the log was put to. Raises AuditError when there is none, or it cannot be moved.
    """
    path = path or audit_path()
    aside = path.with_name(f"{path.stem}-until-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}{path.suffix}")
    log = AuditLog("renew", path)
    try:
        with log._locked():
            size = path.stat().st_size
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            os.replace(path, aside)
            with suppress(FileNotFoundError):
                os.replace(checkpoint_path(path), checkpoint_path(aside))
        log.append("renewed", {"before": aside.name, "bytes": size, "sha256": digest})
    except (OSError, KeyFault) as error:
        raise AuditError(f"the audit log {path} cannot be put aside: {error}") from error
    return aside
