"""What a run's record keeps of the other processes of the graph."""

from __future__ import annotations

from jpai_agent.gate import GateState
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import GraphNode, seconds
from jpai_agent.record import RunRecorder
from jpai_msgs.msg import GateStatus

_STATES = {getattr(GateStatus, state.name): state.value for state in GateState}


def record_gate(node: GraphNode, recorder: RunRecorder) -> None:
    """Have a record hold the gate's status too, as it arrives at a node."""

    def take(message: GateStatus) -> None:
        state = _STATES.get(message.state, "unknown")
        recorder.gate(seconds(message.stamp), state, message.reasons, message.v_mps, message.w_radps)

    node.create_subscription(GateStatus, topics.GATE_STATUS, take, topics.LATCHED)
