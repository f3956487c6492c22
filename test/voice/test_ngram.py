"""The character model: probabilities that add up, and files that give back what was learned."""

from __future__ import annotations

import math

import pytest

from jpai_agent.voice.ngram import EDGE, CharacterModel

TEXTS = ["箱まで行って", "箱の前で止まって", "赤い箱まで行って", "止まって"]
CHARACTERS = sorted(set("".join(TEXTS)))


@pytest.mark.parametrize("before", ["", "箱", "箱まで", "行って", "見たことない"])
def test_probabilities_of_what_follows_add_up_to_at_most_one(before):
    model = CharacterModel.learn(TEXTS, len(CHARACTERS), least=1)
    total = sum(math.exp(model(before, char)) for char in [*CHARACTERS, ""])
    assert 0.4 < total < 1.1


def test_what_was_seen_is_likelier():
    model = CharacterModel.learn(TEXTS, len(CHARACTERS), least=1)
    assert model("箱まで", "行") > model("箱まで", "赤")
    assert model("止まって", "") > model("止ま", "")
    assert model("", "箱") > model("", "て")
    assert math.isfinite(model("箱", "龍"))


def test_it_is_kept_in_a_file(tmp_path):
    model = CharacterModel.learn(TEXTS, len(CHARACTERS))
    model.save(tmp_path / "characters.npz")
    again = CharacterModel.load(tmp_path / "characters.npz")
    assert EDGE not in CHARACTERS
    for before in ("", "箱", "箱まで", "赤い箱"):
        for char in [*CHARACTERS, ""]:
            assert again(before, char) == model(before, char)


def test_a_file_that_is_none_is_said_so(tmp_path):
    (tmp_path / "characters.npz").write_bytes(b"no")
    with pytest.raises((OSError, ValueError, KeyError)):
        CharacterModel.load(tmp_path / "characters.npz")
