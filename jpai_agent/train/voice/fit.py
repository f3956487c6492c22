"""Train the embedded recogniser: AdamW, CTC over characters and (half-way up) kana. Resumes where it was broken off."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional

from jpai_agent.train.voice.acoustics import Surroundings
from jpai_agent.train.voice.batches import Batch, Example, Hearing, Plain, ahead, batches, examples, padded
from jpai_agent.train.voice.model import TwoScripts, build, output_frames
from jpai_agent.train.voice.recordings import PER_SHARD, load
from jpai_agent.train.voice.sentences import alphabet, training_sentences
from jpai_agent.voice.letters import distance

_RATE = 1.6e-3
_WARM_STEPS = 120
_EASY_UNTIL = 1.6  # kana loss down to which only short sentences are heard, as they were spoken: CTC finds its feet sooner
_EASY_SHARE = 0.3  # of the recordings, the shortest
_KANA_WEIGHT = (0.6, 0.15)  # at the beginning, at the end
_SAVE_S, _CHECK_S = 240.0, 300.0


def fit(work: Path, minutes: float, seed: int = 0, limit: int | None = None, augmented: bool = True) -> None:
    """Train for `minutes` of wall time, restarts counted together; the rate falls to zero at the end of it.

    Under torchrun with several processes each learns from its share of the batches. Recordings that are made meanwhile are
    taken in at the next epoch. State: work/ckpt/fit.pt, a line of figures every so often in work/ckpt/fit.jsonl. `limit`:
    only so many recordings; `augmented` False: heard as they were spoken.
    """
    crew = _Crew()
    folder = work / "ckpt"
    folder.mkdir(parents=True, exist_ok=True)
    known = characters(folder / "alphabet.txt")
    model = TwoScripts(build(len(known), seed)).train()
    optimizer = torch.optim.AdamW(_groups(model), lr=_RATE, betas=(0.9, 0.98))
    step, epoch, before, heard_s, easy = 0, 0, 0.0, 0.0, True
    state = folder / "fit.pt"
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        step, epoch, before, heard_s = kept["step"], kept["epoch"] + 1, kept["elapsed_s"], kept["heard_s"]
        easy = kept["easy"]
    torch.manual_seed(seed + 1000 * crew.rank + step)
    hearing: Hearing | Plain = Plain()
    if augmented:
        others = [one.samples.astype(np.float32) / 32_768 for one in load(work / "training", 200)]
        hearing = Hearing(Surroundings.draw(seed + 5, others))
    check = examples(load(work / "validation", 160), known) if crew.rank == 0 else []
    begin = saved = checked = time.monotonic()
    losses: list[tuple[float, float]] = []

    def save() -> None:
        draft = state.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "epoch": epoch,
                    "elapsed_s": elapsed, "heard_s": heard_s, "easy": easy}, draft)
        draft.replace(state)

    found: list[Example] = []
    count, elapsed = -1, before
    while elapsed < 60 * minutes:
        now = int(crew.told(len(list((work / "training").glob("shard_*.npz")))))
        if now != count:
            count = now
            found = examples(load(work / "training", min(limit or 10**9, count * PER_SHARD)), known)
            if crew.rank == 0:
                print(f"{len(found)} recordings, {sum(one.recording.seconds for one in found) / 3600:.2f} h", flush=True)
        part = sorted(found, key=lambda one: one.recording.seconds)[:int(_EASY_SHARE * len(found))] if easy else found
        sounds_loss = 9.0
        for batch in ahead(batches(part, Plain() if easy else hearing, seed, epoch, (crew.rank, crew.size))):
            done = min(1.0, elapsed / (60 * minutes))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * min(1.0, (step + 1) / _WARM_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            weight = 0.8 if easy else _KANA_WEIGHT[0] + done * (_KANA_WEIGHT[1] - _KANA_WEIGHT[0])
            loss, kana_loss = losses_of(model, batch)
            optimizer.zero_grad(set_to_none=True)
            ((1 - weight) * loss + weight * kana_loss).backward()
            elapsed, told = crew.averaged(model, (before + time.monotonic() - begin, float(kana_loss.detach())))
            sounds_loss += 0.2 * (told - sounds_loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            losses.append((float(loss.detach()), float(kana_loss.detach())))
            step, heard_s = step + 1, heard_s + batch.seconds * crew.size
            now_s = time.monotonic()
            if crew.rank == 0 and step % 25 == 0:
                _tell(folder, step=step, epoch=epoch, minutes=round(elapsed / 60, 1), heard_h=round(heard_s / 3600, 2),
                      loss=_mean(losses, 0), kana=_mean(losses, 1), rate=round(optimizer.param_groups[0]["lr"], 6))
                losses.clear()
            if crew.rank == 0 and now_s - saved > _SAVE_S:
                save()
                saved = now_s
            if crew.rank == 0 and now_s - checked > _CHECK_S and check:
                checked = now_s
                _tell(folder, step=step, validation=round(greedy_error(model.recogniser, check, known), 4))
            if elapsed >= 60 * minutes or (easy and sounds_loss < _EASY_UNTIL):
                easy = easy and sounds_loss >= _EASY_UNTIL
                break
        epoch += 1
    if crew.rank == 0:
        save()
        if check:
            _tell(folder, step=step, validation=round(greedy_error(model.recogniser, check, known), 4), end=True)


class _Crew:
    """The processes that learn together: one alone, or those that torchrun started. They agree through the first one."""

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")

    def told(self, value: float) -> float:
        """The first process's value."""
        if self.size < 2:
            return value
        carried = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(carried, 0)
        return float(carried)

    def averaged(self, model: torch.nn.Module, values: tuple[float, float]) -> tuple[float, float]:
        """Gives every process the mean of all gradients; returns the means of their values."""
        if self.size < 2:
            return values
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([torch.tensor(values), *(g.reshape(-1) for g in grads)]) / self.size
        dist.all_reduce(flat)
        at = len(values)
        for grad in grads:
            grad.copy_(flat[at:at + grad.numel()].view_as(grad))
            at += grad.numel()
        return float(flat[0]), float(flat[1])


