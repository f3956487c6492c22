"""The registry: every skill of a robot, declared once, is what plans, grammar and docs are made from."""

import importlib
import pkgutil

import pytest

from jpai_agent import skills
from jpai_agent.plan import SkillSpec, Target, TargetArg, json_schema, parse_plan
from jpai_agent.skills.registry import skill

CART = {"stop", "continue", "wait", "say", "go_to", "face", "follow", "look_for", "move", "turn", "return_home",
        "set_speed"}


def test_the_cart_has_the_skills_of_the_design():
    assert set(skills.skills_for("cart")) == CART


def test_a_robot_without_skills_is_an_error_that_names_those_that_have_some():
    with pytest.raises(ValueError, match=r"known robots: .*cart"):
        skills.skills_for("kettle")


def test_a_file_is_a_skill():
    load = skills.load()
    files = {m.name for m in pkgutil.iter_modules(skills.__path__)} - {"registry"}
    declared = {name for name in files for value in vars(importlib.import_module(f"jpai_agent.skills.{name}")).values()
                if isinstance(value, SkillSpec)}
    assert declared == files
    assert len(load) == len(files)


@pytest.mark.parametrize("entry", skills.load().values(), ids=lambda entry: entry.spec.name)
def test_every_skill_is_described_in_japanese_and_says_how_it_moves(entry):
    assert any("ぁ" <= char <= "ん" for char in entry.spec.description)
    assert entry.motion
    assert entry.robots


@pytest.mark.parametrize(("name", "arguments"), [
    ("go_to", ("target", "standoff_m", "side")), ("follow", ("target", "duration_s", "until")),
    ("set_speed", ("speed", "factor")),
])
def test_arguments_stand_in_the_order_of_the_design(name, arguments):
    assert tuple(skills.skills_for("cart")[name].args) == arguments


@pytest.mark.parametrize(("name", "argument", "good", "bad"), [
    ("go_to", "standoff_m", (0.2, 5), (0.19, 5.01)), ("move", "distance_m", (-10, 0.1, 10), (0, 10.1)),
    ("turn", "angle_deg", (-360, 1, 360), (0, 361)), ("wait", "duration_s", (0.1, 600), (0, -1, 601)),
    ("set_speed", "speed", (0.05, 1.5, 3), (0, 3.1)), ("set_speed", "factor", (0.1, 3), (0, 3.5)),
])
def test_numbers_are_held_to_their_ranges(name, argument, good, bad):
    declared = skills.skills_for("cart")[name].args[argument]
    for value in good:
        declared.check(value)
    for value in bad:
        with pytest.raises(ValueError, match="outside"):
            declared.check(value)


def test_a_mover_is_followed_and_a_place_is_not():
    follow = skills.skills_for("cart")["follow"].args["target"]
    assert isinstance(follow, TargetArg)
    with pytest.raises(ValueError, match="place"):
        follow.check(Target(place="dock"))


def test_the_plan_of_the_design_parses_with_this_registry():
    text = ('{"decision":"act","steps":[{"skill":"go_to","target":{"label":"赤い箱","camera":"front",'
            '"point":[512,634]},"standoff_m":0.8},{"skill":"wait","duration_s":3.0},{"skill":"go_to","target":{"place":"dock"}}],"reason":null}')
    assert parse_plan(text, skills.skills_for("cart")).to_json() == text


def test_the_schema_follows_from_the_registry():
    schema = json_schema(skills.skills_for("cart"), ["front"], ["dock"])
    steps = schema["anyOf"][0]["properties"]["steps"]["items"]["anyOf"]
    assert {step["properties"]["skill"]["const"] for step in steps} == CART


@pytest.mark.parametrize("robots", [("cart",), ()])
def test_a_name_is_taken_once_and_a_skill_belongs_to_a_robot(robots):
    with pytest.raises(ValueError, match=r"twice|needs a robot"):
        @skill(*robots)
        def other():
            """Moves."""
            return SkillSpec("stop" if robots else "hop", "跳ぶ", {})
