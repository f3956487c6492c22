"""A hung, killed, busy or lying model server costs a client its deadline at most, and always a typed error."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import asdict, replace

import numpy as np
import pytest
import zmq

from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmClient, VlmError, wire
from jpai_agent.vlm.pool import PER_CLIENT
from jpai_agent.vlm.server import NICENESS, VlmServer, server_command

ASK = '{"decision":"ask","steps":[],"reason":"incomplete"}'
SLACK_S = 1.0  # for a busy machine
FRAME = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
REQUEST = PlanRequest("行って", {"front": FRAME}, places={"dock": ("ドック",)}, speed_mps=0.3)
BODY, FRAMES = (lambda packed: ({"request": packed[0]}, packed[1]))(wire.pack_request(replace(REQUEST, speed_mps=0.0)))


class Fake:
    """A backend that does what the test says."""

    name = "fake"

    def __init__(self, act=lambda request: PlanAnswer(ASK, 0.5, {"total": 1.0}, 10, 2, "fake")):
        self.act, self.seen = act, []

    def plan(self, request):
        self.seen.append(request)
        return self.act(request)

    def warm(self, request):
        self.plan(request)


def endpoint():
    return f"ipc://@jpai-test-{uuid.uuid4().hex}"


@contextlib.contextmanager
def serving(backend, timeout_s=5.0):
    server = VlmServer(backend, endpoint(), sha256="abc")
    thread = threading.Thread(target=server.run)
    thread.start()
    client = VlmClient(server.endpoint, timeout_s)
    try:
        yield client, server
    finally:
        client.close()
        server.stop()
        thread.join(5)
        assert not thread.is_alive()


class Held(Fake):
    """A backend that answers once it is released; `begun` is set when it has been asked."""

    def __init__(self):
        super().__init__(self._hold)
        self.begun, self.release = threading.Event(), threading.Event()

    def _hold(self, request):
        self.begun.set()
        assert self.release.wait(20)
        return PlanAnswer(ASK)


@pytest.fixture
def held():
    backend = Held()
    yield backend
    backend.release.set()


@contextlib.contextmanager
def rogue(server):
    """`send(message)`; without one the next answer. Its requests have the speed 0."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(server.endpoint)

        def send(message=None):
            if message is not None:
                return socket.send(message)
            assert socket.poll(10_000)
            return wire.load(socket.recv())

        yield send


@contextlib.contextmanager
def lying(answer):
    """A server that replies with what `answer` makes of each request's id."""
    context, stop = zmq.Context(), threading.Event()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    address = endpoint()
    router.bind(address)

    def run():
        while not stop.is_set():
            if router.poll(20):
                peer, request = router.recv_multipart()
                for parts in answer(wire.split(request)[0]["id"]):
                    router.send_multipart([peer, *parts])

    thread = threading.Thread(target=run)
    thread.start()
    client = VlmClient(address, 0.5)
    try:
        yield client
    finally:
        client.close()
        stop.set()
        thread.join(5)
        router.close()
        context.term()


def refused(client, *codes, request=REQUEST):
    began = time.monotonic()
    with pytest.raises(VlmError) as caught:
        client.plan(request)
    assert caught.value.reason_code in codes
    assert time.monotonic() - began <= client.timeout_s + SLACK_S
    return caught.value


def test_a_request_arrives_whole_and_its_answer_comes_back():
    backend = Fake()
    with serving(backend) as (client, _):
        assert client.plan(REQUEST) == PlanAnswer(ASK, 0.5, {"total": 1.0}, 10, 2, "fake", sha256="abc")
    (seen,) = backend.seen
    assert (seen.images["front"] == FRAME).all()
    assert replace(seen, images={}) == replace(REQUEST, images={})


def test_a_backends_own_error_keeps_its_reason():
    def fail(request):
        raise VlmError("too_long", "the instruction is too long")

    with serving(Fake(fail)) as (client, _):
        assert "too long" in str(refused(client, "too_long"))


