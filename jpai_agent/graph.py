"""The graph, told once: which processes there are, their parameters and priorities. `up` runs it; launch/ reads it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from jpai_agent.record.audit import audit_path
from jpai_agent.world.known import robot_for
from jpai_agent.world.objects import LANDMARKS
from jpai_agent.world.paths import STATE_VARIABLE, resource, state_dir

Value = bool | int | float | str

# heavy work gives way to the gate, the control loop and the simulator
NICE_HEAVY = 10
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 5.0
PR_SET_PDEATHSIG = 1
# enclaves of the nodes lie below this path in a keystore
ENCLAVES = "/jpai"
# domains above 101 may collide with ephemeral ports on Linux
DOMAINS = range(1, 102)


@dataclass(frozen=True)
class Process:
    """One process of the graph.

    Attributes:
        name: Of the process, and of its node.
        module: Run as `python -m module`; in an installed package its executable has the module's last name.
        node: A ROS 2 lifecycle node; the model server is none.
        parameters: Of the node. remappings: (from, to) names. arguments: of a process that is no node.
        nice: Added to the priority value; the higher, the more it gives way.
        vital: Without it the graph is brought down.
    """

    name: str
    module: str
    node: bool = True
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remappings: Sequence[tuple[str, str]] = ()
    arguments: Sequence[str] = ()
    nice: int = 0
    vital: bool = False

    @property
    def enclave(self) -> str:
        """Of the node in SROS 2, where security is enabled (ROS_SECURITY_ENABLE)."""
        return f"{ENCLAVES}/{self.name}"

    def command(self) -> list[str]:
        """The command line that starts it."""
        line = [sys.executable, "-m", self.module, *self.arguments]
        if self.node:
            line += ["--ros-args", "-r", f"__node:={self.name}", "--enclave", self.enclave]
            for source, target in self.remappings:
                line += ["-r", f"{source}:={target}"]
            for name, value in self.parameters.items():
                line += ["-p", f"{name}:={_yaml(value)}"]
        return ["nice", "-n", str(self.nice), *line] if self.nice else line


def _yaml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # quoted, so that no text is read as a number
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def demo_scene(world: str) -> Path:
    """The demonstration scene of a world, a JSON file."""
    return resource("sim", "scenes", f"{world}_demo.json")


def landmarks(scene_file: Path) -> str:
    """What a navigation map knows of a scene: its landmarks, as the nodes' parameter `landmarks`. Raises ValueError, OSError."""
    scene = json.loads(scene_file.read_text(encoding="utf-8"))
    return json.dumps([thing for thing in scene.get("objects", []) if thing["kind"] in LANDMARKS])


def processes(
    world: str = "yard",
    robot: str = "",
    *,
    simulated: bool = True,
    scene_file: str = "",
    seed: int = 0,
    model: str = "",
    vlm_endpoint: str = "",
    model_server: str = "",
    image_rate_hz: float = 0.0,
    record: str = "",
    audit: str = "",
    certificate: str = "",
    voice: Mapping[str, Value] | None = None,
    speech: Mapping[str, Value] | None = None,
    remappings: Sequence[tuple[str, str]] = (),
) -> tuple[Process, ...]:
    """The graph for a robot in a world.

    Args:
        robot: That of the world when left empty.
        simulated: With the simulated robot, which arms itself; else a robot's own drivers are expected and a person
            arms it.
        scene_file: An episode's scene as a JSON file, for the simulator; empty for the demonstration scene. Its landmarks
            go into the map of every node, also without a simulator.
        seed: Of the simulated noise.
        model: Folder of the model, or endpoint:NAME of the policy; empty for the one that comes with the package.
        vlm_endpoint: ZeroMQ address of the model server; empty for the one of this user and ROS domain.
        model_server: Address of a model server that runs already, here or elsewhere: it is asked, and none is started.
        image_rate_hz: Colour frames that the simulator gives unasked.
        record: An empty folder for the record of the run; none is kept when left out.
        audit: The audit log; that of the user when left out.
        certificate: The file under which a person may arm the gate where the robot is not simulated, and which model it is for.
        voice: Parameters of the node that hears; without them there is none. speech: of the node that speaks.
        remappings: (from, to) names for every node, to fit a robot's own topics.
    """
    endpoint = model_server or vlm_endpoint or default_endpoint()
    common: dict[str, Value] = {"world": world, "robot": robot or robot_for(world), "use_sim_time": simulated}
    if scene_file or simulated:
        common["landmarks"] = landmarks(Path(scene_file) if scene_file else demo_scene(world))

    audit_file = audit or str(audit_path())

    def node(name: str, nice: int = 0, vital: bool = False, **parameters: Value) -> Process:
        return Process(name, f"jpai_agent.nodes.{name}", True, common | parameters, tuple(remappings), (), nice, vital)

    server_arguments = ["--endpoint", endpoint, *(["--model", model] if model else [])]
    graph = [
        node("gate_node", vital=True, arm_on_start=simulated, hardware=not simulated, certificate=certificate, model=model,
             audit_file=audit_file),
        # the server lowers its own priority
        Process("vlm_server", "jpai_agent.serving", False, arguments=[*server_arguments, "--audit", audit_file]),
        node("perception_node"),
        node("twin_node", nice=NICE_HEAVY),
        node("executor_node", audit_file=audit_file),
        node("agent_node", vlm_endpoint=endpoint, vlm_keys=str(state_dir()), record=record, audit_file=audit_file,
             certificate=certificate),
    ]
    for name, given in (("speech_node", speech), ("voice_node", voice)):
        if given is not None:
            made = node(name)
            graph.append(replace(made, parameters={**made.parameters, **given}))
    if model_server:
        graph = [process for process in graph if process.name != "vlm_server"]
    if simulated:
        # the simulator makes the clock: it does not follow it
        graph.insert(
            1,
            node(
                "sim_node",
                vital=True,
                use_sim_time=False,
                scene_file=scene_file,
                seed=seed,
                image_rate_hz=image_rate_hz,
            ),
        )
    return tuple(graph)


def default_endpoint(domain_id: int | None = None) -> str:
    """The model server's address for this user and a ROS domain (by default the environment's)."""
    domain = os.environ.get("ROS_DOMAIN_ID", "0") if domain_id is None else domain_id
    return f"ipc://@jpai-vlm-{os.getuid()}-{domain}"


# domains in the order in which they are tried; those that were let go last come last
_order = random.SystemRandom().sample(DOMAINS, len(DOMAINS))
_locks: dict[int, IO[bytes]] = {}


def private_domain(taken: Sequence[int] = ()) -> int:
    """A ROS domain that no other run on this machine has, held by a lock until `release_domain` or the process ends.

    Raises RuntimeError when none is left.
    """
    for domain in (d for d in _order if d not in taken and d not in _locks):
        try:
            lock = (Path(tempfile.gettempdir()) / f"jpai-domain-{domain}.lock").open("ab")
        except OSError:
            continue  # another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _locks[domain] = lock
        return domain
    raise RuntimeError(f"all ROS domains from {DOMAINS.start} to {DOMAINS.stop - 1} are in use")


def release_domain(domain_id: int) -> None:
    """Let others have a domain that `private_domain` gave; it comes up again when all others have been used."""
    lock = _locks.pop(domain_id, None)
    if lock is not None:
        _order.remove(domain_id)
        _order.append(domain_id)
        lock.close()


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
            # a simulated robot's latch lives as long as its world
            self.environment[STATE_VARIABLE] = str(self._ready_dir / "state")

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
