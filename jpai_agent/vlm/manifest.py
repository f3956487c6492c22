"""The manifest of a model folder: what the model is, the sha256 of each file. An altered model does not start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jpai_agent.vlm.backend import VlmError

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What a model folder says about itself.

    Attributes:
        name: Of the model. version: as in 0.1.0. license: SPDX id.
        model_type: As in transformers. bits: weights are stored and run in so many. parameters: how many there are.
        files: sha256 by path within the folder, the manifest itself left out.
        card: More for people: training data, seeds, figures, limits.
    """

    name: str
    version: str
    license: str
    model_type: str
    bits: int
    parameters: int
    files: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """One hash for the whole model: of its files' hashes by name."""
        text = "\n".join(f"{digest}  {name}" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: Path, name: str, version: str, *, license_id: str, model_type: str, bits: int,
                   parameters: int, card: Mapping[str, Any]) -> Manifest:
    """Hash every file of `folder` and write its manifest."""
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*"))
             if path.is_file() and path.name != MANIFEST}
    manifest = Manifest(name, version, license_id, model_type, bits, parameters, files, dict(card))
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder, files unchecked. Raises VlmError naming what is missing or wrong."""
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VlmError("model_missing", f"no model in {folder}: {MANIFEST} cannot be read ({error})") from error
    except ValueError as error:
        raise VlmError("model_altered", f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise VlmError("model_altered", f"{path} is not of format {FORMAT}")
    try:
        manifest = Manifest(**data)
    except TypeError as error:
        raise VlmError("model_altered", f"{path}: {error}") from error
    for name, digest in manifest.files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts or not isinstance(digest, str):
            raise VlmError("model_altered", f"{path} names {name!r}, which is not a file of the folder")
    return manifest


def verify(folder: Path) -> Manifest:
    """The manifest of a model folder, every file checked against it.

    Raises:
        VlmError: model_missing or model_altered, naming the first file that is missing, changed or not listed.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise VlmError("model_missing", f"model file {path} is missing")
        if (found := file_sha256(path)) != digest:
            raise VlmError("model_altered", f"model file {path} was altered: sha256 {found[:12]}…, "
                                            f"the manifest says {digest[:12]}…")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST and path.relative_to(folder).as_posix() not in manifest.files:
            raise VlmError("model_altered", f"model file {path} is not in the manifest")
    return manifest


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
