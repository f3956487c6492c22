"""Measure how long a stop takes: from a stop word, or the e-stop, to the first zero on /cmd_vel, the graph busy or at rest.

The whole graph runs; only the executor's requests are led aside, so that the bench can keep the robot turning on the spot
without a rehearsal for every sample. Meanwhile the model plans and the twin rehearses without a pause, unless it is to be idle.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jpai_agent.graph import Process, default_endpoint, private_domain, processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import answer_of, raise_priority
from jpai_agent.nodes.beside import Beside
from jpai_agent.supervisor import Supervisor
from jpai_agent.vlm import PlanRequest, VlmClient, VlmError
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_msgs.msg import ExecutorStatus, GateStatus, Plan
from jpai_msgs.srv import ValidatePlan

LOAD_TOPIC = "/bench/load"
STOP_WORD = "止まれ"
LOAD_WORDS = "赤い箱の手前まで行って、3秒待ってから充電ステーションに戻って"
TURN_RADPS = 0.6
SAMPLE_WITHIN_S, RELEASES = 10.0, 6


class Driver(Beside):
    """Stands in for the executor's requests and does what a person would do after a stop."""

    def __init__(self, domain_id: int) -> None:
        super().__init__("bench", domain_id, spin_s=0.002, parameter_overrides=[Parameter("use_sim_time", value=True)])
        self.load: dict[str, int] = {}
        self.state = GateStatus.LOCKED
        self.turning = 0
        self.zero_at_s: float | None = None
        self._plan_id, self._stops, self._stops_known = 0, 0, 0
        listen, speak = self.node.create_subscription, self.node.create_publisher
        listen(TwistStamped, topics.CMD_VEL, self._on_speed, topics.COMMAND)
        listen(GateStatus, topics.GATE_STATUS, self._on_gate, topics.LATCHED)
        listen(String, LOAD_TOPIC, lambda m: self.load.update(json.loads(m.data)), topics.WORDS)
        self._request = speak(TwistStamped, topics.CMD_VEL_REQUEST, topics.COMMAND)
        self._status = speak(ExecutorStatus, topics.EXECUTOR_STATUS, topics.COMMAND)
        self.words = speak(String, topics.INSTRUCTION, topics.WORDS)
        self.estop = speak(Bool, topics.ESTOP, topics.WORDS)
        self._reset = self.node.create_client(Trigger, topics.GATE_RESET)
        self._arm = self.node.create_client(Trigger, topics.GATE_ARM)
        self._next_s = 0.0

    def _on_speed(self, message: TwistStamped) -> None:
        if message.twist.linear.x == 0.0 and message.twist.angular.z == 0.0:
            self.zero_at_s = self.zero_at_s or time.monotonic()
            self.turning = 0
        else:
            self.turning += 1

    def _on_gate(self, message: GateStatus) -> None:
        self.state, self._stops = message.state, message.stops

    def step(self) -> None:
        """Keep the robot turning."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + 0.05
            self._drive()

    def _drive(self) -> None:
        now = self.node.get_clock().now().to_msg()
        self._status.publish(ExecutorStatus(stamp=now, plan_id=f"bench-{self._plan_id}", gate_stops=self._stops_known))
        request = TwistStamped()
        request.header.stamp, request.twist.angular.z = now, TURN_RADPS
        self._request.publish(request)

    def release(self) -> None:
        """Accept another plan, and reset and arm the gate where it is latched or locked."""
        self.estop.publish(Bool(data=False))
        self._plan_id, self._stops_known = self._plan_id + 1, self._stops
        while self.state in (GateStatus.LATCHED, GateStatus.LOCKED):
            for client in (self._reset, self._arm):
                if not self.run(client.service_is_ready, SAMPLE_WITHIN_S):
                    raise RuntimeError("the gate's services are not there")
                if not self.run(client.call_async(Trigger.Request()).done, SAMPLE_WITHIN_S):
                    raise RuntimeError("the gate does not answer")
            self.run(lambda: self.state not in (GateStatus.LATCHED, GateStatus.LOCKED), 1.0)

    def sample(self, stop: Callable[[], None], phase_s: float) -> float:
        """Seconds from `stop` to zero. Raises RuntimeError when the robot does not turn or does not stop."""
        for _ in range(RELEASES):
            if self.run(lambda: self.turning >= 3, SAMPLE_WITHIN_S):
                break
            # a stop that was told twice, or a sensor that was late, holds it still
            self.release()
        else:
            raise RuntimeError(f"the robot does not turn; the gate is in state {self.state}")
        begun_s = time.monotonic()
        self.run(lambda: time.monotonic() - begun_s >= phase_s, SAMPLE_WITHIN_S)
        self.zero_at_s = None
        sent_s = time.monotonic()
        stop()
        if not self.run(lambda: self.zero_at_s is not None, SAMPLE_WITHIN_S):
            raise RuntimeError("no zero after the stop")
        assert self.zero_at_s is not None
        taken_s = self.zero_at_s - sent_s
        if not self.run(lambda: self.state in (GateStatus.HELD, GateStatus.LATCHED), SAMPLE_WITHIN_S):
            raise RuntimeError(f"zero, but not for the stop: the gate is in state {self.state}")
        return taken_s


def bench_graph(domain_id: int, *, busy: bool = True, model: str = "", vlm: Process | None = None,
                **options: Any) -> tuple[Process, ...]:
    """The graph with the executor's requests led aside, and the load beside it.

    Args:
        busy: With the load. vlm: In place of the model server. options: as for `graph.processes`.
    """
    endpoint = default_endpoint(domain_id)
    aside = ((topics.CMD_VEL_REQUEST, "/bench/unused_request"), (topics.EXECUTOR_STATUS, "/bench/unused_status"))
    graph = []
    for process in processes(model=model, vlm_endpoint=endpoint, **options):
        if process.name == "vlm_server" and vlm is not None:
            process = vlm
        graph.append(replace(process, remappings=aside) if process.name == "executor_node" else process)
    load = Process("load", "jpai_agent.nodes.latency", node=False, arguments=("--load", endpoint))
    return (*graph, load) if busy else tuple(graph)


def measure(
    samples: int = 500,
    seed: int = 0,
    *,
    busy: bool = True,
    domain_id: int | None = None,
    log_dir: Path | None = None,
    graph: Sequence[Process] | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Bring the graph up and stop the robot `samples` times, half by word and half by e-stop.

    Args:
        seed: Of the moments at which the stops come. busy: under the load of model and twin. graph: by default `bench_graph`
            with the package's model.
        tell: Called with the number of samples done.

    Returns:
        For "stop_word", "estop" and "all": n, p50_ms, p99_ms, max_ms; "load": plans and rehearsals done meanwhile; "moved_after":
        samples after which the motors got more than zero before a person or another plan had released the gate.

    Raises:
        GraphError, RuntimeError: The graph does not come up, or the robot does not move or stop.
    """
    domain = private_domain() if domain_id is None else domain_id
    rng = np.random.default_rng(seed)
    log_dir = log_dir or Path(tempfile.mkdtemp(prefix="jpai-latency-"))
    taken: dict[str, list[float]] = {"stop_word": [], "estop": []}
    moved_after = 0
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    before_priority = os.getpriority(os.PRIO_PROCESS, 0)
    graph = bench_graph(domain, busy=busy) if graph is None else graph
    with Supervisor(graph, domain_id=domain, log_dir=log_dir, tell=lambda line: None) as supervisor:
        supervisor.wait_ready()
        # once the graph has its own priorities, the clock in hand must not wait either
        raise_priority()
        driver = Driver(domain)
        try:
            if busy and not driver.run(lambda: driver.load, 30.0):
                raise RuntimeError("the load does not begin")
            before = dict(driver.load)
            stops = {
                "stop_word": lambda: driver.words.publish(String(data=STOP_WORD)),
                "estop": lambda: driver.estop.publish(Bool(data=True)),
            }
            for index in range(samples):
                name = ("stop_word", "estop")[index % 2]
                taken[name].append(driver.sample(stops[name], float(rng.uniform(0.0, 0.1))))
                moved_after += driver.turning > 0
                driver.release()
                tell(index + 1)
            load = {key: driver.load[key] - before.get(key, 0) for key in driver.load}
        finally:
            driver.close()
            raise_priority(before_priority)
    both = [*taken["stop_word"], *taken["estop"]]
    figures = {name: _summary(values) for name, values in (*taken.items(), ("all", both))}
    return figures | {"load": load, "moved_after": moved_after}


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    milliseconds = np.array(seconds) * 1000
    return {"n": len(milliseconds)} | {
        name: round(float(value), 2)
        for name, value in (
            ("p50_ms", np.percentile(milliseconds, 50)),
            ("p99_ms", np.percentile(milliseconds, 99)),
            ("max_ms", milliseconds.max()),
        )
    }


