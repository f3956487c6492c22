"""Write a run's folder while it happens: what was seen, said, planned, rehearsed and done."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Heard, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.record.captions import Captions
from jpai_agent.record.files import JsonArray, Lines, dump, jsonable, write_json
from jpai_agent.record.mcap_log import SAMPLE, McapLog
from jpai_agent.record.summary import draw_run
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import RobotState, Scene
from jpai_agent.world.sensors import Image

TRAJECTORY = (*SAMPLE, "true_x_m", "true_y_m", "true_yaw_rad")
_NO_COMMAND = (math.nan, math.nan)
_NO_POSE = (math.nan, math.nan, math.nan)


class RunRecorder:
    """An observer of the agent that keeps a folder of a run.

    Hand it to the agent as an observer, call `tick` at the control rate, and `close` at the end, or use it as a context
    manager. Calls may come from several threads. Everything but the pictures is on disk as soon as it has happened.

    The folder: `episode.json` (as handed in, with map and robot), `events.jsonl`, `plan.json`, `scene.json` and
    `verdict.json` (arrays, in order of time), `frames/*.png` (as the model got them), `trajectory.csv`, `captions.jsonl`
    (what a film of it would show in words, from when on), `run.mcap` (all of it for Foxglove, see `McapLog`), and after
    `close` `summary.json` and `summary.png`.

    Args:
        folder: Made if it is not there; must be empty.
        robot, world_map: Whose run it is and where.
        episode: What else is known of it: id, seed, tags, the model's hash; JSON-ready.
        pictures: Draw summary.png at the end. mcap: Write run.mcap.

    Raises:
        FileExistsError: The folder holds something already.
    """

    def __init__(
        self,
        folder: Path | str,
        robot: RobotSpec,
        world_map: WorldMap,
        *,
        episode: Mapping[str, Any] | None = None,
        pictures: bool = True,
        mcap: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise FileExistsError(f"run folder {self.folder} is not empty")
        (self.folder / "frames").mkdir()
        self._pictures = pictures
        self._lock = threading.Lock()
        self._closed = False
        episode = {"robot": robot.name, "world": world_map.name} | dict(episode or {})
        about = {
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            # the road is that of the world of this name
            "map": replace(world_map, road=None),
            "footprint_m": [robot.length_m, robot.width_m],
            "center_x_m": robot.center_x_m,
        }
        write_json(self.folder / "episode.json", episode | about)
        self._events = Lines(self.folder / "events.jsonl")
        self._captions, self._shown = Captions(world_map), Lines(self.folder / "captions.jsonl")
        self._arrays = {name: JsonArray(self.folder / f"{name}.json") for name in ("plan", "scene", "verdict")}
        self._trajectory = Lines(self.folder / "trajectory.csv")
        self._trajectory.append(",".join(TRAJECTORY))
        self._mcap = McapLog(self.folder / "run.mcap", robot, world_map) if mcap else None
        self._turn, self._step = 0, -1
        self._frames = 0
        self._scene: Scene | None = None
        self._tally: dict[int, dict[str, Any]] = {}
        self._driven_m, self._last_s = 0.0, 0.0
        self._last_xy: tuple[float, float] | None = None

    def __call__(self, event: Event) -> None:
        """Record an event of the agent."""
        with self._lock:
            if self._closed:
                return
            line = {"event": type(event).__name__} | self._members(event)
            self._events.append(dump(line))
            if self._mcap is not None:
                self._mcap.event(event, line)
                if isinstance(event, Grounded):
                    self._mcap.scene(event.time_s, event.scene, event.targets)
            before = (self._captions.lines, self._captions.status)
            self._captions(event)
            if (self._captions.lines, self._captions.status) != before:
                now = {"time_s": event.time_s, "lines": self._captions.lines, "status": self._captions.status}
                self._shown.append(dump(now))
            self._count(event)
            self._last_s = max(self._last_s, event.time_s)

    def tick(
        self,
        time_s: float,
        scene: Scene | None,
        state: RobotState,
        command: Sequence[float] | None,
        truth: Sequence[float] | None = None,
    ) -> None:
        """Log the trajectory.

        Args:
            time_s: On the clock of the events. scene: The belief of now, kept at the end of each plan.
            state: Pose and speed in the map frame as believed. command: (v m/s, w rad/s) given to the motors.
            truth: True pose (x, y, yaw) where there is one; it goes to the folder and nowhere else.
        """
        values = (
            *state.pose,
            state.v_mps,
            state.w_radps,
            *(command or _NO_COMMAND)[:2],
            *(_NO_POSE if truth is None else truth)[:3],
        )
        with self._lock:
            if self._closed:
                return
            self._scene = scene or self._scene
            numbers = ",".join(f"{v:.4f}" if math.isfinite(v) else "" for v in values)
            self._trajectory.append(f"{time_s:.3f},{self._turn},{self._step},{numbers}")
            if self._mcap is not None:
                cells = (time_s, self._turn, self._step, *map(float, values))
                self._mcap.trajectory(time_s, dict(zip(TRAJECTORY, jsonable(cells), strict=True)))
                if scene is not None:
                    self._mcap.scene(time_s, scene)
            if self._last_xy is not None:
                self._driven_m += math.dist(self._last_xy, (state.x_m, state.y_m))
            self._last_xy, self._last_s = (state.x_m, state.y_m), max(self._last_s, time_s)

    def gate(self, time_s: float, state: str, reasons: Sequence[str], v_mps: float, w_radps: float) -> None:
        """Log what the gate gives to the motors, its state and its reasons."""
        with self._lock:
            if not self._closed and self._mcap is not None:
                self._mcap.gate(time_s, state, reasons, v_mps, w_radps)

    def close(self, **outcome: Any) -> None:
        """Close the files and write summary.json, with what is told of the outcome, and the picture."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._scene is not None:
                self._keep_scene(self._last_s, self._turn, "end", self._scene)
            for lines in (self._events, self._trajectory, self._shown):
                lines.close()
            for array in self._arrays.values():
                array.close()
            if self._mcap is not None:
                self._mcap.close()
            turns = [self._tally[turn] for turn in sorted(self._tally)]
            write_json(
                self.folder / "summary.json",
                {"seconds": self._last_s, "driven_m": self._driven_m, "turns": turns} | outcome,
            )
        if self._pictures:
            draw_run(self.folder)

    def __enter__(self) -> RunRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(**({} if error is None else {"error": f"{type(error).__name__}: {error}"}))

    def _members(self, event: Event) -> dict[str, Any]:
        """The event's members for events.jsonl; what is large goes to a file of its own, of which the index stays."""
        head = {"time_s": jsonable(event.time_s), "turn": event.turn}
        if isinstance(event, Planned):
            frame = None if event.image is None else self._keep_frame(event.image)
            answer = {
                "frame": frame,
                "raw_text": event.raw_text,
                "plan": jsonable(event.plan),
                "error": event.error,
                "latency_ms": jsonable(event.latency_ms),
                "timings_ms": jsonable(event.timings_ms),
            }
            return head | {
                "frame": frame,
                "plan": self._arrays["plan"].append(head | answer),
                "error": event.error,
                "latency_ms": answer["latency_ms"],
            }
        if isinstance(event, Grounded):
            index = self._keep_scene(event.time_s, event.turn, "grounded", event.scene, event.targets)
            return head | {"scene": index, "targets": jsonable(event.targets)}
        if isinstance(event, Rehearsed):
            verdict = event.verdict
            found = jsonable(replace(verdict, paths=[], swept=[])) | {"paths": [_path_rows(p) for p in verdict.paths]}
            told = {"latency_ms": jsonable(event.latency_ms), "verdict": found, "program": jsonable(event.program)}
            index = self._arrays["verdict"].append(head | told)
            return head | {"verdict": index, "status": verdict.status, "latency_ms": told["latency_ms"]}
        return head | {f.name: jsonable(getattr(event, f.name)) for f in fields(event) if f.name not in head}

    def _keep_frame(self, image: Image) -> str:
        name = f"frames/{self._frames:03d}-{image.camera}.png"
        self._frames += 1
        bgr = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(self.folder / name), bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
            raise OSError(f"could not write {self.folder / name}")
        return name

    def _keep_scene(
        self, time_s: float, turn: int, when: str, scene: Scene, targets: Mapping[int, Any] | None = None
    ) -> int:
        return self._arrays["scene"].append(
            {
                "time_s": jsonable(time_s),
                "turn": turn,
                "when": when,
                "scene": jsonable(scene),
                "targets": jsonable(targets or {}),
            }
        )

    def _count(self, event: Event) -> None:
        tally = self._tally.setdefault(event.turn, {"turn": event.turn, "said": None, "replies": [], "rehearsals": 0})
        if isinstance(event, Heard):
            tally.update(said=event.text, heard_s=event.time_s)
        elif isinstance(event, Planned):
            tally["plan_ms"] = event.latency_ms
        elif isinstance(event, Rehearsed):
            tally["rehearsals"] += 1
            tally["rehearse_ms"], tally["verdict"] = event.latency_ms, event.verdict.status
        elif isinstance(event, Decided):
            tally.update(decision=event.decision, reason=event.reason)
        elif isinstance(event, StepStarted):
            self._turn, self._step = event.turn, event.step
            tally.setdefault("started_s", event.time_s)
        elif isinstance(event, Replied):
            tally["replies"].append(event.text)
        elif isinstance(event, Finished):
            tally.update(outcome=event.outcome, outcome_reason=event.reason, ended_s=event.time_s)
            if self._scene is not None:
                self._keep_scene(event.time_s, event.turn, "end", self._scene)
            if event.turn == self._turn:
                self._step = -1


def _path_rows(path: Any) -> list[list[float]]:
    """A rollout's path to the centimetre, up to where it diverged."""
    rows = np.asarray(path, float).reshape(-1, 3)
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    return np.round(rows[: broken[0]] if len(broken) else rows, 2).tolist()
