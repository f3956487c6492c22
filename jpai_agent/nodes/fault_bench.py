"""A gate in its own process with a stand-in around it: faults are put into single streams, and what the motors get is watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from jpai_agent.graph import Process
from jpai_agent.nodes import topics
from jpai_agent.nodes.bench import STATES, Bench, BenchError
from jpai_agent.nodes.stand_in import CONTROL_HZ, StandIn
from jpai_agent.world.known import WORLDS
from jpai_agent.world.paths import STATE_VARIABLE
from jpai_agent.world.robot import load_robot

GATE = "gate_node"
READY_WITHIN_S = 30.0
LOG_CHARS = 600
# a machine that does not run a process for so long is too busy to try that process's own deadlines
LATE_S = 0.1


class GateBench(Bench):
    """A gate process, and somebody who drives, watches and bends. Use as a context manager.

    Args:
        parameters: Of the gate's node, beside robot and clock.
    """

    def __init__(self, robot: str = "cart", seed: int = 0, **parameters: bool | float | str) -> None:
        super().__init__("stand_in")
        self.robot = load_robot(robot)
        self.state_dir = self.folder / "state"
        self.supervisor = self.supervise([Process(GATE, "jpai_agent.nodes.gate_node", parameters={
            "robot": robot, "world": WORLDS[robot], "use_sim_time": True, "arm_on_start": True, **parameters})])
        self.supervisor.environment[STATE_VARIABLE] = str(self.state_dir)
        self.stand_in = StandIn(self.node, self.robot, seed=seed)
        self._services = {name: self.node.create_client(Trigger, name) for name in (topics.GATE_RESET, topics.GATE_ARM)}
        self._intruders: list[Any] = []

    @property
    def state(self) -> str:
        """The gate's, as it told last."""
        return STATES.get(self.stand_in.state, "unknown")

    def start(self) -> None:
        """Start the gate's process, and wait until it is ready. Raises BenchError."""
        self.supervisor.start_one(GATE)
        up = self.run(self.supervisor.ready, READY_WITHIN_S)
        # only what comes from here on is its word: one that was killed may have told something before
        self.stand_in.state = -1
        if not (up and self.run(lambda: self.state != "unknown", READY_WITHIN_S)):
            raise BenchError(f"the gate does not come up: {self.logs(LOG_CHARS)}")

    def kill(self) -> None:
        """End the gate without a word."""
        self.wake()
        self.supervisor.running[GATE].kill()
        self.supervisor.running[GATE].wait()
        self.supervisor.poll()
        self.stand_in.state = -1

    def step(self) -> None:
        """The robot drives and senses."""
        self.stand_in.step()

    def call(self, service: str) -> bool:
        """What a person asks of the gate: topics.GATE_RESET, GATE_ARM. Returns whether it was done. Raises BenchError."""
        answer = self.ask(self._services[service], Trigger.Request())
        return bool(answer is not None and answer.success)

    def intrude(self, topic: str, kind: type, qos: Any) -> Any:
        """A second publisher; it is gone after the fault."""
        publisher = self.node.create_publisher(kind, topic, qos)
        self._intruders.append(publisher)
        return publisher

    def mend(self) -> None:
        """Take the fault out: all streams straight, the clock running, no intruder."""
        self.wake()
        stand_in = self.stand_in
        stand_in.bends.clear()
        stand_in.obstacle_m.clear()
        stand_in.clock_rate, stand_in.request_hz = 1.0, CONTROL_HZ
        stand_in.wanted = (0.5, 0.0) if self.robot.ackermann is None else (3.0, 0.0)
        for publisher in self._intruders:
            self.node.destroy_publisher(publisher)
        self._intruders.clear()

    def drive(self, mps: float = 0.3) -> None:
        """Have it drive, as somebody would who has found and mended what was wrong. Raises BenchError when it does not."""
        self.mend()
        stand_in = self.stand_in
        stand_in.estop.publish(Bool(data=False))
        if GATE not in self.supervisor.running:
            self.start()
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + 20.0:
            if self.state in ("latched", "locked"):
                self.wait(0.05)
                self.call(topics.GATE_RESET)
                self.call(topics.GATE_ARM)
                self.run(lambda: self.state in ("open", "held"), 1.0)
            stand_in.new_plan()
            if self.run(lambda: stand_in.drives and abs(stand_in.speed[0]) >= mps, 2.5):
                stand_in.commands.clear()
                return
        raise BenchError(f"it does not drive with nothing wrong: {self.state}, {stand_in.reasons}; {self.logs(LOG_CHARS)}")


Rng = np.random.Generator
Inject = Callable[[GateBench, Rng], None]


@dataclass(frozen=True)
class Fault:
    """A fault and what must come of it.

    Attributes:
        name, row: The row of the fault list that it belongs to.
        inject: Puts it in; given the bench and a generator for what varies with the seed.
        expect: "zero" while it lasts; "held": zero, and after it until another plan; "latched": zero, and after it until a
            person resets; "goes_on": drives on within limits, as nothing was wrong that matters; "still": nothing moves.
        deadline_s: From its begin to the first zero.
        reason: What the gate's reasons must name, or "".
        restart: After it the gate is killed and started again: the latch must still be there.
        robots: For which it is.
        parameters: Of the gate's node, where it needs others.
        hold_s: For so long it must stay at zero while the fault lasts, to stand.
        spoils_gate: The gate's process is not fit for the next fault.
    """

    name: str
    row: str
    inject: Inject
    expect: str = "zero"
    deadline_s: float = 0.5
    reason: str = ""
    restart: bool = False
    robots: Sequence[str] = ("cart", "car")
    parameters: Mapping[str, bool | float | str] = field(default_factory=dict)
    hold_s: float = 0.4
    spoils_gate: bool = False


