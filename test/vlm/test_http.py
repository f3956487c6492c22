"""The one HTTP client reaches the endpoints of the policy and nothing else, in time, with a record of every byte."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from endpoints import KEY, Authority, Exchange, Notes, Part, Server, entry, write_policy

from jpai_agent.record.audit import AuditLog
from jpai_agent.record.audit_writer import AuditWriter
from jpai_agent.vlm.http import Call, HttpClient, HttpError
from jpai_agent.vlm.policy import load_policy

_reached: list[tuple[str, Any]] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _reached is not None and event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        _reached.append((event, arguments[1] if event == "socket.connect" else arguments[0]))


sys.addaudithook(_hook)


@pytest.fixture
def reached() -> Iterator[list[tuple[str, Any]]]:
    """What this process connects to and looks up, however it does so."""
    global _reached
    _reached = []
    yield _reached
    _reached = None


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPAI_TEST_KEY", KEY)


class Office:
    """A client with one endpoint, `office`."""

    def __init__(self, folder: Path, url: str, notes: Any = None, **change: Any) -> None:
        self.notes = notes or Notes()
        self.client = HttpClient(load_policy(write_policy(folder, {"office": entry(url, **change)})), self.notes)

    def ask(self, body: bytes = b"{}", classes: Mapping[str, int] | None = None, within_s: float = 20.0,
            call: Call | None = None) -> bytes:
        """The answer's body."""
        with self.client.post("office", "/chat/completions", body, classes or {}, call or Call(within_s)) as response:
            return response.read()


def url(server: Server, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}/v1"


def answers(exchange: Exchange) -> None:
    exchange.reply('{"well":true}')


def test_a_request_goes_to_the_endpoint_with_its_key_and_nothing_that_tells_more(tmp_path: Path, reached: list[Any]) -> None:
    with Server(answers) as server:
        assert Office(tmp_path, url(server)).ask(b'{"a":1}') == b'{"well":true}'
    head = server.seen[0].head.decode().split("\r\n")
    assert head[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in head[1:]} == {
        "host", "user-agent", "content-type", "content-length", "accept", "accept-encoding", "connection", "authorization"}
    assert f"Authorization: Bearer {KEY}" in head and server.seen[0].body == b'{"a":1}'
    assert {where for event, where in reached if event == "socket.connect"} == {("127.0.0.1", server.port)}


def test_with_the_pinned_authority_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Server(answers, authority.server()) as server:
        assert Office(tmp_path, url(server, "https"), ca_file="ca.pem").ask() == b'{"well":true}'


def test_the_servers_own_certificate_may_be_what_is_pinned(tmp_path: Path) -> None:
    shown = Authority(tmp_path).server()
    pem = (tmp_path / "server.pem").read_text("ascii")
    (tmp_path / "own.pem").write_text(pem[pem.index("-----BEGIN CERTIFICATE"):], "ascii")
    with Server(answers, shown) as server:
        assert Office(tmp_path, url(server, "https"), ca_file="own.pem").ask() == b'{"well":true}'


@pytest.mark.parametrize(("shown", "told"), [
    (lambda folder: Authority(folder, "other").server(), "authority"),
    (lambda folder: Authority(folder).server("elsewhere.example"), "name")])
def test_a_server_with_another_certificate_gets_neither_key_nor_body(
        shown: Callable[[Path], Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if told == "authority":
        Authority(tmp_path)
    with Server(answers, shown(tmp_path)) as server:
        # an authority that the environment believes in is none
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
        office = Office(tmp_path, url(server, "https"), ca_file="ca.pem")
        with pytest.raises(HttpError, match="pinned authority") as caught:
            office.ask()
    assert caught.value.kind == "certificate" and not server.seen
    assert office.notes.of("sent")[0]["bytes_out"] == 0


def test_a_name_that_is_not_in_the_policy_is_not_even_looked_up(tmp_path: Path, reached: list[Any]) -> None:
    office = Office(tmp_path, "http://127.0.0.1:9/v1")
    for name in ("elsewhere", "https://elsewhere.example", "office.example"):
        with pytest.raises(HttpError) as caught, office.client.post(name, "/chat/completions", b"{}", {}, Call(1.0)):
            pass
        assert caught.value.kind == "policy"
    for path in ("/../x", "https://elsewhere.example", "@elsewhere.example", "/a?b", "/a\r\nHost: b"):
        with pytest.raises(HttpError), office.client.post("office", path, b"{}", {}, Call(1.0)):
            pass
    assert not reached and not office.notes.records


def test_data_of_a_class_that_is_not_allowed_does_not_leave(tmp_path: Path, reached: list[Any]) -> None:
    office = Office(tmp_path, "http://127.0.0.1:9/v1", allow=["text", "frames"])
    for kind in ("maps", "faces"):
        with pytest.raises(HttpError, match=f"may not be sent {kind}") as caught:
            office.ask(b"{secret}", {kind: 6})
        assert caught.value.kind == "policy"
    assert not reached and not office.notes.records


def test_without_its_key_nothing_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: list[Any]) -> None:
    monkeypatch.delenv("JPAI_TEST_KEY")
    with pytest.raises(HttpError, match="JPAI_TEST_KEY") as caught:
        Office(tmp_path, "http://127.0.0.1:9/v1").ask()
    assert caught.value.kind == "policy" and not reached


def test_proxies_and_files_of_the_environment_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answers) as proxy, Server(answers) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
        Office(tmp_path, url(server), key_env=None).ask()
    assert proxy.taken == 0 and b"authorization" not in server.seen[0].head.lower()


