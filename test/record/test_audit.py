"""The audit log: what is in it cannot be altered unseen, what cannot be written stops nothing but new motion."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jpai_agent.record import audit, keys
from jpai_agent.record.audit import (
    RECORD_MARK,
    AuditError,
    AuditLog,
    Entry,
    Record,
    canonical,
    checkpoint_path,
    read_checkpoint,
    renew,
)
from jpai_agent.record.audit_verify import Audit, verify_log
from jpai_agent.record.audit_writer import AuditWriter

N = 12

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JPAI_STATE_DIR", str(folder))
        writer = AuditLog("agent_node")
        for number in range(1, N):
            writer.append("instruction", {"turn": number, "text": f"{number}番のコーンまで行って"})
    return folder


@pytest.fixture
def log(written: Path, state: Path) -> Path:
    """A log of N records, the one that begins it included."""
    shutil.copytree(written, state)
    return state / "audit.jsonl"


def examined(log: Path, **options) -> Audit:
    return verify_log(log, keys.own_public("audit"), **options)


def lines_of(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def put(log: Path, records: list[dict]) -> None:
    log.write_bytes(b"".join(canonical(record) + b"\n" for record in records))


def chained_anew(records: list[dict], key: Ed25519PrivateKey | None = None) -> list[dict]:
    """Every hash made to fit, as somebody without the key can do; signed with another key, if one is given."""
    before = records[0]["prev"]
    for record in records:
        record["prev"] = before
        record["hash"] = before = Record(**record).digest()
        if key is not None:
            record["sig"] = key.sign(RECORD_MARK + before.encode()).hex()
    return records


# what is appended

def test_a_log_begins_by_itself_and_is_whole(log: Path) -> None:
    found = examined(log)
    assert found.whole
    assert found.records == N
    assert not found.notes
    assert [record["kind"] for record in lines_of(log)][:2] == ["begin", "instruction"]
    assert "番のコーン" in log.read_text(encoding="utf-8")


def test_every_record_names_the_hash_of_the_one_before(log: Path) -> None:
    records = lines_of(log)
    assert [r["prev"] for r in records[1:]] == [r["hash"] for r in records[:-1]]
    assert [r["seq"] for r in records] == list(range(N))


def test_keys_are_made_on_first_use_for_the_user_alone(log: Path, state: Path) -> None:
    key = state / "keys" / "audit.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (state / "keys").stat().st_mode & 0o777 == 0o700
    assert log.stat().st_mode & 0o777 == 0o600
    assert keys.read_public(state / "keys" / "audit.pub") == keys.own_public("audit")
    key.chmod(0o644)
    with pytest.raises(AuditError, match="others may read"):
        AuditLog("agent_node").append("instruction", {})


def test_several_processes_append_to_one_chain(state: Path) -> None:
    script = """import sys; from jpai_agent.record.audit import AuditLog; log = AuditLog(sys.argv[1])
