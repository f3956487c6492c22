"""Make training samples: a line of the corpus, filled with what a frame shows, and the plan that it then means.

One referent plainly in view gives a point on it. None: the first step's asks not_found, a later one's is left to its
label; so is what follows a `look_for`. Several: ask ambiguous. A landmark that the map lacks asks not_found, one of which
several are in view asks ambiguous. The instruction is the normalised text, as the model
reads it at run time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from jpai_agent.language.questions import MISSING, question_about
from jpai_agent.plan.types import ActionPlan, Step, Target
from jpai_agent.skills.registry import skills_for
from jpai_agent.train.augment import Pieces, as_read, vary
from jpai_agent.train.corpus import Corpus, Line
from jpai_agent.train.landmarks import MapDraw, draw_map
from jpai_agent.train.meanings import OBJECT_LETTERS, PLACE_IDS, PLACE_LETTERS, SLOT_LETTER, Slot, StepPattern
from jpai_agent.train.phrases import ABSENT, AMBIGUOUS, ANY, UNIQUE, Phrase, Phrasebook, Roles, label_of
from jpai_agent.train.referring import View
from jpai_agent.train.sample import Sample
from jpai_agent.train.talk import CART, Talk
from jpai_agent.train.views import FrameRecord

_DEFERRED = 0.12  # chance that a later step's object is not in view yet
_TOO_FAST = 0.25  # share of the refusals that are an ordinary speed line with too high a speed
_TRIES = 30


@dataclass(frozen=True)
class _Bound:
    """What a line's slots were filled with: object letters, places of a map and values (words, number or text)."""

    phrases: dict[str, Phrase]
    map: MapDraw
    values: dict[str, tuple[str, Any]]


