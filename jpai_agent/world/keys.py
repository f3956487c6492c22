"""This user's keys on this machine: files of the state folder that only the user reads, each with its public half beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from jpai_agent.world.paths import state_dir

PrivateKey = Ed25519PrivateKey | X25519PrivateKey
PublicKey = Ed25519PublicKey | X25519PublicKey
K = TypeVar("K", Ed25519PrivateKey, X25519PrivateKey)

_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


class KeyFault(OSError):
    """A key cannot be read or made, or others than the user may read it; the message names the file."""


def keys_dir(folder: Path | None = None) -> Path:
    """Where keys lie in a state folder, by default the user's."""
    return (folder or state_dir()) / "keys"


def private_key(name: str, kind: type[K], folder: Path | None = None, *, make: bool = True) -> K:
    """The private key `keys/NAME.key` (PKCS 8, PEM, mode 0600), made where there is none; the public one beside it as NAME.pub.

    Args:
        kind: Ed25519PrivateKey (signs) or X25519PrivateKey (encrypts). folder: of the state; by default `state_dir()`.
        make: False: it must be there.

    Raises:
        KeyFault: It cannot be read or made, or its mode lets others read it.
    """
    path = keys_dir(folder) / f"{name}.key"
    try:
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(path, kind)
        if path.stat().st_mode & 0o077:
            raise KeyFault(f"others may read the private key {path}: chmod 600 it, or remove it to have another made")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except KeyFault:
        raise
    except (OSError, ValueError) as error:
        raise KeyFault(f"no private key {path}: {error}") from error
    if not isinstance(key, kind):
        raise KeyFault(f"{path} is no {kind.__name__.removesuffix('PrivateKey')} key")
    return key


def _make(path: Path, kind: type[PrivateKey]) -> None:
    key = kind.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    half = path.with_name(f"{path.name}.{os.getpid()}")
    file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, pem)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        # of several processes that begin at once the first one's key stays
        os.link(half, path)
    except FileExistsError:
        return
    finally:
        half.unlink()
    path.with_suffix(".pub").write_text(public_hex(key) + "\n", encoding="ascii")


def public_hex(key: PrivateKey | PublicKey) -> str:
    """The public key as 64 hex digits."""
    public = key.public_key() if isinstance(key, PrivateKey) else key
    return public.public_bytes(*_RAW).hex()


def read_public(path: Path, kind: type[PublicKey] = Ed25519PublicKey) -> str:
    """A public key file's 64 hex digits. Raises KeyFault naming what is wrong."""
    try:
        text = path.read_text(encoding="ascii").strip()
        if public_hex(kind.from_public_bytes(bytes.fromhex(text))) != text:
            raise ValueError("it is not written as 64 lower-case hex digits")
    except (OSError, ValueError) as error:
        raise KeyFault(f"{path} is no public key: {error}") from error
    return text
