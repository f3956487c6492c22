"""The twin's process: rehearses any plan, whoever made it, and publishes the verdict that the executor will ask for."""

from __future__ import annotations

import sys
import threading
from typing import Any

from geometry_msgs.msg import Point
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from jpai_agent.control import Program, ProgramError, compile_program
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, answer_of, run
from jpai_agent.nodes.scenes import SceneMemory
from jpai_agent.plan import ActionPlan, PlanError, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.scene import GroundedTarget, Scene
from jpai_msgs.msg import ErrorCode
from jpai_msgs.msg import Verdict as VerdictMsg
from jpai_msgs.srv import ResolveTarget, ValidatePlan

RESOLVE_WITHIN_S = 2.0
# the pictures show so many rollouts
SHOWN = 16


class Unrehearsable(Exception):
    """There is nothing to rehearse; `code` is one of ErrorCode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class TwinNode(GraphNode):
    """Answers /jpai/validate_plan. Parameters: `rollouts` (0: as configured), `seed` of the perturbations."""

    def __init__(self, **options: Any) -> None:
        super().__init__("twin_node", **options)
        self._rollouts: int = self.declare_parameter("rollouts", 0).value
        self._seed: int = self.declare_parameter("seed", 0).value
        self._skills = skills_for(self.robot.name)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Announce the service; the client has a group of its own, as it is used from within."""
        self._scenes = SceneMemory(self)
        self._verdict = self.create_lifecycle_publisher(VerdictMsg, topics.VERDICT, topics.VERDICTS)
        self._markers = self.create_lifecycle_publisher(MarkerArray, topics.ROLLOUTS, topics.LATCHED)
        beside = ReentrantCallbackGroup()
        self._resolve = self.create_client(ResolveTarget, topics.RESOLVE_TARGET, callback_group=beside)
        # one rehearsal at a time, beside the scenes that keep coming
        self._one = threading.Lock()
        self.create_service(ValidatePlan, topics.VALIDATE_PLAN, self._on_validate, callback_group=beside)
        return TransitionCallbackReturn.SUCCESS

    def hears(self) -> bool:
        """True once scenes arrive and perception would answer."""
        return self._scenes.latest() is not None and self._resolve.service_is_ready()

    def _on_validate(self, request: ValidatePlan.Request, response: ValidatePlan.Response) -> ValidatePlan.Response:
        try:
            with self._one:
                program, verdict = self._validate(request)
        except Unrehearsable as error:
            response.error_code, response.error_msg = error.code, str(error)
            return response
        response.verdict = convert.verdict_msg(verdict)
        response.program_json = convert.program_json(program)
        if not verdict.passed:
            failed = verdict.status == "fail"
            response.error_code = ErrorCode.REHEARSAL_FAILED if failed else ErrorCode.REHEARSAL_INVALID
            response.error_msg = verdict.reason
        self._verdict.publish(response.verdict)
        self._markers.publish(markers(verdict, response.verdict.made_at))
        self.get_logger().info(f"{verdict.id}: {verdict.status} {verdict.reason} in {verdict.wall_s:.2f} s")
        return response

    def _validate(self, request: ValidatePlan.Request) -> tuple[Program, Verdict]:
        """Raises Unrehearsable."""
        scene = self._scenes.by_id(request.scene_id)
        if scene is None:
            raise Unrehearsable(ErrorCode.SCENE_UNKNOWN, f"no scene {request.scene_id!r}")
        try:
            places = [place.id for place in self.world_map.places]
            plan = parse_plan(request.plan.json, self._skills, cameras=[c.name for c in self.robot.cameras], places=places)
            given = request.program_json
            program = convert.program(given) if given else self._compile(plan, request, scene)
            progress = convert.runner_at(request.progress_json, program, self.robot) if request.progress_json else None
        except PlanError as error:
            raise Unrehearsable(ErrorCode.PLAN_INVALID, f"{error.reason_code}: {error}") from error
        except ProgramError as error:
            raise Unrehearsable(ErrorCode.REHEARSAL_FAILED, f"{error.reason}: {error}") from error
        except ValueError as error:
            raise Unrehearsable(ErrorCode.PROGRAM_INVALID, str(error)) from error
        if not program.segments:
            raise Unrehearsable(ErrorCode.PROGRAM_INVALID, "nothing in it moves or waits")
        binding = Binding(plan.sha256(), program.sha256(), scene.sha256(), self.robot.sha256, request.plan.model)
        verdict = rehearse(
            program,
            scene,
            self.robot,
            self.world_map,
            binding,
            rollouts=self._rollouts or None,
            seed=self._seed,
            progress=progress,
        )
        return program, verdict

    def _compile(self, plan: ActionPlan, request: ValidatePlan.Request, scene: Scene) -> Program:
        if plan.decision != "act":
            raise Unrehearsable(ErrorCode.PLAN_INVALID, f"a plan with decision {plan.decision} does nothing")
        targets = self._targets(plan, request)
        first = request.first_step
        if first >= len(plan.steps):
            raise Unrehearsable(ErrorCode.PLAN_INVALID, f"first_step {first} of a plan of {len(plan.steps)} steps")
        rest = {index - first: target for index, target in targets.items() if index >= first}
        return compile_program(plan.steps[first:], rest, scene, self.robot, self.world_map)

    def _targets(self, plan: ActionPlan, request: ValidatePlan.Request) -> dict[int, GroundedTarget]:
        """The targets given, and those that perception finds for the rest. Raises Unrehearsable where it finds none."""
        if len(request.targets) != len(request.target_steps):
            raise Unrehearsable(ErrorCode.PLAN_INVALID, "targets and target_steps differ in length")
        found = {step: convert.target(t) for step, t in zip(request.target_steps, request.targets, strict=True)}
        for index, step in enumerate(plan.steps):
            target = step.target
            if target is None or target.deferred or index in found or index < request.first_step:
                continue
            asked = ResolveTarget.Request(
                label=target.label or "",
                camera=target.camera or "",
                place=target.place or "",
                image_stamp=request.plan.image_stamp,
                scene_id=request.scene_id,
            )
            if target.point is not None:
                asked.point = list(target.point)
            found[index] = self._resolved(asked, index)
        return found

    def _resolved(self, asked: ResolveTarget.Request, index: int) -> GroundedTarget:
        answer = answer_of(self._resolve, asked, RESOLVE_WITHIN_S)
        if answer is None:
            raise Unrehearsable(ErrorCode.NO_SCENE, "perception does not answer")
        if answer.error_code != ErrorCode.NONE:
            raise Unrehearsable(answer.error_code, f"step {index}: {answer.error_msg}")
        return convert.target(answer.target)


def markers(verdict: Verdict, stamp: Any) -> MarkerArray:
    """The rollouts' ways as lines in the map: green under a passed verdict, red under any other."""
    color = ColorRGBA(g=0.7, a=0.6) if verdict.passed else ColorRGBA(r=0.8, a=0.6)
    array = MarkerArray(markers=[Marker(action=Marker.DELETEALL)])
    for index, path in enumerate(verdict.paths[:SHOWN]):
        line = Marker(
            ns="rollouts",
            id=index,
            type=Marker.LINE_STRIP,
            action=Marker.ADD,
            color=color,
            points=[Point(x=float(p[0]), y=float(p[1]), z=0.05) for p in path],
        )
        line.header.frame_id, line.header.stamp, line.scale.x, line.pose.orientation.w = "map", stamp, 0.03, 1.0
        if len(line.points) > 1:
            array.markers.append(line)
    return array


def main() -> int:
    """Run the node."""
    return run(TwinNode, lambda: MultiThreadedExecutor(num_threads=3))


if __name__ == "__main__":
    sys.exit(main())