def test_a_backend_that_crashes_is_an_error_and_the_server_lives_on():
    outcomes = iter([ZeroDivisionError("oops"), MemoryError(), None])

    def act(request):
        if (error := next(outcomes)) is not None:
            raise error
        return PlanAnswer(ASK)

    with serving(Fake(act)) as (client, _):
        assert "ZeroDivisionError" in str(refused(client, "model_unavailable"))
        refused(client, "model_unavailable")
        assert client.plan(REQUEST).text == ASK


def test_an_answer_with_half_a_character_is_an_error_before_the_deadline():
    with serving(Fake(lambda request: PlanAnswer("\ud800"))) as (client, _):
        for _ in range(2):
            refused(client, "model_unavailable")


def test_a_bad_frame_never_leaves_the_client():
    backend = Fake()
    with serving(backend) as (client, _):
        refused(client, "image_black", request=replace(REQUEST, images={"front": np.zeros((64, 64, 3), np.uint8)}))
    assert backend.seen == []


def test_a_hung_model_costs_the_deadline_and_heartbeats_tell_of_it():
    release = threading.Event()

    def hang(request):
        assert release.wait(20)
        return PlanAnswer(ASK)

    with serving(Fake(hang), timeout_s=0.3) as (client, _):
        refused(client, "model_timeout")
        state = client.heartbeat(2.0)
        assert state["working_s"] >= 0.2
        assert (state["model"], state["sha256"]) == ("fake", "abc")
        release.set()
        # the late answer to the request that was given up is not taken for the next one's
        client.timeout_s = 5.0
        assert client.plan(REQUEST).text == ASK


def test_what_was_given_up_waits_no_longer(held):
    with serving(held, timeout_s=0.2) as (client, server):
        for _ in range(PER_CLIENT + 2):
            refused(client, "model_timeout")
        held.release.set()
        client.timeout_s = 5.0
        assert client.plan(REQUEST).text == ASK
        # the first one, and the last: the others were called off while they waited
        assert len(held.seen) == 2
        assert server.pool.metrics.value("late_total") == 1


def test_a_hung_models_requests_are_told_at_their_deadlines_by_the_server_itself(held):
    with serving(held) as (_, server), rogue(server) as send:
        send(wire.join({"id": "1", "kind": "plan", "budget_s": 0.1, **BODY}, FRAMES))
        assert (answer := send())["code"] == "model_timeout" and "under way" in answer["message"]
        send(wire.join({"id": "2", "kind": "plan", "budget_s": 0.1, **BODY}, FRAMES))
        assert (answer := send())["code"] == "model_timeout" and "waiting" in answer["message"]
        held.release.set()


def test_a_clients_own_queue_is_bounded_and_others_are_served(held):
    with serving(held) as (client, server), rogue(server) as send:
        for index in range(PER_CLIENT + 2):
            send(wire.join({"id": str(index), "kind": "plan", "budget_s": 20, **BODY}, FRAMES))
            if index == 0:
                assert held.begun.wait(10)
        busy = send()
        assert (busy["id"], busy["code"]) == (str(PER_CLIENT + 1), "model_busy")
        found = []
        other = threading.Thread(target=lambda: found.append(client.plan(REQUEST).text))
        other.start()
        while server.pool.queued < PER_CLIENT + 1:
            pass
        held.release.set()
        other.join(10)
        assert found == [ASK]
        # the other client's was the third that was begun at the latest, though it came last
        assert [seen.speed_mps for seen in held.seen].index(REQUEST.speed_mps) <= 2
        assert {send()["id"] for _ in range(PER_CLIENT + 1)} == {str(index) for index in range(PER_CLIENT + 1)}


def wait_for_cancelled(client, server, count):
    """What is called off comes by another connection than what is asked next, and may be overtaken."""
    for _ in range(500):
        if server.pool.metrics.value("requests_total", outcome="cancelled") == count:
            return
        client.heartbeat(5.0)
    raise AssertionError("not called off")


def test_a_request_can_be_called_off_while_it_waits_and_while_it_is_planned(held):
    with serving(held) as (client, server), rogue(server) as send:
        for identity in "12":
            send(wire.join({"id": identity, "kind": "plan", "budget_s": 20, **BODY}, FRAMES))
        assert held.begun.wait(10)
        for identity in "21":
            send(wire.join({"id": identity, "kind": "cancel"}, []))
        wait_for_cancelled(client, server, 2)
        assert client.heartbeat(5.0)["queue"] == 0
        held.release.set()
        assert client.plan(REQUEST).text == ASK
        assert len(held.seen) == 2


