"""What every model backend is asked and answers, and the errors that it may raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from jpai_agent.language import failure

SIDE_MIN_PX, SIDE_MAX_PX = 64, 4096
DARK_LEVEL = 12  # of 255: a frame that is nowhere brighter shows nothing
FLAT_STD = 0.75  # of 255: a frame of one colour shows nothing either; sensor noise alone is above 1

ERROR_CODES = (
    "model_missing", "model_altered", "model_unavailable", "model_timeout", "model_busy", "plan_error", "too_long",
    "empty", "image_missing", "image_size", "image_encoding", "image_black", "bad_request", "policy", "unrecorded",
)


class VlmError(RuntimeError):
    """A plan could not be had. `reason_code` is one of ERROR_CODES; the message is for logs, `reply` for users."""

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code

    @property
    def reply(self) -> str:
        """What the robot says about it."""
        alike = dict.fromkeys(("model_missing", "model_altered"), "model_unavailable") | {"bad_request": "plan_error"}
        return failure(alike.get(self.reason_code, self.reason_code))


@dataclass(frozen=True)
class Exchange:
    """An earlier turn: what was said, and the plan JSON that was answered ("" when there was none)."""

    user: str
    answer: str = ""


@dataclass(frozen=True)
class PlanRequest:
    """Everything that a plan may depend on.

    Attributes:
        instruction: Cleaned text of the instruction (`language.normalise`).
        images: Colour frames by camera, each (H, W, 3) uint8 RGB; all those cameras may be pointed into.
        robot: Name of the robot, which names its skills.
        speed_mps: Its speed. running: name of the skill that runs, "" at rest.
        places: Japanese names by place id, as the map has them, the usual name first.
        dialogue: Earlier turns, oldest first.
    """

    instruction: str
    images: Mapping[str, np.ndarray]
    robot: str = "cart"
    speed_mps: float = 0.0
    running: str = ""
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dialogue: tuple[Exchange, ...] = ()

    def check(self) -> None:
        """Raise VlmError when there is nothing to plan from."""
        if not self.instruction.strip():
            raise VlmError("empty", "the instruction is empty")
        if not self.images:
            raise VlmError("image_missing", "no camera frame in the request")
        for camera, image in self.images.items():
            check_image(image, camera)


@dataclass(frozen=True)
class PlanAnswer:
    """What a model answered.

    Attributes:
        text: Plan JSON, for `plan.parse_plan`; points are x, y in 0..1000 whatever the model's own convention.
        confidence: Share (0..1) of answers like this one whose decision is right, as calibrated on validation questions; None
            where the model has no calibration, so that nobody takes an unknown for a doubt.
        timings_ms: Milliseconds by part (prepare, vision, encode, decode, grammar, total).
        prompt_tokens, answer_tokens: Tokens read and written.
        model: Name of the model.
        probability, decision_probability: What the model itself gave to this answer and to its decision (0..1) among all that
            the grammar allowed; None when unknown.
        sha256: Of the model, as its server says with each answer; "" where nobody says it.
    """

    text: str
    confidence: float | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    answer_tokens: int = 0
    model: str = ""
    probability: float | None = None
    decision_probability: float | None = None
    sha256: str = ""


class VlmBackend(Protocol):
    """A model that turns words and frames into plan JSON."""

    name: str

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The model's answer. Raises VlmError."""

    def warm(self, request: PlanRequest) -> None:
        """Do beforehand what a first request like this one would have to wait for."""


def check_image(image: object, camera: str = "front") -> None:
    """Raise VlmError when `image` is no (H, W, 3) uint8 RGB frame of a usable size that shows something."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise VlmError("image_encoding", f"frame of camera {camera} must be uint8 (H, W, 3) RGB, not {what}")
    height, width = image.shape[:2]
    if not (SIDE_MIN_PX <= height <= SIDE_MAX_PX and SIDE_MIN_PX <= width <= SIDE_MAX_PX):
        raise VlmError("image_size", f"frame of camera {camera} is {width}x{height}, "
                                     f"sides must be {SIDE_MIN_PX}..{SIDE_MAX_PX} pixels")
    thinned = image[::4, ::4]
    if thinned.max() <= DARK_LEVEL or float(thinned.std()) < FLAT_STD:
        raise VlmError("image_black", f"frame of camera {camera} shows nothing")
