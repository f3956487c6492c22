"""The right-hand side of a corpus line: steps with their arguments, questions, refusals, conditions; for either robot."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jpai_agent.language.questions import MISSING
from jpai_agent.plan.types import REASONS

CART_PLACES = ("dock", "entrance", "exit", "office", "storage", "berth_1", "berth_2", "berth_3")
SLOTS = tuple(f"slot_{number}" for number in range(1, 7))
CAR_PLACES = ("parking", *SLOTS)
PLACE_IDS: dict[str, tuple[str, ...]] = {"cart": CART_PLACES, "car": CAR_PLACES}
OBJECT_LETTERS = "ABC"
PLACE_LETTERS = "PQ"
SLOT_LETTER = "K"
SIDES = ("front", "behind", "left", "right")
DIRECTIONS = ("left", "right", "straight")
WHERES = ("before", "beside", "after")
WHENS = ("before", "at", "after")
# what a skill does when its option is left out
_WHERE_DEFAULT = {"stop_at": "before", "pull_over": "beside"}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CONDITION = re.compile(r"if ([ABC]): (.+?) else: (.+)")


@dataclass(frozen=True)
class Slot:
    """A value that the text's slot of that letter gives, negated where `sign` is −1."""

    letter: str
    sign: int = 1


@dataclass(frozen=True)
class StepPattern:
    """A step of a meaning.

    Attributes:
        skill: As in the plan language.
        target: A letter A–C (object), P or Q (place), K (parking slot) or the id of a place; None when the skill takes none.
        args: Other arguments by their names in the plan: a number, a word or a Slot.
    """

    skill: str
    target: str | None = None
    args: tuple[tuple[str, float | str | Slot], ...] = ()


@dataclass(frozen=True)
class Meaning:
    """What a line means: steps, or a reason to ask or refuse. With `condition` the steps hold when that object is in
    view, `otherwise` when it is not. `missing`: what an incomplete instruction lacks, a key of MISSING, or ""."""

    decision: str
    steps: tuple[StepPattern, ...] = ()
    reason: str | None = None
    condition: str | None = None
    otherwise: tuple[StepPattern, ...] = ()
    missing: str = ""

    @property
    def letters(self) -> set[str]:
        """Letters of the text's slots that it uses."""
        used = {self.condition} if self.condition else set()
        for step in self.steps + self.otherwise:
            if step.target and step.target in OBJECT_LETTERS + PLACE_LETTERS + SLOT_LETTER:
                used.add(step.target)
            used |= {value.letter for _, value in step.args if isinstance(value, Slot)}
        return used


def parse_meaning(text: str, robot: str) -> Meaning:
    """The meaning that stands after `=>`. Raises ValueError that says what is wrong."""
    if match := _CONDITION.fullmatch(text):
        steps, otherwise = _steps(match[2].rstrip("; "), robot), _steps(match[3], robot)
        return Meaning("act", steps, condition=match[1], otherwise=otherwise)
    word, _, rest = text.partition(" ")
    if word in ("ask", "refuse"):
        reason, _, missing = rest.partition(" ")
        if reason not in REASONS:
            raise ValueError(f"{word} needs one of {', '.join(REASONS)}, not {reason!r}")
        if (word, reason) == ("ask", "incomplete") and missing not in MISSING:
            raise ValueError(f"ask incomplete needs what is missing, one of {', '.join(MISSING)}, not {missing!r}")
        if missing and reason != "incomplete":
            raise ValueError(f"{word} {reason} takes nothing, got {missing!r}")
        return Meaning(word, reason=reason, missing=missing)
    return Meaning("act", _steps(text, robot))


def _steps(text: str, robot: str) -> tuple[StepPattern, ...]:
    step = _car_step if robot == "car" else _cart_step
    return tuple(step(part.strip()) for part in text.split(";") if part.strip())


def _cart_step(text: str) -> StepPattern:
    skill, words = _split(text)
    if skill in ("stop", "continue", "return_home"):
        return _plain(skill, words)
    if skill in ("go_to", "face", "follow", "look_for"):
        return _cart_target(skill, *_first(text, words))
    if skill in ("say", "set_speed", "wait", "move", "turn"):
        return _amount(text, skill, words)
    raise ValueError(f"unknown skill {skill!r}")


def _car_step(text: str) -> StepPattern:
    skill, words = _split(text)
    if skill in ("stop", "continue"):
        return _plain(skill, words)
    if skill in ("say", "set_speed", "wait"):
        return _amount(text, skill, words)
    if skill == "turn_at":
        return _turn_at(*_first(text, words))
    if skill == "drive" and words and words[0] not in OBJECT_LETTERS + PLACE_LETTERS:
        return _amount(text, skill, words)
    if skill == "park":
        return _park(words)
    if skill in ("drive", "u_turn", "pull_over") and not words:
        return StepPattern(skill)
    if skill in ("drive", "u_turn", "pull_over", "stop_at", "follow"):
        return _car_target(skill, *_first(text, words))
    raise ValueError(f"unknown skill {skill!r}")


def _split(text: str) -> tuple[str, list[str]]:
    skill, *words = text.split() or [""]
    return skill, words


