"""Keys are made once, read by their user alone, and never taken for another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from jpai_agent.world.keys import KeyFault, keys_dir, private_key, public_hex, read_public

KINDS = {"signs": (Ed25519PrivateKey, Ed25519PublicKey), "encrypts": (X25519PrivateKey, X25519PublicKey)}


@pytest.mark.parametrize(("kind", "public"), KINDS.values(), ids=KINDS)
def test_a_key_is_made_once_with_its_public_half_beside_it(tmp_path: Path, kind, public) -> None:
    made = private_key("one", kind, tmp_path)
    file = keys_dir(tmp_path) / "one.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_public(file.with_suffix(".pub"), public) == public_hex(made)
    assert public_hex(private_key("one", kind, tmp_path)) == public_hex(made)


def test_a_key_that_must_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match=r"one\.key"):
        private_key("one", X25519PrivateKey, tmp_path, make=False)
    assert not keys_dir(tmp_path).exists()


def test_a_key_that_others_may_read_and_one_of_another_kind_are_none(tmp_path: Path) -> None:
    private_key("one", Ed25519PrivateKey, tmp_path)
    with pytest.raises(KeyFault, match="X25519"):
        private_key("one", X25519PrivateKey, tmp_path)
    (keys_dir(tmp_path) / "one.key").chmod(0o644)
    with pytest.raises(KeyFault, match="chmod 600"):
        private_key("one", Ed25519PrivateKey, tmp_path)


@pytest.mark.parametrize("text", ["", "00", "A" * 64, "g" * 64, "ü" * 64])
def test_what_is_no_public_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.pub").write_text(text, encoding="utf-8")
    with pytest.raises(KeyFault, match=r"x\.pub"):
        read_public(tmp_path / "x.pub", X25519PublicKey)
