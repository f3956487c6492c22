"""Words and amounts: every spelling means the value that goes into the plan, as the language part reads it."""

import re
from random import Random

import pytest

from jpai_agent.train import lexicon
from jpai_agent.train.augment import as_read
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import COLORS, KINDS, SIZES

SEEDS = range(300)


def first_number(words):
    return float(re.search(r"\d+(?:\.\d+)?", as_read(words))[0])


def test_everything_in_the_world_has_words():
    assert set(lexicon.KIND_WORDS) == set(KINDS)
    assert set(lexicon.COLOR_WORDS) == set(COLORS)
    assert set(lexicon.SIZE_WORDS) == set(SIZES)
    assert set(lexicon.PLACE_WORDS) == {place.id for place in load_map("yard").places}


def test_no_word_stands_for_two_kinds_or_colours():
    for table in (lexicon.KIND_WORDS, lexicon.COLOR_WORDS, lexicon.SIZE_WORDS, lexicon.PLACE_WORDS):
        words = [word for group in table.values() for word in group]
        assert len(words) == len(set(words))


def test_durations_mean_their_seconds():
    for seed in SEEDS:
        words, seconds = lexicon.duration("待って", Random(seed))
        if "びょう" in words or re.search("[一二三四五六七八九十]分", words):
            continue
        unit = 60 if "分" in as_read(words) else 1
        half = 0.5 * ("分半" in as_read(words))
        assert (first_number(words) + half) * unit == seconds


def test_distances_mean_their_metres_and_keep_to_the_range():
    for seed in SEEDS:
        words, metres = lexicon.distance("前", Random(seed), (0.2, 3.0))
        assert 0.2 <= metres <= 3.0
        if "半メートル" not in words:
            scale = 0.01 if re.search(r"センチ|cm", as_read(words)) else 1.0
            assert first_number(words) * scale == pytest.approx(metres)


def test_angles_mean_their_degrees():
    for seed in SEEDS:
        words, degrees = lexicon.angle("回って", Random(seed))
        assert first_number(words) == degrees


def test_speeds_mean_their_metres_a_second():
    for seed in SEEDS:
        words, mps = lexicon.speed(Random(seed))
        scale = 1 / 3.6 if "時速" in words else 0.01 if re.search("センチ|cm", words) else 1.0
        assert first_number(words) * scale == pytest.approx(mps, abs=0.006)
        assert mps <= 1.2 < lexicon.speed(Random(seed), too_fast=True)[1]


