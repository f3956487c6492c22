"""Fine-tune a model of the user's own on reviewed examples: LoRA by peft on the language part, one adapter as the result.

Everything is told by the step: which examples, in which order, at which rate. A run that was broken off therefore goes on as if
it had not been, and several processes (torchrun) share the examples of each step and add up their gradients, so that they learn
what one would. Nothing is fetched and nothing is sent.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from jpai_agent.train.own import Example, digest
from jpai_agent.vlm import VlmError
from jpai_agent.vlm.adapters import base_of, is_adapter
from jpai_agent.vlm.hf_backend import HfBackend
from jpai_agent.vlm.manifest import write_manifest

STATE, HISTORY = "tuning.pt", "tuning.jsonl"
SAVE_EVERY_S = 60.0
WARMUP_SHARE, FLOOR = 0.05, 0.1
CLIP = 1.0
# in the names of what sees or hears, and of what chooses experts: left as it is
_LEFT = ("vis", "image", "patch", "projector", "connector", "audio", "embed", "router")


@dataclass(frozen=True)
class Settings:
    """How an adapter is trained. rank, alpha: of LoRA. rate: highest. batch: examples of a step, over all processes."""

    rank: int = 16
    alpha: int = 32
    rate: float = 2e-4
    epochs: int = 4
    batch: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha, self.epochs, self.batch) < 1 or not 0 < self.rate < 1:
            raise ValueError(f"rank, alpha, epochs and batch are at least 1, the rate is between 0 and 1: {self}")


def join() -> tuple[int, int]:
    """(rank, processes); joins torchrun's group where there is one, over gloo, or nccl between accelerators."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return int(os.environ.get("RANK", "0")), world


def device() -> str:
    """The accelerator of this process, or the processor."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def layers_to_tune(model: Any) -> list[str]:
    """Names of the linear layers of a model's language part, its output layer left out."""
    output = model.get_output_embeddings()
    return [name for name, module in model.named_modules()
            if type(module) is nn.Linear and module is not output and not any(part in name for part in _LEFT)]


def answer_loss(backend: HfBackend, example: Example) -> Tensor:
    """Mean cross entropy of the tokens of the right answer, each told all before it.

    Raises VlmError where the plan cannot be answered under the grammar.
    """
    inputs, answer = backend.lesson(example.request(), example.plan.to_json())
    ids = torch.tensor([answer], device=backend.device)
    return functional.cross_entropy(answer_logits(backend, inputs, ids)[0].float(), ids[0])


def answer_logits(backend: HfBackend, inputs: dict[str, Any], ids: Tensor) -> Tensor:
    """What the model would say at each token of an answer `ids` (1, n) that it was made to give: (1, n, vocabulary)."""
    model = backend.model
    if model.config.is_encoder_decoder:
        start = torch.full_like(ids[:, :1], model.generation_config.decoder_start_token_id or model.config.decoder_start_token_id)
        return model(**inputs, decoder_input_ids=torch.cat([start, ids[:, :-1]], 1), use_cache=False).logits
    prompt = inputs["input_ids"].shape[1]
    return model(**with_answer(inputs, ids, backend.family.answer_type), use_cache=False).logits[:, prompt - 1 : -1]


def with_answer(inputs: dict[str, Any], ids: Tensor, answer_type: int = 0) -> dict[str, Any]:
    """The inputs with the answer (1, n) after the prompt: attended to, and words, not pictures."""
    length = inputs["input_ids"].shape[1]
    tails = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.full_like(ids, answer_type)}
    longer = {}
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.dim() == 2 and value.shape == (1, length):
            tail = tails.get(name, torch.zeros_like(ids)).to(value.dtype)
            longer[name] = torch.cat([value, tail], 1)
        else:
            longer[name] = value
    return longer


