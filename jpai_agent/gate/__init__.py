"""The gate: the last thing before the motors. Pure logic over its own monotonic clock; its node is the only motor writer.

Whatever goes in, a command comes out of every tick; in any doubt it is zero. It starts locked. A stop word holds zero until
another plan is accepted; e-stop, intruder and fault latch until a human resets.
"""

from jpai_agent.gate.core import Gate, GateConfig, GateOutput, GateState

__all__ = ["Gate", "GateConfig", "GateOutput", "GateState"]
