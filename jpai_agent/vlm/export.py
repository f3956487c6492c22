"""Export a Florence-2 checkpoint: int8 safetensors, int8 ONNX graphs checked against them, a manifest.

The graphs hold the checkpoint's own weights, as `AutoModelForImageTextToText` loads them:

    vision   pixel_values (1, 3, H, W)                  → image_features (1, N, d)
    encoder  image_features, input_ids (1, T)           → cross_k (L, heads, dh, N+T), cross_v (L, heads, N+T, dh)
    decoder  input_ids (1, 1), past_k, past_v (L, heads, P, dh), cross_k, cross_v
                                                        → logits (1, V), present_k, present_v (L, heads, P+1, dh)

Image features do not depend on the words, nor the cross attention's keys and values on the answer: each is made
once. Weights of matrix products are int8 per channel, activations are quantized as they come. Convolutions stay fp32:
ONNX Runtime's dynamic integer convolution took 2.3 times as long.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from transformers import AutoModelForImageTextToText

from jpai_agent.vlm.backend import VlmError
from jpai_agent.vlm.export_graphs import DecoderGraph, EncoderGraph, VisionGraph
from jpai_agent.vlm.manifest import write_manifest
from jpai_agent.vlm.quantize import store_quantized

log = logging.getLogger(__name__)

GRAPHS = ("vision", "encoder", "decoder")
OPSET = 18
CHECKS = 4
CHECK_STEPS = 12
# of a value's own size, on average: int8 products leave 3 to 5 % here, a graph that is wired wrongly about all of it
TOLERANCE = 0.15
_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def export(checkpoint: Path, out: Path, *, name: str = "jpai-embedded", version: str = "0.1.0",
           license_id: str = "Apache-2.0", card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make a model folder from a trained checkpoint.

    Args:
        checkpoint: Folder with config, safetensors, tokenizer, processor and chat template.
        out: Where the model folder goes; what is there is replaced once the new one has passed its check.
        card: More for the manifest; `training.json` of the checkpoint is taken in as it is.

    Returns:
        What was measured: sizes, and how far the graphs are from the torch model.

    Raises:
        VlmError: plan_error when the graphs differ from the torch model by more than quantization explains.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        store_quantized(checkpoint, folder, 8)
        model = load_dequantized(folder)
        export_graphs(model, folder)
        report = {"check": check(model, folder), "bytes": {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*")) if path.suffix in (".safetensors", ".onnx")}}
        training = checkpoint / "training.json"
        notes = json.loads(training.read_text(encoding="utf-8")) if training.is_file() else {}
        parameters = sum(parameter.numel() for parameter in model.parameters())
        facts = {**notes, "export": report, **(card or {})}
        # a model card that is already there is kept: people write it
        written = out / "README.md"
        text = written.read_text(encoding="utf-8") if written.is_file() else model_card(
            name, version, license_id, parameters, facts)
        (folder / "README.md").write_text(text, encoding="utf-8")
        manifest = write_manifest(folder, name, version, license_id=license_id, model_type=model.config.model_type,
                                  bits=8, parameters=parameters, card=facts)
        if out.is_dir():
            shutil.rmtree(out)
        shutil.copytree(folder, out)
    return {**report, "parameters": parameters, "sha256": manifest.sha256, "folder": str(out)}


def model_card(name: str, version: str, license_id: str, parameters: int, facts: Mapping[str, Any]) -> str:
    """A first model card in Markdown, from what training and export measured; people add to it."""
    return f"""\
---
license: {license_id.lower()}
language: ja
pipeline_tag: image-text-to-text
library_name: transformers
---
# {name} {version}

Words and a camera frame in, an action plan in JSON out: the model that is embedded in JPAI Agent. {parameters / 1e6:.1f} M
parameters, trained from scratch on rendered scenes and a corpus written for it; no other model's weights or answers are in it.

    AutoModelForImageTextToText.from_pretrained(folder)   # and AutoProcessor; no custom code

Weights of linear layers are int8 (`model.safetensors`, torchao). `onnx/` holds the same weights as int8 graphs, which the
agent runs under a grammar of the robot's skills. `manifest.json` has the sha256 of every file; an altered file does not start.

It knows the worlds, robots and words that it was trained on. What it answers is a proposal: the agent grounds it, rehearses
it and holds it to the robot's limits before anything moves.

What training and export measured:

