"""The user's own models: checkpoints taken in from local folders, each with a manifest of its files made on that day.

What is taken in is looked at first: it must be an image-text model that transformers runs without code of the checkpoint, with
its weights in safetensors. Nothing else of the folder is copied, and nothing is ever fetched.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from jpai_agent.vlm.backend import VlmError
from jpai_agent.vlm.families import Family, family_of, require
from jpai_agent.vlm.manifest import MANIFEST, Manifest, read_manifest, verify, write_manifest
from jpai_agent.world.paths import state_dir

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAKEN = (".json", ".jinja", ".txt", ".md", ".model", ".safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WORDS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_IMAGES = ("preprocessor_config.json", "processor_config.json")
_STORED_BITS = {"F64": 64, "F32": 32, "BF16": 16, "F16": 16, "I8": 8, "U8": 8}


@dataclass(frozen=True)
class Checkpoint:
    """What a folder was found to hold. bits: most of its weights are stored in so many."""

    folder: Path
    model_type: str
    family: Family
    parameters: int
    bits: int
    license_id: str


def models_dir() -> Path:
    """Where models that were added are kept: `models` in the user's state folder."""
    return state_dir() / "models"


def resolve(model: Path | str) -> Path:
    """The folder of a model given by path, or by the name under which it was added."""
    path = Path(model)
    if path.exists() or len(path.parts) != 1:
        return path
    added = models_dir() / path
    return added if added.is_dir() else path


def add(folder: Path, name: str = "", *, bits: int | None = None, license_id: str = "", probe: bool = True,
        base: Path | str = "") -> Manifest:
    """Take in a checkpoint: look at it, copy or quantize it, load it once, write its manifest.

    An adapter is kept as it is, to be laid over its base, which stays where it is; with `bits` the two become one model.

    Args:
        name: To call it by; the folder's own when left out.
        bits: Of the linear weights, 8 or 4; as they are when left out.
        base: Of an adapter that does not say it: the checkpoint that it belongs to, by name or folder.
        license_id: SPDX id; that of the checkpoint's README.md when left out.
        probe: Load the model and show it the probe image.

    Raises:
        VlmError: bad_request for a name that is taken or none; model_missing, model_unavailable saying what is wrong with the
            folder and what would be right. Nothing is left behind then.
    """
    from jpai_agent.vlm.adapters import base_of, find_base, is_adapter, save_merged

    adapter = is_adapter(folder)
    if base and not adapter:
        raise VlmError("bad_request", f"{folder} is a whole checkpoint: only an adapter has a base")
    said = base_of(resolve(base), Path(base).name) if base else None
    found = examine((resolve(base) if base else find_base(folder)) if adapter else folder)
    name = name or folder.resolve().name
    if not _NAME.fullmatch(name):
        raise VlmError("bad_request", f"{name!r} cannot be a model's name: letters, digits, dot, dash, underscore; give another")
    target = models_dir() / name
    if target.exists():
        raise VlmError("bad_request", f"there is a model {name} already: remove it first, or give this one another name")
    if (bits or adapter) and _quantized(found.folder):
        raise VlmError("bad_request", f"{found.folder} is quantized already: begin with the checkpoint that it was made from")
    models_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir(), prefix=".adding-") as scratch:
        made = Path(scratch) / name
        made.mkdir()
        given = folder
        if said is not None:
            given = _copy(folder, Path(scratch) / "given")
            said.write(given)
        if bits:
            from jpai_agent.vlm.quantize import store_quantized

            if adapter:
                save_merged(given, merged := Path(scratch) / "merged")
                given = merged
            store_quantized(given, made, bits)
        else:
            _copy(given, made)
        card: dict[str, Any] = {"family": found.family.name}
        if probe:
            from jpai_agent.vlm.hf_backend import HfBackend

            loaded = HfBackend(made, name=name)
            card |= {"points": loaded.codec.name, "probe": loaded.codec_found or "told nothing"}
        manifest = write_manifest(made, name, "1", license_id=license_id or found.license_id, model_type=found.model_type,
                                  bits=bits or found.bits, parameters=found.parameters, card=card)
        made.rename(target)
    return manifest


def examine(folder: Path) -> Checkpoint:
    """Look at a folder without loading it. Raises VlmError where it cannot become a model here."""
    if not folder.is_dir():
        raise VlmError("model_missing", f"no folder {folder}")
    names = {path.name for path in folder.iterdir() if path.is_file()}
    if "config.json" not in names:
        hint = "; GGUF files are for a llama.cpp server, which is asked as an endpoint" if any(
            name.endswith(".gguf") for name in names) else ""
        raise VlmError("model_missing", f"{folder} has no config.json: a checkpoint for transformers is wanted{hint}")
    config = _json(folder / "config.json")
    model_type = str(config.get("model_type", ""))
    family = _known(folder, model_type, config)
    weights = _weights(folder, names)
    for needed, what in ((_WORDS, "tokenizer"), (_IMAGES, "image processor")):
        if not names.intersection(needed):
            raise VlmError("model_missing", f"{folder} has no {what}: one of {', '.join(needed)} is missing")
    parameters, bits = _count(weights)
    return Checkpoint(folder, model_type, family, parameters, bits, _license(folder))


