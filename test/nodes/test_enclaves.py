"""The policies for SROS 2 name the graph's nodes, and let nobody move the robot, or arm it, but those who must."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from jpai_agent.graph import processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.enclaves import OPERATOR, OPERATORS, Rights, policy_xml, read_policy
from jpai_agent.world.known import WORLDS
from jpai_agent.world.paths import resource

ROBOTS = sorted(WORLDS)


def policy_file(robot: str) -> Path:
    return resource("config", "security", f"{robot}.policy.xml")


def who(policy: dict[str, Rights], may: Callable[[Rights], bool]) -> set[str]:
    return {name for name, rights in policy.items() if may(rights)}


@pytest.fixture(params=ROBOTS)
def policy(request) -> dict[str, Rights]:
    return read_policy(policy_file(request.param))


@pytest.mark.parametrize("robot", ROBOTS)
def test_every_node_of_the_graph_has_its_enclave_and_is_started_in_it(robot: str) -> None:
    nodes = [process for process in processes(WORLDS[robot], robot, speech={}, voice={}) if process.node]
    assert set(read_policy(policy_file(robot))) == {process.name for process in nodes} | {OPERATOR}
    text = policy_file(robot).read_text(encoding="utf-8")
    for process in nodes:
        assert f'<enclave path="{process.enclave}">' in text
        command = process.command()
        assert command[command.index("--enclave") + 1] == process.enclave


def test_only_the_gate_speaks_to_the_motors_and_only_the_executor_to_the_gate(policy) -> None:
    assert who(policy, lambda rights: topics.CMD_VEL in rights.publish) == {"gate_node"}
    assert who(policy, lambda rights: topics.CMD_VEL_REQUEST in rights.publish) == {"executor_node"}
    assert who(policy, lambda rights: topics.GATE_STATUS in rights.publish) == {"gate_node"}
    assert who(policy, lambda rights: topics.VERDICT in rights.publish) == {"twin_node"}


def test_only_people_speak_stop_for_good_arm_and_reset(policy) -> None:
    # the ears pass on what people say
    assert who(policy, lambda rights: topics.INSTRUCTION in rights.publish) == {OPERATOR, "voice_node"}
    assert who(policy, lambda rights: topics.ESTOP in rights.publish) == {OPERATOR}
    assert who(policy, lambda rights: bool({topics.GATE_ARM, topics.GATE_RESET} & rights.request)) == {OPERATOR}
    assert who(policy, lambda rights: topics.EXECUTE_INSTRUCTION in rights.call) == {OPERATOR}
    assert who(policy, lambda rights: topics.EXECUTE_PLAN in rights.call) == {"agent_node"}


def test_nobody_changes_a_nodes_parameters_or_its_life(policy) -> None:
    touching = re.compile(r"/(set_parameters(_atomically)?|change_state)$")
    assert who(policy, lambda rights: any(map(touching.search, rights.request))) == set()


def test_nobody_has_a_name_with_a_wildcard_or_of_another_node(policy) -> None:
    for name, rights in policy.items():
        for names in vars(rights).values():
            assert all(re.fullmatch(r"(/[a-z][a-z0-9_]*)+", one) for one in names), name
        private = {one for one in rights.reply | rights.publish if one.split("/")[1] in policy}
        assert all(one.startswith(f"/{name}/") for one in private)


def test_a_policy_is_read_back_as_it_was_written_and_what_was_changed_by_hand_is_not(tmp_path: Path) -> None:
    rights = {"gate_node": Rights(publish=frozenset({"/b", "/a"}), call=frozenset({"/c"})), OPERATOR: OPERATORS}
    path = tmp_path / "x.policy.xml"
    path.write_text(policy_xml(rights), encoding="utf-8")
    assert read_policy(path) == rights
    path.write_text(path.read_text(encoding="utf-8").replace('call="ALLOW"', 'call="ALLOW" execute="ALLOW"'), encoding="utf-8")
    with pytest.raises(ValueError, match="not written"):
        read_policy(path)


@pytest.mark.skipif(not all(map(importlib.util.find_spec, ("sros2", "lxml"))), reason="needs a ROS 2 distribution's sros2")
@pytest.mark.parametrize("robot", ROBOTS)
def test_sros2_makes_keys_and_permissions_of_it(robot: str, tmp_path: Path) -> None:
    from sros2.api import generate_artifacts

    generate_artifacts(tmp_path, [], [policy_file(robot)])
    for name in read_policy(policy_file(robot)):
        folder = tmp_path / "enclaves" / "jpai" / name
        assert all((folder / file).exists() for file in ("cert.pem", "key.pem", "permissions.p7s", "governance.p7s"))
    gate = (tmp_path / "enclaves" / "jpai" / "gate_node" / "permissions.xml").read_text()
    assert "rt/cmd_vel</topic>" in gate
