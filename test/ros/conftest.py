"""The real graph as processes in a ROS domain of its own, and somebody who talks to it.

The model's process is stood in for by a table of plans (`stand_in_model.py`), so that what is tried is the graph.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from geometry_msgs.msg import TwistStamped
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool, String

from jpai_agent.graph import Process, default_endpoint, private_domain, processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.enclaves import declared, read_policy
from jpai_agent.supervisor import Supervisor
from jpai_agent.world.paths import resource
from jpai_agent.world.robot import load_robot
from jpai_msgs.action import ExecuteInstruction
from jpai_msgs.msg import GateStatus, Reply, Scene

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOG_LINES = 12
BOX_XY = (-5.0, 1.0)
SCENE = {
    "robot_pose": [-9.0, 0.0, 0.0],
    "objects": [{"id": "box", "kind": "box", "color": "red", "size": "medium", "pose": [*BOX_XY, 0]}],
}


def point_of(x_m: float, y_m: float, z_m: float) -> list[int]:
    """Where the front camera sees a point of base_link, 0..1000."""
    camera = load_robot("cart").camera("front")
    pitch = math.radians(camera.pitch_deg)
    forward, left, up = (p - c for p, c in zip((x_m, y_m, z_m), camera.position_m, strict=True))
    depth = forward * math.cos(pitch) - up * math.sin(pitch)
    down = -up * math.cos(pitch) - forward * math.sin(pitch)
    u = camera.width_px / 2 - camera.focal_px * left / depth
    v = camera.height_px / 2 + camera.focal_px * down / depth
    return [round(u / camera.width_px * 1000), round(v / camera.height_px * 1000)]


def act(*steps: dict) -> str:
    """A plan that acts, as JSON."""
    return json.dumps({"decision": "act", "steps": steps, "reason": None}, ensure_ascii=False, separators=(",", ":"))


TABLE = {
    "少し前へ": act({"skill": "move", "distance_m": 0.6}),
    "出口へ": act({"skill": "go_to", "target": {"place": "exit"}}),
    "入口へ": act({"skill": "go_to", "target": {"place": "entrance"}}),
    "赤い箱へ": act(
        {
            "skill": "go_to",
            "target": {
                "label": "赤い箱",
                "camera": "front",
                "point": point_of(BOX_XY[0] - 0.25 - SCENE["robot_pose"][0], BOX_XY[1], 0.25),
            },
        }
    ),
    "はい": act({"skill": "move", "distance_m": 0.6}),
    "休憩して": act({"skill": "wait", "duration_s": 1.0}),
    "壁まで": act({"skill": "move", "distance_m": -8.0}),
    "あれ": '{"decision":"ask","steps":[],"reason":"incomplete"}',
    "壊れた": '{"decision":"act","steps":[{"skill":"fly"}],"reason":null}',
}


class Person:
    """Talks to the graph and watches what it does. `table`: the plans that its words get; `box_xy`: where the box is."""

    table = TABLE
    box_xy = BOX_XY

    def __init__(self, supervisor: Supervisor, domain: int) -> None:
        self.supervisor = supervisor
        self.context = Context()
        self.context.init(domain_id=domain)
        self.node = Node("person", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.speeds: list[tuple[float, float]] = []
        self.replies: list[str] = []
        self.gate: GateStatus | None = None
        self.scene: Scene | None = None
        listen = self.node.create_subscription
        listen(TwistStamped, topics.CMD_VEL, self._on_speed, 50)
        listen(Reply, topics.REPLY, lambda m: self.replies.append(m.text), topics.WORDS)
        listen(GateStatus, topics.GATE_STATUS, lambda m: setattr(self, "gate", m), topics.LATCHED)
        listen(Scene, topics.SCENE, lambda m: setattr(self, "scene", m), topics.SCENES)
        self.words = self.node.create_publisher(String, topics.INSTRUCTION, topics.WORDS)
        self.stops = self.node.create_publisher(String, topics.STOP, topics.WORDS)
        self.estop = self.node.create_publisher(Bool, topics.ESTOP, topics.WORDS)
        self.action = ActionClient(self.node, ExecuteInstruction, topics.EXECUTE_INSTRUCTION)

    def _on_speed(self, message: TwistStamped) -> None:
        self.speeds.append((message.twist.linear.x, message.twist.angular.z))
        del self.speeds[:-500]

    def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
        """Spin until the condition holds; False when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    def goal(self, instruction: str, **options) -> Goal:
        """Send a goal and wait until it is taken."""
        assert self.until(self.action.server_is_ready)
        goal = Goal(self, ExecuteInstruction.Goal(instruction=instruction, **options))
        assert self.until(goal.taken), "the goal is not taken"
        return goal

    def insistent_goal(self, instruction: str) -> Goal:
        """A goal to an agent that has just begun: asked for again while nobody takes it."""
        for _ in range(5):
            goal = Goal(self, ExecuteInstruction.Goal(instruction=instruction))
            if self.until(goal.taken, 5.0):
                return goal
        raise AssertionError("the goal is not taken")

    def call(self, kind: type, name: str, request: object, timeout_s: float = 20.0):
        """A service's answer."""
        client = self.node.create_client(kind, name)
        assert self.until(client.service_is_ready), name
        future = client.call_async(request)
        assert self.until(future.done, timeout_s), name
        self.node.destroy_client(client)
        return future.result()

    @property
    def moves(self) -> bool:
        """What the motors get is not zero."""
        return bool(self.speeds) and self.speeds[-1] != (0.0, 0.0)

    @property
    def rests(self) -> bool:
        """The motors have got zero for some time."""
        return len(self.speeds) >= 20 and not any(map(any, self.speeds[-20:]))

    def stands(self, seconds: float = 0.5) -> bool:
        """Zero soon, and for so long."""
        if not self.until(lambda: self.speeds and not self.moves, 5.0):
            return False
        self.speeds.clear()
        self.until(lambda: False, seconds)
        return len(self.speeds) >= 20 * seconds and not any(map(any, self.speeds))

    def where(self) -> tuple[float, float]:
        """The robot's place in the map, as perceived."""
        self.scene = None
        assert self.until(lambda: self.scene is not None)
        return self.scene.robot.x_m, self.scene.robot.y_m

    def beyond_policy(self, robot: str) -> dict[str, set[str]]:
        """By node what it declares and its policy does not permit, or the other way round; empty where they are the same."""
        policy = read_policy(resource("config", "security", f"{robot}.policy.xml"))
        # for the run's record the agent hears the gate; this graph keeps none
        agent = policy["agent_node"]
        policy["agent_node"] = replace(agent, subscribe=agent.subscribe - {topics.GATE_STATUS})
        found = {}
        for name in (process.name for process in self.supervisor.graph if process.node):
            pairs = zip(asdict(declared(self.node, name)).values(), asdict(policy[name]).values(), strict=True)
            found[name] = set().union(*(is_ ^ may for is_, may in pairs))
        return {name: names for name, names in found.items() if names}

    def close(self) -> None:
        """Leave."""
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


