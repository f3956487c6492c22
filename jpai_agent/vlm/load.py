"""The one door to a model: a folder in, a backend out, every file checked first; or an endpoint that the policy allows."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from jpai_agent.vlm.backend import VlmBackend, VlmError
from jpai_agent.vlm.manifest import MANIFEST, verify
from jpai_agent.vlm.remote import endpoint_name, open_endpoint
from jpai_agent.vlm.store import resolve
from jpai_agent.world.paths import resource

MODEL_ENV = "JPAI_MODEL"


def default_model_dir() -> Path:
    """The embedded checkpoint, or the folder or added model that the environment variable JPAI_MODEL names."""
    given = os.environ.get(MODEL_ENV)
    return resolve(given) if given else resource("models", "embedded")


def load_backend(model_dir: Path | str | None = None, *, threads: int = 1,
                 note: Callable[..., Future[None]] | None = None) -> VlmBackend:
    """The backend for a model folder: ONNX Runtime where it holds exported graphs, else transformers.

    A folder with a manifest is checked against it. A folder without one is taken as a checkpoint of the user's own,
    from local files alone: safetensors only, no code from the checkpoint. `endpoint:NAME` is one of the policy, `endpoint:auto`
    the router over all of them and the default model.

    Args:
        note: Writes to the audit log what leaves the machine (`AuditWriter.note`); no endpoint is opened without.

    Raises:
        VlmError: model_missing or model_altered, naming the file; policy, saying what is in the way.
    """
    if (endpoint := endpoint_name(model_dir)) is not None:
        return open_endpoint(endpoint, lambda: load_backend(threads=threads), note)
    folder = resolve(model_dir) if model_dir is not None else default_model_dir()
    if not folder.is_dir():
        raise VlmError("model_missing", f"no model folder {folder}")
    exported = (folder / "onnx").is_dir()
    name = verify(folder).name if exported or (folder / MANIFEST).is_file() else folder.name
    if exported:
        from jpai_agent.vlm.onnx_backend import OnnxBackend

        embedded = OnnxBackend(folder, threads=threads, name=name)
        if (found := embedded.probe()).contradicts:
            raise VlmError("model_altered", f"{folder} points in {found.best}, which the embedded model must not")
        return embedded
    from jpai_agent.vlm.hf_backend import HfBackend

    return HfBackend(folder, threads=threads, name=name)
