"""`up` brings the graph up for a person and leaves nothing behind when it is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

ROOT = Path(__file__).parents[2]
UP = """
import sys
from pathlib import Path
from jpai_agent import supervisor
from jpai_agent.graph import Process, default_endpoint, processes
folder, domain = Path(sys.argv[1]), int(sys.argv[2])
stand_in = Process("vlm_server", "stand_in_model", False, arguments=(default_endpoint(domain), str(folder / "table.json")))
supervisor.processes = lambda *a, **k: tuple(stand_in if p.name == "vlm_server" else p for p in processes(*a, **k))
sys.exit(supervisor.up(domain_id=domain, log_dir=folder / "log", tell=lambda line: print(line, flush=True)))
"""


def below(pid: int) -> list[int]:
    """The processes below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    pairs = [(int(a), int(b)) for a, b in zip(listed[::2], listed[1::2], strict=True)]
    children = [child for child, parent in pairs if parent == pid]
    return children + [deeper for child in children for deeper in below(child)]


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int], timeout_s: float = 10.0) -> bool:
    """All of them have ended in time."""
    deadline = time.monotonic() + timeout_s
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def up(graph_files, domain):
    """`up` in a process of its own, once it says that it is up."""
    process = subprocess.Popen(
        [sys.executable, "-c", UP, str(graph_files), str(domain)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{ROOT}"},
    )
    line = process.stdout.readline()
    assert line.startswith("up: "), line + process.stdout.read()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it_cleanly(up, number):
    pids = below(up.pid)
    assert len(pids) >= 7
    up.send_signal(number)
    assert up.wait(20.0) == 0
    assert gone(pids)


def test_even_a_killed_supervisor_leaves_no_process(up):
    pids = below(up.pid)
    up.kill()
    assert gone(pids)


def test_the_loss_of_the_gate_brings_the_graph_down(up):
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    pids = below(up.pid)
    gate = next(int(line.split()[0]) for line in listed if "gate_node" in line and int(line.split()[0]) in pids)
    os.kill(gate, signal.SIGKILL)
    assert up.wait(20.0) == 1
    assert gone(pids)
