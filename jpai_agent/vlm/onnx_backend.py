"""Run the embedded model: three int8 ONNX graphs, greedy decoding under the plan grammar, one thread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from transformers import AutoTokenizer

from jpai_agent.plan import SkillSpec
from jpai_agent.skills import skills_for
from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.codecs import Probe, probe
from jpai_agent.vlm.confidence import AnswerProbability, Calibration, coordinate_values
from jpai_agent.vlm.frame_cache import FrameCache
from jpai_agent.vlm.grammar import PlanGrammars, plain_tokens, tokenizer_info
from jpai_agent.vlm.own_words import Label, OwnWords
from jpai_agent.vlm.patience import check_patience
from jpai_agent.vlm.prompt import check_prompt, messages

ANSWER_TOKENS_MAX = 320
FEATURES_KEPT = 32  # frames, 185 kB each
GRAPHS = ("vision", "encoder", "decoder")


class OnnxBackend:
    """A checkpoint exported by `vlm.export`, run with ONNX Runtime. Several threads may plan with it at a time.

    Args:
        folder: The checkpoint: tokenizer, processor and config as transformers saved them, graphs in `onnx/`.
        threads: Of ONNX Runtime; one is fastest for a model this small.
        skills: Skills by robot name.
        name: Of the model, for records.

    Raises:
        VlmError: model_missing or model_unavailable, naming the file that cannot be used.
    """

    concurrent = True

    def __init__(self, folder: Path, *, threads: int = 1, name: str = "",
                 skills: Callable[[str], Mapping[str, SkillSpec]] = skills_for) -> None:
        self.name = name or folder.name
        self._skills = skills
        config = _read_json(folder / "config.json")
        self._images = _ImagePreparation(_read_json(folder / "processor_config.json")["image_processor"])
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._start, self._eos = config["decoder_start_token_id"], config["eos_token_id"]
        vocab_size = config["text_config"]["vocab_size"]
        self._grammars = PlanGrammars(tokenizer_info(self._tokenizer, vocab_size))
        self._tokens = plain_tokens(self._tokenizer, vocab_size)
        self._coordinates = coordinate_values(self._tokens)
        self._own_words = OwnWords(self._tokens)
        self.calibration = Calibration.load(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._graphs = {graph: _session(folder / "onnx" / f"{graph}.onnx", options) for graph in GRAPHS}
        shape = self._graphs["decoder"].get_inputs()[1].shape
        self._no_past = np.zeros((shape[0], shape[1], 0, shape[3]), dtype=np.float32)
        self._features = FrameCache(FEATURES_KEPT)

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The model's answer to the first camera's frame. Raises VlmError when there is nothing to plan from."""
        began = time.perf_counter()
        request.check()
        skills = self._skills(request.robot)
        camera = next(iter(request.images))
        grammar = self._grammars.compiled(skills, [camera], list(request.places))
        prompt = self._tokenizer.apply_chat_template(messages(request, skills), tokenize=False)
        check_prompt(prompt, request.instruction)
        ids = self._tokenizer(f"{self._tokenizer.bos_token}{prompt}{self._tokenizer.eos_token}",
                              add_special_tokens=False, return_tensors="np")["input_ids"]
        prepared = time.perf_counter()
        features = self._image_features(request.images[camera])
        seen = time.perf_counter()
        cross_k, cross_v = self._graphs["encoder"].run(None, {"image_features": features, "input_ids": ids})
        encoded = time.perf_counter()
        answer, probability, grammar_s = self._decode(cross_k, cross_v, grammar, self._own_words.of(prompt))
        ended = time.perf_counter()
        spent = {"prepare": prepared - began, "vision": seen - prepared, "encode": encoded - seen,
                 "decode": ended - encoded - grammar_s, "grammar": grammar_s, "total": ended - began}
        text = "".join(self._tokens[token] for token in answer)
        confidence = (None if self.calibration is None else self.calibration.confidence(
            request.robot, request.instruction, text, probability.decision, probability.answer))
        return PlanAnswer(text, confidence, {part: 1000 * seconds for part, seconds in spent.items()},
                          features.shape[1] + ids.shape[1], len(answer) + 1, self.name, probability.answer, probability.decision)

    def warm(self, request: PlanRequest) -> None:
        """Compile the grammar and run each graph once."""
        self.plan(request)
        self._features.clear()

    def probe(self) -> Probe:
        """Whether the model points as it was trained to, x before y: a swap of axes would go unseen otherwise."""
        return probe(self.plan, "xy1000", lambda image: (image.shape[1], image.shape[0]))

    def _image_features(self, rgb: np.ndarray) -> np.ndarray:
        return self._features.features(rgb, lambda rgb: self._graphs["vision"].run(None, {"pixel_values": self._images(rgb)})[0])

    def _decode(
        self, cross_k: np.ndarray, cross_v: np.ndarray, grammar: Any, label: Label
    ) -> tuple[list[int], AnswerProbability, float]:
        """Greedy decoding: the answer without its end token, its probability, seconds in the grammar."""
        mask, probability = self._grammars.mask(grammar), AnswerProbability(self._coordinates)
        answer: list[int] = []
        token, past_k, past_v = self._start, self._no_past, self._no_past
        while len(answer) < ANSWER_TOKENS_MAX:
            check_patience()
            logits, past_k, past_v = self._graphs["decoder"].run(None, {
                "input_ids": np.array([[token]], dtype=np.int64), "past_k": past_k, "past_v": past_v,
                "cross_k": cross_k, "cross_v": cross_v})
            scores = np.where(label.narrow(mask.allowed()), logits[0], -np.inf)
            token = int(scores.argmax())
            label.take(token)
            probability.add(scores, token, self._tokens[token])
            if not mask.accept(token):
                raise VlmError("plan_error", f"the grammar left no token after {len(answer)} tokens")
            if mask.ended or token == self._eos:
                break
            answer.append(token)
        else:
            raise VlmError("plan_error", f"no end after {ANSWER_TOKENS_MAX} tokens")
        return answer, probability, mask.spent_s


class _ImagePreparation:
    """What the checkpoint's image processor does to a frame, in one pass: resize, scale, normalise."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        if config.get("do_center_crop") or not config["do_resize"]:
            raise VlmError("model_unavailable", "the image processor crops or does not resize; only resizing is known")
        self._size = (config["size"]["width"], config["size"]["height"])
        self._resample = Image.Resampling(config["resample"])
        mean, std = (np.array(config[key], dtype=np.float32) for key in ("image_mean", "image_std"))
        self._scale = np.float32(config["rescale_factor"]) / std
        self._shift = -mean / std

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → (1, 3, h, w) float32"""
        small = np.asarray(Image.fromarray(rgb).resize(self._size, self._resample), dtype=np.float32)
        return np.ascontiguousarray((small * self._scale + self._shift).transpose(2, 0, 1)[None])


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise VlmError("model_missing", f"model file {path} is missing")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise VlmError("model_unavailable", f"model file {path} cannot be loaded: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VlmError("model_missing", f"model file {path} cannot be read: {error}") from error
