"""The registry: every skill of a robot, declared once, is what plans, grammar and docs are made from."""

import importlib
import json
import pkgutil

import pytest

from jpai_agent import skills
from jpai_agent.plan import PlanError, SkillSpec, Target, TargetArg, json_schema, parse_plan
from jpai_agent.skills.registry import skill

CART = {"stop", "continue", "wait", "say", "go_to", "face", "follow", "look_for", "move", "turn", "return_home",
        "set_speed"}
CAR = {"stop", "continue", "wait", "say", "drive", "turn_at", "stop_at", "pull_over", "park", "u_turn", "follow", "set_speed"}


@pytest.mark.parametrize(("robot", "names"), [("cart", CART), ("car", CAR)])
def test_each_robot_has_the_skills_of_the_design(robot, names):
    assert set(skills.skills_for(robot)) == names


def test_a_robot_without_skills_is_an_error_that_names_those_that_have_some():
    with pytest.raises(ValueError, match=r"known robots: .*cart"):
        skills.skills_for("kettle")


def test_a_file_is_a_skill():
    files = {m.name for m in pkgutil.iter_modules(skills.__path__)} - {"registry"}
    for name in files:
        declared = {value.name for value in vars(importlib.import_module(f"jpai_agent.skills.{name}")).values()
                    if isinstance(value, SkillSpec)}
        assert len(declared) == 1, name
    assert {entry.spec.name for entry in skills.load()} == CART | CAR


@pytest.mark.parametrize("entry", skills.load(), ids=lambda entry: f"{entry.spec.name}-{entry.robots[0]}")
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


def test_one_name_may_take_other_arguments_on_another_robot():
    cart, car = (skills.skills_for(robot)["set_speed"].args["speed"] for robot in ("cart", "car"))
    assert (cart.unit, car.unit) == ("m/s", "km/h")


@pytest.mark.parametrize("step", [
    {"skill": "turn_at", "direction": "left"},
    {"skill": "turn_at", "direction": "right", "nth": 2, "at": "light"},
    {"skill": "turn_at", "direction": "straight", "target": {"place": "park"}, "when": "after"},
    {"skill": "stop_at", "at": "stop_line"},
    {"skill": "stop_at", "target": {"place": "station"}, "standoff_m": 3, "where": "before"},
    {"skill": "pull_over"},
    {"skill": "pull_over", "target": {"label": "白い車", "camera": "front", "point": [400, 500]}, "where": "after"},
    {"skill": "park", "target": {"place": "slot_3"}},
    {"skill": "drive"},
    {"skill": "u_turn"},
    {"skill": "follow", "target": {"label": "前の車", "camera": "front", "point": [480, 500]}, "until": "target_turns"},
])
def test_what_people_ask_of_a_car_is_a_plan(step):
    text = json.dumps({"decision": "act", "steps": [step], "reason": None}, ensure_ascii=False, separators=(",", ":"))
    assert parse_plan(text, skills.skills_for("car")).to_json() == text


@pytest.mark.parametrize("step", [
    {"skill": "turn_at"},
    {"skill": "turn_at", "direction": "left", "nth": 2, "target": {"place": "park"}},
    {"skill": "stop_at"},
    {"skill": "stop_at", "at": "stop_line", "target": {"place": "park"}},
    {"skill": "drive", "distance_m": 10, "target": {"place": "park"}},
    {"skill": "go_to", "target": {"place": "park"}},
])
def test_half_or_contradictory_orders_to_a_car_are_no_plan(step):
    text = json.dumps({"decision": "act", "steps": [step], "reason": None})
    with pytest.raises(PlanError):
        parse_plan(text, skills.skills_for("car"))
