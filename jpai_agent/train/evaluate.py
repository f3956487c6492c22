"""How good the model is: greedy answers in batches, judged by parts, phenomenon, skill, author and pixel size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from jpai_agent.plan import ActionPlan, PlanError, SkillSpec, parse_plan
from jpai_agent.train.batch import Question
from jpai_agent.train.frames import FrameShard
from jpai_agent.train.sample import Sample
from jpai_agent.train.tokenizer import PlanCodec
from jpai_agent.train.trace import encode, gather_patches

MAX_ANSWER = 120
_ROW = 4
_FOREIGN_SHARE = 0.6  # a point in a cell that another object fills at least this far is not on its own object

PARTS = ("decision", "skills", "arguments", "labels", "point", "names", "whole")


@dataclass(frozen=True)
class Verdict:
    """One answer: PARTS by name; per point whether it hit, and its object's pixels.

    Two of the parts are there where they apply: "point" where points were due, "names" of a question that is rightly asked
    and should say what it is about or what is missing.

    `shard` has the frame that the sample is about.
    """

    sample: Sample
    text: str
    plan: ActionPlan | None
    parts: Mapping[str, bool]
    points: tuple[bool, ...] = ()
    pixels: tuple[int, ...] = ()
    shard: FrameShard | None = field(default=None, repr=False, compare=False)


@torch.no_grad()
def answer(
    model: Any, image_tokens: Tensor, rows: Sequence[int], questions: Sequence[Question], pad: int, eos: int, bos: int
) -> list[list[int]]:
    """Greedy answers, without a grammar, to questions over `image_tokens[rows]` (n, 241, d), as ids up to `</s>`."""
    batch, length = len(questions), max(len(q.prompt) for q in questions)
    prompt = torch.full((batch, length), pad)
    for b, question in enumerate(questions):
        prompt[b, : len(question.prompt)] = torch.tensor(question.prompt)
    cells = torch.arange(image_tokens.shape[1] - 1).expand(batch, -1)
    image = gather_patches(image_tokens, torch.tensor(rows), cells)
    layers, _, bias = encode(model, image, cells, prompt, prompt != pad)
    decoder = model.model.language_model.decoder
    mask = (bias[:, 0, 0] > -1).long()
    cache = EncoderDecoderCache(
        DynamicCache(config=model.config.text_config), DynamicCache(config=model.config.text_config)
    )
    last, done = torch.full((batch, 1), bos), torch.zeros(batch, dtype=torch.bool)
    answers: list[list[int]] = [[] for _ in range(batch)]
    for _ in range(MAX_ANSWER):
        out = decoder(
            input_ids=last,
            encoder_hidden_states=layers[-1],
            encoder_attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        )
        last = model.lm_head(out.last_hidden_state[:, -1:]).argmax(-1)
        for b, token in enumerate(last[:, 0].tolist()):
            if not done[b]:
                answers[b].append(token)
        done |= last[:, 0] == eos
        if done.all():
            break
    return answers


def judge(sample: Sample, text: str, shard: FrameShard, skills: Mapping[str, SkillSpec]) -> Verdict:
    """Compare an answer's text with the sample's plan."""
    try:
        plan: ActionPlan | None = parse_plan(text, skills)
    except PlanError:
        plan = None
    want = sample.plan
    parts = dict.fromkeys(("decision", "skills", "arguments", "labels", "whole"), False)
    pixels = tuple(int(shard.pixels[sample.frame, thing]) for thing in sample.targets)
    if pixels:
        parts["point"] = False
    if plan is None:
        return Verdict(sample, text, plan, parts, (False,) * len(pixels), pixels, shard)
    parts["decision"] = (plan.decision, plan.reason) == (want.decision, want.reason)
    parts["skills"] = parts["decision"] and [s.skill for s in plan.steps] == [s.skill for s in want.steps]
    points: list[bool] = [False] * len(pixels)
    if parts["decision"] and want.reply:
        parts["names"] = plan.reply == want.reply
    if parts["skills"]:
        parts["arguments"] = all(_plain(a) == _plain(b) for a, b in zip(plan.steps, want.steps, strict=False))
        pairs = [(a.target, b.target) for a, b in zip(plan.steps, want.steps, strict=False) if a.target and b.target]
        parts["labels"] = all(a.label == b.label for a, b in pairs)
        found = [a.point for a, b in pairs if b.point is not None]
        points = [
            point is not None and hits(point, shard, sample.frame, thing)
            for point, thing in zip(found, sample.targets, strict=False)
        ]
        if pixels:
            parts["point"] = all(points)
        parts["whole"] = parts["arguments"] and all(points)
    return Verdict(sample, text, plan, parts, tuple(points), pixels, shard)


def _plain(step: Any) -> tuple[Any, ...]:
    """What of a step must be equal: numbers, choices, text, place, whether it points; not where to, nor the label."""
    target = step.target
    kept = tuple(
        (k, round(v, 3) if isinstance(v, (int, float)) else v) for k, v in sorted(step.args.items()) if k != "target"
    )
    return step.skill, kept, None if target is None else (target.place, target.point is None)


def hits(point: tuple[int, int], shard: FrameShard, frame: int, thing: int) -> bool:
    """True when the point lies in what is visible of the object's box and not on another object's patch."""
    x0, y0, x1, y1 = shard.box[frame, thing]
    if not (x0 <= point[0] <= x1 and y0 <= point[1] <= y1):
        return False
    rows, columns = shard.cell_object.shape[1:]
    column, row = min(point[0] * columns // 1000, columns - 1), min(point[1] * rows // 1000, rows - 1)
    there = shard.cell_object[frame, row, column]
    return bool(there in (-1, thing) or shard.cell_fraction[frame, row, column] < _FOREIGN_SHARE)


def evaluate(
    model: Any,
    codec: PlanCodec,
    questions: Sequence[Question],
    shard: FrameShard,
    skills: Mapping[str, SkillSpec],
    tokens_of: Callable[[np.ndarray], Tensor],
    batch: int = 64,
) -> list[Verdict]:
    """Verdicts of all questions, in their order. `tokens_of` gives the image tokens `(n, 241, d)` of frame indices.

    Each frame is looked at once in a row of `_ROW` batches, in which questions of like length go together.
    """
    verdicts: dict[int, Verdict] = {}
    pad, bos = codec.vocabulary["<pad>"], codec.vocabulary["<s>"]
    for begin in range(0, len(questions), _ROW * batch):
        row = range(begin, min(begin + _ROW * batch, len(questions)))
        frames, which = np.unique([questions[i].sample.frame for i in row], return_inverse=True)
        with torch.no_grad():
            tokens = torch.cat([tokens_of(part) for part in np.array_split(frames, -(-len(frames) // batch))])
        ordered = sorted(row, key=lambda i: len(questions[i].prompt))
        for start in range(0, len(ordered), batch):
            part = ordered[start : start + batch]
            asked, rows = [questions[i] for i in part], [int(which[i - begin]) for i in part]
            for i, ids in zip(part, answer(model, tokens, rows, asked, pad, codec.eos, bos), strict=True):
                verdicts[i] = judge(questions[i].sample, codec.decode(ids), shard, skills)
    return [verdicts[i] for i in range(len(questions))]


def rates(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Share right per part, of the answers that the part applies to, and `n`."""
    table: dict[str, float] = {"n": len(verdicts)}
    for part in PARTS:
        known = [
            v.parts[part]
            for v in verdicts
            if part in v.parts and (part in ("decision", "names", "whole") or v.sample.plan.steps)
        ]
        table[part] = float(np.mean(known)) if known else float("nan")
    acted = [v for v in verdicts if v.sample.plan.decision == "act"]
    if acted:
        table["shy"] = float(np.mean([v.plan is None or v.plan.decision != "act" for v in acted]))
    rest = [v for v in verdicts if v.sample.plan.decision != "act"]
    if rest:
        table["rash"] = float(np.mean([v.plan is not None and v.plan.decision == "act" for v in rest]))
    return table


