"""Derive from the skill registry the JSON schema that constrains decoding: what it admits, `parse_plan` accepts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from jpai_agent.plan.parse import LABEL_MAX_CHARS, REPLY_MAX_CHARS
from jpai_agent.plan.spec import Argument, Choice, Number, SkillSpec, Text
from jpai_agent.plan.types import REASONS

DECODED_STEPS_MAX = 8


def json_schema(skills: Mapping[str, SkillSpec], cameras: Sequence[str], places: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a plan for these skills, cameras and place ids, properties in the plan language's order.

    Args:
        skills: The robot's skills by name.
        cameras: Names that a target's point may refer to; with none there are no points.
        places: Place ids of the map; with none there are no places.
    """
    steps = [step for spec in skills.values() for step in _steps(spec)]
    end = {"reply": _words(REPLY_MAX_CHARS)}
    listed = {"type": "array", "items": {"anyOf": steps}, "minItems": 1, "maxItems": DECODED_STEPS_MAX}
    act = _object({"decision": {"const": "act"}, "steps": listed, "reason": {"type": "null"}} | end, optional=end)
    rest = _object({"decision": {"enum": ["ask", "refuse"]}, "steps": {"type": "array", "maxItems": 0},
                    "reason": {"enum": list(REASONS)}} | end, optional=end)
    return {"anyOf": [act, rest], "$defs": _targets(cameras, places)}


def _object(properties: dict[str, Any], optional: Collection[str] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [key for key in properties if key not in optional],
            "additionalProperties": False}


def _steps(spec: SkillSpec) -> Iterator[dict[str, Any]]:
    """The step objects of one skill: one for each way to keep its one_of and at_most_one_of rules."""
    for needed in spec.one_of or ("",):
        for allowed in (*spec.at_most_one_of, "") if spec.at_most_one_of else ("",):
            names = [name for name in spec.args if (name not in spec.one_of or name == needed)
                     and (name not in spec.at_most_one_of or name == allowed)]
            sure = [name for name in names if spec.args[name].required or name in (needed, allowed)]
            yield _object({"skill": {"const": spec.name}} | {name: _argument(spec.args[name]) for name in names},
                          optional=[name for name in names if name not in sure])


def _argument(argument: Argument) -> dict[str, Any]:
    if isinstance(argument, Number):
        return _number(argument)
    if isinstance(argument, Choice):
        return {"enum": list(argument.options)}
    if isinstance(argument, Text):
        return _words(argument.max_chars)
    return {"$ref": "#/$defs/target" if argument.places else "#/$defs/seen"}


def _words(max_chars: int) -> dict[str, Any]:
    """Text that needs no escape and holds no control character. xgrammar 0.2.8 takes at most 128 repetitions here.

    The characters are named, not what they must not be: for the latter xgrammar 0.2.8 admits bytes that are no UTF-8.
    """
    return {"type": "string", "pattern": f"^[ !#-\\[\\]-~\u00a0-\ud7ff\ue000-\U0010ffff]{{1,{max_chars}}}$"}


def _number(argument: Number) -> dict[str, Any]:
    if not argument.nonzero:
        return {"type": "number", "minimum": argument.low, "maximum": argument.high}
    parts = []
    if argument.low < 0:
        parts.append({"type": "number", "minimum": argument.low, "exclusiveMaximum": 0})
    if argument.high > 0:
        parts.append({"type": "number", "exclusiveMinimum": 0, "maximum": argument.high})
    return parts[0] if len(parts) == 1 else {"anyOf": parts}


def _targets(cameras: Sequence[str], places: Sequence[str]) -> dict[str, Any]:
    label = _words(LABEL_MAX_CHARS)
    coordinate = {"type": "integer", "minimum": 0, "maximum": 1000}
    point = {"type": "array", "prefixItems": [coordinate, coordinate], "minItems": 2, "maxItems": 2, "items": False}
    camera = {"camera": {"enum": list(cameras)}, "point": point}
    seen = [_object({"label": label})]
    if cameras:
        seen.append(_object({"label": label} | camera, optional=("label",)))
    named = [_object({"label": label, "place": {"enum": list(places)}}, optional=("label",))] if places else []
    if places and cameras:
        named.append(_object({"label": label} | camera | {"place": {"enum": list(places)}}, optional=("label",)))
    return {"seen": {"anyOf": seen}, "target": {"anyOf": seen + named}}
