"""Make `models/voice` from a training state: the checkpoint for transformers, an int8 ONNX graph checked against it, the
character model, and the description with every file's sha256."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from jpai_agent.train.voice.model import TwoScripts, build
from jpai_agent.train.voice.recordings import load
from jpai_agent.train.voice.sentences import ROBOTS, from_corpus
from jpai_agent.voice.embedded import CHARACTERS, DESCRIPTION, FORMAT, GRAPH, write_description
from jpai_agent.voice.features import BANDS, prepared
from jpai_agent.voice.ngram import CharacterModel

log = logging.getLogger(__name__)

OPSET = 18
# of the checkpoint's likeliest characters, frame by frame, that the int8 graph must agree on
AGREEMENT = 0.97
NAME, VERSION, LICENSE = "jpai-voice", "0.1.0", "Apache-2.0"


class _Graph(torch.nn.Module):
    """features (1, frames, BANDS) → natural logs of probabilities (1, frames / 8, characters + 1)."""

    def __init__(self, recogniser: Any) -> None:
        super().__init__()
        self.recogniser = recogniser

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.recogniser(input_features=features).logits
        return logits.log_softmax(-1)


def trained(work: Path) -> tuple[Any, str]:
    """(ParakeetForCTC, alphabet) of the training state below `work`. Raises FileNotFoundError where there is none."""
    known = (work / "ckpt" / "alphabet.txt").read_text(encoding="utf-8")
    model = TwoScripts(build(len(known)))
    model.load_state_dict(torch.load(work / "ckpt" / "fit.pt", weights_only=True)["model"])
    return model.recogniser.eval(), known


def export(work: Path, out: Path, samples: list[np.ndarray], card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write the recogniser's files into `out`; others there (the spotter's, README.md) stay.

    `samples`: spoken sentences (float, 16 kHz) to compare the graph with the checkpoint on. `out` keeps its calibration
    where it has one, else confidence is uncalibrated until `calibrate`. Gives what was measured; raises ValueError where the
    int8 graph agrees with the checkpoint on less than AGREEMENT of the frames.
    """
    recogniser, known = trained(work)
    out.mkdir(parents=True, exist_ok=True)
    kept = json.loads((out / DESCRIPTION).read_text(encoding="utf-8")) if (out / DESCRIPTION).is_file() else {}
    graph = _Graph(recogniser).eval()
    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared = Path(scratch) / "plain.onnx", Path(scratch) / "prepared.onnx"
        with torch.no_grad():
            torch.onnx.export(graph, (torch.zeros(1, 320, BANDS),), str(plain), input_names=["features"],
                              output_names=["scores"], opset_version=OPSET, dynamo=False,
                              dynamic_axes={"features": {1: "frames"}, "scores": {1: "steps"}})
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(str(prepared), str(out / GRAPH), weight_type=QuantType.QInt8, per_channel=True,
                         op_types_to_quantize=["MatMul", "Gemm"])
    agreed, furthest = _compared(graph, out / GRAPH, samples)
    if agreed < AGREEMENT:
        raise ValueError(f"the int8 graph agrees with the checkpoint on {agreed:.1%} of the frames, {AGREEMENT:.0%} are wanted")
    recogniser.to(torch.float16).save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)  # CTC generates nothing
    (out / "model.safetensors").chmod(0o644)
    CharacterModel.learn(_texts(work), len(known)).save(out / CHARACTERS)
    files = {name: hashlib.sha256((out / name).read_bytes()).hexdigest()
             for name in (GRAPH, CHARACTERS, "config.json", "model.safetensors")}
    report = {"agreement": round(agreed, 4), "furthest": round(furthest, 4), "frames_of": len(samples),
              "bytes": {name: (out / name).stat().st_size for name in files}}
    about = {
        "format": FORMAT, "name": NAME, "version": VERSION, "license": LICENSE,
        "parameters": sum(p.numel() for p in recogniser.parameters()), "bits": 8, "files": files,
        "beam": 24, "weights": kept.get("weights", {"language": 0.35, "length": 1.0, "hint": 0.3}),
        "calibration": kept.get("calibration", {"bias": 3.0, "surprise": -1.0, "surprise_each": -8.0, "rivals": -3.0}),
        "card": {**kept.get("card", {}), "export": report, **(card or {})}, "alphabet": known,
    }
    write_description(out, about)
    return report


def _texts(work: Path, times: int = 5, seed: int = 2) -> list[str]:
    """What the character model learns from: the spoken sentences and the corpus's lines with yet other words in their slots,
    none of which begins as a validation sentence does."""
    kept_back = {one.sentence.said[:6] for one in load(work / "validation")}
    r = Random(seed)
    more = [one for robot in ROBOTS for one in from_corpus(robot, None, r, times)]
    return [one.sentence.written for one in load(work / "training")] + [
        one.written for one in more if one.said[:6] not in kept_back]


def set_calibration(folder: Path, weights: Mapping[str, float], judged: Mapping[str, float]) -> None:
    """Put the confidence's weights and how good they are into recogniser.json."""
    about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    about["calibration"] = {name: round(value, 5) for name, value in weights.items()}
    about["card"]["confidence"] = dict(judged)
    write_description(folder, about)


def _compared(graph: _Graph, path: Path, samples: list[np.ndarray]) -> tuple[float, float]:
    """Share of frames with the same likeliest character, and the largest difference of a likeliest one's logarithm."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    same = frames = 0
    furthest = 0.0
    for one in samples:
        features = prepared(one)[None]
        with torch.no_grad():
            wanted = graph(torch.from_numpy(features))[0].numpy()
        found = session.run(None, {"features": features})[0][0]
        same += int((wanted.argmax(-1) == found.argmax(-1)).sum())
        frames += len(wanted)
        furthest = max(furthest, float(np.abs(wanted.max(-1) - np.take_along_axis(
            found, wanted.argmax(-1)[:, None], 1)[:, 0]).max()))
    return same / max(frames, 1), furthest
