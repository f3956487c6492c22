"""Training of the whole model: language and grounding on label patches, the tower in their place, everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jpai_agent.train.batch import COLORS_KNOWN, KINDS_KNOWN, Collator, Question
from jpai_agent.train.courses import Asks, Course, Group, Quiz, needs_picture, validation_samples
from jpai_agent.train.dense import DenseHeads, dense_labels, dense_loss
from jpai_agent.train.evaluate import Verdict, evaluate, rates
from jpai_agent.train.frames import FrameShard, load_shard, shard_paths
from jpai_agent.train.loop import Loop
from jpai_agent.train.losses import AnswerLoss, Batch, Probes, all_losses, total
from jpai_agent.train.model import build_model, build_processor, load_checkpoint, normalise, save_checkpoint
from jpai_agent.train.symbolic import SymbolicPatches, cell_features
from jpai_agent.train.tokenizer import PlanCodec, PromptCodec
from jpai_agent.train.trace import gather_patches, patch_embeddings, trace
from jpai_agent.train.warm import inherit, inherit_heads, inherit_probes

DENSE_WEIGHT = 0.3
# patches that a group's questions keep, and how often. Questions that words alone settle must see as many as the others:
# kept to fewer, they were answered right in 91 % with those and in 49 % with all patches in view
PATCHES_KEPT = {56: 0.35, 80: 0.45, 240: 0.2}
TOWER_RATE = 0.3  # of the base learning rate, in joint training


def best_so_far(folder: Path) -> float:
    """The share of whole plans right that a saved checkpoint's notes tell, -1 where there is none."""
    notes = folder / "training.json"
    return float(json.loads(notes.read_text(encoding="utf-8")).get("whole", -1.0)) if notes.is_file() else -1.0


