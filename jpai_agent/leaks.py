"""Count what a command sends beyond loopback: it runs in a network namespace of its own whose only way out ends in a counter.

    python -m jpai_agent.leaks ./jpai demo --no-video

Names are looked up at an address beyond loopback there, so that a look-up is a packet too. Before the command runs, the bench
itself sends packets of every sort: a counter that did not see them counts nothing. Linux alone, as root or where users may make
namespaces.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# addresses for documentation (RFC 5737, RFC 3849): nobody's
OUT4, GATE4, NAMES4, OUT6, GATE6 = "198.51.100.2", "198.51.100.1", "198.51.100.53", "2001:db8::2", "2001:db8::1"
CONTROL4, CONTROL6 = "192.0.2.1", "2001:db8:1::1"
CONTROL_NAME, DNS_PORT = "control.invalid", 53
CONTROLS = frozenset({f"udp {CONTROL4}:9", f"tcp {CONTROL4}:9", f"udp {CONTROL6}:9", f"udp {NAMES4}:53 {CONTROL_NAME}"})
GATE_LINK = "02:00:00:00:00:01"
QUIET_S, QUIET_WITHIN_S, LINGER_S = 1.0, 15.0, 0.5
TIMEOUT_S = 900.0
_PROTOCOLS = {6: "tcp", 17: "udp"}


class NotPermitted(RuntimeError):
    """This machine does not let the bench make its namespace; the message says why."""


@dataclass(frozen=True)
class Traffic:
    """What a command sent beyond loopback.

    Attributes:
        bytes_out, packets_out: As the kernel counts them, on all interfaces but loopback. dns: queries among them.
        to: Packets by protocol and destination, queries also by name.
        control: Packets of the bench's own, before, that were seen. exit_code: of the command. seconds: that it took.
    """

    bytes_out: int
    packets_out: int
    dns: int
    to: dict[str, int] = field(default_factory=dict)
    control: int = 0
    exit_code: int = 0
    seconds: float = 0.0


def _namespace() -> list[str]:
    for tool in ("unshare", "ip", "mount"):
        if shutil.which(tool) is None:
            raise NotPermitted(f"no command {tool} here")
    return ["unshare", "--net", "--mount", *([] if os.getuid() == 0 else ["--user", "--map-root-user"])]


def watch(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> Traffic:
    """Run a command where all that it sends beyond loopback is counted, and goes nowhere. Its output goes to standard error.

    Raises:
        NotPermitted: No namespace can be made, or its counter does not count.
    """
    inside = [*_namespace(), sys.executable, "-m", "jpai_agent.leaks"]
    with tempfile.TemporaryDirectory(prefix="jpai-leaks-") as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run([*inside, "--inside", str(report), "--timeout", str(timeout_s), "--", *command],
                              stdout=sys.stderr.fileno() if _real(sys.stderr) else subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.stderr and report.exists():
            print(done.stderr, end="", file=sys.stderr)
        if not report.exists():
            raise NotPermitted((done.stderr.strip().splitlines() or ["no report"])[-1])
        return Traffic(**json.loads(report.read_text(encoding="utf-8")))


def _real(stream: Any) -> bool:
    try:
        return stream.fileno() >= 0
    except (OSError, ValueError, AttributeError):
        return False


def _set_up(folder: Path) -> None:
    names = folder / "resolv.conf"
    names.write_text(f"nameserver {NAMES4}\noptions timeout:1 attempts:1\n", encoding="ascii")
    for line in (
        "ip link set lo up",
        "ip link add out0 type veth peer name in0",
        # no chatter of the kernel's own
        "ip link set out0 addrgenmode none",
        "ip link set in0 addrgenmode none",
        "ip link set in0 up",
        "ip link set out0 up",
        f"ip addr add {OUT4}/24 dev out0",
        f"ip neigh add {GATE4} lladdr {GATE_LINK} dev out0 nud permanent",
        f"ip neigh add {NAMES4} lladdr {GATE_LINK} dev out0 nud permanent",
        f"ip route add default via {GATE4} dev out0",
        f"ip addr add {OUT6}/64 dev out0 nodad",
        f"ip -6 neigh add {GATE6} lladdr {GATE_LINK} dev out0 nud permanent",
        f"ip -6 route add default via {GATE6} dev out0",
        f"mount --bind {names} /etc/resolv.conf",
    ):
        done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotPermitted(f"{line}: {done.stderr.strip()}")


class _Listener:
    """Hears every packet that leaves by an interface."""

    def __init__(self, interface: str) -> None:
        self.seen: Counter[str] = Counter()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind((interface, 0))
        threading.Thread(target=self._run, name="jpai-leaks", daemon=True).start()

    def _run(self) -> None:
        while True:
            data, (_, _, kind, *_) = self._socket.recvfrom(65535)
            if kind == socket.PACKET_OUTGOING:
                self.seen[destination(data)] += 1


def destination(frame: bytes) -> str:
    """Protocol and destination of an Ethernet frame, in words."""
    kind, packet = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == 0x0800 and len(packet) >= 20:
        number, address, rest = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[4 * (packet[0] & 15):]
    elif kind == 0x86DD and len(packet) >= 40:
        number, address, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    else:
        return f"ethernet {kind:#06x}"
    if number in _PROTOCOLS and len(rest) >= 4:
        port = int.from_bytes(rest[2:4], "big")
        asked = f" {_name(rest[20:])}" if (number, port) == (17, DNS_PORT) else ""
        return f"{_PROTOCOLS[number]} {address}:{port}{asked}"
    return f"ip {number} {address}"


def _name(question: bytes) -> str:
    """The name that a DNS query asks for."""
    labels = []
    while question and 0 < question[0] < 64:
        labels.append(question[1:1 + question[0]].decode("ascii", "replace"))
        question = question[1 + question[0]:]
    return ".".join(labels)


def _counters() -> tuple[int, int]:
    """Bytes and packets sent on all interfaces but loopback, since they are there."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    rows = [(name.strip(), fields.split()) for name, fields in (line.split(":", 1) for line in lines)]
    return sum(int(f[8]) for name, f in rows if name != "lo"), sum(int(f[9]) for name, f in rows if name != "lo")


