"""Make checkpoints with random weights, one of each family, from the family's own config and processor classes.

They stand for checkpoints that cannot be had: what they answer means nothing, but they are loaded, prompted, quantized and held
to the grammar like any other. Processors are made of their classes, tokenizers of plans and prompts, so no file is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from jpai_agent.skills import skills_for
from jpai_agent.vlm.backend import PlanRequest
from jpai_agent.vlm.processors import LeftOut, frames_only
from jpai_agent.vlm.prompt import system_text

hf: Any = transformers  # its classes are named by strings, and typed more narrowly than they are used
WIDTH, SIDE_PX = 64, 32
WORDS = 900  # of the vocabulary, special tokens apart
_POSITIONS = 8192
_PLANS = (
    '{"decision":"act","steps":[{"skill":"go_to","target":{"label":"赤い箱","camera":"front","point":[344,480]}}],"reason":null}',
    '{"decision":"ask","steps":[],"reason":"ambiguous"}', '{"decision":"refuse","steps":[],"reason":"unsafe"}',
    '{"decision":"act","steps":[{"skill":"wait","duration_s":3.0},{"skill":"go_to","target":{"place":"dock"}}],"reason":null}',
)
CHATML = """\
{%- for message in messages -%}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
_QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_CHAT = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
_IDEFICS_CHAT = CHATML.replace("IMAGE", "<image>").replace("<|im_end|>", "<end_of_utterance>").replace("<|im_start|>", "")
_GEMMA_CHAT = CHATML.replace("IMAGE", "<|image|>").replace("<|im_start|>", "<|turn>").replace("<|im_end|>", "<turn|>")

_SMALL: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
_TEXT: dict[str, Any] = {**_SMALL, "num_key_value_heads": 1, "max_position_embeddings": _POSITIONS}


def save_tiny(model_type: str, folder: Path, seed: int = 0) -> None:
    """Write a whole checkpoint of a family with random weights. Raises KeyError for a type that is not in MAKERS."""
    config, processor = MAKERS[model_type]()
    torch.manual_seed(seed)
    model = hf.AutoModelForImageTextToText.from_config(config)
    tokenizer = processor.tokenizer
    model.generation_config = hf.GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
                                                  bos_token_id=tokenizer.bos_token_id)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@lru_cache(maxsize=1)
def _texts() -> tuple[str, ...]:
    requests = [PlanRequest("赤い箱の手前まで行って", {"front": None}, robot) for robot in ("cart", "car")]  # type: ignore[dict-item]
    return (*(system_text(request, skills_for(request.robot)) for request in requests), *_PLANS * 8)


def byte_level(special: tuple[str, ...], eos: str, **named: str) -> Any:
    """A tokenizer as Qwen, LFM, InternVL and SmolVLM have: BPE over bytes. named: special tokens by attribute."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(_texts(), trainers.BpeTrainer(
        vocab_size=WORDS, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    return _finished(core, special, eos, named)


def byte_fallback(special: tuple[str, ...], eos: str, **named: str) -> Any:
    """A tokenizer as Gemma has: words after ▁, with a token of its own for each byte that no word holds."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(_texts(), trainers.BpeTrainer(vocab_size=WORDS - 256, show_progress=False))
    words = sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__)
    words = [f"<0x{byte:02X}>" for byte in range(256)] + words
    core = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, [], byte_fallback=True, fuse_unk=False))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return _finished(core, special, eos, named)


def _finished(core: Tokenizer, special: tuple[str, ...], eos: str, named: dict[str, str]) -> Any:
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<pad>", "<bos>", eos, *special)])
    return hf.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token=eos,
                                      model_max_length=_POSITIONS, extra_special_tokens=named)


def _ids(tokenizer: Any, **names: str) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def _ends(tokenizer: Any) -> dict[str, int]:
    return {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id}


def _processor(kind: Any, images: Any, tokenizer: Any, chat: str | None, **more: Any) -> Any:
    given = {"image_processor": images, "tokenizer": tokenizer}
    if set(kind.get_attributes()) <= set(given):
        return kind(**given, chat_template=chat, **more)
    parts = {name: given.get(name) or LeftOut() for name in kind.get_attributes()}
    return frames_only(kind)(**parts, chat_template=chat, **more)


def _qwen_like(tokenizer: Any) -> dict[str, int]:
    return _ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>",
                vision_start_token_id="<|vision_start|>", vision_end_token_id="<|vision_end|>")


def _qwen_images() -> Any:
    return hf.Qwen2VLImageProcessorPil(size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96}, patch_size=16, merge_size=2)


