"""What an episode expects of the robot: predicates with their arguments, conditions, decisions (DESIGN section 7)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jpai_agent.plan.types import DECISIONS, REASONS


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


def _known_decision(value: str) -> str:
    if value not in DECISIONS:
        raise ValueError(f"unknown decision {value!r}; known: {', '.join(DECISIONS)}")
    return value


def _known_reason(value: str | None) -> str | None:
    if value is not None and value not in REASONS:
        raise ValueError(f"unknown reason {value!r}; known: {', '.join(REASONS)}")
    return value


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Metres = Annotated[float, Field(ge=0)]
Decision = Annotated[str, AfterValidator(_known_decision)]
Reason = Annotated[str | None, AfterValidator(_known_reason)]


class Near(Strict):
    """Gap between the robot's and the object's footprints, in the plane."""

    object: str
    min_m: Metres = 0.0
    max_m: Metres = math.inf

    @model_validator(mode="after")
    def _some_bound(self) -> Near:
        if self.min_m == 0.0 and math.isinf(self.max_m):
            raise ValueError("near needs min_m or max_m")
        return self


class Inside(Strict):
    """base_link's origin is in the box x0, y0, x1, y1."""

    box: Annotated[list[float], Field(min_length=4, max_length=4)]

    @model_validator(mode="after")
    def _ordered(self) -> Inside:
        if not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, not {self.box}")
        return self


class Heading(Strict):
    """base_link's x axis in the map."""

    deg: float
    tol_deg: Metres = 15.0


class Facing(Strict):
    """base_link's x axis towards the object's centre."""

    object: str
    tol_deg: Metres = 15.0


class Stopped(Strict):
    """Standing still for the last second."""


class Moved(Strict):
    """Net displacement in the start frame."""

    forward_m: float = 0.0
    left_m: float = 0.0
    tol_m: Metres = 0.2


class Turned(Strict):
    """Net turn since the start, wrapped."""

    deg: float
    tol_deg: Metres = 15.0


class WaitedNear(Strict):
    """Where a wait must be."""

    object: str
    max_m: Metres


class Waited(Strict):
    """One unbroken standstill of a length."""

    seconds: Metres
    tol_s: Metres = 0.5
    near: WaitedNear | None = None


class Speed(Strict):
    """Median speed while moving."""

    min_mps: Metres = 0.0
    max_mps: Metres = math.inf


class Followed(Strict):
    """Share of the time in which the object moves."""

    object: str
    max_gap_m: Metres
    fraction: Annotated[float, Field(ge=0, le=1)] = 0.8


class Stationary(Strict):
    """Never away from the start."""


class Said(Strict):
    """A reply or a `say` step matches."""

    matches: Annotated[str, AfterValidator(_regular_expression)]


class Condition(Strict):
    """Predicates that must all hold."""

    near: Near | None = None
    inside: Inside | None = None
    heading: Heading | None = None
    facing: Facing | None = None
    stopped: Stopped | None = None
    moved: Moved | None = None
    turned: Turned | None = None
    waited: Waited | None = None
    speed: Speed | None = None
    followed: Followed | None = None
    stationary: Stationary | None = None
    said: Said | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("a condition needs a predicate")
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                raise ValueError(f"{name} must be an object, not null")
        return self

    def predicates(self) -> list[tuple[str, Any]]:
        """(name, arguments) of what must hold."""
        return [(name, getattr(self, name)) for name in type(self).model_fields if getattr(self, name) is not None]

    def objects(self) -> set[str]:
        """Ids of the objects that it speaks of."""
        nested = self.waited.near if self.waited is not None else None
        return {
            a.object
            for _, a in [*self.predicates(), ("near", nested)]
            if isinstance(a, Near | Facing | Followed | WaitedNear)
        }


class TurnExpectation(Strict):
    """The decision that a turn should lead to; null or left out means any."""

    decision: Decision | list[Decision] | None = None
    reason: Reason | list[Reason] = None

    @property
    def decisions(self) -> tuple[str, ...] | None:
        """Acceptable decisions, None for any."""
        if self.decision is None:
            return None
        return (self.decision,) if isinstance(self.decision, str) else tuple(self.decision)

    @property
    def reasons(self) -> tuple[str | None, ...] | None:
        """Acceptable reasons, None for any."""
        if self.reason is None:
            return None
        return (self.reason,) if isinstance(self.reason, str) else tuple(self.reason)


class Expectation(TurnExpectation):
    """What the whole episode should lead to."""

    final: list[Condition] = Field(default_factory=list)
    sequence: list[Condition] = Field(default_factory=list)
    never: list[Condition] = Field(default_factory=list)
