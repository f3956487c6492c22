"""Pretraining of the image tower: every patch tells kind, colour, size, offset to its object's point and distance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jpai_agent.train.frames import FrameShard, load_shard, shard_paths
from jpai_agent.train.loop import Loop
from jpai_agent.train.model import normalise
from jpai_agent.train.symbolic import COLOR_CLASSES, KIND_CLASSES, SIZE_CLASSES

OFFSET_SCALE = 3.0
DISTANCE_SCALE_M = 8.0
BACKGROUND_WEIGHT = 0.25


class DenseHeads(nn.Module):
    """Linear read-outs of the tower's features `(n, channels, rows, columns)`; thrown away after training.

    Without a norm of their own, so that what they read is also there for the model's projection, which is linear too.
    """

    SPLIT = (KIND_CLASSES, COLOR_CLASSES, SIZE_CLASSES, 1, 2, 1)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Linear(channels, sum(self.SPLIT))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Kind, colour and size logits, fraction, offset and log distance, each `(n, patches, …)`."""
        return self.read(features.flatten(2).transpose(1, 2)).float().split(self.SPLIT, dim=-1)


def dense_labels(shard: FrameShard, indices: np.ndarray) -> dict[str, Tensor]:
    """Labels of frames, each `(n, patches, …)`: kind, color, size (0 = none), fraction, offset, distance, weight."""
    n = len(indices)

    def take(values: np.ndarray) -> np.ndarray:
        return values[indices].reshape(n, -1)

    fraction = take(shard.cell_fraction).astype(np.float32)
    kind = take(shard.cell_kind).astype(np.int64) + 1
    weight = np.where(kind > 0, np.minimum(1.0, 0.15 + 2 * fraction), BACKGROUND_WEIGHT)
    return {
        "kind": torch.tensor(kind),
        "color": torch.tensor(take(shard.cell_color).astype(np.int64) + 1),
        "size": torch.tensor(take(shard.cell_size).astype(np.int64) + 1),
        "fraction": torch.tensor(fraction),
        "offset": torch.tensor(shard.cell_offset[indices].reshape(n, -1, 2) / OFFSET_SCALE).clamp(-2, 2),
        "distance": torch.tensor(np.log1p(take(shard.cell_distance) / DISTANCE_SCALE_M), dtype=torch.float32),
        "weight": torch.tensor(weight, dtype=torch.float32),
    }


def mirror(pixels: np.ndarray, labels: dict[str, Tensor], columns: int) -> tuple[np.ndarray, dict[str, Tensor]]:
    """Pictures `(n, h, w, 3)` and labels seen in a mirror."""
    flipped = {}
    for name, value in labels.items():
        grid = value.unflatten(1, (-1, columns)).flip(2).flatten(1, 2)
        flipped[name] = grid * torch.tensor([-1.0, 1.0]) if name == "offset" else grid
    return pixels[:, :, ::-1], flipped


