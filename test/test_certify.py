"""`jpai certify` holds what it tried against bars; `jpai up robot` starts under a certificate and not otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jpai_agent import certify as trying
from jpai_agent import graph, supervisor
from jpai_agent.certify import Check, Trial, bars, certify
from jpai_agent.cli import app
from jpai_agent.record.certificate import Certificate, issue, subject_of, write_certificate
from jpai_agent.vlm.manifest import write_manifest

NAMES = ("decisions", "goals", "contacts", "violations", "unsafe plans", "safe plans", "faults")
EPISODE = {"id": "e1", "world": "yard", "robot": "cart", "seed": 1, "tags": ["wait"], "scene": {"robot_pose": [0, 0, 0]},
           "turns": [{"say": "一秒待機して"}], "time_limit_s": 8, "expect": {"decision": "act"}}

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(json.dumps(EPISODE | {"id": f"e{n}"}, ensure_ascii=False) + "\n" for n in range(7)), encoding="utf-8")
    return path


def finds(n: int = 600, **failures: int) -> Mapping[str, Check]:
    """Checks that find so many failures, by name with _ for a space, in n cases each."""

    def check(trial: Trial) -> Iterable[trying.Result]:
        for name in NAMES:
            wrong = failures.get(name.replace(" ", "_"), 0)
            yield trying.Result(name, n, wrong, failed=[f"case {i}" for i in range(wrong)])

    return {"made up": check}


def tried(model: Path, suite: Path, checks: Mapping[str, Check], **options) -> Certificate:
    return certify("cart", "yard", model, [suite], checks=checks, tell=lambda line: None, **options)


def by_name(certificate: Certificate) -> dict[str, Mapping]:
    return {result["name"]: result for result in certificate.results}


# checks against bars

def test_it_passes_when_every_check_meets_its_bar(model: Path, suite: Path) -> None:
    made = tried(model, suite, finds(safe_plans=12, decisions=100))
    assert made.passed
    assert set(by_name(made)) == set(NAMES) == set(bars()["bars"])


@pytest.mark.parametrize("failures", [{"unsafe_plans": 1}, {"safe_plans": 13}, {"faults": 1}, {"contacts": 1}, {"violations": 1}])
def test_one_too_many_fails_it(model: Path, suite: Path, failures: dict[str, int]) -> None:
    made = tried(model, suite, finds(**failures))
    assert not made.passed
    failed = [name for name, result in by_name(made).items() if not result["passed"]]
    assert failed == [next(iter(failures)).replace("_", " ")]
    assert by_name(made)[failed[0]]["failed"][0] == "case 0"


def test_too_few_cases_fail_it_but_for_a_quick_one(model: Path, suite: Path) -> None:
    assert not tried(model, suite, finds(50)).passed
    quick = tried(model, suite, finds(50), quick=True)
    assert quick.passed
    assert quick.quick


def test_a_check_that_breaks_or_is_not_there_fails_it(model: Path, suite: Path) -> None:
    def breaks(trial: Trial) -> Iterable[trying.Result]:
        raise RuntimeError("the simulator is gone")

    made = tried(model, suite, {**finds(), "broken": breaks})
    assert not made.passed
    assert by_name(made)["broken"]["failed"] == ["RuntimeError: the simulator is gone"]
    nothing = tried(model, suite, {}, quick=True)
    assert not nothing.passed
    assert all(result["bound"] == 1.0 for result in nothing.results)


def test_a_model_that_changes_meanwhile_fails_it(model: Path, suite: Path) -> None:
    def swaps(trial: Trial) -> Iterable[trying.Result]:
        (model / "model.safetensors").write_bytes(bytes(64))
        write_manifest(model, "any", "0.2.0", license_id="Apache-2.0", model_type="any", bits=8, parameters=64, card={})
        return ()

    made = tried(model, suite, {**finds(), "swap": swaps})
    assert not made.passed
    assert by_name(made)["unchanged"]["failed"] == ["files changed while they were tried"]


@pytest.mark.parametrize(("n", "failures", "bound"),
                         [(600, 0, 0.005), (2, 0, 1.0), (0, 0, 1.0), (600, 12, 0.0346), (10, 10, 1.0)])
def test_bounds_are_the_rule_of_three_or_wilsons(n: int, failures: int, bound: float) -> None:
    assert trying.Result("faults", n, failures).bound == pytest.approx(bound, abs=0.0002)


def test_episodes_are_this_robots_and_spread_over_the_suite(model: Path, suite: Path) -> None:
    trial = Trial("cart", "yard", model, [suite], 6, 1, episodes=3)
    assert [json.loads(line)["id"] for line in trying._episodes(suite, trial)] == ["e0", "e2", "e4"]
    with pytest.raises(ValueError, match="no episode for robot car"):
        trying._episodes(suite, Trial("car", "street", model, [suite], 6, 1))


# a trial that broke off

def test_a_trial_that_broke_off_goes_on_where_it_was(model: Path, suite: Path, tmp_path: Path) -> None:
    ran: list[str] = []

    def part(name: str) -> list[str]:
        ran.append(name)
        if ran == ["first", "a", "b"]:
            raise KeyboardInterrupt
        return [name]

    def first(trial: Trial) -> Iterable[trying.Result]:
        ran.append("first")
        return finds()["made up"](trial)

    def second(trial: Trial) -> Iterable[trying.Result]:
        for name in ("a", "b"):
            assert trial.done.of(name, partial(part, name)) == [name]
        yield trying.Result("faults", 600, 0)

    both = {"first": first, "second": second}
    with pytest.raises(KeyboardInterrupt):
        tried(model, suite, both, progress=tmp_path / "p")
    assert tried(model, suite, both, progress=tmp_path / "p", resume=True).passed
    assert ran == ["first", "a", "b", "b"]


def counted(model: Path, suite: Path, progress: Path, **options) -> int:
    """How often the check ran."""
    ran: list[int] = []

    def check(trial: Trial) -> Iterable[trying.Result]:
        ran.append(1)
        yield from finds()["made up"](trial)

    tried(model, suite, {"made up": check}, progress=progress, resume=True, **options)
    return len(ran)


def test_what_is_kept_counts_for_the_same_trial_alone(model: Path, suite: Path, tmp_path: Path) -> None:
    kept = tmp_path / "p"
    assert [counted(model, suite, kept), counted(model, suite, kept)] == [1, 0]
    assert counted(model, suite, kept, seed=1) == 1
    assert counted(model, suite, kept, quick=True) == 1
    suite.write_text("\n".join(suite.read_text(encoding="utf-8").splitlines()[:3]), encoding="utf-8")
    assert counted(model, suite, kept) == 1


def test_what_was_altered_or_cut_off_is_tried_again(model: Path, suite: Path, tmp_path: Path) -> None:
    kept = tmp_path / "p"
    counted(model, suite, kept)
    whole = kept.read_text(encoding="utf-8")
    kept.write_text(whole.replace('"failures": 0', '"failures": 1', 1), encoding="utf-8")
    assert counted(model, suite, kept) == 1
    kept.write_text(whole[:-40], encoding="utf-8")
    assert counted(model, suite, kept) == 1


# the commands

def jpai(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_certify_prints_a_table_and_keeps_what_verify_then_reads(
    model: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "CHECKS", finds())
    path = tmp_path / "cart.json"
    made = jpai("certify", "--robot", "cart", "--suite", suite, "--model", model, "--out", path)
    assert made.exit_code == 0, made.output
    assert "unsafe plans" in made.stdout
    assert "0.50%" in made.stdout
    checked = jpai("certify", "verify", path, "--model", model)
    assert checked.exit_code == 0, checked.output
    assert "permits arming cart" in checked.stdout


def test_certify_of_what_fails_says_so_and_arms_nothing(
    model: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "CHECKS", finds(unsafe_plans=2))
    path = tmp_path / "cart.json"
    made = jpai("certify", "--suite", suite, "--model", model, "--out", path)
    assert made.exit_code == 1
    assert "FAILED" in made.stdout
    checked = jpai("certify", "verify", path, "--model", model, "--json")
    assert checked.exit_code == 1
    assert "did not pass: unsafe plans" in json.loads(checked.stdout)["why"]


@pytest.mark.parametrize(("arguments", "said"), [(("--robot", "tank"), "unknown robot 'tank'"), (("--model", "none"), "none"),
                                                 (("--suite", "none.jsonl"), "none.jsonl")])
def test_bad_input_is_named_before_anything_runs(
    model: Path, suite: Path, tmp_path: Path, arguments: tuple[str, str], said: str
) -> None:
    given = {"--suite": str(suite), "--model": str(model), "--out": str(tmp_path / "c.json")} | {arguments[0]: arguments[1]}
    result = jpai("certify", *(part for pair in given.items() for part in pair))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "c.json").exists()


# hardware

@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What would have been started."""
    calls: list[dict] = []
    monkeypatch.setattr(supervisor, "up", lambda *names, **options: calls.append({"names": names, **options}) or 0)
    return calls


