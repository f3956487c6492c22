"""Whatever a model prefers, what the grammar lets it say is a plan."""

import numpy as np
import pytest

from jpai_agent.plan import parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm.grammar import PlanGrammars, plain_tokens, tokenizer_info

SKILLS = skills_for("cart")
PLACES = ("dock", "exit")
ROOM = 40  # logits wider than the vocabulary


@pytest.fixture(scope="module")
def grammars(tokenizer):
    return PlanGrammars(tokenizer_info(tokenizer, len(tokenizer) + ROOM))


@pytest.fixture(scope="module")
def tokens(tokenizer):
    return plain_tokens(tokenizer, len(tokenizer) + ROOM)


def walk(grammars, tokens, draw):
    mask = grammars.mask(grammars.compiled(SKILLS, ["front"], PLACES))
    text = ""
    for _ in range(3000):
        allowed = mask.allowed()
        # long tokens and short ones alike, so that every branch is taken
        token = int(draw.choice(np.flatnonzero(allowed)))
        assert mask.accept(token)
        if mask.ended:
            return text
        text += tokens[token]
    raise AssertionError(f"no end: {text[:200]}")


@pytest.mark.parametrize("seed", range(150))
def test_a_random_answer_under_the_grammar_is_a_plan(grammars, tokens, seed):
    text = walk(grammars, tokens, np.random.default_rng(seed))
    assert parse_plan(text, SKILLS, places=PLACES).decision in text


def test_control_tokens_and_ids_beyond_the_vocabulary_are_never_allowed(grammars, tokenizer, tokens):
    mask = grammars.mask(grammars.compiled(SKILLS, ["front"], PLACES))
    for piece in ['{"decision":"act","steps":[', '{"skill":"say","text":"']:
        assert mask.accept(tokens.index(piece))
    allowed = mask.allowed()
    assert allowed[tokens.index("赤")]
    assert not allowed[len(tokenizer) :].any()
    for word in ("⟦now⟧", "<image>", "<s>", "</s>", "<unk>"):
        assert not allowed[tokenizer.convert_tokens_to_ids(word)]


def test_a_token_that_may_not_come_is_not_taken(grammars, tokens):
    mask = grammars.mask(grammars.compiled(SKILLS, ["front"], PLACES))
    assert not mask.accept(tokens.index("赤"))
    assert mask.accept(tokens.index('{"decision":"ask","steps":[],"reason":"unsafe"}'))
    assert not mask.ended


def test_the_grammar_is_compiled_once_for_one_registry_and_map(grammars):
    first = grammars.compiled(SKILLS, ["front"], PLACES)
    assert grammars.compiled(dict(SKILLS), ["front"], list(PLACES)) is first
    assert grammars.compiled(SKILLS, ["front"], ("dock",)) is not first


def test_the_mask_says_what_it_cost(grammars):
    mask = grammars.mask(grammars.compiled(SKILLS, ["front"], PLACES))
    mask.allowed()
    assert 0 < mask.spent_s < 0.5


@pytest.mark.parametrize("written", [b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80",
                                     b"\xc2\x85", b"\n"])  # fmt: skip
def test_bytes_that_are_no_utf8_and_control_characters_cannot_be_decoded(written):
    import xgrammar

    known = [bytes([byte]) for byte in range(256)] + [b"</s>"]
    grammars = PlanGrammars(xgrammar.TokenizerInfo(known, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[256]))

    def taken(text):
        mask = grammars.mask(grammars.compiled(SKILLS, ["front"], PLACES))
        return all(mask.accept(byte) for byte in text)

    begun = '{"decision":"act","steps":[{"skill":"say","text":"右'.encode()
    assert taken(begun + "😱箱 é\uffff".encode())
    assert not taken(begun + written)
