"""Clients take turns at a model, nobody waits longer than they said, and each plan is what it would be alone."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.fair_queue import FairQueue, QueueFullError
from jpai_agent.vlm.frame_cache import FrameCache
from jpai_agent.vlm.metrics import Metrics
from jpai_agent.vlm.patience import Patience, check_patience, waiting
from jpai_agent.vlm.pool import PlanPool

REQUEST = PlanRequest("行って", {"front": np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)})
FAR_S = 60.0


class Held:
    """Plans once it is released; told to look whether somebody waits, as decoders do."""

    name, concurrent = "held", True

    def __init__(self):
        self.seen, self.begun, self.release = [], threading.Semaphore(0), threading.Event()

    def plan(self, request):
        self.seen.append(request.instruction)
        self.begun.release()
        assert self.release.wait(20)
        check_patience()
        return PlanAnswer(request.instruction, None, {"total": 2.0}, 3, 4)

    def warm(self, request):
        self.plan(request)


@pytest.fixture
def held():
    backend = Held()
    yield backend
    backend.release.set()


@pytest.fixture
def pool(held):
    pool = PlanPool(held)
    pool.start()
    yield pool
    held.release.set()
    pool.close()
    assert not pool.thinking


class Asked:
    """What `done` was called with."""

    def __init__(self, pool, words, client="a", budget_s=FAR_S):
        self.outcomes, self._done = [], threading.Event()
        self.job = pool.submit(client, lambda: replace(REQUEST, instruction=words), budget_s, self._take)

    def _take(self, outcome):
        self.outcomes.append(outcome)
        self._done.set()

    @property
    def outcome(self):
        assert self._done.wait(20)
        assert len(self.outcomes) == 1
        return self.outcomes[0]


def test_clients_take_turns_and_a_clients_own_requests_keep_their_order(pool, held):
    first = Asked(pool, "0")
    assert held.begun.acquire(timeout=10)
    asked = [Asked(pool, words, client) for words, client in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("c1", "c"))]
    held.release.set()
    assert [one.outcome.text for one in (first, *asked)] == ["0", "a1", "a2", "b1", "a3", "c1"]
    assert held.seen == ["0", "a1", "b1", "c1", "a2", "a3"]


def test_what_passes_its_deadline_is_told_so_while_the_model_hangs_and_its_plan_counts_as_late(pool, held):
    under_way = Asked(pool, "hangs", budget_s=0.05)
    assert under_way.outcome.reason_code == "model_timeout"
    assert Asked(pool, "waits", budget_s=0.05).outcome.reason_code == "model_timeout"
    assert (pool.queued, held.seen) == (0, ["hangs"])
    assert pool.metrics.value("requests_total", outcome="model_timeout") == 2


def test_a_decoder_leaves_off_once_its_request_is_called_off(pool, held):
    asked = Asked(pool, "never mind")
    assert held.begun.acquire(timeout=10)
    pool.cancel(asked.job)
    held.release.set()
    assert Asked(pool, "next").outcome.text == "next"
    assert asked.outcomes == []
    # its decoder came to no answer that could be late
    assert pool.metrics.value("late_total") == 0


def test_what_would_not_be_ready_in_time_is_turned_away_at_once(pool, held):
    held.release.set()
    assert Asked(pool, "quick").outcome.text == "quick"
    held.release.clear()
    pool._plan_s = 2.0
    Asked(pool, "under way")
    assert held.begun.acquire(timeout=10) and held.begun.acquire(timeout=10)
    with pytest.raises(VlmError, match=r"4\.0 s, there are 3\.0 s") as caught:
        Asked(pool, "too many", budget_s=3.0)
    assert caught.value.reason_code == "model_busy"
    held.release.set()


def test_a_model_that_was_slow_once_is_asked_again_when_nobody_waits(pool, held):
    held.release.set()
    pool._plan_s = 1000.0
    assert Asked(pool, "again", budget_s=1.0).outcome.text == "again"
    assert pool._plan_s < 1000.0


def test_several_workers_plan_beside_each_other_where_the_model_can(held):
    pool = PlanPool(held, workers=3)
    pool.start()
    asked = [Asked(pool, str(index), str(index)) for index in range(3)]
    assert all(held.begun.acquire(timeout=10) for _ in range(3))
    held.release.set()
    assert [one.outcome.text for one in asked] == ["0", "1", "2"]
    pool.close()
    held.concurrent = False
    assert PlanPool(held, workers=3).workers == 1


def test_whoever_cannot_be_told_costs_the_others_nothing(pool, held, caplog):
    def fail(outcome):
        raise UnicodeError("half a character")

    held.release.set()
    pool.submit("a", lambda: REQUEST, FAR_S, fail)
    assert Asked(pool, "next").outcome.text == "next"
    assert "was not told" in caplog.text


def test_the_end_of_a_pool_is_an_error_for_all_who_wait(pool, held):
    asked = [Asked(pool, "1"), Asked(pool, "2")]
    pool.close()
    assert [one.outcome.reason_code for one in asked] == ["model_unavailable"] * 2
    with pytest.raises(VlmError, match="ends"):
        Asked(pool, "3")


def test_a_queue_holds_so_many_of_a_client_in_all_and_in_bytes():
    queue = FairQueue(2, 3, 100)
    queue.add("a", 1, 60)
    with pytest.raises(QueueFullError, match="MB"):
        queue.add("b", 2, 60)
    queue.add("a", 2)
    with pytest.raises(QueueFullError, match="of this client"):
        queue.add("a", 3)
    queue.add("b", 4, 40)
    with pytest.raises(QueueFullError, match="3 requests"):
        queue.add("c", 5)
    assert (queue.before("a"), queue.before("b"), queue.before("c")) == (3, 3, 2)
    assert queue.drop("a", 1) and not queue.drop("a", 1)
    assert [queue.take() for _ in range(3)] == [2, 4, None]
    queue.add("a", 6, 100)


def test_one_frame_that_several_ask_about_at_a_time_is_looked_at_once():
    cache, looks, together, go = FrameCache(2), [], threading.Barrier(3), threading.Event()
    frames = [np.full((8, 8, 3), value, np.uint8) for value in range(4)]

    def look(rgb):
        looks.append(int(rgb[0, 0, 0]))
        assert go.wait(10)
        return rgb[..., 0]

    def ask():
        together.wait(10)
        assert cache.features(frames[1], look)[0, 0] == 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert looks == [1]
    for index in (2, 3, 1):
        cache.features(frames[index], look)
    assert (looks, len(cache)) == ([1, 2, 3, 1], 2)


def test_a_look_that_fails_fails_for_that_time_only():
    cache, frame = FrameCache(2), REQUEST.images["front"]
    with pytest.raises(ZeroDivisionError):
        cache.features(frame, lambda rgb: 1 / 0)
    assert cache.features(frame, lambda rgb: rgb) is frame


def test_without_somebody_who_waits_patience_has_no_end():
    check_patience()
    with pytest.raises(VlmError, match="deadline"), waiting(Patience(0.0)):
        check_patience()
    check_patience()


def test_metrics_are_prometheus_text():
    metrics = Metrics()
    metrics.count("requests_total", route="x", outcome='a"b\\\n')
    metrics.took(0.3, route="x")
    metrics.watch("workers", lambda: 2)
    lines = metrics.text().splitlines()
    assert 'jpai_requests_total{outcome="a\\"b\\\\\\n",route="x"} 1' in lines
    assert 'jpai_request_seconds_bucket{route="x",le="0.2"} 0' in lines
    assert 'jpai_request_seconds_bucket{route="x",le="0.5"} 1' in lines
    assert 'jpai_request_seconds_bucket{route="x",le="+Inf"} 1' in lines
    assert {"# TYPE jpai_request_seconds histogram", "jpai_workers 2", 'jpai_request_seconds_sum{route="x"} 0.3'} <= set(lines)


def test_plans_made_beside_each_other_are_those_made_alone(frame):
    from jpai_agent.vlm import load_backend

    backend = load_backend()
    requests = [PlanRequest(words, {"front": np.roll(frame, 7 * index, axis=1)}, robot, places={"dock": ("ドック",)})
                for index, words in enumerate(("赤い箱まで行って", "右に回って", "戻って")) for robot in ("cart", "car")]
    alone = [backend.plan(request).text for request in requests]
    backend._features.clear()
    pool = PlanPool(backend, workers=4)
    pool.start()
    found = [[] for _ in range(4 * len(requests))]
    done = threading.Semaphore(0)
    for index, (request, answers) in enumerate(zip(requests * 4, found, strict=True)):
        pool.submit(str(index), lambda request=request: request, FAR_S,
                    lambda outcome, answers=answers: (answers.append(outcome), done.release()))
    assert all(done.acquire(timeout=60) for _ in found)
    pool.close()
    assert [answers[0].text for answers in found] == alone * 4