def test_a_client_calls_off_what_it_waits_for_from_another_thread(held):
    with serving(held, timeout_s=20.0) as (client, server):
        found = []

        def ask():
            try:
                client.plan(REQUEST)
            except VlmError as error:
                found.append(error.reason_code)

        asking = threading.Thread(target=ask)
        asking.start()
        assert held.begun.wait(10)
        client.cancel()
        asking.join(10)
        assert found == ["model_timeout"]
        wait_for_cancelled(client, server, 1)
        held.release.set()
        assert client.plan(REQUEST).text == ASK


def test_the_metrics_tell_what_was_asked_and_how_it_ended():
    with serving(Fake()) as (client, _):
        client.plan(REQUEST)
        text = client.metrics()
    assert 'jpai_requests_total{outcome="answered",route="zmq"} 1' in text
    assert 'jpai_model_info{model="fake",sha256="abc"} 1' in text
    assert "jpai_answer_tokens_total 2" in text


def test_nobody_there_is_an_error_by_the_deadline():
    client = VlmClient(endpoint(), 0.3)
    refused(client, "model_unavailable")
    with pytest.raises(VlmError):
        client.heartbeat(0.1)
    client.close()


def header(identity, **fields):
    return [[wire.dump({"id": identity, **fields})]]


RIGHT = {"text": ASK, "confidence": 0.5, "timings_ms": {}, "prompt_tokens": 1, "answer_tokens": 1, "model": "x"}
LIES = {
    "silence": lambda identity: [],
    "no JSON": lambda identity: [[b"\x80\x04pickle"]],
    "no header": lambda identity: [[b"[]"]],
    "deep": lambda identity: [[b"[" * 100_000]],
    "many parts": lambda identity: [[b"{}", b"{}"]],
    "another id": lambda identity: header("0" * 32, kind="answer", answer=RIGHT),
    "another id for ever": lambda identity: header("0" * 32, kind="answer", answer=RIGHT) * 200,
    "another kind": lambda identity: header(identity, kind="pong", answer=RIGHT),
    "no answer": lambda identity: header(identity, kind="answer"),
    "text missing": lambda identity: header(identity, kind="answer", answer={**RIGHT, "text": None}),
    "NaN": lambda identity: header(identity, kind="answer", answer={**RIGHT, "confidence": float("nan")}),
    "sure beyond one": lambda identity: header(identity, kind="answer", answer={**RIGHT, "confidence": 7}),
    "likely beyond one": lambda identity: header(identity, kind="answer", answer={**RIGHT, "probability": -0.1}),
    "timings": lambda identity: header(identity, kind="answer", answer={**RIGHT, "timings_ms": [1]}),
    "an error of its own": lambda identity: header(identity, kind="error", code="rm -rf", message={"a": 1}),
    "endless": lambda identity: header(identity, kind="answer", answer={**RIGHT, "prompt_tokens": float("inf")}),
    "endless digits": lambda identity: [[wire.dump({"id": identity, "kind": "answer", "answer": RIGHT}).replace(
        b'"prompt_tokens": 1', b'"prompt_tokens": 1' + b"0" * 400)]],
    "half a character": lambda identity: [[wire.dump(
        {"id": identity, "kind": "answer", "answer": {**RIGHT, "model": "@"}}).replace(b"@", rb"\ud800")]],
    "a long name": lambda identity: header(identity, kind="answer", answer={**RIGHT, "model": "x" * 100_000}),
    "a long text": lambda identity: header(identity, kind="answer", answer={**RIGHT, "text": "x" * 100_000}),
    "many timings": lambda identity: header(
        identity, kind="answer", answer={**RIGHT, "timings_ms": {str(i): 1.0 for i in range(5_000)}}),
    "many parts, the last one empty": lambda identity: [[*header(identity, kind="answer", answer=RIGHT)[0] * 3, b""]],
    "too large": lambda identity: [[b"x" * (wire.ANSWER_MAX_BYTES + 1)]],
    "metrics": lambda identity: header(identity, kind="metrics", text="jpai_requests_total 1"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_server_is_a_typed_error_by_the_deadline(lie):
    with lying(LIES[lie]) as client:
        refused(client, "model_unavailable", "model_timeout")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"{}"],
        [b"\xff"],
        [b"\xff\xff\xff\xff{}"],
        [bytes(4) + b"[" * 100_000],
        [b"\x00\x01\x86\xa0" + b"[" * 100_000],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 5, "request": None}, [])],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 5, "request": {"frames": [{}]}}, [b"x"])],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 5, "request": {}}, [b"x"]) + b"more"],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 5, "request": {}}, [b"x"]), b"part"],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 5, "request": {}}, [b"x"] * 9)],
        [wire.join({"id": "1", "kind": "plan", "budget_s": "x"}, [])],
        [wire.join({"id": "1", "kind": "plan", "budget_s": 10**400}, [])],
        [wire.join({"id": "1", "kind": "plan", "budget_s": float("nan")}, [])],
        [wire.join({"id": "1", "kind": "drop tables"}, [])],
        [wire.join({"id": 1, "kind": "ping"}, [])],
        [wire.join({"id": "1" * 10_000, "kind": "ping"}, [])],
        [wire.join({"id": "\ud800", "kind": "ping"}, [])],
    ],
)
def test_a_client_that_sends_garbage_does_not_harm_the_server(parts):
    backend = Fake()
    with serving(backend) as (client, server), zmq.Context() as context, context.socket(zmq.DEALER) as rogue:
        rogue.connect(server.endpoint)
        rogue.send_multipart(parts or [b""])
        assert client.plan(REQUEST).text == ASK
        if rogue.poll(50):
            assert wire.load(rogue.recv_multipart()[0])["kind"] == "error"
    assert len(backend.seen) == 1