class Trainer:
    """Everything that the stages share: model, tokenizer, probes, questions."""

    def __init__(self, tokenizer: Any, courses: Sequence[Course], out: Path, seed: int = 0) -> None:
        self.tokenizer, self.courses, self.out, self.seed = tokenizer, tuple(courses), out, seed
        self.codec = PlanCodec(tokenizer)
        vocabulary = self.codec.vocabulary
        self.collator = Collator(PromptCodec(tokenizer), self.codec, vocabulary["<s>"], vocabulary["<pad>"])
        self.model: Any = build_model(tokenizer, seed=seed)
        settings: Any = self.model.config
        width = settings.text_config.d_model
        self.probes = Probes(width, KINDS_KNOWN, COLORS_KNOWN)
        self.symbols = SymbolicPatches(width)
        self.heads = DenseHeads(settings.vision_config.embed_dim[-1])
        self.answer_loss = AnswerLoss(self.codec.coordinate_ids, len(vocabulary))

    def questions(
        self, asks: Asks, shard: FrameShard, frame: int, count: int, rng: np.random.Generator
    ) -> list[Question]:
        """Questions over one frame as ids."""
        made = (self.collator.question(sample) for sample in asks.samples(shard.record(frame), rng, count))
        return [question for question in made if question is not None]

    def sorted_questions(
        self, asks: Asks, shard: FrameShard, frames: Sequence[int], seeing: int, blind: int, rng: np.random.Generator
    ) -> tuple[list[tuple[int, Question]], list[tuple[int, Question]]]:
        """(row, question) pairs over the frames: `seeing` that need the picture, and up to `blind` that words alone settle."""
        see: list[tuple[int, Question]] = []
        rest: list[tuple[int, Question]] = []
        count = -(-(seeing + blind) // len(frames))
        for _ in range(4):
            for row, frame in enumerate(frames):
                for question in self.questions(asks, shard, frame, count, rng):
                    (see if needs_picture(question) else rest).append((row, question))
            if len(see) >= seeing and len(rest) >= blind:
                break
        rng.shuffle(see)
        rng.shuffle(rest)
        return see[:seeing], rest[:blind]

    def groups(
        self, frames: int, per_frame: int, rng: np.random.Generator, per_shard: int = 30, parts: int = 2
    ) -> Iterator[Group]:
        """Endless groups of `frames` frames with `per_frame` questions each, from the courses by their shares."""
        known = [course for course in self.courses if shard_paths(course.frames)]
        if not known:
            raise FileNotFoundError(f"no frames in {self.courses[0].frames}: render some with `jpai train data`")
        makers = [self._course_groups(course, frames, per_frame, rng, per_shard, parts) for course in known]
        shares = np.array([course.share for course in known])
        while True:
            yield next(makers[int(rng.choice(len(makers), p=shares / shares.sum()))])

    def _course_groups(
        self, course: Course, frames: int, per_frame: int, rng: np.random.Generator, per_shard: int, parts: int
    ) -> Iterator[Group]:
        """Groups of one course; takes in shards that are added meanwhile.

        Questions that need no picture go in a batch of their own, the others in `parts` batches from short to long.
        """
        blind = round(frames * per_frame * course.blind)
        seeing = frames * per_frame - blind
        while True:
            paths = shard_paths(course.frames)
            shard = load_shard(paths[int(rng.integers(len(paths)))])
            for _ in range(per_shard):
                chosen = np.sort(rng.choice(len(shard), size=min(frames, len(shard)), replace=False))
                see, rest = self.sorted_questions(course.asks, shard, chosen.tolist(), seeing, blind, rng)
                if len(see) < seeing:
                    continue
                patches = int(rng.choice(list(PATCHES_KEPT), p=list(PATCHES_KEPT.values())))
                see.sort(key=lambda pair: len(pair[1].prompt))
                step = -(-len(see) // parts)
                batches = [self._batch(see[at : at + step], shard, patches, rng) for at in range(0, len(see), step)]
                if rest:
                    batches.append(self._batch(rest, shard, patches, rng))
                yield Group(shard, chosen, batches)

    def _batch(
        self, asked: Sequence[tuple[int, Question]], shard: FrameShard, patches: int, rng: np.random.Generator
    ) -> Batch:
        rows, questions = zip(*asked, strict=False)
        return self.collator.batch(questions, rows, shard, patches, rng)

    def losses(self, tokens: Tensor, group: Group) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss and its parts for image tokens `(frames, 241, d)`, mean over the group's questions."""
        pairs = [(len(batch) / len(group), *self.loss(tokens, batch)) for batch in group.batches]
        parts = {name: torch.stack([share * part[name] for share, _, part in pairs]).sum() for name in pairs[0][2]}
        return torch.stack([share * loss for share, loss, _ in pairs]).sum(), parts

    def loss(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss of one batch and its parts."""
        seen = trace(
            self.model,
            gather_patches(tokens, batch.rows, batch.cells),
            batch.cells,
            batch.prompt,
            batch.prompt_mask,
            batch.answer_in,
        )
        losses = all_losses(self.model, seen, self.probes, self.answer_loss, batch)
        return total(losses), losses

    def symbolic_tokens(self, shard: FrameShard, frames: np.ndarray, rng: np.random.Generator | None) -> Tensor:
        """Image tokens made of labels, with errors where `rng` is given."""
        features = torch.tensor(cell_features(shard, frames, rng))
        return self.symbols(features, self.model.model.multi_modal_projector.image_proj_norm)

    def pixel_tokens(self, shard: FrameShard, frames: np.ndarray) -> Tensor:
        """Image tokens of pictures."""
        return patch_embeddings(self.model, normalise(torch.tensor(shard.frames[frames])))[1]

    def quizzes(self, count: int, per_frame: int = 4, seed: int = 1) -> list[Quiz]:
        """For each course with validation frames a quiz of `count` questions over the first of them."""
        made = []
        for course in self.courses:
            if paths := shard_paths(course.validation):
                shard, rng = load_shard(paths[0]), np.random.default_rng(seed)
                asked: list[Question] = []
                for frame in range(len(shard)):
                    if len(asked) >= count:
                        break
                    asked += self.questions(course.asks, shard, frame, per_frame, rng)
                made.append(Quiz(course, shard, asked[:count]))
        return made

    def check(self, quizzes: Sequence[Quiz], symbolic: bool) -> dict[str, float]:
        """Rates on the quizzes by robot; `whole` is their mean share of whole plans right."""
        self.model.eval()
        scores: dict[str, float] = {}
        for quiz in quizzes:

            def tokens_of(frames: np.ndarray, shard: FrameShard = quiz.shard) -> Tensor:
                return self.symbolic_tokens(shard, frames, None) if symbolic else self.pixel_tokens(shard, frames)

            with torch.autocast("cpu", torch.bfloat16):
                verdicts = evaluate(self.model, self.codec, quiz.questions, quiz.shard, quiz.course.skills, tokens_of)
            scores |= {f"{quiz.course.robot}_{name}": value for name, value in rates(verdicts).items()}
        self.model.train()
        return scores | {"whole": float(np.mean([scores[f"{quiz.course.robot}_whole"] for quiz in quizzes]))}

    def save(self, folder: Path, notes: dict[str, Any] | None = None) -> None:
        """Save the model as a checkpoint with its processor."""
        save_checkpoint(folder, self.model, build_processor(self.tokenizer), notes)

    def fit_symbolic(
        self,
        minutes: float,
        rate: float = 1e-3,
        frames: int = 16,
        per_frame: int = 4,
    ) -> None:
        """Language and grounding on label patches. State, curves and scores go to `out/symbolic.*`. Resumes."""
        language = self.model.model.language_model
        modules = {
            "language": language,
            "norm": self.model.model.multi_modal_projector.image_proj_norm,
            "probes": self.probes,
            "symbols": self.symbols,
        }
        parameters = [p for module in modules.values() for p in module.parameters()]
        loop = Loop(self.out, "symbolic", modules, [{"params": parameters, "lr": rate}], minutes * 60)
        rng = np.random.default_rng((self.seed, loop.rank, loop.step_count, 1))

        def losses_of(group: Group) -> tuple[Tensor, dict[str, Tensor], int]:
            with torch.autocast("cpu", torch.bfloat16):
                loss, parts = self.losses(self.symbolic_tokens(group.shard, group.frames, rng), group)
            return loss, parts, len(group)

        quizzes = self.quizzes(256)
        loop.run(
            self.groups(frames, per_frame, rng),
            losses_of,
            every_s=180.0,
            check=(lambda: self.check(quizzes, symbolic=True)) if quizzes else None,
        )

    def take_tower(self, frames: int = 400) -> float:
        """Load the pretrained tower and solve for the projection that gives label patches' tokens; the share explained.

        Closed form: ridge regression from the tower's features to the label embeddings before their norm. Its constant
        goes into the projector's position table, which is added before the projection.
        """
        state = torch.load(self.out / "tower.pt", map_location="cpu", weights_only=True)["modules"]
        self.model.model.vision_tower.load_state_dict(state["tower"])
        self.heads.load_state_dict(state["heads"])
        shard = load_shard(shard_paths(self.courses[0].frames)[0])
        inputs, goals, weights = [], [], []
        with torch.no_grad():
            for start in range(0, min(frames, len(shard)), 40):
                chosen = np.arange(start, min(start + 40, len(shard), frames))
                with torch.autocast("cpu", torch.bfloat16):
                    features = self.model.model.vision_tower(
                        normalise(torch.tensor(shard.frames[chosen]))
                    ).last_hidden_state
                inputs.append(features.float().flatten(2).transpose(1, 2).flatten(0, 1))
                goals.append(self.symbols.embed(torch.tensor(cell_features(shard, chosen))).flatten(0, 1))
                there = torch.tensor(shard.cell_object[chosen].reshape(-1) >= 0)
                weights.append(torch.where(there, 1.0, 0.2))
            x, y, w = torch.cat(inputs), torch.cat(goals), torch.cat(weights)[:, None]
            y = y - y.mean(1, keepdim=True)
            x1 = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
            gram = x1.T @ (w * x1)
            ridge = 1e-4 * gram.diagonal().mean() * torch.eye(x1.shape[1], dtype=torch.double)
            solution = torch.linalg.solve(gram + ridge, x1.T @ (w * y.double()))
            set_projection(self.model, solution[:-1].T.float(), solution[-1].float())
            left = (w * (y - (x1 @ solution).float()) ** 2).sum() / (w * (y - (w * y).sum(0) / w.sum()) ** 2).sum()
        return 1 - float(left)

    def load_symbolic(self) -> None:
        """Take over the modules of the symbolic stage."""
        state = torch.load(self.out / "symbolic.pt", map_location="cpu", weights_only=True)["modules"]
        self.model.model.language_model.load_state_dict(state["language"])
        self.model.model.multi_modal_projector.image_proj_norm.load_state_dict(state["norm"])
        self.probes.load_state_dict(state["probes"])
        self.symbols.load_state_dict(state["symbols"])

    def load_joint(self, name: str) -> None:
        """Take over the weights of an earlier joint run of that name, of whatever words, kinds and probes it knew."""
        state = torch.load(self.out / f"{name}.pt", map_location="cpu", weights_only=True)["modules"]
        words = json.loads((self.out / f"{name}.words.json").read_text(encoding="utf-8"))
        inherit(self.model, self.codec.strings, state["model"], words)
        inherit_heads(self.heads, state["heads"])
        inherit_probes(self.probes, state["probes"])

    def fit_joint(
        self,
        minutes: float,
        name: str = "joint",
        rate: float = 4e-4,
        frames: int = 4,
        per_frame: int = 16,
        thaw: float = 0.4,
        tower_rate: float = TOWER_RATE,
    ) -> None:
        """Everything on pictures.

        The tower stands still for the share `thaw` of the time, so that words and projection settle on what it tells; then
        it learns at `tower_rate` times the base rate. State, curves and scores go to `out/<name>.*`, the best checkpoint so
        far to `out/<name>`. Resumes.
        """
        tower = list(self.model.model.vision_tower.parameters()) + list(self.heads.parameters())
        rest = [p for p in self.model.parameters() if all(p is not q for q in tower)] + list(self.probes.parameters())
        loop = Loop(
            self.out,
            name,
            {"model": self.model, "probes": self.probes, "heads": self.heads},
            [{"params": rest, "lr": rate}, {"params": tower, "lr": rate * tower_rate}],
            minutes * 60,
        )
        if not loop.rank:
            words = json.dumps(self.codec.strings, ensure_ascii=False)
            (self.out / f"{name}.words.json").write_text(words, encoding="utf-8")
        rng = np.random.default_rng((self.seed, loop.rank, loop.step_count, 2))
        def losses_of(group: Group) -> tuple[Tensor, dict[str, Tensor], int]:
            pixels = normalise(torch.tensor(group.shard.frames[group.frames]))
            still = loop.used_s < thaw * loop.budget_s
            with torch.autocast("cpu", torch.bfloat16):
                with torch.set_grad_enabled(not still):
                    features = self.model.model.vision_tower(pixels).last_hidden_state
                loss, parts = self.losses(self.model.model.multi_modal_projector(features), group)
            if not still:
                dense = dense_loss(self.heads, features.float(), dense_labels(group.shard, group.frames))
                loss, parts = loss + DENSE_WEIGHT * dense["dense"], parts | {"dense": dense["dense"]}
            parts |= {f"{group.shard.robot}_answer": parts["answer"]}
            return loss, parts, len(group)

        quizzes = self.quizzes(240)
        best = best_so_far(self.out / name)

        def check() -> dict[str, float]:
            nonlocal best
            scores = self.check(quizzes, symbolic=False) if quizzes else {"whole": best + 1}
            if scores["whole"] > best:
                best = scores["whole"]
                self.save(self.out / name, {"stage": name, "seen": loop.seen, "minutes": loop.used_s / 60} | scores)
            return scores

        loop.run(self.groups(frames, per_frame, rng), losses_of, every_s=600.0, check=check)


def set_projection(model: Any, weight: Tensor, constant: Tensor) -> None:
    """Make the projector compute `weight @ feature + constant` before its norm (it has no bias of its own)."""
    projector = model.model.multi_modal_projector
    projector.image_projection.weight.copy_(weight)
    temporal = projector.visual_temporal_embed.pos_idx_to_embed[0]
    shift = torch.linalg.lstsq(weight.double(), constant.double()[:, None]).solution[:, 0].float() - temporal
    columns, rows = projector.image_position_embed.column_embeddings, projector.image_position_embed.row_embeddings
    # the table puts columns' embeddings in the first channels and rows' in the last
    columns.weight.copy_(shift[: columns.embedding_dim].expand_as(columns.weight))
    rows.weight.copy_(shift[columns.embedding_dim :].expand_as(rows.weight))


def characters_of(courses: Sequence[Course], samples: int = 12_000) -> list[str]:
    """What people say in many samples over each course's first shard: the characters that the tokenizer needs."""
    texts = []
    for course in courses:
        shard, rng = load_shard(shard_paths(course.frames)[0]), np.random.default_rng(5)
        texts += [
            text
            for frame in range(len(shard))
            for sample in course.asks.samples(shard.record(frame), rng, -(-samples // len(shard)))
            for text in (sample.instruction, sample.earlier)
        ]
    return texts


def evaluate_checkpoint(
    folder: Path,
    course: Course,
    count: int,
    per_frame: int = 2,
    seed: int = 7,
) -> list[Verdict]:
    """Verdicts of a saved checkpoint on `count` questions over the course's validation frames."""
    model, processor = load_checkpoint(folder)
    model.eval()
    codec = PlanCodec(processor.tokenizer)
    collator = Collator(PromptCodec(processor.tokenizer), codec, codec.vocabulary["<s>"], codec.vocabulary["<pad>"])
    verdicts: list[Verdict] = []
    for shard, samples in validation_samples(course, count, per_frame, seed):
        questions = [question for question in map(collator.question, samples) if question is not None]

        def tokens_of(frames: np.ndarray, pictures: np.ndarray = shard.frames) -> Tensor:
            return patch_embeddings(model, normalise(torch.tensor(pictures[frames])))[1]

        verdicts += evaluate(model, codec, questions, shard, course.skills, tokens_of)
    return verdicts
