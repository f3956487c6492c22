"""The graph, told once: which processes there are, their parameters and priorities. supervisor.py runs it; launch/ reads it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from jpai_agent.record.audit import audit_path
from jpai_agent.world.known import robot_for
from jpai_agent.world.objects import LANDMARKS
from jpai_agent.world.paths import resource, state_dir

Value = bool | int | float | str

# heavy work gives way to the gate, the control loop and the simulator
NICE_HEAVY = 10
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
