"""Continue the embedded model on reviewed examples, among rendered frames so that it keeps what it knows.

The joint training of `fit` and `loop` with another mixture of groups. The image tower stands still, and of the losses those
remain that need no labels of every thing in view: a person says where the target is, not what else is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer

from jpai_agent.train.batch import Question
from jpai_agent.train.courses import Asks, Course, Group
from jpai_agent.train.fit import Trainer
from jpai_agent.train.frames import GRID_SIZE, IMAGE_SIZE, FrameShard
from jpai_agent.train.loop import Loop
from jpai_agent.train.losses import AUXILIARY_WEIGHTS, Batch, attention_losses, carry_loss
from jpai_agent.train.model import PATCHES, load_checkpoint, normalise
from jpai_agent.train.own import Example, ExamplesError
from jpai_agent.train.sample import Sample
from jpai_agent.train.tokenizer import NOW, clean
from jpai_agent.train.trace import gather_patches, trace
from jpai_agent.vlm import verify
from jpai_agent.vlm.export import load_dequantized
from jpai_agent.vlm.manifest import MANIFEST
from jpai_agent.world.objects import LANDMARKS

_REACH_CELLS = 0.75  # patches whose middle is this near to a point in x and y belong to its thing
_NAMED = "own"
_NAMING = '"reason":"ambiguous","reply":"'  # ends the token that begins a question with words of its own


def is_embedded_kind(folder: Path) -> bool:
    """Whether a checkpoint speaks as the embedded model does: its prompt is made of control tokens of its own."""
    words = folder / "tokenizer.json"
    return words.is_file() and NOW in words.read_text(encoding="utf-8")


class OwnTrainer(Trainer):
    """Trains a checkpoint of the embedded kind on examples and on rendered frames.

    Args:
        checkpoint: In full precision, or as it is shipped, in 8 bits. examples: Reviewed ones.
        courses: With rendered frames. out: where state, curves and the checkpoint `model` go.
        share: Of the steps that are on the user's examples.

    Raises:
        ExamplesError: An example has a plan, a place or words that this model has no tokens for. VlmError: altered files.
    """

    def __init__(self, checkpoint: Path, examples: Sequence[Example], courses: Sequence[Course], out: Path, *, share: float = 0.3,
                 seed: int = 0) -> None:
        if (checkpoint / MANIFEST).is_file():
            verify(checkpoint)
        super().__init__(AutoTokenizer.from_pretrained(checkpoint, local_files_only=True), courses, out, seed)
        shipped = (checkpoint / "onnx").is_dir()
        self.model = load_dequantized(checkpoint) if shipped else load_checkpoint(checkpoint)[0]
        self.model.train()
        self.share = share
        # models that were made before questions named what they are about have no words for it
        self._names = any(word.endswith(_NAMING) for word in self.codec.strings)
        self.own_shard, samples = shard_of(examples)
        made = [self.collator.question(self._sayable(sample)) for sample in samples]
        wrong = [f"{example.id}: {why}" for example, question in zip(examples, made, strict=True)
                 if (why := self._why_not(example, question))]
        if wrong:
            raise ExamplesError(f"examples that {checkpoint.name} cannot say: " + "; ".join(wrong))
        self.own = [question for question in made if question is not None]

    def questions(self, asks: Asks, shard: FrameShard, frame: int, count: int, rng: np.random.Generator) -> list[Question]:
        """Questions over one frame as ids, answered in words that this model has."""
        made = (self.collator.question(self._sayable(sample)) for sample in asks.samples(shard.record(frame), rng, count))
        return [question for question in made if question is not None]

    def _sayable(self, sample: Sample) -> Sample:
        return sample if self._names else replace(sample, plan=replace(sample.plan, reply=None))

    def _why_not(self, example: Example, question: Question | None) -> str:
        if question is None:
            return "instruction or plan is too long for it"
        if self.codec.unk in question.answer:
            return f"it has no tokens for all of {example.plan.to_json()}"
        return ""

    def loss(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """As the joint training's, without what it reads from probes."""
        seen = trace(self.model, gather_patches(tokens, batch.rows, batch.cells), batch.cells, batch.prompt, batch.prompt_mask,
                     batch.answer_in)
        parts = {"answer": self.answer_loss(seen.logits, batch.answer_out),
                 "carry": carry_loss(self.model, seen, self.answer_loss, batch)} | attention_losses(seen, batch)
        return parts["answer"] + sum(AUXILIARY_WEIGHTS[name] * part for name, part in parts.items() if name != "answer"), parts

    def own_group(self, rng: np.random.Generator, frames: int = 16) -> Group:
        """Some of the user's examples."""
        chosen = np.sort(rng.choice(len(self.own), size=min(frames, len(self.own)), replace=False))
        rows = [self.own[index].sample.frame for index in chosen]
        # nobody has said what else is in view, so nothing of it may be left out
        batch = self.collator.batch([self.own[index] for index in chosen], range(len(rows)), self.own_shard, PATCHES, rng)
        return Group(self.own_shard, np.array(rows), [batch])

    def mixed(self, frames: int, per_frame: int, rng: np.random.Generator) -> Iterator[Group]:
        """Endless groups, the user's own by their share. Raises FileNotFoundError where others are wanted and none rendered."""
        rendered = self.groups(frames, per_frame, rng) if self.share < 1 else None
        while True:
            own = rendered is None or rng.random() < self.share
            yield self.own_group(rng) if own else next(rendered)  # type: ignore[arg-type]

    def tune(self, minutes: float, rate: float = 1e-4, frames: int = 4, per_frame: int = 16) -> Path:
        """Train for a budget of wall time, restarts counted together; the folder of the checkpoint that comes of it. Resumes."""
        self.model.model.vision_tower.requires_grad_(False)
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        loop = Loop(self.out, _NAMED, {"model": self.model}, [{"params": learning, "lr": rate}], minutes * 60)
        rng = np.random.default_rng((self.seed, loop.rank, loop.step_count, 3))

        def losses_of(group: Group) -> tuple[Tensor, dict[str, Tensor], int]:
            pixels = normalise(torch.tensor(group.shard.frames[group.frames]))
            with torch.autocast("cpu", torch.bfloat16):
                with torch.no_grad():
                    features = self.model.model.vision_tower(pixels).last_hidden_state
                loss, parts = self.losses(self.model.model.multi_modal_projector(features), group)
            kind = "own" if group.shard is self.own_shard else group.shard.robot
            return loss, parts | {f"{kind}_answer": parts["answer"]}, len(group)

        quizzes = self.quizzes(120) if self.share < 1 else []
        check = (lambda: self.check(quizzes, symbolic=False)) if quizzes else None
        if check is not None and not loop.rank and not loop.step_count:
            print("before: " + "  ".join(f"{name} {value:.3f}" for name, value in check().items()), flush=True)
        loop.run(self.mixed(frames, per_frame, rng), losses_of, every_s=600.0, check=check)
        folder = self.out / "model"
        if not loop.rank:
            notes: dict[str, Any] = {"stage": _NAMED, "seen": loop.seen, "minutes": loop.used_s / 60, "examples": len(self.own)}
            self.save(folder, notes)
        return folder


