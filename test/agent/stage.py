"""A stage for the agent: a model that answers as told, and a cart on an empty floor whose sensors are exact."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jpai_agent.agent import Agent, AgentConfig, SimulatedWorker
from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.perception.geometry import pixel_rays
from jpai_agent.vlm import PlanAnswer, PlanRequest
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.sensors import DepthImage, Image, LidarScan, Localization, Observation, Odometry

PERIOD_S, DEPTH_EVERY = 0.05, 4
Answer = str | Exception | dict[str, Any] | PlanAnswer


def act(*steps: dict[str, Any]) -> dict[str, Any]:
    """A plan of these steps."""
    return {"decision": "act", "steps": list(steps), "reason": None}


def ask(reason: str, decision: str = "ask") -> dict[str, Any]:
    """A question, or a refusal."""
    return {"decision": decision, "steps": [], "reason": reason}


def sure(plan: dict[str, Any], confidence: float | None) -> PlanAnswer:
    """A plan that the model is so sure of."""
    return PlanAnswer(json.dumps(plan, ensure_ascii=False), confidence)


def to(place: str) -> dict[str, Any]:
    return {"skill": "go_to", "target": {"place": place}}


def move(distance_m: float) -> dict[str, Any]:
    return {"skill": "move", "distance_m": distance_m}


def turn(angle_deg: float) -> dict[str, Any]:
    return {"skill": "turn", "angle_deg": angle_deg}


def seen_at(x: int, y: int, label: str = "印") -> dict[str, Any]:
    """A target at a point of the front camera."""
    return {"label": label, "camera": "front", "point": [x, y]}


class ToldModel:
    """Answers each instruction as it was told: with a plan, a text, or an error; of a list one after the other, the last
    for good. It checks what it is asked as every backend does."""

    name = "told"

    def __init__(self, answers: Mapping[str, Answer | list[Answer]]) -> None:
        self.answers = {words: list(a) if isinstance(a, list) else [a] for words, a in answers.items()}
        self.requests: list[PlanRequest] = []

    def plan(self, request: PlanRequest) -> PlanAnswer:
        request.check()
        self.requests.append(request)
        answers = self.answers[request.instruction]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, PlanAnswer):
            return answer
        return PlanAnswer(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""


class Stage:
    """The cart stands at the middle of an empty yard and goes exactly as the agent wants.

    Args:
        answers: What the model says to what. depth: whether the depth camera works; localiser: likewise.
        rgb: What the colour camera shows; noise when left out.
        attempts, rollouts: of the agent.
    """

    def __init__(self, answers: Mapping[str, Answer | list[Answer]], *, depth: bool = True, localiser: bool = True,
                 rgb: np.ndarray | None = None, attempts: int = 3, rollouts: int = 2) -> None:
        self.robot, world_map = load_robot("cart"), load_map("yard")
        self.model, self.events = ToldModel(answers), list[Event]()
        self._sensors = (depth, localiser)
        self.rgb = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8) if rgb is None else rgb
        self.pose, self.speed, self.time_s = np.zeros(3), (0.0, 0.0), 0.0
        self._ticks = 0
        self._floor_m = self._floor_depth()
        self.agent = Agent(self.robot, world_map, self.model, SimulatedWorker(), lambda c: Image(c, self.time_s, self.rgb),
                           [self.events.append], config=AgentConfig(rollouts=rollouts, attempts=attempts))

    def tick(self) -> None:
        """One control period."""
        self.speed = self.agent.tick(self._observe())
        v, w = self.speed
        yaw = self.pose[2] + w * PERIOD_S / 2
        self.pose = self.pose + PERIOD_S * np.array([v * math.cos(yaw), v * math.sin(yaw), w])
        self._ticks += 1
        self.time_s = self._ticks * PERIOD_S

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.time_s + seconds - 1e-6
        while self.time_s < end_s:
            self.tick()

    def say(self, text: Any, then_s: float = 0.0) -> None:
        self.agent.hear(text, self.time_s)
        self.run(then_s)

    def until_idle(self, limit_s: float = 60.0) -> None:
        """Until nothing is planned or driven."""
        end_s = self.time_s + limit_s
        while not self.agent.idle:
            self.tick()
            assert self.time_s < end_s, f"still busy after {limit_s} s: {self.told()}"

    def until_moving(self, limit_s: float = 5.0) -> None:
        """Until the robot drives or turns."""
        end_s = self.time_s + limit_s
        while max(map(abs, self.speed)) < 0.1:
            self.tick()
            assert self.time_s < end_s, f"still standing after {limit_s} s: {self.told()}"

    @property
    def has_moved(self) -> bool:
        return bool(np.abs(self.pose).max() > 1e-3)

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def decisions(self) -> list[tuple[int, str, str | None]]:
        return [(e.turn, e.decision, e.reason) for e in self.of(Decided)]

    @property
    def replies(self) -> list[str]:
        return [e.text for e in self.of(Replied)]

    @property
    def endings(self) -> list[tuple[int, str]]:
        return [(e.turn, e.outcome) for e in self.of(Finished)]

    def told(self) -> list[str]:
        """The kinds of events in order, for messages and for order."""
        return [type(event).__name__ for event in self.events]

    def _observe(self) -> Observation:
        now_s, (depth, localiser) = self.time_s, self._sensors
        odometry = Odometry(now_s, self.pose.copy(), *self.speed)
        fix = Localization(now_s, self.pose.copy()) if localiser else None
        scan, depths = None, {}
        if self._ticks % DEPTH_EVERY == 0:
            lidar = self.robot.lidar
            beams = np.full(lidar.beams, np.inf)
            scan = LidarScan(now_s, beams, -math.pi, 2 * math.pi / lidar.beams, lidar.range_max_m)
            if depth:
                depths = {"front": DepthImage("front", now_s, self._floor_m)}
        return Observation(now_s, odometry, fix, scan, {}, depths)

    def _floor_depth(self) -> np.ndarray:
        """(h, w) depth of a bare floor."""
        camera = self.robot.camera("front")
        rays = pixel_rays(camera, camera.depth_width_px, camera.depth_height_px)
        down = np.minimum(rays[..., 2], -1e-3)
        depth = camera.position_m[2] / -down
        return np.where(depth < camera.depth_max_m, depth, 0.0).astype(np.float32)


__all__ = ["Decided", "Finished", "Grounded", "Planned", "Rehearsed", "Replied", "Stage", "StepStarted", "ToldModel",
           "act", "ask", "move", "seen_at", "to", "turn"]