for n in range(15): log.append('gate', {'n': n})"""
    running = [subprocess.Popen([sys.executable, "-c", script, f"p{n}"], cwd=Path(__file__).parents[2]) for n in range(3)]
    assert [child.wait() for child in running] == [0, 0, 0]
    found = examined(state / "audit.jsonl")
    assert found.whole, found.findings
    assert found.records == 1 + 3 * 15


def test_the_log_goes_on_after_a_restart(log: Path) -> None:
    AuditLog("gate_node").append("gate", {"state": "open"})
    assert examined(log).whole
    assert lines_of(log)[-1]["source"] == "gate_node"


def test_a_log_that_grows_while_it_is_examined_is_whole(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def late(path: Path) -> bytes:
        """As if something were appended between the reading of two files."""
        content = real(path)
        if path.suffix in (".jsonl", ".checkpoint"):
            monkeypatch.setattr(Path, "read_bytes", real)
            AuditLog("gate_node").append("gate", {})
        return content

    monkeypatch.setattr(Path, "read_bytes", late)
    assert examined(log).whole


# the five ways to tamper, and what each is found to be

def edit(records: list[dict]) -> list[dict]:
    records[5]["data"]["text"] = "入口まで行って"
    return records


def delete(records: list[dict]) -> list[dict]:
    return records[:5] + records[7:]


def reorder(records: list[dict]) -> list[dict]:
    return [*records[:5], records[6], records[5], *records[7:]]


def truncate(records: list[dict]) -> list[dict]:
    return records[:-1]


def rechain(records: list[dict]) -> list[dict]:
    return chained_anew(edit(records))


@pytest.mark.parametrize(("tamper", "kind", "line", "words"), [
    (edit, "edited", 6, "record 5 .instruction of agent_node. is not what was signed"),
    (delete, "deleted", 6, "records 5 to 6 are missing before this line, which is record 7"),
    (reorder, "reordered", 7, "record 5 stands after record 6"),
    (truncate, "truncated", 0, "ends with record 10, its checkpoint says 11: 1 record is cut off"),
    (rechain, "re-chained", 6, "lines 6 to 12 were chained anew"),
])
def test_tampering_is_found_and_placed(log: Path, tamper: Callable, kind: str, line: int, words: str) -> None:
    put(log, tamper(lines_of(log)))
    found = examined(log)
    assert not found.whole
    first = found.findings[0]
    assert (first.kind, first.line) == (kind, line)
    assert re.search(words, first.words)


def test_a_log_that_was_rewritten_with_another_key_is_found(log: Path) -> None:
    thief = Ed25519PrivateKey.generate()
    put(log, chained_anew(edit(lines_of(log)), thief))
    path = checkpoint_path(log)
    forged = read_checkpoint(path).signed(thief)
    path.write_bytes(canonical(asdict(forged)))
    assert set(examined(log).kinds) == {"re-chained", "checkpoint"}


@pytest.mark.parametrize("member", ["seq", "time", "source", "kind", "data", "prev", "hash", "sig"])
def test_an_edit_of_any_member_is_found(log: Path, member: str) -> None:
    records = lines_of(log)
    records[4][member] = {"seq": 99, "time": 1.0, "data": {}}.get(member, "0" * 64)
    put(log, records)
    assert not examined(log).whole


def test_every_byte_counts(log: Path) -> None:
    before = log.read_bytes()
    for at in range(7, len(before), 211):
        log.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1:])
        assert not examined(log).whole, f"byte {at}"


@pytest.mark.parametrize("rewrite", [lambda line: line.replace(b'"sig":"', b'"sig": "'),
                                     lambda line: line[:-60] + line[-60:].upper().replace(b'"SIG"', b'"sig"'),
                                     lambda line: line.replace("番".encode(), b"\\u756a"),
                                     lambda line: line.replace(b'"turn":4', b'"turn":NaN'),
                                     lambda line: b"[" * 100_000 + b"\n"])
def test_the_same_content_written_otherwise_is_found(log: Path, rewrite: Callable[[bytes], bytes]) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    altered = rewrite(lines[4])
    assert altered != lines[4]
    log.write_bytes(b"".join([*lines[:4], altered, *lines[5:]]))
    assert not examined(log).whole


def test_a_missing_or_altered_checkpoint_is_found(log: Path) -> None:
    path = checkpoint_path(log)
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"seq": 3}))
    assert examined(log).kinds == ("checkpoint",)
    path.unlink()
    assert examined(log).kinds == ("checkpoint",)


def test_a_log_put_back_with_its_checkpoint_is_found_by_a_checkpoint_kept_elsewhere(log: Path) -> None:
    before = log.read_bytes(), checkpoint_path(log).read_bytes()
    AuditLog("gate_node").append("gate", {"state": "latched"})
    kept = read_checkpoint(checkpoint_path(log))
    log.write_bytes(before[0])
    checkpoint_path(log).write_bytes(before[1])
    assert examined(log).whole
    assert examined(log, witnesses=[kept]).kinds == ("truncated",)


@pytest.mark.parametrize("tamper", [truncate, lambda records: chained_anew(truncate(records))])
def test_nothing_is_appended_to_a_shortened_log_until_a_person_puts_it_aside(log: Path, tamper: Callable) -> None:
    put(log, tamper(lines_of(log)))
    with pytest.raises(AuditError, match=r"was altered: it is \d+ bytes shorter"):
        AuditLog("gate_node").append("gate", {})
    aside = renew(log)
    assert examined(log).whole
    assert lines_of(log)[1]["data"]["before"] == aside.name
    assert examined(aside).kinds == ("truncated",)


def test_nothing_is_appended_after_a_forged_record(log: Path) -> None:
    forged = asdict(Record(N, 1.0, "gate_node", "gate", {"state": "open"}, lines_of(log)[-1]["hash"]))
    put(log, [*lines_of(log), forged | {"hash": Record(**forged).digest(), "sig": "00" * 64}])
    assert examined(log).kinds == ("re-chained",)
    with pytest.raises(AuditError, match="not written by this user"):
        AuditLog("gate_node").append("gate", {})


# crashes

@pytest.mark.parametrize(("cut", "kinds"), [(0, ["gate", "gate"]), (1, ["gate", "gate"]), (40, ["torn", "gate"])])
def test_what_a_crash_has_torn_is_put_down_and_the_log_goes_on(log: Path, cut: int, kinds: list[str]) -> None:
    """Of the last record all was written but the checkpoint, or its newline is missing, or its end."""
    whole = log.read_bytes()
    before_last = checkpoint_path(log).read_bytes()
    AuditLog("gate_node").append("gate", {"state": "held"})
    added = log.read_bytes()[len(whole):]
    log.write_bytes(whole + added[: len(added) - cut])
    checkpoint_path(log).write_bytes(before_last)
    AuditLog("gate_node").append("gate", {"state": "latched"})
    found = examined(log)
    assert found.whole, found.findings
    records = [json.loads(line) for line in log.read_bytes()[len(whole):].splitlines() if line.endswith(b"}")]
    assert [record["kind"] for record in records] == kinds
    assert bool(found.notes) == ("torn" in kinds)


def test_a_torn_line_is_excused_only_by_the_record_that_tells_of_it(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b'{"data":{"x')
    AuditLog("gate_node").append("gate", {})
    assert examined(log).whole
    log.write_bytes(log.read_bytes().replace(b'{"data":{"x\n', b'{"data":{"y\n'))
    assert examined(log).kinds == ("edited",)


def test_of_several_written_at_once_those_that_are_whole_are_taken_over(log: Path) -> None:
    whole, before_last = log.read_bytes(), checkpoint_path(log).read_bytes()
    AuditLog("gate_node").append_all([Entry("gate", {"n": n}) for n in range(5)])
    added = log.read_bytes()[len(whole):].splitlines(keepends=True)
    log.write_bytes(whole + b"".join(added[:3]) + added[3][:50])
    checkpoint_path(log).write_bytes(before_last)
    assert [note.split(":")[0] for note in examined(log).notes][1:] == ["the log is 3 records ahead of its checkpoint"]
    AuditLog("gate_node").append("gate", {"n": 9})
    found = examined(log)
    assert found.whole, found.findings
    assert found.records == N + 5


# a disk that does not take it

@contextmanager
def full_disk(log: Path):
    """Files of this process cannot grow over the log's size: what is written is cut off in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_on_a_full_disk_nothing_is_half_written_and_it_goes_on_when_there_is_room(log: Path) -> None:
    before = log.read_bytes()
    with full_disk(log), pytest.raises(AuditError, match="cannot be written"):
        AuditLog("executor_node").append("start", {"plan": "x" * 300})
    assert log.read_bytes() == before
    AuditLog("executor_node").append("start", {"plan": "x" * 300})
    assert examined(log).whole


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "replace"])
def test_any_failure_of_the_disk_is_an_audit_error_and_leaves_a_whole_log(
    log: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def fails(*_args):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(audit.os, call, fails)
        with pytest.raises(AuditError, match=os.strerror(code)):
            AuditLog("executor_node").append("start", {})
    AuditLog("executor_node").append("start", {})
    assert examined(log).whole


def test_no_folder_to_write_in_is_an_audit_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path / "file" / "state"))
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog("gate_node").append("gate", {})


