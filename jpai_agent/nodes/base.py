"""Start a node, bring it up through its lifecycle, spin it, and end it cleanly."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future as Job
from contextlib import suppress
from pathlib import Path
from typing import Any

import rclpy
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from rclpy.time import Time

from jpai_agent.record.audit import AuditLog
from jpai_agent.record.audit_writer import AuditWriter
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import objects_from_dicts
from jpai_agent.world.robot import RobotSpec, load_robot

FIRST_PRIORITY = -10
READY_DIR_VARIABLE = "JPAI_READY_DIR"


class GraphNode(LifecycleNode):
    """A lifecycle node that knows its robot and its world, from the parameters `robot`, `world` and `landmarks`.

    `landmarks` are what a navigation map knows beyond the world's file, a JSON array of objects as in an episode's scene;
    every node of a graph is given the same ones, so that all of them name the same places.

    With the parameter `autostart` (the default) it configures and activates itself; a lifecycle manager sets it false.
    """

    def __init__(self, name: str, **options: Any) -> None:
        """`options` are rclpy's: context, parameter_overrides, namespace."""
        super().__init__(name, **options)
        self.robot: RobotSpec = load_robot(self.declare_parameter("robot", "cart").value)
        landmarks = objects_from_dicts(json.loads(self.declare_parameter("landmarks", "[]").value))
        self.world_map: WorldMap = load_map(self.declare_parameter("world", "yard").value).with_landmarks(landmarks)
        self.autostart: bool = self.declare_parameter("autostart", True).value
        self.failed = False
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)

    def steady_s(self) -> float:
        """The monotonic clock, for the ages of what arrives."""
        return self.steady.now().nanoseconds * 1e-9

    def now_s(self) -> float:
        """The ROS clock, which stamps are compared with."""
        return self.get_clock().now().nanoseconds * 1e-9

    def open_audit(self) -> AuditWriter:
        """The audit log, in which this process is announced; its file is the parameter `audit_file` ("": the user's)."""
        path: str = self.declare_parameter("audit_file", "").value
        writer = AuditWriter(AuditLog(self.get_name(), Path(path) if path else None))
        writer.note("process", pid=os.getpid(), robot=self.robot.name, robot_sha256=self.robot.sha256, world=self.world_map.name,
                    limits=self.robot.limits, simulated=self.get_parameter("use_sim_time").value)
        return writer

    async def done(self, job: Job[Any], within_s: float) -> BaseException | None:
        """Wait for another thread's work while the node goes on: what it raised, TimeoutError when it takes longer, or None.

        For action goals, and for services whose callback group is not the node's own, which would stand still meanwhile.
        """
        ended: Future = Future()
        job.add_done_callback(lambda done: ended.set_result(done.exception()))
        late = TimeoutError(f"not done within {within_s:g} s")
        timer = self.create_timer(within_s, lambda: ended.done() or ended.set_result(late), clock=self.steady)
        error = await ended
        self.destroy_timer(timer)
        return error

    def bring_up(self) -> None:
        """Configure and activate. Raises RuntimeError naming the transition that failed."""
        for transition, trigger in (("configure", self.trigger_configure), ("activate", self.trigger_activate)):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"{self.get_name()}: {transition} failed")
        if os.environ.get(READY_DIR_VARIABLE):
            self._announcing = self.create_timer(0.05, self._announce_ready, clock=self.steady)

    def _announce_ready(self) -> None:
        if self.hears():
            (Path(os.environ[READY_DIR_VARIABLE]) / self.get_name()).touch()
            self.destroy_timer(self._announcing)

    def hears(self) -> bool:
        """True once what the node needs from others arrives; only then is it reported ready."""
        return True

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Nothing to do unless a node says so."""
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Free what is not ROS's; called once at the end."""


def run(make: Callable[[], GraphNode], executor: Callable[[], Executor] = SingleThreadedExecutor) -> int:
    """Run one node until the context shuts down. Returns the exit code: 0 after a signal, 1 after a failure."""
    rclpy.init()
    node: GraphNode | None = None
    try:
        node = make()
        spinner = executor()
        spinner.add_node(node)
        if node.autostart:
            node.bring_up()
        spinner.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1 if node is not None and node.failed else 0
    except (RuntimeError, ValueError, OSError) as error:
        if node is not None and not node.failed and not rclpy.ok():
            # a callback was under way when the signal came
            return 0
        print(f"{node.get_name() if node else 'node'}: {error}", file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def raise_priority(nice: int = FIRST_PRIORITY) -> None:
    """Go before everything else on this machine, where that is allowed (as root, or with CAP_SYS_NICE).

    Where Linux shares its cores among sessions (autogroup), a process's niceness counts within its session alone: the session's
    is set too. So this is for a process that has a session of its own, as the graph's have.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def seconds(stamp: object) -> float:
    """A builtin_interfaces/Time in seconds."""
    return stamp.sec + stamp.nanosec * 1e-9  # type: ignore[attr-defined]


def stamp_of(time_s: float):
    """Seconds as a builtin_interfaces/Time."""
    return Time(nanoseconds=round(time_s * 1e9)).to_msg()


def answer_of(client: Client, request: Any, timeout_s: float) -> Any:
    """A service's answer, for a thread that does not spin; None when it is gone or does not answer in time."""
    answered = threading.Event()
    deadline = time.monotonic() + timeout_s
    if not client.service_is_ready():
        return None
    future = client.call_async(request)
    future.add_done_callback(lambda _: answered.set())
    while not answered.wait(0.2):
        if time.monotonic() > deadline or not client.service_is_ready():
            client.remove_pending_request(future)
            return None
    return future.result()
