"""Calibration: sure answers are those that turn out right, and what was never taught is not acted on."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from jpai_agent.train import calibrate as calibration
from jpai_agent.train.calibrate import ELSEWHERE, THRESHOLDS, Answered
from jpai_agent.vlm import PlanAnswer, VlmError
from jpai_agent.vlm.confidence import CALIBRATION, FAMILIAR, Calibration, Familiar, grams
from jpai_agent.vlm.manifest import read_manifest, verify, write_manifest


def answers(n: int = 1200, seed: int = 0) -> list[Answered]:
    """Plans that are right as often as the square of their probability, questions, and strange words taken for orders."""
    draw, made = np.random.default_rng(seed), []
    for index in range(n):
        p, acts = float(draw.uniform(0.3, 1.0)), index % 3 != 0
        right = bool(draw.random() < p * p)
        made.append(Answered("cart", "a", acts, right, right, p, p, float(draw.uniform(0, 0.3)), acts == right))
    made += [Answered("cart", "", True, False, False, float(draw.uniform(0.5, 1.0)), 0.5, float(draw.uniform(0.4, 1.0)), False)
             for _ in range(n // 10)]
    return made


def test_confidence_becomes_the_share_that_is_right():
    answered = answers()
    confidence = calibration.cross_validated(answered)
    measured = calibration.measure(answered, confidence)
    assert (measured["n"], measured["n_elsewhere"]) == (1200, 120)
    assert measured["ece_own_before"] > 0.1 > 0.05 > measured["ece_own_after"]
    assert measured["auc_plans_mixed_after"] > measured["auc_plans_mixed_before"]
    assert "act_confidence" in calibration.table(measured)


def test_a_higher_threshold_asks_more_and_acts_less_on_what_is_not_for_it():
    answered = answers()
    curve = calibration.measure(answered, calibration.cross_validated(answered))["curve"]
    assert [point["threshold"] for point in curve] == [0.0, *THRESHOLDS]
    for name, order in (("right_asked", 1), ("shy", 1), ("rash", -1), ("elsewhere", -1)):
        values = [order * point[name] for point in curve]
        assert values == sorted(values)
    assert curve[0]["right_asked"] == 0.0 and curve[0]["elsewhere"] == 1.0
    chosen = calibration.proposed(curve, lost=0.05)
    assert 0 < chosen < 1
    assert next(point for point in curve if point["threshold"] == chosen)["right_asked"] <= 0.05


def test_curves_never_tell_less_for_more_probability_nor_more_for_stranger_words():
    backwards = [Answered("cart", "a" * (i % 2), True, i % 3 == 0, False, 0.9 - 0.5 * (i % 3 == 0), 0.5, float(i % 3 == 0), True)
                 for i in range(90)]
    weights = calibration.fit_curve(backwards, range(6))
    assert all(weight >= 0 for weight in weights[1:5]) and weights[5] <= 0


@pytest.mark.parametrize(("confidence", "right", "error"), [
    ([1.0, 1.0], [True, True], 0.0), ([1.0, 1.0], [True, False], 0.5), ([0.9, 0.1], [False, True], 0.9),
])
def test_the_calibration_error_is_the_gap_between_told_and_true(confidence, right, error):
    assert calibration.calibration_error(np.array(confidence), np.array(right)) == pytest.approx(error)


def test_the_ranking_is_the_chance_that_a_right_answer_scores_higher():
    right = np.array([True, True, False, False])
    assert calibration.ranking(np.array([4.0, 3.0, 2.0, 1.0]), right) == 1.0
    assert calibration.ranking(np.array([1.0, 1.0, 1.0, 1.0]), right) == 0.5
    assert np.isnan(calibration.ranking(np.array([1.0, 2.0]), np.array([True, True])))


def test_an_authors_own_words_are_strange_to_the_others():
    taught = dict.fromkeys(grams("cart", "右に曲がって"), "*") | dict.fromkeys(grams("cart", "あっちゃ行け"), "a")
    assert calibration.unfamiliar_to_others(taught, "cart", "右に曲がって", "a") == 0.0
    assert calibration.unfamiliar_to_others(taught, "cart", "あっちゃ行け", "b") == 0.0
    assert calibration.unfamiliar_to_others(taught, "cart", "あっちゃ行け", "a") > 0.8
    assert calibration.unfamiliar_to_others(taught, "cart", "我饿了", "") > 0.8


def test_what_is_not_for_the_robot_is_said_once_and_in_no_list_of_the_tests(pytestconfig):
    said = calibration.lines_of(ELSEWHERE)
    assert len(set(said)) == len(said) >= 190
    for path in pytestconfig.rootpath.glob("test/**/unseen/*.txt"):
        assert not set(said) & set(calibration.lines_of(path)), path


def test_a_stored_calibration_is_part_of_the_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path, "tiny", "1", license_id="x", model_type="florence2", bits=8, parameters=1, card={"seed": 3})
    before = read_manifest(tmp_path)
    made = Calibration((1.0, 1.0, 1.0, 0.0, 0.0, -5.0), (0.0, 1.0, 1.0, 0.0, 0.0, 0.0), Familiar.of(grams("cart", "進め")))
    calibration.store(tmp_path, made, {"n": 7, "curve": []})
    after = verify(tmp_path)
    assert after.sha256 != before.sha256 and after.card == {"seed": 3, "calibration": {"n": 7}}
    loaded = Calibration.load(tmp_path)
    assert loaded is not None and loaded.act == made.act and np.array_equal(loaded.familiar.table, made.familiar.table)
    assert json.loads((tmp_path / CALIBRATION).read_text())["measured"]["n"] == 7
    shutil.move(tmp_path / FAMILIAR, tmp_path / "lost.npy")
    with pytest.raises(Exception, match="calibration"):
        Calibration.load(tmp_path)


def test_lines_that_the_model_comes_to_no_plan_for_tell_nothing(monkeypatch):
    class Stuck:
        def plan(self, request):
            if request.instruction == "あ":
                raise VlmError("plan_error", "no end")
            return PlanAnswer('{"decision":"refuse","steps":[],"reason":"not_understood"}')

    monkeypatch.setattr(calibration, "shard_paths", lambda _: [None])
    monkeypatch.setattr(calibration, "load_shard", lambda _: Shard(np.zeros((3, 8, 8, 3), np.uint8)))
    course = SimpleNamespace(robot="cart", validation=None)
    (answered,) = calibration.ask_elsewhere(Stuck(), course, {}, ["あ", "い"], {})
    assert answered.right and not answered.acts


class Shard:
    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)
