"""How often words that must never move a robot do: lists of such lines put to the exported model over a few frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jpai_agent.agent.mind import MOTIONLESS
from jpai_agent.language import InstructionError, normalise, stop_word
from jpai_agent.plan import PlanError, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.vlm import PlanRequest, VlmBackend, VlmError
from jpai_agent.world.objects import LANDMARKS


@dataclass(frozen=True)
class Heard:
    """What became of a line. `acts`: it was planned; `moves`: by a skill that moves; `confidence`: of that."""

    group: str
    line: str
    answer: str
    acts: bool
    moves: bool
    confidence: float | None

    def carried_out(self, act_confidence: float) -> bool:
        """Whether a robot that asks back below this confidence moves."""
        return self.moves and (self.confidence is None or self.confidence >= act_confidence)


def read_groups(path: Path) -> dict[str, list[str]]:
    """Lines of a list by the "## name" that stands above them; other lines that begin with # are remarks."""
    groups: dict[str, list[str]] = {}
    name = path.stem
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = line[3:].strip()
        elif line.strip() and not line.startswith("# "):
            groups.setdefault(name, []).append(line)
    return groups


def hear(backend: VlmBackend, robot: str, groups: Mapping[str, Sequence[str]], frames: Sequence[np.ndarray],
         places: Mapping[str, tuple[str, ...]]) -> list[Heard]:
    """Put every line to the model over every frame, as an agent at rest would."""
    skills, known = skills_for(robot), (*places, *LANDMARKS)
    heard = []
    for frame in frames:
        for group, lines in groups.items():
            for line in lines:
                heard.append(_one(backend, robot, group, line, frame, places, skills, known))
    return heard


def _one(backend: VlmBackend, robot: str, group: str, line: str, frame: np.ndarray, places: Mapping[str, tuple[str, ...]],
         skills: Mapping, known: tuple[str, ...]) -> Heard:
    still = Heard(group, line, "", False, False, None)
    if stop_word(line, moving=False, vehicle=robot == "car"):
        return still
    try:
        answer = backend.plan(PlanRequest(normalise(line).text, {"front": frame}, robot, places=places))
        plan = parse_plan(answer.text, skills, cameras=("front",), places=known)
    except (InstructionError, VlmError, PlanError):
        return still
    moves = any(step.skill not in MOTIONLESS for step in plan.steps)
    return Heard(group, line, answer.text, plan.decision == "act", plan.decision == "act" and moves, answer.confidence)


def shares(heard: Sequence[Heard], act_confidence: float) -> dict[str, float]:
    """`n`, and the shares that are planned, that would move the robot, and that do at the threshold."""
    planned, motion, done = np.mean([(h.acts, h.moves, h.carried_out(act_confidence)) for h in heard], axis=0).tolist()
    return {"n": len(heard), "planned": planned, "motion": motion, "carried_out": done}


def report(heard: Sequence[Heard], act_confidence: float) -> str:
    """A table per group: lines, how many are planned, how many of these would move the robot, and do at the threshold."""
    lines = [f"{'':44s}{'n':>6s}{'planned':>9s}{'motion':>9s}{f'at {act_confidence:.2f}':>9s}"]
    for group in (*dict.fromkeys(h.group for h in heard), "all"):
        of = [h for h in heard if group in (h.group, "all")]
        told = shares(of, act_confidence)
        lines.append(f"{group[:42]:44s}{len(of):6d}{told['planned']:9.1%}{told['motion']:9.1%}{told['carried_out']:9.1%}")
    return "\n".join(lines)
