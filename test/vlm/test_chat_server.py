"""Anybody with a key and a client of the OpenAI kind gets plans; whatever else they send gets an error object."""

import base64
import http.client
import io
import json
import os
import ssl
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from chatting import ASK, FRAME, Held, Serving, chat, serving, url
from endpoints import Authority
from PIL import Image

from jpai_agent.vlm import Exchange, VlmError
from jpai_agent.vlm import chat_server as module
from jpai_agent.vlm.bearer import BearerKeys, add_key, read_keys
from jpai_agent.vlm.chat_request import default_places
from jpai_agent.vlm.chat_server import BODY_MAX_BYTES, Address, ChatServer
from jpai_agent.vlm.pool import PlanPool
from jpai_agent.vlm.prompt import OPENING
from jpai_agent.world.keys import KeyFault


@pytest.fixture(scope="module")
def backend():
    return Held()


@pytest.fixture(scope="module")
def server(backend, tmp_path_factory):
    with serving(backend, tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(backend):
    backend.seen.clear()
    backend.begun.clear()
    backend.error = None


def test_a_chat_message_with_an_image_gets_a_plan(server: Serving, backend: Held):
    status, answer = server.ask(chat("　赤い箱まで、２メートル\n行って"))
    assert status == 200
    assert answer["choices"][0] == {"index": 0, "message": {"role": "assistant", "content": ASK}, "finish_reason": "stop",
                                    "logprobs": None}
    assert answer["usage"] == {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320}
    assert (answer["object"], answer["model"], answer["jpai"]["confidence"]) == ("chat.completion", "fake", 0.875)
    (seen,) = backend.seen
    assert (seen.images["front"] == FRAME).all()
    assert (seen.instruction, seen.robot, seen.speed_mps, seen.running) == ("赤い箱まで、2メートル 行って", "cart", 0.0, "")
    assert seen.places == default_places("cart") and "dock" in seen.places


def test_a_stream_is_events_that_add_up_to_the_plan(server: Serving):
    status, said = server.ask(chat(stream=True, stream_options={"include_usage": True}))
    events = [event.removeprefix("data: ") for event in said.split("\n\n") if event]
    assert (status, events[-1]) == (200, "[DONE]")
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["usage"]["total_tokens"] == 320 and chunks[-1]["choices"] == []
    deltas = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert deltas[0]["delta"]["role"] == "assistant" and deltas[-1]["finish_reason"] == "stop"
    assert "".join(each["delta"].get("content", "") for each in deltas) == ASK
    assert len(deltas) > 3


def test_earlier_turns_are_the_dialogue_and_the_last_image_is_what_is_seen(server: Serving, backend: Held):
    later = np.flip(FRAME, axis=0)
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": [{"type": "text", "text": "箱まで"}, {"type": "image_url", "image_url": {"url": url()}}]},
        {"role": "assistant", "content": ASK},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url(later)}},
                                     {"type": "text", "text": "待って"}]},
        {"role": "user", "content": "赤いほう"},
    ]
    assert server.ask({"model": "fake", "messages": turns})[0] == 200
    (seen,) = backend.seen
    assert seen.dialogue == (Exchange("箱まで", ASK), Exchange("待って"))
    assert seen.instruction == "赤いほう" and (seen.images["front"] == later).all()


def test_the_state_that_comes_along_is_the_robots(server: Serving, backend: Held):
    state = {"robot": "car", "speed_mps": 3.25, "running": "drive", "places": {"park": ["公園", "広場"]},
             "cameras": ["tele", "front"]}
    assert server.ask(chat("次", url(), url(np.flip(FRAME, 1)), jpai=state))[0] == 200
    (seen,) = backend.seen
    assert (seen.robot, seen.speed_mps, seen.running, seen.places) == ("car", 3.25, "drive", {"park": ("公園", "広場")})
    assert list(seen.images) == ["tele", "front"] and (seen.images["tele"] == FRAME).all()


