"""Questions over frames as tensors: which patches to keep, prompts and answers as ids, and where heads should look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jpai_agent.plan import ActionPlan
from jpai_agent.train.frames import COLOR_NAMES, KIND_NAMES, FrameShard
from jpai_agent.train.losses import CHANNELS, IGNORE, MAX_TARGETS, Batch
from jpai_agent.train.model import GRID_H, GRID_W, PATCHES
from jpai_agent.train.sample import Sample
from jpai_agent.train.tokenizer import COORDINATES, STEP, PlanCodec, PromptCodec, clean, landmark_tokens

MAX_PROMPT, MAX_ANSWER = 112, 96
_LOOK_SPREAD_CELLS = 0.6  # how far around the point a head should look
_CARRY_CELLS = 1.0  # patches this near to their object's point in x and y must carry its coordinates


@dataclass(frozen=True)
class Question:
    """A sample as ids. `points` and `labels` are in the plan's order.

    Attributes:
        points: (answer index of x, object, x, y).
        labels: (answer index of the first character, characters, place in the prompt, object, target), -1 for none.
        maps: (start in the prompt, length, place in the prompt of the token that says the map has it, 0 where it has none) of
            words that name landmarks.
        copies: (answer index, start in the prompt, length) of spoken texts and numbers that the prompt holds as they are.
        counts: (start in the prompt, length, objects that fit: 0, 1 or 2 for more) of referring expressions.
    """

    sample: Sample
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    points: tuple[tuple[int, int, int, int], ...]
    labels: tuple[tuple[int, int, int, int, int], ...]
    counts: tuple[tuple[int, int, int], ...]
    copies: tuple[tuple[int, int, int], ...]
    maps: tuple[tuple[int, int, int], ...] = ()


class Collator:
    """Makes questions of samples and batches of questions, for one tokenizer."""

    def __init__(self, prompts: PromptCodec, plans: PlanCodec, bos: int, pad: int) -> None:
        self.prompts, self.plans, self.bos, self.pad = prompts, plans, bos, pad
        self.opens_point = {i for i, word in enumerate(plans.strings) if word.endswith('"point":[')}
        self.opens_label = {i for i, word in enumerate(plans.strings) if word.endswith('"label":"')}
        self.opens_value = {i for i, word in enumerate(plans.strings) if word.endswith(('":', '"text":"', '"reply":"'))}
        self.closes_text = {i for i, word in enumerate(plans.strings) if word.startswith('"')}

    def question(self, sample: Sample) -> Question | None:
        """The sample as ids; None when it is too long for the model."""
        prompt, start = self.prompts.encode(
            sample.instruction,
            speed_mps=sample.speed_mps,
            running=sample.running,
            earlier=sample.earlier,
            asked=sample.question,
            robot=sample.robot,
            places=sample.places,
        )
        answer = self.plans.encode(sample.plan)
        if len(prompt) > MAX_PROMPT or len(answer) > MAX_ANSWER:
            return None
        points: list[tuple[int, int, int, int]] = []
        labels: list[tuple[int, int, int, int, int]] = []
        targets, spans = iter(sample.targets), iter(sample.label_spans)
        steps = _targets_of(sample.plan)
        x_at = iter(index + 1 for index, token in enumerate(answer) if token in self.opens_point)
        label_at = iter(index + 1 for index, token in enumerate(answer) if token in self.opens_label)
        plain = clean(sample.instruction, 120) == sample.instruction
        for label, point in steps:
            thing = which = -1
            if point is not None:
                thing, which = next(targets, -1), len(points)
                points.append((next(x_at), thing, *point))
            if label:
                first, span = next(label_at), next(spans, (-1, -1))
                length = next(n for n, token in enumerate(answer[first:]) if token in self.closes_text)
                at = -1
                if plain and span[0] >= 0:
                    at = start + len(self.prompts._characters(sample.instruction[: span[0]]))
                    if list(prompt[at : at + length]) != list(answer[first : first + length]):
                        at = -1
                labels.append((first, length, at, thing, which))
        counts = [(at, length, 1) for _, length, at, thing, _ in labels if at >= 0 and thing >= 0]
        maps: list[tuple[int, int, int]] = []
        for first, last, fits, kind in sample.place_counts if plain else ():
            at = start + len(self.prompts._characters(sample.instruction[:first]))
            length = len(self.prompts._characters(sample.instruction[first:last]))
            counts.append((at, length, fits))
            told = [self.prompts.vocabulary[token] for token in landmark_tokens([p for p in sample.places if p.startswith(kind)])]
            maps.append((at, length, prompt.index(told[0]) if told else 0))
        rivals = {"not_found": 0, "ambiguous": 2}.get(sample.plan.reason or "")
        if rivals is not None and plain:
            for first, last in sample.label_spans[:1]:
                if 0 <= first < last:
                    at = start + len(self.prompts._characters(sample.instruction[:first]))
                    counts.append((at, len(self.prompts._characters(sample.instruction[first:last])), rivals))
        copies = self._copies(prompt, answer, start)
        return Question(sample, tuple(prompt), tuple(answer), tuple(points), tuple(labels), tuple(counts), copies,
                        tuple(maps))

    def _copies(self, prompt: Sequence[int], answer: Sequence[int], start: int) -> tuple[tuple[int, int, int], ...]:
        """Runs of characters after an opening of a text or number that stand once in the prompt from `start` on."""
        said = list(prompt[start:-1])
        found: list[tuple[int, int, int]] = []
        for index, token in enumerate(answer):
            if token not in self.opens_value:
                continue
            end = index + 1
            while end < len(answer) and len(self.plans.strings[answer[end]]) == 1:
                end += 1
            run = list(answer[index + 1 : end])
            words = "".join(self.plans.strings[i] for i in run)
            keep = len(words.removesuffix("}").removesuffix(".0"))
            first = 1 if words.startswith("-") else 0
            run = run[first:keep]
            places = [at for at in range(len(said) - len(run) + 1) if said[at : at + len(run)] == run] if run else []
            if len(places) == 1:
                found.append((index + 1 + first, start + places[0], len(run)))
        return tuple(found)

    def batch(
        self,
        questions: Sequence[Question],
        rows: Sequence[int],
        shard: FrameShard,
        patches: int,
        rng: np.random.Generator,
    ) -> Batch:
        """A batch over `patches` patches a question, objects' first; `rows`: their frames among the batch's."""
        size = len(questions)
        # few different shapes: the CPU's kernels are made anew for each
        prompt_length = _round_up(max(len(q.prompt) for q in questions), 16)
        answer_length = _round_up(max(len(q.answer) for q in questions), 8)
        prompt = np.full((size, prompt_length), self.pad)
        answer_in = np.full((size, answer_length), self.pad)
        answer_out = np.full((size, answer_length), IGNORE)
        cells = np.full((size, patches), -1)
        heat = np.zeros((size, CHANNELS, patches), dtype=np.float32)
        cell_point = np.full((size, patches, 2), -1)
        point_at, point_goal, span_at, span_words, span_kind, span_color, copy_at = ([] for _ in range(7))
        count_of, count_words, count, map_of, map_words, map_spot = ([] for _ in range(6))
        places = np.arange(prompt_length)
        for b, q in enumerate(questions):
            for at, length, fits in q.counts:
                count_of.append(b)
                count_words.append((places >= at) & (places < at + length))
                count.append(fits)
            for at, length, spot in q.maps:
                map_of.append(b)
                map_words.append((places >= at) & (places < at + length))
                map_spot.append(spot)
            prompt[b, : len(q.prompt)] = q.prompt
            answer_in[b, 0] = self.bos
            answer_in[b, 1 : len(q.answer)] = q.answer[:-1]
            answer_out[b, : len(q.answer)] = q.answer
            things = shard.cell_object[q.sample.frame].reshape(-1)
            kept = choose_patches(things, patches, rng)
            cells[b, : len(kept)] = kept
            on = things[kept]
            bins = np.clip(np.rint(shard.point[q.sample.frame] / STEP) - COORDINATES[0] // STEP, 0, len(COORDINATES) - 1)
            near = (np.abs(_gaps(kept, shard.point[q.sample.frame][on])) <= _CARRY_CELLS).all(-1) & (on >= 0)
            cell_point[b, : len(kept)] = np.where(near[:, None], bins[on], -1)
            heat[b, MAX_TARGETS, : len(kept)] = np.isin(on, q.sample.mentions)
            for which, (at, thing, x, y) in enumerate(q.points[:MAX_TARGETS]):
                mine = on == thing
                if thing < 0 or not mine.any():
                    continue
                heat[b, which, : len(kept)] = mine
                point_at.append((b, at, at + 2, which))
                point_goal.append(_goal(kept, mine, x, y, patches))
            for first, at, length in q.copies:
                copy_at += [(b, first + i, at + i) for i in range(length)]
            for first, length, at, thing, which in q.labels:
                if at < 0:
                    continue
                copy_at += [(b, first + i, at + i) for i in range(length)]
                if 0 <= which < MAX_TARGETS and thing >= 0 and heat[b, which].any():
                    span_at.append((b, which))
                    span_words.append((np.arange(prompt_length) >= at) & (np.arange(prompt_length) < at + length))
                    span_kind.append(shard.kind[q.sample.frame, thing])
                    span_color.append(shard.color[q.sample.frame, thing])

        def stack(values: list, width: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor(np.array(values), dtype=dtype) if values else torch.zeros((0, *width), dtype=dtype)

        return Batch(
            rows=torch.tensor(rows),
            cells=torch.tensor(cells),
            prompt=torch.tensor(prompt),
            prompt_mask=torch.tensor(prompt != self.pad),
            answer_in=torch.tensor(answer_in),
            answer_out=torch.tensor(answer_out),
            heat=torch.tensor(heat),
            point_at=stack(point_at, (4,), torch.long),
            point_goal=stack(point_goal, (patches,), torch.float),
            span_at=stack(span_at, (2,), torch.long),
            span_words=stack(span_words, (prompt_length,), torch.bool),
            span_kind=stack(span_kind, (), torch.long),
            span_color=stack(span_color, (), torch.long),
            copy_at=stack(copy_at, (3,), torch.long),
            cell_point=torch.tensor(cell_point),
            count_of=stack(count_of, (), torch.long),
            count_words=stack(count_words, (prompt_length,), torch.bool),
            count=stack(count, (), torch.long),
            map_of=stack(map_of, (), torch.long),
            map_words=stack(map_words, (prompt_length,), torch.bool),
            map_spot=stack(map_spot, (), torch.long),
        )


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step


def _targets_of(plan: ActionPlan) -> list[tuple[str | None, tuple[int, int] | None]]:
    """Label and point of each step that has any, in the plan's order."""
    return [
        (step.target.label, step.target.point) if step.target else (step.args["label"], None)
        for step in plan.steps
        if step.target or "label" in step.args
    ]


