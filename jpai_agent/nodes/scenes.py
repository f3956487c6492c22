"""Keep the latest scenes as they arrive, as bytes, and turn one into the package's type only when it is asked for.

May be asked from any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from jpai_agent.nodes import convert, topics
from jpai_agent.world.scene import Scene
from jpai_msgs import msg

# at 20 Hz more than the time in which a rehearsed plan must begin
KEPT = 800


class SceneMemory:
    """The scenes of the last half minute, by id and by hash.

    Args:
        node: Whose executor takes them in.
        news: Called after each arrival.
    """

    def __init__(self, node: Node, news: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._arrived: deque[bytes] = deque(maxlen=KEPT)
        self._latest: Scene | None = None
        self._news = news
        node.create_subscription(msg.Scene, topics.SCENE, self._take, topics.SCENES, raw=True)

    def _take(self, message: bytes) -> None:
        with self._lock:
            self._arrived.append(message)
            self._latest = None
        if self._news is not None:
            self._news()

    def latest(self) -> Scene | None:
        """The newest scene, or None before the first."""
        with self._lock:
            if self._latest is None and self._arrived:
                self._latest = convert.scene(deserialize_message(self._arrived[-1], msg.Scene))
            return self._latest

    def by_id(self, scene_id: str) -> Scene | None:
        """The scene of that id; the newest for an empty one; None when it is not kept."""
        if not scene_id:
            return self.latest()
        return next((convert.scene(message) for message in self._back() if message.id == scene_id), None)

    def by_hash(self, sha256: str) -> Scene | None:
        """The scene whose content has that hash; None when it is not kept."""
        return next((convert.scene(message) for message in self._back() if message.sha256 == sha256), None)

    def _back(self) -> Iterator[msg.Scene]:
        """The scenes from the newest back."""
        with self._lock:
            arrived = tuple(self._arrived)
        return (deserialize_message(message, msg.Scene) for message in reversed(arrived))
