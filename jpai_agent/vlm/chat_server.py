"""Serve a model over HTTP as OpenAI-compatible servers do: `/v1/chat/completions`, `/v1/models`, `/health`, `/metrics`.

The same pool of workers that plans for robots plans here: what is answered is a plan, held to the plan language by the decoding
grammar, or an error object. Nothing is fetched and nothing is sent anywhere but to the client that asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from jpai_agent.vlm.backend import PlanAnswer, VlmError
from jpai_agent.vlm.bearer import BearerKeys
from jpai_agent.vlm.chat_request import ChatError, ChatRequest, plan_schema, read_chat
from jpai_agent.vlm.hosts import loopback
from jpai_agent.vlm.metrics import CONTENT_TYPE
from jpai_agent.vlm.pool import Job, Outcome, PlanPool

log = logging.getLogger(__name__)

ROUTE = "http"
BODY_MAX_BYTES = 16 << 20
DRAIN_MAX_BYTES = 64 << 20  # of a body that is refused: read, so that the client gets to the answer, and forgotten
HEAD_S, BODY_S, DRAIN_S = 10.0, 15.0, 3.0  # that a client may take for the head, the body, the rest of a refused one
CONNECTIONS_MAX = 128
PIECE_CHARS = 24  # of a streamed answer
_STATUS = {"model_timeout": 504, "model_busy": 503} | dict.fromkeys(
    ("empty", "too_long", "image_missing", "image_size", "image_encoding", "image_black", "bad_request"), 400)


@dataclass(frozen=True)
class Address:
    """Where it listens. certificate, key: PEM files for TLS; without them it is http, beyond this machine if `unencrypted`."""

    host: str = "127.0.0.1"
    port: int = 8008
    certificate: Path | None = None
    key: Path | None = None
    unencrypted: bool = False

    def check(self) -> None:
        """Raise ValueError for an address that is not to be served so."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs both, the certificate and its key")
        if self.certificate is None and not loopback(self.host) and not self.unencrypted:
            raise ValueError(f"{self.host} can be reached from other machines, and frames and keys would go in the clear: give "
                             "--tls-cert and --tls-key, or --unencrypted where something else encrypts")


