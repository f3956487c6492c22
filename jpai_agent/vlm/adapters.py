"""Adapters: what fine-tuning has added to a checkpoint, kept apart from it. A folder with peft's two files and `base.json`.

`base.json` names the checkpoint that it was trained on and the hash of its files: an adapter is laid over exactly that one, or
over none. Its matrices are added to the weights when the model is loaded, so that it costs nothing afterwards and needs no peft.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jpai_agent.vlm.backend import VlmError
from jpai_agent.vlm.manifest import MANIFEST, file_sha256, verify
from jpai_agent.vlm.store import resolve

BASE, CONFIG, WEIGHTS = "base.json", "adapter_config.json", "adapter_model.safetensors"
_COUNTS = (".safetensors", ".json", ".jinja", ".model", ".txt")  # files that decide what a checkpoint answers
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# settings of peft that this here does not do, and what they are when they are off
_NOT_DONE: Mapping[str, Any] = {
    "use_dora": False, "modules_to_save": None, "bias": "none", "fan_in_fan_out": False, "rank_pattern": {}, "alpha_pattern": {},
    "layer_replication": None, "trainable_token_indices": None, "target_parameters": None, "lora_bias": False,
}


@dataclass(frozen=True)
class Base:
    """The checkpoint that an adapter was trained on.

    Attributes:
        name: As `jpai models` has it, or its folder's. sha256: of its files, see `fingerprint`. folder: where it was.
    """

    name: str
    sha256: str
    folder: str = ""

    def write(self, adapter: Path) -> None:
        """Put it beside an adapter's files."""
        (adapter / BASE).write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter rather than a whole checkpoint."""
    return (folder / CONFIG).is_file()


def fingerprint(checkpoint: Path) -> str:
    """One hash of all files that decide what a checkpoint answers; the same for a folder and for the copy that was added.

    Raises VlmError where the folder has a manifest that it does not agree with.
    """
    if (checkpoint / MANIFEST).is_file():
        files = dict(verify(checkpoint).files)
    else:
        files = {path.name: file_sha256(path) for path in checkpoint.iterdir() if path.is_file() and path.suffix in _COUNTS}
    counted = sorted((name, digest) for name, digest in files.items() if Path(name).suffix in _COUNTS)
    return hashlib.sha256("\n".join(f"{digest}  {name}" for name, digest in counted).encode()).hexdigest()


def base_of(checkpoint: Path, name: str = "") -> Base:
    """What to write beside an adapter that is trained on a checkpoint. Raises VlmError as `fingerprint`."""
    return Base(name or checkpoint.resolve().name, fingerprint(checkpoint), str(checkpoint.resolve()))


def read_base(adapter: Path) -> Base:
    """What an adapter says of its base. Raises VlmError where it says nothing."""
    try:
        return Base(**json.loads((adapter / BASE).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise VlmError("model_unavailable", f"the adapter {adapter} does not say which checkpoint it belongs to: no {BASE}; "
                                            "give it when the adapter is added: jpai models add DIR --base NAME") from error
    except (OSError, ValueError, TypeError) as error:
        raise VlmError("model_altered", f"{adapter / BASE} cannot be read: {error}") from error


def find_base(adapter: Path) -> Path:
    """The folder of an adapter's base, its files as they were. Raises VlmError when there is none, or it was altered."""
    wanted = read_base(adapter)
    altered: list[Path] = []
    for folder in dict.fromkeys((Path(wanted.folder or wanted.name), resolve(wanted.name))):
        if (folder / "config.json").is_file():
            if fingerprint(folder) == wanted.sha256:
                return folder
            altered.append(folder)
    if altered:
        raise VlmError("model_altered", f"the adapter {adapter} was trained on {wanted.name} with sha256 {wanted.sha256[:12]}…, "
                                        f"and {altered[0]} is another checkpoint or was altered")
    raise VlmError("model_missing", f"the adapter {adapter} needs {wanted.name}, the checkpoint that it was trained on: add it "
                                    f"with jpai models add DIR --name {wanted.name}")


def lay_over(model: Any, adapter: Path) -> int:
    """Add an adapter's matrices to a loaded model's weights. Returns how many layers it changes. Raises VlmError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    scale_of = _scale(adapter)
    try:
        tensors = load_file(adapter / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise VlmError("model_altered", f"{adapter / WEIGHTS} cannot be read: {error}") from error
    names = sorted(key.removesuffix(_DOWN) for key in tensors if key.endswith(_DOWN))
    if not names or len(tensors) != 2 * len(names) or any(name + _UP not in tensors for name in names):
        raise VlmError("model_unavailable", f"{adapter / WEIGHTS} holds something else than pairs of LoRA matrices")
    with torch.no_grad():
        for name in names:
            down, up = tensors[name + _DOWN].float(), tensors[name + _UP].float()
            try:
                weight: Any = model.get_submodule(name.removeprefix(_PREFIX)).weight
            except AttributeError as error:
                raise VlmError("model_altered", f"the adapter {adapter} is for a layer {name.removeprefix(_PREFIX)}, which its "
                                                "base does not have") from error
            if weight.shape != (up.shape[0], down.shape[1]) or not weight.is_floating_point() or hasattr(weight, "qdata"):
                raise VlmError("model_unavailable", f"the adapter {adapter} does not fit layer {name.removeprefix(_PREFIX)}: it "
                                                    "is of another size, or quantized")
            weight.add_(((up @ down) * scale_of(len(down))).to(weight.device, weight.dtype))
    return len(names)


def _scale(adapter: Path) -> Any:
    """By rank: what the product of the matrices is multiplied by."""
    try:
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
        alpha, rooted = float(config["lora_alpha"]), bool(config.get("use_rslora"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VlmError("model_altered", f"{adapter / CONFIG} cannot be read: {error}") from error
    if config.get("peft_type") != "LORA":
        raise VlmError("model_unavailable", f"{adapter} is an adapter of type {config.get('peft_type')}; LoRA alone can be used")
    for name, off in _NOT_DONE.items():
        if config.get(name, off) not in (off, None, [], {}):
            raise VlmError("model_unavailable", f"{adapter} was trained with {name}, which is not supported: plain LoRA alone is")
    return lambda rank: alpha / (math.sqrt(rank) if rooted else rank)


def save_merged(adapter: Path, out: Path) -> Path:
    """Write a whole checkpoint to `out`: the base with the adapter in its weights. Returns the base's folder. Raises VlmError."""
    from transformers import AutoModelForImageTextToText

    from jpai_agent.vlm.processors import LOCAL, loading

    base = find_base(adapter)
    with loading(base):
        model: Any = AutoModelForImageTextToText.from_pretrained(base, use_safetensors=True, **LOCAL)
    lay_over(model, adapter)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    for path in sorted(base.iterdir()):
        carried = path.suffix in (*_COUNTS, ".md") and path.suffix != ".safetensors" and "index" not in path.name
        if path.is_file() and carried and path.name != MANIFEST and not (out / path.name).exists():
            shutil.copyfile(path, out / path.name)
    for path in out.iterdir():
        path.chmod(0o644)
    return base