def _goal(kept: np.ndarray, mine: np.ndarray, x: int, y: int, patches: int) -> np.ndarray:
    """Where a head should look for a point: at its object's patches, those nearest to the point above all."""
    gap = _gaps(kept, np.array([x, y]))
    near = (gap**2).sum(-1)
    goal = np.zeros(patches, dtype=np.float32)
    goal[: len(kept)] = mine * np.exp((near[mine].min() - near) / (2 * _LOOK_SPREAD_CELLS**2))
    return goal / goal.sum()


def _gaps(kept: np.ndarray, points: np.ndarray) -> np.ndarray:
    """x and y from patches' middles to points (0..1000), in cells, (n, 2)."""
    middles = np.stack([kept % GRID_W + 0.5, kept // GRID_W + 0.5], axis=-1)
    return points / 1000 * [GRID_W, GRID_H] - middles


def choose_patches(things: np.ndarray, patches: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted grid indices of at most `patches` patches: those of objects, small objects' first, then some background.

    things: (PATCHES,) object of each patch, -1 for none.
    """
    if patches >= PATCHES:
        return np.arange(PATCHES)
    order = rng.permutation(PATCHES)
    shuffled = things[order]
    rank = np.full(PATCHES, PATCHES)
    for thing in np.unique(shuffled[shuffled >= 0]):
        mine = shuffled == thing
        rank[mine] = np.arange(mine.sum())
    objects = order[np.argsort(rank, kind="stable")]
    return np.sort(objects[:patches])


KINDS_KNOWN, COLORS_KNOWN = len(KIND_NAMES), len(COLOR_NAMES)
