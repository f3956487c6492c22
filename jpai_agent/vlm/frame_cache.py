"""Keep what a model has seen in its last frames: the same frame is looked at once, also when several ask about it at a time."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np


class FrameCache:
    """The image features of the last frames.

    Args:
        keep: How many of them.
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._found: OrderedDict[bytes, Future[np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def features(self, rgb: np.ndarray, look: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """What `look` makes of a frame (H, W, 3) uint8, or has made of it; a thread that comes meanwhile waits for it."""
        key = hashlib.blake2b(np.ascontiguousarray(rgb).data, digest_size=16).digest() + str(rgb.shape).encode()
        with self._lock:
            found = self._found.get(key)
            if found is None:
                mine = self._found[key] = Future()
            self._found.move_to_end(key)
            while len(self._found) > self.keep:
                self._found.popitem(last=False)
        if found is not None:
            return found.result()
        try:
            mine.set_result(look(rgb))
        except BaseException as error:
            with self._lock:
                self._found.pop(key, None)
            mine.set_exception(error)
            raise
        return mine.result()

    def clear(self) -> None:
        """Forget all frames."""
        with self._lock:
            self._found.clear()