def test_a_redirect_is_an_error_and_is_not_followed(tmp_path: Path) -> None:
    with Server(answers) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere.port}/v1/chat/completions\r\n"
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            with (Server(lambda exchange, status=status: exchange.reply("", status, headers=to)) as server,
                  pytest.raises(HttpError, match="not followed") as caught):
                Office(tmp_path, url(server)).ask()
            assert caught.value.kind == "redirect"
    assert elsewhere.taken == 0


def test_an_error_of_the_server_is_told_without_the_key(tmp_path: Path) -> None:
    with (Server(lambda exchange: exchange.reply(f"Incorrect key {KEY}, model not found", "401 Unauthorized")) as server,
          pytest.raises(HttpError, match="model not found") as caught):
        Office(tmp_path, url(server)).ask()
    assert (caught.value.kind, caught.value.status) == ("status", 401)
    assert KEY not in str(caught.value)


def test_a_server_says_when_to_come_again(tmp_path: Path) -> None:
    with (Server(lambda exchange: exchange.reply("", "429 Too Many Requests", headers="Retry-After: 7\r\n")) as server,
          pytest.raises(HttpError) as caught):
        Office(tmp_path, url(server)).ask()
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)


def silent(exchange: Exchange) -> None:
    exchange.stay()


def dripping(exchange: Exchange) -> None:
    exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    drip(exchange, b" ")


def dripping_headers(exchange: Exchange) -> None:
    exchange.send("HTTP/1.1 200 OK\r\nX-Long: ")
    drip(exchange, b"a")


def forever_informing(exchange: Exchange) -> None:
    drip(exchange, b"HTTP/1.1 102 Processing\r\n\r\n")


def drip(exchange: Exchange, piece: bytes) -> None:
    # much faster than the deadline, so that no single wait is long, until the client goes
    try:
        while not exchange.gone.wait(0.01):
            exchange.send(piece)
    except OSError:
        exchange.gone.set()


@pytest.mark.parametrize("part", [silent, dripping, dripping_headers, forever_informing])
def test_the_deadline_covers_all_of_an_exchange(part: Part, tmp_path: Path) -> None:
    with Server(part) as server:
        with pytest.raises(HttpError) as caught:
            Office(tmp_path, url(server)).ask(within_s=0.3)
        assert server.gone.wait(20.0)
    assert caught.value.kind == "timeout"


def test_a_tls_handshake_that_hangs_ends_by_the_deadline(tmp_path: Path) -> None:
    Authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        office = Office(tmp_path, f"https://127.0.0.1:{listener.getsockname()[1]}/v1", ca_file="ca.pem")
        with pytest.raises(HttpError) as caught:
            office.ask(within_s=0.2)
    assert caught.value.kind == "timeout" and office.notes.of("sent")[0]["bytes_out"] == 0


def test_a_look_up_that_hangs_ends_by_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Authority(tmp_path)
    ends = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ends.wait(5.0) and [])
    with pytest.raises(HttpError, match="not found in time") as caught:
        Office(tmp_path, "https://llm.example.internal/v1", ca_file="ca.pem").ask(within_s=0.2)
    ends.set()
    assert caught.value.kind == "timeout"


def test_a_name_of_this_machine_that_leads_elsewhere_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))])
    with pytest.raises(HttpError, match="not this machine"):
        Office(tmp_path, "http://localhost/v1").ask(within_s=0.5)


