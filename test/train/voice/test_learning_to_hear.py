"""Training of the recogniser: batches, losses that fall, states that resume, and the export that agrees with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("pyopenjtalk", reason="the extra [voice] is not installed")

import torch

from jpai_agent.train.voice import calibrate, evaluate, fit
from jpai_agent.train.voice.acoustics import Surroundings
from jpai_agent.train.voice.batches import Hearing, Plain, ahead, batches, examples
from jpai_agent.train.voice.model import TwoScripts, build, output_frames
from jpai_agent.train.voice.recordings import load, record
from jpai_agent.train.voice.sentences import Sentence
from jpai_agent.train.voice.voices import TRAINING_VOICES
from jpai_agent.voice.features import prepared

SENTENCES = [Sentence(text, text, "made")
             for text in ("右に曲がって", "左に曲がって", "止まって", "待って", "前に行って", "はい")]
ALPHABET = "".join(sorted(set("".join(one.written for one in SENTENCES))))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    for part in ("training", "validation"):
        record(SENTENCES, TRAINING_VOICES[:1], folder / part, seed=1, jobs=1)
    (folder / "ckpt").mkdir()
    (folder / "ckpt" / "alphabet.txt").write_text(ALPHABET, encoding="utf-8")
    return folder


def test_clean_training_features_are_the_run_time_s(work):
    one = load(work / "training")[0]
    assert np.array_equal(Plain().features(one.samples), prepared(one.samples.astype(np.float32) / 32_768))


def test_batches_are_seeded_and_shared_out_whole(work):
    found = examples(load(work / "training"), ALPHABET)
    hearing = Hearing(Surroundings.draw(1, rooms=3, seconds=2.0))
    first, again = (list(batches(found, hearing, 5, 0)) for _ in range(2))
    assert sum(len(batch.written) for batch in first) == len(SENTENCES)
    assert all(np.array_equal(a.features, b.features) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].features, next(iter(batches(found, hearing, 5, 1))).features)


def test_an_error_while_making_batches_reaches_the_training():
    def broken():
        yield from ()
        raise ValueError("no recordings")

    with pytest.raises(ValueError, match="no recordings"):
        list(ahead(broken()))


def test_output_frames_are_those_of_the_network():
    model = TwoScripts(build(5, size=16, layers=3)).eval()
    for count in (33, 64, 101, 320):
        scores, sounds = model(torch.zeros(1, count, 64), torch.ones(1, count, dtype=torch.long))
        assert scores.shape == (1, int(output_frames(torch.tensor(count))), 6)
        assert sounds.shape[1] == 2 * scores.shape[1]


def test_the_loss_falls_and_the_state_resumes(work, monkeypatch):
    monkeypatch.setattr(fit, "build", lambda characters, seed=0: build(characters, seed, size=32, layers=3))
    fit.fit(work, minutes=0.06, augmented=False)
    first = torch.load(work / "ckpt" / "fit.pt", weights_only=True)
    fit.fit(work, minutes=0.1, augmented=False)
    then = torch.load(work / "ckpt" / "fit.pt", weights_only=True)
    assert 0 < first["step"] < then["step"] and then["elapsed_s"] >= 6.0
    told = [json.loads(line) for line in (work / "ckpt" / "fit.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in told if "loss" in line]
    assert not losses or losses[-1] < 25.0


def test_a_calibrated_confidence_is_the_share_that_is_right():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(3_000):
        surprise, each, rivals = rng.exponential(1.0), rng.exponential(0.1), rng.uniform(0, 1)
        p = 1 / (1 + np.exp(-(2.0 - 1.5 * surprise - 2.0 * rivals)))
        found.append(calibrate.Trial((surprise, each, rivals), bool(rng.random() < p)))
    weights = calibrate.curve(found)
    assert weights["surprise"] == pytest.approx(-1.5, abs=0.3) and weights["rivals"] == pytest.approx(-2.0, abs=0.5)
    assert calibrate.judged(found, weights)["calibration_error"] < 0.03
    with pytest.raises(ValueError, match="nothing to calibrate"):
        calibrate.curve([calibrate.Trial((0.0, 0.0, 0.0), True)] * 4)


def act(steps: str) -> str:
    return f'{{"decision":"act","steps":[{steps}],"reason":null}}'


def go_to(label: str, x: int) -> str:
    return act(f'{{"skill":"go_to","target":{{"label":"{label}","camera":"front","point":[{x},500]}}}}')


def wait(seconds: float) -> str:
    return act(f'{{"skill":"wait","duration_s":{seconds}}}')


@pytest.mark.parametrize(("one", "other", "same"), [
    (go_to("箱", 500), go_to("はこ", 520), True), (go_to("箱", 500), go_to("箱", 700), False), (wait(3.0), wait(3.0), True),
    (wait(3.0), wait(13.0), False), (wait(3.0), '{"decision":"ask","steps":[],"reason":"not_understood"}', False),
])
def test_plans_are_compared_by_what_they_come_to(one, other, same):
    from jpai_agent.skills import skills_for

    assert evaluate.same_plan(one, other, dict(skills_for("cart"))) is same


@pytest.mark.parametrize(("text", "wanted"), [("3秒待って!", True), ("1.5mくらい下がってください", True), ("go left", False),
                                              ("sudo rm", False)])
def test_what_a_person_can_read_aloud(text, wanted):
    assert evaluate.speakable(text) is wanted
