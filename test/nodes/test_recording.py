"""A run's record holds what the gate of the graph says."""

from __future__ import annotations

from typing import Any

import pytest

from jpai_agent.nodes import topics
from jpai_agent.nodes.base import stamp_of
from jpai_agent.nodes.recording import record_gate
from jpai_msgs.msg import GateStatus


def test_the_gate_s_status_goes_to_the_record(graph) -> None:
    class Record:
        def __init__(self) -> None:
            self.given: list[tuple[Any, ...]] = []

        def gate(self, *given: Any) -> None:
            self.given.append(given)

    record = Record()
    record_gate(graph.node, record)
    gate = graph.node.create_publisher(GateStatus, topics.GATE_STATUS, topics.LATCHED)
    gate.publish(GateStatus(stamp=stamp_of(12.5), state=GateStatus.HELD, reasons=["held: stop word"], v_mps=0.25, w_radps=-0.5))
    assert graph.spin_until(lambda: record.given)
    time_s, state, reasons, v_mps, w_radps = record.given[0]
    assert (time_s, state, list(reasons)) == (pytest.approx(12.5), "held", ["held: stop word"])
    assert (v_mps, w_radps) == (0.25, -0.5)
