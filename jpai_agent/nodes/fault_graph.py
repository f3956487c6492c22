"""The whole graph with a model that says what it is told, and somebody who talks to it: faults of processes, plans and frames.

The model's server runs in this process, so that a fault can be put into its answers; colour frames come by way of this process,
so that one can be put into them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from jpai_agent.graph import Process, default_endpoint, demo_scene, processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.bench import STATES, Bench, BenchError
from jpai_agent.nodes.fault_bench import LATE_S, Result
from jpai_agent.nodes.stand_in import DRIVER_TIMEOUT_S
from jpai_agent.vlm import PlanAnswer, PlanRequest
from jpai_agent.vlm.server import VlmServer
from jpai_agent.world.known import WORLDS
from jpai_msgs.msg import GateStatus, Reply
from jpai_msgs.srv import ResetSimulation

READY_WITHIN_S, DRIVES_WITHIN_S, ANSWERS_WITHIN_S = 90.0, 30.0, 20.0
RAW = "/faults/image_raw"
# what the sound model answers: a way that takes some time, by robot
WAYS = {"cart": [{"skill": "move", "distance_m": 5.0}], "car": [{"skill": "drive", "distance_m": 40.0}]}
# what is said; the model here answers anything alike
WORDS = "いつもの所まで行って"


def plan_text(robot: str) -> str:
    """The sound plan."""
    return json.dumps({"decision": "act", "steps": WAYS[robot], "reason": None}, separators=(",", ":"))


class ToldModel:
    """Answers what it is told; may take its time, or fail."""

    name = "told"

    def __init__(self, robot: str) -> None:
        self.sound = self.text = plan_text(robot)
        self.takes_s, self.asked = 0.0, 0
        self.awake = threading.Event()

    def mend(self) -> None:
        """Answer soundly and at once."""
        self.text, self.takes_s = self.sound, 0.0
        self.awake.set()
        self.awake = threading.Event()

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """What it is told to say."""
        request.check()
        self.asked += 1
        if self.takes_s:
            self.awake.wait(self.takes_s)
        return PlanAnswer(self.text, model=self.name)

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


class GraphBench(Bench):
    """The graph in a domain of its own. Use as a context manager."""

    def __init__(self, robot: str = "cart", seed: int = 0) -> None:
        super().__init__("somebody")
        self.robot = robot
        world, endpoint = WORLDS[robot], default_endpoint(self.domain)
        self.model = ToldModel(robot)
        self.server = VlmServer(self.model, endpoint, sha256="0" * 64)
        self._serving = threading.Thread(target=self.server.run, daemon=True)
        graph = processes(world, robot, scene_file=str(demo_scene(world)), seed=seed, vlm_endpoint=endpoint,
                          audit=str(self.folder / "audit.jsonl"))
        self.supervisor = self.supervise(_led_aside(process) for process in graph if process.name != "vlm_server")
        self.commands: list[tuple[float, float, float]] = []
        self.replies: list[str] = []
        self.gate: GateStatus | None = None
        self.speed_mps = self.longest_tick_s = 0.0
        self.bend_frame: Callable[[Image], Image | None] = lambda message: message
        self._last: tuple[float, float, float] = (0.0, 0.0, 0.0)
        listen, speak = self.node.create_subscription, self.node.create_publisher
        listen(TwistStamped, topics.CMD_VEL, self._on_command, topics.COMMAND)
        listen(GateStatus, topics.GATE_STATUS, self._on_gate, topics.LATCHED)
        listen(Reply, topics.REPLY, lambda m: self.replies.append(m.text), topics.WORDS)
        listen(Odometry, topics.ODOM, lambda m: setattr(self, "speed_mps", m.twist.twist.linear.x), topics.SENSOR)
        listen(Image, RAW, self._on_frame, topics.FRAMES)
        self._frames = speak(Image, topics.camera_topic("front", "image_raw"), topics.FRAMES)
        self.words = speak(String, topics.INSTRUCTION, topics.WORDS)
        self.stops = speak(String, topics.STOP, topics.WORDS)
        self.estop = speak(Bool, topics.ESTOP, topics.WORDS)

    def start(self) -> None:
        """Start the model's server and all processes, and wait until they are ready. Raises GraphError."""
        self._serving.start()
        self.supervisor.start()
        self.supervisor.wait_ready(READY_WITHIN_S)

    def stop(self) -> None:
        """End them."""
        self.model.mend()
        self.supervisor.stop()
        self.server.stop()
        self._serving.join(5.0)

    @property
    def state(self) -> str:
        """The gate's, as it told last."""
        return "unknown" if self.gate is None else STATES[self.gate.state]

    @property
    def drives(self) -> bool:
        """The motors were given more than zero last, and not too long ago."""
        return self._last[1:] != (0.0, 0.0) and time.monotonic() - self._last[0] < DRIVER_TIMEOUT_S

    def _on_command(self, message: TwistStamped) -> None:
        self._last = (time.monotonic(), message.twist.linear.x, message.twist.angular.z)
        self.commands.append(self._last)

    def _on_gate(self, message: GateStatus) -> None:
        self.gate, self.longest_tick_s = message, max(self.longest_tick_s, message.longest_tick_s)

    def _on_frame(self, message: Image) -> None:
        bent = self.bend_frame(message)
        if bent is not None:
            self._frames.publish(bent)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """A service's answer. Raises BenchError."""
        client = self.node.create_client(kind, name)
        try:
            return self.ask(client, request)
        finally:
            self.node.destroy_client(client)

    def say(self, text: str = WORDS) -> None:
        """Somebody says something."""
        self.words.publish(String(data=text))

    def mend(self) -> None:
        """Take the fault out."""
        self.wake()
        self.model.mend()
        self.bend_frame = lambda message: message
        self.estop.publish(Bool(data=False))
        if "sim_node" in self.supervisor.running:
            self.call(SetBool, topics.SIM_PAUSE, SetBool.Request(data=False))

    def rest(self) -> None:
        """Have it stand at its beginning, nothing wrong and nothing under way. Raises BenchError."""
        self.mend()
        self.stops.publish(String(data="before a fault"))
        if not self.run(lambda: not self.drives, 5.0):
            raise BenchError("it does not come to rest")
        if self.state in ("latched", "locked"):
            self.call(Trigger, topics.GATE_RESET, Trigger.Request())
            self.call(Trigger, topics.GATE_ARM, Trigger.Request())
        if not self.call(ResetSimulation, topics.SIM_RESET, ResetSimulation.Request()).success:
            raise BenchError("the simulation cannot be reset")
        self.wait(0.6)
        self.replies.clear()
        self.commands.clear()

    def drive(self) -> None:
        """Have it drive, as when somebody has told it to. Raises BenchError when it does not."""
        for _ in range(2):
            self.rest()
            self.say()
            if self.run(lambda: self.drives and abs(self.speed_mps) > 0.15, DRIVES_WITHIN_S):
                self.commands.clear()
                return
        raise BenchError(f"it does not drive with nothing wrong: {self.state}, {self.replies[-1:]}; {self.logs()}")


