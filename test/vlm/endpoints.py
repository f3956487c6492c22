"""A server on this machine that does one thing with each connection, over TLS or not, and what is needed to be let at it."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY = "sk-secret-of-this-test"
PLAN = ('{"decision":"act","steps":[{"skill":"go_to","target":{"label":"赤い箱","camera":"front","point":[255,690]}}],'
        '"reason":null}')
STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
STAYS = 20.0  # that a server waits at most for a client to go


class Exchange:
    """What a server's part is given: the request that came, and the connection."""

    def __init__(self, connection: socket.socket, head: bytes, body: bytes, gone: threading.Event) -> None:
        self.connection, self.head, self.body, self.gone = connection, head, body, gone

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, data: bytes | str) -> None:
        self.connection.sendall(data.encode() if isinstance(data, str) else data)

    def reply(self, body: bytes | str, status: str = "200 OK", kind: str = "application/json", headers: str = "") -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data)

    def stay(self) -> None:
        """Say nothing until the client has gone."""
        self.connection.settimeout(STAYS)
        try:
            while self.connection.recv(4096):
                pass
        except OSError:
            pass
        self.gone.set()


Part = Callable[[Exchange], None]


class Server:
    """Plays `part` with each connection, in a thread. `seen` has every request; `taken` counts connections."""

    def __init__(self, part: Part, tls: ssl.SSLContext | None = None) -> None:
        self._part, self._tls = part, tls
        self.seen: list[Exchange] = []
        self.taken = 0
        self.gone = threading.Event()  # a client has gone
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more connections."""
        # a listener that is only closed would go on waiting
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(STAYS)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            try:
                self._serve(connection)
            except (OSError, ssl.SSLError):
                pass  # the client has gone
            finally:
                connection.close()
                self.gone.set()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(STAYS)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := connection.recv(65536)):
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            while len(body) < size:
                body += connection.recv(65536)
            self.seen.append(Exchange(connection, head, body, self.gone))
            self._part(self.seen[-1])


def completion(text: str, reason: str = "stop") -> str:
    """A whole answer of the route."""
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}],
                       "usage": {"prompt_tokens": 1500, "completion_tokens": 60}}, ensure_ascii=False)


def pieces(text: str, reason: str = "stop") -> Iterable[str]:
    """The same as events, a few characters each."""
    for begin in range(0, len(text), 7):
        delta = {"choices": [{"delta": {"content": text[begin:begin + 7]}, "finish_reason": None}]}
        yield f"data: {json.dumps(delta, ensure_ascii=False)}\n\n"
    yield f"data: {json.dumps({'choices': [{'delta': {}, 'finish_reason': reason}]})}\n\n"
    yield f"data: {json.dumps({'choices': [], 'usage': {'prompt_tokens': 1500, 'completion_tokens': 60}})}\n\n"
    yield "data: [DONE]\n\n"


def says(text: str) -> Part:
    """A part that answers as it was asked to: whole or streamed."""
    def part(exchange: Exchange) -> None:
        if exchange.json["stream"]:
            exchange.send(STREAM + "".join(pieces(text)))
        else:
            exchange.reply(completion(text))
    return part


class Authority:
    """A certificate authority made for the test, in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False).add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str) -> ssl.SSLContext:
        """What a server of these names, or of 127.0.0.1, shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(name) for name in names] or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = self._builder(x509.Name([]), key).add_extension(x509.SubjectAlternativeName(alternatives), True).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        file = self._folder / "server.pem"
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption())
                         + made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1)))


class Notes:
    """Stands for the audit log: keeps records in memory, on disk at once, or never when it is full."""

    def __init__(self, full: bool = False) -> None:
        self.records: list[tuple[str, Mapping[str, Any]]] = []
        self._full = full

    def __call__(self, kind: str, **data: Any) -> Future[None]:
        written: Future[None] = Future()
        if self._full:
            written.set_exception(OSError("no space left"))
        else:
            self.records.append((kind, data))
            written.set_result(None)
        return written

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """The records of a kind."""
        return [data for each, data in self.records if each == kind]


def entry(base_url: str, /, **other: Any) -> dict[str, Any]:
    """An endpoint's entry; what is None is left out."""
    whole = {"operator": "試験", "country": "JP", "base_url": base_url, "key_env": "JPAI_TEST_KEY", "model": "big-ja",
             "allow": ["text", "maps", "frames", "faces"], "deadline_s": 20.0} | other
    return {key: value for key, value in whole.items() if value is not None}


def write_policy(folder: Path, endpoints: Mapping[str, Any], **other: Any) -> Path:
    """A policy file with these entries."""
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump({"endpoints": dict(endpoints)} | other, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file
