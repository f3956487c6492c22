"""Ed25519 keys of this user on this machine: made on first use, kept where only the user reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jpai_agent.world.paths import state_dir

_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


class KeyFault(OSError):
    """A key cannot be read or made, or others than the user may read it; the message names the file."""


def signing_key(name: str, folder: Path | None = None) -> Ed25519PrivateKey:
    """The user's private key `keys/NAME.key` (PKCS 8, PEM, mode 0600), made on first use; the public one beside it as NAME.pub.

    Args:
        name: "audit" or "certificate". folder: of the state; by default `state_dir()`.

    Raises:
        KeyFault: It cannot be read or made, or its mode lets others read it.
    """
    keys = (folder or state_dir()) / "keys"
    path = keys / f"{name}.key"
    try:
        if not path.exists():
            keys.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(path)
        if path.stat().st_mode & 0o077:
            raise KeyFault(f"others may read the private key {path}: chmod 600 it, or remove it to have another made")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except KeyFault:
        raise
    except (OSError, ValueError) as error:
        raise KeyFault(f"no private key {path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFault(f"{path} is no Ed25519 key")
    return key


def _make(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
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


def public_hex(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The public key as 64 hex digits."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(*_RAW).hex()


def read_public(path: Path) -> str:
    """A public key file's 64 hex digits. Raises KeyFault naming what is wrong."""
    try:
        text = path.read_text(encoding="ascii").strip()
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except (OSError, ValueError) as error:
        raise KeyFault(f"{path} is no public key: {error}") from error
    return text


def own_public(name: str, folder: Path | None = None) -> str:
    """The public half of the user's own key, made where there is none yet. Raises KeyFault."""
    return public_hex(signing_key(name, folder))


def trusted(folder: Path | None = None) -> Mapping[str, str]:
    """Public keys whose certificates are believed, to where each comes from: the user's own, and `keys/trusted/*.pub`."""
    keys = (folder or state_dir()) / "keys"
    own = keys / "certificate.key"
    found = {own_public("certificate", folder): str(own)} if own.exists() else {}
    return found | {read_public(path): str(path) for path in sorted((keys / "trusted").glob("*.pub"))}


def genuine(public: str, signature: str, signed: bytes) -> bool:
    """The signature (hex) over these bytes was made with the private half of this public key (hex)."""
    try:
        raw = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(raw, signed)
    except (InvalidSignature, ValueError):
        return False
    # there is one way to write it
    return raw.hex() == signature
