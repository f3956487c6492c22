"""A bounded queue that takes turns among its clients: who asks much waits behind their own questions, not in front of others'."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class QueueFullError(RuntimeError):
    """Nothing more is taken; the message says of whom."""


class FairQueue(Generic[Item]):
    """First come, first served within a client, one by one among clients. Not for several threads at once.

    Args:
        per_client, total: Most items. total_bytes: Most that all of them hold together.
    """

    def __init__(self, per_client: int, total: int, total_bytes: int) -> None:
        self.per_client, self.total, self.total_bytes = per_client, total, total_bytes
        self._waiting: OrderedDict[str, deque[tuple[Item, int]]] = OrderedDict()
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, client: str, item: Item, size_bytes: int = 0) -> None:
        """Take an item. Raises QueueFullError."""
        own = self._waiting.get(client, ())
        if len(own) >= self.per_client:
            raise QueueFullError(f"{self.per_client} requests of this client are waiting")
        if self._count >= self.total or self._bytes + size_bytes > self.total_bytes:
            raise QueueFullError(f"{self._count} requests of {self._bytes >> 20} MB are waiting")
        self._waiting.setdefault(client, deque()).append((item, size_bytes))
        self._count += 1
        self._bytes += size_bytes

    def take(self) -> Item | None:
        """The next item, None when there is none; its client has its next turn after all others."""
        if not self._waiting:
            return None
        client, items = self._waiting.popitem(last=False)
        item, size_bytes = items.popleft()
        if items:
            self._waiting[client] = items
        self._less(size_bytes)
        return item

    def drop(self, client: str, item: Item) -> bool:
        """Take an item out of its turn; False when it does not wait."""
        items = self._waiting.get(client, deque())
        for pair in items:
            if pair[0] == item:
                items.remove(pair)
                if not items:
                    del self._waiting[client]
                self._less(pair[1])
                return True
        return False

    def before(self, client: str) -> int:
        """How many of those that wait would be taken before another item of this client."""
        own = len(self._waiting.get(client, ()))
        return own + sum(min(len(items), own + 1) for other, items in self._waiting.items() if other != client)

    def _less(self, size_bytes: int) -> None:
        self._count -= 1
        self._bytes -= size_bytes
