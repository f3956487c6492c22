"""The street suites: broad enough, unheard in training, and reached by the pipeline when the plans are written by hand."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import pytest
from hand_plans import hand_agent, plans_of
from wording import half_known, is_a_training_line, letters_only

from jpai_agent.language.normalise import normalise
from jpai_agent.plan.spec import Choice
from jpai_agent.sim.episode import Episode, read_suite
from jpai_agent.sim.runner import AgentContext, run_episode
from jpai_agent.skills import skills_for
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.objects import LANDMARKS, PEOPLE, VEHICLES
from jpai_agent.world.paths import resource

LEAST = {"street": 80, "traffic": 30}
LEAST_EACH = 3
LONGEST_S = 120.0
PHENOMENA = ("politeness", "ellipsis", "deixis", "numerals", "relation", "ordinal", "negation", "conditional",
             "sequence", "correction", "ambiguity", "indirect", "dialect", "asr_noise", "katakana", "emergency", "landmark")
# what traffic is tried for: it stands still or moves, comes towards the car, crosses its way, or is a light or a sign
TRAFFIC = ("red_light", "yellow_light", "stop_sign", "pedestrian", "child", "lead", "parked", "oncoming", "cyclist",
           "right_turn", "left_turn", "cross_traffic", "bus")
SAMPLE = ("street-0001", "street-0007", "street-0039", "street-0058", "traffic-0003", "traffic-0008", "traffic-0012")


@lru_cache(maxsize=2)
def suite(name: str) -> tuple[Episode, ...]:
    return tuple(read_suite(resource("sim", "suites", f"{name}.jsonl")))


def steps_of(turn: Any) -> list[Any]:
    """The steps of a hand-written turn; a question and a refusal have none."""
    if isinstance(turn[0], str):
        return turn[1] if turn[0] == "act" else []
    return turn


def utterances() -> list[tuple[str, str]]:
    return [(episode.id, turn.say) for episode in suite("street") for turn in episode.turns]


@pytest.mark.parametrize("name", ["street", "traffic"])
def test_there_are_enough_episodes_and_each_has_a_hand_written_plan_for_every_turn(name: str) -> None:
    assert len(suite(name)) >= LEAST[name]
    turns = {episode.id: len(episode.turns) for episode in suite(name)}
    assert {known: len(plans) for known, plans in plans_of(name).items()} == turns
    assert max(episode.time_limit_s for episode in suite(name)) <= LONGEST_S


def test_every_skill_of_the_car_and_each_of_its_options_is_asked_for() -> None:
    steps = [step for turns in plans_of("street").values() for turn in turns for step in steps_of(turn)]
    used = Counter(skill for skill, _, _ in steps)
    assert set(used) <= set(skills_for("car"))
    assert {skill: used[skill] for skill in skills_for("car") if used[skill] < LEAST_EACH} == {}
    given = {(skill, option, value) for skill, _, args in steps for option, value in args.items()}
    for name, spec in skills_for("car").items():
        for option, argument in spec.args.items():
            if isinstance(argument, Choice):
                assert {value for value in argument.options if (name, option, value) not in given} == set(), (name, option)
            elif option != "target":
                assert any((skill, arg) == (name, option) for skill, arg, _ in given), (name, option)


def test_every_tag_and_every_phenomenon_comes_at_least_three_times() -> None:
    tags = Counter(tag for episode in suite("street") for tag in set(episode.tags))
    assert {tag: count for tag, count in tags.items() if count < LEAST_EACH} == {}
    assert set(PHENOMENA) <= set(tags)


def test_the_traffic_scenes_hold_what_the_road_has_in_store() -> None:
    tags = Counter(tag for episode in suite("traffic") for tag in set(episode.tags))
    assert set(TRAFFIC) <= set(tags)
    kinds = Counter(thing.kind for episode in suite("traffic") for thing in episode.objects if thing.moves)
    assert set(VEHICLES) | {"person", "child"} <= set(kinds) | {"kei_truck"}
    assert sum(kinds[kind] for kind in PEOPLE) >= LEAST_EACH


def test_most_kinds_of_landmark_are_named() -> None:
    kinds = {thing.kind for episode in suite("street") for thing in episode.objects}
    assert set(LANDMARKS) <= kinds


def test_no_two_episodes_say_the_same() -> None:
    said = Counter(tuple(letters_only(turn.say) for turn in episode.turns) for episode in suite("street"))
    assert [turns for turns, count in said.items() if count > 1] == []


def test_every_utterance_can_be_taken() -> None:
    assert all(normalise(text).text for _, text in utterances())


def test_no_utterance_is_a_line_of_the_training_corpus() -> None:
    bad = [f"{name} {text}" for name, text in utterances() if is_a_training_line(text)]
    assert not bad, "\n".join(bad)


def test_no_run_of_the_training_corpus_is_more_than_half_of_an_utterance() -> None:
    bad = [f"{name} {text} {known}" for name, text in utterances() if (known := half_known(text))]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("name", SAMPLE)
def test_with_hand_written_plans_the_car_reaches_the_goal_by_the_rules(name: str, renderer: SceneRenderer) -> None:
    episode = next(e for e in suite(name.split("-")[0]) if e.id == name)

    def agent(context: AgentContext) -> Any:
        return hand_agent(context, episode)

    result = run_episode(episode, agent, renderer=renderer)
    assert result.error == ""
    assert (result.contacts, result.violations, result.failed_predicates) == (0, (), ())
    assert result.goal_reached
