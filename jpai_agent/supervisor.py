"""Run the graph's processes: start them, tell of those that end, and end all of them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jpai_agent.graph import Process, default_endpoint, processes

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 5.0
PR_SET_PDEATHSIG = 1


class GraphError(RuntimeError):
    """The graph did not come up, or lost a process that it cannot do without."""


class Supervisor:
    """Starts the processes, tells of those that end, and ends all of them. Nothing is restarted behind one's back.

    Each process is its own group, so that Ctrl-C reaches the supervisor alone, and dies with the supervisor's thread.
    Must be started from the thread that lives longest.

    Args:
        graph: The processes, in the order in which they start.
        domain_id: ROS domain; None leaves it as it is.
        log_dir: Folder for one log a process; None lets them write to the terminal.
        tell: Called with every line of news.
    """

    def __init__(
        self,
        graph: Sequence[Process],
        *,
        domain_id: int | None = None,
        log_dir: Path | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.graph = tuple(graph)
        self.log_dir = log_dir
        self.tell = tell
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: dict[str, int] = {}
        self._ready_dir = Path(tempfile.mkdtemp(prefix="jpai-ready-"))
        self.environment = environment(domain_id) | {"JPAI_READY_DIR": str(self._ready_dir)}
        if any(process.name == "sim_node" for process in self.graph):
            self.graph = tuple(self._with_a_latch_of_its_own(process) for process in self.graph)

    def _with_a_latch_of_its_own(self, process: Process) -> Process:
        """A simulated robot's latch lives as long as its world."""
        if process.name != "gate_node":
            return process
        return replace(process, parameters={"state_dir": str(self._ready_dir / "state"), **process.parameters})

    def start(self) -> None:
        """Start everything. Raises GraphError naming what could not be started; then nothing is left running."""
        try:
            for process in self.graph:
                self.start_one(process.name)
        except OSError as error:
            self.stop()
            raise GraphError(f"could not start the graph: {error}") from error

    def start_one(self, name: str) -> None:
        """Start one process, for instance again after it has ended. Raises KeyError for an unknown name, OSError."""
        process = {p.name: p for p in self.graph}[name]
        (self._ready_dir / name).unlink(missing_ok=True)
        self.ended.pop(name, None)
        if self.log_dir is None:
            self.running[name] = self._spawn(process, None)
            return
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_dir / f"{name}.log", "ab") as log:
            self.running[name] = self._spawn(process, log)

    def _spawn(self, process: Process, log) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            process.command(),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log and subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def ready(self) -> bool:
        """True when every node is active and hears what it needs."""
        return all((self._ready_dir / process.name).exists() for process in self.graph if process.node)

    def wait_ready(self, timeout_s: float = READY_WITHIN_S) -> None:
        """Wait until every node is ready. Raises GraphError naming those that are not, or what has ended meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            self.poll()
            if self.ended:
                raise GraphError(
                    f"did not come up: {', '.join(f'{n} ended with {c}' for n, c in self.ended.items())}{self._tails()}"
                )
            if time.monotonic() > deadline:
                missing = [p.name for p in self.graph if p.node and not (self._ready_dir / p.name).exists()]
                raise GraphError(f"not ready after {timeout_s:.0f} s: {', '.join(missing)}{self._tails()}")
            time.sleep(0.05)

    def _tails(self) -> str:
        if self.log_dir is None:
            return ""
        logs = [self.log_dir / f"{name}.log" for name in (*self.ended, *self.running)]
        return "".join(f"\n--- {log.name}\n{log.read_text(errors='replace')[-800:]}" for log in logs if log.exists())

    def poll(self) -> dict[str, int]:
        """Exit codes of the processes that have ended since the last call, by name."""
        news = {}
        for name, child in list(self.running.items()):
            code = child.poll()
            if code is not None:
                news[name] = code
                del self.running[name]
                _kill_group(child.pid, signal.SIGKILL)
                self.tell(f"{name} ended with {_code(code)}")
        self.ended |= news
        return news

    def watch(self) -> int:
        """Watch until a signal or the end of a vital process. Returns the exit code: 0 after a signal, 1 otherwise."""
        vital = {process.name for process in self.graph if process.vital}
        with _signals() as asked_to_stop:
            while not asked_to_stop():
                lost = vital.intersection(self.poll())
                if lost:
                    self.tell(f"{', '.join(sorted(lost))} is gone: bringing the graph down")
                    return 1
                time.sleep(0.1)
        return 0

    def stop(self) -> None:
        """End all of them: the nodes that command first, the gate last; by force those that do not end."""
        for name in [p.name for p in reversed(self.graph)]:
            if name in self.running:
                _kill_group(self.running[name].pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for name, child in self.running.items():
            try:
                self.ended[name] = child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.tell(f"{name} does not end: killed")
                _kill_group(child.pid, signal.SIGKILL)
                self.ended[name] = child.wait()
            # whatever it had started itself
            _kill_group(child.pid, signal.SIGKILL)
        self.running.clear()
        shutil.rmtree(self._ready_dir, ignore_errors=True)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def environment(domain_id: int | None = None) -> dict[str, str]:
    """The environment of the graph's processes: discovery stays on this machine, one thread a library."""
    values = dict(os.environ)
    values.setdefault("OMP_NUM_THREADS", "1")
    values.setdefault("MUJOCO_GL", "egl")
    values |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if domain_id is not None:
        values["ROS_DOMAIN_ID"] = str(domain_id)
    return values


def up(
    world: str = "yard",
    robot: str = "",
    *,
    domain_id: int | None = None,
    log_dir: Path | None = None,
    tell: Callable[[str], None] = print,
    **options,
) -> int:
    """Bring the graph up and keep it until Ctrl-C; what `jpai up` does. Returns the exit code.

    Args:
        options: As for `processes`.
    """
    with _signals() as asked_to_stop:
        options.setdefault("vlm_endpoint", default_endpoint(domain_id))
        supervisor = Supervisor(processes(world, robot, **options), domain_id=domain_id, log_dir=log_dir, tell=tell)
        try:
            supervisor.start()
            supervisor.wait_ready()
        except GraphError as error:
            tell(str(error))
            supervisor.stop()
            return 1
        domain = supervisor.environment.get("ROS_DOMAIN_ID", "0")
        tell(f"up: {', '.join(supervisor.running)} (ROS domain {domain}); Ctrl-C ends it")
        try:
            return 0 if asked_to_stop() else supervisor.watch()
        finally:
            supervisor.stop()


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Note SIGINT and SIGTERM instead of dying of them; gives a function that tells whether one has come."""
    got: list[int] = []
    before = {
        number: signal.signal(number, lambda n, frame: got.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(got)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _code(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
