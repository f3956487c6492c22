"""Ask a server with an OpenAI-compatible route for plans: vLLM, SGLang, llama-server, Ollama, a cloud, `jpai serve`.

What it answers is held to the plan language like any other model's answer; what a schema, a key or a promise of the server is
worth makes no difference to that.

`extra: {jpai: true}` in the policy says that the server is a `jpai serve`: it is told the robot's state and exact frames, and
tells how sure its answer is, so that the plan is the one that the same model would make here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np

from jpai_agent.plan import PlanError, SkillSpec, Target, json_schema, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm.backend import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.http import Call, HttpClient, HttpError
from jpai_agent.vlm.outgoing import coarse, data_url, even
from jpai_agent.vlm.patience import check_patience, left_s
from jpai_agent.vlm.prompt import messages, without_control

PATH = "/chat/completions"
OWN = "jpai"  # member of the request and the answer that only `jpai serve` knows
ANSWER_CHARS = 16_000
_CODES = {"timeout": "model_timeout", "policy": "policy", "redirect": "policy", "certificate": "policy",
          "unrecorded": "unrecorded", "garbled": "model_unavailable", "too_large": "model_unavailable"}
_STATUS_CODES = {400: "policy", 401: "policy", 403: "policy", 404: "policy", 408: "model_timeout", 413: "policy", 422: "policy",
                 429: "model_busy", 503: "model_busy", 504: "model_timeout"}


class EndpointBackend:
    """An endpoint of the policy as a model backend. Calls from several threads run beside each other.

    Args:
        client: With the policy. endpoint: name of the endpoint there.
        skills: Skills by robot name.

    Raises:
        PolicyError: The policy has no such endpoint.
    """

    concurrent = True

    def __init__(self, client: HttpClient, endpoint: str, *,
                 skills: Callable[[str], Mapping[str, SkillSpec]] = skills_for) -> None:
        self.name = endpoint
        self.endpoint = client.policy.endpoint(endpoint)
        self._client, self._skills = client, skills
        self._codec = self.endpoint.codec
        self._own = bool(self.endpoint.extra.get(OWN))
        self._calls: set[Call] = set()
        self._lock = threading.Lock()

    def plan(self, request: PlanRequest, deadline_s: float | None = None) -> PlanAnswer:
        """The endpoint's answer, which `parse_plan` accepts, its points in the project's convention.

        Args:
            deadline_s: Shorter than the endpoint's own, for a caller who has less time.

        Raises:
            VlmError: model_timeout, model_busy, model_unavailable, plan_error; policy where a setting at either end is in the
                way; unrecorded when the audit log cannot be written. `__cause__` is an HttpError where the exchange failed.
        """
        if not self._own:
            # a `jpai serve` knows the control tokens of its model
            request = without_control(request)
        request.check()
        begin = time.perf_counter()
        call = Call(min(self.endpoint.deadline_s, deadline_s or self.endpoint.deadline_s, left_s()))
        shown = self._shown(request)
        body, classes = self._body(shown)
        prepared = time.perf_counter()
        with self._lock:
            self._calls.add(call)
        try:
            check_patience()
            with self._client.post(self.name, PATH, body, classes, call) as response:
                text, usage, first_s, about = _read(response)
                confidence, probability = _sureness(about) if self._own else (None, None)
        except HttpError as error:
            code = _STATUS_CODES.get(error.status or 0) if error.kind == "status" else _CODES.get(error.kind)
            raise VlmError(code or "model_unavailable", str(error)) from error
        finally:
            with self._lock:
                self._calls.discard(call)
        text = self._pointed(text, shown)
        try:
            parse_plan(text, self._skills(request.robot), cameras=tuple(shown.images), places=None)
        except PlanError as error:
            raise VlmError("plan_error", f"{self.name}: the answer is no plan: {error}") from error
        ended = time.perf_counter()
        timings = {"prepare": prepared - begin, "decode": ended - prepared, "total": ended - begin}
        if first_s is not None:
            timings["first_token"] = first_s - prepared
        parts = {part: 1000 * seconds for part, seconds in timings.items()}
        return PlanAnswer(text, confidence, parts, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"),
                          f"{self.name}: {self.endpoint.model}", probability)

    def warm(self, request: PlanRequest) -> None:
        """Nothing: what is not asked does not leave the machine."""

    def cancel(self) -> None:
        """Call off every request under way; the server sees its connection end, and `plan` raises."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def yen(self, prompt_tokens: float, answer_tokens: float) -> float:
        """What so many tokens cost there."""
        prices = self.endpoint.yen_per_1k_prompt_tokens, self.endpoint.yen_per_1k_answer_tokens
        return (prompt_tokens * prices[0] + answer_tokens * prices[1]) / 1000

    def _shown(self, request: PlanRequest) -> PlanRequest:
        """What of a request the endpoint is told."""
        request = self._limited(request, "maps" in self.endpoint.allow, self.endpoint.frames != "none")
        images = dict(request.images)
        if self.endpoint.frames == "coarse":
            images = {camera: coarse(image) for camera, image in images.items()}
        if self._codec.name == "abs_px":
            images = {camera: even(image) for camera, image in images.items()}
        told = request.dialogue
        if images:
            told = tuple(replace(turn, answer=self._codec.unwrite(turn.answer, _size_px(images))) for turn in told)
        return replace(request, images=images, dialogue=told)

    def _limited(self, request: PlanRequest, maps: bool, frames: bool) -> PlanRequest:
        """The request without what is of maps or of frames, where that is not wanted; earlier answers have some of both."""
        if maps and frames:
            return request

        def kept(argument: Any) -> Any:
            if not isinstance(argument, Target):
                return argument
            seen = (argument.camera, argument.point) if frames else (None, None)
            return Target(argument.label, *seen, argument.place if maps else None)

        def bare(answer: str) -> str:
            try:
                plan = parse_plan(answer, self._skills(request.robot), cameras=tuple(request.images))
                steps = tuple(replace(step, args={name: kept(value) for name, value in step.args.items()}) for step in plan.steps)
            except ValueError:  # no plan, or nothing is left of a target
                return ""
            # a reply names places and what was seen
            return replace(plan, steps=steps, reply=None).to_json()

        return replace(request, images=request.images if frames else {}, places=request.places if maps else {},
                       dialogue=tuple(replace(turn, answer=bare(turn.answer)) for turn in request.dialogue))

    def _body(self, request: PlanRequest) -> tuple[bytes, dict[str, int]]:
        """The request's JSON, and its bytes by data class."""
        urls = [data_url(image, self._own) for image in request.images.values()]
        unmapped = self._limited(request, maps=False, frames=True)
        unseen = replace(self._limited(request, maps=False, frames=False), images=request.images)
        body, mapless, bare = (self._json(each, urls) for each in (request, unmapped, unseen))
        said = sum(_size(turn["content"]) for turn in bare["messages"][:-1]) + _size(bare["messages"][-1]["content"][-1]["text"])
        data, rest = _bytes(body), len(_bytes(mapless))
        points = max(0, rest - len(_bytes(bare)))
        seen = "faces" if self.endpoint.frames == "clear" else "frames"
        return data, {"text": said, "maps": max(0, len(data) - rest), seen: sum(map(len, urls)) + points}

    def _json(self, request: PlanRequest, urls: Sequence[str]) -> dict[str, Any]:
        skills = self._skills(request.robot)
        turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages(request, skills, self._codec.in_words)]
        turns[-1]["content"] = [*({"type": "image_url", "image_url": {"url": url}} for url in urls), turns[-1]["content"][-1]]
        body = {"model": self.endpoint.model, "messages": turns, "temperature": 0, "max_tokens": self.endpoint.max_tokens,
                "stream": self.endpoint.stream, **self.endpoint.extra}
        if self._own:
            body[OWN] = {"robot": request.robot, "speed_mps": request.speed_mps, "running": request.running,
                         "cameras": list(request.images), "budget_s": self.endpoint.deadline_s,
                         "places": {key: list(names) for key, names in request.places.items()}}
        if self.endpoint.stream:
            body["stream_options"] = {"include_usage": True}
        if self.endpoint.json_schema:
            schema = json_schema(skills, list(request.images), list(request.places))
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "plan", "strict": True, "schema": schema}}
        return body

    def _pointed(self, text: str, request: PlanRequest) -> str:
        """The answer with its points in the project's convention; what is no JSON is left as it is."""
        if self._codec.name == "xy1000" or not request.images:
            return text
        try:
            bare = json.dumps(json.loads(text, object_pairs_hook=_once), ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return text
        return self._codec.rewrite(bare, _size_px(request.images))


def _size_px(images: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Width and height of the first frame."""
    height, width = next(iter(images.values())).shape[:2]
    return width, height


def _bytes(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _size(text: str) -> int:
    """Bytes that a text takes in the body."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _count(usage: Any, key: str) -> int:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 10**9 else 0


def _sureness(about: Any) -> tuple[float | None, float | None]:
    """Confidence and probability of an answer of `jpai serve`. Raises HttpError for what is no share."""
    found = [about.get(name) if isinstance(about, dict) else None for name in ("confidence", "probability")]
    for value in found:
        if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
            raise HttpError("garbled", f"its answer is as sure as {value!r:.50}")
    return found[0], found[1]


def _read(response: httpx2.Response) -> tuple[str, Any, float | None, Any]:
    """The answer's text, its usage, when its first piece came (perf_counter), and what `jpai serve` says of it.

    Raises HttpError for what is none.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        # some servers do not stream what they were asked to
        return _read_stream(response) if kind == "text/event-stream" else _read_whole(response)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise HttpError("garbled", f"its answer is no chat completion: {type(error).__name__}: {error!s:.200}") from error


def _read_whole(response: httpx2.Response) -> tuple[str, Any, float | None, Any]:
    answer = json.loads(response.read())
    choice = answer["choices"][0]
    return _whole(choice["message"]["content"], choice.get("finish_reason")), answer.get("usage"), None, answer.get(OWN)


def _read_stream(response: httpx2.Response) -> tuple[str, Any, float | None, Any]:
    text, usage, reason, first_s, about = "", None, None, None, None
    for event in httpx2.EventSource(response):
        if event.data == "[DONE]":
            return _whole(text, reason), usage, first_s, about
        piece = json.loads(event.data)
        if "error" in piece:
            raise ValueError(f"error {piece['error']!r:.200}")
        usage, about = piece.get("usage") or usage, piece.get(OWN) or about
        for choice in piece["choices"][:1]:
            part = choice["delta"].get("content") or ""
            if part and first_s is None:
                first_s = time.perf_counter()
            text += part
            reason = choice.get("finish_reason") or reason
            if len(text) > ANSWER_CHARS:
                raise ValueError(f"more than {ANSWER_CHARS} characters")
    raise ValueError("the stream ended before [DONE]")


def _whole(text: Any, reason: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}, not text")
    if reason == "length":
        raise ValueError("the answer was cut off at max_tokens")
    return text