def _settle() -> tuple[int, int]:
    """The counters, once nothing has been sent for a while. Raises NotPermitted when that does not come."""
    counted, since = _counters(), time.monotonic()
    deadline = since + QUIET_WITHIN_S
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.05)
        if (now := _counters()) != counted:
            counted, since = now, time.monotonic()
        if time.monotonic() > deadline:
            raise NotPermitted("the kernel itself sends all the time here")
    return counted


def _control(listener: _Listener) -> int:
    """Send packets of every sort; how many were seen. Raises NotPermitted when one was not."""
    for family, address in ((socket.AF_INET, CONTROL4), (socket.AF_INET6, CONTROL6)):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"control", (address, 9))
    with socket.socket() as caller:
        caller.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            caller.connect((CONTROL4, 9))
        with contextlib.suppress(OSError):
            socket.getaddrinfo(CONTROL_NAME, 80)
    deadline = time.monotonic() + 5.0
    while CONTROLS - set(listener.seen):
        if time.monotonic() > deadline:
            raise NotPermitted(f"the counter does not see {', '.join(sorted(CONTROLS - set(listener.seen)))}")
        time.sleep(0.02)
    return sum(listener.seen[control] for control in CONTROLS)


def _inside(command: Sequence[str], timeout_s: float) -> Traffic:
    with tempfile.TemporaryDirectory(prefix="jpai-leaks-") as folder:
        _set_up(Path(folder))
        listener = _Listener("out0")
        control = _control(listener)
        before_bytes, before_packets = _settle()
        heard = Counter(listener.seen)
        begun = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
        seconds = time.monotonic() - begun
        time.sleep(LINGER_S)
        bytes_out, packets_out = _counters()
        to = dict(sorted((listener.seen - heard).items()))
        return Traffic(bytes_out - before_bytes, packets_out - before_packets,
                       sum(n for where, n in to.items() if f":{DNS_PORT} " in where), to, control, code, round(seconds, 1))


def bench(robot: str = "cart") -> dict[str, Any]:
    """The demonstration of a robot's world, with real nodes and the model's process, watched: figures, or why there are none."""
    from jpai_agent.world.known import WORLDS

    what = "bytes beyond loopback while the graph, its model server and a person run three instructions in a namespace"
    if robot not in WORLDS:
        raise ValueError(f"unknown robot {robot!r}; known robots: {', '.join(WORLDS)}")
    from jpai_agent.sim.report import machine

    with tempfile.TemporaryDirectory(prefix="jpai-leaks-runs-") as runs:
        command = [sys.executable, "-m", "jpai_agent.cli", "demo", "--world", WORLDS[robot], "--no-video", "--runs", runs]
        try:
            return {"what": what, **asdict(watch(command)), "machine": machine()}
        except NotPermitted as error:
            return {"what": what, "skipped": str(error), "machine": machine()}


def main(arguments: list[str] | None = None) -> int:
    """Watch a command and print what it sent. Exit code 1 when it sent anything or failed, 2 when it cannot be watched."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.leaks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds after which the command is ended")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("a command is missing")
    try:
        if options.inside is not None:
            options.inside.write_text(json.dumps(asdict(_inside(command, options.timeout))), encoding="utf-8")
            return 0
        traffic = watch(command, options.timeout)
    except (NotPermitted, OSError) as error:
        print(f"not watched: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(traffic)))
    return 1 if traffic.bytes_out or traffic.exit_code else 0


if __name__ == "__main__":
    sys.exit(main())
