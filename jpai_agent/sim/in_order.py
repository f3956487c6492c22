"""Work through cases that need a renderer, in this process or in several; what comes of them comes in their order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from jpai_agent.twin.render import SceneRenderer

T = TypeVar("T")

# cases handed out ahead of what is asked for, for each process
AHEAD = 4

_renderer: SceneRenderer | None = None


def in_order(work: Callable[..., T], cases: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[T]:
    """What `work`, a function of a module, makes of each case's values and a renderer, by `jobs` processes."""
    if jobs == 1:
        with SceneRenderer() as renderer:
            yield from (work(*case, renderer) for case in cases)
        return
    left = iter(cases)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        while batch := list(islice(left, AHEAD * jobs)):
            yield from pool.map(partial(_rendered, work), batch)


def _begin() -> None:
    global _renderer
    os.environ["OMP_NUM_THREADS"] = "1"
    _renderer = SceneRenderer()


def _rendered(work: Callable[..., T], case: tuple[Any, ...]) -> T:
    assert _renderer is not None
    return work(*case, _renderer)
