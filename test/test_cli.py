"""The command `jpai`: what it takes, what it says, and the exit code by which a program can tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jpai_agent import checks, playing
from jpai_agent.cli import app
from jpai_agent.control import ProgramError
from jpai_agent.twin import validate as validating
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError
from jpai_agent.vlm.manifest import write_manifest

COMMANDS = ("demo", "run", "chat", "plan", "rehearse", "bench", "doctor", "up", "train", "test")
WAIT = {"decision": "act", "steps": [{"skill": "wait", "duration_s": 1.0}], "reason": None}
EPISODE = {"id": "e1", "world": "yard", "robot": "cart", "seed": 1, "tags": ["wait"], "scene": {"robot_pose": [0, 0, 0]},
           "turns": [{"say": "一秒待機して"}], "time_limit_s": 8, "expect": {"decision": "act"}}


def jpai(*arguments: object, say: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=say)


def refused(result: Result, code: int, *words: str) -> None:
    """It ended with this code, said so on standard error with these words, and printed nothing else."""
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("jpai: ")
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr
    assert result.stdout == ""


def japanese(text: str) -> bool:
    return any("ぁ" <= char <= "ん" for char in text)


class Waits:
    """A model that always waits a second."""

    name = "waits"

    def plan(self, request: PlanRequest) -> PlanAnswer:
        return PlanAnswer(json.dumps(WAIT), timings_ms={"total": 1.0})

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A model folder in whose place a model that always waits is loaded."""
    monkeypatch.setattr(playing, "load_backend", lambda folder=None, **_: Waits())
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with a manifest that fits."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "any"}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(range(64)))
    write_manifest(folder, "any", "0.1.0", license_id="Apache-2.0", model_type="any", bits=8, parameters=64, card={})
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8))
    return path


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


# help

def test_every_command_is_listed_with_the_meaning_of_exit_codes() -> None:
    result = jpai("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert "Exit codes" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = jpai(command, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage" in result.stdout
    assert command in result.stdout


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"doctor", "train"}))
def test_every_command_with_arguments_gives_an_example(command: str) -> None:
    assert f"Example: jpai {command}" in " ".join(jpai(command, "--help").stdout.split())


def test_an_unknown_command_or_option_is_bad_input() -> None:
    assert jpai("fly").exit_code == 2
    assert jpai("doctor", "--fly").exit_code == 2


# unknown names

@pytest.mark.parametrize("arguments", [("run", "--world", "moon", "進んで"), ("chat", "--world", "moon"), ("up", "moon"),
                                       ("demo", "--world", "moon"), ("rehearse", "--world", "moon", "PLAN"),
                                       ("plan", "--world", "moon", "--image", "PICTURE", "進んで")])
def test_an_unknown_world_is_named_with_the_known_ones(arguments: Sequence[str], picture: Path, tmp_path: Path) -> None:
    files = {"PLAN": str(written(tmp_path / "plan.json", WAIT)), "PICTURE": str(picture)}
    refused(jpai(*(files.get(argument, argument) for argument in arguments)), 2, "unknown world 'moon'", "yard")


@pytest.mark.parametrize("arguments", [("up", "--robot", "tank"),
                                       ("plan", "--robot", "tank", "--image", "PICTURE", "進んで")])
def test_an_unknown_robot_is_named_with_the_known_ones(arguments: Sequence[str], picture: Path) -> None:
    refused(jpai(*(str(picture) if a == "PICTURE" else a for a in arguments)), 2, "'tank'", "cart")


# suites

@pytest.mark.parametrize(("change", "said"), [
    ('{"id": "e1", ', "no JSON"),
    ("[1, 2]", "JSON object"),
    ({"world": "moon"}, "unknown world 'moon'"),
    ({"robot": "tank"}, "unknown robot 'tank'"),
    ({"time_limit_s": -1}, "time_limit_s"),
    ({"turns": []}, "turns"),
    ({"hurry": True}, "hurry"),
    ({"expect": {"final": [{"near": {"object": "nobody", "max_m": 1}}]}}, "nobody"),
], ids=["broken", "list", "world", "robot", "limit", "no turns", "unknown key", "unknown object"])
def test_a_bad_line_of_a_suite_is_named_by_number_and_reason(change: Any, said: str, tmp_path: Path) -> None:
    line = change if isinstance(change, str) else json.dumps(EPISODE | change, ensure_ascii=False)
    suite = written(tmp_path / "suite.jsonl", line)
    # whether there is a model or not: nothing has begun
    refused(jpai("bench", "--suite", suite, "--model", tmp_path / "none", "--out", tmp_path / "out"), 2, "suite.jsonl:1:", said)
    assert not (tmp_path / "out").exists()


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    suite = written(tmp_path / "suite.jsonl", "\n".join(["{", json.dumps(EPISODE), "", "}"]))
    refused(jpai("bench", "--suite", suite), 2, "suite.jsonl:1:", "suite.jsonl:4:")


