"""Faults that happen to a gate or around it: to its clock, process and host; words, plans, other publishers, obstacles."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String

from jpai_agent.gate.nearfield import NearConfig, stopping_m
from jpai_agent.nodes.fault_bench import GATE, GateBench, Inject, Rng


def both(*faults: Inject) -> Inject:
    """One after the other."""

    def inject(bench: GateBench, rng: Rng) -> None:
        for fault in faults:
            fault(bench, rng)

    return inject


def clock(step_s: float = 0.0, rate: float = 1.0) -> Inject:
    """The ROS clock steps, or runs at another rate."""

    def inject(bench: GateBench, rng: Rng) -> None:
        bench.stand_in.tell_time(step_s)
        bench.stand_in.clock_rate = rate

    return inject


def says(text: str) -> Inject:
    """Somebody says something while it drives."""
    return lambda bench, rng: bench.stand_in.words.publish(String(data=text))


def presses(*pressed: bool) -> Inject:
    """The e-stop tells these states, one after the other."""

    def inject(bench: GateBench, rng: Rng) -> None:
        for state in pressed:
            bench.stand_in.estop.publish(Bool(data=state))

    return inject


def unplugged(bench: GateBench, rng: Rng) -> None:
    """The e-stop device says nothing any more."""
    bench.stand_in.fitted_estop = False


def old_plan(bench: GateBench, rng: Rng) -> None:
    """A stop, then the executor goes on with the plan that was stopped."""
    bench.stand_in.stop_messages.publish(String(data="button"))


def late_plan(bench: GateBench, rng: Rng) -> None:
    """A plan that was accepted before the stop was heard of arrives after it."""
    stand_in = bench.stand_in
    known = stand_in.stops
    stand_in.stop_messages.publish(String(data="button"))
    bench.run(lambda: stand_in.stops > known, 1.0)
    stand_in.plan_id, stand_in.stops_known = f"plan-{int(stand_in.plan_id.split('-')[1]) + 1}", known


def flood(bench: GateBench, rng: Rng) -> None:
    """Requests as fast as they can be sent."""
    bench.stand_in.request_hz = 1000.0


def unheard(bench: GateBench, rng: Rng) -> None:
    """The executor's requests go out with a quality of service that the gate does not take."""
    stand_in = bench.stand_in
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    other = bench.intrude("/jpai/cmd_vel_request_unheard", TwistStamped, best_effort)

    def aside(message: Any) -> list[Any]:
        other.publish(message)
        return []

    stand_in.bends["request"] = aside


def intrudes(topic: str, kind: type, qos: QoSProfile, make: Callable[[GateBench], Any] | None = None) -> Inject:
    """Somebody else publishes, and says what he likes."""

    def inject(bench: GateBench, rng: Rng) -> None:
        publisher = bench.intrude(topic, kind, qos)
        if make is not None:
            for _ in range(20):
                publisher.publish(make(bench))

    return inject


def obstacle(sensor: str, beyond: float) -> Inject:
    """Something stands ahead, at this share of the room that braking needs."""

    def inject(bench: GateBench, rng: Rng) -> None:
        robot = bench.robot
        room = stopping_m(abs(bench.stand_in.speed[0]), robot.limits.emergency_brake_mps2, NearConfig())
        bench.stand_in.obstacle_m[sensor] = robot.front_m + room * beyond

    return inject


def freezes(bench: GateBench, rng: Rng) -> None:
    """The gate's process stands still."""
    bench.freeze(GATE)


def frozen_for(seconds: float) -> Inject:
    """The gate's process stands still for so long."""

    def inject(bench: GateBench, rng: Rng) -> None:
        bench.freeze(GATE)
        bench.wait(seconds)
        bench.wake()

    return inject


def dies(bench: GateBench, rng: Rng) -> None:
    """The gate's process ends without a word."""
    bench.kill()


def restarts(spoil: Callable[[GateBench], None] | None = None) -> Inject:
    """The gate dies and comes up again, after something was done to what it keeps."""

    def inject(bench: GateBench, rng: Rng) -> None:
        bench.kill()
        if spoil is not None:
            spoil(bench)
        bench.start()

    return inject


def spoils(data: bytes) -> Inject:
    """What the gate keeps on the disk is damaged while it is down."""

    def write(bench: GateBench) -> None:
        next(bench.state_dir.glob("gate-*.json")).write_bytes(data)

    return restarts(write)


def no_room(then_stops: bool) -> Inject:
    """Nothing can be written any more; then another plan comes, or the e-stop."""

    def inject(bench: GateBench, rng: Rng) -> None:
        hard = resource.prlimit(bench.pid(GATE), resource.RLIMIT_FSIZE)[1]
        resource.prlimit(bench.pid(GATE), resource.RLIMIT_FSIZE, (0, hard))
        if then_stops:
            bench.stand_in.estop.publish(Bool(data=True))
        else:
            bench.stand_in.new_plan()

    return inject


def hog(bench: GateBench, rng: Rng) -> None:
    """All cores are busy for a while; the e-stop is pressed meanwhile."""
    children = []
    for _ in range((os.cpu_count() or 1) * 2):
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            while True:
                pass
        children.append(child)
    bench.wait(0.3)
    bench.stand_in.commands.clear()
    bench.stand_in.estop.publish(Bool(data=True))
    bench.run(lambda: not bench.stand_in.drives, 1.0)
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
