"""Frames without pixels: labels of painted scenes, and patches made of labels in place of the image tower's features.

The language side learns on these first: they cost next to nothing, and what a perfect tower would see is exactly what
the words must be bound to.
"""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from jpai_agent.train import frames as rendered
from jpai_agent.train.frames import COLOR_NAMES, GRID_SIZE, KIND_NAMES, SIZE_NAMES, FrameShard
from jpai_agent.train.scenes import random_scene
from jpai_agent.world.objects import KINDS, ObjectSpec

KIND_CLASSES, COLOR_CLASSES, SIZE_CLASSES = len(KIND_NAMES) + 1, len(COLOR_NAMES) + 1, len(SIZE_NAMES) + 1
VALUES = 8  # fraction, two scales of the offset to the object's point, nearness to it, distance
FEATURES = KIND_CLASSES + COLOR_CLASSES + SIZE_CLASSES + VALUES
_MASK_SIZE = (320, 240)
_ROUND_SIDES = 12


def paint_shard(count: int, seed: int, robot: str = "cart") -> FrameShard:
    """A shard of `count` random scenes with labels but no pictures: solids are painted as outlines, far ones first."""
    rows, scenes = [], []
    for index in range(count):
        scene = random_scene(np.random.default_rng((seed, index)), robot)
        mask = np.full((_MASK_SIZE[1], _MASK_SIZE[0]), -1, dtype=np.int32)
        order = sorted(
            range(len(scene.objects)), key=lambda i: -math.dist(scene.objects[i].pose[:2], scene.robot_pose[:2])
        )
        for i in order:
            outline = project_solid(scene.objects[i], scene.robot_pose, robot)
            if outline is not None:
                cv2.fillConvexPoly(mask, outline, i)
        rows.append(rendered._labels(scene, mask, GRID_SIZE))
        scenes.append(json.dumps(scene.to_dict(), ensure_ascii=False))
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays["cell_fraction"] = arrays["cell_fraction"].astype(np.float32) / 255
    return FrameShard(frames=np.zeros((count, 0, 0, 3), dtype=np.uint8), scenes=tuple(scenes), robot=robot, **arrays)


def project_solid(
    thing: ObjectSpec, robot_pose: tuple[float, float, float], robot: str = "cart"
) -> np.ndarray | None:
    """Convex outline (n, 1, 2) int32 of the object's solid in a 320×240 picture; None when not before the camera."""
    camera = rendered.front_camera(robot)
    x, y, heading = rendered.relative_pose(robot_pose, thing.pose)
    width, depth, height = thing.dimensions_m
    if KINDS[thing.kind].shape == "box":
        ground = [(sx * depth / 2, sy * width / 2) for sx in (-1, 1) for sy in (-1, 1)]
    else:
        angles = np.arange(_ROUND_SIDES) * (2 * math.pi / _ROUND_SIDES)
        ground = [(depth / 2 * math.cos(a), depth / 2 * math.sin(a)) for a in angles]
    corners = np.array([(px, py, z) for px, py in ground for z in (0.0, height)])
    forward = corners[:, 0] * math.cos(heading) - corners[:, 1] * math.sin(heading) + x - camera.position_m[0]
    left = corners[:, 0] * math.sin(heading) + corners[:, 1] * math.cos(heading) + y - camera.position_m[1]
    up = corners[:, 2] - camera.position_m[2]
    pitch = math.radians(camera.pitch_deg)
    ahead = forward * math.cos(pitch) - up * math.sin(pitch)
    if ahead.min() < 0.1:
        return None
    down = -forward * math.sin(pitch) - up * math.cos(pitch)
    focal = _MASK_SIZE[0] / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    plane = np.stack([-left / ahead, down / ahead], axis=1) * focal + [_MASK_SIZE[0] / 2, _MASK_SIZE[1] / 2]
    return cv2.convexHull(np.rint(plane).astype(np.int32))


def cell_features(shard: FrameShard, indices: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """What a perfect tower would tell of each patch, `(n, PATCHES, FEATURES)` float32; with `rng` it errs at times."""
    n = len(indices)
    kind = shard.cell_kind[indices].reshape(n, -1) + 1
    color = shard.cell_color[indices].reshape(n, -1) + 1
    size = shard.cell_size[indices].reshape(n, -1) + 1
    fraction = shard.cell_fraction[indices].reshape(n, -1)
    offset = shard.cell_offset[indices].reshape(n, -1, 2)
    distance = shard.cell_distance[indices].reshape(n, -1)
    there = kind > 0
    if rng is not None:
        missed = there & (rng.random(kind.shape) < 0.3 * np.exp(-fraction / 0.08))
        kind, color, size = (np.where(missed, 0, labels) for labels in (kind, color, size))
        kind = np.where((kind > 0) & (rng.random(kind.shape) < 0.04), rng.integers(0, KIND_CLASSES, kind.shape), kind)
        color = np.where(
            (color > 0) & (rng.random(kind.shape) < 0.02), rng.integers(0, COLOR_CLASSES, kind.shape), color
        )
        size = np.where((size > 0) & (rng.random(kind.shape) < 0.08), rng.integers(0, SIZE_CLASSES, kind.shape), size)
        there = kind > 0
        offset = (offset + rng.normal(0, 0.08, offset.shape) * (1 + np.abs(offset))) * there[..., None]
        distance = distance * np.exp(rng.normal(0, 0.06, distance.shape)) * there
        fraction = fraction * there
    near = np.exp(-(offset**2).sum(-1)) * there
    values = np.stack(
        [
            fraction,
            *np.clip(offset / 3, -1.5, 1.5).transpose(2, 0, 1),
            *np.tanh(2 * offset).transpose(2, 0, 1),
            near,
            distance / 8,
            np.where(distance > 0, 1 / np.maximum(distance, 0.5), 0),
        ],
        axis=-1,
    )
    parts = [
        np.eye(classes, dtype=np.float32)[labels]
        for labels, classes in ((kind, KIND_CLASSES), (color, COLOR_CLASSES), (size, SIZE_CLASSES))
    ]
    return np.concatenate([*parts, values.astype(np.float32)], axis=-1)


class SymbolicPatches(nn.Module):
    """Label features as image tokens, through the model's own norm, so that a projected tower can take their place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES, width)
        nn.init.normal_(self.embed.weight, std=1.0)

    def forward(self, features: Tensor, norm: nn.Module) -> Tensor:
        """`(n, PATCHES, FEATURES)` to image tokens `(n, 1 + PATCHES, d)`, the pooled one first."""
        tokens = self.embed(features)
        return norm(torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1))
