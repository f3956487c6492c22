"""Words for the objects of an instruction: expressions that fit one, several or no objects, and their labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from jpai_agent.train.augment import Pieces, as_read
from jpai_agent.train.corpus import Line, RefLine, Segments, letters
from jpai_agent.train.meanings import OBJECT_LETTERS, PLACE_LETTERS
from jpai_agent.train.referring import ORDERINGS, RELATIONS, ROLE_FILTERS, Referent, Signature, View, signature
from jpai_agent.world.objects import KINDS, PEOPLE, VEHICLES

UNIQUE, AMBIGUOUS, ABSENT, ANY = "unique", "ambiguous", "absent", "any"
# what the words around a letter make of it: 人がいる, 箱がある, 車について行く, (to a car) 車がいる
PERSON, THING, VEHICLE, MOVER = "person", "thing", "vehicle", "mover"
_SORTS = {PERSON: PEOPLE, THING: frozenset(KINDS) - PEOPLE, VEHICLE: VEHICLES, MOVER: PEOPLE | VEHICLES}
KINDS_OF_WORDS = ("attributes", "order", "relation")
_CLOTHES = re.compile(r"(?:お洋)?服|上着|作業着")
_NOUN = re.compile(
    r"(?:ほうの|方の)?(?:やつ|ヤツ|奴|ほう|方|もの|物)|(?:お洋)?服の(?:人|方|やつ)|の(?=[、。！？でにをがはだな]|$)")
_JOINTS = ("ほうの", "方の", "の")  # 赤い + ほうの + 箱
_PEOPLE_WORDS = re.compile(r"^[がはもを]?(?:い(?:る|た|な|ら|ま|れ)|おる|おら|おっ|おん)")
_THING_WORDS = re.compile(r"^[がはもを]?(?:あ[っれるり]|置)")


Picked = tuple[RefLine | None, Referent]  # a line of the corpus, None where the text itself has the words


class Roles:
    """What a line does with its object letters; worked out once a line.

    Attributes:
        letters: In the order in which they are said. used: those that the meaning needs.
        said, before: Per letter its slots in the text and in the earlier turn.
        whole: Letters whose words in the text name the object by themselves. askable: those of them that a step points
            at, first_askable: the one of the first step, "" when that has none.
        places: Place letters that the meaning needs; asked_places: those of them that the text names.
        sorts: What a letter must be, one of PERSON, THING (not a person), VEHICLE, MOVER (a person or a vehicle).
    """

    def __init__(self, line: Line) -> None:
        self.letters = letters(line)
        self.said = {x: tuple(s for _, s in line.text if s and s[0] == x) for x in self.letters}
        self.before = {x: tuple(s for _, s in line.earlier if s and s[0] == x) for x in self.letters}
        steps = line.meaning.steps + line.meaning.otherwise
        needed = {line.meaning.condition, *(step.target for step in steps)}
        self.used = tuple(x for x in self.letters if x in needed)
        self.whole = tuple(x for x in self.letters if _whole(self.said[x], line.text, x) and not self.before[x])
        pointed = [step.target for step in line.meaning.steps if step.skill not in ("look_for",) and step.target]
        sought = {step.target for step in line.meaning.steps if step.skill == "look_for"}
        self.askable = tuple(dict.fromkeys(x for x in pointed if x in self.whole and x not in sought))
        self.first_askable = ""
        for step in line.meaning.steps:
            if step.skill in ("set_speed", "say", "wait", "continue", "stop"):
                continue
            self.first_askable = step.target if step.target in self.askable else ""
            break
        self.places = tuple(dict.fromkeys(step.target for step in steps if step.target and step.target in PLACE_LETTERS))
        self.asked_places = tuple(x for x in self.places if any(slot == x for _, slot in line.text))
        self.sorts: dict[str, str] = {}
        self.clothed: set[str] = set()
        for segments in (line.earlier, line.text):
            for i, (_, slot) in enumerate(segments):
                after = segments[i + 1][0] if i + 1 < len(segments) else ""
                if not slot or slot[0] not in OBJECT_LETTERS:
                    continue
                if slot.endswith(".p"):
                    self.sorts[slot[0]] = PERSON
                elif len(slot) == 1 and _PEOPLE_WORDS.match(after):
                    self.sorts[slot[0]] = MOVER if line.robot == "car" else PERSON
                elif slot.endswith(".c") and _CLOTHES.match(after):
                    self.sorts[slot[0]] = PERSON
                    self.clothed.add(slot[0])
                elif len(slot) == 1 and _THING_WORDS.match(after):
                    self.sorts.setdefault(slot[0], THING)
        for step in steps:
            if step.skill == "follow" and step.target:
                self.sorts[step.target] = VEHICLE if line.robot == "car" else PERSON
        for x in self.letters:  # a part by colour or size is never of a person
            if x not in self.clothed and any(s[2:] in ("c", "z") for s in self.said[x] + self.before[x]):
                self.sorts[x] = VEHICLE if self.sorts.get(x) in (VEHICLE, MOVER) else THING


def _in_full(slots: Sequence[str]) -> bool:
    """Whether a whole expression stands for the letter somewhere, not only parts."""
    return any(len(slot) == 1 or slot.endswith(".p") for slot in slots)


def _whole(slots: Sequence[str], text: Segments, letter: str) -> bool:
    if _in_full(slots):
        return True
    # parts name the object when they stand side by side and one is the kind
    at = [i for i, (_, slot) in enumerate(text) if slot and slot[0] == letter]
    return any(slot.endswith(".k") for slot in slots) and at[-1] - at[0] == len(at) - 1


@dataclass(frozen=True)
class Phrase:
    """The words for one letter: its expression, and its parts where the line names parts."""

    referent: Referent
    expression: Pieces
    parts: dict[str, str]
    tags: tuple[str, ...]

    def pieces(self, slot: str) -> Pieces:
        """The words for a slot of the letter, each piece marked with the slot."""
        part = slot[2:]
        if part in ("k", "c", "z"):
            return [(self.parts[part], slot)]
        return [(text, slot) for text, _ in self.expression]


class Phrasebook:
    """Picks and words referring expressions from the `ref:` lines of a corpus."""

    def __init__(self, refs: Sequence[RefLine], words: Any, shares: Sequence[float] = (0.52, 0.24, 0.24)) -> None:
        """`shares`: how often each of KINDS_OF_WORDS is tried first."""
        self._words, self._shares = words, dict(zip(KINDS_OF_WORDS, shares, strict=True))
        known = [(ref, signature(ref)) for ref in refs]
        self._classes = {name: [pair for pair in known if _class(pair[1]) == name] for name in KINDS_OF_WORDS}
        self._personal = {name: [pair for pair in pairs if _personal(pair[1])] for name, pairs in self._classes.items()}

    def bind(self, line: Line, roles: Roles, states: dict[str, str], view: View, r: Random) -> dict[str, Phrase] | None:
        """A phrase for each letter of the line in its wanted state, no object named twice; None where impossible."""
        phrases: dict[str, Phrase] = {}
        taken = 0
        for letter in roles.letters:
            phrase = self._phrase(letter, line, roles, states[letter], view, taken, phrases, r)
            if phrase is None:
                return None
            phrases[letter] = phrase
            taken |= phrase.referent.mask
        return phrases

    def _phrase(self, letter: str, line: Line, roles: Roles, state: str, view: View, taken: int,
                phrases: dict[str, Phrase], r: Random) -> Phrase | None:
        said, before = roles.said[letter], roles.before[letter]
        sort = roles.sorts.get(letter, "")
        if line.relation == "?" and before and said:
            return self._answered(letter, roles, state, view, taken, r)
        main = said if said and (not before or line.relation == "?") else before
        if _in_full(main):
            asked_about = line.relation == "?" and not said and letter not in roles.used
            if asked_about:
                state = AMBIGUOUS if r.random() < 0.5 else ABSENT
            picked = self._pick(state, view, taken, sort, r)
        else:
            parts = {slot[2:] for slot in main}
            picked = self._by_parts(parts, letter, roles, state, view, taken, phrases, r)
        if picked is None:
            return None
        ref, referent = picked
        phrase = self._worded(ref, referent, view, letter, roles, r)
        if phrase is None or not _told_apart(letter, roles, phrase, phrases):
            return None
        return phrase

    def _answered(self, letter: str, roles: Roles, state: str, view: View, taken: int, r: Random) -> Phrase | None:
        """The answer to "which one?": the earlier turn fits several, the answer one of them."""
        said = roles.said[letter]
        sort = roles.sorts.get(letter, "")
        if _in_full(said):
            picked = self._pick(UNIQUE, view, taken, sort, r)
        else:
            names = {"c": "color", "z": "size"}
            filters = tuple((name, "") for name in ["person" if letter in roles.clothed else "kind",
                                                    *(names[s[2:]] for s in said if s[2:] in names)])
            picked = _choose(view, [(None, Signature(filters, ()))], UNIQUE, taken, "", r)
        if picked is None:
            return None
        ref, referent = picked
        thing = view.objects[referent.objects[0]]
        kind = "person" if sort == PERSON and thing.kind in PEOPLE else thing.kind
        rivals = view.fitting(Signature((("kind", ""),), ()))
        if not any(other.kind == kind and other.mask.bit_count() > 1 for other in rivals):
            return None
        phrase = self._worded(ref, referent, view, letter, roles, r)
        if phrase is not None and _in_full(roles.before[letter]) and not _in_full(said):
            return Phrase(phrase.referent, [(phrase.parts["k"], letter)], phrase.parts, phrase.tags)
        return phrase

    def _pick(self, state: str, view: View, taken: int, sort: str, r: Random) -> Picked | None:
        if state == ANY:
            state = UNIQUE if r.random() < 0.75 else ABSENT
            return self._pick(state, view, taken, sort, r) or self._pick(ABSENT, view, taken, sort, r)
        classes = self._personal if sort == PERSON else self._classes
        names = [name for name in classes if classes[name] and (state != AMBIGUOUS or name == "attributes")]
        first = r.choices(names, [self._shares[name] for name in names])[0]
        for name in (first, first, *r.sample(names, len(names))):  # what a frame seldom offers is tried twice
            picked = _choose(view, [r.choice(classes[name]) for _ in range(3)], state, taken, sort, r)
            if picked is not None:
                return picked
        return None

    def _by_parts(self, parts: set[str], letter: str, roles: Roles, state: str, view: View, taken: int,
                  phrases: dict[str, Phrase], r: Random) -> Picked | None:
        names = [name for part, name in (("k", "kind"), ("c", "color"), ("z", "size")) if part in parts]
        if letter in roles.clothed:
            names = ["person" if name == "kind" else name for name in (names if "k" in parts else ["kind", *names])]
        alike = ""
        if "k" not in parts and letter not in roles.clothed:
            others = [view.objects[p.referent.objects[0]].kind for p in phrases.values() if p.referent.objects]
            if others:
                alike = others[-1]  # 青いほう after a red box is the blue box
                names = ["kind", *names]
        wanted = Signature(tuple((name, "") for name in names), ())
        if state == ANY:
            state = UNIQUE
        return _choose(view, [(None, wanted)], state, taken, roles.sorts.get(letter, ""), r, alike)

    def _worded(self, ref: RefLine | None, referent: Referent, view: View, letter: str, roles: Roles,
                r: Random) -> Phrase | None:
        words, parts = self._words, {}
        first = view.objects[referent.objects[0]] if referent.mask else None
        kind = referent.kind or (first.kind if first else "")
        if kind in PEOPLE and not referent.kind and first is not None:
            kind = "person"
        wants = {slot[2:] for slot in roles.said[letter] + roles.before[letter]} | {"k" if roles.before[letter] else ""}
        if kind:
            parts["k"] = words.kind_word(kind, r)
        color = referent.color or (first.color if first else "")
        size = referent.size or (first.size if first else "")
        if color:
            parts["c"] = words.color_word(color, r)
        if size:
            parts["z"] = words.size_word(size, r)
        if any(part not in parts for part in wants & {"k", "c", "z"}):
            return None
        if ref is None:
            return Phrase(referent, [], parts, ("attributes",))
        pieces: Pieces = []
        marks = dict(referent.marks)
        for i, (literal, slot) in enumerate(ref.text):
            if not slot:
                pieces.append((literal, letter))
            elif slot == "n":
                after = ref.text[i + 1][0] if i + 1 < len(ref.text) else ""
                pieces.append((words.ordinal(referent.n, after, r), letter))
            elif slot[0] in "BC":
                mark = view.objects[marks[slot[0]]]
                word = words.kind_word(mark.kind, r) if slot[2] == "k" else words.color_word(mark.color, r)
                pieces.append((word, letter))
            else:
                pieces.append((parts[slot], letter))
        tags = tuple(name for name, _ in ref.filters if name in (*ORDERINGS, *RELATIONS, *ROLE_FILTERS)) or ("attributes",)
        return Phrase(referent, pieces, parts, tags)


def _class(wanted: Signature) -> str:
    if wanted.attributes_only:
        return "attributes"
    return "relation" if any(name in RELATIONS for name, _ in wanted.filters) else "order"


def _personal(wanted: Signature) -> bool:
    names = {name for name, _ in wanted.filters}
    unfit = {"color", "size", "largest", "smallest"}
    return bool(names & {"person", "worker"}) or ("kind" in names and not names & unfit)


def _choose(view: View, lines: Sequence[tuple[RefLine | None, Signature]], state: str, taken: int,
            sort: str, r: Random, kind: str = "") -> Picked | None:
    """The first of the lines that can be filled so that one, several or no objects fit."""
    for ref, wanted in lines:
        if state == ABSENT:
            kinds = tuple(k for k in view.kinds if _of_sort(k, sort))
            if sort in (THING, VEHICLE) and any(name in ("person", "worker") for name, _ in wanted.filters):
                continue
            referent = view.absent(wanted, r, kinds) if r.random() < 0.75 or wanted.attributes_only else _some(
                [f for f in view.failing(wanted) if not f.kind or _of_sort(f.kind, sort)], r)
            if referent is not None and (not kind or referent.kind == kind):
                return ref, referent
            continue
        several = state == AMBIGUOUS
        options = [f for f in view.fitting(wanted) if (f.mask.bit_count() > 1) == several and not f.mask & taken
                   and (not kind or f.kind == kind) and all(_of_sort(view.objects[i].kind, sort) for i in f.objects)]
        if not several and not wanted.attributes_only and r.random() < 0.75:
            options = [f for f in options if f.rivals > 1] or options
        if options:
            return ref, r.choice(options)
    return None


def _some(options: Sequence[Referent], r: Random) -> Referent | None:
    return r.choice(options) if options else None


def _of_sort(kind: str, sort: str) -> bool:
    return not sort or kind in _SORTS[sort]


def _told_apart(letter: str, roles: Roles, phrase: Phrase, phrases: dict[str, Phrase]) -> bool:
    """Whether parts in a follow-up (その箱, 青いほう) tell this object from the others of the talk."""
    if not (roles.before[letter] and roles.said[letter]):
        return True
    return all(phrase.parts.get(slot[2:]) != other.parts.get(slot[2:]) for slot in roles.said[letter] if len(slot) == 3
               for other in phrases.values())


def label_of(letter: str, roles: Roles, said: Pieces, before: Pieces, text: str) -> tuple[str, tuple[int, int]]:
    """The label for a letter, and its span in `text` (the normalised instruction); (-1, -1) when it is from before."""
    slots = roles.said[letter]
    only_kind = bool(roles.before[letter]) and slots and all(slot.endswith(".k") for slot in slots)
    if slots and not only_kind:
        start, raw = _run(letter, said)
        label = _tidy(raw)
        if not label:
            return "", (-1, -1)
        hint = len(as_read("".join(t for t, _ in said)[:start])) if start else 0
        near = [i for i in range(len(text)) if text.startswith(label, i)]
        if near:
            at = min(near, key=lambda i: abs(i - hint))
            return label, (at, at + len(label))
        return "", (-1, -1)
    return (_tidy(_run(letter, before)[1]) if before else ""), (-1, -1)


def _run(letter: str, pieces: Pieces) -> tuple[int, str]:
    """(start, words) of the letter's own words: its expression, or its parts with the noun after them."""
    at = [i for i, (_, slot) in enumerate(pieces) if slot and slot[0] == letter]
    if not at:
        return 0, ""
    whole = [i for i in at if len(pieces[i][1]) == 1 or pieces[i][1].endswith(".p")]
    if whole:
        first = last = whole[0]
        while last + 1 < len(pieces) and pieces[last + 1][1] == pieces[first][1]:
            last += 1
    else:
        first = last = next((i for i in at if pieces[i][1][2] in "cz"), at[0])
        while first > 0 and pieces[first - 1][1][:1] == letter:
            first -= 1
        while last + 1 < len(pieces) and (nxt := last + 1 + (pieces[last + 1][0] in _JOINTS)) < len(pieces) and \
                pieces[nxt][1][:1] == letter:
            last = nxt
    words = "".join(text for text, _ in pieces[first:last + 1])
    if not whole and pieces[last][1][2] in "cz" and last + 1 < len(pieces):
        noun = _NOUN.match(pieces[last + 1][0])
        words += noun[0] if noun else ""
    return sum(len(text) for text, _ in pieces[:first]), words


def _tidy(words: str) -> str:
    return as_read(words)
