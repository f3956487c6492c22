"""Ed25519 keys that sign what this machine records and certifies: made on first use, kept where only the user reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jpai_agent.world.keys import KeyFault, keys_dir, private_key, public_hex, read_public

__all__ = ["KeyFault", "genuine", "own_public", "public_hex", "read_public", "signing_key", "trusted"]


def signing_key(name: str, folder: Path | None = None) -> Ed25519PrivateKey:
    """The user's private key `keys/NAME.key`, made on first use; the public one beside it as NAME.pub.

    Args:
        name: "audit" or "certificate". folder: of the state; by default `state_dir()`.

    Raises:
        KeyFault: It cannot be read or made, or its mode lets others read it.
    """
    return private_key(name, Ed25519PrivateKey, folder)  # type: ignore[type-abstract]


def own_public(name: str, folder: Path | None = None) -> str:
    """The public half of the user's own key, made where there is none yet. Raises KeyFault."""
    return public_hex(signing_key(name, folder))


def trusted(folder: Path | None = None) -> Mapping[str, str]:
    """Public keys whose certificates are believed, to where each comes from: the user's own, and `keys/trusted/*.pub`."""
    keys = keys_dir(folder)
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
