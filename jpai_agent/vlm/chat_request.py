"""Read the body of `/v1/chat/completions` as a request for a plan, or say which member is in the way.

JPAI's own client tells the robot's state in a member `jpai`; of any other client the last user message is the instruction, its
images are the robot's cameras in their order, and the robot stands still. System messages are not read: the rules of planning
are the server's own.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jpai_agent.language import InstructionError, normalise
from jpai_agent.plan import json_schema
from jpai_agent.skills import skills_for
from jpai_agent.vlm.backend import SIDE_MAX_PX, SIDE_MIN_PX, Exchange, PlanRequest, VlmError
from jpai_agent.vlm.prompt import OPENING
from jpai_agent.world.known import WORLDS
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot

IMAGES_MAX = 8
_DATA_URL = re.compile(r"data:image/(png|jpeg|jpg|webp);base64,")
_HALF = re.compile(rb"\\u[dD]")  # where half a surrogate pair may be
_FORMATS = ("PNG", "JPEG", "WEBP")
_NOT_OFFERED = ("tools", "tool_choice", "functions", "function_call", "logprobs", "audio", "modalities", "stop", "logit_bias")


class ChatError(Exception):
    """What is answered in place of a plan: an HTTP status, and OpenAI's error object."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True)


class _Url(_Model):
    url: str


class _Part(_Model):
    type: str
    text: str | None = None
    image_url: _Url | None = None


class _Turn(_Model):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text or "" for part in self.content if part.type == "text")
        return self.content or ""

    @property
    def urls(self) -> list[str]:
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url if part.image_url else "" for part in parts if part.type == "image_url"]


class _State(_Model):
    """The member `jpai`: what JPAI's own client tells of its robot; budget_s is how long it waits."""

    model_config = ConfigDict(strict=True, extra="forbid")

    robot: Name | None = None
    speed_mps: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 0.0
    running: Annotated[str, Field(max_length=64)] = ""
    places: Annotated[dict[Name, list[Annotated[str, Field(max_length=64)]]], Field(max_length=500)] | None = None
    cameras: Annotated[list[Name], Field(max_length=IMAGES_MAX)] | None = None
    budget_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class _Format(_Model):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class _StreamOptions(_Model):
    include_usage: bool = False