def test_a_suite_is_needed_and_must_be_there(tmp_path: Path) -> None:
    refused(jpai("bench"), 2, "--suite")
    refused(jpai("bench", "--suite", tmp_path / "none.jsonl"), 2, "none.jsonl")


def test_an_unknown_bench_is_named_with_the_known_ones() -> None:
    refused(jpai("bench", "--what", "luck"), 2, "'luck'", "rehearsal")


# the model

NEEDS_MODEL = {
    "run": ("run", "--runs", "RUNS", "進んで"), "chat": ("chat", "--runs", "RUNS"), "demo": ("demo", "--runs", "RUNS"),
    "up": ("up",), "plan": ("plan", "--image", "PICTURE", "進んで"), "bench": ("bench", "--suite", "SUITE"),
    "bench on two processes": ("bench", "--suite", "SUITE", "--jobs", "2"), "timing": ("bench", "--what", "model"),
}


@pytest.mark.parametrize("arguments", NEEDS_MODEL.values(), ids=NEEDS_MODEL)
@pytest.mark.parametrize("fault", ["no folder", "missing file", "altered file", "added file", "no JSON"])
def test_a_model_that_is_not_whole_does_not_start_and_the_file_is_named(arguments: Sequence[str], fault: str, model: Path,
                                                                        picture: Path, tmp_path: Path) -> None:
    weights, named = model / "model.safetensors", "model.safetensors"
    if fault == "no folder":
        model = tmp_path / "nowhere"
        named = "nowhere"
    elif fault == "missing file":
        weights.unlink()
    elif fault == "altered file":
        weights.write_bytes(weights.read_bytes()[::-1])
    elif fault == "added file":
        named = "extra.bin"
        (model / named).write_bytes(b"x")
    else:
        named = "manifest.json"
        (model / named).write_text("{", encoding="utf-8")
    files = {"RUNS": tmp_path / "runs", "PICTURE": picture, "SUITE": written(tmp_path / "suite.jsonl", EPISODE)}
    result = jpai(*(files.get(argument, argument) for argument in arguments), "--model", model)
    refused(result, 3, named)
    assert japanese(result.stderr)
    assert not (tmp_path / "runs").exists()


# one frame, one plan

@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "header alone"])
def test_a_file_that_is_no_picture_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    refused(jpai("plan", "--image", path, "進んで"), 2, "broken.png")
    refused(jpai("plan", "--image", tmp_path / "none.png", "進んで"), 2, "none.png")


@pytest.mark.parametrize("words", ["", "　\t", "\x07\x1b", "進んで" * 1000])
def test_an_instruction_that_cannot_be_taken_is_answered_in_japanese(words: str, picture: Path) -> None:
    result = jpai("plan", "--image", picture, words)
    refused(result, 2)
    assert japanese(result.stderr)


