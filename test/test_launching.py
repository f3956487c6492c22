"""The launch files, run against stand-ins for ROS 2's launch packages, which only a distribution has."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from jpai_agent.graph import processes

LAUNCH = Path(__file__).parents[1] / "launch"


class Told(SimpleNamespace):
    """An action with the words that it was made of."""

    def __init__(self, *_, **words):
        super().__init__(**words)


@pytest.fixture
def launched(monkeypatch):
    """Gives the actions of a launch file for arguments that differ from its defaults."""
    given: dict[str, str] = {}

    class Argument:
        def __init__(self, name):
            self.name = name

        def perform(self, context):
            return given[self.name]

    for name, parts in {
        "launch": {"LaunchDescription": Told},
        "launch.actions": {"DeclareLaunchArgument": Told, "ExecuteProcess": Told, "OpaqueFunction": Told},
        "launch.substitutions": {"LaunchConfiguration": Argument},
        "launch_ros": {},
        "launch_ros.actions": {"LifecycleNode": type("LifecycleNode", (Told,), {})},
    }.items():
        module = ModuleType(name)
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)

    def actions(file, **arguments):
        made = runpy.run_path(str(LAUNCH / file))
        given.update({name: default for name, (default, *_) in made["ARGUMENTS"].items()} | arguments)
        return made["actions"](None)

    return actions


def test_the_graph_is_launched_whole(launched):
    graph = processes(seed=4)
    actions = launched("jpai.launch.py", seed="4", autostart="false")
    assert [action.name for action in actions] == [process.name for process in graph]
    for action, process in zip(actions, graph, strict=True):
        if not process.node:
            assert action.cmd == process.command()
            continue
        assert action.parameters == [{**process.parameters, "autostart": False}]
        assert action.ros_arguments == ["--enclave", process.enclave]
        assert action.prefix == (f"nice -n {process.nice}" if process.nice else None)


def test_ears_and_a_voice_are_launched_alone_and_start_by_themselves(launched):
    actions = {action.name: action.parameters[0] for action in launched("voice.launch.py", wav="order.wav")}
    assert set(actions) == {"voice_node", "speech_node"}
    assert actions["voice_node"]["wav"] == "order.wav"
    assert all(parameters["autostart"] is True for parameters in actions.values())
