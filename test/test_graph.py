"""The graph is told once, starts as a whole, tells what ends, and leaves nothing behind."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jpai_agent.graph import Process, demo_scene, private_domain, processes, release_domain
from jpai_agent.supervisor import GraphError, Supervisor, environment

ROOT = Path(__file__).parents[1]
SLEEPER = (
    "import os, pathlib, sys, time; pathlib.Path(os.environ['JPAI_READY_DIR'], sys.argv[1]).touch(); time.sleep(60)"
)


def sleeper(name: str, tmp_path: Path, body: str = SLEEPER, vital: bool = False) -> Process:
    """A process that says it is ready and sleeps; a node to the supervisor, without ROS."""
    (tmp_path / f"{name}_module.py").write_text(body)
    return Process(name, f"{name}_module", node=False, arguments=(name,), vital=vital)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_every_module_of_the_graph_exists_and_can_be_run():
    for process in processes():
        spec = importlib.util.find_spec(process.module)
        assert spec is not None, process.module
        assert spec.origin is not None
        assert "__main__" in Path(spec.origin).read_text(encoding="utf-8")


def test_names_are_unique_and_the_gate_gives_way_to_nobody():
    graph = processes()
    assert len({p.name for p in graph}) == len(graph)
    nice = {p.name: p.nice for p in graph}
    assert nice["gate_node"] == nice["executor_node"] == 0
    assert nice["twin_node"] > 0


def test_only_simulation_arms_itself_and_only_it_has_a_simulator():
    simulated = {p.name: p for p in processes(simulated=True)}
    real = {p.name: p for p in processes(simulated=False)}
    assert simulated["gate_node"].parameters["arm_on_start"] is True
    assert real["gate_node"].parameters["arm_on_start"] is False
    assert "sim_node" in simulated
    assert "sim_node" not in real
    assert real["agent_node"].parameters["use_sim_time"] is False


def test_remappings_and_parameters_reach_the_command_line(tmp_path):
    scene = tmp_path / "it's.json"
    scene.write_text("{}")
    gate = processes(remappings=[("/odom", "/base/odom")], scene_file=str(scene))[0]
    assert "/odom:=/base/odom" in gate.command()
    sim = next(p for p in processes(scene_file=str(scene)) if p.name == "sim_node")
    assert f"scene_file:='{tmp_path}/it''s.json'" in sim.command()


def test_a_world_has_its_robot():
    assert {p.parameters["robot"] for p in processes("street") if p.node} == {"car"}
    assert {p.parameters["robot"] for p in processes() if p.node} == {"cart"}
    with pytest.raises(ValueError, match="unknown world 'moon'; known worlds: yard, street"):
        processes("moon")


def test_every_node_is_told_the_same_landmarks_with_and_without_a_simulator():
    scene = demo_scene("street")
    for graph in (processes("street"), processes("street", scene_file=str(scene), simulated=False)):
        told = {p.parameters["landmarks"] for p in graph if p.node}
        assert len(told) == 1
        assert [thing["kind"] for thing in json.loads(told.pop())][:2] == ["convenience_store", "post_office"]
    assert all("landmarks" not in p.parameters for p in processes("street", simulated=False))


def test_a_simulated_robots_latch_lives_as_long_as_its_world_and_all_else_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path))
    supervisor = Supervisor(processes())
    (gate,) = [process for process in supervisor.graph if process.name == "gate_node"]
    assert Path(str(gate.parameters["state_dir"])).parent == Path(supervisor.environment["JPAI_READY_DIR"])
    assert supervisor.environment["JPAI_STATE_DIR"] == str(tmp_path)
    supervisor.stop()
    (real,) = [process for process in Supervisor(processes(simulated=False)).graph if process.name == "gate_node"]
    assert "state_dir" not in real.parameters


def test_a_model_server_that_runs_elsewhere_is_asked_and_none_is_started(tmp_path, monkeypatch):
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path))
    graph = {process.name: process for process in processes(model_server="tcp://192.0.2.1:5555")}
    assert "vlm_server" not in graph
    assert graph["agent_node"].parameters["vlm_endpoint"] == "tcp://192.0.2.1:5555"
    # also where a simulated robot keeps its own state elsewhere
    assert graph["agent_node"].parameters["vlm_keys"] == str(tmp_path)


def test_the_street_is_launched_as_the_same_graph():
    text = (ROOT / "launch" / "street.launch.py").read_text(encoding="utf-8")
    ast.parse(text)
    assert '"jpai.launch.py"' in text
    assert '{"world": "street", "robot": "car"}' in text


def test_launch_file_is_python_and_takes_the_graph_from_here():
    for path in [ROOT / "launch" / "jpai.launch.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "jpai_agent.graph"
            for alias in node.names
        }
        assert "processes" in imported
        assert not any(p.name in path.read_text(encoding="utf-8") for p in processes())


def test_every_node_has_an_executable_in_the_package():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{p.name}"' in setup for p in processes() if p.node)


def test_discovery_stays_on_the_machine():
    values = environment(domain_id=7)
    assert values["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert values["ROS_DOMAIN_ID"] == "7"
    domain = private_domain(taken=[1, 2])
    assert domain not in (1, 2)
    release_domain(domain)


def test_stop_leaves_no_process_behind(modules):
    supervisor = Supervisor([sleeper("one", modules), sleeper("two", modules)], log_dir=modules)
    with supervisor:
        pids = [child.pid for child in supervisor.running.values()]
        assert len(pids) == 2
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


def test_a_process_that_ends_is_told_of_and_not_restarted(modules):
    news: list[str] = []
    graph = [sleeper("one", modules), sleeper("two", modules)]
    with Supervisor(graph, log_dir=modules, tell=news.append) as supervisor:
        os.kill(supervisor.running["one"].pid, signal.SIGKILL)
        assert wait_for(lambda: supervisor.poll() == {"one": -signal.SIGKILL})
        assert set(supervisor.running) == {"two"}
        assert "one ended with SIGKILL" in news
        supervisor.start_one("one")
        assert set(supervisor.running) == {"one", "two"}


def test_a_graph_that_does_not_come_up_names_who_failed_and_why(modules):
    failing = Process("broken", "broken_module", node=True)
    (modules / "broken_module.py").write_text("raise SystemExit('no such sensor')")
    graph = Supervisor([failing], log_dir=modules, tell=lambda line: None)
    with graph, pytest.raises(GraphError, match=r"broken ended with 1(.|\n)*no such sensor"):
        graph.wait_ready(20.0)


def test_the_end_of_a_vital_process_brings_the_graph_down(modules):
    graph = [sleeper("one", modules, "pass", vital=True), sleeper("two", modules)]
    with Supervisor(graph, log_dir=modules, tell=lambda line: None) as supervisor:
        assert supervisor.watch() == 1


def test_a_process_that_ignores_the_signal_is_killed(modules):
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    supervisor = Supervisor([sleeper("one", modules, stubborn)], log_dir=modules, tell=lambda line: None)
    supervisor.start()
    ready = Path(supervisor.environment["JPAI_READY_DIR"]) / "one"
    assert wait_for(ready.exists)
    pid = supervisor.running["one"].pid
    supervisor.stop()
    assert not alive(pid)
    assert supervisor.ended["one"] == -signal.SIGKILL


def test_killing_the_supervisor_ends_its_processes(modules):
    sleeper("one", modules)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            ("import time; from jpai_agent.graph import Process; from jpai_agent.supervisor import Supervisor\n"
            "s = Supervisor([Process('one', 'one_module', node=False, arguments=('one',))]); s.start()\n"
            "print(s.running['one'].pid, flush=True); time.sleep(60)"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{modules}:{ROOT}"},
    )
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    # a zombie whose parent is gone is reaped by init
    assert wait_for(lambda: not alive(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")


def test_a_domain_is_held_until_it_is_released_and_then_comes_last():
    first = private_domain()
    second = private_domain()
    assert second != first
    script = f"from jpai_agent.graph import DOMAINS, private_domain; private_domain([d for d in DOMAINS if d != {first}])"
    taken = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert taken.returncode != 0
    assert "in use" in taken.stderr
    release_domain(first)
    assert private_domain() not in (first, second)