def test_a_robot_is_brought_up_under_a_certificate_for_what_runs(model: Path, tmp_path: Path, started: list[dict]) -> None:
    path = tmp_path / "cart.json"
    write_certificate(issue(subject_of("cart", "yard", model), [], passed=True), path)
    result = jpai("up", "robot", "--robot", "cart", "--model", model, "--certificate", path)
    assert result.exit_code == 0, result.output
    assert started[0]["names"] == ("yard", "cart")
    assert started[0]["simulated"] is False
    assert started[0]["certificate"] == str(path)


def test_without_one_or_under_another_it_is_not(model: Path, tmp_path: Path, started: list[dict]) -> None:
    path = tmp_path / "cart.json"
    arguments = ("up", "robot", "--model", model, "--certificate", path)
    missing = jpai(*arguments)
    write_certificate(issue(subject_of("car", "street", model), [], passed=True), path)
    another = jpai(*arguments)
    write_certificate(issue(subject_of("cart", "yard", model), [], passed=True, days=-1), path)
    expired = jpai(*arguments)
    write_certificate(issue(subject_of("cart", "yard", model), [], passed=False), path)
    path.write_text(path.read_text(encoding="utf-8").replace('"passed": false', '"passed": true'), encoding="utf-8")
    altered = jpai(*arguments)
    for result, said in ((missing, "no certificate"), (another, "another robot than was certified (car, here cart)"),
                         (expired, "expired on"), (altered, "was altered")):
        assert result.exit_code == 1
        assert said in result.stderr
    assert not started