class ChatServer:
    """Serves a pool, which is started and ended by its owner, until `stop` is called.

    Args:
        keys: Who may ask. robot: who is meant where a request does not say. deadline_s: longest that a request may take.

    Raises ValueError for an address that is not to be served so; OSError where it, or TLS, cannot be.
    """

    def __init__(self, pool: PlanPool, keys: BearerKeys, address: Address | None = None, *, robot: str = "cart",
                 deadline_s: float = 10.0) -> None:
        address = address or Address()
        address.check()
        self.pool, self._keys, self._robot, self._deadline_s = pool, keys, robot, deadline_s
        self._began = int(time.time())
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        certificate, key = (str(file) if file else None for file in (address.certificate, address.key))
        config = uvicorn.Config(
            self._app(), http=_Patient, ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS_MAX, timeout_graceful_shutdown=2,
            ssl_certfile=certificate, ssl_keyfile=key)
        config.load()
        self._socket = socket.create_server((address.host, address.port), family=family, backlog=CONNECTIONS_MAX)
        # with the port that 0 got
        self.port = int(self._socket.getsockname()[1])
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}"
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve; in the main thread until SIGINT or SIGTERM, too."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Have `run` return."""
        self._server.should_exit = True

    def _app(self) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._answered(self._chat), methods=["POST"]),
            Route("/v1/models", self._answered(self._models), methods=["GET"]),
            Route("/v1/models/{name:path}", self._answered(self._model), methods=["GET"]),
            Route("/v1/plan_schema", self._answered(self._schema), methods=["GET"]),
            Route("/metrics", self._answered(self._metrics), methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._astray})

    def _answered(self, answer: Callable[[Request, str], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a route: for admitted clients alone, every error as an error object, every answer counted."""
        async def handle(request: Request) -> Response:
            try:
                client = self._keys.client(request.headers.get("authorization", ""))
                if client is None:
                    raise ChatError(401, "invalid_api_key", "this needs the header  Authorization: Bearer KEY  with a key of the "
                                                            "server's key file")
                response = await answer(request, client)
            except ChatError as error:
                response = await _refused(request, error)
            except ClientDisconnect:
                response = Response(status_code=499)
            self._counted(request, response.status_code)
            return response
        return handle

    async def _astray(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        self.pool.metrics.count("http_responses_total", path="other", status=str(status))
        wrong = (405, "method_not_allowed") if status == 405 else (404, "not_found")
        return await _refused(request, ChatError(*wrong, f"there is no {request.method} {request.url.path:.100}"))

    def _counted(self, request: Request, status: int) -> None:
        path = request.scope["path"] if request.scope["path"] in ("/v1/chat/completions", "/v1/models", "/metrics") else "other"
        self.pool.metrics.count("http_responses_total", path=path, status=str(status))

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "working_s": round(self.pool.working_s, 3), "queue": self.pool.queued})

    async def _metrics(self, request: Request, client: str) -> Response:
        return PlainTextResponse(self.pool.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _models(self, request: Request, client: str) -> Response:
        return JSONResponse({"object": "list", "data": [self._card]})

    async def _model(self, request: Request, client: str) -> Response:
        if (name := request.path_params["name"]) != self.pool.backend.name:
            raise ChatError(404, "model_not_found", f"the model {name!r:.80} is not served here", "model")
        return JSONResponse(self._card)

    @property
    def _card(self) -> dict[str, Any]:
        return {"id": self.pool.backend.name, "object": "model", "created": self._began, "owned_by": "jpai"}

    async def _schema(self, request: Request, client: str) -> Response:
        images = request.query_params.get("images", "1")
        if images not in tuple("12345678"):
            raise ChatError(400, "bad_request", "images: how many images are sent, 1 to 8", "images")
        return JSONResponse(plan_schema(request.query_params.get("robot", self._robot), int(images)))

    async def _chat(self, request: Request, client: str) -> Response:
        data = await _body(request)
        chat = await anyio.to_thread.run_sync(read_chat, data, self.pool.backend.name, self._robot)
        answer = await self._plan(request, client, chat, len(data))
        if chat.max_tokens is not None and answer.answer_tokens > chat.max_tokens:
            raise ChatError(400, "max_tokens", f"the plan has {answer.answer_tokens} tokens; cut off at {chat.max_tokens} it "
                                               "would be none", "max_tokens")
        about: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": chat.model}
        usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.answer_tokens,
                 "total_tokens": answer.prompt_tokens + answer.answer_tokens}
        own = {"confidence": answer.confidence, "probability": answer.probability,
               "decision_probability": answer.decision_probability, "timings_ms": dict(answer.timings_ms)}
        if chat.stream:
            return StreamingResponse(_stream(answer.text, about, usage if chat.include_usage else None, own),
                                     media_type="text/event-stream", headers={"cache-control": "no-store"})
        choice = {"index": 0, "message": {"role": "assistant", "content": answer.text}, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**about, "object": "chat.completion", "choices": [choice], "usage": usage, "jpai": own})

    async def _plan(self, request: Request, client: str, chat: ChatRequest, size_bytes: int) -> PlanAnswer:
        """The plan; a client that hangs up meanwhile has called it off. Raises ChatError, ClientDisconnect."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()

        def take(found: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(found)

        def done(found: Outcome) -> None:
            # the loop may have ended
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(take, found)

        budget_s = min(self._deadline_s, chat.budget_s or self._deadline_s)
        try:
            job = self.pool.submit(f"bearer {client}", chat.make, budget_s, done, route=ROUTE, size_bytes=size_bytes)
        except VlmError as error:
            raise _told(error) from error
        found = await self._either(request, job, outcome)
        if isinstance(found, VlmError):
            raise _told(found) from found
        return found

    async def _either(self, request: Request, job: Job, outcome: asyncio.Future[Outcome]) -> Outcome:
        gone = asyncio.ensure_future(_gone(request))
        either: set[asyncio.Future[Any]] = {outcome, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not outcome.done():
                raise ClientDisconnect
            return outcome.result()
        finally:
            gone.cancel()
            if not outcome.done():
                self.pool.cancel(job)


class _Patient(H11Protocol):
    """uvicorn's protocol, which waits for ever for the rest of a request's head; this one waits HEAD_S."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or (self.cycle is not None and not self.cycle.response_complete):
            self._stop_waiting()
        elif self._head is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """The body. Raises ChatError for one that is too large, or too slow; ClientDisconnect."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > BODY_MAX_BYTES:
        raise ChatError(413, "too_large", f"the body has {announced:.20} bytes, at most {BODY_MAX_BYTES}")
    kept = bytearray()
    try:
        with anyio.fail_after(BODY_S):
            async for piece in request.stream():
                kept += piece
                if len(kept) > BODY_MAX_BYTES:
                    raise ChatError(413, "too_large", f"the body has more than {BODY_MAX_BYTES} bytes")
    except TimeoutError as error:
        raise ChatError(408, "too_slow", f"the body did not come within {BODY_S:.0f} s") from error
    request.state.read = True
    return bytes(kept)


async def _refused(request: Request, error: ChatError) -> Response:
    """The error's answer, after which the connection ends; what the client still sends is let go first, within bounds."""
    if error.status != 408 and not getattr(request.state, "read", False):
        with suppress(ClientDisconnect), anyio.move_on_after(DRAIN_S):
            let_go = 0
            more = True
            while more and let_go < DRAIN_MAX_BYTES:
                message = await request.receive()
                let_go += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    headers = {"connection": "close"}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status == 503:
        headers["retry-after"] = "1"
    return JSONResponse(error.body, error.status, headers)


def _told(error: VlmError) -> ChatError:
    return ChatError(_STATUS.get(error.reason_code, 500), error.reason_code, f"{error} ({error.reply})")


async def _stream(text: str, about: Mapping[str, Any], usage: Mapping[str, Any] | None,
                  own: Mapping[str, Any]) -> AsyncIterator[str]:
    """The events of an answer. It is whole before the first one is sent: a part of a plan is none."""
    def event(delta: Mapping[str, Any] | None, reason: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]
        body = {**about, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    yield event({"role": "assistant", "content": ""})
    for begin in range(0, len(text), PIECE_CHARS):
        yield event({"content": text[begin:begin + PIECE_CHARS]})
    yield event({}, "stop", jpai=own)
    if usage is not None:
        yield event(None, usage=usage)
    yield "data: [DONE]\n\n"