class _Body(_Model):
    model: str
    messages: Annotated[list[_Turn], Field(min_length=1, max_length=200)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Literal[1] | None = None
    response_format: _Format | None = None
    jpai: _State | bool | None = None


@dataclass(frozen=True)
class ChatRequest:
    """A body that was understood.

    Attributes:
        make: Decodes the images and gives the request; raises VlmError for an image that is none.
        model: As it was asked for. stream, include_usage: how the answer is wanted.
        max_tokens: Longest answer that is wanted. budget_s: how long the client waits, where it says so.
    """

    make: Callable[[], PlanRequest]
    model: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    budget_s: float | None = None


def read_chat(data: bytes, model: str, robot: str = "cart") -> ChatRequest:
    """What a body asks for.

    Args:
        model: The only one that is served. robot: who is meant where the body does not say.

    Raises:
        ChatError: 400, or 404 for another model, naming the member.
    """
    body = _validated(data)
    if body.model != model:
        raise ChatError(404, "model_not_found", f"the model {body.model!r:.80} is not served here; {model} is", "model")
    state = body.jpai if isinstance(body.jpai, _State) else None
    turns = [turn for turn in body.messages if turn.role in ("user", "assistant")]
    if state is None and any(turn.text.startswith(OPENING) for turn in body.messages if turn.role == "system"):
        raise ChatError(400, "state_missing", "this is JPAI's own client, and its robot's state does not come along: add "
                                              "extra: {jpai: true} to this endpoint in its policy", "jpai")
    if not turns or turns[-1].role != "user":
        raise ChatError(400, "bad_request", "the last message must be of role user", "messages")
    state = state or _State()
    robot = state.robot or robot
    images = _images(turns)
    try:
        skills = skills_for(robot)
    except ValueError as error:
        raise ChatError(400, "unknown_robot", str(error), "jpai.robot") from error
    if state.running and state.running not in skills:
        raise ChatError(400, "bad_request", f"{robot} has no skill {state.running!r}", "jpai.running")
    places = default_places(robot) if state.places is None else {key: tuple(names) for key, names in state.places.items()}
    cameras = _cameras(state, robot, len(images))
    _hold_to_plans(body.response_format, json_schema(skills, cameras, list(places)))
    instruction = _instruction(turns[-1].text)
    dialogue = _dialogue(turns[:-1])

    def make() -> PlanRequest:
        frames = {camera: _decoded(image, camera) for camera, image in zip(cameras, images, strict=True)}
        return PlanRequest(instruction, frames, robot, state.speed_mps, state.running, places, dialogue)

    return ChatRequest(make, body.model, bool(body.stream), bool(body.stream_options and body.stream_options.include_usage),
                       body.max_completion_tokens or body.max_tokens, state.budget_s)


@lru_cache(maxsize=16)
def _places(robot: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((place.id, place.names) for place in load_map(WORLDS[robot]).places) if robot in WORLDS else ()


def default_places(robot: str) -> dict[str, tuple[str, ...]]:
    """The places of the world that a robot is meant to be in, for clients that name none."""
    return dict(_places(robot))


def default_cameras(robot: str, count: int) -> list[str]:
    """The robot's first cameras. Raises ChatError where it has fewer."""
    names = [camera.name for camera in load_robot(robot).cameras]
    if count > len(names):
        raise ChatError(400, "too_many_images", f"{robot} has {len(names)} cameras ({', '.join(names)}), {count} images came",
                        "messages")
    return names[:count]


def plan_schema(robot: str, count: int = 1) -> dict[str, Any]:
    """The schema of a robot's plans from so many images, for clients that name no places. Raises ChatError."""
    try:
        return json_schema(skills_for(robot), default_cameras(robot, count), list(default_places(robot)))
    except ValueError as error:
        raise ChatError(400, "unknown_robot", str(error), "robot") from error


def _validated(data: bytes) -> _Body:
    try:
        raw = json.loads(data)
        if _HALF.search(data):
            json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # half a character is a ValueError too
        raise ChatError(400, "bad_json", f"the body is no JSON: {error!s:.200}") from error
    if not isinstance(raw, dict):
        raise ChatError(400, "bad_json", "the body is no JSON object")
    for member in _NOT_OFFERED:
        if raw.get(member) not in (None, False, [], {}, "none", "auto", ["text"]):
            raise ChatError(400, "not_offered", f"{member} is not offered here: the answer is a plan", member)
    try:
        return _Body.model_validate(raw)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deeply"}
        where = ".".join(map(str, first["loc"]))
        raise ChatError(400, "bad_request", f"{where}: {first['msg']}", where or None) from error


def _images(turns: Sequence[_Turn]) -> list[bytes]:
    """The images of the last user message that has any."""
    urls = next((turn.urls for turn in reversed(turns) if turn.role == "user" and turn.urls), [])
    if not urls:
        raise ChatError(400, "image_missing", "no image: a plan is made from what a camera sees", "messages")
    if len(urls) > IMAGES_MAX:
        raise ChatError(400, "too_many_images", f"{len(urls)} images, at most {IMAGES_MAX}", "messages")
    found = []
    for url in urls:
        match = _DATA_URL.match(url)
        if match is None:
            raise ChatError(400, "image_url", f"image_url {url[:40]!r} is no data:image/png;base64, URL, nor of jpeg or webp: "
                                              "nothing is fetched from elsewhere", "messages")
        try:
            found.append(base64.b64decode(url[match.end():], validate=True))
        except (binascii.Error, ValueError) as error:
            raise ChatError(400, "image_encoding", f"an image is no base64: {error}", "messages") from error
    return found


def _decoded(data: bytes, camera: str) -> np.ndarray:
    """A frame (H, W, 3) uint8 RGB, upright; its size is looked at before any pixel is."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if not (SIDE_MIN_PX <= width <= SIDE_MAX_PX and SIDE_MIN_PX <= height <= SIDE_MAX_PX):
                raise VlmError("image_size", f"frame of camera {camera} is {width}x{height}, "
                                             f"sides must be {SIDE_MIN_PX}..{SIDE_MAX_PX} pixels")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Image.DecompressionBombError as error:
        raise VlmError("image_size", f"frame of camera {camera}: {error}") from error
    # what Pillow raises for broken files shares no base class
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError) as error:
        raise VlmError("image_encoding", f"frame of camera {camera} is no PNG, JPEG or WebP image: {error!s:.200}") from error


def _cameras(state: _State, robot: str, count: int) -> list[str]:
    if state.cameras is None:
        return default_cameras(robot, count)
    if len(state.cameras) != count or len(set(state.cameras)) != count:
        raise ChatError(400, "bad_request", f"{count} images came for the cameras {state.cameras!r:.200}", "jpai.cameras")
    return state.cameras


def _hold_to_plans(wanted: _Format | None, plans: Mapping[str, Any]) -> None:
    """Raise ChatError for a schema that the answer, a plan, would not be held to."""
    if wanted is None or wanted.type != "json_schema":
        return
    schema = (wanted.json_schema or {}).get("schema")
    if schema != json.loads(json.dumps(plans)):
        raise ChatError(400, "unsupported_schema", "answers are plans, held to one schema by the decoding grammar; another is "
                                                   "not offered: leave response_format out, or take that of GET /v1/plan_schema",
                        "response_format")


def _instruction(text: str) -> str:
    try:
        return normalise(text).text
    except InstructionError as error:
        raise ChatError(400, error.reason_code, f"{error} ({error.reply})", "messages") from error


def _dialogue(turns: Sequence[_Turn]) -> tuple[Exchange, ...]:
    told: list[Exchange] = []
    for turn in turns:
        if turn.role == "user":
            told.append(Exchange(turn.text))
        elif told:
            told[-1] = Exchange(told[-1].user, turn.text)
    return tuple(told)