```json
{json.dumps(dict(facts), ensure_ascii=False, indent=1, default=str)}
```
"""


def load_dequantized(folder: Path) -> Any:
    """The stored checkpoint as a plain fp32 model whose weights are those that int8 leaves."""
    stored: Any = AutoModelForImageTextToText.from_pretrained(folder, **_LOCAL)
    config = type(stored.config).from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(stored)(config).eval()
    weights = {key: value.dequantize() if hasattr(value, "qdata") else value
               for key, value in stored.state_dict().items()}
    plain.load_state_dict({key: value.float() for key, value in weights.items()})
    return plain


@torch.inference_mode()
def _examples(model: Any, folder: Path, seed: int, count: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Random frames, prompts and answers to compare on: pixel_values (1, 3, H, W), ids (1, T), answer (1, n)."""
    size = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["image_processor"]["size"]
    draw = torch.Generator().manual_seed(seed)
    low, high = 8, model.config.text_config.vocab_size
    examples = []
    for index in range(count):
        pixels = torch.randn(1, 3, size["height"] // 8, size["width"] // 8, generator=draw)
        pixels = torch.nn.functional.interpolate(pixels, scale_factor=8, mode="bilinear")
        ids = torch.randint(low, high, (1, 8 + 6 * index), generator=draw)
        examples.append((pixels, ids, torch.randint(low, high, (1, CHECK_STEPS), generator=draw)))
    return examples


def export_graphs(model: Any, folder: Path) -> None:
    """Write `onnx/{vision,encoder,decoder}.onnx` in int8 for a plain fp32 model."""
    text = model.config.text_config
    positions = text.max_position_embeddings
    pixels, ids, _ = _examples(model, folder, 0, 2)[1]
    vision, encoder, decoder = (graph(model).eval() for graph in (VisionGraph, EncoderGraph, DecoderGraph))
    with torch.inference_mode():
        features = vision(pixels)
        cross_k, cross_v = encoder(features, ids)
    # plain tensors: the exporter takes none of inference mode
    features, cross_k, cross_v = features.clone(), cross_k.clone(), cross_v.clone()
    image_tokens, heads = features.shape[1], text.decoder_attention_heads
    past = torch.zeros(text.decoder_layers, heads, 3, text.d_model // heads)
    words = torch.export.Dim("words", min=2, max=positions - image_tokens)
    source = torch.export.Dim("source", min=2, max=positions)
    written = torch.export.Dim("written", min=0, max=positions - 2)
    calls: dict[str, tuple[Any, tuple[torch.Tensor, ...], list[str], list[str], Any]] = {
        "vision": (vision, (pixels,), ["pixel_values"], ["image_features"], None),
        "encoder": (encoder, (features, ids), ["image_features", "input_ids"], ["cross_k", "cross_v"],
                    ({}, {1: words})),
        "decoder": (decoder, (torch.tensor([[1]]), past, past.clone(), cross_k, cross_v),
                    ["input_ids", "past_k", "past_v", "cross_k", "cross_v"], ["logits", "present_k", "present_v"],
                    ({}, {2: written}, {2: written}, {3: source}, {2: source})),
    }
    (folder / "onnx").mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        for graph, (module, inputs, takes, gives, shapes) in calls.items():
            raw, ready = Path(scratch) / f"{graph}.raw.onnx", Path(scratch) / f"{graph}.onnx"
            torch.onnx.export(module, inputs, str(raw), input_names=takes, output_names=gives, opset_version=OPSET,
                              dynamo=True, external_data=False, dynamic_shapes=shapes, verbose=False)
            quant_pre_process(str(raw), str(ready), skip_symbolic_shape=True)
            made = folder / "onnx" / f"{graph}.onnx"
            quantize_dynamic(str(ready), str(made), weight_type=QuantType.QInt8, per_channel=True,
                             op_types_to_quantize=["MatMul", "Gemm"])
            forget_traces(made)


def forget_traces(path: Path) -> None:
    """Take out of a graph where on the exporting machine each of its parts came from; what it computes stays."""
    model = onnx.load(str(path))
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, str(path))


@torch.inference_mode()
def check(model: Any, folder: Path, seed: int = 1) -> dict[str, float]:
    """Compare the graphs with the torch model on random frames and prompts, with forced answers.

    Returns:
        `features`, `cross` (attention values) and `logits`: difference as a share of the value (root mean squares), on average
        over examples and steps, for single steps on random words may be far off; `argmax`: share of steps on which both
        prefer the same token.

    Raises:
        VlmError: plan_error when a difference is larger than quantization explains.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    graphs = {graph: onnxruntime.InferenceSession(str(folder / "onnx" / f"{graph}.onnx"), options,
                                                  providers=["CPUExecutionProvider"]) for graph in GRAPHS}
    off: dict[str, list[float]] = {"features": [], "cross": [], "logits": []}
    agreed = []
    for pixels, words, answer in _examples(model, folder, seed, CHECKS):
        features = graphs["vision"].run(None, {"pixel_values": pixels.numpy()})[0]
        wanted = model.model.get_image_features(pixels).pooler_output.numpy()
        off["features"].append(_share(features, wanted))
        images = torch.full((1, features.shape[1]), model.config.image_token_id)
        output = model(input_ids=torch.cat([images, words], dim=1), pixel_values=pixels, decoder_input_ids=answer,
                       attention_mask=torch.ones(1, features.shape[1] + words.shape[1]))
        logits = output.logits[0].numpy()
        cross_k, cross_v = graphs["encoder"].run(None, {"image_features": features, "input_ids": words.numpy()})
        attention = model.model.language_model.decoder.layers[0].encoder_attn
        values = attention.v_proj(output.encoder_last_hidden_state)[0].numpy()
        off["cross"].append(_share(cross_v[0].transpose(1, 0, 2).reshape(values.shape), values))
        past_k = np.zeros((*cross_v.shape[:2], 0, cross_v.shape[3]), dtype=np.float32)
        past_v = past_k
        for step in range(CHECK_STEPS):
            found, past_k, past_v = graphs["decoder"].run(None, {
                "input_ids": answer[:, step:step + 1].numpy(), "past_k": past_k, "past_v": past_v,
                "cross_k": cross_k, "cross_v": cross_v})
            off["logits"].append(_share(found[0], logits[step]))
            agreed.append(bool(found[0].argmax() == logits[step].argmax()))
    shares = {name: float(np.mean(values)) for name, values in off.items()}
    result = {**shares, "argmax": float(np.mean(agreed))}
    if max(shares.values()) > TOLERANCE:
        raise VlmError("plan_error", f"the graphs differ from the torch model: {result}")
    return result


def _share(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
