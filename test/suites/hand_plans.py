"""A stand-in for the model, for tests of the pipeline alone: hand-written plans whose points come from the simulator's truth.

Used by tests only; `python test/suites/hand_plans.py [--suite NAME] [--seeds N] [ID ...]` runs a whole suite with it, or the
episodes named, each with N seeds, and prints what failed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.agent import Agent
from jpai_agent.sim.runner import AgentContext
from jpai_agent.twin.worlds import object_ids
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError

FOLDER = Path(__file__).parent
SUITES = ("yard", "street", "traffic")


def plans_of(suite: str) -> dict[str, Any]:
    """The turns of every episode of a suite, by its id."""
    lines = map(json.loads, (FOLDER / f"{suite}_plans.jsonl").read_text("utf-8").splitlines())
    return {line["id"]: line["turns"] for line in lines}


PLANS = {name: turns for suite in SUITES for name, turns in plans_of(suite).items()}
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
    """Run a suite, or the episodes named, and print what failed."""
    from jpai_agent.sim.episode import read_suite
    from jpai_agent.sim.runner import run_episode

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", help="episodes to run, all without")
    parser.add_argument("--suite", choices=SUITES, default="yard")
    parser.add_argument("--seeds", type=int, default=1, help="seeds per episode, its own first")
    chosen = parser.parse_args()
    episodes = read_suite(FOLDER.parents[1] / "sim" / "suites" / f"{chosen.suite}.jsonl")
    wanted = [e for e in episodes if not chosen.ids or e.id in chosen.ids]
    counts: Counter[str] = Counter()
    for episode in (replace(e, seed=e.seed + 1000 * k) for e in wanted for k in range(chosen.seeds)):
        result = run_episode(episode, lambda context, episode=episode: hand_agent(context, episode))
        counts.update(reached=int(result.goal_reached), contacts=int(result.contacts > 0),
                      violations=int(bool(result.violations)))
        if not result.goal_reached:
            print(episode.id, episode.seed, [t.say for t in episode.turns], result.decision, result.reason,
                  result.failed_predicates, result.contacts, result.violations, result.error, flush=True)
    print(f"{counts['reached']}/{len(wanted) * chosen.seeds} goal reached, {counts['contacts']} with contact, "
          f"{counts['violations']} with violation")


if __name__ == "__main__":
    main()