def _qwen3_vl() -> tuple[Any, Any]:
    tokenizer = byte_level(_QWEN_TOKENS, "<|endoftext|>")
    vision = {"depth": 1, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2, "out_hidden_size": WIDTH,
              "num_position_embeddings": 36, "deepstack_visual_indexes": [0]}
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4], "mrope_interleaved": True, "rope_theta": 10000.0}
    text = _TEXT | _ends(tokenizer) | {"head_dim": 32, "rope_parameters": rope}
    config = hf.Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_like(tokenizer))
    return config, _processor(hf.Qwen3VLProcessor, _qwen_images(), tokenizer, _QWEN_CHAT)


def _qwen3_5() -> tuple[Any, Any]:
    tokenizer = byte_level(_QWEN_TOKENS, "<|endoftext|>")
    vision = {"depth": 1, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2, "out_hidden_size": WIDTH,
              "num_position_embeddings": 36}
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5}
    text = _TEXT | _ends(tokenizer) | {
        "num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"], "head_dim": 32,
        "rope_parameters": rope,
        "linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 2}
    config = hf.Qwen3_5Config(text_config=text, vision_config=vision, **_qwen_like(tokenizer))
    return config, _processor(hf.Qwen3VLProcessor, _qwen_images(), tokenizer, _QWEN_CHAT)


def _gemma4() -> tuple[Any, Any]:
    special = ("<|turn>", "<turn|>", "<|image|>", "<|image>", "<image|>", "<|audio|>", "<|audio>", "<audio|>", "<|video|>")
    tokenizer = byte_fallback(special, "<eos>", image_token="<|image|>", boi_token="<|image>", eoi_token="<image|>",
                              audio_token="<|audio|>", boa_token="<|audio>", eoa_token="<audio|>")
    text = _TEXT | _ends(tokenizer) | {
        "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 32, "global_head_dim": 32,
        "vocab_size_per_layer_input": len(tokenizer), "hidden_size_per_layer_input": 8}
    vision = _SMALL | {"num_key_value_heads": 2, "head_dim": 32, "position_embedding_size": 128}
    config = hf.Gemma4Config(text_config=text, vision_config=vision, **_ids(
        tokenizer, image_token_id="<|image|>", boi_token_id="<|image>", eoi_token_id="<image|>", audio_token_id="<|audio|>",
        boa_token_id="<|audio>", eoa_token_index="<audio|>", video_token_id="<|video|>"))
    images = hf.Gemma4ImageProcessorPil(max_soft_tokens=70, image_seq_length=70)
    return config, _processor(hf.Gemma4Processor, images, tokenizer, _GEMMA_CHAT, image_seq_length=70)


def _lfm2_vl() -> tuple[Any, Any]:
    special = ("<|im_start|>", "<|im_end|>", "<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>")
    tokenizer = byte_level(special, "<|endoftext|>", image_token="<image>", image_start_token="<|image_start|>",
                           image_end_token="<|image_end|>", image_thumbnail="<|img_thumbnail|>")
    text = _TEXT | _ends(tokenizer) | {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"], "model_type": "lfm2",
                                       "block_auto_adjust_ff_dim": False}
    vision = _SMALL | {"model_type": "siglip2_vision_model", "num_patches": 64, "patch_size": 16}
    config = hf.Lfm2VlConfig(text_config=text, vision_config=vision, projector_hidden_size=WIDTH,
                             **_ids(tokenizer, image_token_id="<image>"))
    images = hf.Lfm2VlImageProcessor(do_image_splitting=False, min_image_tokens=4, max_image_tokens=16)
    return config, _processor(hf.Lfm2VlProcessor, images, tokenizer, CHATML.replace("IMAGE", "<image>"))


def _lfm3_vl() -> tuple[Any, Any]:
    tokenizer = byte_level(_QWEN_TOKENS, "<|endoftext|>")
    text = _TEXT | _ends(tokenizer) | {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"], "head_dim": 32,
                                       "model_type": "lfm3"}
    vision = _SMALL | {"num_key_value_heads": 2, "layer_types": ["full_attention"]}
    config = hf.Lfm3VlConfig(text_config=text, vision_config=vision, projector_hidden_size=WIDTH, **_qwen_like(tokenizer))
    return config, _processor(hf.Lfm3VlProcessor, _qwen_images(), tokenizer, _QWEN_CHAT)