class Instructor:
    """Samples for frames of one robot, from what is said to it."""

    def __init__(self, corpus: Corpus, talk: Talk = CART, varied: float = 1.0) -> None:
        """`varied`: how much the spelling differs from the author's; 0 leaves it (see `augment.vary`)."""
        self._talk, self._words, self._varied = talk, talk.words, varied
        self._order = {spec.name: tuple(spec.args) for spec in skills_for(talk.robot).values()}
        self._book = Phrasebook(corpus.refs, talk.words, talk.references)
        self._roles = {id(line): Roles(line) for line in corpus.lines}
        self._pools = _pools(corpus.lines, self._roles, talk)
        self._lone = [line for line in corpus.lines if not line.relation and line.meaning.decision == "act"]

    def samples(self, frame: FrameRecord, rng: np.random.Generator, count: int) -> list[Sample]:
        """`count` samples over this frame, of the mix that the talk gives as far as the frame allows.

        `label_spans` has one span for each label of the plan's steps; of a question one for the label that its reply
        copies.
        """
        r = Random(int(rng.integers(2**63)))
        view = View(frame.objects, self._talk.kinds)
        found: list[Sample] = []
        for _ in range(count):
            outcome = _pick(self._talk.outcomes, r)
            for attempt in range(_TRIES):
                pool = self._pools.get(outcome)
                if pool:
                    groups, weights = pool
                    line = r.choice(r.choices(groups, weights)[0])
                    sample = self.fill(line, outcome, frame, view, r)
                    if sample is not None:
                        found.append(sample)
                        break
                if attempt % 10 == 9 or not pool:
                    outcome = "act"  # this frame has none of that kind
        return found

    def fill(self, line: Line, outcome: str, frame: FrameRecord, view: View, r: Random) -> Sample | None:
        """This line over this frame so that it comes to `outcome` (a key of the talk's), or None where that cannot be."""
        roles = self._roles[id(line)]
        branch, states = _states(line, roles, outcome, self._talk, r)
        if states is None:
            return None
        drawn = draw_map(self._talk.robot, states, view, self._words, r)
        if drawn is None:
            return None
        phrases = self._book.bind(line, roles, states, view, r)
        if phrases is None:
            return None
        too_fast = line.meaning.reason == "not_permitted" or (outcome == "refuse" and line.meaning.decision == "act")
        bound = _Bound(phrases, drawn, self._values(line, too_fast, r))
        said = vary(self._pieces(line.text, bound), r, self._varied, self._talk.fillers)
        before = vary(self._pieces(line.earlier, bound), r, 0.6, self._talk.fillers) if line.earlier else []
        text, earlier = _joined(said), _joined(before)
        labels = {letter: label_of(letter, roles, said, before, text) for letter in roles.used}
        plan, targets, told = self._plan(line, branch, states, bound, labels, too_fast, text, view)
        if plan is None:
            return None
        running, speed, earlier = self._state(line, earlier, view, r)
        counts = drawn.counts(roles.asked_places, text)
        return Sample(
            frame=frame.index, instruction=text, plan=plan, earlier=earlier, question=line.relation == "?",
            running=running, speed_mps=speed, targets=tuple(targets),
            mentions=tuple(dict.fromkeys((*_mentions(phrases), *drawn.seen(roles.places)))),
            label_spans=tuple(labels[letter][1] for letter in told if letter in labels), place_counts=counts,
            tags=tuple(dict.fromkeys((*line.tags, *_tags(phrases, plan), *(["map"] if counts else [])))),
            author=line.author, robot=self._talk.robot, places=drawn.landmarks)

    def _values(self, line: Line, too_fast: bool, r: Random) -> dict[str, tuple[str, Any]]:
        values: dict[str, tuple[str, Any]] = {}
        near = any(name == "standoff_m" for step in line.meaning.steps for name, _ in step.args)
        segments = line.text + line.earlier
        for i, (_, slot) in enumerate(segments):
            if slot and slot in "TDGVSNK" and slot not in values:
                after = segments[i + 1][0] if i + 1 < len(segments) else ""
                if slot == "T":
                    values[slot] = self._words.duration(after, r)
                elif slot == "D":
                    values[slot] = self._words.distance(after, r, *[self._words.STANDOFF_RANGE_M] * near)
                elif slot == "G":
                    values[slot] = self._words.angle(after, r)
                elif slot == "N":
                    values[slot] = self._words.count(after, r)
                elif slot == "K":
                    values[slot] = self._words.slot_number(after, r)
                elif slot == "V":
                    values[slot] = self._words.speed(r, too_fast)
                else:
                    said = self._words.saying(r)
                    values[slot] = said, as_read(said)
        return values

    def _pieces(self, segments: tuple[tuple[str, str], ...], bound: _Bound) -> Pieces:
        pieces: Pieces = []
        for literal, slot in segments:
            if not slot:
                pieces.append((literal, ""))
            elif slot[0] in OBJECT_LETTERS:
                pieces += bound.phrases[slot[0]].pieces(slot)
            elif slot in PLACE_LETTERS:
                pieces.append((bound.map.words[slot], slot))
            else:
                pieces.append((bound.values[slot][0], slot))
        return pieces

    def _plan(self, line: Line, branch: tuple[StepPattern, ...], states: dict[str, str], bound: _Bound,
              labels: dict[str, tuple[str, tuple[int, int]]], too_fast: bool, text: str, view: View,
              ) -> tuple[ActionPlan | None, list[int], list[str]]:
        """The plan, the objects of its points, and the letters of its labels, in its order."""
        meaning = line.meaning
        if meaning.decision != "act":
            return ActionPlan(meaning.decision, reason=meaning.reason, reply=MISSING.get(meaning.missing)), [], []
        if too_fast:
            return ActionPlan("refuse", reason="not_permitted"), [], []
        if asked := next((x for x in PLACE_LETTERS if states.get(x) in (ABSENT, AMBIGUOUS)), ""):
            reason = "ambiguous" if states[asked] == AMBIGUOUS else "not_found"
            return ActionPlan("ask", reason=reason, reply=question_about(reason, as_read(bound.map.words[asked]))), [], []
        steps: list[Step] = []
        targets: list[int] = []
        told: list[str] = []
        moved, sought = False, set()
        for pattern in branch:
            args: dict[str, Any] = {}
            letter = pattern.target
            if letter in PLACE_IDS[self._talk.robot]:
                args["target"] = Target(place=letter)
            elif letter == SLOT_LETTER:
                args["target"] = Target(place=f"slot_{bound.values[letter][1]}")
            elif letter and letter in PLACE_LETTERS:
                args["target"] = Target(place=bound.map.ids[letter])
            elif letter and pattern.skill == "look_for":
                args["label"] = labels[letter][0]
                sought.add(letter)
                told.append(letter)
            elif letter:
                label, phrase = labels[letter][0], bound.phrases[letter]
                if not label:
                    return None, [], []
                fits = phrase.referent.objects
                if letter in sought or (not fits and moved):
                    args["target"] = Target(label=label)
                elif len(fits) == 1:
                    args["target"] = Target(label, "front", view.objects[fits[0]].point)
                    targets.append(fits[0])
                else:
                    reason = "ambiguous" if fits else "not_found"
                    return ActionPlan("ask", reason=reason, reply=question_about(reason, label)), [], [letter]
                told.append(letter)
            for name, value in pattern.args:
                if isinstance(value, Slot):
                    given = bound.values[value.letter][1]
                    if value.letter == "S" and given not in text and not line.earlier:
                        return None, [], []
                    args[name] = given if isinstance(given, str) else given * value.sign
                else:
                    args[name] = value
            moved = moved or pattern.skill in self._talk.looks_elsewhere
            steps.append(Step(pattern.skill, {name: args[name] for name in self._order[pattern.skill] if name in args}))
        return ActionPlan("act", tuple(steps)), targets, told

    def _state(self, line: Line, earlier: str, view: View, r: Random) -> tuple[str, float, str]:
        """(running skill, speed, earlier turn) at which the line is said."""
        talk = self._talk
        if line.relation == "?":
            return "", 0.0, earlier
        if line.relation == ">>":
            running = _first_skill(line, talk, r)
            halted = line.skills == ("continue",) and r.random() < 0.5
            return (running, 0.0 if halted else _speed(running, talk, r), earlier)
        alone = line.skills in (("continue",), ("set_speed",), ("stop",))
        which, idle = r.random(), 0.3 if alone else talk.idle
        if which < idle:
            return "", 0.0, ""
        if which < idle + talk.rolling:  # a car that moves with nothing to do follows its lane
            return r.choice(("", "drive")), r.choice(talk.speeds_mps), ""
        other = r.choice(self._lone)
        roles = self._roles[id(other)]
        states = dict.fromkeys(roles.letters, ANY)
        phrases, drawn = self._book.bind(other, roles, states, view, r), draw_map(talk.robot, states, view, self._words, r)
        if phrases is None or drawn is None:
            return "", 0.0, ""
        bound = _Bound(phrases, drawn, self._values(other, False, r))
        text = _joined(vary(self._pieces(other.text, bound), r, 0.6, talk.fillers))
        running = next((step.skill for step in other.meaning.steps if step.skill not in ("set_speed", "say")), "")
        if line.skills == ("continue",) and r.random() < 0.6:
            return running, 0.0, text
        return running, _speed(running, talk, r), text


