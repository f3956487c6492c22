"""A latch outlives the process; a file that is not whole reads as a latch, and so does one that could not be written."""

from __future__ import annotations

import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jpai_agent.gate.latch import LatchFile


def test_a_latch_and_its_cause_come_back(tmp_path):
    LatchFile(tmp_path / "a" / "gate.json").store("非常停止")
    assert LatchFile(tmp_path / "a" / "gate.json").load() == "非常停止"
    LatchFile(tmp_path / "a" / "gate.json").store(None)
    assert LatchFile(tmp_path / "a" / "gate.json").load() is None
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["gate.json"]


def test_what_was_never_written_is_no_latch(tmp_path):
    assert LatchFile(tmp_path / "gate.json").load() is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(1, 255))
def test_one_altered_byte_reads_as_a_latch(tmp_path, at, value):
    file = LatchFile(tmp_path / "gate.json")
    file.store(None)
    data = bytearray(file.path.read_bytes())
    data[at % len(data)] ^= value
    file.path.write_bytes(bytes(data))
    assert file.load() is not None


@pytest.mark.parametrize("spoilt", [b"", b"{}", b"null", b"[1]", b"\xff\xfe", b'{"version": 1, "latch": null}', b"[" * 4000,
                                    b'{"version": 2, "latch": null, "crc32": 634125391}'])
def test_a_spoilt_file_reads_as_a_latch(tmp_path, spoilt):
    (tmp_path / "gate.json").write_bytes(spoilt)
    assert LatchFile(tmp_path / "gate.json").load() is not None


def test_a_folder_in_its_place_reads_as_a_latch_and_cannot_be_written(tmp_path):
    (tmp_path / "gate.json").mkdir()
    file = LatchFile(tmp_path / "gate.json")
    assert file.load() is not None
    with pytest.raises(OSError, match="gate"):
        file.store(None)


def test_a_disk_without_room_leaves_a_latch(tmp_path):
    file = LatchFile(tmp_path / "gate.json")
    file.store(None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.store("e-stop")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.load() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["gate.json"]


def test_a_long_cause_is_cut(tmp_path):
    file = LatchFile(tmp_path / "gate.json")
    file.store("あ" * 100_000)
    assert file.load() == "あ" * 500
