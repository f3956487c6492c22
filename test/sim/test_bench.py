"""The benchmark: suites over processes, results.jsonl, summary.json and the table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scripted import MakeMaker, Script

from jpai_agent.sim.bench import run_suite
from jpai_agent.sim.episode import Episode, EpisodeError
from jpai_agent.sim.report import machine, print_summary, summarise
from jpai_agent.sim.runner import EpisodeResult

SCRIPTS = {"進んで": Script(0.6, 0.0, 1.5), "どれ？": Script(decision="ask", reason="ambiguous")}
MODEL = {"name": "script", "sha256": "0" * 64, "bits": 8}


def line(name: str, say: str, tags: list[str], **expect: Any) -> str:
    return json.dumps(
        {
            "id": name,
            "world": "yard",
            "robot": "cart",
            "tags": tags,
            "scene": {"robot_pose": [0, 0, 0]},
            "turns": [{"say": say}],
            "time_limit_s": 6,
            "expect": expect,
        },
        ensure_ascii=False,
    )


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.jsonl"
    path.write_text(
        "\n".join(
            [
                line(
                    "one",
                    "進んで",
                    ["move"],
                    decision="act",
                    final=[{"moved": {"forward_m": 0.7, "left_m": 0, "tol_m": 0.3}}],
                ),
                line(
                    "two/..",
                    "進んで",
                    ["move", "far"],
                    decision="act",
                    final=[{"moved": {"forward_m": 5, "left_m": 0, "tol_m": 0.3}}],
                ),
                line("three", "どれ？", ["ask"], decision="act"),
            ]
        ),
        encoding="utf-8",
    )
    return path


def picture(episode: Episode, result: EpisodeResult, run: Path | None, folder: Path) -> None:
    """A picklable failure picture."""
    (folder / f"{result.id.replace('/', '_')}.txt").write_text(", ".join(result.failed_predicates))


def test_a_suite_leaves_results_and_a_summary(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary, results = run_suite(suite, MakeMaker(SCRIPTS), out=out, model=MODEL, failure_picture=picture)
    lines = [json.loads(text) for text in (out / "results.jsonl").read_text("utf-8").splitlines()]
    assert [entry["id"] for entry in lines] == [result.id for result in results] == ["one", "two/..", "three"]
    assert [entry["goal_reached"] for entry in lines] == [True, False, False]
    assert json.loads((out / "summary.json").read_text("utf-8")) == summary
    assert {path.name for path in (out / "failures").iterdir()} == {"two_...txt", "three.txt"}
    assert list(summary) == [
        "suite",
        "episodes",
        "decision_right",
        "goal_reached",
        "contacts",
        "violations",
        "latency_ms",
        "realtime_factor",
        "tags",
        "model",
        "machine",
    ]
    assert (summary["suite"], summary["episodes"]) == ("small.jsonl", 3)
    assert summary["decision_right"] == pytest.approx(2 / 3, abs=1e-3)
    assert summary["goal_reached"] == pytest.approx(1 / 3, abs=1e-3)
    assert summary["tags"]["move"] == {"n": 2, "decision_right": 1.0, "goal_reached": 0.5}
    assert summary["latency_ms"]["plan"] == {"p50": 123.0, "p95": 123.0}
    assert summary["latency_ms"]["rehearse"] == {"p50": None, "p95": None}
    assert summary["realtime_factor"] > 1.0
    assert summary["model"] == MODEL
    assert set(summary["machine"]) == {"cpu", "cores", "accelerator"}


def test_the_number_of_processes_does_not_change_the_results(suite: Path) -> None:
    def outcomes(jobs: int) -> list[dict[str, Any]]:
        _, results = run_suite(suite, MakeMaker(SCRIPTS), jobs=jobs)
        return [{k: v for k, v in result.to_dict().items() if k != "spent_s"} for result in results]

    assert outcomes(1) == outcomes(2)


def test_bad_lines_are_named_before_anything_runs(suite: Path, tmp_path: Path) -> None:
    def explode() -> Any:
        raise AssertionError("nothing may run")

    suite.write_text(suite.read_text("utf-8") + "\n{}\nnonsense", encoding="utf-8")
    with pytest.raises(EpisodeError) as error:
        run_suite(suite, explode, out=tmp_path / "out")
    assert [number for number, _ in error.value.errors] == [4, 5]
    assert not (tmp_path / "out").exists()


def test_less_than_one_process_is_refused(suite: Path) -> None:
    with pytest.raises(ValueError, match="jobs"):
        run_suite(suite, MakeMaker(SCRIPTS), jobs=0)


def test_the_table_shows_every_tag_and_every_failure(suite: Path) -> None:
    summary, results = run_suite(suite, MakeMaker(SCRIPTS))
    text = io.StringIO()
    print_summary(summary, results, Console(file=text, width=120))
    shown = text.getvalue()
    for word in ("move", "far", "ask", "two/..", "final[0].moved", "wrong decision", machine()["cpu"]):
        assert word in shown


def test_a_summary_of_nothing_is_zero() -> None:
    summary = summarise("empty.jsonl", [], MODEL)
    assert (summary["episodes"], summary["goal_reached"], summary["realtime_factor"]) == (0, 0.0, 0.0)
