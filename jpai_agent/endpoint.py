"""The commands `jpai serve`, which offers a model over HTTP, and `jpai metrics`, which asks a model server how it does."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jpai_agent.refusal import refused

if TYPE_CHECKING:
    from jpai_agent.vlm.pool import PlanPool
    from jpai_agent.vlm.server import VlmServer

WORKERS_MAX = 8

Model = Annotated[str, typer.Option(help="Model folder, a name of jpai models, or endpoint:NAME; the embedded one when left "
                                         "out.")]
File = Annotated[Path | None, typer.Option(help="PEM file.")]


def serve(model: Model = "",
          host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need TLS.")] = "127.0.0.1",
          port: Annotated[int, typer.Option(help="Port; 0: any that is free.")] = 8008,
          workers: Annotated[int, typer.Option(help="Plans at a time, where the model can; 0: one a core.")] = 0,
          threads: Annotated[int, typer.Option(help="Threads of each plan.")] = 1,
          robot: Annotated[str, typer.Option(help="Who is meant where a request does not say.")] = "cart",
          deadline_s: Annotated[float, typer.Option(help="Longest that a request may take.")] = 10.0,
          keys: Annotated[Path | None, typer.Option(help="File with the clients' keys, NAME KEY a line, mode 0600; "
                                                         "serve.keys with the others when left out.")] = None,
          add_key: Annotated[str, typer.Option(metavar="NAME", help="Make a key for another client, print it, end.")] = "",
          tls_cert: File = None, tls_key: File = None,
          unencrypted: Annotated[bool, typer.Option(help="Without TLS beyond this machine: something else encrypts.")] = False,
          zmq: Annotated[str, typer.Option(help="Also serve robots at this ZeroMQ address; beyond this machine with keys "
                                                "(jpai keys).")] = "") -> None:
    """Offer the model over an OpenAI-compatible route, /v1/chat/completions, to clients with a key; Ctrl-C stops it."""
    from zmq import ZMQError

    from jpai_agent.outward import Accounts
    from jpai_agent.vlm import VlmError, bearer, load_backend
    from jpai_agent.vlm.chat_server import Address, ChatServer
    from jpai_agent.vlm.hosts import loopback
    from jpai_agent.vlm.pool import PlanPool
    from jpai_agent.vlm.server import NICENESS, model_sha256
    from jpai_agent.world.keys import KeyFault
    from jpai_agent.world.machine import usable_cores

    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    file = keys or bearer.key_file()
    address = Address(host, port, tls_cert, tls_key, unencrypted)
    try:
        if add_key:
            typer.echo(bearer.add_key(add_key, file))
            return
        address.check()
        if not file.exists():
            bearer.add_key(bearer.OWN, file)
        admitted = bearer.BearerKeys(file)
        robots = _robots_door(zmq)
    except (KeyFault, ValueError) as error:
        raise refused(str(error), 2) from error
    if not loopback(host) and tls_cert is None:
        typer.echo(f"jpai: {host} is served without TLS: whoever is on the way reads frames, words and keys", err=True)
    os.nice(NICENESS)
    try:
        backend = load_backend(model or None, threads=threads, note=Accounts("jpai serve"))
    except VlmError as error:
        raise refused(f"{error}\n{error.reply}", 3) from error
    pool = PlanPool(backend, workers or min(usable_cores(), WORKERS_MAX), sha256=model_sha256(model or None))
    try:
        server = ChatServer(pool, admitted, address, robot=robot, deadline_s=deadline_s)
        door = robots(pool)
    except (OSError, ValueError) as error:
        raise refused(f"{host}:{port} is not served: {error}", 2) from error
    except ZMQError as error:
        raise refused(f"{zmq} is not served: {error}", 2) from error
    # uvicorn hands on what ended it, once it has ended
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    pool.start()
    talking = threading.Thread(target=door.run, daemon=True) if door is not None else None
    if talking is not None and door is not None:
        talking.start()
        typer.echo(f"robots: {door.endpoint}", err=True)
    typer.echo(f"{backend.name}: {server.url}/v1, {pool.workers} at a time; keys: {file}", err=True)
    try:
        server.run()
    finally:
        if talking is not None and door is not None:
            door.stop()
            talking.join()
        pool.close()


def _robots_door(address: str) -> Callable[[PlanPool], VlmServer | None]:
    """What opens a model server for robots at a ZeroMQ address, or nothing where there is none. Raises KeyFault, ValueError."""
    from jpai_agent.vlm.keys import ServerKeys, stays_here
    from jpai_agent.vlm.server import VlmServer

    if not address:
        return lambda pool: None
    keys = None if stays_here(address) else ServerKeys.read()
    return lambda pool: VlmServer(pool, address, keys=keys)


def metrics(endpoint: Annotated[str, typer.Argument(metavar="[ADDRESS]", help="ZeroMQ address of the model server; this user's "
                                                                             "own when left out.")] = "") -> None:
    """Print a running model server's metrics, in Prometheus' text format. Exit code 1 when nobody answers."""
    from jpai_agent.vlm import VlmClient, VlmError

    try:
        client = VlmClient(endpoint or None)
    except ValueError as error:
        raise refused(str(error), 2) from error
    try:
        typer.echo(client.metrics(2.0), nl=False)
    except VlmError as error:
        raise refused(str(error), 1) from error
    finally:
        client.close()
