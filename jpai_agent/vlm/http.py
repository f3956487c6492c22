"""The project's only HTTP client: reaches the endpoints of the policy, by their names, and nothing else.

Callers name an endpoint, never an address. Before the first byte leaves, also before a name is looked up, the audit log has on
disk what goes where. Only the pinned authority is believed; redirects are errors, proxies and authorities of the environment
are not looked at, and a deadline covers all of an exchange, from the record to the answer's last byte, however it drips. An
exchange has a connection of its own: nothing of an earlier one is left in it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2
import httpx2

from jpai_agent.vlm.hosts import loopback
from jpai_agent.vlm.policy import Endpoint, Policy, PolicyError

log = logging.getLogger(__name__)

ANSWER_MAX_BYTES = 1 << 20
TOLD_BYTES = 2048  # of an answer that is an error
KINDS = ("policy", "unrecorded", "unreachable", "certificate", "timeout", "cancelled", "too_large", "redirect", "status",
         "garbled")

Note = Callable[..., "Future[None]"]  # AuditWriter.note


class HttpError(RuntimeError):
    """An exchange did not succeed. `kind` is one of KINDS; `status` and `retry_after_s` are known where the server gave them."""

    def __init__(self, kind: str, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.status, self.retry_after_s = kind, status, retry_after_s


class Call:
    """One exchange: its deadline (monotonic seconds), the bytes of HTTP both ways (without those of TLS), and its end."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline = time.monotonic() + deadline_s
        self.sent_bytes = self.received_bytes = 0
        self.connected = False
        self.cancelled = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Call it off, from any thread: the server sees the connection end."""
        with self._lock:
            self.cancelled = True
            if self._socket is not None:
                with suppress(OSError):
                    # of the bare socket: an SSLSocket would go on in the clear
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def left_s(self) -> float:
        """Seconds left. Raises HttpError when there are none, or it was called off."""
        if self.cancelled:
            raise HttpError("cancelled", "called off")
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise HttpError("timeout", "the deadline has passed")
        return left

    def hold(self, sock: socket.socket) -> None:
        """The socket that it uses from now on."""
        with self._lock:
            self._socket = sock
        self.left_s()


class HttpClient:
    """Asks the endpoints of a policy.

    Args:
        note: Writes a record to the audit log (`AuditWriter.note`); its future is done when it is on disk.
    """

    def __init__(self, policy: Policy, note: Note) -> None:
        self.policy = policy
        self._note = note

    @contextmanager
    def post(self, name: str, path: str, body: bytes, classes: Mapping[str, int], call: Call) -> Iterator[httpx2.Response]:
        """Send a JSON body to a path of an endpoint; the answer, of status 200, is read within the `with`.

        Args:
            name: Of the endpoint. path: behind its base_url, "/chat/completions".
            classes: Bytes of the body by data class (policy.DATA_CLASSES); what they leave is form.
            call: Its deadline; may be cancelled.

        Raises:
            HttpError: also while the answer is read.
        """
        outcome = "ok"
        try:
            endpoint, key = self._admitted(name, path, body, classes)
            about = {"endpoint": name, "operator": endpoint.operator, "country": endpoint.country, "host": endpoint.host,
                     "port": endpoint.port, "model": endpoint.model}
        except (HttpError, PolicyError) as error:
            raise HttpError("policy", f"{name}: {error}") from error
        begin = time.monotonic()
        written = self._note("send", **about, path=path, body_bytes=len(body), sha256=hashlib.sha256(body).hexdigest(),
                             classes=dict(classes) | {"form": len(body) - sum(classes.values())})
        try:
            _recorded(written, call)
            yield from self._exchange(endpoint, path, body, key, call)
        except HttpError as error:
            outcome = error.kind if error.status is None else f"{error.kind} {error.status}"
            raise HttpError(error.kind, f"{name} ({endpoint.host}): {error}", error.status, error.retry_after_s) from error
        except BaseException:
            outcome = "left"
            raise
        finally:
            self._note("sent", **about, connected=call.connected, bytes_out=call.sent_bytes, bytes_in=call.received_bytes,
                       seconds=round(time.monotonic() - begin, 3), outcome=outcome)

    def _admitted(self, name: str, path: str, body: bytes, classes: Mapping[str, int]) -> tuple[Endpoint, str | None]:
        """The endpoint, and its key, where the policy lets it have data of these classes. Raises HttpError, PolicyError."""
        endpoint = self.policy.endpoint(name)
        for kind, size in classes.items():
            # coarse frames show no faces: whoever makes them says so by the class
            if size and kind not in endpoint.allow:
                raise HttpError("policy", f"may not be sent {kind}")
        if sum(classes.values()) > len(body) or min(classes.values(), default=0) < 0:
            raise ValueError("more bytes of data classes than there are in the body")
        if not path.startswith("/") or not path.isascii() or any(c in path for c in "?#\\ \r\n") or ".." in path:
            raise HttpError("policy", f"{path!r} is no path behind a base_url")
        return endpoint, endpoint.key

    def _exchange(self, endpoint: Endpoint, path: str, body: bytes, key: str | None, call: Call) -> Iterator[httpx2.Response]:
        url = httpcore2.URL(scheme="https" if endpoint.encrypted else "http", host=endpoint.host, port=endpoint.port,
                            target=endpoint.path + path)
        headers = [("Host", _authority(endpoint)),
                   ("User-Agent", "jpai-agent"), ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                   ("Accept", "application/json, text/event-stream"), ("Accept-Encoding", "identity"), ("Connection", "close")]
        if key is not None:
            headers.append(("Authorization", f"Bearer {key}"))
        connection = httpcore2.HTTPConnection(url.origin, ssl_context=_context(endpoint) if endpoint.encrypted else None,
                                              network_backend=_Network(endpoint, call))
        try:
            answer = connection.handle_request(httpcore2.Request("POST", url, headers=headers, content=body))
            assert isinstance(answer.stream, Iterable)
            response = httpx2.Response(answer.status, headers=answer.headers, stream=_Stream(answer.stream),
                                       request=httpx2.Request("POST", "https://endpoint.invalid/"))
            _fit(response, call, key)
            yield response
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError) as error:
            call.left_s()
            kind = "unreachable" if isinstance(error, httpcore2.NetworkError) else "garbled"
            raise HttpError(kind, f"{type(error).__name__}: {error}") from error
        finally:
            with suppress(OSError, httpcore2.NetworkError):
                connection.close()


def _recorded(written: Future[None], call: Call) -> None:
    """Wait until it is on disk that something is about to leave. Raises HttpError."""
    try:
        written.result(timeout=call.left_s())
    except (NotYet, OSError) as error:
        why = str(error) or "it takes too long"
        raise HttpError("unrecorded", f"nothing is sent that is not in the audit log: {why}") from error


def _fit(response: httpx2.Response, call: Call, key: str | None) -> None:
    """Raise HttpError unless an answer is one of status 200, as it is."""
    status = response.status_code
    if 300 <= status < 400:
        where = response.headers.get("location", "")
        raise HttpError("redirect", f"status {status} to {where!r:.200}, which is not followed", status)
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise HttpError("garbled", f"its answer is packed ({response.headers['content-encoding']!r:.50}) and was not to be")
    if status != 200:
        told = b""
        with suppress(httpcore2.NetworkError, httpcore2.ProtocolError, HttpError):
            for chunk in response.iter_raw():
                told += chunk
                if len(told) >= TOLD_BYTES:
                    break
        words = told[:TOLD_BYTES].decode("utf-8", "replace")
        words = " ".join((words.replace(key, "…") if key else words).split())
        raise HttpError("status", f"status {status}: {words!r:.300}", status, _seconds(response.headers.get("retry-after")))


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else None


def _authority(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return host if endpoint.port == (443 if endpoint.encrypted else 80) else f"{host}:{endpoint.port}"


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS 1.2 or newer that believes what is pinned alone, an authority or the certificate; the environment is not read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=endpoint.ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Stream(httpx2.SyncByteStream):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


class _Network(httpcore2.NetworkBackend):
    """Connects to one endpoint, for one call."""

    def __init__(self, endpoint: Endpoint, call: Call) -> None:
        self._endpoint, self._call = endpoint, call

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
                    socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None) -> httpcore2.NetworkStream:
        """The endpoint's stream. Raises HttpError for any other host, and when nobody answers there."""
        if (host, port) != (self._endpoint.host, self._endpoint.port):
            raise HttpError("policy", f"{host}:{port} is not the endpoint")
        failed = HttpError("unreachable", "no connection: its name has no address")
        addresses = _addresses(host, port, self._call)
        for index, (family, address) in enumerate(addresses):
            if loopback(host) and not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
                raise HttpError("policy", f"{host} is {address[0]} and not this machine")
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._call.hold(sock)
                # a deaf one leaves time for those that are still to try
                sock.settimeout(self._call.left_s() / (len(addresses) - index))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._call.connected = True
                return _Bytes(sock, self._call)
            except TimeoutError:
                sock.close()
                failed = HttpError("timeout", "nobody took the connection in time")
            except OSError as error:
                sock.close()
                failed = HttpError("unreachable", f"no connection: {error.strerror or error}")
            except HttpError:
                sock.close()
                raise
        self._call.left_s()
        raise failed


