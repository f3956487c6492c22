"""What a command sends beyond loopback is counted, look-ups of names included, and goes nowhere."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from jpai_agent import leaks

QUIET = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as caller:
    caller.sendall(b"x" * 1000)
socket.getaddrinfo("localhost", 80)

raise SystemExit(3)
"""
LOUD = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"x" * 100, ("203.0.113.9", 4000))
    sender.sendto(b"x", ("239.255.0.1", 7400))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"x", ("2001:db8:9::9", 4000))
try:
    socket.getaddrinfo("leak.invalid", 80)
except OSError:
    pass
"""


def watched(code: str) -> leaks.Traffic:
    try:
        return leaks.watch([sys.executable, "-c", code], 60.0)
    except leaks.NotPermitted as error:
        pytest.skip(f"no network namespace here: {error}")


def test_what_stays_on_this_machine_is_not_counted_and_the_exit_code_is_told() -> None:
    traffic = watched(QUIET)
    assert (traffic.bytes_out, traffic.packets_out, traffic.dns, traffic.to) == (0, 0, 0, {})
    assert traffic.control >= len(leaks.CONTROLS)
    assert traffic.exit_code == 3


def test_what_leaves_is_counted_and_named() -> None:
    traffic = watched(LOUD)
    assert traffic.dns >= 1
    # 14 bytes of Ethernet, 20 of IP and 8 of UDP before the 100, and more packets
    assert traffic.bytes_out > 142
    assert traffic.packets_out == sum(traffic.to.values())
    assert {"udp 203.0.113.9:4000", "udp 239.255.0.1:7400", "udp 2001:db8:9::9:4000",
            f"udp {leaks.NAMES4}:53 leak.invalid"} <= set(traffic.to)


def test_where_no_namespace_can_be_made_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(leaks.NotPermitted, match="no command unshare"):
        leaks.watch(["true"])
    assert leaks.main(["true"]) == 2
    with pytest.raises(ValueError, match="cart"):
        leaks.bench("tank")


def test_the_models_runtime_is_told_to_report_nothing_in_words_that_it_knows() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    (folder,) = importlib.util.find_spec("onnxruntime").submodule_search_locations
    libraries = b"".join(path.read_bytes() for path in sorted(Path(folder, "capi").glob("*.so*")))
    assert b"ORT_DISABLE_TELEMETRY" in libraries or b"events.data.microsoft.com" not in libraries


@pytest.mark.parametrize(("frame", "words"), [
    (bytes(12) + bytes.fromhex("0800 45000000 00000000 0011 0000 c6336402 c0000201 1f90 0036"), "udp 192.0.2.1:54"),
    (bytes(12) + bytes.fromhex("0800 45000000 00000000 0011 0000 c6336402 c0000201 1f90 0035 0000 0000") + bytes(12)
     + b"\x01a\x02jp\x00", "udp 192.0.2.1:53 a.jp"),
    (bytes(12) + bytes.fromhex("0800 46000000 00000000 0002 0000 c6336402 e0000016 94040000"), "ip 2 224.0.0.22"),
    (bytes(12) + bytes.fromhex("0806 0001"), "ethernet 0x0806"),
    (bytes(12) + bytes.fromhex("86dd 60000000 0000 06 40") + bytes(31) + bytes.fromhex("01 1f90 01bb"), "tcp ::1:443"),
    (b"", "ethernet 0x0000"),
])  # fmt: skip
def test_a_frame_is_named_by_where_it_goes(frame: bytes, words: str) -> None:
    assert leaks.destination(frame) == words
