"""Read a run's folder back, also one whose process died half-way."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.control import Program
from jpai_agent.plan import ActionPlan, Step, Target
from jpai_agent.world.map import Place, WorldMap, load_map
from jpai_agent.world.road import RoadMap
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene, SeenLight


@dataclass
class Turn:
    """What happened on one instruction.

    Attributes:
        index: Counts the instructions, from 0. said: the instruction. heard_s: when.
        answer: The model's last plan, None when it gave none; plan_error: why. frame: the picture it was made from.
        plan: What the agent decided on; the same, or a question or refusal of its own.
        scene, targets: As grounded, by step. last_scene: the belief at the end.
        verdict: The rehearsal that let it set out, as a dict (see Verdict); the last one where that did not pass, and where
            it did not set out; None without any. rehearse_ms: what it cost. rehearsals: how many there were up to it.
            under_way: how many more there were while it drove.
        planned: (N, 2) the path that was rehearsed.
        driven: (T, 3) believed poses from its first step on; driven_s: (T,) their times; truth: (≤T, 3) true poses.
        steps: (time, step) as they began.
        decision, reason: The agent's own. outcome, outcome_reason: how it ended; None while it runs.
    """

    index: int
    said: str = ""
    heard_s: float = 0.0
    answer: ActionPlan | None = None
    plan: ActionPlan | None = None
    plan_error: str = ""
    plan_ms: float | None = None
    frame: Path | None = None
    scene: Scene | None = None
    last_scene: Scene | None = None
    targets: dict[int, GroundedTarget] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    rehearse_ms: float | None = None
    rehearsals: int = 0
    under_way: int = 0
    planned: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    driven: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    truth: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    driven_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    steps: list[tuple[float, int]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    decision: str | None = None
    reason: str | None = None
    outcome: str | None = None
    outcome_reason: str = ""
    ended_s: float | None = None


@dataclass
class RunFolder:
    """A run: what episode.json says, the map, the robot's (length, width), how far its middle is ahead of base_link, and the
    turns in order."""

    folder: Path
    episode: dict[str, Any]
    world: WorldMap
    footprint_m: tuple[float, float]
    turns: list[Turn]
    center_x_m: float = 0.0


def load_run(folder: Path | str) -> RunFolder:
    """Read a run's folder. Raises FileNotFoundError without an episode.json, ValueError naming a broken file."""
    folder = Path(folder)
    episode = _json(folder / "episode.json")
    turns: dict[int, Turn] = {}
    arrays = {name: _json(folder / f"{name}.json") for name in ("plan", "scene", "verdict")}
    for line in _events(folder / "events.jsonl"):
        turn = turns.setdefault(line["turn"], Turn(line["turn"]))
        _apply(turn, line, arrays, folder)
    for snapshot in arrays["scene"]:
        if snapshot["when"] == "end" and snapshot["turn"] in turns:
            turns[snapshot["turn"]].last_scene = scene_from_dict(snapshot["scene"])
    _drive(folder / "trajectory.csv", turns)
    length, width = episode["footprint_m"]
    return RunFolder(folder, episode, _map(episode["map"]), (length, width), [turns[i] for i in sorted(turns)],
                     episode.get("center_x_m", 0.0))


def plan_from_dict(data: Mapping[str, Any]) -> ActionPlan:
    """The plan of `ActionPlan.to_dict`."""
    steps = []
    for entry in data["steps"]:
        args = {key: value for key, value in entry.items() if key != "skill"}
        if isinstance(args.get("target"), Mapping):
            target = dict(args["target"])
            point = target.pop("point", None)
            args["target"] = Target(**target, point=None if point is None else (point[0], point[1]))
        steps.append(Step(entry["skill"], args))
    return ActionPlan(data["decision"], tuple(steps), data["reason"], data.get("reply"))


def scene_from_dict(data: Mapping[str, Any]) -> Scene:
    """The scene of a snapshot in scene.json."""
    obstacles, movers = tuple(Obstacle(**o) for o in data["obstacles"]), tuple(Mover(**m) for m in data["movers"])
    lights = tuple(SeenLight(**light) for light in data.get("lights", ()))
    return Scene(data["id"], data["stamp_s"], RobotState(**data["robot"]), obstacles, movers, lights, data.get("camera_s"))


def _map(data: Mapping[str, Any]) -> WorldMap:
    places = tuple(
        Place(p["id"], tuple(p["names"]), p["x_m"], p["y_m"], p["yaw_rad"], p.get("kind", "")) for p in data["places"])
    x0, y0, x1, y1 = data["bounds_m"]
    return WorldMap(data["name"], (x0, y0, x1, y1), places, data["home"], road_of(data["name"]))


def road_of(world: str) -> RoadMap | None:
    """The road of a world, which is too large for the folder of each run; None where there is none."""
    try:
        return load_map(world).road
    except ValueError:
        return None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _events(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    # what follows the last newline was being written when the process died
    try:
        return [json.loads(line) for line in lines[:-1] if line]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _apply(turn: Turn, line: Mapping[str, Any], arrays: Mapping[str, Any], folder: Path) -> None:
    kind = line["event"]
    if kind == "Heard":
        turn.said, turn.heard_s = line["text"], line["time_s"]
    elif kind == "Planned":
        answer = arrays["plan"][line["plan"]]
        turn.answer = turn.plan = None if answer["plan"] is None else plan_from_dict(answer["plan"])
        turn.plan_error, turn.plan_ms = answer["error"], answer["latency_ms"]
        turn.frame = None if answer["frame"] is None else folder / answer["frame"]
    elif kind == "Grounded":
        turn.scene = scene_from_dict(arrays["scene"][line["scene"]]["scene"])
        turn.targets.update({int(step): GroundedTarget(**target) for step, target in line["targets"].items()})
    elif kind == "Rehearsed":
        entry = arrays["verdict"][line["verdict"]]
        turn.planned = np.asarray(Program.from_dict(entry["program"]).way())
        if turn.steps:
            turn.under_way += 1
        else:
            turn.rehearsals += 1
        if not turn.steps or entry["verdict"]["status"] != "pass":
            turn.verdict, turn.rehearse_ms = entry["verdict"], entry["latency_ms"]
    elif kind == "Decided":
        turn.decision, turn.reason = line["decision"], line["reason"]
        turn.plan = plan_from_dict(line["plan"])
    elif kind == "StepStarted":
        turn.steps.append((line["time_s"], line["step"]))
    elif kind == "Replied":
        turn.replies.append(line["text"])
    elif kind == "Finished":
        turn.outcome, turn.outcome_reason, turn.ended_s = line["outcome"], line["reason"], line["time_s"]


def _drive(path: Path, turns: Mapping[int, Turn]) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["true_yaw_rad"] is not None]
    for index, turn in turns.items():
        if not turn.steps:
            continue
        mine = [row for row in rows if int(row["turn"]) == index and float(row["time_s"]) >= turn.steps[0][0] - 1e-6]
        turn.driven_s = np.array([float(row["time_s"]) for row in mine])
        turn.driven = _poses(mine, "x_m", "y_m", "yaw_rad")
        turn.truth = _poses(mine, "true_x_m", "true_y_m", "true_yaw_rad")
        turn.truth = turn.truth[np.isfinite(turn.truth).all(axis=1)]


def _poses(rows: list[dict[str, str]], *columns: str) -> np.ndarray:
    return np.array([[float(row[c]) if row[c] else math.nan for c in columns] for row in rows]).reshape(-1, 3)
