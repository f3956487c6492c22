"""A `jpai serve` of the tests: a pool and its routes in a thread, and plain ways to ask it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmBackend
from jpai_agent.vlm.bearer import BearerKeys, add_key
from jpai_agent.vlm.chat_server import Address, ChatServer
from jpai_agent.vlm.pool import PlanPool

ASK = '{"decision":"ask","steps":[],"reason":"incomplete","reply":"どこまで行きますか。"}'
FRAME = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)


class Held:
    """A backend that answers ASK, once `release` is set; `begun` tells that it has been asked."""

    name = "fake"

    def __init__(self) -> None:
        self.seen: list[PlanRequest] = []
        self.begun, self.release = threading.Event(), threading.Event()
        self.release.set()
        self.error: Exception | None = None

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """ASK, or the error."""
        request.check()
        self.seen.append(request)
        self.begun.set()
        assert self.release.wait(20)
        if self.error is not None:
            raise self.error
        return PlanAnswer(ASK, 0.875, {"total": 1.5}, 300, 20, self.name, 0.5)

    def warm(self, request: PlanRequest) -> None:
        """Nothing."""


class Serving:
    """What a test asks. `key` is admitted."""

    def __init__(self, server: ChatServer, key: str, file: Path) -> None:
        self.server, self.key, self.file = server, key, file

    def ask(self, body: Any, path: str = "/v1/chat/completions", method: str = "POST", key: str | None = None,
            **headers: str) -> tuple[int, Any]:
        """Status and body, JSON where it is; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Authorization": f"Bearer {key or self.key}", **headers})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, json.loads(said) if answer.getheader("content-type") == "application/json" else said.decode()

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=20)

    def head(self, length: int) -> bytes:
        """The head of a request with a body of so many bytes."""
        return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
                f"Content-Length: {length}\r\n\r\n").encode()


@contextlib.contextmanager
def serving(backend: VlmBackend, folder: Path, *, deadline_s: float = 20.0, address: Address | None = None) -> Iterator[Serving]:
    """A server of a model, on a port of its own."""
    file = folder / "keys" / "serve.keys"
    key = add_key("tester", file)
    pool = PlanPool(backend, 2)
    pool.start()
    server = ChatServer(pool, BearerKeys(file), address or Address(port=0), deadline_s=deadline_s)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Serving(server, key, file)
    finally:
        server.stop()
        thread.join(20)
        pool.close()
        assert not thread.is_alive()


def url(image: np.ndarray = FRAME, kind: str = "png") -> str:
    """A frame as a `data:` URL."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, kind)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def chat(text: str = "赤い箱まで行って", *images: str, **more: Any) -> dict[str, Any]:
    """A body as any client of the route sends it; with one image, FRAME, where none is given."""
    parts = [{"type": "image_url", "image_url": {"url": each}} for each in images or (url(),)]
    return {"model": "fake", "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}], **more}
