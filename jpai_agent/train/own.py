"""The user's own examples: what was said in kept runs, over which frame, and the plan, for a person to confirm or correct.

`collect` writes a folder with `examples.jsonl`, one example a line, copies of frames, and the places of the maps. In each line
`ok` is null until a person has looked at it: true where the plan is right, as it is or corrected, false where the example is of
no use. Only examples with true are trained on. Nothing leaves the machine.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jpai_agent.language import InstructionError, normalise
from jpai_agent.plan import ActionPlan, Number, PlanError, Step, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm import Exchange, PlanRequest
from jpai_agent.world.objects import LANDMARKS

EXAMPLES, FRAMES, MAPS = "examples.jsonl", "frames", "maps.json"
_NEEDED = {"id": str, "said": str, "frame": str, "robot": str}


class ExamplesError(ValueError):
    """Examples that cannot be used; the message names the file, the lines and what would be right."""


@dataclass(frozen=True)
class Example:
    """A reviewed example.

    Attributes:
        id: The run's folder and the turn. said: the instruction as the model reads it.
        frame: The picture, absolute. camera: which took it. plan: what is right, arguments in the registry's order.
        robot, speed_mps, running, earlier, places: the rest of what the model was told, see PlanRequest.
    """

    id: str
    said: str
    frame: Path
    plan: ActionPlan
    robot: str = "cart"
    camera: str = "front"
    speed_mps: float = 0.0
    running: str = ""
    earlier: tuple[Exchange, ...] = ()
    places: Mapping[str, tuple[str, ...]] | None = None

    def picture(self) -> np.ndarray:
        """The frame, (H, W, 3) uint8 RGB. Raises ExamplesError."""
        try:
            with Image.open(self.frame) as image:
                return np.array(image.convert("RGB"))
        except (OSError, ValueError) as error:
            raise ExamplesError(f"example {self.id}: frame {self.frame} cannot be read: {error}") from error

    def request(self) -> PlanRequest:
        """What the model was asked. Raises ExamplesError where the frame cannot be read."""
        return PlanRequest(self.said, {self.camera: self.picture()}, self.robot, self.speed_mps, self.running,
                           dict(self.places or {}), self.earlier)


@dataclass(frozen=True)
class Collected:
    """How many examples are new, were there before, and how many turns had no frame or no words to learn from."""

    new: int
    before: int
    left_out: int


def collect(runs: Sequence[Path], out: Path) -> Collected:
    """Write an example for each instruction of kept runs to `out`; examples that are there stay as they are.

    Args:
        runs: Run folders, or folders of run folders.

    Raises:
        ExamplesError: No run is found, or one cannot be read.
    """
    folders = [folder for given in runs for folder in _run_folders(given)]
    if not folders:
        raise ExamplesError(f"no run folders (with an episode.json) in {', '.join(map(str, runs))}")
    path = out / EXAMPLES
    kept = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line] if path.is_file() else []
    known = {row["id"] for row in kept}
    (out / FRAMES).mkdir(parents=True, exist_ok=True)
    maps = _maps(out)
    new, before, left_out = [], 0, 0
    for folder in folders:
        try:
            rows, places, without = _rows(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExamplesError(f"run {folder} cannot be read: {type(error).__name__}: {error}") from error
        left_out += without
        for row in rows:
            if row["id"] in known:
                before += 1
                continue
            known.add(row["id"])
            picture = folder / row["frame"]
            name = f"{FRAMES}/{hashlib.sha256(picture.read_bytes()).hexdigest()[:16]}{picture.suffix}"
            shutil.copyfile(picture, out / name)
            new.append(row | {"frame": name, "map": _name(places)})
            maps[_name(places)] = places
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*kept, *new])
    _write(out / MAPS, json.dumps(maps, ensure_ascii=False, indent=1) + "\n")
    _write(path, text)
    return Collected(len(new), before, left_out)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder's examples.jsonl, reviewed or not. Raises ExamplesError naming lines that are none."""
    path = folder / EXAMPLES
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ExamplesError(f"no examples in {folder}: {path} cannot be read; make them with "
                            f"jpai train collect RUNS --out {folder}") from error
    rows: list[dict[str, Any]] = []
    wrong = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            wrong.append(f"line {number}: no JSON: {error}")
            continue
        if not isinstance(row, dict) or any(not isinstance(row.get(key), kind) for key, kind in _NEEDED.items()):
            wrong.append(f"line {number}: needs {', '.join(_NEEDED)} as text")
        elif row.get("ok", None) not in (True, False, None):
            wrong.append(f"line {number}: ok is true, false or null, not {row['ok']!r}")
        elif any(row["id"] == other["id"] for other in rows):
            wrong.append(f"line {number}: the id {row['id']} stands there twice")
        else:
            rows.append(row | {"line": number})
    if wrong:
        raise ExamplesError(f"{path}: " + "; ".join(wrong))
    return rows


def read_examples(folder: Path) -> list[Example]:
    """The examples of a folder that a person has confirmed (`"ok": true`).

    Raises:
        ExamplesError: There are none; or frames that are missing, plans that are none, by line.
    """
    rows = read_rows(folder)
    reviewed = [row for row in rows if row.get("ok") is True]
    if not reviewed:
        raise ExamplesError(f"{folder / EXAMPLES}: none of {len(rows)} examples is reviewed: correct the plan where it is wrong, "
                            'then set "ok": true (or false for those of no use)')
    maps = _maps(folder)
    found, wrong = [], []
    for row in reviewed:
        try:
            found.append(_example(row, folder, maps))
        except (PlanError, InstructionError, ValueError) as error:
            wrong.append(f"line {row['line']} ({row['id']}): {error}")
    if wrong:
        raise ExamplesError(f"{folder / EXAMPLES}: " + "; ".join(wrong))
    return found


