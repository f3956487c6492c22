"""How well the car drives: its distance from the lane's middle, straight on and in turns, and how far an emergency stop takes it.

The whole chain drives (sensors, perception, rehearsal, control, gate), told by fixed plans in place of a model; what is
measured is the true motion.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from jpai_agent.agent import Agent
from jpai_agent.control.road.routes import Network, Way
from jpai_agent.sim.car import CarPhysics
from jpai_agent.sim.episode import Episode, parse_episode
from jpai_agent.sim.report import machine
from jpai_agent.sim.runner import AgentContext, Course
from jpai_agent.sim.trajectory import Recording
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.vlm import PlanAnswer, PlanRequest
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot

# straight on counts from this speed on, and this far from crossings
FAST_MPS, CLEAR_M = 7.5, 15.0
# a road with priority over those that it crosses
_PRIORITY = (78.5, -35.0, 90.0)
# the deceleration that an emergency stop is held against
EMERGENCY_MPS2 = 6.0
STOP_AT_S = 6.0
_GREEN = [{"at": [80, 80], "approach": side, "phases": [["green" if side in ("east", "west") else "red", 999]]}
          for side in ("north", "south", "east", "west")]
_FAST = {"skill": "set_speed", "speed": 30}


class FixedPlan:
    """A backend that answers with one plan."""

    name = "fixed plan"

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self._text = json.dumps({"decision": "act", "steps": steps, "reason": None})

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The plan."""
        return PlanAnswer(self._text)

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


def bench_driving(seeds: int = 5) -> dict[str, Any]:
    """Lateral errors (p95, max; m) straight on at 30 km/h and in 90° turns, and emergency stops from 30 km/h, over `seeds` seeds.

    Returns:
        straight, left, right: n (samples 0.05 s apart), p95_m, max_m and the speed driven; emergency: n, and beyond_m, the
        way from the word to rest over v²/2a with a = 6.0, mean and max, by the road's friction (in tenths).
    """
    lateral: dict[str, list[np.ndarray]] = {"straight": [], "left": [], "right": []}
    speeds: dict[str, list[float]] = {name: [] for name in lateral}
    beyond: dict[str, list[float]] = {}
    with SceneRenderer() as renderer:
        for seed in range(seeds):
            for name in lateral:
                error, speed_mps = _lane_errors(name, seed, renderer)
                lateral[name].append(error)
                speeds[name].append(speed_mps)
            road, over_m = _emergency(seed, renderer)
            beyond.setdefault(road, []).append(over_m)
    figures: dict[str, Any] = {
        name: {"n": int(sum(map(len, errors))), "p95_m": round(float(np.percentile(np.concatenate(errors), 95)), 3),
               "max_m": round(float(np.concatenate(errors).max()), 3), "median_mps": round(float(np.median(speeds[name])), 2)}
        for name, errors in lateral.items()
    }
    figures["emergency"] = {road: {"n": len(values), "mean_beyond_m": round(float(np.mean(values)), 2),
                                   "max_beyond_m": round(max(values), 2)} for road, values in sorted(beyond.items())}
    what = "the car in the street: distance of base_link from its way, and stops at 止まれ！ beyond v²/2a (a = 6.0 m/s²)"
    return {"what": what, "seeds": seeds, **figures, "machine": machine()}


def _lane_errors(name: str, seed: int, renderer: SceneRenderer) -> tuple[np.ndarray, float]:
    """Distances from the way (T,), and the median speed, where they count."""
    straight = name == "straight"
    steps = [_FAST, {"skill": "drive", "distance_m": 100}] if straight else [{"skill": "turn_at", "direction": name}]
    start = _PRIORITY if straight else (45.0, 81.5, 0.0)
    recording, _ = _drive(_episode(start, "走って", 40), steps, seed, renderer)
    way = _way(start, () if straight else (name,))
    offsets = np.abs([way.nearest(x, y)[1] for x, y in recording.poses[:, :2]])
    along = np.array([way.nearest(x, y)[0] for x, y in recording.poses[:, :2]])
    if straight:
        crossings = np.array([(mark.from_m + mark.to_m) / 2 for mark in way.marks if mark.kind == "crossing"])
        counts = (recording.speed > FAST_MPS) & (np.abs(along[:, None] - crossings).min(axis=1) > CLEAR_M)
    else:
        crossing = next(mark for mark in way.marks if mark.kind == "crossing")
        counts = (along >= crossing.from_m) & (along <= crossing.to_m)
    return offsets[counts], float(np.median(recording.speed[counts]))


def _emergency(seed: int, renderer: SceneRenderer) -> tuple[str, float]:
    """The road's friction, as text, and the metres from the word to rest beyond v²/2a."""
    episode = _episode(_PRIORITY, "走って", 14, speed_mps=8.33, then=("止まれ！", STOP_AT_S))
    recording, road = _drive(episode, [_FAST, {"skill": "drive"}], seed, renderer)
    at = int(np.searchsorted(recording.times, STOP_AT_S - 1e-6))
    gone_m = float(np.hypot(*np.diff(recording.poses[at:, :2], axis=0).T).sum())
    return road, gone_m - float(recording.speed[at]) ** 2 / (2 * EMERGENCY_MPS2)


def _drive(episode: Episode, steps: list[dict[str, Any]], seed: int, renderer: SceneRenderer) -> tuple[Recording, str]:
    def agent(context: AgentContext) -> Agent:
        return Agent(context.robot, context.world_map, FixedPlan(steps), context.worker, context.capture, context.observers)

    course = Course(replace(episode, seed=seed), agent, renderer)
    try:
        while not course.over:
            course.period()
        assert isinstance(course.robot.physics, CarPhysics)
        friction = course.robot.physics.tyre_friction
        return course.recording(), f"friction {math.floor(friction * 10) / 10:.1f}"
    finally:
        course.robot.close()


def _way(start: tuple[float, float, float], turns: tuple[str, ...]) -> Way:
    road = load_map("street").road
    assert road is not None
    network = Network(road)
    position = network.locate(np.array([start[0], start[1], math.radians(start[2])]))
    assert position is not None
    return network.ahead(position, turns)


def _episode(pose: tuple[float, float, float], say: str, limit_s: float, *, speed_mps: float = 0.0,
             then: tuple[str, float] | None = None) -> Episode:
    turns: list[dict[str, Any]] = [{"say": say}]
    if then is not None:
        turns.append({"say": then[0], "at_s": then[1]})
    return parse_episode(json.dumps({
        "id": "driving", "world": "street", "robot": load_robot("car").name, "seed": 0, "tags": [],
        "scene": {"robot_pose": list(pose), "robot_speed_mps": speed_mps, "objects": [], "lights": _GREEN},
        "turns": turns, "time_limit_s": limit_s, "expect": {"decision": "act"}}))
