"""Which objects a referring expression fits: the filters of the corpus's `ref:` lines on what the robot sees.

Left and right are by picture position, near and far by floor distance from base_link, relations by geometry in the
robot's own view. Every test has a margin: where some object fits only just, or is seen only just, the expression is
not used at all. Sets of objects are bit masks over the frame's objects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from jpai_agent.train.corpus import RefLine
from jpai_agent.train.views import ObjectView
from jpai_agent.world.objects import COLORS, KINDS, LANDMARKS, PEOPLE, VEHICLES, YARD_KINDS, dimensions_m

ORDERINGS = ("leftmost", "rightmost", "nearest", "farthest", "largest", "smallest", "middle", "left_side", "right_side",
             "nth_left", "nth_right", "nth_near", "nth_far")
ROLE_FILTERS = ("ahead", "oncoming")
RELATIONS = ("left_of", "right_of", "beside", "front_of", "behind", "between")
_ATTRIBUTES = frozenset(("kind", "color", "size", "person", "worker"))
_WHERE = "where"  # stands for any filter that says where a thing is
_COLOR_NAMES = tuple(COLORS)
# 人 is any grown-up; what these words may cover besides, where nothing of the kind itself fits
_COVERS = {"person": ("worker",)}
_MAY_COVER = {"car": ("truck", "kei_truck", "bus"), "truck": ("kei_truck",), "person": ("child",)}
_X_MARGIN = 40  # of 1000: least picture distance between neighbours in a left-right order
# least distance between neighbours in a near-far order: absolute, and as a share of the nearer one's
_RANGE_MARGIN_M, _RANGE_MARGIN = 0.35, 0.10
_SIZE_RATIO = 1.25  # least ratio of some dimension for two sizes to differ visibly


@dataclass(frozen=True)
class Signature:
    """What of a `ref:` line decides which objects fit: its filters, and which slots name its landmarks."""

    filters: tuple[tuple[str, str], ...]
    marks: tuple[tuple[str, bool], ...]  # (landmark letter, whether its colour is said)

    @property
    def attributes_only(self) -> bool:
        """True when it tells objects apart by what they are, not by where they are."""
        return all(name in _ATTRIBUTES for name, _ in self.filters)


@dataclass(frozen=True)
class Referent:
    """One way to fill a signature: the words' meanings and the set of objects that then fit.

    Attributes:
        mask: Objects that fit. kind, color, size: what {k}, {c}, {z} say, "" when unsaid. n: what {n} says, 0 when
            unsaid.
        marks: Index of the object that each landmark letter stands for.
        rivals: How many objects fit what the words say the thing is, wherever it stands.
    """

    mask: int
    kind: str = ""
    color: str = ""
    size: str = ""
    n: int = 0
    marks: tuple[tuple[str, int], ...] = ()
    rivals: int = 0

    @property
    def objects(self) -> tuple[int, ...]:
        """Indices of the objects that fit."""
        return bits(self.mask)


def signature(ref: RefLine) -> Signature:
    """The signature of a line of the corpus."""
    slots = [slot for _, slot in ref.text if slot]
    letters = sorted({slot[0] for slot in slots if slot[0] in "BC"})
    return Signature(ref.filters, tuple((letter, f"{letter}.c" in slots) for letter in letters))


def bits(mask: int) -> tuple[int, ...]:
    """Indices of the bits that are set."""
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def kind_group(kind: str) -> tuple[str, ...]:
    """Kinds that the word for this kind covers: 人 is any grown-up, 作業員 only a worker."""
    return (kind, *_COVERS.get(kind, ()))


class View:
    """The objects of one frame and what can be said of them. Answers are worked out once and kept.

    `kinds` are those that instructions point at in this world; landmarks only say where others are.
    """

    def __init__(self, objects: Sequence[ObjectView], kinds: Sequence[str] = YARD_KINDS) -> None:
        self.objects, self.kinds = objects, tuple(kinds)
        self.clear = self.unsure = 0
        self._kind: dict[str, int] = {}
        self._color: dict[str, int] = {}
        for i, thing in enumerate(objects):
            bit = 1 << i
            self._kind[thing.kind] = self._kind.get(thing.kind, 0) | bit
            self._color[thing.color] = self._color.get(thing.color, 0) | bit
            if thing.clear:
                self.clear |= bit
            elif not thing.hidden:
                self.unsure |= bit
        self.people = sum(self._kind.get(kind, 0) for kind in PEOPLE)
        self.vehicles = sum(self._kind.get(kind, 0) for kind in VEHICLES)
        self.things = ((1 << len(objects)) - 1) & ~sum(self._kind.get(kind, 0) for kind in LANDMARKS)
        self._known: dict[Signature, tuple[list[Referent], list[Referent]]] = {}
        self._filled: dict[frozenset[str], list[tuple[str, str, str, tuple[int, int]]]] = {}
        self._landed: dict[tuple[tuple[str, bool], ...], list[tuple[tuple[str, int], ...]]] = {}
        self._relations: dict[tuple[str, int, int], tuple[int, int]] = {}

    def fitting(self, wanted: Signature) -> list[Referent]:
        """Every way to fill the signature from what is in view such that some objects fit, all of them plainly."""
        return self._referents(wanted)[0]

    def failing(self, wanted: Signature) -> list[Referent]:
        """Ways to fill it from what is in view such that plainly nothing fits: too short a row, nothing beside."""
        return self._referents(wanted)[1]

    def absent(self, wanted: Signature, r: Random, kinds: Sequence[str] = YARD_KINDS) -> Referent | None:
        """A way to fill it with attributes (of these kinds) of nothing in view, most often a near miss."""
        names = {name for name, _ in wanted.filters}
        marks = self._landmarks(wanted)
        if not marks:
            return None
        hidden = [thing for thing in self.objects if thing.hidden]
        seen = [thing for thing in self.objects if thing.clear]
        for _ in range(4):
            kind = color = ""
            which = r.random()
            if hidden and which < 0.35:
                model = r.choice(hidden)
                kind, color = model.kind, model.color
            elif seen and which < 0.75:
                kind, color = (r.choice(seen).kind, r.choice(_COLOR_NAMES)) if r.random() < 0.5 else \
                    (r.choice(kinds), r.choice(seen).color)
            else:
                kind, color = r.choice(kinds), r.choice(_COLOR_NAMES)
            size = r.choice(("small", "large")) if "size" in names else ""
            filled = self._attributes(names, kind, color, "")
            if filled is None or filled[0] or filled[1] or ("kind" in names and kind not in kinds):
                continue
            if size and not KINDS[kind].sized:
                continue
            return Referent(0, kind if "kind" in names else "", color if "color" in names else "", size,
                            r.randint(2, 3) if any(name.startswith("nth_") for name in names) else 0, r.choice(marks))
        return None

    def unique(self, index: int, color: bool) -> bool:
        """Whether kind alone (or kind and colour) names this object and no other."""
        thing = self.objects[index]
        if not self.things >> index & 1:  # a building is known by its kind
            return not color and self._kind[thing.kind] & (self.clear | self.unsure) == 1 << index
        names = {"kind", "color"} if color else {"kind"}
        filled = self._attributes(names, thing.kind, thing.color, "")
        return filled is not None and not filled[1] and filled[0] == 1 << index

    def _referents(self, wanted: Signature) -> tuple[list[Referent], list[Referent]]:
        if wanted not in self._known:
            self._known[wanted] = self._work_out(wanted)
        return self._known[wanted]

    def _work_out(self, wanted: Signature) -> tuple[list[Referent], list[Referent]]:
        names = {name for name, _ in wanted.filters}
        fitting: list[Referent] = []
        failing: list[Referent] = []
        marks = self._landmarks(wanted)
        counts = (2, 3, 4, 1) if any(name.startswith("nth_") for name in names) else (0,)
        said = names & _ATTRIBUTES | ({_WHERE} if names - _ATTRIBUTES else set())
        for kind, color, size, filled in self._fillings(frozenset(said)) if marks else ():
            for filled_marks in marks:
                for n in counts:
                    mask = self._apply(wanted.filters, filled, dict(filled_marks), n)
                    if mask is not None:
                        found = Referent(mask, kind if "kind" in names else "", color if "color" in names else "",
                                        size if "size" in names else "", n, filled_marks, filled[0].bit_count())
                        (fitting if mask else failing).append(found)
        return fitting, failing

    def _fillings(self, names: frozenset[str]) -> list[tuple[str, str, str, tuple[int, int]]]:
        """Different said attributes of the plainly visible objects, each with its (fitting, unsure) masks."""
        if names not in self._filled:
            told = dict.fromkeys((thing.kind if "kind" in names else "", thing.color if "color" in names else "",
                                  thing.size if "size" in names else "")
                                 for i, thing in enumerate(self.objects) if thing.clear and self.things >> i & 1)
            masks = [(kind, color, size, self._attributes(names, kind, color, size)) for kind, color, size in told]
            self._filled[names] = [(kind, color, size, filled) for kind, color, size, filled in masks
                                   if filled is not None and filled[0]]
        return self._filled[names]

    def _attributes(self, names: Set[str], kind: str, color: str, size: str) -> tuple[int, int] | None:
        """(fitting, unsure) masks by what things are; None where people would not say so or could not agree."""
        mask = (self.clear | self.unsure) & self.things
        if "kind" in names:
            if kind in PEOPLE and ("color" in names or "size" in names):
                return None  # a person's colour is said by the clothes: person color
            mask &= sum(self._kind.get(k, 0) for k in kind_group(kind))
            if kind == "plant" and "color" in names and color in ("green", "brown"):
                return None  # the leaves, or the pot?
        if "person" in names:
            mask &= sum(self._kind.get(k, 0) for k in kind_group("person"))
        if "worker" in names:
            mask &= self._kind.get("worker", 0)
        if "color" in names:
            mask &= self._color.get(color, 0)
            if not names & {"kind", "person", "worker"}:
                plants = self._kind.get("plant", 0) & (self.clear | self.unsure)
                if mask & self.people or (plants and color in ("green", "brown")):
                    return None
        if size:
            sized = self._sized(mask, size)
            if sized is None:
                return None
            mask = sized
        return mask & self.clear, mask & self.unsure | self._arguable(names, kind, color, mask)

    def _arguable(self, names: Set[str], kind: str, color: str, mask: int) -> int:
        """Objects that the word may cover as well: 車 a truck, where no car fits or a place is said."""
        others = _MAY_COVER.get("person" if "person" in names else kind if "kind" in names else "", ())
        if not others or (mask and names <= _ATTRIBUTES):
            return 0
        covered = sum(self._kind.get(k, 0) for k in others) & (self.clear | self.unsure)
        return covered & self._color.get(color, 0) if "color" in names else covered

    def _sized(self, mask: int, size: str) -> int | None:
        """Those of this size, where the sizes present differ visibly and saying the size is natural."""
        members = bits(mask)
        if any(not KINDS[self.objects[i].kind].sized for i in members):
            return None
        fits = [i for i in members if self.objects[i].size == size]
        others = [i for i in members if self.objects[i].size != size]
        if not fits or (size == "medium" and not others):
            return None
        if any(not _differ(self.objects[i], self.objects[j]) for i in fits for j in others):
            return None
        return sum(1 << i for i in fits)

    def _landmarks(self, wanted: Signature) -> list[tuple[tuple[str, int], ...]]:
        """Ways to assign objects that their words name uniquely to the landmark letters."""
        if wanted.marks not in self._landed:
            ways: list[tuple[tuple[str, int], ...]] = [()]
            for letter, color in wanted.marks:
                named = [i for i in bits(self.clear) if self.unique(i, color)]
                ways = [(*way, (letter, i)) for way in ways for i in named if all(i != j for _, j in way)]
            self._landed[wanted.marks] = ways
        return self._landed[wanted.marks]

    def _apply(self, filters: Sequence[tuple[str, str]], filled: tuple[int, int], marks: dict[str, int],
               n: int) -> int | None:
        """What the filters leave of the (fitting, unsure) masks; None where it is arguable or nobody would say so."""
        mask, unsure = filled
        for i in marks.values():
            mask, unsure = mask & ~(1 << i), unsure & ~(1 << i)
        if not mask:
            return None  # only the landmarks themselves
        orders = []
        for name, letters in filters:
            if name in RELATIONS:
                yes, maybe = self._related(name, marks[letters[0]], marks[letters[1]] if len(letters) > 1 else -1)
                mask, unsure = mask & yes, (mask | unsure) & maybe | unsure & yes
            elif name in ROLE_FILTERS:
                if (mask | unsure) & ~self.vehicles:
                    return None
                arguable = self._in_role("unsure", mask | unsure)
                mask, unsure = self._in_role(name, mask), self._in_role(name, unsure)
                unsure |= 0 if mask else arguable
            elif name in ORDERINGS:
                orders.append(name)
        if unsure:
            return None
        if ("ahead", "") in filters and mask.bit_count() > 1:
            orders.append("nearest")  # 前の車 is the one that we would run into
        for name in orders:
            ordered = self._ordered(name, mask, n)
            if ordered is None:
                return None
            mask = ordered
        return mask

    def _in_role(self, role: str, mask: int) -> int:
        return sum(1 << i for i in bits(mask) if self.objects[i].role == role)

    def _ordered(self, name: str, mask: int, n: int) -> int | None:
        members = list(bits(mask))
        things = self.objects
        if name in ("left_side", "right_side"):
            return self._side(members, left=name == "left_side")
        if len(members) < 2:
            return None  # nothing to choose from: nobody says so
        if name in ("largest", "smallest"):
            return self._extreme_size(members, largest=name == "largest")
        if name in ("nearest", "farthest", "nth_near", "nth_far"):
            members.sort(key=lambda i: _range(things[i]), reverse=name in ("farthest", "nth_far"))
            apart = [abs(_range(things[a]) - _range(things[b])) >= max(
                _RANGE_MARGIN_M, _RANGE_MARGIN * min(_range(things[a]), _range(things[b])))
                for a, b in pairwise(members)]
        else:
            members.sort(key=lambda i: _middle_x(things[i]), reverse=name in ("rightmost", "nth_right"))
            apart = [abs(_middle_x(things[a]) - _middle_x(things[b])) >= _X_MARGIN for a, b in pairwise(members)]
        if name == "middle":
            if len(members) % 2 == 0:
                return None
            place = len(members) // 2
        else:
            place = n - 1 if n else 0
        if place >= len(members):
            return 0
        if not all(apart[max(0, place - 1):place + 1]) or (n and not all(apart[:place])):
            return None
        return 1 << members[place]

    def _side(self, members: list[int], left: bool) -> int | None:
        """左の箱 and the like: by half of the view; not used where 'the left one of several' could be meant instead."""
        at = [_middle_x(self.objects[i]) if left else 1000 - _middle_x(self.objects[i]) for i in members]
        inside = [i for i, x in zip(members, at, strict=True) if x < 440]
        if any(440 <= x <= 560 for x in at) or len(inside) > 1 or (not inside and len(members) > 1):
            return None
        return sum(1 << i for i in inside)

    def _extreme_size(self, members: list[int], largest: bool) -> int | None:
        if any(not KINDS[self.objects[i].kind].sized for i in members):
            return None
        members = sorted(members, key=lambda i: math.prod(dimensions_m(self.objects[i].kind, self.objects[i].size)),
                         reverse=largest)
        first = self.objects[members[0]]
        if not all(_differ(first, self.objects[i]) for i in members[1:]):
            return None
        volume = math.prod(dimensions_m(first.kind, first.size))
        rivals = [math.prod(dimensions_m(self.objects[i].kind, self.objects[i].size)) for i in members[1:]]
        return 1 << members[0] if all(max(volume, v) / min(volume, v) > 1.4 for v in rivals) else None

    def _related(self, name: str, b: int, c: int) -> tuple[int, int]:
        """(plainly, perhaps) masks of the objects that stand so to landmark b (and c)."""
        key = (name, b, c)
        if key not in self._relations:
            yes = maybe = 0
            for i, thing in enumerate(self.objects):
                if i not in (b, c) and not thing.hidden:
                    holds = _between(thing, self.objects[b], self.objects[c]) if name == "between" else \
                        _stands(name, thing, self.objects[b])
                    yes |= (holds is True) << i
                    maybe |= (holds is None) << i
            self._relations[key] = yes, maybe
        return self._relations[key]


def _range(thing: ObjectView) -> float:
    return math.hypot(thing.forward_m, thing.left_m)


def _middle_x(thing: ObjectView) -> float:
    return (thing.box[0] + thing.box[2]) / 2


def _half_extent(thing: ObjectView, angle_rad: float) -> float:
    """Half the footprint's extent along a direction of base_link."""
    width, depth, _ = dimensions_m(thing.kind, thing.size)
    if KINDS[thing.kind].shape != "box":
        return width / 2
    a = angle_rad - thing.heading_rad
    return min(abs(math.cos(a)) * depth / 2 + abs(math.sin(a)) * width / 2, math.hypot(width, depth) / 2)


