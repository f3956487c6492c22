"""How long somebody waits for the plan that a thread is making; decoders look between tokens, and leave off once nobody does."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jpai_agent.vlm.backend import VlmError


class Patience:
    """Ends at `deadline` (monotonic seconds), or once it is called off."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.called_off = False

    def check(self) -> None:
        """Raise VlmError("model_timeout") when nobody waits any more."""
        if self.called_off:
            raise VlmError("model_timeout", "called off")
        if time.monotonic() >= self.deadline:
            raise VlmError("model_timeout", "the deadline passed before the answer was whole")


class _Here(threading.local):
    waits: tuple[Patience, ...] = ()


_here = _Here()


@contextmanager
def waiting(patience: Patience) -> Iterator[None]:
    """Somebody waits so long for what this thread does within the `with`; whoever waited before goes on to."""
    before = _here.waits
    _here.waits = (*before, patience)
    try:
        yield
    finally:
        _here.waits = before


def check_patience() -> None:
    """Raise VlmError("model_timeout") when nobody waits any more for what this thread does; where none has said so, never."""
    for patience in _here.waits:
        patience.check()


def left_s() -> float:
    """Seconds until nobody waits any more for what this thread does; inf where none has said so."""
    return min((patience.deadline - time.monotonic() for patience in _here.waits), default=math.inf)
