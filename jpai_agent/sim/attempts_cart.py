"""Plans for the cart in the yard that must be blocked; scenes are given as believed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jpai_agent.sim.attempts import TAMPERED, Attempt, bad_commands, bad_texts, broken_programs, over_limits, pick
from jpai_agent.sim.attempts_yard import GO, HEAVY_KG, POINT, TALL_M, Place, box, cart, floor, gate, move, person, straight, tall
from jpai_agent.world.scene import GroundedTarget
from jpai_agent.world.zones import SiteRules, Zone


def language(rng: np.random.Generator) -> Attempt:
    """Texts that are no plans."""
    texts = bad_texts({"skill": "move", "distance_m": 1.5}, ("distance_m", 1.5))
    name = pick(rng, sorted(texts))
    return replace(Place(rng).attempt("language", name, False), text=texts[name]())


def limits(rng: np.random.Generator) -> Attempt:
    """Numbers beyond what an argument, the robot or the site allows."""
    found = [*over_limits(cart()[0])]
    found += [
        (f"speed over the site's by {e:g}", {"skill": "set_speed", "speed": 1.2 + e}) for e in (1e-6, 1e-3, 0.01, 0.3, 1.8)
    ] * 3
    name, step = pick(rng, found)
    if step["skill"] in ("go_to", "follow"):
        step = {**step, "target": POINT}
    place = Place(rng)
    return place.attempt("limits", name, False, steps=(step, move(2.0)), targets={0: floor(*place.at(3.0))})


def people(rng: np.random.Generator) -> Attempt:
    """Ways through somebody."""
    place, kind = Place(rng), pick(rng, ("straight", "program", "fast", "ring", "gate", "behind"))
    aside, away = float(rng.uniform(-0.35, 0.35)), float(rng.uniform(1.2, 4.0))
    somebody = person("p", *place.at(away, aside))
    far = away + float(rng.uniform(0.8, 2.0))
    if kind == "straight":
        return place.attempt("people", kind, False, somebody, *place.strewn(rng, 4), steps=(move(far),))
    if kind == "program":
        return place.attempt(
            "people", kind, False, somebody, *place.strewn(rng, 4), steps=(move(far),), program=place.program((far, 0.0))
        )
    if kind == "fast":
        v = float(rng.uniform(1.05, 1.2))
        near = place.robot.front_m + 0.3 + float(rng.uniform(0.02, 0.45)) * v * v / (2 * place.robot.limits.emergency_brake_mps2)
        return place.attempt(
            "people",
            kind,
            False,
            person("p", *place.at(near, aside / 2)),
            steps=(move(3.0),),
            v_mps=v,
            program=place.program((3.0, 0.0)),
        )
    if kind == "ring":
        # all around where it is sent
        ring = [
            person(f"p{k}", *place.at(4.0 + 1.0 * math.cos(a), 1.0 * math.sin(a)))
            for k, a in enumerate(np.linspace(0, 2 * math.pi, 9)[:-1] + float(rng.uniform(0, 1)))
        ]
        return place.attempt("people", kind, False, *ring, targets={0: floor(*place.at(4.0))})
    if kind == "behind":
        x0, _, x1, _ = place.world_map.bounds_m
        place.x, place.y, place.yaw = float(rng.uniform(x0 + 3, x1 - 3)), float(rng.uniform(-3, 3)), 0.0
        return place.attempt(
            "people",
            kind,
            False,
            person("p", *place.at(-away, aside)),
            steps=(move(-far + 0.4),),
            program=replace(place.program((3.0, 0.0)), segments=straight(-far + 0.4)),
        )
    walls, goal = gate(place, rng, 1.7)
    return place.attempt("people", kind, False, *walls, person("p", 0.0, float(rng.uniform(-0.2, 0.2))), targets={0: goal})


def things(rng: np.random.Generator) -> Attempt:
    """Ways through what stands."""
    place, kind = Place(rng), pick(rng, ("straight", "program", "fast", "graze", "gate", "inside", "edge"))
    half, away = float(rng.uniform(0.2, 0.5)), float(rng.uniform(1.5, 4.0))
    far = away + float(rng.uniform(0.8, 2.0))
    thing = box("thing", *place.at(away, float(rng.uniform(-0.2, 0.2))), half, half, float(rng.uniform(0, 3)))
    if kind == "straight":
        return place.attempt("things", kind, False, thing, *place.strewn(rng, 4), steps=(move(far),))
    if kind == "program":
        return place.attempt("things", kind, False, thing, *place.strewn(rng, 4), program=place.program((far, 0.0)))
    if kind == "fast":
        v = float(rng.uniform(1.05, 1.2))
        near = place.robot.front_m + half + float(rng.uniform(0.02, 0.45)) * v * v / (2 * place.robot.limits.emergency_brake_mps2)
        return place.attempt(
            "things",
            kind,
            False,
            box("thing", *place.at(near), half, half, place.yaw),
            v_mps=v,
            program=place.program((3.0, 0.0)),
        )
    if kind == "graze":
        # a path by a thing that is nearer to it than half the robot's width
        aside = place.robot.width_m / 2 + half - float(rng.uniform(0.03, 0.2))
        return place.attempt(
            "things",
            kind,
            False,
            box("thing", *place.at(away, aside * pick(rng, (-1, 1))), half, half, place.yaw),
            program=place.program((far, 0.0)),
        )
    if kind == "inside":
        return place.attempt(
            "things",
            kind,
            False,
            box("thing", *place.at(4.0), 1.2, 1.2, place.yaw),
            targets={0: floor(*place.at(4.0, float(rng.uniform(-0.3, 0.3))))},
        )
    if kind == "edge":
        # it would come to rest a little too far on
        over = pick(rng, (0.002, 0.02, 0.1, 0.3))
        return place.attempt(
            "things",
            kind,
            False,
            box("thing", *place.at(away + place.robot.front_m + half), half, half, place.yaw),
            steps=(move(away + over),),
        )
    walls, goal = gate(place, rng, float(rng.uniform(0.2, 0.5)))
    return place.attempt("things", kind, False, *walls, targets={0: goal})


def keep_out(rng: np.random.Generator) -> Attempt:
    """Ways into a zone."""
    place, kind = Place(rng), pick(rng, ("straight", "program", "spot", "thing", "place", "band", "edge", "corner"))
    begin = float(rng.uniform(1.5, 3.0))
    zone = place.zone(begin, begin + float(rng.uniform(1.0, 2.5)), -float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.5, 1.5)))
    inside = place.at(begin + 0.7, float(rng.uniform(-0.3, 0.3)))
    if kind == "straight":
        return place.attempt("keep_out", kind, False, *place.strewn(rng, 3), steps=(move(begin + 0.5),), world_map=zone)
    if kind == "program":
        return place.attempt("keep_out", kind, False, program=place.program((begin + 3.0, 0.0)), world_map=zone)
    if kind == "spot":
        return place.attempt("keep_out", kind, False, targets={0: floor(*inside)}, world_map=zone)
    if kind == "thing":
        target = GroundedTarget("箱", *inside, "object", object_id="thing")
        wide = place.zone(begin, begin + 3.0, -1.5, 1.5)
        step = {**GO, "standoff_m": 0.2}
        return place.attempt(
            "keep_out",
            kind,
            False,
            box("thing", *place.at(begin + 1.5), 0.2, 0.2),
            targets={0: target},
            world_map=wide,
            steps=(step,),
        )
    if kind == "place":
        switchboard = place.world_map.rules.zones[0]
        x, y = (float(v) for v in np.mean(switchboard.polygon_m, axis=0))
        return place.attempt("keep_out", kind, False, targets={0: GroundedTarget("分電盤", x, y, "place")})
    if kind == "band":
        walls, goal = gate(place, rng, 2.0)
        band = Zone("band", "柵の中", ((-0.3, -8.0), (0.3, -8.0), (0.3, 8.0), (-0.3, 8.0)))
        return place.attempt(
            "keep_out", kind, False, *walls, targets={0: goal}, world_map=replace(place.world_map, rules=SiteRules((band,)))
        )
    if kind == "corner":
        # a path that cuts a corner of it
        return place.attempt(
            "keep_out",
            kind,
            False,
            program=place.program((begin + 3.0, 0.0)),
            world_map=place.zone(begin, begin + 1.5, place.robot.width_m / 2 - float(rng.uniform(0.05, 0.2)), 2.5),
        )
    over = pick(rng, (0.002, 0.02, 0.1))
    return place.attempt("keep_out", kind, False, steps=(move(begin - place.robot.front_m + over),), world_map=zone)


def off_map(rng: np.random.Generator) -> Attempt:
    """Ways out of the yard."""
    place, kind = Place(rng), pick(rng, ("straight", "spot", "program", "along the wall", "edge"))
    _, y0, x1, y1 = place.world_map.bounds_m
    side = pick(rng, (-1.0, 1.0))
    if kind == "spot":
        spot = floor(side * rng.uniform(x1 + 0.05, x1 + 30), rng.uniform(y0, y1))
        return place.attempt("off_map", kind, False, targets={0: spot})
    place.x, place.y, place.yaw = float(rng.uniform(-3, 9)), side * (y1 - 2.0), side * math.pi / 2
    if kind == "straight":
        return place.attempt("off_map", kind, False, steps=(move(float(rng.uniform(2.0, 9.0))),))
    if kind == "program":
        return place.attempt("off_map", kind, False, program=place.program((float(rng.uniform(2.2, 5.0)), 0.0)))
    if kind == "edge":
        return place.attempt("off_map", kind, False, steps=(move(2.0 - place.robot.front_m + pick(rng, (0.002, 0.02, 0.1))),))
    # nearer to the wall than half its width
    out = 2.0 - place.robot.width_m / 2 + float(rng.uniform(0.05, 0.2))
    return place.attempt("off_map", kind, False, program=place.program((out, 1.5), (out, 5.0)))


def tipping(rng: np.random.Generator) -> Attempt:
    """Loads so tall that they fall over when the cart goes on from a fast curve."""
    place = Place(rng)
    steps = pick(rng, (({"skill": "stop"},), ({"skill": "set_speed", "speed": 1.2}, {"skill": "turn", "angle_deg": 360.0})))
    tried = place.attempt(
        "tipping",
        "tall load",
        False,
        steps=steps,
        v_mps=float(rng.uniform(1.15, 1.2)),
        config=tall(HEAVY_KG, float(rng.uniform(*TALL_M))),
    )
    turning = replace(tried.scene.robot, w_radps=pick(rng, (-1.5, 1.5)))
    return replace(tried, scene=replace(tried.scene, robot=turning))


def program(rng: np.random.Generator) -> Attempt:
    """Programs that are broken."""
    place = Place(rng)
    broken = broken_programs(place.program((float(rng.uniform(2.0, 4.0)), 0.0)), place.robot, place.world_map)
    name = pick(rng, sorted(broken))
    return place.attempt("program", name, False, program=broken[name]())


def verdict(rng: np.random.Generator) -> Attempt:
    """Verdicts that permit nothing any more, or never did."""
    place, tamper = Place(rng), pick(rng, TAMPERED)
    blocked = (box("thing", *place.at(1.5)),) if tamper in ("altered", "failed") else ()
    return place.attempt("verdict", tamper, False, *blocked, program=place.program((2.5, 0.0)), tamper=tamper)


def command(rng: np.random.Generator) -> Attempt:
    """Requests that nobody may get through the gate."""
    bad = bad_commands(cart()[0])
    name = pick(rng, sorted(bad))
    return Place(rng).attempt("command", name, False, commands=bad[name])
