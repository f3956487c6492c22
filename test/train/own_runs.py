"""Run folders and reviewed examples made by hand, for the tests of fine-tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from jpai_agent.train.own import EXAMPLES, Example, collect, read_examples
from jpai_agent.vlm.codecs import probe_image

GO = {"decision": "act", "steps": [{"skill": "go_to", "target": {"label": "赤い箱", "camera": "front", "point": [255, 690]}}],
      "reason": None}
WAIT = {"decision": "act", "steps": [{"skill": "wait", "duration_s": 3.0}], "reason": None}
ASK = {"decision": "ask", "steps": [], "reason": "ambiguous"}
PLACES = [{"id": "dock", "names": ["充電ステーション", "ドック"], "x_m": 0.0, "y_m": 0.0, "yaw_rad": None, "kind": ""}]


def write_run(folder: Path) -> Path:
    """A run of three turns: a question, the answer to it while the robot stands, and one said while it drives."""
    (folder / "frames").mkdir(parents=True)
    for name in ("000-front.png", "001-front.png"):
        Image.fromarray(probe_image(160, 120)).save(folder / "frames" / name)
    (folder / "episode.json").write_text(json.dumps({"robot": "cart", "map": {"places": PLACES}}), encoding="utf-8")
    frames = ("frames/000-front.png", "frames/001-front.png", None, "frames/001-front.png")
    plans = [{"frame": frame, "plan": plan} for frame, plan in zip(frames, (ASK, GO, GO, None), strict=True)]
    (folder / "plan.json").write_text(json.dumps(plans, ensure_ascii=False), encoding="utf-8")
    events: list[dict[str, Any]] = [
        {"event": "Heard", "time_s": 1.0, "turn": 0, "text": "箱まで行って"},
        {"event": "Planned", "time_s": 1.2, "turn": 0, "plan": 0},
        {"event": "Decided", "time_s": 1.2, "turn": 0, "decision": "ask", "reason": "ambiguous", "plan": ASK},
        {"event": "Finished", "time_s": 1.2, "turn": 0, "outcome": "answered", "reason": "ambiguous"},
        {"event": "Heard", "time_s": 2.0, "turn": 1, "text": "赤い箱"},
        {"event": "Planned", "time_s": 2.2, "turn": 1, "plan": 1},
        # a second attempt is not what was said
        {"event": "Planned", "time_s": 2.3, "turn": 1, "plan": 2},
        {"event": "Decided", "time_s": 2.3, "turn": 1, "decision": "act", "reason": None, "plan": GO},
        {"event": "StepStarted", "time_s": 2.4, "turn": 1, "step": 0},
        {"event": "Heard", "time_s": 3.0, "turn": 2, "text": "三秒待って"},
        {"event": "Planned", "time_s": 3.2, "turn": 2, "plan": 3},
    ]
    torn = '{"event": "Rep'
    (folder / "events.jsonl").write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events) + torn,
                                         encoding="utf-8")
    (folder / "trajectory.csv").write_text("time_s,turn,step,v_mps\n1.000,0,-1,\n2.500,1,0,0.4000\n3.100,1,0,0.6000\n",
                                           encoding="utf-8")
    return folder


def edit(folder: Path, *changes: dict[str, Any]) -> Path:
    """What a person does to the examples: `changes` by line."""
    path = folder / EXAMPLES
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row | change for row, change in zip(rows, changes, strict=True)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return folder


def reviewed(folder: Path) -> list[Example]:
    """Three examples that a person has confirmed."""
    collect([write_run(folder / "runs" / "one")], folder / "examples")
    edit(folder / "examples", {"ok": True}, {"ok": True}, {"ok": True, "plan": WAIT})
    return read_examples(folder / "examples")
