"""A stand-in for the model, for tests of the pipeline alone: hand-written plans whose points come from the simulator's truth.

Used by tests only; `python test/suites/hand_plans.py` runs the whole yard suite with it and prints the table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.agent import Agent
from jpai_agent.sim.runner import AgentContext
from jpai_agent.twin.worlds import object_ids
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError

FOLDER = Path(__file__).parent
PLANS = {line["id"]: line["turns"] for line in map(json.loads, (FOLDER / "yard_plans.jsonl").read_text("utf-8").splitlines())}
SMALLEST_PX = 12


class HandPlans:
    """Answers an episode's turns in order. A turn's steps are [skill, target, arguments]; a target is an object's id, `@place`,
    or `?id` for one that is not in view yet."""

    name = "hand-written plans"

    def __init__(self, turns: list[Any], instructions: list[str], robot: Any) -> None:
        self._turns = dict(zip(instructions, turns, strict=True))
        self._robot = robot

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """The plan that was written for the instruction, or the answer to a look."""
        words = request.instruction
        if words.endswith("の方を向いて") and words not in self._turns:
            return self._look(words.removesuffix("の方を向いて"))
        turn = self._turns[words]
        if isinstance(turn[0], str) and turn[0] != "act":
            return self._answer(turn[0], [], turn[1])
        return self._answer("act", [self._step(*step) for step in (turn[1] if turn[0] == "act" else turn)], None)

    def warm(self, request: PlanRequest) -> None:
        """Nothing to warm."""

    def _look(self, label: str) -> PlanAnswer:
        # every episode with a look looks for its object "a"
        point = self._point("a")
        if point is None:
            return self._answer("ask", [], "not_found")
        return self._answer("act", [{"skill": "face", "target": {"label": label, "camera": "front", "point": point}}], None)

    def _step(self, skill: str, target: str | None, args: dict[str, Any]) -> dict[str, Any]:
        step: dict[str, Any] = {"skill": skill}
        if skill == "look_for":
            return step | {"label": args["label"]}
        if target is not None:
            if target.startswith("@"):
                step["target"] = {"place": target[1:]}
            elif target.startswith("?"):
                step["target"] = {"label": target[1:]}
            else:
                point = self._point(target)
                if point is None:
                    raise VlmError("plan_error", f"object {target} is not in view: the episode or its plan is wrong")
                step["target"] = {"label": target, "camera": "front", "point": point}
        return step | args

    def _point(self, oid: str) -> list[int] | None:
        """A visible pixel of the object near the middle of what is seen of it, in 0..1000."""
        robot = self._robot
        index = robot._renderer().objects(robot.data, "front", (320, 240))
        rows, columns = np.nonzero(index == object_ids(robot.model).index(oid))
        if len(rows) < SMALLEST_PX:
            return None
        middle = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
        return [int((columns[middle] + 0.5) / 320 * 1000), int((rows[middle] + 0.5) / 240 * 1000)]

    def _answer(self, decision: str, steps: list[dict[str, Any]], reason: str | None) -> PlanAnswer:
        return PlanAnswer(json.dumps({"decision": decision, "steps": steps, "reason": reason}, ensure_ascii=False))


def hand_agent(context: AgentContext, episode: Any) -> Agent:
    """An agent whose model is the episode's hand-written plans."""
    from jpai_agent.language import normalise

    words = [normalise(turn.say).text for turn in episode.turns]
    backend = HandPlans(PLANS[episode.id], words, context.capture.__self__)
    return Agent(context.robot, context.world_map, backend, context.worker, context.capture,
                 context.observers)


def main() -> None:
    """Run the suite, or the episodes named, and print what failed."""
    from jpai_agent.sim.episode import read_suite
    from jpai_agent.sim.runner import run_episode

    wanted = set(sys.argv[1:])
    episodes = [e for e in read_suite(FOLDER.parents[1] / "sim" / "suites" / "yard.jsonl") if not wanted or e.id in wanted]
    reached = contacts = violations = 0
    for episode in episodes:
        result = run_episode(episode, lambda context, episode=episode: hand_agent(context, episode))
        reached += result.goal_reached
        contacts += bool(result.contacts)
        violations += bool(result.violations)
        if not result.goal_reached:
            print(episode.id, [t.say for t in episode.turns], result.decision, result.reason, result.failed_predicates,
                  result.contacts, result.violations, result.error, flush=True)
    print(f"{reached}/{len(episodes)} goal reached, {contacts} with contact, {violations} with violation")


if __name__ == "__main__":
    main()
