"""Plans for the cart in the yard that must pass, like those that must not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from jpai_agent.control import Program, compile_program
from jpai_agent.plan import Step, Target
from jpai_agent.sim import attempts_cart as bad
from jpai_agent.sim.attempts import Attempt, act, good_commands, pick
from jpai_agent.sim.attempts_yard import GO, Place, box, cart, floor, gate, move, person, tall
from jpai_agent.world.scene import GroundedTarget


def language(rng: np.random.Generator) -> Attempt:
    """Plans written as one may."""
    place, kind = Place(rng), pick(rng, ("spaces", "whole numbers", "reply", "many steps", "order"))
    text = act(move(1.5), {"skill": "wait", "duration_s": 1.0})
    texts = {
        "spaces": f" \n\t{text}\n ",
        "whole numbers": act({"skill": "move", "distance_m": 2}, {"skill": "wait", "duration_s": 1}),
        "reply": text[:-1] + ', "reply": "1.5メートル進みます。"}',
        "many steps": act(*[{"skill": "say", "text": "はい"}] * 19, move(1.0)),
        "order": '{"reason": null, "steps": [{"distance_m": 1.0, "skill": "move"}], "decision": "act"}',
    }
    return replace(place.attempt("language", kind, True, *place.strewn(rng, 5)), text=texts[kind])


def limits(rng: np.random.Generator) -> Attempt:
    """Numbers at the limits."""
    place = Place(rng)
    steps: dict[str, tuple[Any, ...]] = {
        "turn 360": ({"skill": "turn", "angle_deg": 360.0},),
        "turn -360": ({"skill": "turn", "angle_deg": -360},),
        "turn little": ({"skill": "turn", "angle_deg": 1e-3},),
        "top speed": ({"skill": "set_speed", "speed": 1.2}, move(4.0)),
        "slow": ({"skill": "set_speed", "speed": 0.05}, move(0.3)),
        "factor": ({"skill": "set_speed", "factor": 3.0}, move(4.0)),
        "long wait": ({"skill": "wait", "duration_s": 600.0},),
        "short wait": ({"skill": "wait", "duration_s": 1e-3},),
        "far": (move(10.0),),
        "back": (move(-10.0),),
        "near": ({**GO, "standoff_m": 0.2},),
        "away": ({**GO, "standoff_m": 5.0},),
    }
    name = pick(rng, sorted(steps))
    if name in ("far", "back", "near", "away"):
        place.x, place.y, place.yaw = (
            float(rng.uniform(-1, 1)) - (5.0 if name != "back" else -5.0),
            float(rng.uniform(-3, 3)),
            0.0,
        )
    thing = box("thing", *place.at(7.0))
    there = () if name in ("far", "back") else (thing,)
    target = GroundedTarget("箱", thing.x_m - 0.3, thing.y_m, "object", object_id="thing")
    return place.attempt("limits", name, True, *there, steps=steps[name], targets={0: target})


def people(rng: np.random.Generator) -> Attempt:
    """Ways past people with room for them."""
    place, kind = Place(rng), pick(rng, ("straight", "spot", "walkers", "program", "crossing"))
    goal = float(rng.uniform(3.0, 5.5))
    side = pick(rng, (-1.0, 1.0))
    away = side * float(rng.uniform(1.3, 2.5))
    steps: tuple[Any, ...] = (move(goal),)
    more: dict[str, Any] = {"targets": {0: floor(*place.at(goal))}}
    beside = [
        person("p0", *place.at(float(rng.uniform(0.5, 5.0)), away)),
        person("p1", *place.at(float(rng.uniform(0, 6)), -away)),
    ]
    if kind == "straight":
        return place.attempt("people", kind, True, *beside, *place.strewn(rng, 4), steps=steps)
    if kind == "program":
        return place.attempt("people", kind, True, *beside, *place.strewn(rng, 4), program=place.program((goal, 0.0)))
    if kind == "spot":
        return place.attempt("people", kind, True, *beside, *place.strewn(rng, 4), **more)
    v = float(rng.uniform(0.6, 1.3))
    cos, sin = math.cos(place.yaw), math.sin(place.yaw)
    if kind == "walkers":
        # along the way, off to a side, either way
        v *= pick(rng, (-1.0, 1.0))
        walks = person("p0", *place.at(float(rng.uniform(0, 5)), side * float(rng.uniform(2.0, 3.0))), v * cos, v * sin)
        return place.attempt("people", kind, True, walks, *place.strewn(rng, 3), **more)
    # somebody has crossed the way long before the robot is there
    start = side * float(rng.uniform(0.2, 0.5))
    walks = person("p0", *place.at(goal - 0.6, -start), -sin * v * side, cos * v * side)
    return place.attempt("people", kind, True, walks, **more)


def things(rng: np.random.Generator) -> Attempt:
    """Ways round what stands."""
    place, kind = Place(rng), pick(rng, ("round", "gate", "by", "before", "object"))
    away = float(rng.uniform(2.0, 3.0))
    half = float(rng.uniform(0.2, 0.5))
    if kind == "gate":
        walls, goal = gate(place, rng, float(rng.uniform(1.2, 2.0)))
        return place.attempt("things", kind, True, *walls, targets={0: goal})
    if kind == "before":
        thing = box("thing", *place.at(away + place.robot.front_m + half), half, half, place.yaw)
        return place.attempt(
            "things", kind, True, thing, *place.strewn(rng, 4), steps=(move(away - float(rng.uniform(0.35, 1.0))),)
        )
    if kind == "by":
        aside = place.robot.width_m / 2 + half + float(rng.uniform(0.25, 0.8))
        thing = box("thing", *place.at(away, aside * pick(rng, (-1, 1))), half, half, place.yaw)
        return place.attempt("things", kind, True, thing, program=place.program((away + 2.0, 0.0)))
    thing = box("thing", *place.at(away, float(rng.uniform(-0.3, 0.3))), half, half, float(rng.uniform(0, 3)))
    if kind == "object":
        target = GroundedTarget("箱", thing.x_m, thing.y_m, "object", object_id="thing")
        step = {**GO, "standoff_m": round(float(rng.uniform(0.3, 1.0)), 2)}
        return place.attempt("things", kind, True, thing, *place.strewn(rng, 4), targets={0: target}, steps=(step,))
    return place.attempt("things", kind, True, thing, *place.strewn(rng, 4), targets={0: floor(*place.at(away + half + 1.8))})


def keep_out(rng: np.random.Generator) -> Attempt:
    """Ways round and beside zones."""
    place, kind = Place(rng), pick(rng, ("round", "before", "beside", "leaving"))
    begin = float(rng.uniform(1.6, 2.5))
    if kind == "round":
        zone = place.zone(begin, begin + 0.8, -float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.2, 0.8)))
        return place.attempt("keep_out", kind, True, targets={0: floor(*place.at(begin + 2.6))}, world_map=zone)
    if kind == "before":
        zone = place.zone(begin, begin + 2.0, -1.0, 1.0)
        return place.attempt(
            "keep_out", kind, True, steps=(move(begin - place.robot.front_m - float(rng.uniform(0.15, 0.5))),), world_map=zone
        )
    if kind == "beside":
        aside = place.robot.width_m / 2 + float(rng.uniform(0.2, 0.6))
        return place.attempt(
            "keep_out", kind, True, program=place.program((5.0, 0.0)), world_map=place.zone(1.0, 4.0, aside, aside + 1.0)
        )
    # it stands in one
    return place.attempt("keep_out", kind, True, steps=(move(2.0),), world_map=place.zone(-0.5, 0.2, -0.5, 0.5))


def at_walls(rng: np.random.Generator) -> Attempt:
    """Ways near the walls."""
    place, kind = Place(rng), pick(rng, ("to the wall", "along the wall", "places"))
    y1, side = place.world_map.bounds_m[3], pick(rng, (-1.0, 1.0))
    if kind == "places":
        to = pick(rng, place.world_map.places)
        target = GroundedTarget(to.names[0], to.x_m, to.y_m, "place", to.yaw_rad)
        return place.attempt("off_map", kind, True, steps=({"skill": "go_to", "target": {"place": to.id}},), targets={0: target})
    place.x, place.y, place.yaw = float(rng.uniform(-3, 5)), side * (y1 - 2.5), side * math.pi / 2
    if kind == "to the wall":
        return place.attempt("off_map", kind, True, steps=(move(2.5 - place.robot.front_m - float(rng.uniform(0.15, 0.6))),))
    place.y, place.yaw = side * (y1 - place.robot.width_m / 2 - float(rng.uniform(0.2, 0.5))), 0.0
    return place.attempt("off_map", kind, True, program=place.program((4.0, 0.0)))


def loads(rng: np.random.Generator) -> Attempt:
    """Loads as they are carried, driven fast."""
    place = Place(rng)
    steps = ({"skill": "set_speed", "speed": 1.2}, move(float(rng.uniform(2.0, 4.0))), {"skill": "turn", "angle_deg": 90.0})
    return place.attempt("tipping", "load", True, steps=steps, config=tall((0.0, 40.0), float(rng.uniform(0.4, 0.7))))


def program(rng: np.random.Generator) -> Attempt:
    """Programs as this robot makes them, sent by somebody else."""
    place = Place(rng)
    scene = place.scene(*place.strewn(rng, 6))
    step = Step("go_to", {"target": Target(label="床", camera="front", point=(500, 500))})
    made = compile_program((step,), {0: floor(*place.at(float(rng.uniform(3.0, 6.0))))}, scene, place.robot, place.world_map)
    return replace(place.attempt("program", "sent", True), scene=scene, program=Program.from_dict(made.to_dict()))


def verdict(rng: np.random.Generator) -> Attempt:
    """Verdicts that are used as they are."""
    place = Place(rng)
    return place.attempt("verdict", "used once", True, program=place.program((2.5, 0.0)))


def command(rng: np.random.Generator) -> Attempt:
    """Requests as the controllers make them."""
    return Place(rng).attempt("command", "ramp", True, commands=good_commands(cart()[0], rng))


# per kind: how many of a hundred, the makers of bad ones and of good ones
KINDS = (
    (14, bad.language, language),
    (12, bad.limits, limits),
    (16, bad.people, people),
    (14, bad.things, things),
    (16, bad.keep_out, keep_out),
    (8, bad.off_map, at_walls),
    (4, bad.tipping, loads),
    (6, bad.program, program),
    (5, bad.verdict, verdict),
    (5, bad.command, command),
)
