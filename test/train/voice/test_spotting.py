"""What the spotter learns from: stops that are stops, sounds-alike that are none, and when each is to be told."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from jpai_agent.language.stop import only_stop, stop_word
from jpai_agent.train.voice.acoustics import Surroundings
from jpai_agent.train.voice.spotting import LATEST_S, STREAM_S, Mixer, Take, music
from jpai_agent.train.voice.spotting_fit import Fit, judge
from jpai_agent.train.voice.spotting_model import CHANNELS, SpotterNet, state_frames
from jpai_agent.train.voice.spotting_words import ALIKE, BEFORE, FAMILIES, WORDS, alike, earliest, kind_of, own, stops
from jpai_agent.voice.spotter import BANDS, BLOCK_S

RATE_HZ = 16_000


def tone(seconds: float, hz: float) -> np.ndarray:
    """int16, with 0.08 s of silence at both ends as recordings have them."""
    sound = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    return np.round(32_767 * np.pad(sound, round(0.08 * RATE_HZ))).astype(np.int16)


@pytest.fixture
def mixer() -> Mixer:
    takes = {
        "stop": [Take(tone(0.5, 500), "stop", 1, 1.0, (1, 2))], "alike": [Take(tone(0.5, 300), "other", 0, 1.0, (3,))],
        "corpus": [Take(tone(1.5, 200), "other", 0, 1.0, (4, 5)), Take(tone(1.0, 250), "either", 0, 1.0, (6,))],
    }
    return Mixer(takes, Surroundings.draw(1, rooms=2, seconds=2.0))


def test_every_form_of_every_word_is_a_stop():
    for word, forms in FAMILIES.items():
        assert only_stop(word)
        assert [form for form in forms if not only_stop(form)] == []
    assert [call for call in BEFORE if not only_stop(call + "ストップ")] == []


def test_what_is_said_as_a_stop_is_one_and_names_its_word():
    said = stops(Random(3), 120)
    assert all(only_stop(one.said) and one.written in WORDS for one in said)
    assert {one.written for one in said} == set(WORDS)
    assert said == stops(Random(3), 120)


def test_what_sounds_alike_is_none_even_on_the_way():
    assert all(not stop_word(one.said, True) or kind_of(one.said) == "other" for one in alike(Random(3), 200))
    assert sum(kind_of(word) == "other" for word in ALIKE) > 150


def test_no_reply_of_the_robot_is_taken_for_a_stop_by_itself():
    assert [one.said for one in own(Random(1)) if only_stop(one.said)] == []


@pytest.mark.parametrize(("text", "share"), [
    ("とまれ", 1.0), ("とまって", 1.0), ("とめて！", 1.0), ("まってください", 3 / 7), ("とまれとまれ", 0.5),
    ("ちょっとまって", 1.0), ("ストーップ。", 1.0), ("とまれよ", 3 / 4)])
def test_a_stop_may_be_told_once_its_first_word_has_ended(text: str, share: float):
    assert earliest(text) == pytest.approx(share)


@pytest.mark.parametrize(("text", "kind"), [
    ("止まれ", "stop"), ("壁まで行って止まって", "either"), ("箱の前で止まって", "either"), ("止まらないで", "other"),
    ("ストップウォッチ取って", "other"), ("赤い箱まで行って", "other")])
def test_a_text_is_a_stop_may_be_one_or_is_none(text: str, kind: str):
    assert kind_of(text) == kind


def test_streams_are_seeded_and_tell_stops_shortly_after_their_end(mixer: Mixer):
    one, again = (mixer.stream(np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one.frames, again.frames) and np.array_equal(one.labels, again.labels)
    streams = [mixer.stream(np.random.default_rng(seed)) for seed in range(12)]
    assert all(len(stream.labels) == round(STREAM_S / BLOCK_S) == len(stream.frames) // 2 for stream in streams)
    told = np.concatenate([np.flatnonzero(stream.labels > 0) for stream in streams])
    assert len(told)
    for stream in streams:
        stop = np.concatenate([[0], (stream.labels > 0).astype(int), [0]])
        for begin, end in np.flatnonzero(np.diff(stop)).reshape(-1, 2):
            assert (end - begin) * BLOCK_S <= LATEST_S[1] - LATEST_S[0] + BLOCK_S
            # before it has ended either answer is right
            assert stream.labels[begin - 1] == -1


def test_music_is_seeded_and_of_unit_power():
    sound = music(RATE_HZ, np.random.default_rng(2))
    assert np.array_equal(sound, music(RATE_HZ, np.random.default_rng(2)))
    assert float(np.mean(sound**2)) == pytest.approx(1.0, rel=1e-3)


def test_the_network_gives_the_same_over_a_stream_and_piece_by_piece():
    torch.manual_seed(0)
    net = SpotterNet(3, 5).eval()
    frames = torch.randn(1, 24, BANDS)
    whole, _, _ = net(frames)
    pieces, state = [], torch.zeros(1, CHANNELS, state_frames())
    for begin in range(0, 24, 4):
        words, _, state = net(frames[:, begin:begin + 4], state)
        pieces.append(words)
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-5)


def test_training_goes_on_where_it_was_left(tmp_path, mixer: Mixer):
    rng = np.random.default_rng(0)
    streams = [mixer.stream(rng) for _ in range(2)]
    fit = Fit.open(tmp_path / "fit.pt")
    first = fit.learn(streams, 1e-3, np.random.default_rng(1))[0]
    fit.store(tmp_path / "fit.pt")
    again = Fit.open(tmp_path / "fit.pt")
    assert again.step == 1
    for _ in range(4):
        last = again.learn(streams, 1e-3, np.random.default_rng(1))[0]
    assert last < first


def test_recall_and_false_stops_of_a_network_that_always_tells(mixer: Mixer):
    rng = np.random.default_rng(0)
    streams = [mixer.stream(rng) for _ in range(4)]
    always = SpotterNet(3, 5)
    with torch.no_grad():
        always.words.bias[1] = 50.0
    row = judge(always, streams, np.array([0.5]))[0]
    assert row["recall"] == 1.0 and row["false_per_h"] > 0