def installed() -> list[Manifest]:
    """The manifests of the models that were added, by name; files unchecked."""
    if not models_dir().is_dir():
        return []
    folders = sorted(path for path in models_dir().iterdir() if (path / MANIFEST).is_file())
    return [read_manifest(path) for path in folders]


def check(name: str) -> Manifest:
    """A model's manifest, every file checked against it. Raises VlmError naming the file."""
    return verify(_added(name))


def remove(name: str) -> Path:
    """Delete a model that was added. Returns its folder. Raises VlmError when there is none of that name."""
    folder = _added(name)
    shutil.rmtree(folder)
    return folder


def _added(name: str) -> Path:
    if not _NAME.fullmatch(name) or not (models_dir() / name).is_dir():
        known = ", ".join(manifest.name for manifest in installed()) or "none"
        raise VlmError("model_missing", f"no model {name} was added; there are: {known}")
    return models_dir() / name


def _known(folder: Path, model_type: str, config: Mapping[str, Any]) -> Family:
    """The family of a type that transformers runs as an image-text model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    seeing = dict(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    if model_type in seeing:
        family = family_of(model_type)
        require(family)
        return family
    if model_type in CONFIG_MAPPING_NAMES:
        raise VlmError("model_unavailable", f"{folder} holds a {model_type}, which is no image-text model: it cannot look")
    if config.get("auto_map"):
        raise VlmError("model_unavailable", f"{folder} holds a {model_type or 'model'} that runs by code of its own (auto_map), "
                                            "and code from checkpoints is never run: take one that transformers itself knows")
    import transformers

    raise VlmError("model_unavailable", f"transformers {transformers.__version__} does not know model type {model_type!r} of "
                                        f"{folder}; a newer one may")


def _weights(folder: Path, names: set[str]) -> list[Path]:
    weights = sorted(folder / name for name in names if name.endswith(".safetensors"))
    if not weights:
        pickled = sorted(name for name in names if name.endswith(_PICKLED))
        if pickled:
            raise VlmError("model_unavailable", f"{folder} has its weights in {pickled[0]} alone: pickled files can run code and "
                                                "are never read; take or make a version in safetensors")
        raise VlmError("model_missing", f"{folder} has no weights: no *.safetensors")
    index = folder / "model.safetensors.index.json"
    for name in sorted(set(_json(index).get("weight_map", {}).values())) if index.is_file() else ():
        if name not in names:
            raise VlmError("model_missing", f"model file {folder / name} is missing; {index.name} names it")
    return weights


def _count(weights: list[Path]) -> tuple[int, int]:
    """Parameters, and the bits that most of them are stored in, from the headers of safetensors."""
    by_bits: dict[int, int] = {}
    for path in weights:
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size)) if 0 < size < 100_000_000 else None
            tensors = {key: value for key, value in header.items() if key != "__metadata__"}  # type: ignore[union-attr]
            ends = max((value["data_offsets"][1] for value in tensors.values()), default=0)
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise VlmError("model_altered", f"model file {path} is no safetensors: {error}") from error
        if path.stat().st_size != 8 + size + ends:
            raise VlmError("model_altered", f"model file {path} is cut off: {path.stat().st_size} bytes of {8 + size + ends}")
        for value in tensors.values():
            bits = _STORED_BITS.get(value["dtype"], 8)
            by_bits[bits] = by_bits.get(bits, 0) + prod(value["shape"])
    return sum(by_bits.values()), max(by_bits, key=by_bits.__getitem__, default=32)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST
                  and (path.suffix in _TAKEN or path.name.upper().startswith("LICENSE")))


def _copy(folder: Path, out: Path) -> Path:
    out.mkdir(exist_ok=True)
    for path in _files(folder):
        shutil.copyfile(path, out / path.name)
    return out


def _quantized(folder: Path) -> bool:
    return "quantization_config" in _json(folder / "config.json")


def _license(folder: Path) -> str:
    """The license that a model card names in its head."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace")[:4000] if card.is_file() else ""
    named = re.search(r"^license:\s*(\S+)", head, re.MULTILINE) if head.startswith("---") else None
    return named[1] if named else "unknown"


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VlmError("model_altered", f"model file {path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise VlmError("model_altered", f"model file {path} holds no JSON object")
    return data
