"""Train the spotter, choose its threshold and export it.

    python -m jpai_agent.train.voice.spotting_fit record     speak stop words and what sounds like them
    python -m jpai_agent.train.voice.spotting_fit fit        train; goes on where it was broken off
    python -m jpai_agent.train.voice.spotting_fit export     choose the threshold on the validation voices, write the model

`jpai train voice data` has spoken the corpus before.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from jpai_agent.train.voice.recordings import record
from jpai_agent.train.voice.spotting import PHONEMES, Mixer, Stream, Take, load_takes, surroundings
from jpai_agent.train.voice.spotting_model import SpotterNet, export
from jpai_agent.train.voice.spotting_words import WORDS, alike, own, stops
from jpai_agent.train.voice.voices import TRAINING_VOICES, VALIDATION_VOICES
from jpai_agent.voice.spotter import ABOUT_FILE, BLOCK_S, MODEL_FILE

WORK, MODEL = Path(".cache/voice"), Path("models/voice")
BATCH, FRESH, POOL = 12, 3, 1600
PEAK_RATE, WARM_STEPS = 2e-3, 50
STOP_WEIGHT, SOUNDS_WEIGHT, SOUNDS_EVERY = 2.0, 0.12, 3
STORE_EVERY_S = 60.0
# from here on the recogniser is asked: that is cheap, so that next to none is missed
SUSPECTED, LIKELY = 0.3, 0.85


def record_all(work: Path = WORK) -> None:
    """Speak what only the spotter needs, in one process (5 minutes of a core); goes on where it was broken off."""
    validation = stops(Random(5), 384) + alike(Random(6), 256) + own(Random(1))
    record(validation, VALIDATION_VOICES, work / "spotting_validation", 2_000_000, 1)
    record(stops(Random(7), 3072), TRAINING_VOICES, work / "spotting_stops", 2_100_000, 1)
    record(alike(Random(8), 2304) + own(Random(1)) * 4, TRAINING_VOICES, work / "spotting_alike", 2_200_000, 1)


def mixer(work: Path, validation: bool = False, corpus: int = 4500) -> Mixer:
    """Of the recordings below `work`, at most `corpus` of the corpus. Raises FileNotFoundError where some are missing."""
    if validation:
        takes = load_takes(work / "spotting_validation")
        words, other = [one for one in takes if one.kind == "stop"], [one for one in takes if one.kind != "stop"]
        spoken = load_takes(work / "validation", corpus)
    else:
        words, other = load_takes(work / "spotting_stops"), load_takes(work / "spotting_alike")
        spoken = load_takes(work / "training", corpus)
    pools: dict[str, list[Take]] = {"stop": words, "alike": other, "corpus": spoken}
    for name, pool in pools.items():
        if not pool:
            raise FileNotFoundError(f"no recordings of {name} below {work}")
    return Mixer(pools, surroundings(32 if validation else 31, spoken))


@dataclass
class Fit:
    """A training that can be gone on with.

    Attributes:
        net: The network. step: how many have been taken.
    """

    net: SpotterNet
    optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def open(cls, path: Path) -> Fit:
        """As stored in `path`, or a new one."""
        torch.manual_seed(4)
        net = SpotterNet(len(WORDS), len(PHONEMES))
        fit = cls(net, torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.02))
        if path.is_file():
            stored = torch.load(path, weights_only=True)
            fit.net.load_state_dict(stored["net"])
            fit.optimizer.load_state_dict(stored["optimizer"])
            fit.step = int(stored["step"])
        return fit

    def store(self, path: Path) -> None:
        """Write all of it to `path`."""
        draft = path.with_suffix(".part")
        torch.save({"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}, draft)
        draft.replace(path)

    def learn(self, streams: list[Stream], rate: float, rng: np.random.Generator) -> tuple[float, float]:
        """One step at a learning rate; the two losses."""
        self.net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        frames = torch.from_numpy(np.stack([_masked(one.frames, rng) for one in streams]))
        labels = torch.from_numpy(np.stack([one.labels for one in streams])).long()
        words, sounds, _ = self.net(frames)
        weights = torch.ones(words.shape[2])
        weights[1:] = STOP_WEIGHT
        loss = F.cross_entropy(words.reshape(-1, words.shape[2]), labels.reshape(-1), weights, ignore_index=-1)
        total, ctc = loss, torch.zeros(())
        if self.step % SOUNDS_EVERY == 0:
            ctc = _sounds_loss(sounds, streams)
            total = loss + SOUNDS_WEIGHT * ctc
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach()), float(ctc.detach())


def _sounds_loss(sounds: torch.Tensor, streams: list[Stream]) -> torch.Tensor:
    spoken = [i for i, one in enumerate(streams) if len(one.sounds)]
    if not spoken:
        return torch.zeros(())
    targets = torch.from_numpy(np.concatenate([streams[i].sounds for i in spoken])).long()
    lengths = torch.tensor([len(streams[i].sounds) for i in spoken])
    heard = F.log_softmax(sounds[spoken], 2).transpose(0, 1)
    return F.ctc_loss(heard, targets, torch.full((len(spoken),), heard.shape[0]), lengths, zero_infinity=True)


def _masked(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    frames = frames.astype(np.float32)
    if rng.random() < 0.4:
        low = int(rng.integers(0, frames.shape[1] - 6))
        frames[:, low:low + int(rng.integers(1, 7))] = 0.0
    return frames


def fit(work: Path = WORK, minutes: float = 40.0) -> Fit:
    """Train for so long; the rate falls to nothing towards the end, and rises again where more is trained."""
    made = Fit.open(work / "spotter.pt")
    mix = mixer(work)
    rng = np.random.default_rng(1000 + made.step)
    pool: deque[Stream] = deque((mix.stream(rng) for _ in range(6 * BATCH)), maxlen=POOL)
    begun = stored = time.monotonic()
    first, spent = made.step, 0.0
    losses: deque[tuple[float, float]] = deque(maxlen=100)
    while spent < 1.0:
        pool.extend(mix.stream(rng) for _ in range(FRESH))
        rate = PEAK_RATE * min(1.0, (made.step - first + 1) / WARM_STEPS) * (1.0 - spent)
        losses.append(made.learn([pool[int(i)] for i in rng.integers(len(pool), size=BATCH)], rate, rng))
        if made.step % 50 == 0:
            words, sounds = np.mean(losses, axis=0)
            sounds *= SOUNDS_EVERY
            print(f"step {made.step}: words {words:.4f}, sounds {sounds:.3f}, {time.monotonic() - begun:.0f} s", flush=True)
        if time.monotonic() - stored > STORE_EVERY_S:
            made.store(work / "spotter.pt")
            stored = time.monotonic()
        spent = (time.monotonic() - begun) / (60 * minutes)
    made.store(work / "spotter.pt")
    return made


def judge(net: SpotterNet, streams: list[Stream], thresholds: np.ndarray) -> list[dict[str, float]]:
    """For each threshold: the share of stops that are told in their time, and false ones in an hour of everything else."""
    net.eval()
    rows = []
    with torch.inference_mode():
        likely = [1 - F.softmax(net(torch.from_numpy(one.frames.astype(np.float32))[None])[0][0], 1)[:, 0].numpy()
                  for one in streams]
    smooth = [(p + np.concatenate([[0.0], p[:-1]])) / 2 for p in likely]
    hours = sum(len(one.labels) for one in streams) * BLOCK_S / 3600
    for threshold in thresholds:
        told = due = false = 0
        for one, p in zip(streams, smooth, strict=True):
            stop = one.labels > 0
            begins = np.flatnonzero(stop & ~np.concatenate([[False], stop[:-1]]))
            over = p >= threshold
            false += int((np.diff(np.concatenate([[0], (over & (one.labels == 0)).astype(int)])) == 1).sum())
            for begin in begins:
                # from where it may be told until it must have been
                early = begin
                while early > 0 and one.labels[early - 1] == -1:
                    early -= 1
                due, told = due + 1, told + bool(over[early:begin + 6].any())
        rows.append({"threshold": round(float(threshold), 3), "recall": told / max(due, 1), "n": due,
                     "false_per_h": false / hours})
    return rows


def write(work: Path = WORK, out: Path = MODEL, false_per_h: float = 2.0) -> list[dict[str, float]]:
    """Export with the lowest threshold for being certain that gives at most so many false ones an hour of validation streams,
    which are mostly words that sound alike."""
    made = Fit.open(work / "spotter.pt")
    mix = mixer(work, validation=True, corpus=500)
    rng = np.random.default_rng(77)
    thresholds = np.array([*np.arange(0.1, 0.95, 0.05), 0.95, 0.97, 0.99, 0.995, 0.998, 0.999])
    rows = judge(made.net, [mix.stream(rng) for _ in range(400)], thresholds)
    good = [row for row in rows if row["false_per_h"] <= false_per_h]
    chosen = good[0] if good else rows[-1]
    out.mkdir(parents=True, exist_ok=True)
    export(made.net, out / MODEL_FILE)
    about: dict[str, Any] = {"words": list(WORDS), "suspected": SUSPECTED, "likely": LIKELY, "certain": chosen["threshold"],
                             "steps": made.step, "validation": chosen}
    (out / ABOUT_FILE).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return rows


def main(arguments: list[str]) -> int:
    """One of the three steps."""
    torch.set_num_threads(1)
    what = arguments[0] if arguments else ""
    if what == "record":
        record_all()
    elif what == "fit":
        fit(minutes=float(arguments[1]) if len(arguments) > 1 else 40.0)
    elif what == "export":
        for row in write():
            print(row)
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
