"""The plan language: what a model may answer, how it is parsed strictly, and how it is hashed.

`types` holds the plan itself, `spec` describes the arguments that a skill takes, `parse` turns text into a plan or an
error with its reason, `schema` derives the JSON schema that constrains decoding. Knows nothing of robots or models.
"""

from jpai_agent.plan.parse import PlanError, parse_plan
from jpai_agent.plan.schema import json_schema
from jpai_agent.plan.spec import Choice, Number, SkillSpec, TargetArg, Text
from jpai_agent.plan.types import DECISIONS, REASONS, ActionPlan, Step, Target

__all__ = [
    "DECISIONS", "REASONS", "ActionPlan", "Choice", "Number", "PlanError", "SkillSpec", "Step", "Target", "TargetArg",
    "Text", "json_schema", "parse_plan",
]
