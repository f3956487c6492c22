"""Plans for the car in town that must pass, like those that must not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jpai_agent.control import Program, ProgramError, compile_program
from jpai_agent.control.road.routes import LanePosition
from jpai_agent.plan import Step
from jpai_agent.sim import attempts_car as bad
from jpai_agent.sim.attempts import Attempt, act, good_commands, pick
from jpai_agent.sim.attempts_street import (
    TURNS,
    Spot,
    before,
    by_car_park,
    car,
    closed,
    open_lane,
    parked,
    person,
    place,
    turned,
    vehicle,
)


def language(rng: np.random.Generator) -> Attempt:
    """Plans written as one may."""
    text = act({"skill": "drive", "distance_m": 15.0}, {"skill": "stop"})
    texts = {
        "spaces": f"\n {text}\t",
        "whole numbers": act({"skill": "drive", "distance_m": 15}),
        "reply": text[:-1] + ', "reply": "はい。"}',
        "order": '{"steps": [{"distance_m": 12.0, "skill": "drive"}], "reason": null, "decision": "act"}',
        "many steps": act(*[{"skill": "say", "text": "はい"}] * 19, {"skill": "stop"}),
    }
    name = pick(rng, sorted(texts))
    return replace(open_lane(rng, 40.0, 4.0).attempt("language", name, True), text=texts[name])


def limits(rng: np.random.Generator) -> Attempt:
    """Numbers at the limits."""
    drive = {"skill": "drive", "distance_m": 20.0}
    steps = {
        "the limit": ({"skill": "set_speed", "speed": 30}, drive),
        "slow": ({"skill": "set_speed", "speed": 3}, drive),
        "factor": ({"skill": "set_speed", "factor": 3.0}, drive),
        "far": ({"skill": "drive", "distance_m": 1000.0},),
        "long wait": ({"skill": "wait", "duration_s": 600.0},),
        "first": ({"skill": "turn_at", "direction": "straight", "nth": 1},),
    }
    name = pick(rng, sorted(steps))
    return open_lane(rng, 45.0, 4.0).attempt("limits", name, True, steps=steps[name])


def people(rng: np.random.Generator) -> Attempt:
    """Drives past people who are seen in time."""
    kind = pick(rng, ("on the pavement", "crosses far off", "stands far off", "along"))
    spot = open_lane(rng, 48.0, float(rng.uniform(4.0, 6.5)))
    if kind == "on the pavement":
        walkers = [person(f"p{k}", spot.at(float(rng.uniform(5, 45)), float(rng.uniform(3.6, 4.6)))) for k in range(3)]
        return spot.attempt("people", kind, True, *walkers)
    if kind == "along":
        x, y, yaw = spot.at(float(rng.uniform(8, 40)), 3.8)
        return spot.attempt("people", kind, True, person("p", (x, y, yaw + pick(rng, (0.0, math.pi))), 1.2))
    x, y, yaw = spot.at(float(rng.uniform(42.0, 47.0)), 3.5 if kind == "crosses far off" else 0.0)
    if kind == "stands far off":
        return spot.attempt(
            "people", kind, True, person("p", (x, y, yaw)), steps=({"skill": "drive", "distance_m": 12.0}, {"skill": "stop"})
        )
    return spot.attempt("people", kind, True, person("p", (x, y, yaw - math.pi / 2), 1.4))


def things(rng: np.random.Generator) -> Attempt:
    """Drives past what stands, and into free slots."""
    kind = pick(rng, ("other kerb", "lead", "behind", "oncoming", "slot"))
    spot = open_lane(rng, 48.0, float(rng.uniform(3.0, 6.0)))
    if kind == "other kerb":
        return spot.attempt("things", kind, True, *[parked(f"c{k}", turned(spot.at(10.0 + 12.0 * k, -4.4))) for k in range(3)])
    if kind == "lead":
        return spot.attempt(
            "things", kind, True, vehicle("lead", spot.at(float(rng.uniform(20.0, 35.0))), float(rng.uniform(5.0, 7.5)))
        )
    if kind == "behind":
        x, y, yaw = spot.start
        back = float(rng.uniform(14.0, 20.0))
        follows = vehicle("behind", (x - back * math.cos(yaw), y - back * math.sin(yaw), yaw), spot.v_mps)
        return spot.attempt("things", kind, True, follows)
    if kind == "oncoming":
        return spot.attempt("things", kind, True, vehicle("comes", turned(spot.at(float(rng.uniform(20, 45)), -3.0)), 6.5))
    spot, world_map = by_car_park(rng), car()[1]
    goal = pick(rng, [p for p in world_map.places if p.id.startswith("slot_")])
    step = {"skill": "park", "target": {"place": goal.id}}
    return spot.attempt("things", kind, True, steps=(step,), targets={0: place(goal)})


def rules(rng: np.random.Generator) -> Attempt:
    """Drives over lights, signs and crossings as one ought to."""
    kind = pick(rng, ("red light", "green light", "stop sign", "turn", "kerb", "stop line"))
    if kind in ("red light", "green light"):
        spot = before(rng, "light", (22.0, 40.0), float(rng.uniform(4.0, 6.5)))
        return spot.attempt(
            "rules", kind, True, lights=kind.split()[0], steps=({"skill": "turn_at", "direction": pick(rng, TURNS)},)
        )
    if kind == "stop line":
        spot = before(rng, pick(rng, ("light", "sign")), (22.0, 40.0), float(rng.uniform(4.0, 6.5)))
        return spot.attempt("rules", kind, True, lights="red", steps=({"skill": "stop_at", "at": "stop_line"},))
    if kind == "kerb":
        return open_lane(rng, 48.0, float(rng.uniform(3.0, 6.0))).attempt("rules", kind, True, steps=({"skill": "pull_over"},))
    spot = before(rng, "sign", (22.0, 40.0), float(rng.uniform(4.0, 6.5)))
    if kind == "stop sign":
        return spot.attempt("rules", kind, True, program=spot.program(52.0))
    for turn in rng.permutation(TURNS):
        step = {"skill": "turn_at", "direction": str(turn)}
        try:
            compile_program((Step("turn_at", {"direction": str(turn)}),), {}, spot.scene(), car()[0], car()[1])
        except ProgramError:
            continue
        return spot.attempt("rules", kind, True, steps=(step,))
    raise AssertionError("a crossing without a way through")


def keep_out(rng: np.random.Generator) -> Attempt:
    """Drives beside and before closed roads."""
    kind = pick(rng, ("before", "beside", "other lane"))
    spot = open_lane(rng, 48.0, float(rng.uniform(3.0, 5.0)))
    if kind == "before":
        steps = ({"skill": "drive", "distance_m": 12.0}, {"skill": "stop"})
        return spot.attempt("keep_out", kind, True, world_map=closed(spot, 36.0, 44.0), steps=steps)
    if kind == "beside":
        return spot.attempt("keep_out", kind, True, world_map=closed(spot, 10.0, 30.0, 1.3, 3.5), program=spot.program(40.0))
    return spot.attempt("keep_out", kind, True, world_map=closed(spot, 10.0, 30.0, -4.5, -1.5), program=spot.program(40.0))


def to_end(rng: np.random.Generator) -> Attempt:
    """Drives to the road's end."""
    network = car()[2]
    ends = [lane.id for lane in network.road.lanes.values() if not lane.following and network.length_m(lane.id) > 24.0]
    lane = int(pick(rng, ends))
    spot = Spot(network.ahead(LanePosition(lane, float(rng.uniform(2.0, 5.0)))), 3.0)
    return spot.attempt("off_map", "road's end", True, steps=({"skill": "drive"},))


