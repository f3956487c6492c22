"""Messages between the model server and its clients: JSON headers and raw frames, checked field by field on arrival.

    client → server   length, header, frames   {"v", "id", "kind": "plan" | "ping" | "metrics" | "cancel", "budget_s", "request",
                                                "frames": sizes}
    server → client   header                   {"v", "id", "kind": "answer" | "error" | "pong" | "metrics" | "cancelled", ...}

Each is one ZeroMQ part; the length of the request's header is four bytes, the highest first. A cancel has the id of the request
that it calls off, and is answered when that is done.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jpai_agent.vlm.backend import ERROR_CODES, Exchange, PlanAnswer, PlanRequest, VlmError

VERSION = 2
REQUEST_MAX_BYTES = 64 << 20
ANSWER_MAX_BYTES = 256 << 10
FRAMES_MAX = 8
TEXT_CHARS, NAME_CHARS, ID_CHARS, TIMINGS_MAX = 64 << 10, 200, 64, 32


def default_endpoint() -> str:
    """A local socket of this user's own, without a file (Linux abstract namespace)."""
    return f"ipc://@jpai-vlm-{os.getuid()}"


def dump(header: Mapping[str, Any]) -> bytes:
    """A header as bytes."""
    return json.dumps({"v": VERSION, **header}).encode()


def load(data: bytes) -> dict[str, Any]:
    """A header back. Raises VlmError("bad_request") for anything else."""
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VlmError("bad_request", f"header is no JSON: {error}") from error
    if not isinstance(header, dict) or header.get("v") != VERSION:
        raise VlmError("bad_request", f"header is not of version {VERSION}")
    identity = header.get("id")
    if not isinstance(identity, str) or len(identity) > ID_CHARS or not identity.isascii():
        raise VlmError("bad_request", f"id {identity!r:.50}")
    return header


def join(header: Mapping[str, Any], frames: Sequence[bytes]) -> bytes:
    """A request's header and frames as one message."""
    head = dump({**header, "frames": [len(frame) for frame in frames]})
    return b"".join((len(head).to_bytes(4, "big"), head, *frames))


def split(data: bytes | memoryview) -> tuple[dict[str, Any], list[memoryview]]:
    """A request's header and frames. Raises VlmError("bad_request") for anything else."""
    begin = 4 + int.from_bytes(data[:4], "big")
    header = load(bytes(data[4:begin]))
    sizes, rest = header.get("frames"), memoryview(data)[begin:]
    if not isinstance(sizes, list) or len(sizes) > FRAMES_MAX or not all(type(size) is int and size >= 0 for size in sizes):
        raise VlmError("bad_request", f"frames: {sizes!r:.100}")
    if sum(sizes) != len(rest):
        raise VlmError("bad_request", f"{sum(sizes)} bytes of frames announced, {len(rest)} came")
    ends = list(itertools.accumulate(sizes, initial=0))
    return header, [rest[i:j] for i, j in itertools.pairwise(ends)]


def pack_request(request: PlanRequest) -> tuple[dict[str, Any], list[bytes]]:
    """A request as a header's member and its frames."""
    frames = [{"camera": camera, "shape": list(image.shape)} for camera, image in request.images.items()]
    body = {
        "instruction": request.instruction, "robot": request.robot, "speed_mps": request.speed_mps,
        "running": request.running, "places": {key: list(names) for key, names in request.places.items()},
        "dialogue": [asdict(exchange) for exchange in request.dialogue], "frames": frames,
    }
    return body, [np.ascontiguousarray(image, dtype=np.uint8).tobytes() for image in request.images.values()]


def unpack_request(body: Any, frames: Sequence[bytes | memoryview]) -> PlanRequest:
    """The request again. Raises VlmError("bad_request") when a field is missing or of the wrong kind."""
    try:
        described = body["frames"]
        if len(described) != len(frames) or len(frames) > FRAMES_MAX:
            raise ValueError(f"{len(described)} frames announced, {len(frames)} came")
        images = {
            str(frame["camera"]): np.frombuffer(data, dtype=np.uint8).reshape([int(side) for side in frame["shape"]])
            for frame, data in zip(described, frames, strict=True)
        }
        return PlanRequest(
            str(body["instruction"]), images, str(body["robot"]), float(body["speed_mps"]), str(body["running"]),
            {str(key): tuple(map(str, names)) for key, names in body["places"].items()},
            tuple(Exchange(str(turn["user"]), str(turn["answer"])) for turn in body["dialogue"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VlmError("bad_request", f"request: {error!r}") from error


def unpack_answer(header: Mapping[str, Any]) -> PlanAnswer:
    """The answer in a server's header.

    Raises:
        VlmError: The server's own error; or model_unavailable when the header is neither an answer nor an error.
    """
    if header.get("kind") == "error":
        code, message = header.get("code"), header.get("message")
        raise VlmError(code if code in ERROR_CODES else "model_unavailable", f"model server: {message!s:.500}")
    try:
        if header.get("kind") != "answer":
            raise ValueError(f"kind {header.get('kind')!r:.50}")
        body = header["answer"]
        if len(body["timings_ms"]) > TIMINGS_MAX:
            raise ValueError(f"{len(body['timings_ms'])} timings")
        return PlanAnswer(
            _text(body["text"], TEXT_CHARS), _share(body["confidence"]),
            {_text(part, NAME_CHARS): _number(ms) for part, ms in body["timings_ms"].items()},
            _count(body["prompt_tokens"]), _count(body["answer_tokens"]), _text(body["model"], NAME_CHARS),
            _share(body.get("probability")), _share(body.get("decision_probability")), _text(body.get("sha256", ""), NAME_CHARS))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VlmError("model_unavailable", f"the model server's answer is none: {error!r:.500}") from error


def unpack_pong(header: Mapping[str, Any]) -> dict[str, Any]:
    """A server's heartbeat: model, sha256, queue, working_s. Raises VlmError("model_unavailable") for anything else."""
    try:
        if header.get("kind") != "pong":
            raise ValueError(f"kind {header.get('kind')!r:.50}")
        return {"model": _text(header["model"], NAME_CHARS), "sha256": _text(header["sha256"], NAME_CHARS),
                "queue": _count(header["queue"]), "working_s": _number(header["working_s"])}
    except (KeyError, TypeError, ValueError) as error:
        raise VlmError("model_unavailable", f"the model server's heartbeat is none: {error!r:.500}") from error


def unpack_metrics(header: Mapping[str, Any]) -> str:
    """A server's metrics, Prometheus text. Raises VlmError("model_unavailable") for anything else."""
    try:
        if header.get("kind") != "metrics":
            raise ValueError(f"kind {header.get('kind')!r:.50}")
        return _text(header["text"], ANSWER_MAX_BYTES)
    except (KeyError, TypeError, ValueError) as error:
        raise VlmError("model_unavailable", f"the model server's metrics are none: {error!r:.500}") from error


def _text(value: Any, most: int) -> str:
    """A text of so many characters at most, that can be written down again."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{value!r:.50} is no text of up to {most} characters")
    value.encode()
    return value


def _number(value: Any) -> float:
    """A finite number that is not negative."""
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise ValueError(f"{value!r:.50} is no number of 0 or more")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.50} is no count")
    return int(_number(value))


def _share(value: Any) -> float | None:
    """A number of 0..1, or None for one that is not known."""
    if value is None:
        return None
    if not _number(value) <= 1.0:
        raise ValueError(f"{value} is no share")
    return float(value)
