"""Who may talk to a model server: on this machine who reaches its socket; beyond it both ends need keys (CURVE).

They lie in the state folder with the others (`world.keys`): model-server.key and .pub where a model is served, model-client.key
and .pub where it is asked. The server admits those whose public keys lie in keys/model-clients/; a client talks to no server
but the one whose public key is its keys/model-server.pub.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from zmq.utils import z85

from jpai_agent.vlm.hosts import loopback
from jpai_agent.world.keys import KeyFault, keys_dir, private_key, public_hex, read_public

log = logging.getLogger("jpai_agent.vlm.keys")

SERVER, CLIENT, CLIENTS = "model-server", "model-client", "model-clients"
ZAP_DOMAIN = b"jpai-model-server"
_TCP = re.compile(r"tcp://(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:;/]+)):(?:\d+|\*)")


def stays_here(endpoint: str) -> bool:
    """Whether a ZeroMQ address can be reached from this machine alone. What is not understood is taken to reach further.

    Raises ValueError for a transport that a model server does not have.
    """
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    if not endpoint.startswith("tcp://"):
        raise ValueError(f"{endpoint!r} is no address of a model server: ipc://… and tcp://HOST:PORT are")
    match = _TCP.fullmatch(endpoint)
    return loopback((match[1] or match[2]) if match else "")


def make_key(end: str, folder: Path | None = None) -> X25519PrivateKey:
    """The key of this machine's SERVER or CLIENT end, made where there is none.

    Raises KeyFault, also where another machine's public key lies in its place.
    """
    file = keys_dir(folder) / f"{end}.pub"
    if file.exists() and not file.with_suffix(".key").exists():
        raise KeyFault(f"{file} is another machine's: move it away before a key of that name is made here")
    return private_key(end, X25519PrivateKey, folder)  # type: ignore[type-abstract]


def _own(end: str, folder: Path | None) -> X25519PrivateKey:
    if not (keys_dir(folder) / f"{end}.key").exists():
        which = end.removeprefix("model-")
        raise KeyFault(f"no key {keys_dir(folder) / end}.key: make it with  jpai keys make {which}")
    return private_key(end, X25519PrivateKey, folder, make=False)  # type: ignore[type-abstract]


def _z85(hexadecimal: str) -> bytes:
    encoded = z85.encode(bytes.fromhex(hexadecimal))
    return encoded if isinstance(encoded, bytes) else encoded.encode()


def _secret(key: X25519PrivateKey) -> bytes:
    return _z85(key.private_bytes_raw().hex())


def clients(folder: Path | None = None) -> dict[str, str]:
    """Public keys (hex) of the clients that a server here admits, to their names; a file that is none is told of and left out."""
    found = {}
    for path in sorted((keys_dir(folder) / CLIENTS).glob("*.pub")):
        try:
            found[read_public(path, X25519PublicKey)] = path.stem
        except KeyFault as error:
            log.warning("%s", error)
    return found


@dataclass(frozen=True)
class ServerKeys:
    """A server's end. `folder`: of the state."""

    folder: Path | None
    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, folder: Path | None = None) -> ServerKeys:
        """The key of this machine's server. Raises KeyFault naming what is missing, and how it is made."""
        return cls(folder, _secret(_own(SERVER, folder)))

    def put_on(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket that is not bound yet take none but clients with keys."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        # nobody gets in where nobody answers for them
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def answer(self, request: list[bytes]) -> list[bytes]:
        """What a ZAP request (RFC 27) is answered: 200 for a client whose key is admitted now, 400 for any other."""
        version, number, domain, address, _, mechanism, *credentials = request
        public = credentials[0].hex() if credentials else ""
        name = clients(self.folder).get(public) if mechanism == b"CURVE" and domain == ZAP_DOMAIN else None
        if name is None:
            log.warning("refused %s: its key %s… is not in %s", address.decode(errors="replace"), public[:16],
                        keys_dir(self.folder) / CLIENTS)
            return [version, number, b"400", b"key not admitted", b"", b""]
        log.info("admitted %s from %s", name, address.decode(errors="replace"))
        return [version, number, b"200", b"OK", name.encode(), b""]


@dataclass(frozen=True)
class ClientKeys:
    """A client's end: its own key pair, and the public key of the only server that it talks to."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes

    @classmethod
    def read(cls, folder: Path | None = None) -> ClientKeys:
        """The key of this machine's client and the server's public one. Raises KeyFault naming what is missing."""
        key = _own(CLIENT, folder)
        file = keys_dir(folder) / f"{SERVER}.pub"
        if not file.exists():
            raise KeyFault(f"no key {file}: it is the file of that name of the machine that serves the model")
        return cls(_z85(public_hex(key)), _secret(key), _z85(read_public(file, X25519PublicKey)))

    def put_on(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket that is not connected yet use them."""
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)
