"""Run any local checkpoint that transformers maps to AutoModelForImageTextToText: no remote code, safetensors only."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, LogitsProcessor, LogitsProcessorList

from jpai_agent.plan import SkillSpec
from jpai_agent.skills import skills_for
from jpai_agent.vlm.adapters import find_base, is_adapter, lay_over
from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.codecs import CODECS, COORDINATE_MAX, probe
from jpai_agent.vlm.confidence import AnswerProbability, Calibration, coordinate_values
from jpai_agent.vlm.families import family_of, require
from jpai_agent.vlm.grammar import PlanGrammars, TokenMask, plain_tokens, tokenizer_info
from jpai_agent.vlm.patience import check_patience
from jpai_agent.vlm.processors import LOCAL, load_processor, loading
from jpai_agent.vlm.prompt import check_prompt, in_parts, messages, plain_text, without_control, without_system
from jpai_agent.vlm.quantize import pack_for_cpu

log = logging.getLogger(__name__)

ANSWER_TOKENS_MAX = 640  # 320 cut off one answer of 6 000
_PATCH_PX = 32  # sides are rounded to multiples of it at most


class HfBackend:
    """A checkpoint folder run with transformers and torch, decoding greedily under the plan grammar.

    Args:
        folder: Local checkpoint of a family in `families`, or of any other that transformers knows. Its code, if any, is not run;
            weights must be safetensors. Or an adapter, whose base is loaded with it (`adapters`).
        threads: Of torch on the CPU.
        device: "cpu", "cuda" ...; None takes an accelerator where there is one.
        skills: Skills by robot name.
        find_codec: Show the model the probe image to find out how it writes points.

    Raises:
        VlmError: model_unavailable when transformers cannot load the folder, or lacks what its family needs.
    """

    def __init__(self, folder: Path, *, threads: int = 1, device: str | None = None, name: str = "",
                 skills: Callable[[str], Mapping[str, SkillSpec]] = skills_for, find_codec: bool = True) -> None:
        self.name = name or folder.name
        self._skills = skills
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if self.device == "cpu":
            torch.set_num_threads(threads)
        base = find_base(folder) if is_adapter(folder) else folder
        self.family = family_of(_model_type(base))
        require(self.family)
        with loading(base):
            self._processor: Any = load_processor(base)
            model: Any = AutoModelForImageTextToText.from_pretrained(base, use_safetensors=True, **LOCAL)
        if base != folder:
            lay_over(model, folder)
        self._model: Any = model.to(self.device).eval()
        if self.device == "cpu":
            pack_for_cpu(self._model, threads=threads)
        config = self._model.config
        self._tokenizer = self._processor.tokenizer
        self._encoder_decoder = bool(config.is_encoder_decoder)
        vocab_size = config.get_text_config().vocab_size
        known = self._tokenizer.get_vocab()
        self._stop = [self._tokenizer.eos_token_id, *(known[token] for token in self.family.stop if token in known)]
        self._grammars = PlanGrammars(tokenizer_info(self._tokenizer, vocab_size, self._stop))
        # numbers of other families may be cut anyhow: only the embedded kind's coordinates are known to be tokens
        tokens = plain_tokens(self._tokenizer, vocab_size) if self._encoder_decoder else [""] * vocab_size
        self._coordinates = coordinate_values(tokens)
        self.calibration = Calibration.load(folder)
        self.codec = CODECS[self.family.codec]
        self.codec_found: str | None = None
        if find_codec:
            self.codec_found = probe(self._ask, self.codec.name, self._seen_size).best
            self.codec = CODECS[self.codec_found or self.codec.name]

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The model's answer, its points in the project's convention. Raises VlmError."""
        request.check()
        answer = self._ask(request)
        size = self._seen_size(next(iter(request.images.values())))
        return replace(answer, text=self.codec.rewrite(answer.text, size))

    def warm(self, request: PlanRequest) -> None:
        """Compile the grammar and run the model once."""
        self.plan(request)

    @property
    def model(self) -> Any:
        """The loaded model, for training."""
        return self._model

    def lesson(self, request: PlanRequest, plan: str) -> tuple[dict[str, Any], list[int]]:
        """Inputs as `plan` makes them, and the tokens of the right answer: `plan` as the family writes it, and its end.

        Raises VlmError plan_error where the grammar would not let that answer be given.
        """
        request.check()
        skills = self._skills(request.robot)
        text = self.codec.unwrite(plan, self._seen_size(next(iter(request.images.values()))))
        answer = [*self._tokenizer.encode(text, add_special_tokens=False), self._ends()]
        mask = self._grammars.mask(self._grammars.compiled(skills, list(request.images), list(request.places)))
        if not all(mask.accept(token) for token in answer):
            raise VlmError("plan_error", f"the grammar of {request.robot}'s plans does not admit {text}")
        if len(answer) > ANSWER_TOKENS_MAX:
            raise VlmError("plan_error", f"the plan has {len(answer)} tokens, at most {ANSWER_TOKENS_MAX} are answered: {text}")
        return dict(self._inputs(request, skills)), answer

    def _ends(self) -> int:
        """The token that ends an answer: of the family's own the first that is known."""
        return self._stop[1] if len(self._stop) > 1 else self._stop[0]

    @torch.inference_mode()
    def _ask(self, request: PlanRequest) -> PlanAnswer:
        began = time.perf_counter()
        skills = self._skills(request.robot)
        grammar = self._grammars.compiled(skills, list(request.images), list(request.places))
        inputs = self._inputs(request, skills)
        prepared = time.perf_counter()
        constraint = _Constraint(self._grammars.mask(grammar), self._tokenizer, self._coordinates)
        output = self._model.generate(**inputs, max_new_tokens=ANSWER_TOKENS_MAX, do_sample=False, num_beams=1,
                                      eos_token_id=self._stop, logits_processor=LogitsProcessorList([constraint]))
        ended = time.perf_counter()
        skipped = 1 if self._encoder_decoder else inputs["input_ids"].shape[1]
        tokens = output[0, skipped:].tolist()
        if tokens[-1] not in self._stop:
            raise VlmError("plan_error", f"no end after {ANSWER_TOKENS_MAX} tokens")
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        spent = {"prepare": prepared - began, "decode": ended - prepared - constraint.mask.spent_s,
                 "grammar": constraint.mask.spent_s, "total": ended - began}
        probability = constraint.probability
        confidence = (None if self.calibration is None else self.calibration.confidence(
            request.robot, request.instruction, text, probability.decision, probability.answer))
        return PlanAnswer(text, confidence, {part: 1000 * seconds for part, seconds in spent.items()},
                          int(inputs["input_ids"].shape[1]), len(tokens), self.name, probability.answer,
                          probability.decision)

    def _inputs(self, request: PlanRequest, skills: Mapping[str, SkillSpec]) -> Any:
        # what people say is not to pass for an image or for the end of their turn
        request = without_control(request, self._tokenizer.all_special_tokens)
        size = self._seen_size(next(iter(request.images.values())))
        told = tuple(replace(turn, answer=self.codec.unwrite(turn.answer, size)) for turn in request.dialogue)
        turns = messages(replace(request, dialogue=told), skills, self.codec.in_words)
        images = [Image.fromarray(self._shown(image)) for image in request.images.values()]
        owner = self._processor if getattr(self._processor, "chat_template", None) else self._tokenizer
        if self.family.prompt == "plain" or not owner.chat_template:
            prompt = self._processor.image_token * len(images) + plain_text(turns)
            check_prompt(prompt, request.instruction)
            return self._processor(images=images, text=prompt, return_tensors="pt").to(self.device)
        if self.family.prompt == "chat_without_system":
            turns = without_system(turns)
        if owner is self._tokenizer:
            prompt = owner.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            check_prompt(prompt, request.instruction)
            return self._processor(images=images, text=prompt, return_tensors="pt").to(self.device)
        turns = in_parts(turns)
        check_prompt(owner.apply_chat_template(turns, tokenize=False, add_generation_prompt=True), request.instruction)
        # the processor knows which control tokens its own template has written already
        for part, image in zip(turns[-1]["content"], images, strict=False):
            part["image"] = image
        return owner.apply_chat_template(turns, tokenize=True, add_generation_prompt=True, return_dict=True,
                                         return_tensors="pt").to(self.device)

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """The frame, made smaller where a family counts pixels and would count further than the grammar admits."""
        side = max(image.shape[:2])
        if self.codec.name != "abs_px" or side <= COORDINATE_MAX - _PATCH_PX:
            return image
        scale = (COORDINATE_MAX - _PATCH_PX) / side
        height, width = (round(scale * length) for length in image.shape[:2])
        return np.asarray(Image.fromarray(image).resize((width, height)))

    def _seen_size(self, image: np.ndarray) -> tuple[int, int]:
        """(width, height) of the image as the processor resizes it, where it says so; else its own."""
        image = self._shown(image)
        height, width = image.shape[:2]
        if self.codec.name != "abs_px":
            return width, height
        processor: Any = self._processor.image_processor
        grid = processor(images=Image.fromarray(image), return_tensors="pt").get("image_grid_thw")
        if grid is None:
            return width, height
        _, rows, columns = grid[0].tolist()
        return columns * processor.patch_size, rows * processor.patch_size


class _Constraint(LogitsProcessor):
    """Holds generation to the grammar, batch of one, and keeps the answer's probability."""

    def __init__(self, mask: TokenMask, tokenizer: Any, coordinates: np.ndarray) -> None:
        self.mask = mask
        self.probability = AnswerProbability(coordinates)
        self._tokenizer = tokenizer
        self._begun = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        check_patience()
        if self._begun and not self.mask.accept(int(input_ids[0, -1])):
            raise VlmError("plan_error", "the model left the grammar")
        self._begun = True
        allowed = torch.from_numpy(self.mask.allowed()).to(scores.device)
        scores = scores.masked_fill(~allowed, float("-inf"))
        # decoding is greedy: the best token is the one that will be taken
        best = int(scores[0].argmax())
        self.probability.add(scores[0].float().cpu().numpy(), best, self._tokenizer.decode([best]))
        return scores


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VlmError("model_unavailable", f"{folder} has no config.json that names a model_type: {error}") from error