def _differ(a: ObjectView, b: ObjectView) -> bool:
    """Whether the sizes of two objects differ visibly: two classes of one kind, or some dimension by _SIZE_RATIO."""
    da, db = dimensions_m(a.kind, a.size), dimensions_m(b.kind, b.size)
    return max(max(x / y, y / x) for x, y in zip(da, db, strict=True)) >= _SIZE_RATIO


def _stands(name: str, thing: ObjectView, mark: ObjectView) -> bool | None:
    """Whether `thing` stands so to the landmark, None when one could argue."""
    dx, dy = thing.forward_m - mark.forward_m, thing.left_m - mark.left_m
    away = math.atan2(mark.left_m, mark.forward_m)  # from the robot over the landmark
    behind = dx * math.cos(away) + dy * math.sin(away)
    left = dy * math.cos(away) - dx * math.sin(away)
    angle = math.atan2(dy, dx)
    gap = math.hypot(dx, dy) - _half_extent(thing, angle) - _half_extent(mark, angle)
    if name in ("left_of", "right_of"):
        side = left if name == "left_of" else -left
        shift = (_middle_x(mark) - _middle_x(thing)) * (1 if name == "left_of" else -1)
        if side < -0.1 or shift < 0:
            return False
        if gap > 4.0:
            return False if gap > 5.0 else None
        return True if side > 0.3 and shift > 50 and abs(behind) < 1.3 * side and gap < 3.0 else None
    if name == "beside":
        if gap > 1.9:
            return False
        return True if gap < 1.1 and abs(left) > 0.7 * abs(behind) else None
    depth = behind if name == "behind" else -behind
    if depth < 0.0 or gap > 3.8 or abs(left) > 1.6 * depth + 0.6:
        return False
    near = 2.5 if name == "behind" else 2.0
    apart = max(thing.box[0], mark.box[0]) - min(thing.box[2], mark.box[2])  # in the picture; overlaps are negative
    return True if depth > 0.35 and gap < near and abs(left) < 0.55 * depth + 0.1 and apart < 30 else None


def _between(thing: ObjectView, b: ObjectView, c: ObjectView) -> bool | None:
    ax, ay = c.forward_m - b.forward_m, c.left_m - b.left_m
    length = math.hypot(ax, ay)
    if length < 0.9 or length > 7.0:
        return None
    px, py = thing.forward_m - b.forward_m, thing.left_m - b.left_m
    along, off = (px * ax + py * ay) / length, abs(py * ax - px * ay) / length
    x, lo, hi = _middle_x(thing), *sorted((_middle_x(b), _middle_x(c)))
    if along < 0.08 * length or along > 0.92 * length or off > 0.55 * length:
        return False
    inside = lo + 25 < x < hi - 25 or hi - lo < 120
    return True if 0.2 * length < along < 0.8 * length and off < min(0.22 * length, 0.8) and inside else None


