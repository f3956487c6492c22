"""Keep the latest scenes as they arrive, as bytes, and turn one into the package's type only when it is asked for.

May be asked from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from jpai_agent.nodes import convert, topics
from jpai_agent.world.scene import Scene
from jpai_msgs import msg

# at 20 Hz more than the time in which a rehearsed plan must begin
KEPT = 800
_LATELY = 5  # scenes that may have come at once
# a message that was lost on its way is sent again when its writer asks what is missing (Fast DDS: every 3 s)
LOST_WITHIN_S = 3.5


class SceneMemory:
    """The scenes of the last half minute, by id and by hash.

    Args:
        node: Whose executor takes them in.
        news: Called after each arrival.
    """

    def __init__(self, node: Node, news: Callable[[], None] | None = None) -> None:
        self._lock = threading.Condition()
        self._arrived: deque[bytes] = deque(maxlen=KEPT)
        self._latest: Scene | None = None
        self._news = news
        node.create_subscription(msg.Scene, topics.SCENE, self._take, topics.SCENES, raw=True)

    def _take(self, message: bytes) -> None:
        with self._lock:
            self._arrived.append(message)
            self._latest = None
            self._lock.notify_all()
        if self._news is not None:
            self._news()

    def latest(self) -> Scene | None:
        """The newest scene, or None before the first."""
        with self._lock:
            if self._latest is None and self._arrived:
                self._latest = convert.scene(deserialize_message(self._arrived[-1], msg.Scene))
            return self._latest

    def by_id(self, scene_id: str, within_s: float = 0.0) -> Scene | None:
        """The scene of that id; the newest for an empty one; None when it is not kept.

        Args:
            within_s: So long it is waited for, where another thread takes scenes in: others may have taken it in sooner.
        """
        if not scene_id:
            return self.latest()
        until_s = time.monotonic() + within_s
        found = next((message for message in self._back() if message.id == scene_id), None)
        with self._lock:
            while found is None and (left_s := until_s - time.monotonic()) > 0:
                self._lock.wait(left_s)
                lately = map(self._read, list(self._arrived)[-_LATELY:])
                found = next((message for message in lately if message.id == scene_id), None)
        return None if found is None else convert.scene(found)

    def by_hash(self, sha256: str) -> Scene | None:
        """The scene whose content has that hash; None when it is not kept."""
        return next((convert.scene(message) for message in self._back() if message.sha256 == sha256), None)

    def _back(self) -> Iterator[msg.Scene]:
        """The scenes from the newest back."""
        with self._lock:
            arrived = tuple(self._arrived)
        return map(self._read, reversed(arrived))

    @staticmethod
    def _read(message: bytes) -> msg.Scene:
        return deserialize_message(message, msg.Scene)