class Goal:
    """An instruction sent as an action goal, its feedback and its result."""

    def __init__(self, person: Person, goal: ExecuteInstruction.Goal) -> None:
        self.person = person
        self.stages: list[int] = []
        self._sent = person.action.send_goal_async(goal, lambda m: self.stages.append(m.feedback.stage))
        self.handle = None

    def taken(self) -> bool:
        """The agent has accepted it."""
        if self.handle is None and self._sent.done():
            self.handle = self._sent.result()
            assert self.handle.accepted
            self._result = self.handle.get_result_async()
        return self.handle is not None

    def ended(self) -> bool:
        """The result is there."""
        return self._result.done()

    def result(self, timeout_s: float = 30.0) -> ExecuteInstruction.Result:
        """The result, once it is there."""
        assert self.person.until(self.ended, timeout_s), "the goal does not end"
        self.status = self._result.result().status
        return self._result.result().result

    def cancel(self) -> None:
        """Ask for its end."""
        assert self.person.until(self.handle.cancel_goal_async().done)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the nodes said last where a test of the graph fails."""
    report = yield
    person = next((value for value in item.funcargs.values() if isinstance(value, Person)), None)
    if report.failed and person is not None:
        for log in sorted(person.supervisor.log_dir.glob("*.log")):
            report.sections.append((log.name, "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])))
    return report


@pytest.fixture(scope="module")
def domain() -> int:
    return private_domain()


@pytest.fixture(scope="module")
def world() -> str:
    """The world that the graph is for."""
    return "yard"


@pytest.fixture(scope="module")
def graph_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "table.json").write_text(json.dumps(TABLE, ensure_ascii=False), encoding="utf-8")
    (folder / "scene.json").write_text(json.dumps(SCENE, ensure_ascii=False), encoding="utf-8")
    return folder


def stand_in_graph(folder: Path, domain: int, world: str) -> tuple[Process, ...]:
    """The graph of a world with the table in the model's place."""
    endpoint = default_endpoint(domain)
    stand_in = Process("vlm_server", "stand_in_model", False, arguments=(endpoint, str(folder / "table.json")))
    graph = processes(world, scene_file=str(folder / "scene.json"), vlm_endpoint=endpoint)
    # fewer rollouts than for people: the graph is tried here, not the twin
    twin = next(process for process in graph if process.name == "twin_node")
    quick = replace(twin, parameters={**twin.parameters, "rollouts": 8})
    instead = {"vlm_server": stand_in, "twin_node": quick}
    return tuple(instead.get(process.name, process) for process in graph)


@pytest.fixture(scope="module")
def supervisor(graph_files, domain, world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}:{ROOT}")
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        with Supervisor(
            stand_in_graph(graph_files, domain, world), domain_id=domain, log_dir=graph_files / "log"
        ) as running:
            running.wait_ready(90.0)
            yield running


@pytest.fixture(scope="module")
def one_person(supervisor, domain):
    person = Person(supervisor, domain)
    assert person.until(lambda: person.gate is not None and person.scene is not None)
    # what is said before anybody listens is lost
    assert person.until(lambda: all(said.get_subscription_count() for said in (person.words, person.stops, person.estop)))
    yield person
    person.close()


@pytest.fixture
def person(one_person):
    """Somebody at a graph that is whole, at rest and not held."""
    from std_srvs.srv import Trigger

    from jpai_msgs.srv import ResetSimulation

    for name in list(one_person.supervisor.ended):
        one_person.supervisor.start_one(name)
    assert one_person.until(one_person.supervisor.ready, 60.0)
    one_person.estop.publish(Bool(data=False))
    if one_person.gate.state in (GateStatus.LATCHED, GateStatus.LOCKED):
        one_person.call(Trigger, topics.GATE_RESET, Trigger.Request())
        one_person.call(Trigger, topics.GATE_ARM, Trigger.Request())
    stops = one_person.gate.stops
    one_person.stops.publish(String(data="before a test"))
    assert one_person.until(lambda: one_person.gate.stops > stops)
    assert one_person.stands(0.3)
    assert one_person.call(ResetSimulation, topics.SIM_RESET, ResetSimulation.Request()).success
    assert one_person.until(lambda: abs(one_person.where()[0] - SCENE["robot_pose"][0]) < 0.3)
    one_person.replies.clear()
    return one_person
