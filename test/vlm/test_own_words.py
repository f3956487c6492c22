"""A label is a run of what was said: nothing else can be decoded into it."""

import numpy as np
import pytest

from jpai_agent.vlm.own_words import OwnWords

TOKENS = ["", '{"label":"', '","point":[', '"}}', "赤", "い", "箱", "の", "前", "で", '"', "dock\"}}", "3", ","]
SAID = "⟦now⟧赤い箱の前へ,赤の箱"


@pytest.fixture
def words():
    return OwnWords(TOKENS)


def allowed_after(words, label, said=SAID, grammar=None):
    state = words.of(said)
    for piece in ('{"label":"', *label):
        state.take(TOKENS.index(piece))
    kept = state.narrow(np.ones(len(TOKENS), dtype=bool) if grammar is None else grammar)
    return {TOKENS[i] for i in np.flatnonzero(kept)}


def test_outside_of_labels_the_grammar_alone_decides(words):
    assert words.of(SAID).narrow(np.ones(len(TOKENS), dtype=bool)).all()
    assert allowed_after(words, ["赤", '","point":[']) == set(TOKENS)


def test_a_label_begins_anywhere_and_goes_on_as_somewhere_in_the_words(words):
    ends = {'","point":[', '"}}', '"'}
    assert allowed_after(words, []) - ends >= {"赤", "い", "箱", "の", "前"}
    assert allowed_after(words, ["赤"]) - ends == {"い", "の"}
    assert allowed_after(words, ["箱", "の"]) - ends == {"前"}


def test_neither_other_characters_nor_pieces_of_plans_come_into_it(words):
    assert not allowed_after(words, ["箱", "の", "前"]) & {"で", "3", 'dock"}}', '{"label":"'}


def test_where_the_grammar_allows_none_of_it_the_grammar_decides(words):
    only = np.array([word == "で" for word in TOKENS])
    assert allowed_after(words, ["赤"], grammar=only) == {"で"}


def test_full_width_words_are_read_as_the_model_reads_them(words):
    assert "3" in allowed_after(words, ["箱"], said="箱３")