def test_calls_from_several_threads_take_turns():
    with serving(Fake()) as (client, _):
        found = []
        threads = [threading.Thread(target=lambda: found.append(client.plan(REQUEST).text)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [ASK] * 6


@contextlib.contextmanager
def process(folder, address):
    command = server_command(folder, address)
    server = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        yield server
    finally:
        server.kill()
        server.wait(10)
        server.stderr.close()


def test_the_process_plans_at_low_priority_survives_a_kill_of_its_kind_and_ends_on_sigterm(model_folder, request_):
    address = endpoint()
    client = VlmClient(address, 10.0)
    with process(model_folder, address) as server:
        assert client.wait_ready(60)["model"] == "tiny"
        assert client.plan(request_).text.startswith('{"decision":')
        assert os.getpriority(os.PRIO_PROCESS, server.pid) >= NICENESS
        server.kill()
        server.wait(10)
        client.timeout_s = 0.5
        refused(client, "model_unavailable", "model_timeout", request=request_)
    with process(model_folder, address) as server:
        client.wait_ready(60)
        client.timeout_s = 10.0
        assert client.plan(request_).text.startswith('{"decision":')
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    client.close()


def test_a_server_ends_with_the_process_that_started_it(model_folder):
    address = endpoint()
    starter = (
        "import subprocess, sys; from jpai_agent.vlm.server import server_command;"
        f"print(subprocess.Popen(server_command({str(model_folder)!r}, {address!r})).pid, flush=True);"
        "sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    client = VlmClient(address, 1.0)
    client.wait_ready(60)
    parent.stdin.close()
    parent.wait(60)
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while _runs(pid) and time.monotonic() < deadline:
        with contextlib.suppress(VlmError):
            client.heartbeat(0.2)
    client.close()
    assert not _runs(pid)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_unusable_model_ends_the_process_and_names_the_file(tmp_path):
    done = subprocess.run(server_command(tmp_path / "no-model", endpoint()), capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "no-model" in done.stderr


@pytest.mark.parametrize(("confidence", "probability"), [(None, None), (0.0, 1.0), (0.25, None)])
def test_an_unknown_confidence_stays_unknown_on_its_way(confidence, probability):
    answer = PlanAnswer(ASK, confidence, {"total": 1.0}, 10, 2, "fake", probability)
    assert wire.unpack_answer(wire.load(wire.dump({"id": "x", "kind": "answer", "answer": asdict(answer)}))) == answer
