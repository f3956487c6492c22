"""What can stand in a world: kinds, colours, sizes, Japanese names, poses, footprints and motions of objects.

Frames: map, metres, degrees counter-clockwise. An object's own x axis looks along its heading. Of a size (width,
depth, height) the depth lies along the object's x axis and the width along its y axis, so a person with heading 0
faces +x, is 0.3 m deep along x and 0.5 m wide along y.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

SIZES: tuple[str, ...] = ("small", "medium", "large")
SIZE_NAMES_JA: dict[str, tuple[str, ...]] = {
    "small": ("小さい", "小さな", "小型の"),
    "medium": ("中くらいの", "普通の"),
    "large": ("大きい", "大きな", "大型の"),
}

# colour → names as a noun, the first one the usual
COLORS: dict[str, tuple[str, ...]] = {
    "red": ("赤", "赤色", "レッド"),
    "blue": ("青", "青色", "ブルー"),
    "yellow": ("黄", "黄色", "イエロー"),
    "green": ("緑", "緑色", "グリーン"),
    "white": ("白", "白色", "ホワイト"),
    "black": ("黒", "黒色", "ブラック"),
    "orange": ("橙", "オレンジ", "オレンジ色"),
    "purple": ("紫", "紫色", "パープル"),
    "brown": ("茶", "茶色", "ブラウン"),
    "pink": ("桃", "ピンク", "桃色"),
    "gray": ("灰", "灰色", "グレー"),
}

Dimensions = tuple[float, float, float]


@dataclass(frozen=True)
class Kind:
    """A kind of object: names, collision shape, usual colour, and (width, depth, height) in metres by size."""

    names_ja: tuple[str, ...]
    shape: str  # box | cylinder | sphere: the solid that stands for it in contacts and footprints
    default_color: str
    sizes: Mapping[str, Dimensions]

    @property
    def sized(self) -> bool:
        """True where small, medium and large differ."""
        return len(set(self.sizes.values())) > 1


def _sizes(small: Dimensions, medium: Dimensions, large: Dimensions) -> dict[str, Dimensions]:
    return {"small": small, "medium": medium, "large": large}


def _one(width: float, depth: float, height: float) -> dict[str, Dimensions]:
    return _sizes(*[(width, depth, height)] * 3)


def _square(*side_height: tuple[float, float]) -> dict[str, Dimensions]:
    small, medium, large = ((side, side, height) for side, height in side_height)
    return _sizes(small, medium, large)


_PERSON = _one(0.5, 0.3, 1.7)
_BUILDING = _one(8.0, 6.0, 4.0)

_YARD: dict[str, Kind] = {
    "box": Kind(("箱", "段ボール", "段ボール箱"), "box", "brown", _square((0.3, 0.3), (0.5, 0.5), (0.8, 0.8))),
    "cone": Kind(
        ("コーン", "パイロン", "カラーコーン", "三角コーン"),
        "box",
        "orange",
        _square((0.30, 0.45), (0.38, 0.70), (0.45, 0.90)),
    ),
    "drum": Kind(("ドラム缶",), "cylinder", "blue", _square((0.40, 0.60), (0.58, 0.88), (0.70, 1.10))),
    "pallet": Kind(("パレット",), "box", "brown", _square((0.8, 0.15), (1.1, 0.15), (1.2, 0.15))),
    "bin": Kind(("ゴミ箱", "ごみ箱", "くず入れ"), "box", "gray", _square((0.35, 0.5), (0.45, 0.7), (0.60, 1.0))),
    "chair": Kind(("椅子", "いす", "イス"), "box", "black", _square((0.40, 0.85), (0.45, 0.85), (0.55, 0.85))),
    "desk": Kind(
        ("机", "テーブル", "デスク", "台"), "box", "brown", _sizes((1.0, 0.6, 0.72), (1.2, 0.6, 0.72), (1.6, 0.6, 0.72))
    ),
    "shelf": Kind(("棚", "ラック"), "box", "gray", _sizes((0.8, 0.4, 1.6), (0.9, 0.4, 1.6), (1.4, 0.4, 1.6))),
    "plant": Kind(
        ("植木", "鉢植え", "観葉植物", "植木鉢"), "cylinder", "brown", _square((0.30, 0.7), (0.40, 1.0), (0.55, 1.4))
    ),
    "ball": Kind(("ボール", "球"), "sphere", "red", _square((0.20, 0.20), (0.40, 0.40), (0.70, 0.70))),
    "bucket": Kind(("バケツ",), "cylinder", "blue", _square((0.25, 0.25), (0.30, 0.30), (0.40, 0.40))),
    "handcart": Kind(("台車", "手押し車"), "box", "blue", _one(0.9, 0.6, 0.9)),
    "sign": Kind(("看板", "立て看板", "標識"), "box", "yellow", _one(0.6, 0.4, 1.2)),
    "person": Kind(("人", "人物", "歩行者"), "box", "blue", _PERSON),
    "worker": Kind(("作業員", "作業者", "スタッフ"), "box", "blue", _PERSON),
}

# a vehicle's depth is its length
_STREET: dict[str, Kind] = {
    "child": Kind(("子ども", "子供", "こども"), "box", "yellow", _one(0.4, 0.25, 1.1)),
    "car": Kind(("車", "乗用車", "自動車"), "box", "white", _one(1.7, 4.2, 1.5)),
    "kei_truck": Kind(("軽トラ", "軽トラック"), "box", "white", _one(1.48, 3.4, 1.8)),
    "truck": Kind(("トラック",), "box", "blue", _one(2.4, 8.0, 3.0)),
    "bus": Kind(("バス",), "box", "green", _one(2.5, 10.5, 3.0)),
    "bicycle": Kind(("自転車", "チャリ"), "box", "red", _one(0.6, 1.7, 1.7)),
    "barrier": Kind(("バリケード", "柵"), "box", "yellow", _one(1.5, 0.5, 0.9)),
    "convenience_store": Kind(("コンビニ", "コンビニエンスストア"), "box", "blue", _BUILDING),
    "post_office": Kind(("郵便局",), "box", "red", _BUILDING),
    "gas_station": Kind(("ガソリンスタンド", "ガソスタ", "給油所"), "box", "orange", _BUILDING),
    "hospital": Kind(("病院",), "box", "white", _BUILDING),
    "station": Kind(("駅",), "box", "gray", _BUILDING),
    "park": Kind(("公園",), "box", "green", _BUILDING),
    "school": Kind(("学校", "小学校"), "box", "brown", _BUILDING),
    "vending_machine": Kind(("自販機", "自動販売機"), "box", "red", _one(0.9, 0.7, 1.8)),
    "bus_stop": Kind(("バス停", "バスてい", "停留所"), "box", "blue", _one(0.5, 0.5, 2.2)),
}

KINDS: dict[str, Kind] = _YARD | _STREET
YARD_KINDS: tuple[str, ...] = tuple(_YARD)
# what stands or moves in the street: its own kinds, and some of the yard's
STREET_KINDS: tuple[str, ...] = (*_STREET, "cone", "person")

PEOPLE: frozenset[str] = frozenset({"person", "worker", "child"})
VEHICLES: frozenset[str] = frozenset({"car", "kei_truck", "truck", "bus", "bicycle"})
# kinds that a navigation map knows by name and position
LANDMARKS: tuple[str, ...] = (
    "convenience_store", "post_office", "gas_station", "hospital", "station", "park", "school", "vending_machine", "bus_stop",
)


@dataclass(frozen=True)
class Motion:
    """A piecewise-linear path in the map frame, walked once at a constant speed from start_s on."""

    path: tuple[tuple[float, float], ...]
    speed_mps: float
    start_s: float = 0.0

    def __post_init__(self) -> None:
        points = tuple((float(x), float(y)) for x, y in self.path)
        object.__setattr__(self, "path", points)
        if not points or not all(map(math.isfinite, (c for p in points for c in p))):
            raise ValueError(f"motion path must have at least one finite point, not {self.path!r}")
        if not (math.isfinite(self.speed_mps) and self.speed_mps > 0):
            raise ValueError(f"motion speed_mps must be positive, not {self.speed_mps!r}")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ValueError(f"motion start_s must not be negative, not {self.start_s!r}")

    @property
    def length_m(self) -> float:
        return sum(math.dist(a, b) for a, b in pairwise(self.path))

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_m / self.speed_mps


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene, as an episode's line describes it (DESIGN section 7).

    pose is (x, y, heading_deg) in the map frame. color None means the kind's usual colour. size None means medium.
    """

    id: str
    kind: str
    pose: tuple[float, float, float]
    color: str | None = None
    size: str | None = None
    motion: Motion | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"object id must be a non-empty string, not {self.id!r}")
        if self.kind not in KINDS:
            raise ValueError(f"object {self.id}: unknown kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.color is not None and self.color not in COLORS:
            raise ValueError(f"object {self.id}: unknown color {self.color!r}; known: {', '.join(COLORS)}")
        if self.size is not None and self.size not in SIZES:
            raise ValueError(f"object {self.id}: unknown size {self.size!r}; known: {', '.join(SIZES)}")
        pose = tuple(float(v) for v in self.pose)
        if len(pose) != 3 or not all(map(math.isfinite, pose)):
            raise ValueError(f"object {self.id}: pose must be [x, y, heading_deg], not {self.pose!r}")
        object.__setattr__(self, "pose", pose)

    @property
    def shown_color(self) -> str:
        """The colour it is drawn in."""
        return self.color or KINDS[self.kind].default_color

    @property
    def dimensions_m(self) -> Dimensions:
        return dimensions_m(self.kind, self.size)

    @property
    def moves(self) -> bool:
        return self.motion is not None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ObjectSpec:
        """The object of one entry of an episode's `scene.objects`. Raises ValueError naming what is wrong."""
        known = {"id", "kind", "color", "size", "pose", "motion"}
        if unknown := set(data) - known:
            raise ValueError(f"object {data.get('id')!r}: unknown keys {sorted(unknown)}; known: {sorted(known)}")
        if missing := {"id", "kind", "pose"} - set(data):
            raise ValueError(f"object {data.get('id')!r}: missing {sorted(missing)}")
        motion = data.get("motion")
        try:
            walked = None if motion is None else Motion(**{**motion, "path": tuple(map(tuple, motion["path"]))})
            return cls(data["id"], data["kind"], data["pose"], data.get("color"), data.get("size"), walked)
        except (TypeError, KeyError) as error:
            raise ValueError(f"object {data.get('id')!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The entry of `scene.objects` that from_dict reads back; what was left out stays out."""
        data: dict[str, Any] = {"id": self.id, "kind": self.kind, "pose": list(self.pose)}
        if self.color is not None:
            data["color"] = self.color
        if self.size is not None:
            data["size"] = self.size
        if self.motion is not None:
            data["motion"] = {
                "path": [list(p) for p in self.motion.path],
                "speed_mps": self.motion.speed_mps,
                "start_s": self.motion.start_s,
            }
        return data


@dataclass(frozen=True)
class Footprint:
    """Where an object stands on the floor: a rectangle with half_x along its heading, or a disc of radius half_x."""

    x: float
    y: float
    heading_deg: float
    half_x: float
    half_y: float
    round: bool

    def corners(self, sides: int = 24) -> np.ndarray:
        """The outline in the map frame, counter-clockwise, (4, 2); of a disc a polygon around it, (sides, 2)."""
        if self.round:
            angle = np.arange(sides) * (2 * np.pi / sides)
            radius = self.half_x / np.cos(np.pi / sides)
            return np.stack([self.x + radius * np.cos(angle), self.y + radius * np.sin(angle)], axis=1)
        c, s = math.cos(math.radians(self.heading_deg)), math.sin(math.radians(self.heading_deg))
        local = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * [self.half_x, self.half_y]
        return local @ np.array([[c, s], [-s, c]]) + [self.x, self.y]


def dimensions_m(kind: str, size: str | None = None) -> Dimensions:
    """(width, depth, height) in metres; size None means medium. Raises KeyError for an unknown kind or size."""
    return KINDS[kind].sizes[size or "medium"]


def footprint(spec: ObjectSpec, t_s: float = 0.0) -> Footprint:
    """The object's footprint in the map frame at simulated time t_s."""
    width, depth, _ = spec.dimensions_m
    x, y, heading_deg = motion_pose(spec, t_s)
    return Footprint(x, y, heading_deg, depth / 2, width / 2, KINDS[spec.kind].shape != "box")


def motion_pose(spec: ObjectSpec, t_s: float) -> tuple[float, float, float]:
    """The object's pose (x, y, heading_deg) in the map frame at simulated time t_s.

    A moving object stands at its path's first point before its start and at the last after its end, facing along the
    path.
    """
    if spec.motion is None:
        return spec.pose
    return _along(spec.motion, spec.motion.speed_mps * max(0.0, t_s - spec.motion.start_s), spec.pose[2])


def motion_velocity(spec: ObjectSpec, t_s: float) -> tuple[float, float]:
    """The object's velocity (vx, vy) in m/s, map frame, at simulated time t_s; zero while it stands."""
    motion = spec.motion
    if motion is None or not motion.start_s <= t_s < motion.end_s:
        return 0.0, 0.0
    heading = math.radians(motion_pose(spec, t_s)[2])
    return motion.speed_mps * math.cos(heading), motion.speed_mps * math.sin(heading)


def _along(motion: Motion, distance_m: float, heading_deg: float) -> tuple[float, float, float]:
    segments = [(a, b, math.dist(a, b)) for a, b in pairwise(motion.path)]
    x, y = motion.path[0]
    for (ax, ay), (bx, by), length in (s for s in segments if s[2] > 0):
        heading_deg = math.degrees(math.atan2(by - ay, bx - ax))
        share = min(1.0, distance_m / length)
        x, y = ax + share * (bx - ax), ay + share * (by - ay)
        if distance_m < length:
            break
        distance_m -= length
    return x, y, heading_deg


def objects_from_dicts(entries: Sequence[Mapping[str, Any]]) -> list[ObjectSpec]:
    """The objects of an episode's `scene.objects`. Raises ValueError, also when two share an id."""
    objects = [ObjectSpec.from_dict(entry) for entry in entries]
    ids = [o.id for o in objects]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"object ids used twice: {twice}")
    return objects
