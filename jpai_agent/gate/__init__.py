"""The gate: the last thing before the motors. Pure logic over its own monotonic clock; its node is the only motor writer.

Whatever goes in, a command comes out of every tick; in any doubt it is zero. It starts locked. A stop word holds zero until
another plan is accepted; e-stop, intruder and fault latch until a human resets, over the death of any process.

`core` decides, `nearfield` tells it what stands ahead, `shown` whether a sensor shows anything new, `latch` keeps a latch on
the disk.
"""

from jpai_agent.gate.core import Gate, GateConfig, GateOutput, GateState
from jpai_agent.gate.latch import LatchFile
from jpai_agent.gate.nearfield import NearConfig, NearField

__all__ = ["Gate", "GateConfig", "GateOutput", "GateState", "LatchFile", "NearConfig", "NearField"]