def shard_of(examples: Sequence[Example]) -> tuple[FrameShard, list[Sample]]:
    """The examples' frames with a thing of unknown kind at each point of their plans, and what is said over them."""
    columns, rows = GRID_SIZE
    count, most = len(examples), max(1, *(len(_points(example)) for example in examples))
    frames = np.zeros((count, IMAGE_SIZE[1], IMAGE_SIZE[0], 3), np.uint8)
    point = np.zeros((count, most, 2), np.int16)
    things = np.full((count, rows, columns), -1, np.int8)
    middles = np.stack(np.broadcast_arrays(np.arange(columns)[None] + 0.5, np.arange(rows)[:, None] + 0.5), -1)
    samples = []
    for index, example in enumerate(examples):
        # as the checkpoint's own processor does it
        frames[index] = np.asarray(Image.fromarray(example.picture()).resize(IMAGE_SIZE, Image.Resampling.BILINEAR))
        found = _points(example)
        which = {spot: number for number, spot in enumerate(dict.fromkeys(found))}
        for spot, number in which.items():
            point[index, number] = spot
            near = np.abs(middles - np.array(spot) / 1000 * [columns, rows]) <= _REACH_CELLS
            things[index][near.all(-1)] = number
        samples.append(_sample(index, example, tuple(which[spot] for spot in found)))
    unknown = np.full((count, most), -1, np.int8)
    none = np.zeros((count, most), np.float32)
    return FrameShard(frames, unknown, unknown, unknown, np.zeros((count, most, 3), np.float32), none.astype(np.int32), none,
                      np.zeros((count, most, 4), np.int16), point, things, np.zeros(things.shape, np.float32), ("",) * count,
                      "own"), samples


def _points(example: Example) -> list[tuple[int, int]]:
    return [step.target.point for step in example.plan.steps if step.target is not None and step.target.point is not None]


def _sample(index: int, example: Example, targets: tuple[int, ...]) -> Sample:
    said = clean(example.said, 120)
    labels = [step.target.label if step.target else step.args["label"] for step in example.plan.steps
              if (step.target and step.target.label) or "label" in step.args]
    starts = [said.find(str(label)) for label in labels]
    before = example.earlier[-1] if example.earlier else None
    return Sample(
        index, example.said, example.plan, before.user if before else "", bool(before and '"decision":"ask"' in before.answer),
        example.running, example.speed_mps, targets, tuple(dict.fromkeys(targets)),
        tuple((at, at + len(str(label))) if at >= 0 else (-1, -1) for at, label in zip(starts, labels, strict=True)),
        robot=example.robot, places=tuple(place for place in example.places or {} if place.rpartition("_")[0] in LANDMARKS
                                          or place in LANDMARKS))
