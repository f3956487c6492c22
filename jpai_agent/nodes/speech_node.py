"""The robot's voice: says its replies aloud, and falls silent at once when somebody speaks or stops it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Bool, String

from jpai_agent.nodes import topics
from jpai_agent.nodes.base import GraphNode, run
from jpai_agent.voice.manner import load_manner
from jpai_agent.voice.speaker import Played
from jpai_agent.voice.synthesis import ATTRIBUTION
from jpai_agent.voice.talker import Talker
from jpai_agent.world.paths import state_dir
from jpai_msgs.msg import Heard, Reply

INDEX = "speech.jsonl"


class SpeechNode(GraphNode):
    """Hears /jpai/reply and tells on /jpai/speaking what it says: the words and below them their kana, "" at the end.

    Without the voice extra it says why and is silent; without a loudspeaker it writes WAV files. Either way the graph goes on.

    Parameters: `speech_file` (how it speaks; "": config/speech.yaml), `out` (a folder: everything goes into WAV files there,
    with `speech.jsonl` telling when each began on the ROS clock, and nothing to a loudspeaker; "": a loudspeaker).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("speech_node", **options)
        file: str = self.declare_parameter("speech_file", "").value
        self._out: str = self.declare_parameter("out", "").value
        self._manner = load_manner(Path(file) if file else None)
        self._talker: Talker | None = None
        self._begun_s = 0.0

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Announce what it hears and says, and load the voice."""
        self._speaking = self.create_publisher(String, topics.SPEAKING, topics.LATCHED)
        # first what silences it: the reply to a stop comes after the stop
        self.create_subscription(String, topics.STOP, lambda message: self._hush(), topics.WORDS)
        self.create_subscription(Bool, topics.VOICE_ACTIVITY, self._on_activity, topics.WORDS)
        self.create_subscription(Heard, topics.HEARD, self._on_heard, topics.WORDS)
        self.create_subscription(Reply, topics.REPLY, self._on_reply, topics.WORDS)
        folder = Path(self._out) if self._out else state_dir() / "speech"
        self._talker = Talker(self._manner, folder, only_files=bool(self._out), announce=self._tell, said=self._note,
                              complain=self.get_logger().warning)
        self.get_logger().info(ATTRIBUTION)
        return TransitionCallbackReturn.SUCCESS

    def hears(self) -> bool:
        """True once it can speak, or knows that it cannot."""
        return self._talker is not None and self._talker.loaded.is_set()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent."""
        self._hush()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Let go of the loudspeaker."""
        if self._talker is not None:
            self._talker.close()

    def _on_reply(self, message: Reply) -> None:
        if self._talker is not None and message.text.strip():
            self._talker.say(message.text)

    def _on_activity(self, message: Bool) -> None:
        if message.data:
            self._hush()

    def _on_heard(self, message: Heard) -> None:
        if message.kind != Heard.DROPPED:
            self._hush()

    def _hush(self) -> None:
        if self._talker is not None:
            self._talker.hush()

    # on the talker's thread

    def _tell(self, words: str, kana: str) -> None:
        if words:
            self._begun_s = self.now_s()
        if self.context.ok():
            self._speaking.publish(String(data=f"{words}\n{kana}" if words else ""))

    def _note(self, words: str, played: Played) -> None:
        if self._out and played.path is not None:
            line = {"time_s": self._begun_s, "words": words, "file": played.path.name, "seconds": played.seconds,
                    "whole": played.whole}
            with (Path(self._out) / INDEX).open("a", encoding="utf-8") as index:
                index.write(json.dumps(line, ensure_ascii=False) + "\n")


def main() -> int:
    """Run the node."""
    return run(SpeechNode)


if __name__ == "__main__":
    sys.exit(main())