def _pools(lines: tuple[Line, ...], roles: Mapping[int, Roles],
           talk: Talk) -> dict[str, tuple[list[list[Line]], list[float]]]:
    """Per outcome the groups of lines that can come to it, and the groups' weights."""
    sorted_in: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        group, role = _group(line), roles[id(line)]
        if line.meaning.decision != "act":
            sorted_in[line.meaning.decision][line.meaning.reason or ""].append(line)
        elif line.meaning.condition:
            sorted_in["condition"]["condition"].append(line)
        else:
            sorted_in["act"][group] += [line] * (talk.pointing if role.used else 1)
            mapped = role.asked_places if line.robot == "car" else ()  # the cart's map always has its places
            if role.askable or mapped:
                sorted_in["ambiguous"][group].append(line)
            if role.first_askable or mapped:
                sorted_in["absent"][group].append(line)
            if line.skills == ("set_speed",) and any(slot == "V" for _, slot in line.text):
                sorted_in["refuse"]["too_fast"].append(line)
    pools = {}
    for outcome, groups in sorted_in.items():
        if groups:
            total = sum(len(found) for name, found in groups.items() if name != "too_fast") or 1
            weights = [talk.groups[name] if name in talk.groups else _TOO_FAST if name == "too_fast" else len(found) / total
                       for name, found in groups.items()]
            pools[outcome] = list(groups.values()), weights
    return pools


