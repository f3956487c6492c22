"""What is known of each family of models: how it is prompted, how it writes points, where its answers end, what it needs.

A family is chosen by the `model_type` of a checkpoint's config.json. A type that is not listed gets the generic entry with a
warning: it is prompted by its own chat template, taken to write x before y in 0..1000, and held to that by the probe image.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from dataclasses import dataclass
from typing import Literal

from jpai_agent.vlm.backend import VlmError

log = logging.getLogger(__name__)

PromptShape = Literal["chat", "chat_without_system", "plain"]


@dataclass(frozen=True)
class Family:
    """How to speak with the checkpoints of a family.

    Attributes:
        name: For people.
        model_types: As in config.json and in transformers' AutoModelForImageTextToText.
        codec: How it writes points when it was trained to: one of `codecs.CODECS`.
        documented: Whether its authors say so; otherwise the probe image alone decides.
        prompt: `chat`: its chat template, system message and all. `chat_without_system`: the system message is put before the
            last turn's words, for templates that take none. `plain`: no roles; all in one text after the images.
        stop: Tokens that end an answer, besides the tokenizer's own end token; those that a tokenizer lacks are left out.
        transformers: First version that has the family.
        needs: Packages that its processor cannot do without, beyond what is always there.
        answer_type: Type id of an answer's tokens where inputs have such: 1 where it follows a prefix that looks both ways.
    """

    name: str
    model_types: tuple[str, ...]
    codec: str = "xy1000"
    documented: bool = True
    prompt: PromptShape = "chat"
    stop: tuple[str, ...] = ()
    transformers: str = "5.0"
    needs: tuple[str, ...] = ()
    answer_type: int = 0


_QWEN_STOP = ("<|im_end|>", "<|endoftext|>")

FAMILIES: tuple[Family, ...] = (
    Family("Qwen3-VL", ("qwen3_vl", "qwen3_vl_moe"), stop=_QWEN_STOP, transformers="4.57"),
    Family("Qwen3.5", ("qwen3_5", "qwen3_5_moe"), stop=_QWEN_STOP, transformers="5.2"),
    Family("Qwen2.5-VL", ("qwen2_5_vl",), "abs_px", stop=_QWEN_STOP, transformers="4.49"),
    Family("Qwen2-VL", ("qwen2_vl",), stop=_QWEN_STOP, transformers="4.45"),
    Family("Gemma 4", ("gemma4", "gemma4_unified"), "yx1000", stop=("<turn|>",), transformers="5.5"),
    Family("Gemma 3", ("gemma3", "gemma3n"), "yx1000", documented=False, stop=("<end_of_turn>",), transformers="4.53"),
    # its image processor is written for torchvision alone
    Family("LFM2-VL", ("lfm2_vl",), documented=False, stop=("<|im_end|>",), transformers="4.57", needs=("torchvision",)),
    Family("LFM3-VL", ("lfm3_vl",), documented=False, stop=("<|im_end|>",), transformers="5.23"),
    Family("InternVL", ("internvl",), stop=("<|im_end|>",), transformers="4.52"),
    Family("SmolVLM", ("smolvlm",), documented=False, stop=("<end_of_utterance>",), transformers="4.50"),
    Family("Idefics3", ("idefics3",), documented=False, stop=("<end_of_utterance>",), transformers="4.46"),
    Family("Cosmos", ("cosmos3_edge", "cosmos3_omni"), stop=("<|im_end|>",), transformers="5.23"),
    Family("Florence-2", ("florence2",), transformers="4.56"),
    Family("PaliGemma", ("paligemma",), "yx1000", prompt="plain", transformers="4.41", answer_type=1),
)

_BY_TYPE = {model_type: family for family in FAMILIES for model_type in family.model_types}


def family_of(model_type: str) -> Family:
    """The family of a model type; for one that is not listed a generic one, with a warning in the log."""
    if model_type in _BY_TYPE:
        return _BY_TYPE[model_type]
    log.warning("model type %r is of no known family: prompted by its own chat template, its points taken as x, y in 0..1000",
                model_type)
    return Family(f"generic ({model_type})", (model_type,), documented=False, transformers="0")


def require(family: Family, *, transformers: str | None = None) -> None:
    """Raise VlmError where this installation lacks what a family needs, saying what would be right.

    transformers: The installed version, for tests; found out when left out.
    """
    found = transformers or importlib.metadata.version("transformers")
    if _numbers(found) < _numbers(family.transformers):
        raise VlmError("model_unavailable", f"{family.name} needs transformers {family.transformers} or newer, here is {found}")
    for package in family.needs:
        if importlib.util.find_spec(package) is None:
            raise VlmError("model_unavailable", f"{family.name} needs the package {package} for its images: pip install "
                                                f"{package} into the environment that jpai runs in")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