def characters(path: Path) -> str:
    """The alphabet of the training sentences, made once and kept at `path`."""
    if not path.is_file():
        path.write_text(alphabet(one.written for one in training_sentences()[0]), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def losses_of(model: TwoScripts, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """CTC losses per character and per kana, means over the batch."""
    frames = torch.from_numpy(batch.frames)
    mask = (torch.arange(int(frames.max()))[None] < frames[:, None]).long()
    with torch.autocast("cpu", torch.bfloat16):
        text, sounds = model(torch.from_numpy(batch.features), mask)
    lengths = output_frames(frames)
    return _ctc(text, lengths, batch.written), _ctc(sounds, 2 * lengths, batch.sounds)


def _ctc(scores: torch.Tensor, lengths: torch.Tensor, wanted: Sequence[tuple[int, ...]]) -> torch.Tensor:
    counts = torch.tensor([len(one) for one in wanted])
    flat = torch.tensor([i for one in wanted for i in one])
    return functional.ctc_loss(scores.transpose(0, 1), flat, lengths, counts, blank=scores.shape[-1] - 1, zero_infinity=True)


@torch.no_grad()
def greedy_error(recogniser: Any, check: Sequence[Example], known: str) -> float:
    """Character error rate of the likeliest characters, frame by frame, on clean recordings."""
    was = recogniser.training
    recogniser.eval()
    wrong = total = 0
    ordered = sorted(check, key=lambda one: one.recording.seconds)
    for begin in range(0, len(ordered), 32):
        part = ordered[begin:begin + 32]
        batch = padded([Plain().features(one.recording.samples) for one in part],
                       [one.written for one in part], [one.sounds for one in part])
        frames = torch.from_numpy(batch.frames)
        mask = (torch.arange(int(frames.max()))[None] < frames[:, None]).long()
        best = recogniser(input_features=torch.from_numpy(batch.features), attention_mask=mask).logits.argmax(-1)
        for row, count, one in zip(best, output_frames(frames), part, strict=True):
            ids = [int(i) for i in torch.unique_consecutive(row[: int(count)]) if int(i) < len(known)]
            wrong += distance(ids, list(one.written))
            total += len(one.written)
    recogniser.train(was)
    return wrong / max(total, 1)


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]


def _mean(losses: Sequence[tuple[float, float]], which: int) -> float:
    return round(float(np.mean([one[which] for one in losses])), 4)


def _tell(folder: Path, **figures: Any) -> None:
    line = json.dumps(figures)
    print(line, flush=True)
    with (folder / "fit.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")

