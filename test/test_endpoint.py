"""`jpai serve` serves what it may and says what is in the way; `jpai metrics` asks a server how it does."""

import http.client
import json
import os
import signal
import socket
import threading
import uuid

import pytest
import zmq
from typer.testing import CliRunner

from jpai_agent import vlm
from jpai_agent.cli import app
from jpai_agent.vlm import PlanAnswer, VlmClient
from jpai_agent.vlm.bearer import key_file, read_keys


class Model:
    name = "fake"

    def plan(self, request):
        return PlanAnswer('{"decision":"ask","steps":[],"reason":"incomplete"}')

    def warm(self, request):
        self.plan(request)


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A state of the test's own, a model that needs no files, and signals and niceness as they were."""
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(vlm, "load_backend", lambda *_, **__: Model())
    monkeypatch.setattr(os, "nice", lambda by: by)
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def jpai(*arguments):
    return CliRunner().invoke(app, list(arguments))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_it_serves_over_http_and_zeromq_until_it_is_told_to_end():
    port, address, found, ended = free_port(), f"ipc://@jpai-test-{uuid.uuid4().hex}", {}, threading.Event()

    def ask():
        try:
            client = VlmClient(address, 5.0)
            client.wait_ready(20.0)
            (key,) = read_keys(key_file())
            while "status" not in found:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                try:
                    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
                except ConnectionRefusedError:
                    continue
                answer = connection.getresponse()
                found["models"], found["status"] = json.loads(answer.read()), answer.status
            found["metrics"] = client.metrics(5.0)
            client.close()
        finally:
            while not ended.wait(0.2):
                os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    done = jpai("serve", "--port", str(port), "--zmq", address)
    ended.set()
    asking.join(20)
    assert done.exit_code == 0, done.output
    assert (found["status"], found["models"]["data"][0]["id"]) == (200, "fake")
    assert 'jpai_http_responses_total{path="/v1/models",status="200"} 1' in found["metrics"]
    assert f"http://127.0.0.1:{port}/v1" in done.output and str(key_file()) in done.output


def test_a_key_is_made_for_each_client_and_told_once():
    key = jpai("serve", "--add-key", "laptop").output.strip()
    assert read_keys(key_file()) == {key: "laptop"}
    again = jpai("serve", "--add-key", "laptop")
    assert again.exit_code == 2 and "laptop" in again.output


@pytest.mark.parametrize(("arguments", "told"), [
    (["--host", "0.0.0.0"], "--tls-cert"), (["--tls-cert", "a.pem"], "both"), (["--zmq", "http://x"], "no address"),
    (["--zmq", "tcp://0.0.0.0:5555"], "jpai keys make server")])
def test_what_may_not_be_served_is_told(arguments, told):
    done = jpai("serve", *arguments)
    assert done.exit_code == 2 and told in done.output


def test_keys_that_others_may_read_and_a_port_that_is_taken_are_told():
    jpai("serve", "--add-key", "laptop")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = jpai("serve", "--port", str(taken.getsockname()[1]))
        assert done.exit_code == 2 and "is not served" in done.output
    with zmq.Context() as context, context.socket(zmq.ROUTER) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        done = jpai("serve", "--port", "0", "--zmq", f"tcp://127.0.0.1:{port}")
        assert done.exit_code == 2 and f"tcp://127.0.0.1:{port} is not served" in done.output
    key_file().chmod(0o644)
    done = jpai("serve")
    assert done.exit_code == 2 and "chmod 600" in done.output


def test_metrics_of_nobody_are_none():
    assert jpai("metrics", f"ipc://@jpai-test-{uuid.uuid4().hex}").exit_code == 1
    assert jpai("metrics", "http://x").exit_code == 2