def test_a_deaf_address_leaves_time_for_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(*hosts: str) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.port)) for host in hosts]

    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            if address[0] == "127.0.0.2":
                waited.append(self.gettimeout())
                raise TimeoutError("timed out")
            super().connect(address)

    waited: list[float | None] = []
    monkeypatch.setattr(socket, "socket", Socket)
    with Server(answers) as server:
        office = Office(tmp_path, f"http://localhost:{server.port}/v1")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: at("127.0.0.2", "127.0.0.1"))
        assert office.ask(within_s=20.0) == b'{"well":true}'
        assert waited[0] is not None and 5.0 < waited[0] <= 10.0
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: at("127.0.0.2", "127.0.0.2"))
        with pytest.raises(HttpError, match="nobody took the connection") as caught:
            office.ask()
    assert caught.value.kind == "timeout"


def test_nobody_there_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(HttpError, match="refused") as caught:
        Office(tmp_path, f"http://127.0.0.1:{port}/v1").ask()
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("head", ["Content-Length: 99999999", "Transfer-Encoding: chunked", "Connection: close"])
def test_an_answer_without_end_is_not_read_to_it(head: str, tmp_path: Path) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n\r\n")
        piece = b"a" * 65536
        while True:
            exchange.send(b"10000\r\n" + piece + b"\r\n" if "chunked" in head else piece)

    with Server(endless) as server, pytest.raises(HttpError) as caught:
        Office(tmp_path, url(server)).ask()
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(("answer", "kind"), [
    (b"", "garbled"), (b"220 mail.example ESMTP\r\n", "garbled"), (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "garbled"),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", "garbled"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "garbled"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000 + b"\r\n", "garbled"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "garbled")])
def test_an_answer_that_is_none_is_an_error(answer: bytes, kind: str, tmp_path: Path) -> None:
    with Server(lambda exchange: exchange.send(answer)) as server, pytest.raises(HttpError) as caught:
        Office(tmp_path, url(server)).ask()
    assert caught.value.kind == kind


def test_an_exchange_is_called_off_from_another_thread(tmp_path: Path) -> None:
    call = Call(20.0)

    def part(exchange: Exchange) -> None:
        call.cancel()
        exchange.stay()

    with Server(part) as server:
        with pytest.raises(HttpError) as caught:
            Office(tmp_path, url(server)).ask(call=call)
        assert server.gone.wait(20.0)
    assert caught.value.kind == "cancelled"


def test_every_byte_out_is_in_the_audit_log_before_it_leaves_and_counted_after(tmp_path: Path) -> None:
    writer = AuditWriter(AuditLog("test", tmp_path / "audit.jsonl"))
    noted: list[tuple[str, Mapping[str, Any]]] = []

    def note(kind: str, **data: Any) -> Any:
        noted.append((kind, data))
        return writer.note(kind, **data)

    before: list[bool] = []

    def part(exchange: Exchange) -> None:
        before.append('"kind":"send"' in (tmp_path / "audit.jsonl").read_text("utf-8"))
        exchange.reply("{}")

    with Server(part) as server:
        Office(tmp_path, url(server), note).ask(b'{"text":"abc"}', {"text": 3})
        writer.close()
    wire = len(server.seen[0].head) + 4 + len(server.seen[0].body)
    (first, send), (last, sent) = noted
    assert (first, last, before) == ("send", "sent", [True])
    assert (send["endpoint"], send["country"], send["body_bytes"]) == ("office", "JP", 14)
    assert send["classes"] == {"text": 3, "form": 11}
    assert (sent["bytes_out"], sent["outcome"]) == (wire, "ok") and sent["bytes_in"] > 0
    log = (tmp_path / "audit.jsonl").read_text("utf-8")
    assert KEY not in log and '"kind":"sent"' in log


def test_what_cannot_be_recorded_does_not_leave(tmp_path: Path, reached: list[Any]) -> None:
    office = Office(tmp_path, "http://127.0.0.1:9/v1", Notes(full=True))
    with pytest.raises(HttpError, match="no space left") as caught:
        office.ask()
    assert caught.value.kind == "unrecorded" and not reached


def test_a_reader_who_leaves_early_ends_the_exchange(tmp_path: Path) -> None:
    with Server(dripping) as server:
        office = Office(tmp_path, url(server))
        with pytest.raises(ZeroDivisionError), office.client.post("office", "/chat/completions", b"{}", {}, Call(5.0)):
            raise ZeroDivisionError
        assert server.gone.wait(20.0)
    assert [record["outcome"] for record in office.notes.of("sent")] == ["left"]
