"""What an evaluation shows: int8 beside fp32, wrong answers as pictures, words that must move nothing, the model card."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jpai_agent.plan import ActionPlan, Step, Target
from jpai_agent.train import still
from jpai_agent.train.card import BEGIN, END, evaluated, note, write_card
from jpai_agent.train.evaluate import Verdict, report
from jpai_agent.train.exported import request_of
from jpai_agent.train.sample import Sample
from jpai_agent.train.sheet import GOT, WANT, draw_sheet, in_short, japanese_font, wrapped
from jpai_agent.train.symbolic import paint_shard
from jpai_agent.vlm import PlanAnswer, VlmError, verify
from jpai_agent.vlm.manifest import write_manifest

BOX = ActionPlan("act", (Step("go_to", {"target": Target("赤い箱", "front", (480, 640)), "side": "left"}),))
PARTS = {"decision": True, "skills": True, "arguments": True, "labels": True, "whole": True}


@pytest.fixture(scope="module")
def shard():
    return paint_shard(2, seed=0)


def verdict(shard, right: bool, plan: ActionPlan | None = BOX) -> Verdict:
    sample = Sample(1, "赤い箱の左まで行って", BOX, targets=(0,), author="cart_a", tags=("side",))
    parts = {**PARTS, "whole": right, "point": right}
    return Verdict(sample, "…" if plan is None else plan.to_json(), plan, parts, (right,), (200,), shard)


def test_int8_stands_beside_fp32_in_every_row_and_its_loss_below(shard):
    right, wrong = verdict(shard, True), verdict(shard, False)
    text = report([right, right, wrong, wrong], [right, wrong, wrong, wrong])
    for title in ("all", "cart_a", "side", "go_to", "act", "< 300"):
        row = next(line for line in text.splitlines() if line.startswith(title))
        assert row.split()[-1] == "25.0" and "50.0" in row
    assert "int8 loses 25.00 points" in text and "n 4" in text
    assert "int8" not in report([right, wrong])


def test_a_plan_is_told_on_a_line():
    assert in_short(BOX) == "go_to(赤い箱@480,640 side=left)"
    assert in_short(ActionPlan("act", (Step("wait", {"duration_s": 3.0}), Step("stop")))) == "wait(duration_s=3.0) → stop()"
    assert in_short(ActionPlan("ask", reason="ambiguous")) == "ask: ambiguous"
    assert in_short(None) == "(no plan)"


def test_wrong_answers_are_drawn_with_both_points_in_a_japanese_font(shard, tmp_path):
    other = ActionPlan("act", (Step("go_to", {"target": Target("箱", "front", (100, 300))}),))
    path = tmp_path / "sheets" / "cart.png"
    assert draw_sheet([verdict(shard, True), verdict(shard, False, other), verdict(shard, False, None)], path) == 2
    pixels = np.asarray(Image.open(path))
    assert pixels.shape[1] > 1000
    for color in (WANT, GOT):
        assert (pixels == color).all(-1).sum() > 30
    # a font that lacks the letters draws the same box for each
    assert bytes(japanese_font().getmask("箱")) != bytes(japanese_font().getmask("左"))


def test_a_sheet_takes_no_more_than_asked_and_none_where_all_is_right(shard, tmp_path):
    assert draw_sheet([verdict(shard, False)] * 50, tmp_path / "many.png", count=8) == 8
    assert draw_sheet([verdict(shard, True)], tmp_path / "none.png") == 0


def test_long_words_are_cut():
    lines = wrapped("とても長い指示" * 30, 200, 2)
    assert len(lines) == 2 and lines[-1].endswith("…")
    assert all(japanese_font().getlength(line) < 220 for line in lines)


class Told:
    """Moves at 進め, speaks at 話して, is unsure of ?, asks else."""

    name = "told"

    def plan(self, request):
        steps = {"進め": Step("move", {"distance_m": 1.0}), "話して": Step("say", {"text": "はい"}),
                 "あれ": Step("turn", {"angle_deg": 90.0})}
        step = steps.get(request.instruction)
        plan = ActionPlan("act", (step,)) if step else ActionPlan("ask", reason="not_understood")
        return PlanAnswer(plan.to_json(), 0.2 if request.instruction == "あれ" else None)

    def warm(self, request):
        """Nothing to warm."""


def test_motion_is_counted_by_group_and_what_would_be_asked_back_is_none(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("# a remark\n## one\n進め\n話して\n#$%\n## two\nあれ\n止まれ\n\nにゃーん\n", encoding="utf-8")
    groups = still.read_groups(path)
    assert groups == {"one": ["進め", "話して", "#$%"], "two": ["あれ", "止まれ", "にゃーん"]}
    heard = still.hear(Told(), "cart", groups, [np.full((192, 320, 3), 99, np.uint8)] * 2, {})
    assert [(h.acts, h.moves) for h in heard[:3]] == [(True, True), (True, False), (False, False)]
    shares = still.shares(heard, 0.5)
    assert shares == pytest.approx({"n": 12, "planned": 0.5, "motion": 1 / 3, "carried_out": 1 / 6})
    assert "two" in still.report(heard, 0.5)


def test_three_hundred_lines_and_more_must_move_nothing(pytestconfig):
    groups = still.read_groups(pytestconfig.rootpath / "test" / "vlm" / "unseen" / "no_motion.txt")
    lines = [line for of in groups.values() for line in of]
    assert len(set(lines)) == len(lines) >= 390
    assert len(groups) >= 10


def test_figures_go_between_the_marks_of_the_card_and_the_card_into_the_manifest(shard, tmp_path):
    model, figures = tmp_path / "model", tmp_path / "figures.json"
    model.mkdir()
    (model / "README.md").write_text(f"# 名\nwords\n{BEGIN}\nold\n{END}\nmore\n", encoding="utf-8")
    write_manifest(model, "tiny", "1", license_id="x", model_type="florence2", bits=8, parameters=2_000_000, card={"stage": "s"})
    note(figures, evaluated("cart", True, [verdict(shard, True)], [verdict(shard, False)]))
    note(figures, {"still": {"cart": {"n": 8, "motion": 0.25, "carried_out": 0.0}}})
    for _ in range(2):
        write_card(model, json.loads(figures.read_text(encoding="utf-8")))
    text = (model / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# 名\nwords\n") and text.endswith("more\n") and "old" not in text
    assert "| cart, held-out authors, fp32 | 1 | 100.0 |" in text and "| cart | 8 | 25.0% | 0.0% |" in text
    assert verify(model).card == {"stage": "s"}


def test_a_card_without_marks_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(VlmError, match="marks"):
        write_card(tmp_path, {})
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("robot", "place"), [("cart", "dock"), ("car", "slot_3"), ("car", "school_2")])
def test_the_export_is_asked_with_all_places_that_its_answer_may_name(shard, robot, place):
    sample = replace(verdict(shard, True).sample, robot=robot, places=("school", "school_2") if robot == "car" else ())
    request = request_of(sample, shard.frames[1])
    assert place in request.places and request.robot == robot
    assert request.dialogue == ()
    asked = request_of(replace(sample, earlier="箱まで", question=True), shard.frames[1])
    assert '"decision":"ask"' in asked.dialogue[0].answer
