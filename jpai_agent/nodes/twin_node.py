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

from jpai_agent.control import Program
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, answer_of, run
from jpai_agent.nodes.scenes import LOST_WITHIN_S, SceneMemory
from jpai_agent.plan import ActionPlan
from jpai_agent.twin.validate import Refused, checked, validate
from jpai_agent.twin.verdict import Verdict
from jpai_agent.world.scene import GroundedTarget
from jpai_msgs.msg import ErrorCode
from jpai_msgs.msg import Verdict as VerdictMsg
from jpai_msgs.srv import ResolveTarget, ValidatePlan

RESOLVE_WITHIN_S = 2.0
# far more than any program that can be checked
MOST_PROGRAM_CHARS = 4_000_000
_CODES = {
    "parse": ErrorCode.PLAN_INVALID,
    "compile": ErrorCode.REHEARSAL_FAILED,
    "program": ErrorCode.PROGRAM_INVALID,
}
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
            response.error_msg = f"{verdict.reason}: {verdict.in_words()}"
        self._verdict.publish(response.verdict)
        self._markers.publish(markers(verdict, response.verdict.made_at))
        low = f"{verdict.pass_rate:.2f} (at least {verdict.pass_rate_low:.2f})"
        self.get_logger().info(f"{verdict.id}: {verdict.status} {verdict.reason}, {low}, in {verdict.wall_s:.2f} s")
        return response

    def _validate(self, request: ValidatePlan.Request) -> tuple[Program, Verdict]:
        """Raises Unrehearsable."""
        scene = self._scenes.by_id(request.scene_id, LOST_WITHIN_S)
        if scene is None:
            raise Unrehearsable(ErrorCode.SCENE_UNKNOWN, f"no scene {request.scene_id!r}")
        try:
            if len(request.program_json) > MOST_PROGRAM_CHARS:
                raise ValueError(f"a program of {len(request.program_json)} characters")
            given = convert.program(request.program_json) if request.program_json else None
            progress = None
            if request.progress_json and given is not None:
                progress = convert.runner_at(request.progress_json, checked(given, self.robot, self.world_map), self.robot)
            done = validate(
                request.plan.json,
                lambda plan: self._targets(plan, request),
                scene,
                self.robot,
                self.world_map,
                given=given,
                first_step=request.first_step,
                model=request.plan.model,
                rollouts=self._rollouts or None,
                seed=self._seed,
                progress=progress,
            )
        except Refused as error:
            raise Unrehearsable(_CODES[error.stage], str(error)) from error
        except ValueError as error:
            raise Unrehearsable(ErrorCode.PROGRAM_INVALID, str(error)) from error
        return done.program, done.verdict

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