def _group(line: Line) -> str:
    if line.relation:
        return "turn_taking"
    steps = line.meaning.steps
    if len(steps) != 1:
        return "sequence"
    return "place" if steps[0].skill == "go_to" and steps[0].target not in tuple(OBJECT_LETTERS) else steps[0].skill


def _states(line: Line, roles: Roles, outcome: str, talk: Talk, r: Random,
            ) -> tuple[tuple[StepPattern, ...], dict[str, str] | None]:
    """The steps that will hold, and per letter how many objects (or landmarks of the map) its words shall fit."""
    meaning = line.meaning
    states = dict.fromkeys(roles.letters, ANY)
    if meaning.decision != "act" or outcome == "refuse":
        return meaning.steps, states
    branch = meaning.steps
    if meaning.condition:
        there = r.random() < 0.55
        branch = meaning.steps if there else meaning.otherwise
        states[meaning.condition] = UNIQUE if there else ABSENT
    sought: set[str] = set()
    moved = False
    for step in branch:
        letter = step.target or ""
        if letter and letter in OBJECT_LETTERS and letter != meaning.condition:
            if step.skill == "look_for":
                sought.add(letter)
                states[letter] = ABSENT if r.random() < 0.65 else ANY
            elif letter not in sought and states[letter] == ANY:
                deferred = moved and outcome == "act" and letter in roles.whole and r.random() < _DEFERRED
                states[letter] = ABSENT if deferred else UNIQUE
        moved = moved or step.skill in talk.looks_elsewhere
    mapped = roles.asked_places if talk.robot == "car" else ()
    if outcome == "ambiguous":
        if not roles.askable + mapped:
            return branch, None
        states[r.choice(roles.askable + mapped)] = AMBIGUOUS
    elif outcome == "absent":
        missing = mapped + ((roles.first_askable,) if roles.first_askable else ())
        if not missing:
            return branch, None
        states[r.choice(missing)] = ABSENT
    return branch, states


def _first_skill(line: Line, talk: Talk, r: Random) -> str:
    """What probably runs while a follow-up is said, by what the earlier text names: an object, a place, a distance."""
    slots = {slot[0] for _, slot in line.earlier if slot}
    if "follow" in line.skills:
        return "follow"
    amounts = (("D", "move" if talk.robot == "cart" else "drive"), ("G", "turn"), ("T", "wait"), ("S", "say"), ("K", "park"))
    if not slots & set("ABCPQ"):
        for letter, skill in amounts:
            if letter in slots:
                return skill
    return r.choices(list(talk.usual), list(talk.usual.values()))[0]


def _speed(running: str, talk: Talk, r: Random) -> float:
    return r.choice(talk.speeds_mps) if running in talk.moves else 0.0


def _joined(pieces: Pieces) -> str:
    return as_read("".join(text for text, _ in pieces)) if pieces else ""


def _mentions(phrases: dict[str, Phrase]) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for phrase in phrases.values():
        found.update(dict.fromkeys(phrase.referent.objects))
        found.update(dict.fromkeys(index for _, index in phrase.referent.marks))
    return tuple(found)


def _tags(phrases: dict[str, Phrase], plan: ActionPlan) -> list[str]:
    tags = [plan.decision] + ([plan.reason] if plan.reason else [])
    tags += [tag for phrase in phrases.values() for tag in phrase.tags]
    if any(step.target is not None and step.target.deferred for step in plan.steps):
        tags.append("deferred")
    return tags


def _pick(weights: Mapping[str, float], r: Random) -> str:
    return r.choices(list(weights), list(weights.values()))[0]
