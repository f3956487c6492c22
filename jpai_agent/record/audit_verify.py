"""Find in an audit log what was edited, deleted, reordered, cut off or chained anew, and say where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jpai_agent.record.audit import FIRST, MOST_AT_ONCE, Checkpoint, Record, checkpoint_path, parse_record, read_checkpoint

EDITED, DELETED, REORDERED, TRUNCATED, RECHAINED, CHECKPOINT = (
    "edited", "deleted", "reordered", "truncated", "re-chained", "checkpoint")


@dataclass(frozen=True)
class Finding:
    """Something wrong: its kind (one of the six above), the line (from 1; 0 for the end of the file) and the words."""

    kind: str
    line: int
    words: str


@dataclass
class Audit:
    """What was found in a log.

    Attributes:
        records: How many genuine ones it has. first_s, last_s: their times, Unix seconds.
        findings: What is wrong. notes: what is no tampering but worth knowing.
    """

    records: int = 0
    first_s: float | None = None
    last_s: float | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing is wrong."""
        return not self.findings

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of tampering found, each once."""
        return tuple(dict.fromkeys(finding.kind for finding in self.findings))


def verify_log(path: Path, public: str, *, witnesses: Sequence[Checkpoint] = ()) -> Audit:
    """Hold a log against the key that must have signed it, its checkpoint, and checkpoints that were kept elsewhere.

    Args:
        public: The key, 64 hex digits.

    Raises:
        OSError: It cannot be read.
    """
    audit = Audit()
    # first, so that what is appended meanwhile makes the log longer than its checkpoint and never shorter
    checkpoint = _read_checkpoint(checkpoint_path(path), audit)
    lines = path.read_bytes().split(b"\n")
    torn_end = lines.pop()
    genuine = _genuine(lines, public, audit)
    _in_order(genuine, audit)
    if torn_end:
        audit.notes.append(f"line {len(lines) + 1} is torn: a process died while it wrote, or is writing now")
    if genuine:
        audit.records = len(genuine)
        audit.first_s, audit.last_s = genuine[0][1].time, genuine[-1][1].time
    if checkpoint is not None:
        _against_own(checkpoint, genuine, public, audit)
    for witness in witnesses:
        _against(witness, genuine, public, audit, "the checkpoint kept elsewhere")
    audit.findings.sort(key=lambda finding: (finding.line == 0, finding.line))
    return audit


def _genuine(lines: Sequence[bytes], public: str, audit: Audit) -> list[tuple[int, Record]]:
    """The records that are as they were signed, with their lines; the rest become findings."""
    parsed = [parse_record(line) for line in lines]
    good: list[tuple[int, Record]] = []
    chained: list[int] = []
    for number, (line, record) in enumerate(zip(lines, parsed, strict=True), start=1):
        if record is None:
            after = parsed[number] if number < len(parsed) else None
            if after is not None and _tells_of(after, line) and after.signed_by(public):
                audit.notes.append(f"line {number} is torn: a process died while it wrote; the record after it says so")
            else:
                audit.findings.append(Finding(EDITED, number, "this line is no record"))
            continue
        whole, signed = record.digest() == record.hash, record.signed_by(public)
        if whole and signed:
            good.append((number, record))
        elif whole:
            chained.append(number)
        else:
            audit.findings.append(Finding(EDITED, number, f"record {record.seq} ({record.kind} of {record.source}) is not "
                                          f"what was {'signed' if signed else 'recorded'}: its content does not give its hash"))
    for first, last in _runs(chained):
        where = f"lines {first} to {last} were" if last > first else "this line was"
        words = f"{where} chained anew: the hashes fit, the signatures are not this key's"
        audit.findings.append(Finding(RECHAINED, first, words))
    return good


def _tells_of(record: Record, line: bytes) -> bool:
    return record.kind == "torn" and record.data.get("sha256") == hashlib.sha256(line).hexdigest()


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _in_order(genuine: Sequence[tuple[int, Record]], audit: Audit) -> None:
    """Every record once, each after the one that it names."""
    spoilt = {finding.line for finding in audit.findings}
    there = {record.seq for _, record in genuine}
    highest, line_before, hashes = -1, 0, {-1: FIRST}
    for number, record in genuine:
        if record.seq <= highest:
            again = ", and not for the first time" if record.seq in hashes else ""
            audit.findings.append(Finding(REORDERED, number, f"record {record.seq} stands after record {highest}{again}"))
        else:
            # what is missing may have been altered in place, or stand further down
            missing = [seq for seq in range(highest + 1, record.seq) if seq not in there]
            altered = sum(line in spoilt for line in range(line_before + 1, number))
            if len(missing) > altered:
                what = f"record {missing[0]}" if len(missing) == 1 else f"records {missing[0]} to {missing[-1]}"
                audit.findings.append(Finding(DELETED, number, f"{what} {'is' if len(missing) == 1 else 'are'} missing before "
                                              f"this line, which is record {record.seq}"))
            highest = record.seq
        before = hashes.get(record.seq - 1)
        if before is not None and before != record.prev:
            words = f"record {record.seq} does not follow the record {record.seq - 1} that stands here: the log was forked"
            audit.findings.append(Finding(RECHAINED, number, words))
        hashes[record.seq] = record.hash
        line_before = number


def _read_checkpoint(path: Path, audit: Audit) -> Checkpoint | None:
    try:
        checkpoint = read_checkpoint(path)
    except ValueError as error:
        audit.findings.append(Finding(CHECKPOINT, 0, str(error)))
        return None
    if checkpoint is None:
        audit.findings.append(Finding(CHECKPOINT, 0, f"{path} is missing: whether records were cut off cannot be told"))
    return checkpoint


def _against_own(checkpoint: Checkpoint, genuine: Sequence[tuple[int, Record]], public: str, audit: Audit) -> None:
    _against(checkpoint, genuine, public, audit, "its checkpoint")
    ahead = _last(genuine) - checkpoint.seq
    if 0 < ahead <= MOST_AT_ONCE:
        audit.notes.append(f"the log is {ahead} records ahead of its checkpoint: a process died, or is writing now")
    elif ahead > 0:
        audit.findings.append(Finding(CHECKPOINT, 0, f"the checkpoint is {ahead} records older than the log: it was put back"))


def _against(checkpoint: Checkpoint, genuine: Sequence[tuple[int, Record]], public: str, audit: Audit, name: str) -> None:
    if not checkpoint.signed_by(public):
        audit.findings.append(Finding(CHECKPOINT, 0, f"{name} was altered, or made with another key"))
        return
    last = _last(genuine)
    if last < checkpoint.seq:
        gone = checkpoint.seq - last
        audit.findings.append(Finding(TRUNCATED, 0, f"the log ends with record {last}, {name} says {checkpoint.seq}: "
                                      f"{gone} record{'s are' if gone > 1 else ' is'} cut off or altered at the end"))
        return
    if all(record.hash != checkpoint.hash for _, record in genuine):
        audit.findings.append(Finding(RECHAINED, 0, f"record {checkpoint.seq} is not the one that {name} speaks of"))


def _last(genuine: Sequence[tuple[int, Record]]) -> int:
    return max((record.seq for _, record in genuine), default=-1)
