"""Synthetic voices, rooms and recordings: different from one another, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from jpai_agent.train.voice.acoustics import (
    COLOURS,
    Surroundings,
    add_noise,
    make_noise,
    make_room,
    resampled,
    speech_power,
    through,
)
from jpai_agent.train.voice.voices import HELD_OUT_VOICES, TRAINING_VOICES, VALIDATION_VOICES, draw_voices

pytest.importorskip("pyopenjtalk", reason="the extra [voice] is not installed")

from jpai_agent.train.voice.recordings import load, record, trimmed
from jpai_agent.train.voice.sentences import Sentence
from jpai_agent.train.voice.speech import RATE_HZ, Speaker, kana

SHORT = "右に曲がって"


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
    return Speaker(tmp_path_factory.mktemp("voices"))


def test_no_voice_is_both_trained_on_and_measured_with():
    groups = [set(TRAINING_VOICES), set(VALIDATION_VOICES), set(HELD_OUT_VOICES)]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert draw_voices(5, 3, "x") == draw_voices(5, 3, "x") != draw_voices(5, 4, "x")


def test_the_same_seed_says_the_same(speaker):
    voice = TRAINING_VOICES[1]
    first, again, other = (speaker.say(SHORT, voice, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert len(first) != len(other) or not np.allclose(first, other)


def test_speech_is_at_16_khz_and_not_clipped(speaker):
    samples = speaker.say(SHORT, TRAINING_VOICES[0])
    assert samples.dtype == np.float32 and np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(0.5, abs=1e-3)
    assert 0.7 < len(samples) / RATE_HZ < 3.0


def test_voices_differ_in_pitch(speaker):
    def pitch(half_tones):
        voice = draw_voices(1, 1, f"p{half_tones}_")[0].__class__(f"p{half_tones}", half_tones=half_tones)
        samples = speaker.say("あー", voice)
        middle = samples[len(samples) // 2 - 1500: len(samples) // 2 + 1500]
        likeness = np.correlate(middle, middle, "full")[len(middle):]
        return RATE_HZ / (int(likeness[30:300].argmax()) + 31)

    assert pitch(-10.0) < 0.8 * pitch(0.0)


def test_readings_that_a_dictionary_gets_wrong():
    assert kana("次左") == "ツギヒダリ"
    assert kana("1.5m下がって") == "イッテンゴメートルサガッテ"
    assert kana("次の角ね").startswith("ツギノカド")


def test_nothing_to_say_is_refused(speaker):
    with pytest.raises(ValueError, match="nothing"):
        speaker.say("……", TRAINING_VOICES[0])


@pytest.mark.parametrize("colour", COLOURS)
def test_noise_has_unit_power_and_its_seed(colour):
    first, again = (make_noise(colour, 8_000, np.random.default_rng(4), [np.ones(900, np.float32)]) for _ in range(2))
    assert np.array_equal(first, again)
    assert float(np.mean(first**2)) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_as_loud_as_asked(speaker, snr_db):
    samples = speaker.say(SHORT, TRAINING_VOICES[0])
    noise = make_noise("pink", len(samples), np.random.default_rng(5))
    added = add_noise(samples, noise, snr_db) - samples
    assert 10 * np.log10(speech_power(samples) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.1)


def test_a_room_keeps_the_length_and_rings_on():
    click = np.zeros(8_000, np.float32)
    click[100] = 1.0
    heard = through(click, make_room(np.random.default_rng(6)))
    assert len(heard) == len(click) and heard[100] == pytest.approx(1.0, abs=0.05)
    assert np.abs(heard[300:2_000]).max() > 1e-4 > np.abs(heard[:99]).max()


def test_playing_faster_is_shorter():
    assert len(resampled(np.zeros(1_000, np.float32), 1.25)) == pytest.approx(800, abs=2)


def test_what_is_heard_somewhere_depends_on_the_seed_alone(speaker):
    samples = speaker.say(SHORT, TRAINING_VOICES[0])
    around = Surroundings.draw(7, [samples], rooms=4, seconds=2.0)
    first, again, other = (around.heard(samples, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.abs(first).max() <= 1.0 and len(first) == len(samples)


def test_recordings_are_made_once_and_read_again(tmp_path):
    sentences = [Sentence("右", "右", "a"), Sentence("3秒待って", "三秒待って", "b")]
    assert record(sentences, TRAINING_VOICES[:2], tmp_path / "training", seed=1, jobs=1) == 1
    kept = load(tmp_path / "training")
    assert [one.sentence for one in kept] == sentences
    stamp = (tmp_path / "training" / "shard_0000.npz").stat().st_mtime_ns
    record(sentences, TRAINING_VOICES[:2], tmp_path / "training", seed=1, jobs=1)
    assert (tmp_path / "training" / "shard_0000.npz").stat().st_mtime_ns == stamp
    assert kept[1].seconds > kept[0].seconds > 0.2


def test_silence_at_the_ends_is_cut():
    samples = np.zeros(16_000, np.float32)
    samples[6_000:8_000] = 0.5
    assert 2_000 < len(trimmed(samples)) < 6_000