def _first(text: str, words: list[str]) -> tuple[str, list[str]]:
    if not words:
        raise ValueError(f"step {text!r} lacks its argument")
    return words[0], words[1:]


def _plain(skill: str, words: list[str]) -> StepPattern:
    if words:
        raise ValueError(f"{skill} takes nothing, got {' '.join(words)!r}")
    return StepPattern(skill)


def _amount(text: str, skill: str, words: list[str]) -> StepPattern:
    """A step whose one argument is a number, a word or a slot."""
    word, rest = _first(text, words)
    if skill == "say":
        return StepPattern(skill, args=(("text", Slot("S") if words == ["S"] else " ".join(words)),))
    if rest:
        raise ValueError(f"{skill} takes one argument, got {' '.join(words)!r}")
    if skill == "set_speed" and word.startswith("x"):
        return StepPattern(skill, args=(("factor", _number(word[1:])),))
    name, letter = {"move": ("distance_m", "D"), "drive": ("distance_m", "D"), "turn": ("angle_deg", "G"),
                    "wait": ("duration_s", "T"), "set_speed": ("speed", "V")}[skill]
    return StepPattern(skill, args=((name, _value(word, letter)),))


def _cart_target(skill: str, target: str, options: list[str]) -> StepPattern:
    if target not in OBJECT_LETTERS and not (skill == "go_to" and (target in PLACE_LETTERS or target in CART_PLACES)):
        raise ValueError(f"{skill} takes no target {target!r}")
    args: dict[str, float | str | Slot] = {}
    for option in options:
        name, _, value = option.partition("=")
        if skill == "go_to" and name == "side" and value in SIDES:
            args["side"] = value
        elif skill == "go_to" and name == "standoff":
            args["standoff_m"] = _value(value, "D")
        elif skill == "follow" and option == "until=target_stops":
            args["until"] = "target_stops"
        elif skill == "follow" and name == "until":
            args["duration_s"] = _value(value, "T")
        else:
            raise ValueError(f"{skill} takes no option {option!r}")
    return StepPattern(skill, target, tuple((k, args[k]) for k in ("standoff_m", "side", "duration_s", "until")
                                            if k in args))


def _car_target(skill: str, target: str, options: list[str]) -> StepPattern:
    """A step of the car that is about something; options at their defaults are left out."""
    if skill == "stop_at" and target == "line":
        if options:
            raise ValueError(f"stop_at line takes no option {options[0]!r}")
        return StepPattern(skill, args=(("at", "stop_line"),))
    if target not in OBJECT_LETTERS and (target not in PLACE_LETTERS or skill == "follow"):
        raise ValueError(f"{skill} takes no target {target!r}")
    args: list[tuple[str, float | str | Slot]] = []
    for option in options:
        name, _, value = option.partition("=")
        if skill in _WHERE_DEFAULT and name == "where" and value in WHERES:
            if value != _WHERE_DEFAULT[skill]:
                args.append(("where", value))
        elif skill == "stop_at" and name == "standoff":
            args.append(("standoff_m", _value(value, "D")))
        elif skill == "follow" and name == "until" and value in ("target_turns", "target_stops"):
            args.append(("until", value))
        elif skill == "follow" and name == "until":
            args.append(("duration_s", _value(value, "T")))
        else:
            raise ValueError(f"{skill} takes no option {option!r}")
    return StepPattern(skill, target, tuple(args))


def _turn_at(direction: str, options: list[str]) -> StepPattern:
    """`turn_at left`, with a count (1 is left out), `at=light` (crossings are left out), or a landmark and `when`."""
    if direction not in DIRECTIONS:
        raise ValueError(f"turn_at needs one of {', '.join(DIRECTIONS)}, not {direction!r}")
    args: dict[str, float | str | Slot] = {"direction": direction}
    target = None
    for option in options:
        name, _, value = option.partition("=")
        if option in OBJECT_LETTERS + PLACE_LETTERS:
            target = option
        elif name == "nth":
            count = _value(value, "N")
            if count != 1:
                args["nth"] = count if isinstance(count, Slot) else int(count)
        elif name == "at" and value in ("light", "crossing"):
            if value == "light":
                args["at"] = value
        elif name == "when" and value in WHENS:
            args["when"] = value
        else:
            raise ValueError(f"turn_at takes no option {option!r}")
    if (target is None) != ("when" not in args):
        raise ValueError("turn_at takes a landmark and when= together")
    if target and "nth" in args:
        raise ValueError("turn_at takes a count or a landmark, not both")
    return StepPattern("turn_at", target, tuple(args.items()))


def _park(words: list[str]) -> StepPattern:
    if not words:
        return StepPattern("park", "parking")
    place = words[0] if words[0] == SLOT_LETTER else f"slot_{words[0]}"
    if len(words) > 1 or place not in (SLOT_LETTER, *SLOTS):
        raise ValueError(f"park takes nothing, K or 1..{len(SLOTS)}, got {' '.join(words)!r}")
    return StepPattern("park", place)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def _value(text: str, letter: str) -> float | Slot:
    if text.lstrip("-") == letter and len(text) <= 2:
        return Slot(letter, -1 if text[0] == "-" else 1)
    return _number(text)