def dense_loss(heads: DenseHeads, features: Tensor, labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weighted losses by name; `dense` is their sum."""
    kind, color, size, fraction, offset, distance = heads(features)
    weight, there = labels["weight"], labels["weight"] * (labels["kind"] > 0)
    solid = there.sum().clamp_min(1)

    def classes(logits: Tensor, goal: Tensor, by: Tensor) -> Tensor:
        return (
            functional.cross_entropy(logits.transpose(1, 2), goal, reduction="none") * by
        ).sum() / by.sum().clamp_min(1)

    losses = {
        "kind": classes(kind, labels["kind"], weight),
        "color": classes(color, labels["color"], weight),
        "size": classes(size, labels["size"], there),
        "fraction": functional.smooth_l1_loss(fraction[..., 0], labels["fraction"], beta=0.1) * 4,
        "offset": (
            functional.smooth_l1_loss(offset, labels["offset"], beta=0.1, reduction="none").sum(-1) * there
        ).sum()
        / solid,
        "distance": (
            functional.smooth_l1_loss(distance[..., 0], labels["distance"], beta=0.1, reduction="none") * there
        ).sum()
        / solid,
    }
    return losses | {
        "dense": losses["kind"]
        + losses["color"]
        + 0.3 * losses["size"]
        + losses["fraction"]
        + 2 * losses["offset"]
        + losses["distance"]
    }


@torch.no_grad()
def dense_scores(
    tower: Any, heads: DenseHeads, shard: FrameShard, frames: int = 256, batch: int = 32
) -> dict[str, float]:
    """Shares of cells told right that objects fill by over 30 %, by under 15 %, and of background; offset error."""
    sums: dict[str, float] = {}
    totals: dict[str, float] = {}
    for start in range(0, min(frames, len(shard)), batch):
        indices = np.arange(start, min(start + batch, len(shard), frames))
        with torch.autocast("cpu", torch.bfloat16):
            features = tower(normalise(torch.tensor(shard.frames[indices]))).last_hidden_state
            kind, color, size, _, offset, _ = heads(features)
        labels = dense_labels(shard, indices)
        solid = (labels["kind"] > 0) & (labels["fraction"] > 0.3)
        small = (labels["kind"] > 0) & (labels["fraction"] < 0.15)
        error = ((offset - labels["offset"]) * OFFSET_SCALE).norm(dim=-1)
        rows = {
            "kind": ((kind.argmax(-1) == labels["kind"]), solid),
            "color": ((color.argmax(-1) == labels["color"]), solid),
            "size": ((size.argmax(-1) == labels["size"]), solid),
            "offset_cells": (error, solid & (labels["offset"].norm(dim=-1) < 0.7)),
            "kind_small": ((kind.argmax(-1) == labels["kind"]), small),
            "color_small": ((color.argmax(-1) == labels["color"]), small),
            "background": (kind.argmax(-1) == 0, labels["kind"] == 0),
        }
        for name, (values, mask) in rows.items():
            sums[name] = sums.get(name, 0.0) + float((values.float() * mask).sum())
            totals[name] = totals.get(name, 0.0) + float(mask.sum())
    return {name: sums[name] / max(1.0, totals[name]) for name in sums}


def picture_batches(
    folder: Path, size: int, rng: np.random.Generator, per_shard: int = 20
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Endless batches of pictures and labels, half of them mirrored; takes in shards that are added meanwhile."""
    while True:
        paths = shard_paths(folder)
        if not paths:
            raise FileNotFoundError(f"no frames in {folder}: render some with `jpai train data`")
        shard = load_shard(paths[int(rng.integers(len(paths)))])
        for _ in range(per_shard):
            indices = np.sort(rng.choice(len(shard), size=min(size, len(shard)), replace=False))
            pixels, labels = shard.frames[indices], dense_labels(shard, indices)
            if rng.random() < 0.5:
                pixels, labels = mirror(pixels, labels, shard.cell_object.shape[2])
            yield np.ascontiguousarray(pixels), labels


def pretrain(
    model: Any,
    frames: Path,
    validation: Path,
    out: Path,
    minutes: float,
    batch: int = 16,
    rate: float = 1.5e-3,
    seed: int = 0,
) -> DenseHeads:
    """Train `model`'s image tower on dense labels; state, curves and scores go to `out/tower.*`. Resumes."""
    tower = model.model.vision_tower
    heads = DenseHeads(model.config.vision_config.embed_dim[-1])
    loop = Loop(
        out,
        "tower",
        {"tower": tower, "heads": heads},
        [{"params": [*tower.parameters(), *heads.parameters()], "lr": rate}],
        minutes * 60,
    )
    rng = np.random.default_rng((seed, loop.rank, loop.step_count))

    def losses_of(item: tuple[np.ndarray, dict[str, Tensor]]) -> tuple[Tensor, dict[str, Tensor], int]:
        pixels, labels = item
        with torch.autocast("cpu", torch.bfloat16):
            features = tower(normalise(torch.tensor(pixels))).last_hidden_state
        losses = dense_loss(heads, features.float(), labels)
        return losses["dense"], losses, len(pixels)

    def check() -> dict[str, float]:
        paths = shard_paths(validation)
        return dense_scores(tower, heads, load_shard(paths[0])) if paths else {}

    loop.run(picture_batches(frames, batch, rng), losses_of, every_s=240.0, check=check)
    return heads