def test_a_schema_is_honoured_where_it_is_that_of_plans_and_else_refused(server: Serving):
    _, schema = server.ask(None, "/v1/plan_schema?robot=cart", "GET")

    def asked(schema):
        wanted = {"type": "json_schema", "json_schema": {"name": "plan", "strict": True, "schema": schema}}
        return server.ask(chat(response_format=wanted))

    assert asked(schema)[0] == 200
    status, answer = asked({"type": "object", "properties": {"answer": {"type": "string"}}})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unsupported_schema", "response_format")
    assert server.ask(chat(response_format={"type": "json_object"}))[0] == 200
    assert server.ask(None, "/v1/plan_schema?robot=submarine", "GET")[0] == 400
    assert server.ask(None, "/v1/plan_schema?images=x", "GET")[0] == 400


def test_models_health_and_metrics(server: Serving):
    status, models = server.ask(None, "/v1/models", "GET")
    assert (status, [model["id"] for model in models["data"]]) == (200, ["fake"])
    assert server.ask(None, "/v1/models/fake", "GET")[1]["object"] == "model"
    assert server.ask(None, "/v1/models/gpt", "GET")[0] == 404
    server.ask(chat())
    status, text = server.ask(None, "/metrics", "GET")
    assert status == 200 and 'jpai_requests_total{outcome="answered",route="http"}' in text
    assert 'jpai_http_responses_total{path="/v1/chat/completions",status="200"}' in text
    status, health = server.ask(None, "/health", "GET", key="none")
    assert (status, health["status"]) == (200, "ok")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dGVzdGVyOng=", "Bearer \xff"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/metrics"])
def test_without_a_key_there_is_nothing(server: Serving, backend: Held, authorization: str, path: str):
    method = "POST" if path.endswith("completions") else "GET"
    status, answer = server.ask(chat() if method == "POST" else None, path, method, Authorization=authorization)
    assert (status, answer["error"]["code"], backend.seen) == (401, "invalid_api_key", [])


def png_head(width: int, height: int) -> str:
    """A PNG that says it is so large, and has no pixels."""
    def chunk(body: bytes) -> bytes:
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT")
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def said(*turns: dict) -> dict:
    return {"model": "fake", "messages": list(turns)}


