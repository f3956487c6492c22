"""Stop words heard by themselves: what the spotter makes of a stream, and what the one that is shipped hears."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jpai_agent.language.stop import only_stop
from jpai_agent.voice.spotter import ABOUT_FILE, BANDS, BLOCK, HOP, MODEL_FILE, Features, Spotter, SpotterError
from jpai_agent.world.paths import resource

SHIPPED = resource("models", "voice")


def noise(blocks: int, seed: int = 0, level: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, blocks * BLOCK).astype(np.float32)


@pytest.fixture(scope="module")
def spotter() -> Spotter:
    return Spotter(SHIPPED)


def test_frames_are_the_same_block_by_block_and_at_once():
    sound, stream = noise(20), Features()
    piecewise = np.concatenate([stream.feed(block) for block in sound.reshape(-1, BLOCK)])
    assert np.allclose(piecewise, Features().feed(sound), atol=1e-5)
    assert piecewise.shape == (20 * BLOCK // HOP, BANDS)


def test_loudness_drops_out_of_the_frames():
    sound = noise(100)
    assert np.allclose(Features().feed(sound)[-20:], Features().feed(10 * sound)[-20:], atol=0.02)


def test_silence_gives_finite_frames():
    assert np.isfinite(Features().feed(np.zeros(10 * BLOCK, np.float32))).all()


def test_likelihoods_are_the_same_block_by_block_and_at_once(spotter: Spotter):
    sound = noise(30)
    spotter.reset()
    at_once = spotter.likelihoods(sound)
    spotter.reset()
    piecewise = np.concatenate([spotter.likelihoods(block) for block in sound.reshape(-1, BLOCK)])
    assert np.allclose(piecewise, at_once, atol=1e-4)
    assert np.allclose(at_once.sum(1), 1.0, atol=1e-4)


def test_after_a_reset_nothing_is_left_of_the_stream_before(spotter: Spotter):
    spotter.reset()
    first = spotter.likelihoods(noise(5, seed=1))
    spotter.feed(noise(50, seed=2, level=0.5))
    spotter.reset()
    assert np.array_equal(spotter.likelihoods(noise(5, seed=1)), first)


def test_a_piece_that_is_no_number_of_blocks_is_refused(spotter: Spotter):
    for count in (0, 1, BLOCK - 1, BLOCK + HOP):
        with pytest.raises(ValueError, match="blocks"):
            spotter.feed(np.zeros(count, np.float32))


def test_every_word_that_it_tells_is_a_stop(spotter: Spotter):
    assert spotter.words and all(only_stop(word) for word in spotter.words)


def test_silence_and_steady_noise_are_no_stops(spotter: Spotter):
    for level in (0.0, 0.001, 0.3):
        spotter.reset()
        assert spotter.scan(noise(300, level=level)) == []


def test_a_stop_is_told_once_and_soon_again_only_for_another_one(spotter: Spotter):
    eager = Spotter(SHIPPED, threshold=0.0)
    told_s = [time_s for time_s, _ in eager.scan(noise(60))]
    assert np.diff(told_s).min() >= 0.8


def test_a_folder_without_its_files_is_named(tmp_path: Path):
    with pytest.raises(SpotterError, match=ABOUT_FILE):
        Spotter(tmp_path)
    (tmp_path / ABOUT_FILE).write_text(json.dumps({"words": ["止まれ"], "suspected": 0.2, "likely": 0.4, "certain": 0.5}))
    with pytest.raises(SpotterError, match=MODEL_FILE):
        Spotter(tmp_path)


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"words": 3, "suspected": 0.2}', '{"words": ["止まれ"], "suspected": "a"}'])
def test_a_file_that_describes_no_spotter_is_told(tmp_path: Path, about: str):
    (tmp_path / ABOUT_FILE).write_text(about)
    with pytest.raises(SpotterError, match="does not describe"):
        Spotter(tmp_path)


def test_a_model_that_is_none_is_told(tmp_path: Path):
    (tmp_path / ABOUT_FILE).write_text(json.dumps({"words": ["止まれ"], "suspected": 0.2, "likely": 0.4, "certain": 0.5}))
    (tmp_path / MODEL_FILE).write_bytes(b"no model")
    with pytest.raises(SpotterError, match="is no spotter"):
        Spotter(tmp_path)