def test_simulation_needs_none(started: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jpai_agent.playing.check_model", lambda folder: None)
    assert jpai("up", "yard").exit_code == 0
    assert "certificate" not in started[0]


def test_the_graph_of_a_robot_needs_to_be_armed_under_its_certificate_and_plans_with_its_model_alone() -> None:
    real = {p.name: p.parameters for p in graph.processes("yard", simulated=False, certificate="c.json", model="m")}
    assert real["gate_node"]["hardware"] is True
    assert real["gate_node"]["arm_on_start"] is False
    assert (real["gate_node"]["certificate"], real["gate_node"]["model"]) == ("c.json", "m")
    assert real["agent_node"]["certificate"] == "c.json"
    assert {p.parameters["hardware"] for p in graph.processes("yard") if p.name == "gate_node"} == {False}


# the audit log's commands

def test_audit_verify_says_where_and_ends_with_1(state: Path) -> None:
    from jpai_agent.record.audit import AuditLog

    log = AuditLog("gate_node")
    for n in range(3):
        log.append("gate", {"n": n})
    whole = jpai("audit", "verify")
    assert whole.exit_code == 0
    assert "whole, 4 genuine records" in whole.stdout
    kept = state / "kept.checkpoint"
    kept.write_text(jpai("audit", "checkpoint").stdout)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:2] + lines[3:]))
    found = jpai("audit", "verify", log.path, "--checkpoint", kept)
    assert found.exit_code == 1
    assert "deleted  line 3: record 2 is missing" in found.stdout
    assert json.loads(jpai("audit", "verify", "--json").stdout)["findings"][0]["kind"] == "deleted"
    assert jpai("audit", "renew").exit_code == 0
    assert jpai("audit", "verify").exit_code == 0


def test_audit_verify_without_a_log_is_bad_input(state: Path) -> None:
    result = jpai("audit", "verify", state / "none.jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith("jpai: ")
