"""Talk that is not for a robot: by many hands, and what is for measuring alone is not learned."""

from __future__ import annotations

from pathlib import Path

from jpai_agent.language import stop_word
from jpai_agent.train.voice.addressee import HELD_OUT, as_heard, talk
from jpai_agent.train.voice.spotting_bench import ELSEWHERE

NO_MOTION = Path(__file__).parents[2] / "vlm" / "unseen" / "no_motion.txt"


def test_there_is_enough_of_it_by_several_hands() -> None:
    assert len({author for author, _ in talk()}) >= 5 and len(talk()) >= 3000
    assert {author for author, _ in talk(held_out=True)} == set(HELD_OUT) and len(talk(held_out=True)) >= 500


def test_nothing_is_learned_that_is_for_measuring() -> None:
    learned = {text for _, text in as_heard(talk())}
    measured = [text for _, text in talk(held_out=True)]
    for path in (NO_MOTION, ELSEWHERE):
        measured += [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    assert not learned & {text for _, text in as_heard([("", text) for text in measured])}


def test_no_line_would_stop_a_robot() -> None:
    assert [text for _, text in talk() + talk(held_out=True) if stop_word(text, moving=False)] == []