def _led_aside(process: Process) -> Process:
    if process.name == "sim_node":
        return replace(process, remappings=(*process.remappings, (topics.camera_topic("front", "image_raw"), RAW)))
    if process.name == "twin_node":
        # what is tried is the graph, not the twin
        return replace(process, parameters={**process.parameters, "rollouts": 8})
    return process


@dataclass(frozen=True)
class GraphFault:
    """A fault of the graph and what must come of it.

    Attributes:
        name, row: As of `fault_bench.Fault`.
        inject: Puts it in: while it drives, or before something is said.
        expect: "zero": from driving to zero within the deadline, and it stays; "still": what is said then moves nothing.
        spoils_graph: A process is gone after it: the next fault needs another graph.
        robots: For which it is.
        says: What is said, where it is to stay still.
        asks_model: The model must have been asked, or nothing was tried.
        before: Puts in what is wrong already when the fault comes; the deadline counts from then.
        hold_s: For so long it must stay at zero to stand.
    """

    name: str
    row: str
    inject: Callable[[GraphBench, np.random.Generator], None]
    expect: str = "still"
    deadline_s: float = 0.5
    spoils_graph: bool = False
    robots: Sequence[str] = ("cart", "car")
    says: str = WORDS
    asks_model: bool = False
    before: Callable[[GraphBench, np.random.Generator], None] | None = None
    hold_s: float = 0.6


def try_graph_fault(bench: GraphBench, fault: GraphFault, seed: int) -> Result:
    """Put it in, watch the motors, take it out. Raises BenchError when the graph does not work with nothing wrong."""
    rng = np.random.default_rng([seed, *fault.name.encode()])
    wrong: list[str] = []
    took_s: float | None = None
    untried = False
    if fault.expect == "zero":
        bench.drive()
        bench.wait(float(rng.uniform(0.0, 0.3)))
        if fault.before is not None:
            fault.before(bench, rng)
        bench.longest_tick_s = bench.longest_gap_s = 0.0
        begun_s = time.monotonic()
        fault.inject(bench, rng)
        took_s = bench.standstill(bench.commands, begun_s, fault.hold_s, fault.deadline_s + 5.0)
        if took_s is None:
            wrong.append(f"no zero: {bench.state}")
        elif took_s > fault.deadline_s:
            wrong.append(f"took {took_s:.3f} s")
    else:
        bench.rest()
        bench.longest_tick_s = bench.longest_gap_s = 0.0
        fault.inject(bench, rng)
        asked = bench.model.asked
        bench.say(fault.says)
        bench.run(lambda: bench.drives, 1.0)
        bench.run(lambda: bench.drives or bench.replies, ANSWERS_WITHIN_S)
        bench.wait(0.6)
        untried = fault.asks_model and bench.model.asked == asked
        if untried:
            wrong.append(f"the model was not asked: {bench.replies[-1:]}")
        if any(v or w for _, v, w in bench.commands):
            wrong.append("it moved")
    void = bool(wrong) and "it moved" not in wrong and (untried or bench.longest_gap_s > LATE_S)
    if wrong:
        wrong.append(f"longest tick {bench.longest_tick_s:.3f} s, bench late by {bench.longest_gap_s:.3f} s")
    return Result(fault.name, fault.row, bench.robot, seed, fault.expect, fault.deadline_s, not wrong,
                  None if took_s is None else round(took_s, 4), "; ".join(wrong), void)