def _internvl() -> tuple[Any, Any]:
    special = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    tokenizer = byte_level(special, "<|endoftext|>", start_image_token="<img>", end_image_token="</img>",
                           context_image_token="<IMG_CONTEXT>", video_token="<video>")
    text = _TEXT | _ends(tokenizer) | {"model_type": "qwen2"}
    vision = _SMALL | {"image_size": [SIDE_PX, SIDE_PX], "patch_size": [8, 8]}
    config = hf.InternVLConfig(text_config=text, vision_config=vision, image_seq_length=4,
                               **_ids(tokenizer, image_token_id="<IMG_CONTEXT>"))
    images = hf.GotOcr2ImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}, max_patches=1)
    chat = CHATML.replace("IMAGE", "<IMG_CONTEXT>\n")
    return config, _processor(hf.InternVLProcessor, images, tokenizer, chat, image_seq_length=4)


def _idefics(config: Any, processor: Any, images: Any) -> tuple[Any, Any]:
    special = ("<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", "<video>",
               *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)))
    tokenizer = byte_level(special, "<|endoftext|>")
    text = _TEXT | _ends(tokenizer) | {"model_type": "llama"}
    vision = _SMALL | {"image_size": SIDE_PX, "patch_size": 8}
    made = images(size={"longest_edge": SIDE_PX}, max_image_size={"longest_edge": SIDE_PX}, do_image_splitting=False)
    return (config(text_config=text, vision_config=vision, scale_factor=2, pad_token_id=tokenizer.pad_token_id,
                   **_ids(tokenizer, image_token_id="<image>")),
            _processor(processor, made, tokenizer, _IDEFICS_CHAT, image_seq_len=4))


def _cosmos() -> tuple[Any, Any]:
    tokenizer = byte_level(_QWEN_TOKENS, "<|endoftext|>")
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4], "rope_theta": 10000.0}
    text = _TEXT | _ends(tokenizer) | {"head_dim": 32, "rope_parameters": rope}
    vision = _SMALL | {"num_patches": 36}
    config = hf.Cosmos3EdgeConfig(text_config=text, vision_config=vision, projector_hidden_size=WIDTH, **_qwen_like(tokenizer))
    images = hf.Cosmos3EdgeImageProcessorPil(size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96})
    return config, _processor(hf.Cosmos3EdgeProcessor, images, tokenizer, _QWEN_CHAT)


def _florence2() -> tuple[Any, Any]:
    tokenizer = byte_level(("<image>",), "</s>", image_token="<image>")
    text = {"d_model": WIDTH, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": WIDTH, "decoder_ffn_dim": WIDTH,
            "max_position_embeddings": 2048, "forced_eos_token_id": None,
            "decoder_start_token_id": tokenizer.bos_token_id, "tie_word_embeddings": True, **_ends(tokenizer)}
    vision = {"embed_dim": (16, 32), "depths": (1, 1), "num_heads": (2, 2), "num_groups": (2, 2), "patch_size": (7, 3),
              "patch_stride": (4, 2), "patch_padding": (3, 1), "patch_prenorm": (False, True), "window_size": 4,
              "drop_path_rate": 0.0, "projection_dim": WIDTH}
    config = hf.Florence2Config(text_config=text, vision_config=vision, decoder_start_token_id=tokenizer.bos_token_id,
                                tie_word_embeddings=True, **_ids(tokenizer, image_token_id="<image>"),
                                **{name: value for name, value in _ends(tokenizer).items() if name != "vocab_size"})
    images = hf.CLIPImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}, do_center_crop=False)
    images.image_seq_length = 17
    tokenizer.chat_template = "{{ messages[-1].content[-1].text }}"
    return config, hf.Florence2Processor(images, tokenizer)


def _paligemma() -> tuple[Any, Any]:
    tokenizer = byte_fallback(("<image>",), "<eos>", image_token="<image>")
    images = hf.SiglipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    images.image_seq_length = 4
    processor = hf.PaliGemmaProcessor(images, tokenizer)
    text = _TEXT | _ends(tokenizer) | {"model_type": "gemma", "head_dim": 32}
    vision = _SMALL | {"model_type": "siglip_vision_model", "image_size": SIDE_PX, "patch_size": 16}
    config = hf.PaliGemmaConfig(text_config=text, vision_config=vision, projection_dim=WIDTH, hidden_size=WIDTH,
                                image_token_index=tokenizer.convert_tokens_to_ids("<image>"))
    return config, processor


MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen3_vl": _qwen3_vl, "qwen3_5": _qwen3_5, "gemma4": _gemma4, "lfm2_vl": _lfm2_vl, "lfm3_vl": _lfm3_vl,
    "internvl": _internvl,
    "smolvlm": lambda: _idefics(hf.SmolVLMConfig, hf.SmolVLMProcessor, hf.SmolVLMImageProcessorPil),
    "idefics3": lambda: _idefics(hf.Idefics3Config, hf.Idefics3Processor, hf.Idefics3ImageProcessorPil),
    "cosmos3_edge": _cosmos, "florence2": _florence2, "paligemma": _paligemma,
}
