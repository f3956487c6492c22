"""Slow work: with a delay that repeats in simulation, on a thread on the robot; errors come out where the result is taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from jpai_agent.agent import SimulatedWorker, ThreadWorker

LIMIT_S = 10.0


@pytest.fixture
def thread() -> Iterator[ThreadWorker]:
    worker = ThreadWorker()
    yield worker
    worker.close()


def fail() -> None:
    raise ZeroDivisionError("thought nonsense")


def test_simulated_work_takes_effect_after_its_delay_whatever_it_cost() -> None:
    job = SimulatedWorker(0.5).submit(lambda: 7, now_s=2.0)
    assert not job.ready(2.0)
    assert not job.ready(2.49)
    assert job.ready(2.5)
    assert job.result() == 7


def test_simulated_work_that_fails_says_so_when_it_is_asked() -> None:
    job = SimulatedWorker().submit(fail, now_s=0.0)
    assert job.ready(0.5)
    with pytest.raises(ZeroDivisionError, match="thought nonsense"):
        job.result()


def test_work_on_the_thread_leaves_the_caller_free_until_it_is_done(thread: ThreadWorker) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert may_end.wait(LIMIT_S)
        return threading.current_thread().name

    job = thread.submit(work, now_s=0.0)
    assert begun.wait(LIMIT_S)
    # whatever the clock says
    assert not job.ready(1e9)
    may_end.set()
    assert job.result() != threading.current_thread().name
    assert job.ready(0.0)


def test_work_on_the_thread_is_done_in_order(thread: ThreadWorker) -> None:
    done: list[int] = []
    jobs = [thread.submit(lambda n=n: done.append(n), now_s=0.0) for n in range(20)]  # type: ignore[misc]
    for job in jobs:
        job.result()
    assert done == list(range(20))


def test_work_on_the_thread_that_fails_says_so_and_the_next_is_done(thread: ThreadWorker) -> None:
    with pytest.raises(ZeroDivisionError):
        thread.submit(fail, now_s=0.0).result()
    assert thread.submit(lambda: "well", now_s=0.0).result() == "well"


def test_a_closed_thread_drops_what_has_not_begun() -> None:
    worker, begun, may_end = ThreadWorker(), threading.Event(), threading.Event()
    first = worker.submit(lambda: (begun.set(), may_end.wait(LIMIT_S)), now_s=0.0)
    second = worker.submit(fail, now_s=0.0)
    assert begun.wait(LIMIT_S)
    worker.close()
    may_end.set()
    assert first.result() == (None, True)
    assert second.ready(0.0)
    with pytest.raises(BaseException, match=r"^$"):
        second.result()