@pytest.mark.parametrize(("answer", "code"), [(json.dumps(WAIT), 0), ("", 1), ('{"decision":"act"', 1)])
def test_a_plan_is_printed_and_an_answer_that_is_none_is_refused(answer: str, code: int, picture: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    class Says(Waits):
        def plan(self, request: PlanRequest) -> PlanAnswer:
            assert request.images["front"].shape == (480, 640, 3)
            return PlanAnswer(answer, timings_ms={"total": 1.0})

    monkeypatch.setattr("jpai_agent.vlm.load_backend", lambda folder, **_: Says())
    result = jpai("plan", "--image", picture, "--json", "待って")
    assert result.exit_code == code
    if code == 0:
        assert json.loads(result.stdout) == WAIT
    else:
        refused(result, 1, "no plan")


@pytest.mark.parametrize("named", [("--robot", "car"), ("--world", "street")])
def test_a_plan_for_the_car_is_one_of_its_world_and_may_name_a_landmark(named: Sequence[str], picture: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    stop = {"decision": "act", "reason": None,
            "steps": [{"skill": "stop_at", "target": {"label": "コンビニ", "place": "convenience_store"}}]}

    class Drives(Waits):
        def plan(self, request: PlanRequest) -> PlanAnswer:
            assert (request.robot, "slot_1" in request.places) == ("car", True)
            return PlanAnswer(json.dumps(stop), timings_ms={"total": 1.0})

    monkeypatch.setattr("jpai_agent.vlm.load_backend", lambda folder, **_: Drives())
    result = jpai("plan", "--image", picture, *named, "コンビニの前で停めて")
    assert result.exit_code == 0, result.output
    assert "コンビニの手前で止まります" in result.stdout


def test_a_frame_that_the_model_cannot_use_is_told(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(Waits):
        def plan(self, request: PlanRequest) -> PlanAnswer:
            raise VlmError("image_black", "frame of camera front shows nothing")

    monkeypatch.setattr("jpai_agent.vlm.load_backend", lambda folder, **_: Blind())
    result = jpai("plan", "--image", picture, "待って")
    assert result.exit_code in (2, 3)
    assert "shows nothing" in result.stderr
    assert japanese(result.stderr)


# rehearsing a plan of one's own

def test_a_plan_file_is_rehearsed_and_its_verdict_printed(tmp_path: Path) -> None:
    turned = WAIT | {"steps": [{"skill": "turn", "angle_deg": 30.0}, *WAIT["steps"]]}
    result = jpai("rehearse", "--rollouts", 4, "--json", written(tmp_path / "plan.json", turned))
    verdict = json.loads(result.stdout)
    assert (result.exit_code, verdict["status"], verdict["rollouts"]) == (0, "pass", 4)
    assert len(verdict["paths"]) == 4


def test_a_cars_plan_is_rehearsed_in_the_street(tmp_path: Path) -> None:
    result = jpai("rehearse", "--world", "street", "--rollouts", 2, written(tmp_path / "plan.json", WAIT))
    assert result.exit_code == 0, result.output
    # what a cart does a car does not
    turned = WAIT | {"steps": [{"skill": "turn", "angle_deg": 30.0}]}
    refused(jpai("rehearse", "--world", "street", written(tmp_path / "turn.json", turned)), 2, "turn")


def test_a_plan_that_no_way_leads_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_way(*arguments: Any, **options: Any) -> None:
        raise ProgramError("no_road", "no road goes left there")

    monkeypatch.setattr(validating, "compile_program", no_way)
    refused(jpai("rehearse", written(tmp_path / "plan.json", WAIT)), 2, "no_road", "no road goes left")


def test_a_plan_is_read_from_standard_input_too() -> None:
    result = jpai("rehearse", "--rollouts", 2, "-", say=json.dumps(WAIT))
    assert result.exit_code == 0, result.output
    assert "paths" not in json.loads(result.stdout)


def test_a_plan_that_does_not_pass_is_told_by_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    truly = validating.rehearse
    monkeypatch.setattr(validating, "rehearse", lambda *a, **o: replace(truly(*a, **o), status="fail", reason="collision"))
    result = jpai("rehearse", "--rollouts", 2, written(tmp_path / "plan.json", WAIT))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "collision"


@pytest.mark.parametrize(("content", "said"), [
    ("", ""), ("{", ""), ("```json\n{}\n```", "fence"), ({"decision": "ask", "steps": [], "reason": "ambiguous"}, "does nothing"),
    (WAIT | {"steps": [{"skill": "fly"}]}, "fly"), (WAIT | {"steps": [{"skill": "go_to", "target": {"place": "moon"}}]}, "moon"),
    (WAIT | {"steps": [{"skill": "move", "distance_m": 10.0}] * 4}, "step"),
    (WAIT | {"steps": [{"skill": "go_to", "target": {"camera": "front", "point": [500, 0]}}]}, "step 0"),
], ids=["empty", "truncated", "fenced", "question", "skill", "place", "through the wall", "sky"])
def test_a_file_that_is_no_plan_for_the_scene_is_bad_input(content: Any, said: str, tmp_path: Path) -> None:
    refused(jpai("rehearse", "--rollouts", 2, written(tmp_path / "plan.json", content)), 2, said)


def test_a_plan_file_must_be_there_and_be_text(tmp_path: Path) -> None:
    refused(jpai("rehearse", tmp_path / "none.json"), 2, "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    refused(jpai("rehearse", tmp_path / "binary.json"), 2)


# running

def test_what_is_said_is_run_and_kept(waiting: Path) -> None:
    result = jpai("run", "--runs", waiting / "runs", "--model", waiting, "一秒待って")
    assert result.exit_code == 0, result.output
    for words in ("一秒待って", "合格", "done", "記録"):
        assert words in result.stdout
    folder, = (waiting / "runs").iterdir()
    assert (folder / "summary.png").is_file()


def test_a_run_prints_json_alone_where_a_program_reads(waiting: Path) -> None:
    result = jpai("run", "--runs", waiting / "runs", "--model", waiting, "--json", "一秒待って")
    values = json.loads(result.stdout)
    assert (values["decision"], values["error"]) == ("act", "")
    assert Path(values["folder"]).is_dir()


def test_a_chat_takes_line_after_line_until_its_end(waiting: Path) -> None:
    result = jpai("chat", "--runs", waiting / "runs", "--model", waiting, say="一秒待って\n\n\u0007\n待ってて\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("指示") == 3
    assert "聞き取れませんでした" in result.stdout
    assert "待機" not in result.stdout


def test_a_suite_is_run_and_summed_up(waiting: Path) -> None:
    suite = written(waiting / "suite.jsonl", EPISODE)
    result = jpai("bench", "--suite", suite, "--model", waiting, "--out", waiting / "out", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["episodes"], summary["decision_right"], summary["goal_reached"]) == (1, 1.0, 1.0)
    assert json.loads((waiting / "out" / "summary.json").read_text("utf-8")) == summary


# the rest

def test_the_doctor_names_what_is_wrong_in_json(tmp_path: Path) -> None:
    result = jpai("doctor", "--json", "--model", tmp_path / "none")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["well"] is False
    findings = {finding["what"]: finding for finding in report["findings"]}
    assert {"machine", "mujoco", "torch", "graphics", "ROS 2", "model", "leaves this machine"} <= set(findings)
    assert findings["model"]["well"] is False
    assert str(tmp_path / "none") in findings["model"]["detail"]


@pytest.mark.parametrize(("name", "value"), [("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET"), ("ROS_STATIC_PEERS", "10.0.0.2")])
def test_the_doctor_tells_when_ros_would_leave_this_machine(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from jpai_agent.doctor import network

    monkeypatch.delenv("ROS_STATIC_PEERS", raising=False)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    assert network().well
    monkeypatch.setenv(name, value)
    assert network().well is False
    assert value in network().detail


def test_the_doctor_prints_where_data_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jpai_agent.doctor import Report, residency

    monkeypatch.setenv("JPAI_POLICY", str(written(tmp_path / "policy.yaml", "endpoints: {}")))
    (nothing,) = residency(report := Report())
    assert nothing.well and "nothing" in nothing.detail and report.residency == []
    written(tmp_path / "policy.yaml", """
endpoints:
  office: {operator: 自社, country: JP, base_url: "http://127.0.0.1:8000/v1", model: big-ja, deadline_s: 2, allow: [text, frames],
           blur: coarse, key_env: JPAI_NO_SUCH_KEY}
""")
    (told,) = residency(report := Report())
    report.findings.append(told)
    assert told.well is None and "office" in told.detail
    assert report.to_dict()["residency"][0]["frames"] == "coarse"
    table = "\n".join(report.lines())
    for cell in ("自社", "JP", "127.0.0.1:8000", "coarse", "JPAI_NO_SUCH_KEY not set"):
        assert cell in table
    written(tmp_path / "policy.yaml", "endpoints: {office: {}}")
    (broken,) = residency(Report())
    assert broken.well is False and "office" in broken.detail


def test_an_endpoint_that_the_policy_does_not_have_is_no_usable_model(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPAI_POLICY", raising=False)
    for command in (("plan", "--image", picture, "待って"), ("run", "待って"), ("up", "yard")):
        result = jpai(*command, "--model", "endpoint:office")
        refused(result, 3, "office")
        assert japanese(result.stderr)


def test_a_robot_that_is_real_is_not_driven_from_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPAI_POLICY", str(written(tmp_path / "policy.yaml", """
endpoints:
  office: {operator: 自社, country: JP, base_url: "http://127.0.0.1:8000/v1", model: big-ja, deadline_s: 2, allow: [text]}
""")))
    refused(jpai("up", "robot", "--model", "endpoint:office"), 1, "certif")


def test_options_after_test_go_to_pytest_and_its_status_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sequence[str]] = []

    def run_checks(extra: Sequence[str] = ()) -> int:
        given.append(extra)
        return 5

    monkeypatch.setattr(checks, "run_checks", run_checks)
    assert jpai("test", "test/gate", "-k", "latch", "-x").exit_code == 5
    assert jpai("test").exit_code == 5
    assert given == [["test/gate", "-k", "latch", "-x"], ()]


def test_the_checks_are_lint_borders_types_tests_and_the_graph() -> None:
    assert [name for name, _ in checks.stages(())] == ["lint", "borders", "types", "tests", "graph"]
    (name, command), = checks.stages(["-k", "latch"])
    assert name == "tests"
    assert command[-2:] == ["-k", "latch"]


def test_training_commands_are_reached_through_jpai() -> None:
    result = jpai("train", "--help")
    assert "jpai train" in result.stdout
    assert jpai("train", "nonsense").exit_code == 2
