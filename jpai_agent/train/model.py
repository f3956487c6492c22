"""The embedded model: a small native Florence-2, its processor, and how both are saved and loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from jpai_agent.train.tokenizer import BOS, CHAT_TEMPLATE, COORDINATES, EOS, IMAGE, PAD

IMAGE_W, IMAGE_H = 320, 192
GRID_W, GRID_H = 20, 12
PATCHES = GRID_W * GRID_H
IMAGE_TOKENS = PATCHES + 1
MAX_POSITIONS = 448


@dataclass(frozen=True)
class ModelSize:
    """Widths and depths. `tower` holds the channels of the image tower's stages at strides 4, 8 and 16."""

    tower: tuple[int, ...] = (32, 64, 192)
    tower_depths: tuple[int, ...] = (1, 1, 2)
    tower_heads: tuple[int, ...] = (2, 4, 6)
    d_model: int = 192
    heads: int = 6
    encoder_layers: int = 4
    decoder_layers: int = 2
    encoder_ffn: int = 512
    decoder_ffn: int = 512


def build_config(tokenizer: PreTrainedTokenizerFast, size: ModelSize) -> Florence2Config:
    """The configuration of a model of that size over the tokenizer's vocabulary."""
    ids: dict[str, Any] = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in {"pad": PAD, "bos": BOS, "eos": EOS, "image": IMAGE}.items()
    }
    text: dict[str, Any] = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": size.d_model,
        "encoder_layers": size.encoder_layers,
        "decoder_layers": size.decoder_layers,
        "encoder_attention_heads": size.heads,
        "decoder_attention_heads": size.heads,
        "encoder_ffn_dim": size.encoder_ffn,
        "decoder_ffn_dim": size.decoder_ffn,
        "activation_function": "gelu",
        "max_position_embeddings": MAX_POSITIONS,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "scale_embedding": False,
        "pad_token_id": ids["pad"],
        "bos_token_id": ids["bos"],
        "eos_token_id": ids["eos"],
        "decoder_start_token_id": ids["bos"],
        "forced_eos_token_id": None,
        "tie_word_embeddings": True,
    }
    vision: dict[str, Any] = {
        "embed_dim": size.tower,
        "depths": size.tower_depths,
        "num_heads": size.tower_heads,
        "num_groups": size.tower_heads,
        "patch_size": (7, 3, 3),
        "patch_stride": (4, 2, 2),
        "patch_padding": (3, 1, 1),
        "patch_prenorm": (False, True, True),
        "window_size": 4,
        "mlp_ratio": 2.0,
        "drop_path_rate": 0.0,
        "activation_function": "gelu",
        "projection_dim": size.d_model,
        "max_position_embeddings": max(GRID_W, GRID_H),
        "max_temporal_embeddings": 1,
    }
    extra: dict[str, Any] = {f"{name}_token_id": ids[name] for name in ("pad", "bos", "eos", "image")}
    return Florence2Config(
        text_config=text, vision_config=vision, tie_word_embeddings=True, decoder_start_token_id=ids["bos"], **extra
    )  # type: ignore[call-arg]


def build_model(
    tokenizer: PreTrainedTokenizerFast, size: ModelSize = ModelSize(), seed: int = 0
) -> Florence2ForConditionalGeneration:
    """A fresh model whose patch positions and coordinate tokens share one smooth code (see `tie_coordinates`)."""
    torch.manual_seed(seed)
    model = Florence2ForConditionalGeneration(build_config(tokenizer, size))
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        decoder_start_token_id=model.config.bos_token_id,
        max_new_tokens=128,
        do_sample=False,
        num_beams=1,
    )
    with torch.no_grad():
        projector = model.model.multi_modal_projector
        projector.image_position_embed.row_embeddings.weight.zero_()
        projector.image_position_embed.column_embeddings.weight.zero_()
        tie_coordinates(model, tokenizer)
    return model


def smooth_code(values: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of 0..1000 coordinates `(n,)`, wavelengths 16..2000, unit RMS, as `(n, width)`."""
    waves = torch.logspace(torch.log10(torch.tensor(2000.0)), torch.log10(torch.tensor(24.0)), width // 2)
    angles = values[:, None].float() * (2 * torch.pi / waves)
    return torch.cat([angles.sin(), angles.cos()], dim=1) * 2**0.5


def cell_centres() -> tuple[torch.Tensor, torch.Tensor]:
    """x and y (0..1000) of the patches' centres, each `(PATCHES,)`, row by row."""
    index = torch.arange(PATCHES)
    return (index % GRID_W + 0.5) * (1000 / GRID_W), (index // GRID_W + 0.5) * (1000 / GRID_H)


def tie_coordinates(model: Florence2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Start the encoder's positions of the image tokens from the codes that the coordinate tokens start from.

    Half of a patch's position holds the code of its x, half that of its y; a coordinate token has that of its value
    in both halves. Reading a point off the attended patch is then a linear map from the first step of training on.
    """
    language = model.model.language_model
    width = language.config.d_model
    scale = 0.02 * 2
    embeddings = language.get_input_embeddings().weight
    ids = tokenizer.convert_tokens_to_ids([str(value) for value in COORDINATES])
    half = smooth_code(torch.tensor(COORDINATES), width // 2)
    embeddings[ids] = scale * torch.cat([half, half], dim=1)
    positions = language.encoder.embed_positions
    x, y = cell_centres()
    codes = torch.cat([smooth_code(x, width // 2), smooth_code(y, width // 2)], dim=1)
    positions.weight[positions.offset] = 0.0
    positions.weight[positions.offset + 1 : positions.offset + 1 + PATCHES] = 0.5 * codes


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Florence2Processor:
    """The processor: image to 320 × 192, prompt from the chat template, image tokens before the words."""
    images = CLIPImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_H, "width": IMAGE_W},
        resample=2,
        do_center_crop=False,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )
    images.image_seq_length = IMAGE_TOKENS  # type: ignore[attr-defined]
    tokenizer.chat_template = CHAT_TEMPLATE  # Florence2Processor drops one of its own when it is loaded
    return Florence2Processor(images, tokenizer)


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 frames `(n, 192, 320, 3)` as `pixel_values` `(n, 3, 192, 320)`."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def save_checkpoint(folder: Path, model: Any, processor: Any, notes: dict[str, Any] | None = None) -> None:
    """Save model, processor, chat template and generation settings, and what training says about them."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if notes is not None:
        (folder / "training.json").write_text(json.dumps(notes, ensure_ascii=False, indent=1), encoding="utf-8")


def load_checkpoint(folder: Path) -> tuple[Any, Any]:
    """The model and processor of a local folder. Raises OSError when there is none."""
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    return model, AutoProcessor.from_pretrained(folder, local_files_only=True)