# the writer's thread

def test_the_writer_keeps_the_order_and_tells_when_it_is_on_disk(state: Path) -> None:
    writer = AuditWriter(AuditLog("gate_node"))
    futures = [writer.note("gate", n=n) for n in range(20)]
    assert futures[-1].result(10.0) is None
    writer.close()
    assert [record["data"].get("n") for record in lines_of(state / "audit.jsonl")][1:] == list(range(20))
    assert writer.fault is None


class Stubborn:
    """A log in memory whose disk can be made to fail or to hang."""

    path = Path("audit.jsonl")

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.full = False
        self.hangs = threading.Event()
        self.hangs.set()

    def append_all(self, entries: list[Entry]) -> None:
        self.hangs.wait()
        if self.full:
            raise AuditError("no space left")
        self.kept += [entry.kind for entry in entries]


def test_the_writer_never_makes_its_caller_wait_and_loses_nothing_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jpai_agent.record.audit_writer.RETRY_S", 0.01)
    log = Stubborn()
    log.full = True
    writer = AuditWriter(log)  # type: ignore[arg-type]
    stop, start = writer.note("gate"), writer.note("start")
    with pytest.raises(AuditError, match="no space left"):
        stop.result(5.0)
    assert writer.fault == "no space left"
    with pytest.raises(AuditError, match="no space left"):
        start.result(5.0)
    log.full = False
    deadline = time.monotonic() + 5.0
    while writer.fault is not None:
        assert time.monotonic() < deadline
    assert writer.note("gate").result(5.0) is None
    assert log.kept == ["gate", "start", "gate"]
    writer.close()


def test_a_disk_that_hangs_counts_as_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jpai_agent.record.audit_writer.SLOW_S", 0.0)
    log = Stubborn()
    log.hangs.clear()
    writer = AuditWriter(log)  # type: ignore[arg-type]
    waiting = writer.note("gate")
    while writer.fault is None:
        assert not waiting.done()
    assert "takes longer" in writer.fault
    log.hangs.set()
    waiting.result(5.0)
    writer.close()