@dataclass(frozen=True)
class Result:
    """How one fault went with one seed.

    Attributes:
        took_s: From the fault to standstill; None where none is expected.
        void: It went wrong, but the machine did not run the bench itself in time, or what was to be tried was not: nothing is
            known. repeats: how many void trials came before this one.
    """

    name: str
    row: str
    robot: str
    seed: int
    expect: str
    deadline_s: float
    ok: bool
    took_s: float | None = None
    detail: str = ""
    void: bool = False
    repeats: int = 0


def try_fault(bench: GateBench, fault: Fault, seed: int) -> Result:
    """Drive, put the fault in at a random moment, watch the motors and the gate, take it out, watch again. Raises BenchError."""
    rng = np.random.default_rng([seed, *fault.name.encode()])
    stand_in = bench.stand_in
    bench.drive()
    bench.wait(float(rng.uniform(0.0, 0.2)))
    stand_in.longest_tick_s = bench.longest_gap_s = 0.0
    begun_s = time.monotonic()
    fault.inject(bench, rng)
    done_s = time.monotonic()
    wrong: list[str] = []
    took_s = None
    if fault.expect == "goes_on":
        bench.wait(max(fault.hold_s, 1.0))
        late = [(v, w) for at_s, v, w in stand_in.commands if at_s > begun_s]
        limits = bench.robot.limits
        if not late or any(v == 0.0 for v, _ in late):
            wrong.append(f"it stopped: {stand_in.reasons}")
        if any(not -limits.reverse_mps <= v <= limits.forward_mps or abs(w) > limits.yaw_radps for v, w in late):
            wrong.append("out of limits")
    else:
        took_s, wrong = _stops(bench, fault, begun_s, done_s)
    if fault.expect in ("held", "latched") and not wrong:
        wrong = _stays(bench, fault)
    # a gate that the machine keeps waiting stops, as it must, and is no evidence on what it would have driven on through
    kept_waiting = fault.expect == "goes_on" and stand_in.longest_tick_s > LATE_S
    void = bool(wrong) and (bench.longest_gap_s > LATE_S or kept_waiting)
    if wrong:
        wrong.append(f"longest tick {stand_in.longest_tick_s:.3f} s, bench late by {bench.longest_gap_s:.3f} s")
    return Result(fault.name, fault.row, bench.robot.name, seed, fault.expect, fault.deadline_s, not wrong,
                  None if took_s is None else round(took_s, 4), "; ".join(wrong), void)


def _stops(bench: GateBench, fault: Fault, begun_s: float, done_s: float) -> tuple[float | None, list[str]]:
    """Time from the fault to standstill of the motors' commands, and what went wrong with it."""
    stand_in = bench.stand_in
    limit_s = fault.deadline_s
    softly = bench.robot.ackermann is not None and fault.reason == "no depth/front"
    if softly:
        # a car brakes for a lost camera: what must begin in time is the braking
        limit_s += bench.robot.limits.forward_mps / bench.robot.limits.brake_mps2
    stood_s = bench.standstill(stand_in.commands, begun_s, fault.hold_s, limit_s + 5.0)
    if stood_s is None:
        return None, [f"no zero: {bench.state}, {stand_in.reasons}"]
    # what takes its time to be put in may take as much longer
    late_s = max(0.0, done_s - begun_s)
    took_s = stood_s
    wrong = []
    if softly:
        if stood_s > limit_s + late_s:
            wrong.append(f"stood after {stood_s:.3f} s")
        after = [command for command in stand_in.commands if command[0] >= begun_s]
        braked = [at_s for (_, before, _), (at_s, v, _) in pairwise(after) if v < before - 1e-6]
        took_s = braked[0] - begun_s if braked else stood_s
    if took_s > fault.deadline_s + late_s:
        wrong.append(f"took {took_s:.3f} s")
    if fault.reason and fault.reason not in stand_in.reasons:
        wrong.append(f"reason {stand_in.reasons!r}, not {fault.reason!r}")
    if fault.expect in ("held", "latched") and bench.state != fault.expect:
        wrong.append(f"the gate is {bench.state}")
    return took_s, wrong


def _stays(bench: GateBench, fault: Fault) -> list[str]:
    """After the fault: a hold until another plan, a latch whatever comes but a reset."""
    stand_in = bench.stand_in
    bench.mend()
    if fault.restart:
        bench.kill()
        bench.start()
    stand_in.estop.publish(Bool(data=False))
    if fault.expect == "latched":
        bench.call(topics.GATE_ARM)
        stand_in.new_plan()
    stand_in.commands.clear()
    bench.wait(0.4)
    wrong = []
    if any(v or w for _, v, w in stand_in.commands):
        wrong.append("moved without " + ("a reset" if fault.expect == "latched" else "another plan"))
    if bench.state != fault.expect:
        wrong.append(f"the gate became {bench.state}")
    return wrong
