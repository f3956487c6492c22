"""Turn a model's text into a plan, or into an error with its reason. Nothing is repaired, nothing kept."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from jpai_agent.plan.spec import Argument, Number, SkillSpec, TargetArg
from jpai_agent.plan.types import DECISIONS, REASONS, ActionPlan, Step, Target

MAX_CHARS = 8000
MAX_STEPS = 20
MAX_DEPTH = 6  # plan {steps [step {target {point [x, y]}}]} is five levels deep
LABEL_MAX_CHARS = 40
REPLY_MAX_CHARS = 120

_PLAN_KEYS = ("decision", "steps", "reason", "reply")
_TARGET_KEYS = ("label", "camera", "point", "place")

REASON_CODES = (
    "too_long", "fenced", "truncated", "not_json", "duplicate_key", "not_finite", "too_deep", "wrong_type",
    "missing_key", "unknown_key", "unknown_decision", "unknown_reason", "too_many_steps", "no_steps",
    "steps_not_allowed", "unknown_skill", "unknown_argument", "missing_argument", "argument_conflict",
    "bad_argument", "bad_target", "unknown_place", "unknown_camera", "bad_text",
)


class PlanError(ValueError):
    """A text that is no plan. `reason_code` is one of REASON_CODES; the message says what was wrong and where."""

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code


def parse_plan(text: str, skills: Mapping[str, SkillSpec], *, cameras: Sequence[str] = ("front",),
               places: Collection[str] | None = None) -> ActionPlan:
    """The plan that `text` is, read strictly.

    Args:
        text: One JSON object of the plan language, with nothing around it but white space.
        skills: The robot's skills by name.
        cameras: Names that a target's point may refer to.
        places: Place ids of the map; None where no map is known, which leaves them unchecked.

    Raises:
        PlanError: When anything at all is wrong; then nothing of the text may run.
    """
    data = _load(text)
    _keys(data, _PLAN_KEYS, ("decision", "steps", "reason"), "plan")
    decision, reason, reply = data["decision"], data["reason"], data.get("reply")
    if not isinstance(decision, str) or decision not in DECISIONS:
        raise PlanError("unknown_decision", f"decision {decision!r} is not one of {', '.join(DECISIONS)}")
    if "reply" in data:
        _text(reply, REPLY_MAX_CHARS, "reply")
    if not isinstance(data["steps"], list):
        raise PlanError("wrong_type", f"steps must be a list, not {_name(data['steps'])}")
    if len(data["steps"]) > MAX_STEPS:
        raise PlanError("too_many_steps", f"{len(data['steps'])} steps, at most {MAX_STEPS}")
    if decision == "act":
        if not data["steps"]:
            raise PlanError("no_steps", "a plan that acts needs at least one step")
        if reason is not None:
            raise PlanError("unknown_reason", f"a plan that acts has reason null, not {reason!r}")
    else:
        if data["steps"]:
            raise PlanError("steps_not_allowed", f"a plan with decision {decision} carries no steps")
        if not isinstance(reason, str) or reason not in REASONS:
            raise PlanError("unknown_reason", f"reason {reason!r} is not one of {', '.join(REASONS)}")
    steps = tuple(_step(value, f"step {index}", skills, cameras, places) for index, value in enumerate(data["steps"]))
    return ActionPlan(decision, steps, reason, reply)


def _load(text: str) -> dict[str, Any]:
    if not isinstance(text, str):
        raise PlanError("wrong_type", f"a plan is text, not {_name(text)}")
    if len(text) > MAX_CHARS:
        raise PlanError("too_long", f"{len(text)} characters, at most {MAX_CHARS}")
    stripped = text.strip()
    if stripped.startswith("```"):
        raise PlanError("fenced", "the plan stands in a code fence")
    _check_depth(stripped)
    try:
        data = json.loads(stripped, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float,
                          parse_int=_int)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(stripped) or error.msg.startswith("Unterminated string")
        raise PlanError("truncated" if stripped and ended else "not_json", str(error)) from error
    if not isinstance(data, dict):
        raise PlanError("wrong_type", f"a plan is a JSON object, not {_name(data)}")
    return data


def _check_depth(text: str) -> None:
    depth, in_string, escaped = 0, False, False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise PlanError("too_deep", f"nested deeper than {MAX_DEPTH} levels")
        elif char in "}]":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise PlanError("duplicate_key", f"key {key!r} stands twice in one object")
        result[key] = value
    return result


def _constant(literal: str) -> NoReturn:
    raise PlanError("not_finite", f"{literal} is no number of a plan")


def _float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise PlanError("not_finite", f"{literal} is too large for a number")
    return value


def _int(literal: str) -> int:
    if len(literal) > 15:
        raise PlanError("not_finite", f"an integer of {len(literal)} digits is too large for a number")
    return int(literal)


def _keys(data: dict[str, Any], known: Sequence[str], required: Sequence[str], where: str) -> None:
    if unknown := [key for key in data if key not in known]:
        raise PlanError("unknown_key", f"{where} has unknown key {unknown[0]!r}; known: {', '.join(known)}")
    if missing := [key for key in required if key not in data]:
        raise PlanError("missing_key", f"{where} lacks {missing[0]!r}")


def _text(value: Any, max_chars: int, where: str) -> str:
    if not isinstance(value, str):
        raise PlanError("wrong_type", f"{where} must be text, not {_name(value)}")
    if not 0 < len(value) <= max_chars:
        raise PlanError("bad_text", f"{where} has {len(value)} characters, needs 1..{max_chars}")
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in value):
        raise PlanError("bad_text", f"{where} holds control characters or half a character")
    return value


def _step(data: Any, where: str, skills: Mapping[str, SkillSpec], cameras: Sequence[str],
          places: Collection[str] | None) -> Step:
    if not isinstance(data, dict):
        raise PlanError("wrong_type", f"{where} must be an object, not {_name(data)}")
    if "skill" not in data:
        raise PlanError("missing_key", f"{where} lacks 'skill'")
    skill = data["skill"]
    if not isinstance(skill, str) or skill not in skills:
        raise PlanError("unknown_skill", f"{where}: no skill {skill!r}; this robot has {', '.join(skills)}")
    spec = skills[skill]
    given = {key: value for key, value in data.items() if key != "skill"}
    if unknown := [key for key in given if key not in spec.args]:
        known = ", ".join(spec.args) or "nothing"
        raise PlanError("unknown_argument", f"{where}: {skill} takes no {unknown[0]!r}; it takes {known}")
    if missing := [key for key, argument in spec.args.items() if argument.required and key not in given]:
        raise PlanError("missing_argument", f"{where}: {skill} needs {missing[0]!r}")
    if spec.one_of and sum(key in given for key in spec.one_of) != 1:
        raise PlanError("argument_conflict", f"{where}: {skill} needs exactly one of {', '.join(spec.one_of)}")
    if sum(key in given for key in spec.at_most_one_of) > 1:
        raise PlanError("argument_conflict", f"{where}: {skill} takes one of {', '.join(spec.at_most_one_of)} at most")
    # in the order of the registry, so that one plan has one hash
    return Step(skill, {key: _argument(argument, given[key], f"{where}: {skill}.{key}", cameras, places)
                        for key, argument in spec.args.items() if key in given})


def _argument(argument: Argument, value: Any, where: str, cameras: Sequence[str],
              places: Collection[str] | None) -> Any:
    if isinstance(argument, TargetArg):
        value = _target(value, where, cameras, places)
    elif not isinstance(argument, Number):
        _text(value, MAX_CHARS, where)
    try:
        argument.check(value)
    except ValueError as error:
        raise PlanError("bad_argument", f"{where}: {error}") from error
    return value


def _target(data: Any, where: str, cameras: Sequence[str], places: Collection[str] | None) -> Target:
    if not isinstance(data, dict):
        raise PlanError("wrong_type", f"{where} must be an object, not {_name(data)}")
    _keys(data, _TARGET_KEYS, (), where)
    for key in ("label", "camera", "place"):
        if key in data:
            _text(data[key], LABEL_MAX_CHARS, f"{where}.{key}")
    if "camera" in data and data["camera"] not in cameras:
        raise PlanError("unknown_camera", f"{where}: no camera {data['camera']!r}; this robot has {', '.join(cameras)}")
    if places is not None and "place" in data and data["place"] not in places:
        known = ", ".join(places) or "none"
        raise PlanError("unknown_place", f"{where}: no place {data['place']!r}; the map has {known}")
    point = _point(data["point"], where) if "point" in data else None
    try:
        return Target(data.get("label"), data.get("camera"), point, data.get("place"))
    except ValueError as error:
        raise PlanError("bad_target", f"{where}: {error}") from error


def _point(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or any(type(c) is not int for c in value):
        raise PlanError("bad_target", f"{where}: a point is two integers, not {value!r}")
    if any(not 0 <= c <= 1000 for c in value):
        raise PlanError("bad_target", f"{where}: point {value} is outside 0..1000")
    return value[0], value[1]


def _name(value: Any) -> str:
    return "null" if value is None else type(value).__name__
