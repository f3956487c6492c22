"""The yard suite: broad enough, unheard in training, and reached by the pipeline when the plans are written by hand."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import pytest
from hand_plans import hand_agent, plans_of
from wording import GRAM, half_known, is_a_training_line, known_grams, letters_only, patterns

from jpai_agent.language.normalise import normalise
from jpai_agent.sim.episode import Episode, read_suite
from jpai_agent.sim.runner import AgentContext, run_episode
from jpai_agent.skills import skills_for
from jpai_agent.train.corpus import TEST_AUTHORS, load_corpus
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.paths import resource

LEAST_EPISODES, LEAST_EACH = 80, 3
PLANS = plans_of("yard")
# what a yard holds of the phenomena of spoken Japanese: forms, reference, number, structure, trouble, emergency
PHENOMENA = ("politeness", "ellipsis", "deixis", "numerals", "relation", "ordinal", "negation", "conditional",
             "sequence", "correction", "ambiguity", "indirect", "dialect", "asr_noise", "katakana", "emergency")
# a side of a thing, back, turn, speech, follow, look and go, wait and dock, correction, a passer-by, stop and continue
SAMPLE = ("yard-0016", "yard-0040", "yard-0044", "yard-0046", "yard-0053", "yard-0057", "yard-0059", "yard-0071",
          "yard-0094", "yard-0109")


@lru_cache(maxsize=1)
def suite() -> tuple[Episode, ...]:
    return tuple(read_suite(resource("sim", "suites", "yard.jsonl")))


def steps_of(turn: Any) -> list[Any]:
    """The steps of a hand-written turn; a question and a refusal have none."""
    if isinstance(turn[0], str):
        return turn[1] if turn[0] == "act" else []
    return turn


def utterances() -> list[tuple[str, str]]:
    return [(episode.id, turn.say) for episode in suite() for turn in episode.turns]


def test_there_are_enough_episodes_and_each_has_a_hand_written_plan_for_every_turn() -> None:
    assert len(suite()) >= LEAST_EPISODES
    turns = {episode.id: len(episode.turns) for episode in suite()}
    assert {name: len(plans) for name, plans in PLANS.items()} == turns


def test_every_skill_of_the_cart_is_asked_for_at_least_three_times() -> None:
    used = Counter(skill for turns in PLANS.values() for skill in {s[0] for turn in turns for s in steps_of(turn)})
    assert set(used) <= set(skills_for("cart"))
    assert {skill: used[skill] for skill in skills_for("cart") if used[skill] < LEAST_EACH} == {}


def test_every_tag_and_every_phenomenon_comes_at_least_three_times() -> None:
    tags = Counter(tag for episode in suite() for tag in set(episode.tags))
    assert {tag: count for tag, count in tags.items() if count < LEAST_EACH} == {}
    assert set(PHENOMENA) <= set(tags)


def test_no_two_episodes_say_the_same() -> None:
    said = Counter(tuple(letters_only(turn.say) for turn in episode.turns) for episode in suite())
    assert [turns for turns, count in said.items() if count > 1] == []


def test_every_utterance_can_be_taken() -> None:
    assert all(normalise(text).text for _, text in utterances())


def test_no_utterance_is_a_line_of_the_training_corpus() -> None:
    bad = [f"{name} {text}" for name, text in utterances() if is_a_training_line(text)]
    assert not bad, "\n".join(bad)


def test_no_run_of_the_training_corpus_is_more_than_half_of_an_utterance() -> None:
    bad = [f"{name} {text} {known}" for name, text in utterances() if (known := half_known(text))]
    assert not bad, "\n".join(bad)


def test_the_check_tells_training_lines_from_fresh_ones() -> None:
    lines = load_corpus(names=TEST_AUTHORS).lines
    plain = next(line for line in load_corpus().lines if len(line.text) == 1 and len(line.text[0][0]) > GRAM)
    assert is_a_training_line(plain.text[0][0])
    known = next(gram for gram in sorted(known_grams()))
    assert half_known(known) == [known]
    assert half_known("いろはにほへと") == []
    # the held-out author is not what is compared with
    held_out = {line.text for line in lines} - set(patterns())
    assert len(held_out) > len(lines) // 2


@pytest.mark.parametrize("name", SAMPLE)
def test_with_hand_written_plans_the_pipeline_reaches_the_goal_without_touching(name: str,
                                                                                renderer: SceneRenderer) -> None:
    episode = next(e for e in suite() if e.id == name)

    def agent(context: AgentContext) -> Any:
        return hand_agent(context, episode)

    result = run_episode(episode, agent, renderer=renderer)
    assert result.error == ""
    assert (result.contacts, result.violations, result.failed_predicates) == (0, (), ())
    assert result.goal_reached
