"""The same model answers the same over every route: in this process, over ZeroMQ, over `jpai serve` by our own client."""

import contextlib
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chatting import serving
from endpoints import KEY, Notes, entry, write_policy

from jpai_agent.vlm import Exchange, PlanAnswer, PlanRequest, VlmClient, VlmError, load_backend
from jpai_agent.vlm.http import HttpClient
from jpai_agent.vlm.openai_backend import EndpointBackend
from jpai_agent.vlm.policy import load_policy
from jpai_agent.vlm.server import VlmServer

GO = '{"decision":"act","steps":[{"skill":"go_to","target":{"place":"dock"}}],"reason":null}'


@contextlib.contextmanager
def routes(backend, folder: Path, monkeypatch: pytest.MonkeyPatch, **policy):
    """The model here, over ZeroMQ, and over HTTP, whole and streamed."""
    with serving(backend, folder) as served:
        zmq = VlmServer(served.server.pool, f"ipc://@jpai-test-{uuid.uuid4().hex}")
        thread = threading.Thread(target=zmq.run)
        thread.start()
        client = VlmClient(zmq.endpoint, 20.0)
        monkeypatch.setenv("JPAI_TEST_KEY", served.key)
        own = entry(f"http://127.0.0.1:{served.server.port}/v1", model=backend.name, extra={"jpai": True}) | policy
        http = HttpClient(load_policy(write_policy(folder, {"whole": own | {"stream": False}, "streamed": own})), Notes())
        try:
            yield backend, client, EndpointBackend(http, "whole"), EndpointBackend(http, "streamed")
        finally:
            client.close()
            zmq.stop()
            thread.join(10)


def requests(request: PlanRequest) -> list[PlanRequest]:
    frame = request.images["front"]
    turns = (Exchange("箱まで", '{"decision":"ask","steps":[],"reason":"ambiguous"}'), Exchange("赤いほう"))
    return [
        request, replace(request, images={"front": np.roll(frame, 40, axis=1)}, instruction="右に回って"),
        replace(request, dialogue=turns, speed_mps=0.0499), replace(request, speed_mps=0.46, running="go_to"),
        replace(request, robot="car", speed_mps=-0.3, images={"front": frame, "tele": frame[::-1].copy()},
                places={"convenience_store": ("コンビニ",), "convenience_store_2": ("コンビニ",)}),
    ]


def test_every_route_gives_the_same_plan_as_sure_of_it(request_, tmp_path, monkeypatch):
    with routes(load_backend(), tmp_path, monkeypatch) as (here, *others):
        for request in requests(request_):
            wanted = here.plan(request)
            for route in others:
                found = route.plan(request)
                assert (found.text, found.confidence, found.probability) == (wanted.text, wanted.confidence, wanted.probability)
                assert (found.prompt_tokens, found.answer_tokens) == (wanted.prompt_tokens, wanted.answer_tokens)


class Goes:
    """A model that always goes to the dock."""

    name = "goes"

    def __init__(self):
        self.seen = []

    def plan(self, request):
        self.seen.append(request)
        return PlanAnswer(GO, 0.75, {"total": 1.0}, 10, 2, "goes")

    def warm(self, request):
        self.plan(request)


def test_every_route_gets_the_same_verdict(request_, tmp_path, monkeypatch):
    from jpai_agent.playing import rehearse_plan

    with routes(Goes(), tmp_path, monkeypatch) as models:
        answers = [model.plan(request_) for model in models]
        first, *others = models[0].seen
    for seen in others:
        assert replace(seen, images={}) == replace(first, images={})
        assert (seen.images["front"] == first.images["front"]).all()
    verdicts = [rehearse_plan(answer.text, "yard", 4, 2).to_dict() for answer in answers[1:3]]
    once = {"id": "", "wall_s": 0.0}  # of one rehearsal, not of its outcome
    assert verdicts[0] | once == verdicts[1] | once


def test_what_an_endpoint_may_not_be_told_it_is_not_told_here_either(request_, tmp_path, monkeypatch):
    model = Goes()
    with routes(model, tmp_path, monkeypatch, allow=["text", "frames"], blur="coarse") as (*_, streamed):
        assert streamed.plan(request_).text == GO
    (seen,) = model.seen
    assert seen.places == {}
    assert not (seen.images["front"] == request_.images["front"]).all()


def test_without_the_state_our_own_client_is_told_what_is_missing(request_, tmp_path, monkeypatch):
    with routes(Goes(), tmp_path, monkeypatch, extra={}) as (*_, whole, streamed):
        for route in (whole, streamed):
            with pytest.raises(VlmError, match=r"extra: \{jpai: true\}") as caught:
                route.plan(request_)
            assert caught.value.reason_code == "policy"


def test_the_official_client_gets_plans_and_errors(request_, tmp_path):
    """Runs where the package openai is at hand; it is no dependency."""
    openai = pytest.importorskip("openai")
    from chatting import chat

    with serving(Goes(), tmp_path) as served:
        client = openai.OpenAI(base_url=f"{served.server.url}/v1", api_key=served.key, max_retries=0)
        assert [model.id for model in client.models.list()] == ["goes"]
        body = chat() | {"model": "goes"}
        whole = client.chat.completions.create(**body, temperature=0)
        assert whole.choices[0].message.content == GO and whole.usage.total_tokens == 12
        pieces = list(client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == GO
        assert pieces[-1].usage.total_tokens == 12
        with pytest.raises(openai.NotFoundError, match="not served"):
            client.chat.completions.create(**chat())
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key=KEY).models.list()