BAD = {
    "no JSON": (b"{", 400, "bad_json"),
    "no UTF-8": (b'{"model":"\xff"}', 400, "bad_json"),
    "no object": ([], 400, "bad_json"),
    "deep": (b"[" * 100_000, 400, "bad_json"),
    "half a character": (chat("\ud800"), 400, "bad_json"),
    "nothing": ({}, 400, "bad_request"),
    "another model": (chat() | {"model": "gpt-4o"}, 404, "model_not_found"),
    "no messages": (said(), 400, "bad_request"),
    "messages of another kind": ({"model": "fake", "messages": {"role": "user"}}, 400, "bad_request"),
    "another role": (said({"role": "tool", "content": "x"}), 400, "bad_request"),
    "the assistant last": (said({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}), 400, "bad_request"),
    "no image": (said({"role": "user", "content": "行って"}), 400, "image_missing"),
    "no words": (chat("  "), 400, "empty"),
    "too many words": (chat("あ" * 5000), 400, "too_long"),
    "an image elsewhere": (chat("x", "http://127.0.0.1:1/a.png"), 400, "image_url"),
    "an image on the disk": (chat("x", "file:///etc/passwd"), 400, "image_url"),
    "another kind of data": (chat("x", "data:text/html;base64,AAAA"), 400, "image_url"),
    "no base64": (chat("x", "data:image/png;base64,!!!"), 400, "image_encoding"),
    "no image in it": (chat("x", "data:image/png;base64,AAAA"), 400, "image_encoding"),
    "half an image": (chat("x", url()[:400]), 400, "image_encoding"),
    "a large image": (chat("x", png_head(5000, 5000)), 400, "image_size"),
    "a huge image": (chat("x", png_head(60_000, 60_000)), 400, "image_size"),
    "a tiny image": (chat("x", url(FRAME[:8, :8])), 400, "image_size"),
    "a dark image": (chat("x", url(np.zeros_like(FRAME))), 400, "image_black"),
    "more images than cameras": (chat("x", *[url()] * 8), 400, "too_many_images"),
    "far more images": (chat("x", *[url()] * 9), 400, "too_many_images"),
    "several answers": (chat(n=2), 400, "bad_request"),
    "tools": (chat(tools=[{"type": "function"}]), 400, "not_offered"),
    "hot": (chat(temperature=3), 400, "bad_request"),
    "cut off": (chat(max_tokens=5), 400, "max_tokens"),
    "another robot": (chat(jpai={"robot": "submarine"}), 400, "unknown_robot"),
    "another skill": (chat(jpai={"running": "fly"}), 400, "bad_request"),
    "cameras of others": (chat(jpai={"cameras": ["front", "tele"]}), 400, "bad_request"),
    "a state that is none": (chat(jpai={"speed": 1}), 400, "bad_request"),
    "no speed": (b'{"model":"fake","messages":[{"role":"user","content":"x"}],"jpai":{"speed_mps":NaN}}', 400, "bad_request"),
    "our own client, its state forgotten": (said({"role": "system", "content": f"{OPENING}car」"}, chat()["messages"][0]), 400,
                                            "state_missing"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_planned_is_told_and_nothing_else(server: Serving, bad: str):
    body, status, code = BAD[bad]
    found, answer = server.ask(body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert answer["error"]["type"] == "invalid_request_error" and answer["error"]["message"]


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/chat/completions", 405), ("POST", "/v1/completions", 404), ("GET", "/", 404),
    ("GET", "/v1/../../etc/passwd", 404)])
def test_other_paths_are_none(server: Serving, method: str, path: str, status: int):
    assert server.ask(None, path, method)[0] == status


def test_a_body_that_is_too_large_is_refused_before_it_is_kept(server: Serving, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAIN_S", 0.1)
    with server.connect() as bare:
        bare.sendall(server.head(BODY_MAX_BYTES + 1))
        bare.sendall(b" " * 1000)
        assert bare.recv(12) == b"HTTP/1.1 413"
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with server.connect() as bare:
        bare.sendall(server.head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        for _ in range((BODY_MAX_BYTES >> 20) + 1):
            bare.sendall(chunk)
        bare.sendall(b"0\r\n\r\n")
        assert bare.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(("code", "status"), [
    ("model_timeout", 504), ("model_busy", 503), ("model_unavailable", 500), ("plan_error", 500), ("too_long", 400)])
def test_the_models_own_errors_have_their_statuses(server: Serving, backend: Held, code: str, status: int):
    backend.error = VlmError(code, "because")
    for stream in (False, True):
        found, answer = server.ask(chat(stream=stream))
        assert (found, answer["error"]["code"]) == (status, code)
        assert "because" in answer["error"]["message"]
    backend.error = ZeroDivisionError()
    assert server.ask(chat())[0] == 500


def test_a_model_that_hangs_costs_the_deadline(tmp_path: Path):
    backend = Held()
    backend.release.clear()
    with serving(backend, tmp_path) as server:
        status, answer = server.ask(chat(jpai={"budget_s": 0.1}))
        assert (status, answer["error"]["code"]) == (504, "model_timeout")
        assert server.ask(None, "/health", "GET")[1]["working_s"] > 0
        backend.release.set()
        assert server.ask(chat())[0] == 200


def test_a_client_that_hangs_up_while_it_waits_has_called_its_request_off(tmp_path: Path):
    backend = Held()
    backend.release.clear()
    with serving(backend, tmp_path) as server:
        metrics = server.server.pool.metrics
        for stream in (False, True):
            body = json.dumps(chat(stream=stream)).encode()
            with server.connect() as bare:
                bare.sendall(server.head(len(body)) + body)
                assert backend.begun.wait(10)
            before = metrics.value("requests_total", outcome="cancelled")
            while metrics.value("requests_total", outcome="cancelled") == before == stream:
                pass
        backend.release.set()
        assert server.ask(chat())[0] == 200


def test_a_client_that_hangs_up_in_the_middle_of_a_stream_harms_nobody(server: Serving):
    body = json.dumps(chat(stream=True)).encode()
    for _ in range(3):
        with server.connect() as bare:
            bare.sendall(server.head(len(body)) + body)
            assert bare.recv(20).startswith(b"HTTP/1.1 200")
            # closed with unread data: the server's next byte meets a reset
    assert server.ask(chat(stream=True))[0] == 200


def test_a_client_that_drips_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("HEAD_S", "BODY_S", "DRAIN_S"):
        monkeypatch.setattr(module, name, 0.1)
    with serving(Held(), tmp_path) as server:
        for begun in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: "):
            with server.connect() as bare:
                bare.sendall(begun)
                assert bare.recv(100) == b""
        with server.connect() as bare:
            bare.sendall(server.head(1000) + b"{")
            assert bare.recv(12) == b"HTTP/1.1 408"
            while bare.recv(4096):
                pass
        with server.connect() as bare:
            bare.sendall(server.head(1000).replace(server.key.encode(), b"wrong") + b"{")
            assert bare.recv(12) == b"HTTP/1.1 401"
        # one after the other on one connection is no drip
        connection = http.client.HTTPConnection("127.0.0.1", server.server.port, timeout=20)
        for _ in range(3):
            connection.request("POST", "/v1/chat/completions", json.dumps(chat()), {"Authorization": f"Bearer {server.key}"})
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200
        connection.close()


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"A" * 100_000])
def test_what_is_no_http_is_answered_or_let_go(server: Serving, junk: bytes):
    with server.connect() as bare:
        bare.sendall(junk)
        bare.shutdown(1)
        assert bare.recv(12) in (b"HTTP/1.1 400", b"")
    assert server.ask(chat())[0] == 200


def test_a_key_whose_line_is_removed_is_admitted_no_more(tmp_path: Path):
    with serving(Held(), tmp_path) as server:
        other = add_key("robot-7", server.file)
        os.utime(server.file, ns=(1, 1))
        assert server.ask(None, "/v1/models", "GET", key=other)[0] == 200
        server.file.write_text("".join(line for line in server.file.read_text().splitlines(True) if "robot-7" not in line))
        os.utime(server.file, ns=(2, 2))
        assert server.ask(None, "/v1/models", "GET", key=other)[0] == 401
        assert server.ask(None, "/v1/models", "GET")[0] == 200
        server.file.unlink()
        assert server.ask(None, "/v1/models", "GET")[0] == 401


def test_keys_are_the_users_own(tmp_path: Path):
    file = tmp_path / "keys" / "serve.keys"
    key = add_key("local", file)
    assert (file.stat().st_mode & 0o777, read_keys(file)) == (0o600, {key: "local"})
    for name in ("local", "two words", ""):
        with pytest.raises(KeyFault):
            add_key(name, file)
    file.chmod(0o640)
    with pytest.raises(KeyFault, match="chmod 600"):
        BearerKeys(file)
    file.chmod(0o600)
    file.write_text("local short\n")
    with pytest.raises(KeyFault, match="line 1"):
        BearerKeys(file)
    with pytest.raises(KeyFault, match="no key file"):
        BearerKeys(tmp_path / "none")


def test_beyond_this_machine_it_is_tls_or_somebody_has_said_so(tmp_path: Path):
    with pytest.raises(ValueError, match="--tls-cert"):
        Address("0.0.0.0").check()
    with pytest.raises(ValueError, match="both"):
        Address(certificate=tmp_path).check()
    Address("0.0.0.0", unencrypted=True).check()
    Address("::1").check()
    file = tmp_path / "serve.keys"
    add_key("x", file)
    missing = tmp_path / "no.pem"
    with pytest.raises(OSError, match=r"no\.pem|No such file"):
        ChatServer(PlanPool(Held()), BearerKeys(file), Address(port=0, certificate=missing, key=missing))


def test_over_tls_it_is_what_its_certificate_says(tmp_path: Path):
    authority = Authority(tmp_path)
    authority.server()
    file = tmp_path / "server.pem"
    with serving(Held(), tmp_path, address=Address(port=0, certificate=file, key=file)) as server:
        assert server.server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(authority.file))
        with server.connect() as bare, context.wrap_socket(bare, server_hostname="127.0.0.1") as safe:
            safe.sendall(f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode())
            assert safe.recv(12) == b"HTTP/1.1 200"
        with server.connect() as bare:
            bare.sendall(server.head(0))
            assert not bare.recv(100).startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_kinds_of_images_are_read_upright(server: Serving, backend: Held, kind: str):
    assert server.ask(chat("x", url(kind=kind)))[0] == 200
    assert backend.seen[0].images["front"].shape == FRAME.shape
    if kind == "jpeg":
        data, turned = io.BytesIO(), Image.Exif()
        turned[0x0112] = 6
        Image.fromarray(FRAME).save(data, "jpeg", exif=turned)
        assert server.ask(chat("x", f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"))[0] == 200
        assert backend.seen[1].images["front"].shape == (FRAME.shape[1], FRAME.shape[0], 3)