def turn(rng: np.random.Generator) -> Attempt:
    """Turns that are come into as one ought to."""
    turn = pick(rng, ("left", "right"))
    spot = before(rng, "light", (14.0, 30.0), float(rng.uniform(3.0, 6.0)), (turn,))
    return spot.attempt("sliding", turn, True, lights="green", program=spot.program(50.0))


def program(rng: np.random.Generator) -> Attempt:
    """Programs as this robot makes them, sent by somebody else."""
    spot = open_lane(rng, 48.0, 4.0)
    made = compile_program((Step("drive", {"distance_m": 25.0}), Step("stop")), {}, spot.scene(), car()[0], car()[1])
    return spot.attempt("program", "sent", True, program=Program.from_dict(made.to_dict()))


def verdict(rng: np.random.Generator) -> Attempt:
    """Verdicts that are used as they are."""
    spot = open_lane(rng, 40.0, 4.0)
    return spot.attempt("verdict", "used once", True, program=spot.program(25.0))


def command(rng: np.random.Generator) -> Attempt:
    """Requests as the controllers make them."""
    return open_lane(rng, 30.0, 0.0).attempt("command", "ramp", True, commands=good_commands(car()[0], rng))


# per kind: how many of a hundred, the makers of bad ones and of good ones
KINDS = (
    (12, bad.language, language),
    (10, bad.limits, limits),
    (14, bad.people, people),
    (12, bad.things, things),
    (20, bad.rules, rules),
    (10, bad.keep_out, keep_out),
    (6, bad.off_map, to_end),
    (4, bad.sliding, turn),
    (5, bad.program, program),
    (4, bad.verdict, verdict),
    (3, bad.command, command),
)
