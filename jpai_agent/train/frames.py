"""Render random scenes into shards of frames with labels for pointing and dense pretraining, and read them back.

A shard of N frames is two files: `shard_00000.frames.npy` (the pictures, memory-mapped when read) and
`shard_00000.npz` (all else); the second is written last, so where it exists the shard is complete. Pictures are the
full 4:3 view of the front camera squeezed into IMAGE_SIZE; image coordinates are integers 0..1000 over the picture,
origin top left.
"""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jpai_agent.train.scenes import MAX_OBJECTS, Scene, random_scene
from jpai_agent.train.views import ROLES, FrameRecord, ObjectView
from jpai_agent.world.objects import COLORS, KINDS, SIZES, ObjectSpec
from jpai_agent.world.robot import CameraSpec, load_robot

IMAGE_SIZE = (320, 192)  # (width, height) in pixels
GRID_SIZE = (20, 12)  # (columns, rows)
SHARD_FRAMES = {"cart": 1000, "car": 250}
KIND_NAMES, COLOR_NAMES, SIZE_NAMES = tuple(KINDS), tuple(COLORS), SIZES
_RENDER_SIZE, _MASK_SIZE = (640, 480), (320, 240)


@dataclass(frozen=True)
class FrameShard:
    """Arrays of N frames with up to M = MAX_OBJECTS objects each; unused object rows have kind −1.

    Attributes:
        frames: (N, height, width, 3) uint8 RGB, memory-mapped.
        kind, color, size: (N, M) int8 indices into KIND_NAMES, COLOR_NAMES, SIZE_NAMES, −1 for none.
        position: (N, M, 3) float32 forward_m, left_m of the centre in base_link, heading_rad relative to the robot.
        pixels: (N, M) int32 visible pixels of a 320×240 picture. share: (N, M) float32, see ObjectView.
        box: (N, M, 4) int16 x0, y0, x1, y1 of what is visible. point: (N, M, 2) int16 on a visible pixel. Both 0..1000.
        cell_object: (N, rows, columns) int8 index of the object with most pixels in a cell, −1 for none.
        cell_fraction: (N, rows, columns) float32 share of the cell that it covers.
        scenes: N scenes as JSON text (DESIGN section 7). robot: whose front camera took the frames.
        role: (N, M) int8 indices into ROLES.
    """

    frames: np.ndarray
    kind: np.ndarray
    color: np.ndarray
    size: np.ndarray
    position: np.ndarray
    pixels: np.ndarray
    share: np.ndarray
    box: np.ndarray
    point: np.ndarray
    cell_object: np.ndarray
    cell_fraction: np.ndarray
    scenes: tuple[str, ...]
    robot: str = "cart"
    role: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def cell_kind(self) -> np.ndarray:
        """(N, rows, columns) int8 index into KIND_NAMES of the cell's object, −1 for none."""
        return self._of_cell(self.kind, -1)

    @cached_property
    def cell_color(self) -> np.ndarray:
        """(N, rows, columns) int8 index into COLOR_NAMES, −1 for none."""
        return self._of_cell(self.color, -1)

    @cached_property
    def cell_size(self) -> np.ndarray:
        """(N, rows, columns) int8 index into SIZE_NAMES, −1 for none."""
        return self._of_cell(self.size, -1)

    @cached_property
    def cell_distance(self) -> np.ndarray:
        """(N, rows, columns) float32 metres along the floor from base_link to the object's centre, 0 for none."""
        return self._of_cell(np.hypot(self.position[..., 0], self.position[..., 1]), 0.0)

    @cached_property
    def cell_offset(self) -> np.ndarray:
        """(N, rows, columns, 2) float32 x, y from the cell's middle to its object's point, in cells; 0 for none."""
        rows, columns = self.cell_object.shape[1:]
        at = np.stack(np.broadcast_arrays(np.arange(columns)[None, :] + 0.5, np.arange(rows)[:, None] + 0.5), axis=-1)
        where = self.cell_object[..., None]
        points = self.point.astype(np.float32) / 1000 * [columns, rows]
        found = np.take_along_axis(points, np.maximum(where, 0).reshape(len(self), -1, 1),
                                   axis=1).reshape(*where.shape[:3], 2)
        return np.where(where >= 0, found - at, 0.0).astype(np.float32)

    def record(self, index: int) -> FrameRecord:
        """Frame `index` as the instruction generator takes it."""
        roles = [0] * self.kind.shape[1] if self.role is None else self.role[index].tolist()
        return FrameRecord(index, tuple(
            ObjectView(KIND_NAMES[k], COLOR_NAMES[c], SIZE_NAMES[z], forward, left, heading, pixels, share, tuple(box),
                       tuple(point), ROLES[role])
            for k, c, z, (forward, left, heading), pixels, share, box, point, role in zip(
                self.kind[index].tolist(), self.color[index].tolist(), self.size[index].tolist(),
                self.position[index].tolist(), self.pixels[index].tolist(), self.share[index].tolist(),
                self.box[index].tolist(), self.point[index].tolist(), roles, strict=True)
            if k >= 0), self.robot)

    def _of_cell(self, values: np.ndarray, none: float) -> np.ndarray:
        rows, columns = self.cell_object.shape[1:]
        flat = self.cell_object.reshape(len(self), -1)
        got = np.take_along_axis(values, np.maximum(flat, 0), axis=1)
        return np.where(flat >= 0, got, none).astype(values.dtype).reshape(len(self), rows, columns)


