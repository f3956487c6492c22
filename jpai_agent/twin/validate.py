"""Take a plan, whoever made it, as far as a verdict: read it strictly, make or check its program, rehearse that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jpai_agent.control import Program, ProgramError, ProgramRunner, RoadRunner, compile_program
from jpai_agent.control.validity import check_program
from jpai_agent.plan import ActionPlan, PlanError, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.twin.config import RehearsalConfig
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.road_config import RoadRehearsalConfig
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import LANDMARKS
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene

Targets = Mapping[int, GroundedTarget]


class Refused(ValueError):
    """A plan that does not get as far as a rehearsal.

    Attributes:
        stage: "parse" (the text is no plan, or one that does nothing), "compile" (no program can be made of it) or "program"
            (the one that came with it is none for this robot).
        reason: A PlanError's reason_code, a ProgramError's reason, "nothing_to_do" or "program_invalid".
    """

    def __init__(self, stage: str, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.stage, self.reason = stage, reason


@dataclass(frozen=True)
class Validated:
    """A plan with its program and what the rehearsal found."""

    plan: ActionPlan
    program: Program
    verdict: Verdict


def read_plan(text: str, robot: RobotSpec, world_map: WorldMap) -> ActionPlan:
    """The plan that a text is. Raises Refused("parse") for none, and for one that asks or refuses."""
    places = dict.fromkeys((*(place.id for place in world_map.places), *(LANDMARKS if world_map.road is not None else ())))
    try:
        plan = parse_plan(text, skills_for(robot.name), cameras=[c.name for c in robot.cameras], places=tuple(places))
    except PlanError as error:
        raise Refused("parse", error.reason_code, str(error)) from error
    if plan.decision != "act":
        raise Refused("parse", "nothing_to_do", f"a plan with decision {plan.decision} does nothing")
    return plan


def program_of(plan: ActionPlan, targets: Targets, scene: Scene, robot: RobotSpec, world_map: WorldMap, *,
               first_step: int = 0) -> Program:
    """The program of a plan's steps from first_step on. Raises Refused("compile"), ("parse") for a first step that it lacks."""
    if not 0 <= first_step < len(plan.steps):
        raise Refused("parse", "no_steps", f"first_step {first_step} of a plan of {len(plan.steps)} steps")
    rest = {index - first_step: target for index, target in targets.items() if index >= first_step}
    try:
        return compile_program(plan.steps[first_step:], rest, scene, robot, world_map)
    except ProgramError as error:
        raise Refused("compile", error.reason, str(error)) from error


def checked(program: Program, robot: RobotSpec, world_map: WorldMap) -> Program:
    """A program that somebody else made. Raises Refused("program")."""
    try:
        check_program(program, robot, world_map)
    except ValueError as error:
        raise Refused("program", "program_invalid", str(error)) from error
    return program


def validate(text: str, targets: Targets | Callable[[ActionPlan], Targets], scene: Scene, robot: RobotSpec,
             world_map: WorldMap, *, given: Program | None = None, first_step: int = 0, model: str = "",
             rollouts: int | None = None, seed: int = 0, progress: ProgramRunner | RoadRunner | None = None,
             config: RehearsalConfig | RoadRehearsalConfig | None = None) -> Validated:
    """The verdict on a plan in a scene.

    Args:
        text: The plan as JSON. targets: By step, or what finds them for a plan; not asked where a program is given.
        given: Its program, where somebody else made it. first_step: What was done before is left out.
        model: Hash of the model that made the plan. rollouts, seed, progress, config: As in `rehearse`.

    Raises Refused.
    """
    plan = read_plan(text, robot, world_map)
    if given is None:
        found = targets(plan) if callable(targets) else targets
        program = program_of(plan, found, scene, robot, world_map, first_step=first_step)
        if not program.segments:
            raise Refused("program", "nothing_to_do", "nothing in it moves or waits")
    else:
        program = checked(given, robot, world_map)
    binding = Binding(plan.sha256(), program.sha256(), scene.sha256(), robot.sha256, model, world_map.rules.sha256)
    verdict = rehearse(program, scene, robot, world_map, binding, rollouts=rollouts, seed=seed, progress=progress, config=config)
    return Validated(plan, program, verdict)