class Tuner:
    """Trains an adapter on examples.

    Args:
        checkpoint: A whole checkpoint, not quantized. name: to call it by in the adapter.
        examples: Reviewed ones. out: where `adapter`, the state and the curve go.

    Raises:
        VlmError: The checkpoint cannot be loaded, is quantized or altered; a plan cannot be answered under the grammar; the state
            in `out` is of another run. ModuleNotFoundError: peft is not installed.
    """

    def __init__(self, checkpoint: Path, examples: Sequence[Example], out: Path, settings: Settings = Settings(), *,
                 name: str = "", threads: int = 1) -> None:
        self.rank, self.world = join()
        self.settings, self.examples, self.out = settings, list(examples), out
        if is_adapter(checkpoint) or _quantized(checkpoint):
            what = "an adapter" if is_adapter(checkpoint) else "quantized"
            raise VlmError("bad_request", f"{checkpoint} is {what}: fine-tune the whole checkpoint in full precision, then take "
                                          "in the result: jpai models add OUT/adapter --bits 8")
        self.base = base_of(checkpoint, name)
        self.backend = HfBackend(checkpoint, threads=threads, device=device())
        for example in self.examples:
            self._teachable(example)
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(settings.seed)
        config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, bias="none",
                            target_modules=layers_to_tune(self.backend.model))
        self.tuned: Any = get_peft_model(self.backend.model, config).eval()
        # not the folder on this machine
        config.base_model_name_or_path = self.base.name
        self.parameters = {key: value for key, value in self.tuned.named_parameters() if value.requires_grad}
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=settings.rate, weight_decay=0.0)
        self.per_epoch = math.ceil(len(self.examples) / settings.batch)
        self.steps = self.per_epoch * settings.epochs
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._about = {"settings": asdict(settings), "base": self.base.sha256, "examples": digest(self.examples)}
        out.mkdir(parents=True, exist_ok=True)
        if (out / STATE).is_file():
            self._restore()

    def run(self, until: int | None = None, tell: Callable[[str], Any] = print) -> Path:
        """Train to the last step, or to step `until`; the adapter's folder, which is written at the last step."""
        saved = time.monotonic()
        while self.step < min(self.steps, until if until is not None else self.steps):
            began = time.monotonic()
            loss, norm = self._one_step()
            row = {"step": self.step, "of": self.steps, "loss": round(loss, 4), "norm": round(norm, 4),
                   "seconds": round(time.monotonic() - began, 2)}
            if not self.rank:
                self.history.append(row)
                tell("  ".join(f"{key} {value}" for key, value in row.items()))
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self.save()
                    saved = time.monotonic()
        if not self.rank:
            self.save()
            if self.step == self.steps:
                self._write_adapter()
        if self.world > 1:
            dist.barrier()
        return self.out / "adapter"

    def loss(self) -> float:
        """Mean loss over all examples."""
        with torch.no_grad():
            return float(np.mean([float(answer_loss(self.backend, example)) for example in self.examples]))

    def save(self) -> None:
        """Write all that is needed to go on; the file before stays until the new one is whole."""
        part = self.out / f"{STATE}.part"
        torch.save({"about": self._about, "step": self.step, "history": self.history,
                    "adapter": {key: value.detach().cpu() for key, value in self.parameters.items()},
                    "optimizer": self.optimizer.state_dict()}, part)
        part.replace(self.out / STATE)
        lines = "".join(json.dumps(row) + "\n" for row in self.history)
        (self.out / HISTORY).write_text(lines, encoding="utf-8")

    def _restore(self) -> None:
        state = torch.load(self.out / STATE, map_location="cpu", weights_only=True)
        for key, what in (("base", "on another checkpoint, or this one was altered since"),
                          ("examples", "with other examples"), ("settings", "with other settings")):
            if state["about"][key] != self._about[key]:
                raise VlmError("bad_request", f"the fine-tuning in {self.out} was begun {what}: give another --out, or move it "
                                              "away")
        with torch.no_grad():
            for key, value in state["adapter"].items():
                self.parameters[key].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.history = state["step"], state["history"]

    def _one_step(self) -> tuple[float, float]:
        chosen = self._chosen(self.step)
        rate = self._rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        total = torch.zeros((), device=self.backend.device)
        for index in chosen[self.rank :: self.world]:
            loss = answer_loss(self.backend, self.examples[index]) / len(chosen)
            loss.backward()
            total += loss.detach()
        if self.world > 1:
            self._add_up(total)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), CLIP)
        self.optimizer.step()
        self.step += 1
        return float(total), float(norm)

    def _add_up(self, total: Tensor) -> None:
        """Make the gradients and the loss of all processes those of each."""
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        flat = torch.cat([total.reshape(1).float(), *(gradient.reshape(-1).float() for gradient in gradients)])
        dist.all_reduce(flat)
        total.copy_(flat[0])
        parts = flat[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _chosen(self, step: int) -> list[int]:
        epoch, at = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.examples))
        return order[at * self.settings.batch : (at + 1) * self.settings.batch].tolist()

    def _rate(self, step: int) -> float:
        """A short rise, then a cosine down to FLOOR of the highest rate."""
        rise = max(1, round(WARMUP_SHARE * self.steps))
        share = min(1.0, step / max(1, self.steps))
        return self.settings.rate * min(1.0, (step + 1) / rise) * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))

    def _teachable(self, example: Example) -> None:
        try:
            self.backend.lesson(example.request(), example.plan.to_json())
        except VlmError as error:
            raise VlmError(error.reason_code, f"example {example.id}: {error}") from error

    def _write_adapter(self) -> None:
        folder = self.out / "adapter"
        folder.mkdir(exist_ok=True)
        # True would ask a hub whether the words are the base's own
        self.tuned.save_pretrained(folder, save_embedding_layers=False)
        card = folder / "README.md"
        lost = [row["loss"] for row in self.history]
        card.write_text(f"LoRA adapter for {self.base.name}, trained on {len(self.examples)} reviewed examples in {self.steps} "
                        f"steps; loss {lost[0]:.3f} → {lost[-1]:.3f}.\n", encoding="utf-8")
        self.base.write(folder)
        for path in folder.iterdir():
            path.chmod(0o644)
        count = sum(parameter.numel() for parameter in self.parameters.values())
        about = {"base": self.base.name, "base_sha256": self.base.sha256, "examples": len(self.examples), "steps": self.steps,
                 "settings": asdict(self.settings), "points": self.backend.codec.name, "family": self.backend.family.name}
        write_manifest(folder, f"{self.base.name}-tuned", "1", license_id="unknown", bits=32, parameters=count, card=about,
                       model_type=self.backend.model.config.model_type)


def _quantized(checkpoint: Path) -> bool:
    try:
        return "quantization_config" in json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VlmError("model_missing", f"{checkpoint} holds no checkpoint: config.json cannot be read ({error})") from error