@lru_cache(maxsize=4)
def front_camera(robot: str) -> CameraSpec:
    """The camera that takes the robot's frames."""
    return load_robot(robot).camera("front")


def load_shard(path: str | Path) -> FrameShard:
    """Read a shard by its .npz file. Raises FileNotFoundError, and KeyError when it is of another format."""
    path = Path(path)
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    text = arrays.pop("scenes").tobytes().decode()
    robot = arrays.pop("robot").tobytes().decode() if "robot" in arrays else "cart"
    arrays["cell_fraction"] = arrays["cell_fraction"].astype(np.float32) / 255
    return FrameShard(frames=np.load(path.with_suffix("").with_suffix(".frames.npy"), mmap_mode="r"),
                      scenes=tuple(text.splitlines()), robot=robot, **arrays)


def shard_paths(folder: str | Path) -> list[Path]:
    """The complete shards of a folder in order."""
    return sorted(Path(folder).glob("shard_*.npz"))


def make_frames(out: str | Path, frames: int, seed: int, jobs: int = 1, shard_frames: int | None = None,
                image_size: tuple[int, int] = IMAGE_SIZE, grid_size: tuple[int, int] = GRID_SIZE,
                robot: str = "cart") -> list[Path]:
    """Render `frames` frames of the robot's world into shards below `out`; those that exist are kept. Returns all paths.

    Frame i of shard s depends on (seed, s, i) only, whatever `jobs` (processes) is. Resumes where it was broken off.
    """
    folder, shard_frames = Path(out), shard_frames or SHARD_FRAMES[robot]
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for number, start in enumerate(range(0, frames, shard_frames)):
        path = folder / f"shard_{number:05d}.npz"
        if not path.is_file():
            tasks.append((path, min(shard_frames, frames - start), seed, number, image_size, grid_size, robot))
    if jobs <= 1:
        for task in tasks:
            _make_shard(*task)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            for done in [pool.submit(_make_shard, *task) for task in tasks]:
                done.result()
    return shard_paths(folder)