class _Bytes(httpcore2.NetworkStream):
    """A socket whose every read and write keeps to the call's deadline, and is counted."""

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self._socket, self._call = sock, call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, b"" at the end. Raises HttpError."""
        with self._told("the server ended the connection"):
            self._socket.settimeout(self._call.left_s())
            data = self._socket.recv(max_bytes)
        self._call.left_s()
        self._call.received_bytes += len(data)
        if self._call.received_bytes > ANSWER_MAX_BYTES:
            raise HttpError("too_large", f"its answer is larger than {ANSWER_MAX_BYTES} bytes")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it. Raises HttpError; httpcore2.WriteError when the server takes no more, which may have answered."""
        view = memoryview(buffer)
        while view:
            try:
                self._socket.settimeout(self._call.left_s())
                size = self._socket.send(view)
            except TimeoutError as error:
                raise HttpError("timeout", "the server did not take the request in time") from error
            except OSError as error:
                self._call.left_s()
                raise httpcore2.WriteError(str(error)) from error
            self._call.sent_bytes += size
            view = view[size:]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
                  timeout: float | None = None) -> httpcore2.NetworkStream:
        """Itself over TLS. Raises HttpError("certificate") when the server is not who it should be."""
        try:
            sock = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._socket = sock
            self._call.hold(sock)
            with self._told("the TLS handshake failed"):
                sock.settimeout(self._call.left_s())
                sock.do_handshake()
        except BaseException:
            self._socket.close()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for: the TLS object and the socket."""
        return {"ssl_object": self._socket if isinstance(self._socket, ssl.SSLSocket) else None, "socket": self._socket}.get(info)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise HttpError("timeout", "the deadline has passed") from error
        except ssl.SSLCertVerificationError as error:
            raise HttpError("certificate", f"the pinned authority did not sign its certificate for that name: "
                                           f"{error.verify_message}") from error
        except OSError as error:
            self._call.left_s()
            raise HttpError("unreachable", f"{what}: {error}") from error


def _addresses(host: str, port: int, call: Call) -> list[tuple[int, Any]]:
    """(family, address) of a host, looked up by the deadline. Raises HttpError."""
    found: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.put(error)

    # nobody can call a look-up off: it is left to itself
    threading.Thread(target=look, name="jpai-lookup", daemon=True).start()
    try:
        answer = found.get(timeout=call.left_s())
    except queue.Empty as error:
        raise HttpError("timeout", f"the name {host} was not found in time") from error
    if isinstance(answer, OSError):
        raise HttpError("unreachable", f"the name {host} is not known: {answer}")
    return [(entry[0], entry[4]) for entry in answer]
