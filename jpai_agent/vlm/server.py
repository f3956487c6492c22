"""Run a model in a process of its own, at lower priority, behind a ZeroMQ socket.

One thread talks, others think (`pool`): heartbeats are answered while plans are under way. Clients take turns, each with a short
queue of its own. Whatever a request does, the server answers it with a plan or a typed error, at its deadline at the latest.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zmq

from jpai_agent.vlm import wire
from jpai_agent.vlm.backend import VlmBackend, VlmError
from jpai_agent.vlm.keys import ServerKeys, clients, stays_here
from jpai_agent.vlm.load import default_model_dir, load_backend
from jpai_agent.vlm.manifest import MANIFEST, read_manifest
from jpai_agent.vlm.pool import Job, Outcome, PlanPool, state
from jpai_agent.vlm.store import resolve
from jpai_agent.world.keys import KeyFault

log = logging.getLogger("jpai_agent.vlm.server")  # also when run with -m

NICENESS = 10
POLL_MS = 200
MOST_S = 3600.0  # that a request may be given
ROUTE = "zmq"


class VlmServer:
    """Serves one backend until `stop` is called.

    Args:
        backend: The model; or a pool that serves it already, which is neither started nor closed here.
        endpoint: ZeroMQ address to bind.
        sha256: Of the model, told in heartbeats and with each answer.
        keys: Only clients with admitted keys are let in; needed where the address can be reached from other machines.
        workers: Plans that may be under way at a time, where the model can.

    Raises ValueError for an address that needs keys and has none, or of another transport; zmq.ZMQError where it cannot be bound.
    """

    def __init__(self, backend: VlmBackend | PlanPool, endpoint: str | None = None, sha256: str = "",
                 keys: ServerKeys | None = None, workers: int = 1) -> None:
        self._keys = keys
        endpoint = endpoint or wire.default_endpoint()
        if keys is None and not stays_here(endpoint):
            raise ValueError(f"{endpoint} can be reached from other machines and is not served without keys")
        self._own = not isinstance(backend, PlanPool)
        self.pool = backend if isinstance(backend, PlanPool) else PlanPool(backend, workers, sha256=sha256)
        self.backend = self.pool.backend
        self._context = zmq.Context()
        self._doorman: zmq.Socket[bytes] = self._context.socket(zmq.REP)
        self._doorman.setsockopt(zmq.LINGER, 0)
        self._doorman.bind("inproc://zeromq.zap.01")
        self._router: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.MAXMSGSIZE, wire.REQUEST_MAX_BYTES)
        self._router.setsockopt(zmq.IPV6, int("[" in endpoint))
        if keys is not None:
            keys.put_on(self._router)
        try:
            self._router.bind(endpoint)
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise
        # with the port that a wildcard got
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        # answers come from the pool's threads: they are laid down here, and the socket's own thread is woken
        self._answers: deque[tuple[tuple[bytes, str], bytes]] = deque()
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._ring.setblocking(False)
        self._jobs: dict[tuple[bytes, str], Job] = {}
        self._stopping = threading.Event()

    def run(self, parent: int | None = None) -> None:
        """Serve. Returns after `stop`, or when the process `parent` is no longer this one's parent."""
        if self._own:
            self.pool.start()
        poller = zmq.Poller()
        for source in (self._router, self._doorman, self._bell):
            poller.register(source, zmq.POLLIN)
        try:
            while not self._stopping.is_set() and (parent is None or os.getppid() == parent):
                ready = dict(poller.poll(POLL_MS))
                if self._doorman in ready and self._keys is not None:
                    self._doorman.send_multipart(self._keys.answer(self._doorman.recv_multipart()))
                if self._bell.fileno() in ready:
                    self._bell.recv(4096)
                while self._answers:
                    key, message = self._answers.popleft()
                    self._jobs.pop(key, None)
                    self._send(key[0], message)
                if self._router in ready:
                    self._receive()
        finally:
            self._stopping.set()
            for job in list(self._jobs.values()):
                self.pool.cancel(job)
            if self._own:
                self.pool.close()
            for end in (self._router, self._doorman, self._bell, self._ring):
                end.close()
            if not self.thinking:
                self._context.term()

    @property
    def thinking(self) -> bool:
        """True while a plan is under way that nobody can call off."""
        return self._own and self.pool.thinking

    def stop(self) -> None:
        """Have `run` return."""
        self._stopping.set()

    def _receive(self) -> None:
        sender, *parts = self._router.recv_multipart(copy=False)
        peer = sender.bytes
        try:
            header, frames = wire.split(parts[0].buffer if len(parts) == 1 else b"")
        except VlmError as error:
            log.warning("dropped a message: %s", error)
            return
        identity, kind = header["id"], header.get("kind")
        if kind == "ping":
            self._send(peer, wire.dump({"id": identity, "kind": "pong", **state(self.pool)}))
        elif kind == "metrics":
            self._send(peer, wire.dump({"id": identity, "kind": "metrics", "text": self.pool.metrics.text()}))
        elif kind == "cancel":
            if (job := self._jobs.pop((peer, identity), None)) is not None:
                self.pool.cancel(job)
            self._send(peer, wire.dump({"id": identity, "kind": "cancelled"}))
        else:
            self._take(peer, _who(parts[0], peer), header, frames)

    def _take(self, peer: bytes, client: str, header: dict[str, Any], frames: list[memoryview]) -> None:
        identity, kind, budget_s = header["id"], header.get("kind"), header.get("budget_s")
        key = peer, identity
        try:
            if kind != "plan" or not isinstance(budget_s, (int, float)) or not abs(budget_s) < MOST_S:
                raise VlmError("bad_request", f"kind {kind!r:.50}, budget_s {budget_s!r:.50}")
            if key in self._jobs:
                raise VlmError("bad_request", f"id {identity!r:.80} is that of a request under way")
            body = header.get("request")
            self._jobs[key] = self.pool.submit(
                client, lambda: wire.unpack_request(body, frames), budget_s, lambda outcome: self._done(key, outcome),
                route=ROUTE, size_bytes=sum(map(len, frames)))
        except VlmError as error:
            self._send(peer, _error(identity, error))

    def _done(self, key: tuple[bytes, str], outcome: Outcome) -> None:
        """In a thread of the pool."""
        if isinstance(outcome, VlmError):
            message = _error(key[1], outcome)
        else:
            message = wire.dump({"id": key[1], "kind": "answer", "answer": asdict(outcome) | {"sha256": self.pool.sha256}})
        self._answers.append((key, message))
        # full: it rings already; closed: the server has ended
        with contextlib.suppress(OSError):
            self._ring.send(b"\0")

    def _send(self, peer: bytes, message: bytes) -> None:
        try:
            self._router.send_multipart([peer, message], flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            log.warning("an answer was not sent: %s", error)


def _who(part: zmq.Frame, peer: bytes) -> str:
    """Whose turn a request takes: the name that its key was admitted under, else its connection."""
    try:
        return f"key {part.get('User-Id')}"
    except zmq.ZMQError:
        return f"connection {peer.hex()}"


def _error(identity: str, error: VlmError) -> bytes:
    return wire.dump({"id": identity, "kind": "error", "code": error.reason_code, "message": str(error)})


def server_command(model_dir: Path | str | None = None, endpoint: str | None = None, threads: int = 1,
                   workers: int = 1) -> list[str]:
    """The command line that starts a server with this interpreter; it ends when the process that started it does."""
    return [sys.executable, "-m", "jpai_agent.vlm.server", "--model", str(model_dir or default_model_dir()),
            "--endpoint", endpoint or wire.default_endpoint(), "--threads", str(threads), "--workers", str(workers),
            "--with-parent"]


def model_sha256(model: Path | str | None) -> str:
    """The sha256 in a model folder's manifest, "" where there is none. Raises VlmError for a manifest that cannot be read."""
    folder = resolve(model) if model else default_model_dir()
    return read_manifest(folder).sha256 if (folder / MANIFEST).is_file() else ""


def main(arguments: list[str] | None = None, load: Callable[..., VlmBackend] = load_backend) -> int:
    """Serve a model folder, or what else `load` opens, until SIGINT or SIGTERM.

    Exit code 2 when the address cannot be served, or needs keys that are missing; 3 when the model cannot be used. It says why.
    """
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.vlm.server", description=__doc__)
    parser.add_argument("--model", type=Path, default=None, help="model folder (default: the embedded model)")
    parser.add_argument("--endpoint", default=wire.default_endpoint(), help="ZeroMQ address to bind")
    parser.add_argument("--secure", action="store_true", help="with keys also where only this machine reaches the address")
    parser.add_argument("--state", type=Path, default=None, help="folder with the keys (default: this user's)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model")
    parser.add_argument("--workers", type=int, default=1, help="plans under way at a time, for several robots; one a core")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parent = os.getppid() if options.with_parent else None
    folder = options.model or default_model_dir()
    try:
        keys = ServerKeys.read(options.state) if options.secure or not stays_here(options.endpoint) else None
    except (ValueError, KeyFault) as error:
        log.error("%s is not served: %s", options.endpoint, error)
        return 2
    if keys is not None and not clients(options.state):
        log.warning("nobody is admitted yet: jpai keys allow CLIENT.pub")
    os.nice(NICENESS)
    try:
        backend = load(folder, threads=options.threads)
        sha256 = model_sha256(folder)
    except VlmError as error:
        log.error("%s", error)
        return 3
    try:
        server = VlmServer(backend, options.endpoint, sha256, keys, options.workers)
    except zmq.ZMQError as error:
        log.error("%s is not served: %s", options.endpoint, error)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    log.info("%s serves at %s%s", backend.name, server.endpoint, "" if keys is None else ", with keys")
    server.run(parent)
    if server.thinking:
        # a hung model would keep the interpreter from ending
        logging.shutdown()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