def groups(verdicts: Sequence[Verdict]) -> dict[str, dict[str, list[Verdict]]]:
    """The verdicts by author, tag, skill, decision and the smallest object pointed at (pixels of a 320×240 picture)."""
    sorted_by: dict[str, dict[str, list[Verdict]]] = {
        name: defaultdict(list) for name in ("author", "tag", "skill", "decision", "pixels")
    }
    for verdict in verdicts:
        sample = verdict.sample
        sorted_by["author"][sample.author].append(verdict)
        for tag in sample.tags or ("none",):
            sorted_by["tag"][tag].append(verdict)
        for skill in dict.fromkeys(step.skill for step in sample.plan.steps):
            sorted_by["skill"][skill].append(verdict)
        reason = f" {sample.plan.reason}" if sample.plan.reason else ""
        sorted_by["decision"][sample.plan.decision + reason].append(verdict)
        if verdict.pixels:
            smallest = min(verdict.pixels)
            edge = next((e for e in (100, 300, 1000, 3000) if smallest < e), None)
            sorted_by["pixels"][f"< {edge}" if edge else ">= 3000"].append(verdict)
    return sorted_by


def report(verdicts: Sequence[Verdict], beside: Sequence[Verdict] = ()) -> str:
    """Tables as text, in percent. `beside`: answers of the int8 export to the same questions, set beside those in fp32."""
    names = (*PARTS, "shy", "rash")
    told = {"decision": "int8 dec", "whole": "int8 whole"} if beside else {}
    head = "".join(f"{name:>11s}" for name in (*names, *told.values()))
    lines = [f"{'':26s}{'n':>6s}{head}"]

    def cells(part: Sequence[Verdict], columns: Iterable[str]) -> str:
        table = rates(part) if part else {}
        values = [table.get(name, float("nan")) for name in columns]
        return "".join(f"{100 * value:11.1f}" if value == value else f"{'–':>11s}" for value in values)

    lines.append(f"{'all':26s}{len(verdicts):6d}{cells(verdicts, names)}{cells(beside, told)}")
    others = groups(beside)
    for name, parts in groups(verdicts).items():
        lines.append(f"-- by {name}")
        lines += [f"{key[:26]:26s}{len(parts[key]):6d}{cells(parts[key], names)}{cells(others[name].get(key, []), told)}"
                  for key in sorted(parts)]
    if beside:
        lost = [a.parts["whole"] - b.parts["whole"] for a, b in zip(verdicts, beside, strict=True)]
        error = 100 * float(np.std(lost)) / len(lost) ** 0.5
        same = float(np.mean([a.text == b.text for a, b in zip(verdicts, beside, strict=True)]))
        lines.append(f"int8 loses {100 * float(np.mean(lost)):.2f} points of whole plans (standard error {error:.2f}, "
                     f"n {len(lost)}); {same:.1%} of the answers are the same to the letter")
    return "\n".join(lines)


def failures(verdicts: Sequence[Verdict], count: int) -> str:
    """The first `count` wrong answers, readable."""
    lines = []
    for verdict in [v for v in verdicts if not v.parts["whole"]][:count]:
        sample = verdict.sample
        before = f"{sample.earlier} {'?' if sample.question else '>>'} " if sample.earlier else ""
        lines += [
            (f"* {before}{sample.instruction}   [{sample.author}: {' '.join(sample.tags)}] frame {sample.frame} "
            f"targets {sample.targets} mentions {sample.mentions}"),
            f"    want {sample.plan.to_json()}",
            f"    got  {verdict.text}",
        ]
    return "\n".join(lines)
