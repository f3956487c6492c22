"""Find a graph that runs, listen for it, or watch what it hears; what `jpai voice` does where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rclpy.executors import ExternalShutdownException
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient

from jpai_agent.nodes import topics
from jpai_agent.nodes.base import seconds
from jpai_agent.nodes.beside import Beside
from jpai_agent.nodes.voice_node import VoiceNode
from jpai_agent.voice import hearing
from jpai_agent.voice.hearing import Event
from jpai_msgs.msg import Heard

FOUND_WITHIN_S = 1.5
ANSWERS_WITHIN_S = 5.0
# what the agent was started with, the ears are too
_SHARED = ("robot", "world", "landmarks", "use_sim_time")
_KINDS: dict[int, type[Event]] = {Heard.HEARD: hearing.Heard, Heard.UNSURE: hearing.Unsure, Heard.STOP: hearing.StopHeard}


class VoiceLink(Beside):
    """A place in the graph's ROS domain."""

    def __init__(self, domain: int | None = None) -> None:
        # as the graph's own processes: discovery by multicast would leave this machine
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        super().__init__("jpai_voice", domain, spin_s=0.1)
        self.run(lambda: self.graph, FOUND_WITHIN_S)

    @property
    def graph(self) -> bool:
        """Whether somebody takes instructions here."""
        return self.node.count_subscribers(topics.INSTRUCTION) > 0

    @property
    def has_ears(self) -> bool:
        """Whether the graph listens itself."""
        return "voice_node" in self.node.get_node_names()

    def watch(self, tell: Callable[[Event], Any]) -> None:
        """Tell what the graph hears, until Ctrl-C; times count from now."""
        begin_s: list[float] = []

        def take(message: Heard) -> None:
            begin_s[:] = begin_s or [seconds(message.begun)]
            tell(event_of(message, begin_s[0]))

        self.node.create_subscription(Heard, topics.HEARD, take, topics.WORDS)
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            self.executor.spin()

    def hear(self, tell: Callable[[Event], Any], *, wake_words: Sequence[str] = (), **parameters: Any) -> None:
        """Listen for the graph until the file ends, or Ctrl-C. parameters: of VoiceNode."""
        overrides = self._shared() + [Parameter(name, value=value) for name, value in parameters.items()]
        if wake_words:
            overrides.append(Parameter("wake_words", value=list(wake_words)))
        node = VoiceNode(context=self.context, parameter_overrides=overrides)
        node.watch = tell
        self.executor.add_node(node)
        try:
            node.bring_up()
            with suppress(KeyboardInterrupt, ExternalShutdownException):
                self.run(lambda: node.ended, float("inf"))
        finally:
            node.close()
            self.executor.remove_node(node)
            node.destroy_node()

    def _shared(self) -> list[Parameter]:
        """The agent's parameters that its ears share; none where it does not answer."""
        client = AsyncParameterClient(self.node, "agent_node")
        if not self.run(client.services_are_ready, ANSWERS_WITHIN_S):
            return []
        asked = client.get_parameters(list(_SHARED))
        if not self.run(asked.done, ANSWERS_WITHIN_S):
            return []
        values = zip(_SHARED, asked.result().values, strict=True)
        return [Parameter.from_parameter_msg(ParameterMessage(name=name, value=value)) for name, value in values]


def event_of(message: Heard, zero_s: float) -> Event:
    """What a message tells, with times counted from `zero_s`."""
    begin_s, end_s = seconds(message.begun) - zero_s, seconds(message.ended) - zero_s
    if message.kind == Heard.DROPPED:
        return hearing.Dropped(message.text, message.confidence, begin_s, end_s, message.reason)
    return _KINDS[message.kind](message.text, message.confidence, begin_s, end_s)
