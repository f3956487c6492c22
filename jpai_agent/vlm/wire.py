"""Messages between the model server and its clients: JSON headers and raw frames, checked field by field on arrival.

    client → server   [header, frame, frame ...]   header: {"v", "id", "kind": "plan" | "ping", "budget_s", "request"}
    server → client   [header]                     header: {"v", "id", "kind": "answer" | "error" | "pong", ...}
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jpai_agent.vlm.backend import ERROR_CODES, Exchange, PlanAnswer, PlanRequest, VlmError

VERSION = 1
REQUEST_MAX_BYTES = 64 << 20
ANSWER_MAX_BYTES = 1 << 20
FRAMES_MAX = 8


def default_endpoint() -> str:
    """A local socket of this user's own, without a file (Linux abstract namespace)."""
    return f"ipc://@jpai-vlm-{os.getuid()}"


def dump(header: Mapping[str, Any]) -> bytes:
    """A header as bytes."""
    return json.dumps({"v": VERSION, **header}, ensure_ascii=False).encode()


def load(data: bytes) -> dict[str, Any]:
    """A header back. Raises VlmError("bad_request") for anything else."""
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VlmError("bad_request", f"header is no JSON: {error}") from error
    if not isinstance(header, dict) or header.get("v") != VERSION or not isinstance(header.get("id"), str):
        raise VlmError("bad_request", f"header is not of version {VERSION}")
    return header


def pack_request(request: PlanRequest) -> tuple[dict[str, Any], list[bytes]]:
    """A request as a header's member and its frames."""
    frames = [{"camera": camera, "shape": list(image.shape)} for camera, image in request.images.items()]
    body = {
        "instruction": request.instruction, "robot": request.robot, "speed_mps": request.speed_mps,
        "running": request.running, "places": {key: list(names) for key, names in request.places.items()},
        "dialogue": [asdict(exchange) for exchange in request.dialogue], "frames": frames,
    }
    return body, [np.ascontiguousarray(image, dtype=np.uint8).tobytes() for image in request.images.values()]


def unpack_request(body: Any, frames: Sequence[bytes]) -> PlanRequest:
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
        body = header["answer"]
        answer = PlanAnswer(
            body["text"], _share(body["confidence"]), {str(k): float(v) for k, v in body["timings_ms"].items()},
            int(body["prompt_tokens"]), int(body["answer_tokens"]), str(body["model"]),
            _share(body.get("probability")), _share(body.get("decision_probability")))
        if header["kind"] != "answer" or not isinstance(answer.text, str):
            raise ValueError(f"kind {header['kind']!r}")
        if not all(map(math.isfinite, answer.timings_ms.values())):
            raise ValueError(f"timings {answer.timings_ms}")
        return answer
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VlmError("model_unavailable", f"the model server's answer is none: {error!r}") from error


def _share(value: Any) -> float | None:
    """A number of 0..1, or None for one that is not known."""
    if value is None:
        return None
    if not 0.0 <= float(value) <= 1.0:
        raise ValueError(f"{value} is no share")
    return float(value)
