"""A certificate permits arming exactly what was tried, for a time, when it is whole and a trusted key signed it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jpai_agent.record import certificate as module
from jpai_agent.record import keys
from jpai_agent.record.certificate import (
    Certificate,
    CertificateError,
    Subject,
    issue,
    permit,
    read_certificate,
    subject_of,
    tree_sha256,
    write_certificate,
)
from jpai_agent.world.paths import share_dir

NOW = 1_800_000_000.0
RESULTS = [{"name": "unsafe plans", "n": 600, "failures": 0, "bound": 0.005, "passed": True},
           {"name": "faults", "n": 300, "failures": 0, "bound": 0.01, "passed": True}]

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def subject(model: Path) -> Subject:
    return subject_of("cart", "yard", model)


def issued(subject: Subject, folder: Path, **changes) -> Path:
    path = folder / "cart.certificate.json"
    write_certificate(issue(subject, RESULTS, **({"passed": True, "now": NOW} | changes)), path)
    return path


def refused(path: Path, model: Path, *words: str, now: float = NOW + 60) -> None:
    with pytest.raises(CertificateError) as caught:
        permit(path, "cart", "yard", model, now=now)
    for word in words:
        assert re.search(word, str(caught.value)), str(caught.value)


def test_it_permits_what_was_tried_until_it_expires(subject: Subject, model: Path, tmp_path: Path) -> None:
    path = issued(subject, tmp_path, days=30)
    found = permit(path, "cart", "yard", model, now=NOW + 29 * 86400)
    assert found.subject == subject
    assert found.results == RESULTS
    refused(path, model, "expired on 2027-02-14", now=NOW + 31 * 86400)
    refused(path, model, "of the future", now=NOW - 3600)


def test_it_names_everything_that_runs(subject: Subject, model: Path, tmp_path: Path) -> None:
    told = json.loads(issued(subject, tmp_path).read_text(encoding="utf-8"))
    assert set(told["subject"]["versions"]) == {"python", "mujoco", "jpai_agent"}
    assert told["subject"]["limits"]["forward_mps"] == 1.2
    for name in ("robot_sha256", "model_sha256", "config_sha256", "source_sha256", "world_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", told["subject"][name])
    assert told["results"] == RESULTS


@pytest.mark.parametrize(("member", "value"), [
    ("passed", 1), ("quick", True), ("expires_at", NOW + 1e9), ("made_at", NOW - 1), ("results", []), ("key", "ab" * 32),
    ("signature", "00" * 64), ("signature", None), ("machine", {"cores": 99}),
])
def test_an_altered_one_is_refused(subject: Subject, model: Path, tmp_path: Path, member: str, value: object) -> None:
    path = issued(subject, tmp_path)
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {member: value}), encoding="utf-8")
    refused(path, model, "was altered")


def test_an_altered_limit_is_refused(subject: Subject, model: Path, tmp_path: Path) -> None:
    path = issued(subject, tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"forward_mps": 1.2', '"forward_mps": 2.2'), encoding="utf-8")
    refused(path, model, "was altered")


def test_a_foreign_one_is_refused_until_its_key_is_trusted(
    subject: Subject, model: Path, tmp_path: Path, state: Path
) -> None:
    foreign = issue(subject, RESULTS, passed=True, now=NOW, state=tmp_path / "elsewhere")
    path = tmp_path / "foreign.json"
    write_certificate(foreign, path)
    refused(path, model, "foreign key", foreign.key[:16])
    (state / "keys" / "trusted").mkdir(parents=True)
    (state / "keys" / "trusted" / "lab.pub").write_bytes((tmp_path / "elsewhere" / "keys" / "certificate.pub").read_bytes())
    assert permit(path, "cart", "yard", model, now=NOW).key == foreign.key


def test_one_that_did_not_pass_or_was_quick_arms_nothing(subject: Subject, model: Path, tmp_path: Path) -> None:
    failed = [RESULTS[0], RESULTS[1] | {"passed": False}]
    path = tmp_path / "failed.json"
    write_certificate(issue(subject, failed, passed=False, now=NOW), path)
    refused(path, model, "did not pass: faults")
    refused(issued(subject, tmp_path, quick=True), model, "--quick")


@pytest.mark.parametrize("name", [name for name in Subject.__dataclass_fields__ if name not in ("limits", "versions")])
def test_one_for_something_else_is_refused_and_says_for_what(
    subject: Subject, model: Path, tmp_path: Path, name: str
) -> None:
    other = replace(subject, **{name: "0" * 64})
    refused(issued(other, tmp_path), model, f"another {name.replace('_sha256', '').replace('_', ' ')} than was certified")


def test_other_limits_and_versions_are_told_in_full(subject: Subject, model: Path, tmp_path: Path) -> None:
    other = replace(subject, versions={**subject.versions, "mujoco": "3.0.0"}, limits={**subject.limits, "forward_mps": 9.0})
    words = "another versions .*mujoco 3.0.0", "another limits .*forward_mps 9.0.*forward_mps 1.2"
    refused(issued(other, tmp_path), model, *words)


def test_a_model_that_was_altered_or_another_robot_is_refused(subject: Subject, model: Path, tmp_path: Path) -> None:
    path = issued(subject, tmp_path)
    with pytest.raises(CertificateError, match="another robot than was certified"):
        permit(path, "car", "yard", model, now=NOW)
    (model / "model.safetensors").write_bytes(bytes(64))
    refused(path, model, "altered")


def test_changed_config_changes_the_hash_and_caches_do_not(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "yard.yaml").write_text("a: 1")
    before = tree_sha256(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert tree_sha256(tmp_path) == before
    (tmp_path / "zones" / "yard.yaml").write_text("a: 2")
    changed = tree_sha256(tmp_path)
    assert changed != before
    (tmp_path / "zones" / "yard.yaml").rename(tmp_path / "zones" / "street.yaml")
    assert tree_sha256(tmp_path) not in (before, changed)


def test_an_edit_of_the_places_rules_voids_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share"
    shutil.copytree(share_dir() / "config", share / "config")
    shutil.copytree(share_dir() / "sim" / "worlds", share / "sim" / "worlds")
    monkeypatch.setattr(module, "share_dir", lambda: share)
    path = issued(subject_of("cart", "yard", model), tmp_path)
    assert permit(path, "cart", "yard", model, now=NOW).passed
    zones = share / "config" / "zones" / "yard.yaml"
    before = zones.read_text(encoding="utf-8")
    zones.write_text(before.replace("speed_limit_mps: 1.2", "speed_limit_mps: 1.3"), encoding="utf-8")
    refused(path, model, "another config than was certified")
    zones.write_text(before[:before.index("keep_out")] + "keep_out: []\n", encoding="utf-8")
    refused(path, model, "another config than was certified")
    zones.write_text(before, encoding="utf-8")
    assert permit(path, "cart", "yard", model, now=NOW).passed


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2}', '{"format": 1, "what": "", "subject": {}}', "\x00"])
def test_what_is_no_certificate_is_named(tmp_path: Path, model: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    refused(path, model, "c.json is (no certificate|not of format)")
    refused(tmp_path / "none.json", model, "no certificate .*none.json: No such file")


def test_the_key_is_the_users_alone_and_its_public_half_lies_beside_it(subject: Subject, state: Path) -> None:
    made: Certificate = issue(subject, RESULTS, passed=True)
    key = state / "keys" / "certificate.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert keys.read_public(state / "keys" / "certificate.pub") == made.key
    key.chmod(0o640)
    with pytest.raises(CertificateError, match="others may read"):
        issue(subject, RESULTS, passed=True)


def test_what_is_signed_as_a_record_of_the_log_is_no_certificate(subject: Subject) -> None:
    made = issue(subject, RESULTS, passed=True)
    assert made.content().startswith(module.MARK)
    assert not keys.genuine(made.key, made.signature, made.content()[len(module.MARK):])


def test_reading_gives_what_was_written(subject: Subject, tmp_path: Path) -> None:
    made = issue(subject, RESULTS, passed=True, machine={"cores": 2}, now=NOW)
    write_certificate(made, tmp_path / "c.json")
    assert read_certificate(tmp_path / "c.json") == made
