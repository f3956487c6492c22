"""A node beside the graph, for what is no part of it: a person of the demonstration, a bench, a listener."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

if TYPE_CHECKING:
    from typing import Self


class Beside:
    """A node with a context of its own, spun in `run` alone, on the caller's thread. A context manager.

    Attributes:
        longest_gap_s: The longest time that the machine did not run this within `run`, since this was set to 0: what was
            measured and sent meanwhile is as late.
    """

    def __init__(self, name: str, domain: int | None, *, spin_s: float = 0.02, **options: Any) -> None:
        """Join a ROS domain; None: that of the environment.

        Args:
            name: The node's. spin_s: Conditions that no message changes are looked at so often. options: rclpy's, of the node.
        """
        self.context = Context()
        self.context.init(domain_id=domain)
        self.node = Node(name, context=self.context, **options)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.longest_gap_s = 0.0
        self._spin_s = spin_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def step(self) -> None:
        """What is to be done again and again while time passes: nothing, unless a subclass says what."""

    def run(self, until: Callable[[], object], within_s: float) -> bool:
        """Step and spin until something holds; False when it does not in time."""
        stepped_s = time.monotonic()
        deadline = stepped_s + within_s
        while not until():
            now_s = time.monotonic()
            if now_s > deadline:
                return False
            self.longest_gap_s, stepped_s = max(self.longest_gap_s, now_s - stepped_s), now_s
            self.step()
            self.executor.spin_once(timeout_sec=self._spin_s)
        return True
