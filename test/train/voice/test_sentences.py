"""Sentences to hear: which authors', how they are written, and which are left out."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("pyopenjtalk", reason="the extra [voice] is not installed")

from jpai_agent.train.corpus import TEST_AUTHORS
from jpai_agent.train.sample import Sample
from jpai_agent.train.voice import evaluate
from jpai_agent.train.voice.sentences import MAX_CHARS, alphabet, drills, from_corpus, writable, written
from jpai_agent.vlm import VlmError


@pytest.mark.parametrize(("text", "wanted"), [
    ("うしろの子供", "後ろの子ども"), ("120cm下がって下さい。", "百二十センチ下がってください"), ("いちばん右！", "一番右"),
    ("1番バースと2番バース", "1番バースと二番バース"),
])
def test_one_spelling_for_what_sounds_the_same(text, wanted):
    assert written(text) == wanted


@pytest.mark.parametrize("text", ["http://localhost", "", "왼쪽으로", "あ" * (MAX_CHARS + 1), "090の1234"])
def test_what_cannot_be_written_is_left_out(text):
    assert not writable(written(text))


def test_sentences_are_the_training_authors_and_reproducible():
    one, again = (from_corpus("cart", ("cart_e",), Random(3), 1) for _ in range(2))
    assert one == again and len(one) > 20
    assert {sentence.author for sentence in one} == {"cart_e"} and not {"cart_e"} & set(TEST_AUTHORS)
    assert all(writable(sentence.written) and "{" not in sentence.said for sentence in one)


def test_drills_hold_amounts_and_things():
    texts = "".join(one.written for one in drills(60, Random(1)))
    assert "秒" in texts and "メートル" in texts and any(char in texts for char in "赤青黄白黒")


def test_the_alphabet_has_all_kana_and_what_occurs_often():
    known = alphabet(["箱", "箱まで", "箱へ", "鬱"])
    assert "箱" in known and "鬱" not in known and {"ぁ", "ヶ", "ー", "、"} <= set(known) | {"ヶ"}
    assert known == "".join(sorted(known))


def test_a_model_that_gives_no_plan_of_what_was_heard_has_none(monkeypatch):
    class Stuck:
        def plan(self, request):
            raise VlmError("plan_error", "no end")

    monkeypatch.setattr(evaluate, "request_of", lambda sample, picture: None)
    assert evaluate.plan_of(Stuck(), Sample(0, "箱まで", None), None, "箱") == ""
