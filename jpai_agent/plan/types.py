"""The plan itself: a decision, steps with their targets, a reason and a reply."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

DECISIONS = ("act", "ask", "refuse")
REASONS = ("not_found", "ambiguous", "incomplete", "unsafe", "unsupported", "not_permitted", "not_understood")


@dataclass(frozen=True)
class Target:
    """What a step is about: a point in a camera, a named place of the map, or both.

    A target with a label alone is resolved when its step begins, by pointing in the frame of that moment.

    Attributes:
        label: The user's own words for it.
        camera: Name of the camera that `point` refers to.
        point: [x, y] integers 0..1000 over the image, origin top left, x right, y down.
        place: Id of a place of the map.
    """

    label: str | None = None
    camera: str | None = None
    point: tuple[int, int] | None = None
    place: str | None = None

    def __post_init__(self) -> None:
        if self.label is None and self.point is None and self.place is None:
            raise ValueError("a target needs a label, a point or a place")
        if (self.point is None) != (self.camera is None):
            raise ValueError("a target's point and camera come together")

    @property
    def deferred(self) -> bool:
        """True when the target has a label alone and waits for the frame of its step."""
        return self.point is None and self.place is None

    def to_dict(self) -> dict[str, Any]:
        """The target as JSON-ready values, absent members left out."""
        values = {"label": self.label, "camera": self.camera, "point": list(self.point) if self.point else None,
                  "place": self.place}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class Step:
    """One skill with its arguments; a `target` argument is held as a `Target`."""

    skill: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Target | None:
        """The step's target, if it has one."""
        return self.args.get("target")

    def with_target(self, target: Target) -> Step:
        """A copy of the step that is about another target."""
        return replace(self, args={**self.args, "target": target})

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON-ready values, `skill` first, then the arguments in their order."""
        return {"skill": self.skill} | {
            key: value.to_dict() if isinstance(value, Target) else value for key, value in self.args.items()
        }


@dataclass(frozen=True)
class ActionPlan:
    """A decision of the model: act with steps, or ask or refuse with a reason and no motion."""

    decision: str
    steps: tuple[Step, ...] = ()
    reason: str | None = None
    reply: str | None = None

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise ValueError(f"decision {self.decision!r} is not one of {DECISIONS}")
        if self.decision == "act" and (not self.steps or self.reason is not None):
            raise ValueError("a plan that acts has steps and no reason")
        if self.decision != "act" and (self.steps or self.reason not in REASONS):
            raise ValueError("a plan that asks or refuses has a reason and no steps")

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values in the order of the plan language; an absent reply is left out."""
        values: dict[str, Any] = {
            "decision": self.decision, "steps": [step.to_dict() for step in self.steps], "reason": self.reason,
        }
        return values if self.reply is None else values | {"reply": self.reply}

    def to_json(self) -> str:
        """Canonical text: keys in order, no spaces, Japanese unescaped."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def sha256(self) -> str:
        """Hash of what the plan does: decision, steps and reason, not its wording."""
        return hashlib.sha256(replace(self, reply=None).to_json().encode()).hexdigest()
