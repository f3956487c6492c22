"""The embedded recogniser: a folder that is not whole is said so; what it writes is fit for the language part."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from jpai_agent.voice.embedded import CHARACTERS, DESCRIPTION, GRAPH, EmbeddedRecogniser, read_description
from jpai_agent.voice.recogniser import RecogniserError, load_recogniser
from jpai_agent.world.paths import resource

SHIPPED = resource("models", "voice")


@pytest.fixture(scope="module")
def recogniser() -> EmbeddedRecogniser:
    return EmbeddedRecogniser(SHIPPED)


@pytest.fixture
def folder(tmp_path):
    for name in (DESCRIPTION, GRAPH, CHARACTERS):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def test_a_folder_without_a_model_is_said_so(tmp_path):
    with pytest.raises(RecogniserError, match=r"recogniser\.json cannot be read"):
        EmbeddedRecogniser(tmp_path)


@pytest.mark.parametrize("name", [GRAPH, CHARACTERS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(RecogniserError, match=f"{name} is missing"):
        EmbeddedRecogniser(folder)


@pytest.mark.parametrize("name", [GRAPH, CHARACTERS])
def test_an_altered_file_does_not_start(folder, name):
    with (folder / name).open("ab") as file:
        file.write(b"!")
    with pytest.raises(RecogniserError, match=f"{name} was altered"):
        EmbeddedRecogniser(folder)


@pytest.mark.parametrize("text", ["not json", "[]", "{}", json.dumps({"format": 99})])
def test_a_description_of_another_kind_is_refused(folder, text):
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    with pytest.raises(RecogniserError, match=r"recogniser\.json is (no JSON|not of format)"):
        read_description(folder)


def test_it_is_what_load_recogniser_gives_by_default():
    assert load_recogniser().name == "embedded"


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.zeros(16_000)])
def test_silence_is_no_words(recogniser, samples):
    found = recogniser.transcribe(samples.astype(np.float32))
    assert (found.text, found.confidence, found.alternatives) == ("", 0.0, ())


def test_scores_are_probabilities_each_80_ms(recogniser):
    scores = recogniser.scores(np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32))
    assert scores.shape == (25, len(recogniser.alphabet) + 1)
    assert np.allclose(np.exp(scores).sum(1), 1.0, atol=1e-3)


def test_the_same_sound_is_heard_the_same(recogniser):
    samples = np.random.default_rng(1).normal(0, 0.1, 24_000).astype(np.float32)
    assert recogniser.transcribe(samples) == recogniser.transcribe(samples)


def test_noise_alone_is_not_heard_with_confidence(recogniser):
    rng = np.random.default_rng(2)
    for _ in range(5):
        assert recogniser.transcribe(rng.normal(0, 0.05, 32_000).astype(np.float32)).confidence < 0.5


@pytest.mark.parametrize("said", ["止まってください", "右に曲がって", "30秒待って", "赤い箱の前まで行って", "駐車場に入って",
                                  "次の信号を左"])
def test_plain_instructions_are_heard(recogniser, tmp_path_factory, said):
    pytest.importorskip("pyopenjtalk", reason="the extra [voice] is not installed")
    from jpai_agent.train.voice.speech import Speaker, kana
    from jpai_agent.train.voice.voices import Voice

    found = recogniser.transcribe(np.pad(Speaker(tmp_path_factory.mktemp("voices")).say(said, Voice("original")), 3_200))
    assert kana(found.text) == kana(said)  # 停まって and 止まって sound the same
    assert found.confidence > 0.5


def test_transformers_loads_the_checkpoint_without_custom_code():
    from transformers import AutoModelForCTC

    model = AutoModelForCTC.from_pretrained(SHIPPED, local_files_only=True, trust_remote_code=False)
    about = read_description(SHIPPED)
    assert model.config.vocab_size == len(about["alphabet"]) + 1
    assert sum(p.numel() for p in model.parameters()) == about["parameters"]
