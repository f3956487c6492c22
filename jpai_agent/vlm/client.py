"""Ask the model server for plans, by a deadline: a hung, killed or lying server costs no more than that."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import zmq

from jpai_agent.vlm import wire
from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError


class VlmClient:
    """A backend that lives in another process. Calls from several threads take turns.

    Args:
        endpoint: ZeroMQ address of the server.
        timeout_s: Longest that `plan` takes.
    """

    def __init__(self, endpoint: str | None = None, timeout_s: float = 3.0) -> None:
        self.endpoint = endpoint or wire.default_endpoint()
        self.timeout_s = timeout_s
        self.name = "server"
        self._context = zmq.Context()
        self._socket = self._connect()
        self._turn = threading.Lock()

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The server's answer.

        Raises:
            VlmError: model_unavailable when nobody takes the request or what comes back is no answer, model_timeout
                when no answer comes in time, model_busy when the server's queue is full, or the backend's own error.
        """
        request.check()
        body, frames = wire.pack_request(request)
        return wire.unpack_answer(self._ask({"kind": "plan", "request": body}, frames, self.timeout_s))

    def warm(self, request: PlanRequest) -> None:
        """Have the server plan once."""
        self.plan(request)

    def heartbeat(self, timeout_s: float = 0.5) -> Mapping[str, Any]:
        """The server's state: model, sha256, queue (requests waiting), working_s (age of the one under way, else 0).

        Raises:
            VlmError: model_unavailable or model_timeout when the server does not answer in time.
        """
        header = self._ask({"kind": "ping"}, [], timeout_s)
        if header.get("kind") != "pong" or not isinstance(header.get("model"), str):
            raise VlmError("model_unavailable", "the model server's heartbeat is none")
        self.name = header["model"]
        return header

    def wait_ready(self, timeout_s: float = 30.0) -> Mapping[str, Any]:
        """The first heartbeat of a server that is starting. Raises VlmError when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.heartbeat(min(0.5, max(0.01, deadline - time.monotonic())))
            except VlmError:
                if time.monotonic() >= deadline:
                    raise

    def close(self) -> None:
        """Let go of the socket."""
        with self._turn:
            self._socket.close(linger=0)
            self._context.term()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a server that is not there
        socket.setsockopt(zmq.SNDHWM, 4)
        socket.setsockopt(zmq.RCVHWM, 16)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.ANSWER_MAX_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.connect(self.endpoint)
        return socket

    def _ask(self, header: dict[str, Any], frames: list[bytes], timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            raise VlmError("model_busy", f"another request held the client for {timeout_s:.1f} s")
        try:
            identity = uuid.uuid4().hex
            message = [wire.dump({**header, "id": identity, "budget_s": deadline - time.monotonic()}), *frames]
            if not self._socket.poll(_left_ms(deadline), zmq.POLLOUT):
                raise VlmError("model_unavailable", f"no model server at {self.endpoint}")
            self._socket.send_multipart(message, flags=zmq.DONTWAIT)
            while self._socket.poll(_left_ms(deadline), zmq.POLLIN):
                parts = self._socket.recv_multipart(flags=zmq.DONTWAIT)
                try:
                    answer = wire.load(parts[0] if len(parts) == 1 else b"")
                except VlmError as error:
                    raise VlmError("model_unavailable", f"the model server sent garbage: {error}") from error
                # an answer to a request that was given up long ago is let go
                if answer["id"] == identity:
                    return answer
                if time.monotonic() >= deadline:
                    break
            raise VlmError("model_timeout", f"no answer from {self.endpoint} within {timeout_s:.1f} s")
        except zmq.ZMQError as error:
            raise VlmError("model_unavailable", f"model server at {self.endpoint}: {error}") from error
        finally:
            self._turn.release()


def _left_ms(deadline: float) -> int:
    return max(0, int(1000 * (deadline - time.monotonic())))
