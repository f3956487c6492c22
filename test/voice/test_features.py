"""Features of speech: what they are, and what they do not depend on."""

from __future__ import annotations

import numpy as np

from jpai_agent.voice.features import BANDS, HOP, RATE_HZ, WINDOW, log_mel, normalised, prepared


def _tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def test_a_frame_every_ten_milliseconds():
    samples = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    features = log_mel(samples)
    assert features.shape == (1 + (RATE_HZ - WINDOW) // HOP, BANDS)
    assert features.dtype == np.float32 and np.isfinite(features).all()


def test_higher_tones_are_in_higher_bands():
    bands = [int(log_mel(_tone(hz)).mean(0).argmax()) for hz in (200, 500, 1000, 2000, 4000)]
    assert bands == sorted(set(bands))


def test_silence_and_shreds_have_features_too():
    assert np.isfinite(normalised(log_mel(np.zeros(RATE_HZ, np.float32)))).all()
    assert log_mel(np.zeros(10, np.float32)).shape == (1, BANDS)


def test_the_level_drops_out():
    samples = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32) * np.linspace(0.1, 1, RATE_HZ, dtype=np.float32)
    loud, soft = normalised(log_mel(samples)), normalised(log_mel(samples * np.float32(0.05)))
    assert np.abs(loud - soft).max() < 0.05


def test_frames_do_not_depend_on_what_comes_later():
    samples = np.random.default_rng(2).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert np.allclose(log_mel(samples)[:40], log_mel(samples[:8000])[:40], atol=1e-4)


def test_digital_silence_around_speech_is_as_a_quiet_room():
    rng = np.random.default_rng(3)
    speech = np.pad(rng.normal(0, 0.1, RATE_HZ).astype(np.float32), 4_000)
    quiet_room = speech + rng.normal(0, 1e-4, len(speech)).astype(np.float32)
    plain = np.abs(normalised(log_mel(speech)) - normalised(log_mel(quiet_room))).mean()
    assert np.abs(prepared(speech) - prepared(quiet_room)).mean() < 0.2 * plain
    assert np.isfinite(prepared(np.zeros(RATE_HZ, np.float32))).all()
