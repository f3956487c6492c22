"""Variation: other spellings of the same instruction, never none."""

from random import Random

from jpai_agent.train.augment import FILLERS, vary


def test_an_instruction_of_points_alone_is_never_varied_away():
    for seed in range(300):
        varied = vary([("……？", "")], Random(seed))
        assert varied
        assert all(text for text, _ in varied)


def test_slots_keep_their_words_and_their_order():
    pieces = [("あの", ""), ("赤い箱", "A"), ("まで行って、", ""), ("３秒", "T"), ("待って", "")]
    for seed in range(300):
        varied = vary(pieces, Random(seed))
        assert [slot for _, slot in varied if slot] == ["A", "T"]


def test_fillers_are_those_of_the_talk():
    first = {vary([("右", "")], Random(seed), fillers=("もしもし、",))[0][0] for seed in range(300)}
    assert "もしもし、" in first
    assert not first & set(FILLERS)
