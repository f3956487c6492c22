"""A policy file says where data may go; one that is not clear is an error that names what is wrong, and lets nothing go."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoints import Authority, entry, write_policy

from jpai_agent.vlm.policy import Policy, PolicyError, load_policy, policy_path

URL = "http://127.0.0.1:8000/v1"
OUTSIDE = "https://llm.example.internal:8000/v1"


def test_the_file_that_comes_with_the_package_lets_nothing_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPAI_POLICY", raising=False)
    assert load_policy().endpoints == {}


def test_the_example_in_the_file_is_one_that_is_taken(tmp_path: Path) -> None:
    lines = policy_path().read_text("utf-8").splitlines()
    example = yaml.safe_load("\n".join(line.removeprefix("#") for line in lines if line.startswith("#   ")))
    Authority(tmp_path, "office-ca")
    office = load_policy(write_policy(tmp_path, example)).endpoints["office"]
    assert (office.host, office.port, office.path, office.encrypted) == ("llm.example.internal", 8000, "/v1", True)
    assert (office.frames, office.codec.name) == ("coarse", "xy1000")


@pytest.mark.parametrize(("change", "told"), [
    ({"operator": None}, "operator"),
    ({"country": "Japan"}, "country"),
    ({"country": False}, "country"),
    ({"colour": "red"}, "colour"),
    ({"base_url": "llm.example.internal/v1"}, "https://HOST"),
    ({"base_url": "ftp://127.0.0.1/v1"}, "https://HOST"),
    ({"base_url": "http://127.0.0.1:port/v1"}, "base_url"),
    ({"base_url": "http://127.0.0.1:0/v1"}, "port"),
    ({"base_url": "http://llm.example.internal/v1"}, "not encrypted"),
    ({"base_url": "http://192.168.0.7/v1"}, "not encrypted"),
    ({"base_url": "http://127.0.0.1.example.com/v1"}, "not encrypted"),
    ({"base_url": "http://user:secret@127.0.0.1/v1"}, "key_env"),
    ({"base_url": "http://127.0.0.1@evil.example/v1"}, "key_env"),
    ({"base_url": f"{URL}?key=1"}, "query"),
    ({"base_url": "https://ｌｌｍ.example/v1", "ca_file": "ca.pem"}, "ASCII"),
    ({"base_url": OUTSIDE}, "needs ca_file"),
    ({"base_url": OUTSIDE, "ca_file": "missing.pem"}, "missing.pem"),
    ({"base_url": OUTSIDE, "ca_file": "policy.yaml"}, "no PEM certificate"),
    ({"ca_file": "ca.pem"}, "ca_file has no meaning"),
    ({"ca_pem": "x"}, "ca_pem"),
    ({"key_env": "sk-1234"}, "environment variable"),
    ({"allow": ["frames"]}, "lacks text"),
    ({"allow": ["text", "faces"]}, "faces without frames"),
    ({"allow": ["text", "sound"]}, "allow"),
    ({"allow": ["text", "text"]}, "twice"),
    ({"blur": "coarse"}, "blur"),
    ({"blur": "haar"}, "blur"),
    ({"deadline_s": 0}, "deadline_s"),
    ({"deadline_s": float("nan")}, "deadline_s"),
    ({"yen_per_1k_answer_tokens": -1.0}, "yen_per_1k_answer_tokens"),
    ({"points": "xyz"}, "xy1000"),
    ({"points": "xy1000", "family": "qwen3_vl"}, "not both"),
    ({"extra": {"messages": []}}, "messages"),
])
def test_an_entry_that_is_not_as_it_must_be_is_named(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    Authority(tmp_path)
    with pytest.raises(PolicyError, match=told) as caught:
        load_policy(write_policy(tmp_path, {"office": entry(URL, **change)}))
    assert "policy.yaml" in str(caught.value) and "office" in str(caught.value)


@pytest.mark.parametrize(("text", "told"), [
    ("endpoints: [", "policy.yaml"),
    ("- office", "mapping"),
    ("endpoints: [office]", "endpoints"),
    ("endpoints: {}\nendpoints: {}", "twice"),
    ("proxies: {}", "proxies"),
    ("endpoints: {auto: {}}", "auto"),
    ("endpoints: {office: ours}", "office"),
    ("home_country: Japan", "home_country"),
])
def test_a_file_that_is_no_policy_is_an_error(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(text, "utf-8")
    with pytest.raises(PolicyError, match=told):
        load_policy(tmp_path / "policy.yaml")


@pytest.mark.parametrize("name", ["auto", "Office", "a b", "", "事務所"])
def test_names_of_endpoints_are_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be called"):
        load_policy(write_policy(tmp_path, {name: entry(URL)}))


def test_trust_falls_from_this_machine_to_the_house_the_country_and_the_rest(tmp_path: Path) -> None:
    Authority(tmp_path)
    pinned = {"ca_file": "ca.pem"}
    policy = load_policy(write_policy(tmp_path, {
        "abroad": entry(OUTSIDE, **pinned, country="US"), "home": entry(OUTSIDE, **pinned),
        "house": entry(OUTSIDE, **pinned, country="US", premises=True), "here": entry(URL, country="US")}))
    ranks = [policy.trust(policy.endpoints[name]) for name in ("abroad", "home", "house", "here")]
    assert ranks == [0, 1, 2, 3]


def test_a_missing_or_unusable_key_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = load_policy(write_policy(tmp_path, {"office": entry(URL)})).endpoints["office"]
    monkeypatch.delenv("JPAI_TEST_KEY", raising=False)
    with pytest.raises(PolicyError, match="JPAI_TEST_KEY"):
        _ = endpoint.key
    monkeypatch.setenv("JPAI_TEST_KEY", "secret\r\nX-Other: 1")
    with pytest.raises(PolicyError, match="JPAI_TEST_KEY") as caught:
        _ = endpoint.key
    assert "secret" not in str(caught.value)


def test_the_table_of_residency_tells_what_may_go_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPAI_TEST_KEY", "secret")
    Authority(tmp_path)
    policy = load_policy(write_policy(tmp_path, {
        "office": entry(OUTSIDE, ca_file="ca.pem", premises=True, allow=["text", "frames"], blur="coarse"), "mine": entry(URL)}))
    office, mine = policy.residency
    assert (office["operator"], office["country"], office["trust"]) == ("試験", "JP", "premises")
    assert (office["host"], mine["host"]) == ("llm.example.internal:8000", "127.0.0.1:8000")
    assert (office["text"], office["maps"], office["frames"], mine["frames"]) == (True, False, "coarse", "clear")
    assert office["encrypted"].startswith("TLS, CA ") and mine["encrypted"] == "no, this machine"
    assert "secret" not in str(policy.residency)
    assert Policy().residency == []
