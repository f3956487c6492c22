"""A confidence is known only with a calibration; strange words and unlikely plans lower it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from jpai_agent.vlm import VlmError, load_backend
from jpai_agent.vlm.confidence import (
    CALIBRATION,
    FAMILIAR,
    NEAR,
    TABLE_BITS,
    AnswerProbability,
    Calibration,
    Familiar,
    coordinate_values,
    curve,
    evidence,
    grams,
    own_words,
)
from jpai_agent.vlm.onnx_backend import OnnxBackend

ACT, ASK = '{"decision":"act","steps":[{"skill":"stop"}],"reason":null}', '{"decision":"ask","steps":[],"reason":"ambiguous"}'
TOKENS = ['{"decision":"act","steps":[', "16", "48", "96", "赤", "5"]


def scores(*shares):
    return np.log(np.array(shares))


def test_the_decision_is_what_comes_before_the_steps_and_the_answer_is_all():
    probability = AnswerProbability(coordinate_values(TOKENS))
    probability.add(scores(0.8, 0.1, 0.1, 1e-9, 1e-9, 1e-9), 0, TOKENS[0])
    probability.add(scores(0.1, 0.1, 0.1, 0.1, 0.5, 0.1), 4, TOKENS[4])
    assert probability.decision == pytest.approx(0.8, abs=1e-6)
    assert probability.least == pytest.approx(0.5, abs=1e-6)
    assert probability.answer == pytest.approx(0.4, abs=1e-6)


def test_a_coordinate_counts_with_those_near_it_and_a_digit_does_not():
    assert coordinate_values(TOKENS).tolist() == [-1, 16, 48, 96, -1, -1]
    probability = AnswerProbability(coordinate_values(TOKENS))
    probability.add(scores(0.1, 0.2, 0.3, 0.2, 0.1, 0.1), 2, TOKENS[2])
    assert NEAR == 48  # from 16 to 96
    assert probability.answer == pytest.approx(0.7, abs=1e-6)
    digit = AnswerProbability(coordinate_values(TOKENS))
    digit.add(scores(0.1, 0.1, 0.1, 0.1, 0.1, 0.5), 5, TOKENS[5])
    assert digit.answer == pytest.approx(0.5, abs=1e-6)


def test_what_was_taught_is_familiar_to_the_robot_that_was_taught_it():
    familiar = Familiar.of(gram for words in ("赤い箱まで行って", "右に曲がって") for gram in grams("cart", words))
    assert familiar.unfamiliar("cart", "赤い箱まで行って") == 0.0
    assert 0 < familiar.unfamiliar("cart", "赤い箱に曲がって") < 0.5
    assert familiar.unfamiliar("cart", "我昨天晚上没睡好") > 0.9
    assert familiar.unfamiliar("car", "赤い箱まで行って") > 0.9
    assert familiar.unfamiliar("cart", "") > 0.9


def test_few_strange_words_are_taken_for_familiar():
    draw = np.random.default_rng(0)
    familiar = Familiar.of(f"cart:{n}" for n in range(80_000))
    strange = [f"cart:x{n}" for n in draw.integers(0, 1 << 40, 2000)]
    assert sum(gram in familiar for gram in strange) / len(strange) < 0.02


def test_what_the_robot_shall_only_repeat_is_not_looked_up():
    said = '{"decision":"act","steps":[{"skill":"say","text":"お疲れさま"}],"reason":null}'
    assert own_words("お疲れさまと言って", said) == "\x01と言って"
    assert own_words("お疲れさまと言って", ACT) == "お疲れさまと言って"
    assert own_words("お疲れさまと言って", "no json") == "お疲れさまと言って"


def test_more_probability_and_more_familiar_words_give_more_confidence():
    assert [curve((0, 1, 1, 0, 0, 0), evidence(p, 0.5, 0.0)) for p in (0.1, 0.5, 0.9)] == pytest.approx([0.1, 0.5, 0.9])
    assert 0 < curve((0, 1, 1, 1, 1, 0), evidence(0.0, 0.0, 0.0)) < curve((0, 1, 1, 1, 1, 0), evidence(1.0, 1.0, 0.0)) < 1
    calibration = Calibration((4, 1, 1, 0, 0, -10), (0, 1, 1, 0, 0, 0), Familiar.of(grams("cart", "右に曲がって")))
    sure = [calibration.confidence("cart", words, ACT, 0.9, 0.9) for words in ("右に曲がって", "右の山がって", "いい天気")]
    assert sure[0] > 0.9 > sure[1] > sure[2] and sure[2] < 0.05
    assert calibration.confidence("cart", "右に曲がって", ACT, 0.1, 0.1) < sure[0]
    assert calibration.confidence("cart", "いい天気", ASK, 0.9, 0.9) == pytest.approx(0.9)


@pytest.fixture
def calibrated(checkpoint_copy):
    (checkpoint_copy / CALIBRATION).write_text(json.dumps({"format": 1, "act": [0, 1, 1, 0, 0, 0], "rest": [0, 1, 1, 0, 0, 0]}))
    np.save(checkpoint_copy / FAMILIAR, np.zeros(TABLE_BITS // 8, dtype=np.uint8))
    return checkpoint_copy


@pytest.fixture
def checkpoint_copy(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def test_a_calibrated_model_tells_its_confidence(calibrated, request_):
    backend = OnnxBackend(calibrated)
    answer = backend.plan(request_)
    assert answer.confidence == pytest.approx(answer.decision_probability, abs=2e-6)
    assert backend.plan(replace(request_, instruction="出口へ")).confidence is not None


def test_a_model_without_a_calibration_tells_none(checkpoint_copy):
    assert Calibration.load(checkpoint_copy) is None


@pytest.mark.parametrize("broken", [
    "no json", "[]", '{"format": 1}', '{"format": 2, "act": [0,0,0,0,0,0], "rest": [0,0,0,0,0,0]}',
    '{"format": 1, "act": [0,0], "rest": [0,0,0,0,0,0]}', '{"format": 1, "act": "abcdef", "rest": [0,0,0,0,0,0]}',
    '{"format": 1, "act": [0,0,0,0,0,NaN], "rest": [0,0,0,0,0,0]}',
])
def test_a_broken_calibration_is_an_altered_model(calibrated, broken):
    (calibrated / CALIBRATION).write_text(broken)
    with pytest.raises(VlmError, match="calibration") as caught:
        Calibration.load(calibrated)
    assert caught.value.reason_code == "model_altered"


def test_a_table_of_another_size_is_an_altered_model(calibrated):
    np.save(calibrated / FAMILIAR, np.zeros(7, dtype=np.uint8))
    with pytest.raises(VlmError, match="calibration"):
        Calibration.load(calibrated)


def test_a_calibration_that_the_manifest_does_not_list_is_refused(calibrated):
    with pytest.raises(VlmError, match="manifest"):
        load_backend(calibrated)