def _make_shard(path: Path, count: int, seed: int, number: int, image_size: tuple[int, int],
                grid_size: tuple[int, int], robot: str) -> None:
    from jpai_agent.train.camera import FrameCamera  # opens a GL context, which readers of shards do without

    rows: list[dict[str, np.ndarray]] = []
    pictures = np.empty((count, image_size[1], image_size[0], 3), dtype=np.uint8)
    scenes: list[str] = []
    with FrameCamera(robot, _RENDER_SIZE, _MASK_SIZE) as camera:
        while len(rows) < count:
            rng = np.random.default_rng((seed, number, len(rows)))
            scene = random_scene(rng, robot)
            picture, mask = camera.take(scene, rng, image_size)
            pictures[len(rows)] = picture
            rows.append(_labels(scene, mask, grid_size))
            scenes.append(json.dumps(scene.to_dict(), ensure_ascii=False, separators=(",", ":")))
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays["robot"] = np.frombuffer(robot.encode(), dtype=np.uint8)
    arrays["scenes"] = np.frombuffer("\n".join(scenes).encode(), dtype=np.uint8)
    _write(path.with_suffix(".frames.npy"), lambda file: np.save(file, pictures))
    _write(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def _write(path: Path, save: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        save(file)
    part.replace(path)


def _labels(scene: Scene, mask: np.ndarray, grid_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Label arrays of one frame. mask: (240, 320) index of the object that each pixel shows, −1 for none."""
    m = MAX_OBJECTS
    kind, color, size = (np.full(m, -1, dtype=np.int8) for _ in range(3))
    role = np.zeros(m, dtype=np.int8)
    camera = front_camera(scene.robot)
    position, share = np.zeros((m, 3), dtype=np.float32), np.zeros(m, dtype=np.float32)
    box, point = np.zeros((m, 4), dtype=np.int16), np.zeros((m, 2), dtype=np.int16)
    pixels = np.zeros(m, dtype=np.int32)
    height, width = mask.shape
    for i, thing in enumerate(scene.objects):
        kind[i], color[i] = KIND_NAMES.index(thing.kind), COLOR_NAMES.index(thing.shown_color)
        size[i] = SIZE_NAMES.index(thing.size or "medium")
        role[i] = ROLES.index(scene.roles[i]) if scene.roles else 0
        position[i] = relative_pose(scene.robot_pose, thing.pose)
        seen = mask == i
        pixels[i] = seen.sum()
        if pixels[i]:
            xs, ys = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
            x0, x1, y0, y1 = xs[0], xs[-1] + 1, ys[0], ys[-1] + 1
            box[i] = np.rint(np.array([x0 / width, y0 / height, x1 / width, y1 / height]) * 1000)
            px, py = _inner_pixel(seen[y0:y1, x0:x1])
            point[i] = int((x0 + px + 0.5) / width * 1000), int((y0 + py + 0.5) / height * 1000)
            outline = _outline_area(thing, position[i], camera, width)
            share[i] = min(1.0, pixels[i] / max(outline, 1.0))
    cell_object, cell_fraction = _cells(mask, grid_size)
    return {"kind": kind, "color": color, "size": size, "position": position, "pixels": pixels, "share": share,
            "box": box, "point": point, "role": role, "cell_object": cell_object, "cell_fraction": cell_fraction}


def relative_pose(robot_pose: tuple[float, float, float],
                  pose: tuple[float, float, float]) -> tuple[float, float, float]:
    """(forward_m, left_m, heading_rad) in base_link of a map pose (x, y, heading_deg)."""
    a = math.radians(robot_pose[2])
    dx, dy = pose[0] - robot_pose[0], pose[1] - robot_pose[1]
    turn = math.radians(pose[2]) - a
    return (dx * math.cos(a) + dy * math.sin(a), dy * math.cos(a) - dx * math.sin(a),
            math.atan2(math.sin(turn), math.cos(turn)))


def _inner_pixel(seen: np.ndarray) -> tuple[int, int]:
    """(x, y) of a pixel well inside the mask, as near to the middle of the visible part as such a pixel is."""
    depth = cv2.distanceTransform(np.pad(seen, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    ys, xs = np.nonzero(seen)
    my, mx = ys.mean(), xs.mean()
    deep = depth[ys, xs] >= min(3.0, 0.6 * depth.max())
    ys, xs = ys[deep], xs[deep]
    best = np.argmin((xs - mx) ** 2 + (ys - my) ** 2)
    return int(xs[best]), int(ys[best])


def _outline_area(thing: ObjectSpec, position: np.ndarray, camera: CameraSpec, width_px: int) -> float:
    """Pixels of the convex outline of the object's solid in an endless picture; inf where it reaches behind the
    camera."""
    focal = width_px / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    width, depth, height = thing.dimensions_m
    c, s = math.cos(position[2]), math.sin(position[2])
    corners = np.array([[sx * depth / 2, sy * width / 2, z] for sx in (-1, 1) for sy in (-1, 1) for z in (0.0, height)])
    forward = corners[:, 0] * c - corners[:, 1] * s + position[0] - camera.position_m[0]
    left = corners[:, 0] * s + corners[:, 1] * c + position[1] - camera.position_m[1]
    up = corners[:, 2] - camera.position_m[2]
    pitch = math.radians(camera.pitch_deg)
    ahead = forward * math.cos(pitch) - up * math.sin(pitch)
    if ahead.min() < 0.15:
        return math.inf
    down = -forward * math.sin(pitch) - up * math.cos(pitch)
    plane = np.stack([-left / ahead, down / ahead], axis=1) * focal
    return float(cv2.contourArea(cv2.convexHull(plane.astype(np.float32))))


def _cells(mask: np.ndarray, grid_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Per cell the object with most pixels (int8, −1 none) and the share of the cell that it covers (uint8, 255 =
    all)."""
    columns, rows = grid_size
    height, width = mask.shape
    cell = (np.arange(height) * rows // height)[:, None] * columns + (np.arange(width) * columns // width)[None, :]
    counts = np.bincount((cell * (MAX_OBJECTS + 1) + mask + 1).ravel(), minlength=rows * columns * (MAX_OBJECTS + 1))
    counts = counts.reshape(rows, columns, MAX_OBJECTS + 1)
    best = counts[..., 1:].argmax(axis=-1)
    most = np.take_along_axis(counts, best[..., None] + 1, axis=-1)[..., 0]
    return (np.where(most > 0, best, -1).astype(np.int8),
            np.rint(255 * most / counts.sum(axis=-1)).astype(np.uint8))
