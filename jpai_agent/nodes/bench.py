"""What the benches that try faults have in common: processes in a ROS domain of their own, and a node that watches them."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.client import Client

from jpai_agent.graph import Process, private_domain, release_domain
from jpai_agent.nodes.base import raise_priority
from jpai_agent.nodes.beside import Beside
from jpai_agent.nodes.stand_in import DRIVER_TIMEOUT_S
from jpai_agent.supervisor import GraphError, Supervisor
from jpai_msgs.msg import GateStatus

if TYPE_CHECKING:
    from typing import Self

SPIN_S = 0.003
SERVED_WITHIN_S, ANSWERED_WITHIN_S = 10.0, 15.0
STATES = {GateStatus.LOCKED: "locked", GateStatus.OPEN: "open", GateStatus.HELD: "held", GateStatus.LATCHED: "latched"}


class BenchError(RuntimeError):
    """The bench itself does not work: a process does not come up, or the robot does not drive when nothing is wrong."""


class Bench(Beside, ABC):
    """Processes, and a node beside them. Use as a context manager; a subclass sets `supervisor` and says what `start` does.

    Attributes:
        domain: The ROS domain, kept for this bench. folder: a new one, for what its processes write.
        supervisor: Of the processes.
    """

    supervisor: Supervisor

    def __init__(self, name: str) -> None:
        """`name`: the node's."""
        self.domain = private_domain()
        self.folder = Path(tempfile.mkdtemp(prefix="jpai-faults-"))
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        super().__init__(name, self.domain, spin_s=SPIN_S)
        self._frozen: set[int] = set()

    def supervise(self, graph: Iterable[Process]) -> Supervisor:
        """A supervisor of these processes in the bench's domain; none is started yet."""
        return Supervisor(tuple(graph), domain_id=self.domain, log_dir=self.folder / "log", tell=lambda line: None)

    @abstractmethod
    def start(self) -> None:
        """Bring everything up. Raises BenchError, GraphError."""

    def stop(self) -> None:
        """Bring everything down."""
        self.supervisor.stop()

    def __enter__(self) -> Self:
        self._priority = os.getpriority(os.PRIO_PROCESS, 0)
        try:
            self.start()
        except (BenchError, GraphError):
            self.__exit__()
            raise
        # the clock in hand must not wait for others either
        raise_priority()
        return self

    def __exit__(self, *exception: object) -> None:
        self.wake()
        self.stop()
        self.close()
        release_domain(self.domain)
        raise_priority(self._priority)

    def pid(self, name: str) -> int:
        """Of a process."""
        return self.supervisor.running[name].pid

    def freeze(self, name: str) -> None:
        """A process stands still, without ending."""
        self._frozen.add(self.pid(name))
        os.kill(self.pid(name), signal.SIGSTOP)

    def wake(self) -> None:
        """Frozen processes go on."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def logs(self, chars: int = 200) -> str:
        """The ends of what the processes have written."""
        paths = sorted((self.folder / "log").glob("*.log"))
        return " | ".join(path.read_text(errors="replace")[-chars:].strip() for path in paths)

    def wait(self, seconds: float) -> None:
        """Step and spin for a while."""
        self.run(lambda: False, seconds)

    def standstill(self, commands: Sequence[tuple[float, float, float]], begun_s: float, hold_s: float,
                   within_s: float) -> float | None:
        """Seconds from `begun_s` until the motors got zero for good: nothing else comes for `hold_s` after it, nor from now on.

        Args:
            commands: What the motors get (when, v, w), growing. A last one that is not zero counts until the driver takes it
                for lost. within_s: None is given when it does not stand by then.
        """

        def stood_s() -> float:
            moving = next((i for i in range(len(commands) - 1, -1, -1) if commands[i][1:] != (0.0, 0.0)), -1)
            if moving < 0:
                return commands[0][0] if commands else begun_s
            return commands[moving + 1][0] if moving + 1 < len(commands) else commands[moving][0] + DRIVER_TIMEOUT_S

        watched_s = time.monotonic()
        if not self.run(lambda: time.monotonic() - max(stood_s(), watched_s) >= hold_s, within_s + hold_s):
            return None
        return max(0.0, stood_s() - begun_s)

    def ask(self, client: Client, request: Any) -> Any:
        """What a service answers. Raises BenchError."""
        if not self.run(client.service_is_ready, SERVED_WITHIN_S):
            raise BenchError(f"nobody gives {client.srv_name}")
        future = client.call_async(request)
        if not self.run(future.done, ANSWERED_WITHIN_S):
            raise BenchError(f"{client.srv_name} is not answered")
        return future.result()