def digest(examples: Iterable[Example]) -> str:
    """A hash of examples: what is asked and what is right."""
    told = [(e.id, e.said, e.frame.name, e.plan.to_json(), e.robot, e.speed_mps, e.running,
             [(turn.user, turn.answer) for turn in e.earlier], sorted((e.places or {}).items())) for e in examples]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def parse_own(plan: Any, robot: str, camera: str, places: Iterable[str]) -> ActionPlan:
    """A plan of examples.jsonl as the model should write it: a plan that acts says nothing. Raises PlanError, ValueError."""
    if plan is None:
        raise ValueError("there is no plan: write the right one")
    skills = skills_for(robot)
    parsed = parse_plan(json.dumps(plan, ensure_ascii=False), skills, cameras=(camera,), places=(*places, *LANDMARKS))
    steps = []
    for step in parsed.steps:
        spec = skills[step.skill].args
        # 3 and 3.0 are one number, and are written in one way
        args = {name: float(value) if isinstance(spec[name], Number) else value for name, value in step.args.items()}
        steps.append(Step(step.skill, args))
    return replace(parsed, steps=tuple(steps), reply=None if parsed.decision == "act" else parsed.reply)


def _example(row: Mapping[str, Any], folder: Path, maps: Mapping[str, dict[str, list[str]]]) -> Example:
    frame, camera, named = folder / row["frame"], row.get("camera", "front"), row.get("map", "")
    if named and named not in maps:
        raise ValueError(f"{MAPS} has no map {named}")
    places = maps[named] if named else {}
    if not frame.is_file():
        raise ValueError(f"frame {frame} is missing")
    plan = parse_own(row.get("plan"), row["robot"], camera, places)
    earlier = tuple(Exchange(turn["user"], turn.get("answer", "")) for turn in row.get("earlier") or ())
    return Example(row["id"], normalise(row["said"]).text, frame.resolve(), plan, row["robot"], camera,
                   float(row.get("speed_mps") or 0.0), row.get("running") or "", earlier,
                   {name: tuple(names) for name, names in places.items()})


def _run_folders(given: Path) -> list[Path]:
    if (given / "episode.json").is_file():
        return [given]
    return sorted(path.parent for path in given.glob("*/episode.json")) or sorted(
        path.parent for path in given.glob("runs/*/episode.json"))


def _maps(folder: Path) -> dict[str, dict[str, list[str]]]:
    path = folder / MAPS
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ExamplesError(f"{path} is no JSON: {error}") from error


def _name(places: Mapping[str, Sequence[str]]) -> str:
    return hashlib.sha256(json.dumps(places, sort_keys=True).encode()).hexdigest()[:8]


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _rows(folder: Path) -> tuple[list[dict[str, Any]], dict[str, list[str]], int]:
    """The examples of a run, their frames' paths within it; its map's places; and how many turns have no frame."""
    about = json.loads((folder / "episode.json").read_text(encoding="utf-8"))
    plans = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    # what follows the last newline was being written when the process died
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").split("\n")[:-1] if line]
    speeds = _speeds(folder / "trajectory.csv")
    places = {place["id"]: place["names"] for place in about["map"]["places"]}
    rows: list[dict[str, Any]] = []
    earlier: list[dict[str, str]] = []
    steps: list[str] = []
    said, running, left_out = "", "", 0
    for event in events:
        kind, turn = event["event"], event["turn"]
        if kind == "Heard":
            said = event["text"]
        elif kind == "Planned" and said:
            # later ones of a turn are looks and second attempts, with other words
            entry, words, said = plans[event["plan"]], said, ""
            if not entry.get("frame") or not (folder / entry["frame"]).is_file():
                left_out += 1
                continue
            speed = max((row for row in speeds if row[0] <= event["time_s"] + 1e-6), default=(0.0, 0.0))[1]
            rows.append({
                "id": f"{folder.name}:{turn}", "ok": None, "said": words, "plan": entry["plan"], "frame": entry["frame"],
                "robot": about["robot"], "camera": Path(entry["frame"]).stem.partition("-")[2] or "front",
                "speed_mps": round(abs(speed), 2), "running": running, "earlier": list(earlier), "outcome": ""})
        elif kind == "Decided":
            words = next((row["said"] for row in rows if row["id"] == f"{folder.name}:{turn}"), "")
            plan = event["plan"]
            if words:
                answer = json.dumps(plan, ensure_ascii=False, separators=(",", ":"))
                earlier = [{"user": words, "answer": answer}]
                _note(rows, folder, turn, " ".join(filter(None, (event["decision"], event["reason"]))))
            if plan["decision"] == "act":
                steps = [step["skill"] for step in plan["steps"]]
        elif kind == "StepStarted":
            running = steps[min(event["step"], len(steps) - 1)] if steps else ""
        elif kind == "Finished":
            _note(rows, folder, turn, " ".join(filter(None, (event["outcome"], event["reason"]))))
            if event["outcome"] != "answered":
                running = ""
            if event["outcome"] == "done":
                earlier = []
    return rows, places, left_out


def _note(rows: Sequence[dict[str, Any]], folder: Path, turn: int, what: str) -> None:
    for row in rows:
        if row["id"] == f"{folder.name}:{turn}":
            row["outcome"] = ", ".join(filter(None, (row["outcome"], what)))


def _speeds(path: Path) -> list[tuple[float, float]]:
    """(time, speed) of a run, in order."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(float(row["time_s"]), float(row["v_mps"] or 0.0)) for row in csv.DictReader(file) if row.get("v_mps")]
