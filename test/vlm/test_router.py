"""The router asks the cheapest place that is well and in time, says why, and never goes anywhere less trusted after a failure."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoints import PLAN, Authority, Notes, entry, write_policy

from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError, load_backend
from jpai_agent.vlm.http import HttpClient, HttpError
from jpai_agent.vlm.openai_backend import EndpointBackend
from jpai_agent.vlm.patience import Patience, check_patience, left_s, waiting
from jpai_agent.vlm.policy import Policy, load_policy
from jpai_agent.vlm.router import LOCAL, REST_S, Router

FAILS: Mapping[str, tuple[str, HttpError]] = {
    "timeout": ("model_timeout", HttpError("timeout", "too slow")),
    "down": ("model_unavailable", HttpError("unreachable", "refused")),
    "busy": ("model_busy", HttpError("status", "status 429", 429, 60.0)),
    "cancelled": ("model_unavailable", HttpError("cancelled", "")),
}


class World:
    """Endpoints that answer as they are told, after a time of their own, on a clock of the test."""

    def __init__(self, folder: Path, local: bool = True, **endpoints: dict[str, Any]) -> None:
        Authority(folder)
        pinned = {"ca_file": "ca.pem", "deadline_s": 2.0, "key_env": None}
        self.policy: Policy = load_policy(write_policy(folder, {
            name: entry(f"https://{name}.example/v1", **(pinned | change)) for name, change in endpoints.items()}))
        self.now_s, self.asked = 100.0, []
        self.fails: dict[str, str] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.takes_s: dict[str, float] = {LOCAL: 0.3}
        self.notes = Notes()
        places = [self._place(name) for name in endpoints]
        self.router = Router(self.policy, places, self._local() if local else None, self.notes, lambda: self.now_s)

    def ask(self) -> str:
        """Who answers."""
        return self.router.plan(PlanRequest("進んで", {"front": GRAIN})).model

    def _place(self, name: str) -> EndpointBackend:
        backend = EndpointBackend(HttpClient(self.policy, self.notes), name)
        backend.plan = lambda request, deadline_s=None: self._plan(name, deadline_s)  # type: ignore[method-assign]
        return backend

    def _local(self) -> Any:
        class Local:
            name = "embedded"
            plan = staticmethod(lambda request: self._plan(LOCAL, None))
        return Local()

    def _plan(self, name: str, deadline_s: float | None) -> PlanAnswer:
        self.asked.append(name)
        self.meanwhile()
        takes_s = self.takes_s.get(name, 0.5)
        may_s = takes_s if deadline_s is None else min(deadline_s, self.policy.endpoints[name].deadline_s)
        self.now_s += min(takes_s, may_s)
        fault = "timeout" if takes_s > may_s else self.fails.get(name)
        if fault is not None:
            code, cause = FAILS[fault]
            raise VlmError(code, fault) from cause
        return PlanAnswer(PLAN, model=name, prompt_tokens=2000, answer_tokens=100)


GRAIN = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
PRICED: Callable[[float], dict[str, float]] = lambda yen: {"yen_per_1k_prompt_tokens": yen}  # noqa: E731


def test_the_cheapest_is_asked_and_of_equals_the_more_trusted_then_the_faster(tmp_path: Path) -> None:
    world = World(tmp_path, dear=PRICED(2.0), cheap=PRICED(1.0))
    assert world.ask() == "cheap"
    world = World(tmp_path, abroad={"country": "US"}, home={}, house={"premises": True})
    assert world.ask() == "house"
    world = World(tmp_path, slow={"deadline_s": 2.0}, fast={"deadline_s": 1.0})
    assert world.ask() == "fast"


def test_it_says_why_in_the_audit_log(tmp_path: Path) -> None:
    world = World(tmp_path, dear=PRICED(2.0), cheap=PRICED(1.0), blind={"allow": ["text"]})
    world.ask()
    (record,) = world.notes.of("route")
    assert record["asked"] == "cheap"
    for told in ("cheap: 2.000 yen, ? s of 2.0 s, home", "blind left out: frames are not allowed", f"{LOCAL}: embedded, last"):
        assert told in record["why"]


def test_what_fails_rests_longer_each_time_and_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, office={})
    world.fails["office"] = "down"
    assert world.ask() == LOCAL and world.asked == ["office", LOCAL]
    assert world.ask() == LOCAL and world.asked[2:] == [LOCAL]
    assert "rests 4 s after 1 failures (unreachable)" in str(world.router.route())
    world.now_s += REST_S
    assert world.ask() == LOCAL and world.asked[3:] == ["office", LOCAL]
    world.now_s += REST_S
    assert world.ask() == LOCAL and world.asked[5:] == [LOCAL]
    del world.fails["office"]
    world.now_s += REST_S
    assert world.ask() == "office"


def test_a_server_that_says_when_to_come_again_is_left_alone_until_then(tmp_path: Path) -> None:
    world = World(tmp_path, office={})
    world.fails["office"] = "busy"
    world.ask()
    world.now_s += 50.0
    assert world.router.route().order == (LOCAL,)
    world.now_s += 10.0
    assert world.router.route().order == ("office", LOCAL)


def test_what_was_called_off_is_no_failure(tmp_path: Path) -> None:
    world = World(tmp_path, office={})
    world.fails["office"] = "cancelled"
    with pytest.raises(VlmError, match="cancelled"):
        world.ask()
    # and nobody else is told of what nobody waits for
    assert world.asked == ["office"] and world.router.route().order == ("office", LOCAL)
    (record,) = world.notes.of("route")
    assert (record["asked"], record["after"]) == (None, "cancelled")


def test_what_is_called_off_while_one_fails_goes_to_nobody_else(tmp_path: Path) -> None:
    world = World(tmp_path, first={}, second=PRICED(1.0))
    world.fails["first"] = "down"
    patience = Patience(time.monotonic() + 60.0)
    world.meanwhile = lambda: setattr(patience, "called_off", True)
    with pytest.raises(VlmError, match="called off"), waiting(patience):
        world.ask()
    assert world.asked == ["first"]
    with pytest.raises(VlmError, match="deadline"), waiting(Patience(0.0)):
        world.ask()
    assert world.asked == ["first"]


def test_whoever_waits_less_long_than_the_policy_is_kept_to_it(tmp_path: Path) -> None:
    world = World(tmp_path, first={}, second=PRICED(1.0))
    world.takes_s |= {"first": 1.0, LOCAL: 0.5}
    with waiting(Patience(time.monotonic() + 0.9)):
        assert world.ask() == LOCAL
    assert world.asked == ["first", LOCAL] and world.now_s <= 100.9 + 1e-6


def test_a_place_that_was_not_asked_for_want_of_patience_does_not_rest(tmp_path: Path) -> None:
    world = World(tmp_path, office={})
    patience = Patience(time.monotonic() + 60.0)
    office = EndpointBackend(HttpClient(world.policy, world.notes), "office")
    router = Router(world.policy, [office], None, world.notes)

    def shown(request: PlanRequest) -> PlanRequest:
        patience.called_off = True
        return request

    office._shown = shown  # type: ignore[method-assign]
    with pytest.raises(VlmError, match="called off"), waiting(patience):
        router.plan(PlanRequest("進んで", {"front": GRAIN}))
    assert router.route().order == ("office",) and not world.notes.of("send")


def test_the_model_here_is_held_to_the_deadline_of_a_plan_too(tmp_path: Path) -> None:
    world = World(tmp_path, office={})
    world.fails["office"] = "down"
    left: list[float] = []
    world.meanwhile = lambda: left.append(left_s())
    began_s = time.monotonic()
    assert world.ask() == LOCAL
    # the endpoint took half a second of the test's clock
    assert left[0] == math.inf
    assert 0.0 <= world.policy.deadline_s - 0.5 - left[1] <= time.monotonic() - began_s + 1e-6
    patience = Patience(time.monotonic() + 60.0)

    def decode() -> None:
        patience.called_off = True
        check_patience()

    world.meanwhile = decode
    with pytest.raises(VlmError, match="called off"), waiting(patience):
        world.ask()


@pytest.mark.parametrize("fault", ["down", "timeout", "busy"])
def test_a_failure_never_moves_a_question_to_a_place_that_is_trusted_less(fault: str, tmp_path: Path) -> None:
    world = World(tmp_path, local=False, house={"premises": True}, home=PRICED(0.1), abroad={"country": "US", **PRICED(0.2)})
    world.fails["house"] = fault
    for _ in range(3):
        with pytest.raises(VlmError):
            world.ask()
    assert set(world.asked) == {"house"}
    assert "abroad left out: abroad is trusted less than house (premises)" in str(world.router.route())


def test_a_failure_may_move_a_question_to_a_place_that_is_trusted_as_much_or_more(tmp_path: Path) -> None:
    world = World(tmp_path, abroad={"country": "US"}, home=PRICED(1.0), other=PRICED(2.0))
    world = World(tmp_path, abroad={"country": "US", **PRICED(0.5)}, home=PRICED(1.0), house={"premises": True, **PRICED(2.0)})
    world.fails["abroad"] = "down"
    assert world.ask() == "home" and world.asked == ["abroad", "home"]


def test_all_together_keep_to_the_deadline_of_a_plan(tmp_path: Path) -> None:
    world = World(tmp_path, first={}, second=PRICED(1.0), third=PRICED(2.0))
    world.takes_s |= {"first": 2.5, "second": 2.5, LOCAL: 0.5}
    began = world.now_s
    # two seconds are lost with the first; the second gets what the model here does not need, the third nothing
    assert world.ask() == LOCAL
    assert world.asked == ["first", "second", LOCAL]
    assert world.now_s - began <= world.policy.deadline_s + 1e-6


def test_where_no_time_is_left_for_anybody_a_japanese_sentence_is_said(tmp_path: Path) -> None:
    world = World(tmp_path, local=False, first={}, second=PRICED(1.0), third=PRICED(2.0))
    world.takes_s |= {"first": 2.5, "second": 2.5}
    with pytest.raises(VlmError) as caught:
        world.ask()
    assert (caught.value.reason_code, world.asked) == ("model_timeout", ["first", "second"])


def test_with_everything_resting_the_model_here_is_asked_alone_or_a_japanese_sentence_said(tmp_path: Path) -> None:
    world = World(tmp_path, local=False, office={})
    world.fails["office"] = "down"
    with pytest.raises(VlmError):
        world.ask()
    with pytest.raises(VlmError) as caught:
        world.ask()
    assert world.asked == ["office"] and caught.value.reply.endswith("。")


def test_an_endpoint_without_frames_is_asked_only_where_there_is_no_model_here(tmp_path: Path) -> None:
    assert World(tmp_path, office={"allow": ["text", "frames"]}).ask() == LOCAL
    assert World(tmp_path, local=False, office={"allow": ["text"]}).ask() == "office"


# the door

def test_the_door_opens_an_endpoint_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPAI_POLICY", str(write_policy(tmp_path, {"office": entry("http://127.0.0.1:9/v1")})))
    assert load_backend("endpoint:office", note=Notes()).name == "office"
    assert load_backend(Path("endpoint:office"), note=Notes()).name == "office"


@pytest.mark.parametrize("model", ["endpoint:office", "endpoint:auto", "endpoint:", "endpoint:https://elsewhere.example/v1"])
def test_what_the_policy_does_not_have_is_not_opened(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPAI_POLICY", raising=False)
    with pytest.raises(VlmError, match="no endpoint") as caught:
        load_backend(model, note=Notes())
    assert caught.value.reason_code == "policy"


def test_without_an_audit_log_no_endpoint_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPAI_POLICY", str(write_policy(tmp_path, {"office": entry("http://127.0.0.1:9/v1")})))
    with pytest.raises(VlmError, match="audit log"):
        load_backend("endpoint:office")


def test_a_broken_policy_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.yaml").write_text("endpoints: [", "utf-8")
    monkeypatch.setenv("JPAI_POLICY", str(tmp_path / "policy.yaml"))
    with pytest.raises(VlmError, match=r"policy\.yaml"):
        load_backend("endpoint:office", note=Notes())
