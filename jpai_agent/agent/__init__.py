"""The loop that ties language, model, perception, twin and execution together, without ROS.

`Agent` holds the dialogue: it hears instructions, has them planned, grounded and rehearsed, and hands what passed to the
`Executor`, which runs the rehearsed program and says when the scene has changed so that the rest must be rehearsed again.
Slow work (a plan, a look, a rehearsal) goes through a `Worker`, so that the same agent runs against simulated time and on a
robot. What happens is told to observers as the events of `events`; records, nodes and benchmarks listen there.
"""

from jpai_agent.agent.agent import Agent, AgentConfig
from jpai_agent.agent.executor import Executor, NotPermitted
from jpai_agent.agent.worker import SimulatedWorker, ThreadWorker, Worker

__all__ = ["Agent", "AgentConfig", "Executor", "NotPermitted", "SimulatedWorker", "ThreadWorker", "Worker"]
