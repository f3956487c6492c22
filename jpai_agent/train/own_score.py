"""How well a model answers reviewed examples: decision, skills, whole plan, points within reach of those a person gave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jpai_agent.plan import ActionPlan, PlanError, Step, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.train.own import Example
from jpai_agent.vlm import VlmBackend, VlmError
from jpai_agent.world.objects import LANDMARKS

NEAR = 40.0  # of 1000: as near a point must come to the one that is right


def score(backend: VlmBackend, examples: Sequence[Example]) -> dict[str, Any]:
    """Shares of the examples that are answered right, {n, decision, skills, plan}, and the wrong ones' ids with their answers.

    plan: the same steps and arguments, wording of labels and replies apart, points within NEAR.
    """
    right = dict.fromkeys(("decision", "skills", "plan"), 0)
    wrong = {}
    for example in examples:
        try:
            text = backend.plan(example.request()).text
            plan = parse_plan(text, skills_for(example.robot), cameras=(example.camera,),
                              places=(*(example.places or {}), *LANDMARKS))
        except (VlmError, PlanError) as error:
            wrong[example.id] = str(error)
            continue
        decision = (plan.decision, plan.reason) == (example.plan.decision, example.plan.reason)
        skills = decision and [step.skill for step in plan.steps] == [step.skill for step in example.plan.steps]
        whole = skills and same(plan, example.plan)
        for name, value in (("decision", decision), ("skills", skills), ("plan", whole)):
            right[name] += value
        if not whole:
            wrong[example.id] = text
    count = len(examples)
    return {"n": count} | {name: round(value / count, 4) for name, value in right.items()} | {"wrong": wrong}


def same(one: ActionPlan, other: ActionPlan) -> bool:
    """Whether two plans of the same skills mean the same: arguments alike, points near each other."""
    return all(_same(a, b) for a, b in zip(one.steps, other.steps, strict=True))


def _same(one: Step, other: Step) -> bool:
    a, b = one.target, other.target
    if a is not None and b is not None:
        if a.place != b.place or (a.point is None) != (b.point is None):
            return False
        if a.point is not None and b.point is not None and math.dist(a.point, b.point) > NEAR:
            return False
    return _plain(one) == _plain(other)


def _plain(step: Step) -> Step:
    return replace(step, args={name: value for name, value in step.args.items() if name not in ("target", "label")})