def run_load(endpoint: str) -> int:
    """Keep the model and the twin busy until a signal, and tell how much they have done."""
    context = Context()
    context.init()
    node = Node("bench_load", context=context)
    speak = node.create_publisher(String, LOAD_TOPIC, topics.WORDS)
    validate = node.create_client(ValidatePlan, topics.VALIDATE_PLAN)
    done = {"plans": 0, "rehearsals": 0, "plan_errors": 0}

    def plan() -> None:
        camera = load_robot("cart").cameras[0]
        image = np.random.default_rng(0).integers(0, 255, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
        places = {place.id: place.names for place in load_map("yard").places}
        client = VlmClient(endpoint, 5.0)
        while context.ok():
            try:
                client.plan(PlanRequest(LOAD_WORDS, {camera.name: image}, places=places))
                done["plans"] += 1
            except VlmError:
                done["plan_errors"] += 1
                time.sleep(0.05)

    def rehearse() -> None:
        steps = '[{"skill":"go_to","target":{"place":"berth_1"}}]'
        request = ValidatePlan.Request(plan=Plan(json=f'{{"decision":"act","steps":{steps},"reason":null}}'))
        while context.ok():
            answer = answer_of(validate, request, 30.0)
            if answer is not None and answer.verdict.id:
                done["rehearsals"] += 1
            else:
                time.sleep(0.05)

    for work in (plan, rehearse):
        threading.Thread(target=work, daemon=True).start()
    node.create_timer(0.5, lambda: speak.publish(String(data=json.dumps(done))))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        context.try_shutdown()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.nodes.latency", description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--idle", action="store_true", help="without the load of model and twin")
    parser.add_argument("--load", metavar="ENDPOINT", help="be the load beside the graph (internal)")
    options = parser.parse_args(arguments)
    if options.load:
        return run_load(options.load)
    print(json.dumps(measure(options.samples, options.seed, busy=not options.idle), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
