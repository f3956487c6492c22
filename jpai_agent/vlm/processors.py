"""Load a checkpoint, and its processor for still frames: the parts of it that are for video and sound are left out.

Many families' processors ask for a video processor, which transformers has for torchvision alone, and for one of sound. A
robot shows frames, so image processor and tokenizer are all that is loaded, and the same is done on every machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

from jpai_agent.vlm.backend import VlmError

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_KEPT = ("image_processor", "tokenizer")
_NAMED_IN = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")


class LeftOut:
    """Stands where a processor looks for a part that is not there; it makes nothing."""

    _auto_class = None  # what transformers asks of every part
    model_input_names: tuple[str, ...] = ()
    num_frames: int | None = None
    fps: float | None = None
    temporal_patch_size = merge_size = 1


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """What keeps transformers from loading a checkpoint folder meanwhile is a VlmError, model_unavailable."""
    try:
        yield
    except SafetensorError as error:
        raise VlmError("model_unavailable", f"{_damaged(folder)} cannot be read: {error}") from error
    # RuntimeError: weights of other sizes than config.json says
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise VlmError("model_unavailable", f"transformers cannot load {folder}: {error}") from error


def _damaged(folder: Path) -> Path:
    """The first of a folder's files of weights that cannot be opened, else the folder."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except SafetensorError:
            return path
    return folder


def load_processor(folder: Path) -> Any:
    """The processor of a checkpoint folder, from local files alone. Raises OSError, ValueError or ImportError."""
    kind = _processor_class(folder)
    if kind is None or set(kind.get_attributes()) <= set(_KEPT):
        return AutoProcessor.from_pretrained(folder, **LOCAL)
    processor = frames_only(kind).from_pretrained(folder, **LOCAL)
    # Cosmos' says that its model wants these, and leaves them out (transformers 5.23)
    if "mm_token_type_ids" in processor.model_input_names:
        processor.return_mm_token_type_ids = True
    return processor


def frames_only(kind: Any) -> Any:
    """A processor class like `kind` whose parts for anything but frames and words are LeftOut."""
    module = sys.modules[kind.__module__]
    # SmolVLM's will not be made without a package that spells out the number of a video's frames
    if getattr(module, "num2words", kind) is None:
        module.num2words = str  # type: ignore[attr-defined]

    class FramesOnly(kind):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if not isinstance(argument, LeftOut):
                return super().check_argument_for_proper_class(argument_name, argument)
            return LeftOut

        def to_dict(self) -> dict[str, Any]:
            return {key: value for key, value in super().to_dict().items() if not isinstance(value, LeftOut)}

        @classmethod
        def _get_arguments_from_pretrained(cls, source: Any, processor_dict: Any = None, **options: Any) -> list[Any]:
            wanted = cls.get_attributes()
            # the parts that are kept are loaded as the class itself would
            cls.get_attributes = classmethod(lambda _: [name for name in wanted if name in _KEPT])
            try:
                loaded = iter(super()._get_arguments_from_pretrained(source, processor_dict, **options))
            finally:
                del cls.get_attributes
            return [next(loaded) if name in _KEPT else LeftOut() for name in wanted]

    FramesOnly.__name__ = kind.__name__
    return FramesOnly


def _processor_class(folder: Path) -> Any:
    for name in _NAMED_IN:
        try:
            named = json.loads((folder / name).read_text(encoding="utf-8")).get("processor_class")
        except (OSError, ValueError):
            continue
        if named and (found := processor_class_from_name(named)) is not None:
            return found
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    return PROCESSOR_MAPPING.get(type(config), None)
