"""The run's folder: whole at every moment, and read back as it was."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_run import SAID, MadeUpRun
from mcap.reader import make_reader
from PIL import Image as Picture

from jpai_agent.agent.events import Decided, Finished, Heard, Planned, Rehearsed
from jpai_agent.plan import ActionPlan
from jpai_agent.record import RunRecorder, load_run
from jpai_agent.record.files import JsonArray, jsonable
from jpai_agent.world.scene import RobotState


def recorder(run: MadeUpRun, folder: Path, **options: object) -> RunRecorder:
    return RunRecorder(folder, run.robot, run.world, episode={"id": "yard-0001", "seed": 4}, **options)  # type: ignore[arg-type]


def test_every_file_of_a_run_is_written(run: MadeUpRun, tmp_path: Path) -> None:
    with recorder(run, tmp_path / "run") as keep:
        run.record(keep)
    names = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert names == {"episode.json", "events.jsonl", "plan.json", "scene.json", "verdict.json", "trajectory.csv",
                     "captions.jsonl", "run.mcap", "summary.json", "summary.png", "frames/000-front.png"}  # fmt: skip


def test_the_frame_is_kept_exactly_as_the_model_got_it(run: MadeUpRun, tmp_path: Path) -> None:
    with recorder(run, tmp_path / "run", pictures=False) as keep:
        run.record(keep)
    with Picture.open(tmp_path / "run" / "frames" / "000-front.png") as frame:
        assert np.array_equal(np.asarray(frame), run.frame.rgb)


def test_a_run_is_read_back_as_it_was(run: MadeUpRun, tmp_path: Path) -> None:
    with recorder(run, tmp_path / "run", pictures=False) as keep:
        run.record(keep)
        for event in run.question(1):
            keep(event)
    first, second = load_run(tmp_path / "run").turns
    assert (first.said, first.outcome, second.decision, second.reason) == (SAID, "done", "ask", "ambiguous")
    assert first.plan == first.answer == run.plan
    assert first.scene is not None
    assert first.scene.obstacles[0].x_m == pytest.approx(run.scene.obstacles[0].x_m, abs=1e-4)
    assert first.targets[0].label == "赤い箱"
    assert first.verdict is not None
    assert len(first.verdict["paths"]) == 32
    assert np.allclose(first.planned, run.program.way(), atol=1e-3)
    assert [step for _, step in first.steps] == [0, 1, 2]
    assert np.allclose(first.driven[-1, :2], [-11.0, 0.0], atol=0.1)
    assert len(first.truth) == len(first.driven) == len(first.driven_s)
    assert len(second.driven) == 0


def test_the_trajectory_says_what_was_commanded_in_which_step_and_leaves_free_what_is_unknown(
    run: MadeUpRun, tmp_path: Path
) -> None:
    with recorder(run, tmp_path / "run", pictures=False) as keep:
        run.record(keep)
        keep.tick(99.0, None, RobotState(1.0, 2.0, 0.5), None)
    with (tmp_path / "run" / "trajectory.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["step"] for row in rows} == {"0", "1", "2", "-1"}
    assert rows[0]["command_v_mps"] == "0.8000"
    assert (rows[-1]["x_m"], rows[-1]["command_v_mps"], rows[-1]["true_x_m"]) == ("1.0000", "", "")


def test_nothing_is_lost_when_the_process_dies(run: MadeUpRun, tmp_path: Path) -> None:
    keep = recorder(run, tmp_path / "run")
    run.record(keep)
    # no close: what a killed process leaves, its last lines half written
    for name, half in (("events.jsonl", '{"event": "Repl'), ("trajectory.csv", "20.000,0,2,1.0")):
        with (tmp_path / "run" / name).open("a") as file:
            file.write(half)
    (turn,) = load_run(tmp_path / "run").turns
    assert turn.outcome == "done"
    assert len(turn.driven) > 100


def test_the_summary_says_how_each_turn_went(run: MadeUpRun, tmp_path: Path) -> None:
    keep = recorder(run, tmp_path / "run", pictures=False)
    run.record(keep)
    keep.close(contacts=0)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    (turn,) = summary["turns"]
    assert summary["contacts"] == 0
    assert summary["driven_m"] == pytest.approx(15.5, abs=0.8)
    assert (turn["said"], turn["decision"], turn["outcome"], turn["verdict"]) == (SAID, "act", "done", "pass")


def test_the_mcap_file_holds_events_and_trajectory(run: MadeUpRun, tmp_path: Path) -> None:
    with recorder(run, tmp_path / "run", pictures=False) as keep:
        run.record(keep)
    with (tmp_path / "run" / "run.mcap").open("rb") as file:
        topics = [channel.topic for _, channel, _ in make_reader(file).iter_messages()]
    assert topics.count("/jpai/events") == 10
    assert topics.count("/jpai/trajectory") > 100


def test_a_rollout_that_diverged_is_kept_up_to_there(run: MadeUpRun, tmp_path: Path) -> None:
    path = [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [math.nan, 0.0, 0.0], [9.9, 0.0, 0.0]]
    verdict = replace(run.verdict("fail"), status="invalid", reason="diverged", paths=[path])
    with recorder(run, tmp_path / "run") as keep:
        keep(Rehearsed(1.0, 0, run.program, verdict, 900.0))
    kept = load_run(tmp_path / "run").turns[0].verdict
    assert kept is not None
    assert kept["paths"] == [path[:2]]


def test_an_answer_that_is_no_plan_is_kept_with_its_reason(run: MadeUpRun, tmp_path: Path) -> None:
    refusal = ActionPlan("refuse", reason="not_understood")
    with recorder(run, tmp_path / "run") as keep:
        keep(Heard(0.0, 0, ""))
        keep(Planned(0.5, 0, None, None, '{"decision": "act', math.nan, "truncated"))
        keep(Decided(0.5, 0, "refuse", "not_understood", refusal))
        keep(Finished(0.5, 0, "answered"))
    (answer,) = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert (answer["plan"], answer["error"], answer["raw_text"]) == (None, "truncated", '{"decision": "act')
    assert load_run(tmp_path / "run").turns[0].answer is None


def test_a_folder_that_holds_something_is_not_written_into(run: MadeUpRun, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="not empty"):
        recorder(run, tmp_path)


def test_an_array_file_is_valid_json_after_every_append(tmp_path: Path) -> None:
    array = JsonArray(tmp_path / "a.json")
    for count in range(4):
        assert json.loads((tmp_path / "a.json").read_text()) == [{"箱": i} for i in range(count)]
        array.append({"箱": count})
    array.close()


def test_numbers_that_are_not_finite_become_null() -> None:
    assert jsonable({"a": math.inf, "b": [math.nan, np.float32(1.5)], "c": np.arange(2)}) == {
        "a": None, "b": [None, 1.5], "c": [0, 1]}  # fmt: skip
