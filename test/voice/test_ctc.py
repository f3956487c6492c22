"""From made-up scores of a CTC network to text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.voice.ctc import Hypothesis, Weights, agreed, beam_search, confidence, evidence, log_probability
from jpai_agent.voice.ngram import CharacterModel

ALPHABET = "はこ赤青い"
SOUNDS_ONLY = Weights(language=0.0, length=0.0, hint=0.0)


def scores(*frames: dict[str, float]) -> np.ndarray:
    """Frames of probabilities by character ("-" is the blank), the rest shared among the others."""
    rows = []
    for frame in frames:
        row = np.full(len(ALPHABET) + 1, (1 - sum(frame.values())) / (len(ALPHABET) + 1 - len(frame)))
        for char, p in frame.items():
            row[len(ALPHABET) if char == "-" else ALPHABET.index(char)] = p
        rows.append(row)
    return np.log(np.maximum(rows, 1e-9))


def sure(text: str) -> np.ndarray:
    return scores(*({char: 0.97} for char in text))


def test_blanks_part_what_is_doubled():
    assert beam_search(sure("はは-こ"), ALPHABET, weights=SOUNDS_ONLY)[0].text == "はこ"
    assert beam_search(sure("は-はこ"), ALPHABET, weights=SOUNDS_ONLY)[0].text == "ははこ"


def test_nothing_said_is_an_empty_text():
    assert beam_search(sure("----"), ALPHABET)[0].text == ""
    assert beam_search(np.zeros((0, len(ALPHABET) + 1)), ALPHABET)[0].text == ""


def test_paths_of_one_text_add_up():
    # the likeliest single path is blank-blank (0.36), the likeliest text は (0.4·0.4 + 2·0.4·0.6 = 0.64)
    frame = {"は": 0.399, "-": 0.599}
    found = beam_search(scores(frame, frame), ALPHABET, weights=SOUNDS_ONLY)
    assert found[0].text == "は"
    assert found[0].sounds == pytest.approx(math.log(0.399**2 + 2 * 0.399 * 0.599), abs=1e-3)


def test_sounds_are_probabilities_of_the_texts():
    rng = np.random.default_rng(3)
    raw = np.log(rng.dirichlet(np.full(len(ALPHABET) + 1, 0.4), 5))
    found = beam_search(raw, ALPHABET, width=4000, weights=SOUNDS_ONLY)
    assert sum(math.exp(one.sounds) for one in found) <= 1.0 + 1e-6
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_hint_decides_between_words_that_sound_alike():
    heard = scores({"赤": 0.45, "青": 0.5}, {"い": 0.97})
    assert beam_search(heard, ALPHABET, weights=SOUNDS_ONLY)[0].text == "青い"
    leaning = Weights(language=0.0, length=0.0, hint=0.5)
    assert beam_search(heard, ALPHABET, weights=leaning, hints=("赤い",))[0].text == "赤い"


def test_a_hint_begun_and_not_finished_is_worth_nothing():
    heard = scores({"赤": 0.45, "青": 0.5}, {"-": 0.97})
    leaning = Weights(language=0.0, length=0.0, hint=0.5)
    assert beam_search(heard, ALPHABET, weights=leaning, hints=("赤い",))[0].text == "青"


def test_the_character_model_decides_where_the_sounds_do_not():
    model = CharacterModel.learn(["赤い", "赤い", "赤い", "青は"] * 5, len(ALPHABET))
    heard = scores({"赤": 0.48, "青": 0.5}, {"い": 0.97})
    assert beam_search(heard, ALPHABET, language=model, weights=Weights(0.6, 0.0, 0.0))[0].text == "赤い"


def test_confidence_falls_with_surprise_and_rivals():
    by = {"bias": 3.0, "surprise": -1.0, "surprise_each": -2.0, "rivals": -4.0}
    clear = [Hypothesis("はこ", -0.05, -0.05), Hypothesis("は", -6.0, -6.0)]
    torn = [Hypothesis("はこ", -0.7, -0.7), Hypothesis("は", -0.8, -0.8)]
    assert 0.0 < confidence(torn, by) < confidence(clear, by) < 1.0
    assert evidence(torn)["rivals"] > evidence(clear)["rivals"]
    assert confidence([Hypothesis("", -0.1, -0.1)], by) == 0.0


@pytest.mark.parametrize("text", ["", "は", "はこ", "はは"])
def test_a_text_has_the_probability_of_all_its_paths(text):
    rng = np.random.default_rng(5)
    raw = np.log(rng.dirichlet(np.full(len(ALPHABET) + 1, 2.0), 3))
    wanted = 0.0
    for path in np.ndindex(*raw.shape[1:] * 3):
        kept = [i for n, i in enumerate(path) if n == 0 or i != path[n - 1]]
        if "".join(ALPHABET[i] for i in kept if i < len(ALPHABET)) == text:
            wanted += math.exp(sum(raw[frame, i] for frame, i in enumerate(path)))
    assert math.exp(log_probability(raw, text, ALPHABET)) == pytest.approx(wanted, abs=1e-9)


def test_two_hearings_agree_on_what_both_find_likely():
    first, second = scores({"赤": 0.5, "青": 0.45}, {"い": 0.97}), scores({"赤": 0.1, "青": 0.85}, {"い": 0.97})
    found = [(one, beam_search(one, ALPHABET, weights=SOUNDS_ONLY)) for one in (first, second)]
    assert found[0][1][0].text == "赤い"
    assert agreed(found, ALPHABET)[0].text == "青い"
