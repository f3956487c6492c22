"""Suites: what a line may say, and that every bad line is named with its reason."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from jpai_agent.sim.episode import EpisodeError, parse_episode, read_suite
from jpai_agent.sim.expectations import Near, Stopped, Waited
from jpai_agent.world.objects import STREET_KINDS

# the example of DESIGN section 7, with the object b that its expectations speak of
EXAMPLE: dict[str, Any] = {
    "id": "yard-0001",
    "world": "yard",
    "robot": "cart",
    "seed": 3,
    "tags": ["relation", "correction"],
    "scene": {
        "robot_pose": [0, 0, 0],
        "robot_speed_mps": 0,
        "objects": [
            {"id": "a", "kind": "box", "color": "red", "size": "large", "pose": [3, 1, 0]},
            {"id": "b", "kind": "box", "pose": [4, 4, 0]},
            {
                "id": "p",
                "kind": "person",
                "color": "blue",
                "pose": [5, -2, 180],
                "motion": {"path": [[5, -2], [5, 3]], "speed_mps": 1.0, "start_s": 2},
            },
        ],
        "lights": [{"at": [80, 80], "approach": "south", "phases": [["red", 8], ["green", 20]]}],
    },
    "turns": [
        {"say": "赤い箱の手前まで行って"},
        {"say": "やっぱり青い方", "at_s": 4},
        {"say": "戻って", "after": "done"},
    ],
    "time_limit_s": 60,
    "expect": {
        "decision": "act",
        "reason": None,
        "final": [{"near": {"object": "a", "min_m": 0.2, "max_m": 1.2}}, {"stopped": {}}],
        "sequence": [{"near": {"object": "b", "max_m": 1.5}}, {"inside": {"box": [2, 2, 4, 4]}}],
        "never": [{"near": {"object": "p", "max_m": 0.5}}],
    },
}


def changed(path: str, value: Any) -> str:
    """The example with one member (a.b.0.c) set, or removed when the value is `del`."""
    data = copy.deepcopy(EXAMPLE)
    at: Any = data
    *parts, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for part in parts:
        at = at[part]
    if value is del_:
        del at[last]
    else:
        at[last] = value
    return json.dumps(data)


del_ = object()


def test_the_specifications_example_is_read() -> None:
    episode = parse_episode(json.dumps(EXAMPLE))
    assert (episode.id, episode.seed, episode.tags) == ("yard-0001", 3, ("relation", "correction"))
    assert [thing.size for thing in episode.objects] == ["large", "medium", "medium"]
    assert episode.objects[2].motion is not None
    assert [(t.at_s, t.after) for t in episode.turns] == [(None, None), (4.0, None), (None, "done")]
    first, second = episode.expect.final
    assert first.predicates() == [("near", Near(object="a", min_m=0.2, max_m=1.2))]
    assert second.predicates() == [("stopped", Stopped())]
    assert episode.expect.decisions == ("act",)
    assert episode.expect.reasons is None
    assert episode.lights[0].phases[0] == ("red", 8.0)


def test_what_is_optional_may_be_left_out() -> None:
    line = {
        "id": "x",
        "world": "yard",
        "robot": "cart",
        "scene": {"robot_pose": [0, 0, 0], "objects": []},
        "turns": [{"say": ""}],
        "time_limit_s": 5,
        "expect": {"decision": ["ask", "refuse"], "reason": ["not_found", None]},
    }
    episode = parse_episode(json.dumps(line))
    assert episode.expect.decisions == ("ask", "refuse")
    assert episode.expect.reasons == ("not_found", None)
    assert episode.seed == 0


def test_a_turn_may_carry_its_own_expectation_and_a_wait_a_place() -> None:
    text = changed("turns.1.expect", {"decision": "ask", "reason": "ambiguous"})
    assert parse_episode(text).turns[1].expect.decisions == ("ask",)  # type: ignore[union-attr]
    waited = {"waited": {"seconds": 3, "tol_s": 0.5, "near": {"object": "b", "max_m": 1.0}}}
    condition = parse_episode(changed("expect.sequence.1", waited)).expect.sequence[1]
    assert isinstance(condition.waited, Waited)
    assert condition.objects() == {"b"}


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("id", "", "id"),
        ("world", "moon", "moon"),
        ("robot", "tank", "tank"),
        ("seed", -1, "seed"),
        ("seed", 1.5, "seed"),
        ("seed", True, "seed"),
        ("tags", "relation", "tags"),
        ("time_limit_s", 0, "time_limit_s"),
        ("time_limit_s", "60", "time_limit_s"),
        ("turns", [], "turns"),
        ("turns.0.say", None, "say"),
        ("turns.1.after", "done", "at_s or after"),
        ("turns.1.at_s", -1, "at_s"),
        ("turns.2.after", "later", "after"),
        ("turns.2", {"say": "戻って"}, "at_s or after"),
        ("turns.0.after", "done", "first turn"),
        ("turns.0.shout", True, "shout"),
        ("note", "x", "note"),
        ("scene.weather", "rain", "weather"),
        ("scene.robot_pose", [0, 0], "robot_pose"),
        ("scene.objects.0.kind", "elephant", "elephant"),
        ("scene.objects.0.color", "mauve", "mauve"),
        ("scene.objects.0.size", "huge", "huge"),
        ("scene.objects.0.weight", 3, "weight"),
        ("scene.objects.0.pose", del_, "pose"),
        ("scene.objects.0.pose", [1, 2], "pose"),
        ("scene.objects.0.pose", ["x", 0, 0], "float"),
        ("scene.objects.1.id", "a", "twice"),
        ("scene.objects.2.motion.speed_mps", 0, "speed_mps"),
        ("scene.objects.2.motion.pace", 1, "pace"),
        ("scene.objects.2.motion.path", [], "path"),
        ("scene.lights.0.approach", "up", "approach"),
        ("scene.lights.0.phases", [["mauve", 3]], "phases"),
        ("expect.final.0", {"close": {}}, "close"),
        ("expect.final.0", {}, "predicate"),
        ("expect.final.0.near.object", "zz", "zz"),
        ("expect.final.0.near.min", 1, "min"),
        ("expect.final.0.near", {"object": "a"}, "min_m or max_m"),
        ("expect.final.0.near", None, "near"),
        ("expect.sequence.1.inside.box", [4, 4, 2, 2], "box"),
        ("expect.sequence.1.inside.box", [1, 2, 3], "box"),
        ("expect.never.0", {"said": {"matches": "("}}, "regular expression"),
        ("expect.decision", "go", "go"),
        ("expect.reason", "because", "because"),
        ("expect.finally", [], "finally"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_episode(changed(path, value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        '{"id": "x", "id": "y"}',
        json.dumps(EXAMPLE).replace("60", "NaN"),
        json.dumps(EXAMPLE).replace("60", "1e999"),
        json.dumps(EXAMPLE).replace("[3, 1, 0]", "[3, Infinity, 0]"),
        json.dumps(EXAMPLE).replace("[3, 1, 0]", "[3, 1e999, 0]"),
        "[" * 50_000,
        "x" * 200_000,
    ],
)
def test_what_is_no_episode_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_episode(text)


def street(**scene: Any) -> str:
    line = {"id": "s", "world": "street", "robot": "car", "turns": [{"say": "x"}], "time_limit_s": 9,
            "scene": {"robot_pose": [10, 1.5, 0], **scene}}
    return json.dumps(line)


def test_an_episode_of_the_street_may_roll_and_have_lights_and_every_kind_of_thing() -> None:
    things = [{"id": kind, "kind": kind, "pose": [20, 30, 0]} for kind in STREET_KINDS]
    lights = [{"at": [80, 80], "approach": side, "phases": [["red", 8], ["green", 20]]} for side in ("south", "east")]
    episode = parse_episode(street(robot_speed_mps=6.9, objects=things, lights=lights))
    assert (episode.robot, episode.robot_speed_mps, len(episode.lights)) == ("car", 6.9, 2)
    assert {thing.kind for thing in episode.objects} == set(STREET_KINDS)


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ({"robot_pose": [300, 1.5, 0]}, "robot_pose.*outside"),
        ({"objects": [{"id": "a", "kind": "car", "pose": [0, -90, 0]}]}, "object a.*outside"),
        ({"robot_speed_mps": 15}, "robot_speed_mps"),
        ({"robot_speed_mps": -3}, "robot_speed_mps"),
        ({"lights": [{"at": [0, 80], "approach": "south", "phases": [["red", 8]]}]}, "no light"),
        ({"lights": [{"at": [80, 80], "approach": "south", "phases": [["red", 8]]}] * 2}, "twice"),
    ],
)
def test_what_is_wrong_with_a_street_is_named(scene: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_episode(street(**scene))


def test_the_street_is_not_for_the_cart() -> None:
    with pytest.raises(ValueError, match="street"):
        parse_episode(changed("world", "street"))


def test_a_suite_names_all_its_bad_lines_by_number(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl"
    good = json.dumps(EXAMPLE)
    lines = [good.encode(), b"", changed("world", "moon").encode(), b"{", good.encode(), b"\xff\xfe"]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(EpisodeError) as error:
        read_suite(path)
    assert [number for number, _ in error.value.errors] == [3, 4, 5, 6]
    assert "suite.jsonl:3: " in str(error.value)
    assert "line 1" in dict(error.value.errors)[5]


def test_a_suite_is_read_in_order_and_an_empty_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(changed("id", name) + "\r\n" for name in "cab"), encoding="utf-8-sig")
    assert [episode.id for episode in read_suite(path)] == ["c", "a", "b"]
    path.write_text("\n\n")
    with pytest.raises(EpisodeError, match="no episodes"):
        read_suite(path)
    with pytest.raises(FileNotFoundError):
        read_suite(tmp_path / "missing.jsonl")


def test_a_bound_left_out_is_no_bound() -> None:
    assert Near(object="a", min_m=1.0).max_m == math.inf
