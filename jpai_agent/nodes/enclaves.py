"""Who in the graph may speak and hear what, as a policy for SROS 2: one enclave a node, with exactly what that node declares.

`python -m jpai_agent.nodes.enclaves --robot cart >config/security/cart.policy.xml` starts the robot's simulated graph, asks it
and prints the policy. `ros2 security generate_artifacts` makes keys and permissions of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rclpy.node import Node, NodeNameNonExistentError

from jpai_agent.graph import ENCLAVES, private_domain, processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.beside import Beside
from jpai_agent.supervisor import GraphError, Supervisor
from jpai_agent.world.known import WORLDS

POLICY_VERSION = "0.2.0"  # of sros2's policy schema
SETTLED_S, SETTLES_WITHIN_S = 3.0, 60.0
_STATUS, _ACTION = "/_action/status", "/_action/"
# element, its entries, and the attribute of each sort of right
_RIGHTS = {
    "publish": ("topics", "topic"), "subscribe": ("topics", "topic"), "reply": ("services", "service"),
    "request": ("services", "service"), "execute": ("actions", "action"), "call": ("actions", "action"),
}


@dataclass(frozen=True)
class Rights:
    """Topics that a node publishes and hears, services that it answers and asks, actions it runs and calls; absolute names."""

    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()
    reply: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()
    execute: frozenset[str] = frozenset()
    call: frozenset[str] = frozenset()


def _every_node(name: str) -> dict[str, frozenset[str]]:
    services = ("describe_parameters", "get_parameter_types", "get_parameters", "get_type_description", "list_parameters",
                "set_parameters", "set_parameters_atomically")
    return {"publish": frozenset({"/rosout", "/parameter_events"}), "reply": frozenset(f"/{name}/{s}" for s in services)}


# people and their tools: they speak and stop, arm and reset, and see; a node of theirs is called so too
OPERATOR = "operator"
_own = _every_node(OPERATOR)
OPERATORS = Rights(
    publish=_own["publish"] | {topics.INSTRUCTION, topics.STOP, topics.ESTOP},
    subscribe=frozenset({topics.CLOCK, topics.REPLY, topics.PLAN, topics.GATE_STATUS, topics.EXECUTOR_STATUS, topics.DIAGNOSTICS,
                         topics.SCENE, topics.VERDICT, topics.ROLLOUTS, topics.CMD_VEL, topics.HEARD}),
    reply=_own["reply"],
    request=frozenset({topics.GATE_ARM, topics.GATE_RESET, topics.PLAN_INSTRUCTION, topics.VALIDATE_PLAN}),
    call=frozenset({topics.EXECUTE_INSTRUCTION}),
)


def declared(observer: Node, name: str) -> Rights:
    """What a node of the graph declares, as far as the observer has heard by now."""
    try:
        published = {n for n, _ in observer.get_publisher_names_and_types_by_node(name, "/")}
        subscribed = {n for n, _ in observer.get_subscriber_names_and_types_by_node(name, "/")}
        served = {n for n, _ in observer.get_service_names_and_types_by_node(name, "/")}
        asked = {n for n, _ in observer.get_client_names_and_types_by_node(name, "/")}
    except NodeNameNonExistentError:
        return Rights()

    def plain(names: Iterable[str]) -> frozenset[str]:
        return frozenset(n for n in names if _ACTION not in n)

    def actions(names: Iterable[str]) -> frozenset[str]:
        return frozenset(n.removesuffix(_STATUS) for n in names if n.endswith(_STATUS))

    return Rights(plain(published), plain(subscribed), plain(served), plain(asked), actions(published), actions(subscribed))


def policy_xml(rights: Mapping[str, Rights]) -> str:
    """The policy of these nodes, each in the enclave of its name."""
    policy = ElementTree.Element("policy", version=POLICY_VERSION)
    enclaves = ElementTree.SubElement(policy, "enclaves")
    for name, own in sorted(rights.items()):
        enclave = ElementTree.SubElement(enclaves, "enclave", path=f"{ENCLAVES}/{name}")
        profile = ElementTree.SubElement(ElementTree.SubElement(enclave, "profiles"), "profile", ns="/", node=name)
        for right, names in asdict(own).items():
            if names:
                many, one = _RIGHTS[right]
                listed = ElementTree.SubElement(profile, many, {right: "ALLOW"})
                for entry in sorted(names):
                    ElementTree.SubElement(listed, one).text = entry
    ElementTree.indent(policy)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(policy, encoding="unicode") + "\n"


def read_policy(path: Path) -> dict[str, Rights]:
    """The rights by node. Raises ValueError for what `policy_xml` would not have written."""
    policy = ElementTree.parse(path).getroot()
    found: dict[str, Rights] = {}
    for enclave in policy.findall("enclaves/enclave"):
        (profile,) = enclave.findall("profiles/profile")
        given = {next(iter(listed.attrib)): frozenset(entry.text or "" for entry in listed) for listed in profile}
        found[profile.attrib["node"]] = Rights(**given)
    if policy_xml(found) != path.read_text(encoding="utf-8"):
        raise ValueError(f"{path} is not written as a policy of this graph is")
    return found


def ask_graph(robot: str) -> dict[str, Rights]:
    """Start a robot's simulated graph, without its model, and ask what its nodes declare. Raises GraphError."""
    domain = private_domain()
    with tempfile.TemporaryDirectory(prefix="jpai-enclaves-") as folder:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        run, log = Path(folder) / "run", Path(folder) / "log"
        all_of_it = processes(WORLDS[robot], robot, record=str(run), audit=str(Path(folder) / "audit.jsonl"), speech={}, voice={})
        graph = [p for p in all_of_it if p.node]
        with Beside("observer", domain, spin_s=0.1) as observer, Supervisor(
                graph, domain_id=domain, log_dir=log, tell=lambda line: print(line, file=sys.stderr)) as supervisor:
            supervisor.wait_ready()
            found: dict[str, Rights] = {}
            since = time.monotonic()

            def settled() -> bool:
                nonlocal found, since
                now = {process.name: declared(observer.node, process.name) for process in graph}
                if now != found:
                    found, since = now, time.monotonic()
                return time.monotonic() - since >= SETTLED_S

            if not observer.run(settled, SETTLES_WITHIN_S):
                raise GraphError(f"what the nodes declare did not settle within {SETTLES_WITHIN_S:.0f} s")
    return found | {OPERATOR: OPERATORS}


def main(arguments: list[str] | None = None) -> int:
    """Print the policy of a robot's graph. Exit code 1 when the graph does not come up."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.nodes.enclaves", description=__doc__)
    parser.add_argument("--robot", choices=sorted(WORLDS), required=True)
    options = parser.parse_args(arguments)
    try:
        print(policy_xml(ask_graph(options.robot)), end="")
    except GraphError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
