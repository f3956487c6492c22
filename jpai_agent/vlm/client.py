"""Ask the model server for plans, by a deadline: a hung, killed or lying server costs that, and one answer's memory."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from jpai_agent.vlm import wire
from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.keys import CLIENTS, SERVER, ClientKeys, stays_here
from jpai_agent.world.keys import KeyFault

CANCEL_MS = 50  # that a server may take to answer a cancellation
ASK_AGAIN_S = 0.02  # between attempts to reach a server that is not there yet
_REFUSALS: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: f"does not admit this client's key (its keys/{CLIENTS}/ lacks it)",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: f"hung up: it does not hold the key of keys/{SERVER}.pub, or wants keys and got none",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "speaks otherwise: keys are used at one end alone, or it is no model server",
}
_ENDS = zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED


class VlmClient:
    """A backend that lives in another process. Calls from several threads take turns.

    Args:
        endpoint: ZeroMQ address of the server.
        timeout_s: Longest that `plan` takes.
        state: Folder with the keys; by default the user's.
        secure: With keys; always so where the address reaches beyond this machine.

    Raises ValueError for an address of another transport.
    """

    def __init__(self, endpoint: str | None = None, timeout_s: float = 3.0, *, state: Path | None = None,
                 secure: bool = False) -> None:
        self.endpoint = endpoint or wire.default_endpoint()
        self.timeout_s = timeout_s
        self.name = "server"
        self.secure = secure or not stays_here(self.endpoint)
        self._state = state
        self._context = zmq.Context()
        self._connection: _Connection | None = None
        self._turn = threading.Lock()
        self._call = _Call()

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The server's answer.

        Raises:
            VlmError: model_unavailable when nobody takes the request, keys are missing or refused, or what comes back is no
                answer; model_timeout when no answer comes in time, model_busy when the server's queue is full, or the
                backend's own error.
        """
        request.check()
        body, frames = wire.pack_request(request)
        return wire.unpack_answer(self._ask({"kind": "plan", "request": body}, frames, self.timeout_s))

    def warm(self, request: PlanRequest) -> None:
        """Have the server plan once."""
        self.plan(request)

    def cancel(self) -> None:
        """Call off the request under way, if any, from any thread: `plan` raises model_timeout, the server leaves off."""
        self._call.off()

    def metrics(self, timeout_s: float = 0.5) -> str:
        """The server's metrics in Prometheus' text format. Raises VlmError as `heartbeat` does."""
        return wire.unpack_metrics(self._ask({"kind": "metrics"}, [], timeout_s))

    def heartbeat(self, timeout_s: float = 0.5) -> Mapping[str, Any]:
        """The server's state: model, sha256, queue (requests waiting), working_s (age of the one under way, else 0).

        Raises:
            VlmError: model_unavailable or model_timeout when the server does not answer in time.
        """
        state = wire.unpack_pong(self._ask({"kind": "ping"}, [], timeout_s))
        self.name = state["model"]
        return state

    def wait_ready(self, timeout_s: float = 30.0) -> Mapping[str, Any]:
        """The first heartbeat of a server that is starting. Raises VlmError when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.heartbeat(min(0.5, max(0.01, deadline - time.monotonic())))
            except VlmError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(ASK_AGAIN_S)

    def close(self) -> None:
        """Let go of the server."""
        with self._turn:
            self._drop()
            self._context.term()
            self._call.close()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, header: dict[str, Any], frames: list[bytes], timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            raise VlmError("model_busy", f"another request held the client for {timeout_s:.1f} s")
        try:
            self._call.begin()
            connection = self._reach(deadline)
            identity = uuid.uuid4().hex
            connection.send(wire.join({**header, "id": identity, "budget_s": deadline - time.monotonic()}, frames))
            while (data := connection.receive(deadline)) is not None:
                answer = wire.load(data)
                # an answer to a request that was given up long ago is let go
                if answer["id"] == identity:
                    return answer
            # nobody need make what nobody waits for
            with contextlib.suppress(zmq.Again):
                connection.tell(wire.join({"id": identity, "kind": "cancel"}, []), CANCEL_MS)
            raise VlmError("model_timeout", "called off" if self._call.called_off
                           else f"no answer from {self.endpoint} within {timeout_s:.1f} s")
        except VlmError as error:
            self._drop()
            if error.reason_code == "bad_request":
                raise VlmError("model_unavailable", f"the model server sent garbage: {error}") from error
            raise
        except (zmq.ZMQError, OSError) as error:
            self._drop()
            raise VlmError("model_unavailable", f"model server at {self.endpoint}: {error}") from error
        finally:
            self._turn.release()

    def _reach(self, deadline: float) -> _Connection:
        """A connection that takes a request now: the one there is, or another one as soon as somebody is there."""
        while True:
            if self._connection is None:
                try:
                    keys = ClientKeys.read(self._state) if self.secure else None
                except KeyFault as error:
                    raise VlmError("model_unavailable", f"{self.endpoint} is asked with keys alone: {error}") from error
                self._connection = _Connection(self._context, self.endpoint, keys, self._call)
            if self._connection.takes(deadline):
                return self._connection
            self._drop()
            if self._call.called_off:
                raise VlmError("model_timeout", "called off")
            if time.monotonic() + ASK_AGAIN_S >= deadline:
                raise VlmError("model_unavailable", f"no model server at {self.endpoint}")
            time.sleep(ASK_AGAIN_S)


class _Call:
    """Whether the request under way was called off; `bell` can be read once it was."""

    def __init__(self) -> None:
        self.called_off = False
        self._lock = threading.Lock()
        self.bell, self._ring = socket.socketpair()

    def begin(self) -> None:
        """Another request is under way."""
        with self._lock:
            if self.called_off:
                self.bell.recv(1)
            self.called_off = False

    def close(self) -> None:
        """Nobody asks any more."""
        with self._lock:
            self.called_off = True
            self.bell.close()
            self._ring.close()

    def off(self) -> None:
        """From any thread."""
        with self._lock:
            if not self.called_off:
                self.called_off = True
                self._ring.send(b"\0")


class _Connection:
    """One connection to a server; once it has ended it is not mended."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: ClientKeys | None, call: _Call) -> None:
        self._endpoint, self._call = endpoint, call
        self._socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a server that is not there
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        # of what comes no more is kept than this, and only the last part, however many parts a message has
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.ANSWER_MAX_BYTES)
        self._socket.setsockopt(zmq.CONFLATE, 1)
        if keys is not None:
            keys.put_on(self._socket)
        self._news = self._socket.get_monitor_socket(_ENDS | sum(_REFUSALS))
        self._ended = False
        self._socket.connect(endpoint)

    def takes(self, deadline: float) -> bool:
        """Wait until a request can be sent; False when nobody is there. Raises VlmError when somebody refuses."""
        return self._wait(zmq.POLLOUT, deadline)

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._socket.send(message, flags=zmq.DONTWAIT)

    def tell(self, message: bytes, within_ms: int) -> None:
        """Send a last message, and wait so long for its answer: `close` may drop what has not gone out (CONFLATE)."""
        self.send(message)
        self._socket.poll(within_ms)

    def receive(self, deadline: float) -> bytes | None:
        """The next message; None when none comes in time. Raises VlmError when none can come any more."""
        if not self._wait(zmq.POLLIN, deadline):
            if self._ended:
                raise VlmError("model_unavailable", f"the model server at {self._endpoint} hung up, or its answer is larger "
                                                    f"than {wire.ANSWER_MAX_BYTES} bytes")
            return None
        data = self._socket.recv(flags=zmq.DONTWAIT)
        if self._socket.getsockopt(zmq.RCVMORE):
            raise VlmError("bad_request", "a message in several parts")
        return data

    def close(self) -> None:
        """End it."""
        self._socket.disable_monitor()
        self._news.close(linger=0)
        self._socket.close()

    def _wait(self, flag: int, deadline: float) -> bool:
        poller = zmq.Poller()
        poller.register(self._socket, flag)
        poller.register(self._news, zmq.POLLIN)
        poller.register(self._call.bell, zmq.POLLIN)
        while True:
            left_ms = max(0, int(1000 * (deadline - time.monotonic())))
            ready = dict(poller.poll(0 if self._ended else left_ms))
            if self._news in ready:
                self._follow()
            if self._socket in ready and not (self._ended and flag == zmq.POLLOUT):
                return True
            if self._ended or not left_ms or self._call.called_off:
                return False

    def _follow(self) -> None:
        while self._news.poll(0):
            event = recv_monitor_message(self._news)["event"]
            if event in _REFUSALS:
                raise VlmError("model_unavailable", f"the model server at {self._endpoint} {_REFUSALS[event]}")
            self._ended = True
