"""A ROS context of one's own for each test, in a domain of one's own, and a spin that waits for what is expected."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from jpai_agent.graph import private_domain, release_domain
from jpai_agent.nodes.base import raise_priority


class Graph:
    """Some nodes in one process, and a node of the test's own among them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.node = Node("test", context=context)
        self.executor.add_node(self.node)

    def add(self, node: Node) -> Node:
        """Bring a node up and spin it with the others."""
        self.executor.add_node(node)
        node.bring_up()
        return node

    def spin_until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
        """Spin until the condition holds; False when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.01)
        return True

    def call(self, client, request):
        """The answer of a service that one of the nodes gives."""
        assert self.spin_until(client.service_is_ready)
        future = client.call_async(request)
        assert self.spin_until(future.done)
        return future.result()


@pytest.fixture
def graph(monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path))
    # deadlines are tried here: where that is allowed, other work on the machine waits
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    raise_priority()
    context, domain = Context(), private_domain()
    context.init(domain_id=domain)
    made = Graph(context)
    yield made
    # a shut executor forgets its nodes
    nodes = made.executor.get_nodes()
    made.executor.shutdown()
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()
    release_domain(domain)
    raise_priority(priority)
