"""Runs become examples that a person reviews in a text file; only what is reviewed and whole is learnt from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from own_runs import ASK, GO, WAIT, edit, reviewed, write_run
from typer.testing import CliRunner

from jpai_agent.train.cli import train
from jpai_agent.train.own import EXAMPLES, Collected, ExamplesError, collect, digest, read_examples, read_rows
from jpai_agent.train.own_page import points, write_page
from jpai_agent.train.own_score import score
from jpai_agent.vlm import PlanAnswer, VlmError


@pytest.fixture
def folder(tmp_path):
    collect([write_run(tmp_path / "runs" / "one").parent], tmp_path / "out")
    return tmp_path / "out"


def test_an_example_holds_what_the_model_was_told(folder):
    first, second, third = read_rows(folder)
    assert [row["said"] for row in (first, second, third)] == ["箱まで行って", "赤い箱", "三秒待って"]
    assert (first["ok"], first["plan"], first["earlier"], first["outcome"]) == (
        None, ASK, [], "ask ambiguous, answered ambiguous")
    assert second["plan"] == GO
    assert second["earlier"][0]["user"] == "箱まで行って"
    assert (third["plan"], third["running"], third["speed_mps"]) == (None, "go_to", 0.6)


def test_examples_that_are_there_stay_as_a_person_left_them(folder):
    edit(folder, {"ok": False}, {}, {})
    write_run(folder.parent / "runs" / "two")
    assert collect([folder.parent / "runs"], folder) == Collected(new=3, before=3, left_out=0)
    rows = read_rows(folder)
    assert [row["ok"] for row in rows] == [False, None, None, None, None, None]
    # one picture is kept once
    assert len(list((folder / "frames").iterdir())) == 1


def test_the_model_is_asked_again_as_it_was(tmp_path):
    examples = reviewed(tmp_path)
    request = examples[2].request()
    assert request.instruction == "3秒待って"  # as normalised for the model
    assert (request.running, request.speed_mps, request.robot) == ("go_to", 0.6, "cart")
    assert request.places == {"dock": ("充電ステーション", "ドック")}
    assert request.images["front"].shape == (120, 160, 3)
    assert examples[1].request().dialogue[0].user == "箱まで行って"
    assert digest(examples) != digest(examples[:2])


def test_examples_of_which_none_is_reviewed_are_refused(folder):
    with pytest.raises(ExamplesError, match=r'none of 3 examples is reviewed: correct the plan .* "ok": true'):
        read_examples(folder)


@pytest.mark.parametrize(("change", "says"), [
    ({"plan": {**WAIT, "steps": [{"skill": "fly"}]}}, r"line 3 \(one:2\): step 0: no skill 'fly'"),
    ({"plan": None}, "line 3 .*there is no plan: write the right one"),
    ({"plan": {**GO, "steps": [{"skill": "go_to", "target": {"place": "moon"}}]}}, "no place 'moon'; the map has dock"),
    ({"frame": "frames/gone.png", "plan": WAIT}, r"line 3 .*frame .*gone\.png is missing"),
    ({"map": "00000000", "plan": WAIT}, r"maps\.json has no map 00000000")])  # fmt: skip
def test_what_is_wrong_with_a_reviewed_example_is_named_by_its_line(folder, change, says):
    edit(folder, {"ok": True}, {}, {"ok": True} | change)
    with pytest.raises(ExamplesError, match=says):
        read_examples(folder)


@pytest.mark.parametrize(("line", "says"), [
    ("{", "line 4: no JSON"), ('{"id": "x"}', "line 4: needs id, said, frame, robot"),
    ('{"id":"x","said":"","frame":"","robot":"cart","ok":"yes"}', "line 4: ok is true, false or null, not 'yes'"),
    ('{"id":"one:0","said":"","frame":"","robot":"cart"}', "line 4: the id one:0 stands there twice")])  # fmt: skip
def test_a_line_that_is_no_example_is_named(folder, line, says):
    with (folder / EXAMPLES).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ExamplesError, match=says):
        read_rows(folder)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    example = reviewed(tmp_path)[0]
    example.frame.write_bytes(b"no picture")
    with pytest.raises(ExamplesError, match=f"example one:0: frame {example.frame} cannot be read"):
        example.request()


def test_folders_without_runs_and_runs_that_are_broken_are_named(tmp_path):
    with pytest.raises(ExamplesError, match="no run folders"):
        collect([tmp_path], tmp_path / "out")
    (write_run(tmp_path / "runs" / "one") / "plan.json").write_text("[")
    with pytest.raises(ExamplesError, match=r"run .*one cannot be read"):
        collect([tmp_path / "runs"], tmp_path / "out")


def test_the_page_shows_frames_words_and_points_and_nothing_that_was_said_as_markup(folder):
    edit(folder, {"said": "<b>箱</b>"}, {}, {})
    text = write_page(read_rows(folder), folder).read_text(encoding="utf-8")
    assert "&lt;b&gt;箱" in text
    assert 'cx="25.5%" cy="69.0%"' in text
    assert "http" not in text
    assert points({"steps": [{"target": {"point": ["a", 1]}}, 5]}) == []


def test_the_commands_lead_through_a_review(tmp_path):
    run, out = CliRunner(), tmp_path / "out"
    write_run(tmp_path / "runs" / "one")
    assert "3 new examples" in run.invoke(train, ["collect", str(tmp_path / "runs"), "--out", str(out)]).output
    refused = run.invoke(train, ["check", str(out)])
    assert (refused.exit_code, "none of 3" in refused.output) == (2, True)
    edit(out, {"ok": True}, {"ok": True}, {"ok": False})
    checked = run.invoke(train, ["check", str(out)])
    assert "2 reviewed, 1 of no use, 0 to review" in checked.output
    assert "ask ambiguous 1" in checked.output


class Says:
    """A model whose answers are given."""

    def __init__(self, *answers):
        self.name, self.answers = "says", list(answers)

    def plan(self, request):
        answer = self.answers.pop(0)
        if answer is None:
            raise VlmError("model_timeout", "too late")
        return PlanAnswer(json.dumps(answer, ensure_ascii=False))


def test_a_point_near_the_right_one_is_right_and_an_answer_that_does_not_come_is_wrong(tmp_path):
    examples = reviewed(tmp_path)
    near = json.loads(json.dumps(GO).replace("690", "670"))
    far = json.loads(json.dumps(GO).replace("690", "490"))
    assert score(Says(ASK, near, WAIT), examples)["plan"] == 1.0
    found = score(Says(ASK, far, None), examples)
    assert (found["decision"], found["skills"], found["plan"]) == (0.6667, 0.6667, 0.3333)
    assert found["wrong"]["one:2"] == "too late"
