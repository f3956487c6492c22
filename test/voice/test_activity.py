"""Utterances are cut where people begin and end to speak; clicks are none, and what never ends is cut off."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from made_sound import blocks, loud, noise, silence

from jpai_agent.voice.activity import CutConfig, Segmenter, Silero, Utterance, silero_file
from jpai_agent.voice.audio import BLOCK_S, RATE_HZ, AudioError, resampled


def cut(*parts: np.ndarray, config: CutConfig | None = None, detector=loud) -> list[Utterance]:
    segmenter = Segmenter(detector, config)
    found = [segmenter.feed(block) for block in blocks(*parts)] + [segmenter.flush()]
    return [utterance for utterance in found if utterance is not None]


def test_an_utterance_is_what_was_said_with_a_little_before_it_and_the_silence_after() -> None:
    (found,) = cut(silence(2.0), noise(1.0), silence(2.0))
    assert found.begin_s == pytest.approx(2.0, abs=BLOCK_S)
    assert found.end_s == pytest.approx(3.0, abs=BLOCK_S)
    assert len(found.samples) / RATE_HZ == pytest.approx(0.3 + 1.0 + 0.4, abs=3 * BLOCK_S)
    assert found.whole
    assert np.abs(found.samples).max() > 0.4 and not found.samples[:int(0.2 * RATE_HZ)].any()


def test_it_is_known_as_soon_as_the_silence_is_long_enough() -> None:
    segmenter = Segmenter(loud)
    told = [block.time_s + BLOCK_S for block in blocks(noise(1.0), silence(2.0)) if segmenter.feed(block) is not None]
    assert told == pytest.approx([1.0 + segmenter.config.silence_s], abs=BLOCK_S)


def test_after_a_single_word_more_is_waited_for_a_little_longer() -> None:
    assert len(cut(noise(0.4), silence(0.5), noise(0.8), silence(1.0))) == 1
    assert len(cut(noise(0.9), silence(0.5), noise(0.8), silence(1.0))) == 2


def test_a_short_pause_within_a_sentence_does_not_end_it_and_a_long_one_does() -> None:
    assert len(cut(noise(0.5), silence(0.25), noise(0.5), silence(1.0))) == 1
    assert len(cut(noise(0.5), silence(0.7), noise(0.5), silence(1.0))) == 2


def test_what_is_said_first_after_another_utterance_has_a_little_before_it_too() -> None:
    _, second = cut(noise(1.0), silence(0.6), noise(1.0), silence(1.0))
    assert len(second.samples) / RATE_HZ == pytest.approx(0.3 + 1.0 + 0.4, abs=3 * BLOCK_S)


def test_a_click_is_no_utterance() -> None:
    assert cut(silence(1.0), noise(0.02), silence(1.0), noise(0.1), silence(1.0)) == []


def test_speech_without_end_is_cut_off_once_and_what_follows_it_is_not_taken_for_a_sentence_of_its_own() -> None:
    first, second = cut(noise(9.0), silence(1.0), noise(1.0), silence(1.0), config=CutConfig(longest_s=3.0))
    assert not first.whole
    assert second.whole
    assert second.begin_s == pytest.approx(10.0, abs=BLOCK_S)


def test_the_end_of_the_sound_ends_an_utterance() -> None:
    assert len(cut(silence(0.5), noise(1.0))) == 1


def test_without_its_package_the_detector_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AudioError, match="voice extra"):
        silero_file()


def test_a_file_that_is_no_detector_is_refused_by_name(tmp_path) -> None:
    (tmp_path / "vad.onnx").write_bytes(b"no model")
    with pytest.raises(AudioError, match=r"vad\.onnx is no voice detector"):
        Silero(tmp_path / "vad.onnx")


def test_the_detector_of_the_package_hears_synthesised_speech_and_no_noise_hum_or_silence() -> None:
    pytest.importorskip("silero_vad")
    talk = pytest.importorskip("pyopenjtalk")
    speech, rate_hz = talk.tts("赤い箱の手前まで行ってください")
    speech = resampled((speech / 32768).astype(np.float32), int(rate_hz))
    (found,) = cut(silence(1.0), speech, silence(1.0), detector=Silero())
    assert found.begin_s == pytest.approx(1.15, abs=0.25)
    assert found.end_s == pytest.approx(1.0 + len(speech) / RATE_HZ, abs=0.4)
    hum = (0.2 * np.sin(2 * np.pi * 100 * np.arange(3 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    assert cut(noise(3.0, level=0.05), hum, silence(2.0), detector=Silero()) == []
