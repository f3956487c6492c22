"""Run a model in a process of its own, at lower priority, behind a ZeroMQ socket.

One thread talks, one thinks: heartbeats are answered while a plan is under way. Requests wait in a short queue; one
whose deadline has passed is not begun. Whatever a request does, the server answers it with a plan or a typed error.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
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
from jpai_agent.world.keys import KeyFault

log = logging.getLogger("jpai_agent.vlm.server")  # also when run with -m

QUEUE_MAX = 4
NICENESS = 10
POLL_MS = 200
MOST_S = 3600.0  # that a request may be given
END_S = 0.5  # what a plan under way may still take when the server ends


class VlmServer:
    """Serves one backend until `stop` is called.

    Args:
        backend: The model.
        endpoint: ZeroMQ address to bind.
        sha256: Of the model, told in heartbeats.
        keys: Only clients with admitted keys are let in; needed where the address can be reached from other machines.

    Raises ValueError for an address that needs keys and has none, or of another transport; zmq.ZMQError where it cannot be bound.
    """

    def __init__(self, backend: VlmBackend, endpoint: str | None = None, sha256: str = "",
                 keys: ServerKeys | None = None) -> None:
        self.backend, self.sha256, self._keys = backend, sha256, keys
        endpoint = endpoint or wire.default_endpoint()
        if keys is None and not stays_here(endpoint):
            raise ValueError(f"{endpoint} can be reached from other machines and is not served without keys")
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
        self._done: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self._done.bind("inproc://done")
        self._jobs: queue.Queue[tuple[bytes, str, Any, list[memoryview], float] | None] = queue.Queue(QUEUE_MAX)
        self._began_s: float | None = None
        self._stopping = threading.Event()
        self._thinker = threading.Thread(target=self._think, name="vlm-thinker", daemon=True)

    def run(self, parent: int | None = None) -> None:
        """Serve. Returns after `stop`, or when the process `parent` is no longer this one's parent."""
        self._thinker.start()
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._done, zmq.POLLIN)
        poller.register(self._doorman, zmq.POLLIN)
        try:
            while not self._stopping.is_set() and (parent is None or os.getppid() == parent):
                ready = dict(poller.poll(POLL_MS))
                if self._doorman in ready and self._keys is not None:
                    self._doorman.send_multipart(self._keys.answer(self._doorman.recv_multipart()))
                if self._done in ready:
                    self._send(*self._done.recv_multipart())
                if self._router in ready:
                    self._receive()
        finally:
            self._stopping.set()
            with contextlib.suppress(queue.Full):
                self._jobs.put_nowait(None)
            self._thinker.join(END_S)
            self._router.close()
            self._done.close()
            self._doorman.close()
            if not self.thinking:
                self._context.term()

    @property
    def thinking(self) -> bool:
        """True while a plan is under way that nobody can call off."""
        return self._thinker.is_alive()

    def stop(self) -> None:
        """Have `run` return."""
        self._stopping.set()

    def _receive(self) -> None:
        peer, *parts = self._router.recv_multipart()
        try:
            header, frames = wire.split(parts[0] if len(parts) == 1 else b"")
        except VlmError as error:
            log.warning("dropped a message: %s", error)
            return
        identity, kind = header["id"], header.get("kind")
        if kind == "ping":
            working_s = 0.0 if self._began_s is None else time.monotonic() - self._began_s
            self._send(peer, wire.dump({"id": identity, "kind": "pong", "model": self.backend.name,
                                        "sha256": self.sha256, "queue": self._jobs.qsize(), "working_s": working_s}))
            return
        budget_s = header.get("budget_s")
        if kind != "plan" or not isinstance(budget_s, (int, float)) or not abs(budget_s) < MOST_S:
            self._send(peer, _error(identity, VlmError("bad_request", f"kind {kind!r:.50}, budget_s {budget_s!r:.50}")))
            return
        try:
            self._jobs.put_nowait((peer, identity, header.get("request"), frames, time.monotonic() + budget_s))
        except queue.Full:
            self._send(peer, _error(identity, VlmError("model_busy", f"{QUEUE_MAX} requests are waiting")))

    def _send(self, peer: bytes, message: bytes) -> None:
        try:
            self._router.send_multipart([peer, message], flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            log.warning("an answer was not sent: %s", error)

    def _think(self) -> None:
        done: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        done.setsockopt(zmq.LINGER, 0)
        done.connect("inproc://done")
        while (job := self._jobs.get()) is not None:
            peer, identity, body, frames, deadline = job
            self._began_s = time.monotonic()
            done.send_multipart([peer, self._answer(identity, body, frames, deadline)])
            self._began_s = None
            if self._stopping.is_set():
                break
        done.close()

    def _answer(self, identity: str, body: Any, frames: list[memoryview], deadline: float) -> bytes:
        try:
            if time.monotonic() >= deadline:
                raise VlmError("model_timeout", "the deadline passed while the request was waiting")
            answer = self.backend.plan(wire.unpack_request(body, frames))
            return wire.dump({"id": identity, "kind": "answer", "answer": asdict(answer)})
        except VlmError as error:
            return _error(identity, error)
        except Exception as error:
            log.exception("the backend failed")
            return _error(identity, VlmError("model_unavailable", f"{type(error).__name__}: {error}"))


def _error(identity: str, error: VlmError) -> bytes:
    return wire.dump({"id": identity, "kind": "error", "code": error.reason_code, "message": str(error)})


def server_command(model_dir: Path | str | None = None, endpoint: str | None = None, threads: int = 1) -> list[str]:
    """The command line that starts a server with this interpreter; it ends when the process that started it does."""
    return [sys.executable, "-m", "jpai_agent.vlm.server", "--model", str(model_dir or default_model_dir()),
            "--endpoint", endpoint or wire.default_endpoint(), "--threads", str(threads), "--with-parent"]


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
        sha256 = read_manifest(folder).sha256 if (folder / MANIFEST).is_file() else ""
    except VlmError as error:
        log.error("%s", error)
        return 3
    try:
        server = VlmServer(backend, options.endpoint, sha256, keys)
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
