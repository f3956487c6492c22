"""The executor's process: runs a rehearsed program under its verdict and asks the gate for speeds."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import TwistStamped
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_msgs.msg import Empty

from jpai_agent.agent.executor import Executor, NotPermitted, Run
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, run
from jpai_agent.nodes.scenes import LOST_WITHIN_S, SceneMemory
from jpai_agent.nodes.vehicle import route_for
from jpai_agent.plan import PlanError, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_msgs.action import ExecutePlan
from jpai_msgs.msg import ErrorCode, ExecutorStatus, GateStatus
from jpai_msgs.msg import Verdict as VerdictMsg
from jpai_msgs.srv import UpdateRun

# a plan whose start is not on the disk by then is refused
RECORD_WITHIN_S = 3.0
GATE_SILENT_S = 1.0
AGENT_SILENT_S = 2.5
SCENE_OLD_S = 0.5
FEEDBACK_EVERY_S = 0.2
VERDICTS_KEPT = 32
_REFUSING = {GateStatus.LOCKED: ErrorCode.GATE_LOCKED, GateStatus.LATCHED: ErrorCode.GATE_LATCHED}


@dataclass
class Ending:
    """How a goal ends."""

    code: int
    message: str = ""
    reason: str = ""
    step: int = 0


@dataclass
class Going:
    """The goal under way."""

    handle: ServerGoalHandle
    run: Run
    ended: Future
    watched: bool
    told_s: float = 0.0
    told: tuple[Any, ...] = ()


class Refused(Exception):
    """A goal that may not start; `ending` says why."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.ending = Ending(code, message, reason)


class ExecutorNode(GraphNode):
    """Ticks the running program with every scene and publishes what it wants; its heartbeat goes on by itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__("executor_node", **options)
        self._executor = Executor(self.robot, self.world_map)
        self._skills = skills_for(self.robot.name)
        self._going: Going | None = None
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._awaited: dict[str, list[Future]] = {}
        self._gate: GateStatus | None = None
        self._gate_at_s = self._agent_at_s = 0.0
        self._plan_id, self._gate_stops = "", 0
        self._sequence = 0
        self._route = route_for(self, self.robot)
        self._audit = self.open_audit()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Announce the action and listen."""
        self._scenes = SceneMemory(self, self._on_scene)
        self._request = self.create_lifecycle_publisher(TwistStamped, topics.CMD_VEL_REQUEST, topics.COMMAND)
        self._status = self.create_lifecycle_publisher(ExecutorStatus, topics.EXECUTOR_STATUS, topics.COMMAND)
        self.create_subscription(VerdictMsg, topics.VERDICT, self._on_verdict, topics.VERDICTS)
        self.create_subscription(GateStatus, topics.GATE_STATUS, self._on_gate, topics.LATCHED)
        self.create_subscription(Empty, topics.AGENT_HEARTBEAT, self._on_agent, topics.COMMAND)
        self.create_service(UpdateRun, topics.EXECUTOR_UPDATE, self._on_update)
        self.create_timer(1.0 / self.robot.control_rate_hz, self._beat, clock=self.steady)
        self._action = ActionServer(self, ExecutePlan, topics.EXECUTE_PLAN, self._execute, cancel_callback=self._on_cancel)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop what runs; the gate stops the robot for want of a heartbeat."""
        self._end(Ending(ErrorCode.CANCELED, "the executor was deactivated"))
        return super().on_deactivate(state)

    def close(self) -> None:
        """Let what is waiting reach the audit log."""
        self._audit.close()

    def hears(self) -> bool:
        """True once scenes arrive and the gate has spoken."""
        return self._scenes.latest() is not None and self._gate is not None

    # --- goals

    async def _execute(self, handle: ServerGoalHandle) -> ExecutePlan.Result:
        try:
            verdict = await self._verdict(handle.request.verdict_id)
            if verdict is not None:
                await self._scene(verdict.binding.scene)
            await self._recorded(handle.request)
            going = self._start(handle, verdict)
        except Refused as refused:
            self.get_logger().warning(f"refused: {refused}")
            ending = refused.ending
            self._audit.note("refused", plan=handle.request.plan_id, verdict=handle.request.verdict_id, why=str(refused))
        else:
            ending = await going.ended
        if handle.is_cancel_requested:
            handle.canceled()
        elif ending.code == ErrorCode.NONE:
            handle.succeed()
        else:
            handle.abort()
        return ExecutePlan.Result(error_code=ending.code, error_msg=ending.message, reason=ending.reason, step=ending.step)

    async def _verdict(self, verdict_id: str) -> Verdict | None:
        if verdict_id not in self._verdicts:
            await self._arrival(verdict_id)
        return self._verdicts.get(verdict_id)

    async def _scene(self, sha256: str) -> None:
        """Wait for a scene that others may have taken in sooner: this node takes them one by one, and may be some behind."""
        if self._scenes.by_hash(sha256) is None:
            await self._arrival(sha256)

    async def _arrival(self, name: str) -> None:
        """Wait until a verdict of that id, or a scene of that hash, has arrived, but not for ever."""
        arrived: Future = Future()
        self._awaited.setdefault(name, []).append(arrived)
        timer = self.create_timer(LOST_WITHIN_S, lambda: arrived.done() or arrived.set_result(None), clock=self.steady)
        await arrived
        self.destroy_timer(timer)
        self._awaited.pop(name, None)

    def _arrived(self, name: str) -> None:
        for waiting in self._awaited.pop(name, []):
            if not waiting.done():
                waiting.set_result(None)

    async def _recorded(self, goal: ExecutePlan.Goal) -> None:
        """Have it put down that a goal is about to start, before anything moves. Raises Refused when that cannot be done."""
        hashes = {name: hashlib.sha256(text.encode()).hexdigest()
                  for name, text in (("plan_sha256", goal.plan_json), ("program_sha256", goal.program_json))}
        note = self._audit.note("start", plan=goal.plan_id, verdict=goal.verdict_id, **hashes)
        error = await self.done(note, RECORD_WITHIN_S)
        if error is not None:
            raise Refused(ErrorCode.EXECUTION_FAILED, f"its start cannot be recorded: {error}", "unrecorded")

    def _start(self, handle: ServerGoalHandle, verdict: Verdict | None) -> Going:
        """Begin a goal in place of the one that runs. Raises Refused."""
        goal = handle.request
        if verdict is None:
            raise Refused(ErrorCode.VERDICT_REFUSED, f"the twin has published no verdict {goal.verdict_id!r}")
        if self._gate is None or self.steady_s() - self._gate_at_s > GATE_SILENT_S:
            raise Refused(ErrorCode.GATE_LOCKED, "the gate is silent")
        if self._gate.state in _REFUSING:
            raise Refused(_REFUSING[self._gate.state], "; ".join(self._gate.reasons))
        try:
            places = [place.id for place in self.world_map.places]
            cameras = [camera.name for camera in self.robot.cameras]
            plan = parse_plan(goal.plan_json, self._skills, cameras=cameras, places=places)
            program = convert.program(goal.program_json)
        except PlanError as error:
            raise Refused(ErrorCode.PLAN_INVALID, f"{error.reason_code}: {error}") from error
        except ValueError as error:
            raise Refused(ErrorCode.PROGRAM_INVALID, str(error)) from error
        scene = self._scenes.by_hash(verdict.binding.scene)
        if scene is None:
            raise Refused(ErrorCode.SCENE_UNKNOWN, f"verdict {verdict.id} is on a scene that was not published lately")
        # of the model only the twin knows; all else is checked here against what is about to run
        binding = Binding(plan.sha256(), program.sha256(), scene.sha256(), self.robot.sha256, verdict.binding.model,
                          self.world_map.rules.sha256)
        now_s = self.now_s()
        try:
            started = self._executor.start(plan, program, verdict, binding, scene, now_s)
        except NotPermitted as error:
            raise Refused(ErrorCode.VERDICT_REFUSED, str(error)) from error
        if self._going is not None:
            self._settle(Ending(ErrorCode.PREEMPTED, f"replaced by {started.id}"))
        self._plan_id, self._gate_stops = started.id, self._gate.stops
        watched = self.steady_s() - self._agent_at_s < AGENT_SILENT_S
        self._going = Going(handle, started, Future(), watched)
        if self._route is not None:
            self._route.follow(program)
        self.get_logger().info(f"{started.id} begins under {verdict.id}")
        self._audit.note("begun", plan=goal.plan_id, run=started.id, verdict=verdict.id)
        self._beat()
        self._tell(self._going)
        return self._going

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        if self._going is not None and self._going.handle.goal_id == handle.goal_id:
            self._end(Ending(ErrorCode.CANCELED, "canceled"))
        return CancelResponse.ACCEPT

    def _end(self, ending: Ending) -> None:
        """Drop the program, so that the next ticks brake, and end its goal."""
        self._executor.cancel()
        if self._going is not None:
            self._settle(ending)

    def _settle(self, ending: Ending) -> None:
        going, self._going = self._going, None
        assert going is not None
        ending.step = going.run.step
        self.get_logger().info(f"{going.run.id} ends: {ending.message or 'done'}")
        self._audit.note("end", plan=going.handle.request.plan_id, run=going.run.id, code=ending.code, why=ending.message,
                         step=ending.step)
        going.ended.set_result(ending)

    # --- what arrives

    def _on_scene(self) -> None:
        scene = self._scenes.latest()
        if scene is not None and self._awaited:
            self._arrived(scene.sha256())
        if scene is None or not abs(self.now_s() - scene.stamp_s) <= SCENE_OLD_S:
            return
        v_mps, w_radps = self._executor.tick(scene, scene.stamp_s)
        request = TwistStamped()
        request.header.stamp, request.header.frame_id = self.get_clock().now().to_msg(), "base_link"
        request.twist.linear.x, request.twist.angular.z = v_mps, w_radps
        self._request.publish(request)
        going = self._going
        if going is None:
            return
        outcome = going.run.outcome
        if outcome is None or (outcome == "done" and going.run.carrying):
            self._tell(going)
        elif outcome == "done":
            self._end(Ending(ErrorCode.NONE))
        else:
            self._end(Ending(ErrorCode.EXECUTION_FAILED, f"gave up: {outcome}", outcome))

    def _tell(self, going: Going) -> None:
        """Feedback, when something has changed and every now and then."""
        run = going.run
        carrying = run.outcome == "done" and run.carrying
        told = (run.step, int(run.runner.segment[0]), run.look_label or "", run.change or "", carrying)
        now_s = self.steady_s()
        if told == going.told and now_s - going.told_s < FEEDBACK_EVERY_S:
            return
        going.told, going.told_s = told, now_s
        progress = convert.progress_json(run.runner) if run.change else ""
        going.handle.publish_feedback(
            ExecutePlan.Feedback(
                step=told[0],
                segment=told[1],
                wants_look=told[2],
                wants_rehearsal=told[3],
                progress_json=progress,
                carrying=carrying,
            )
        )

    def _on_verdict(self, message: VerdictMsg) -> None:
        arrived = convert.verdict(message)
        if not arrived.genuine:
            self.get_logger().error(f"verdict {message.id} was altered on the way; it is ignored")
            return
        if message.id in self._verdicts:
            # who says it again adds nothing
            return
        self._verdicts[message.id] = arrived
        while len(self._verdicts) > VERDICTS_KEPT:
            self._verdicts.popitem(last=False)
        self._arrived(message.id)

    def _on_gate(self, message: GateStatus) -> None:
        self._gate, self._gate_at_s = message, self.steady_s()
        # the gate knows of this run and is not open: it was stopped after it began
        if self._going is not None and message.state != GateStatus.OPEN and message.plan_id == self._going.run.id:
            code = _REFUSING.get(message.state, ErrorCode.STOPPED)
            self._end(Ending(code, f"the gate stopped it: {'; '.join(message.reasons)}", "stopped"))

    def _on_agent(self, message: Empty) -> None:
        self._agent_at_s = self.steady_s()

    def _on_update(self, request: UpdateRun.Request, response: UpdateRun.Response) -> UpdateRun.Response:
        going = self._going
        if going is None or going.handle.request.plan_id != request.plan_id:
            response.error_code, response.error_msg = ErrorCode.UNKNOWN, f"plan {request.plan_id!r} does not run"
        elif request.kind == UpdateRun.Request.LOOKED:
            going.run.runner.looked(request.found)
        elif request.kind == UpdateRun.Request.REHEARSED:
            self._renew(going.run, request.verdict_id, response)
        elif request.kind == UpdateRun.Request.HELD:
            going.run.held = going.run.change is not None
        else:
            response.error_code, response.error_msg = ErrorCode.UNKNOWN, f"kind {request.kind} is none"
        return response

    def _renew(self, running: Run, verdict_id: str, response: UpdateRun.Response) -> None:
        verdict = self._verdicts.get(verdict_id)
        scene = self._scenes.by_hash(verdict.binding.scene) if verdict is not None else None
        response.error_code = ErrorCode.VERDICT_REFUSED
        if verdict is None or scene is None:
            response.error_msg = f"verdict {verdict_id!r} or its scene is not known"
        elif verdict.binding.program != running.program.sha256():
            response.error_msg = f"verdict {verdict_id} is on another program"
        else:
            try:
                self._executor.rehearsed(verdict, scene)
                response.error_code = ErrorCode.NONE
            except NotPermitted as error:
                response.error_msg = str(error)

    def _beat(self) -> None:
        going = self._going
        if going is not None and going.watched and self.steady_s() - self._agent_at_s > AGENT_SILENT_S:
            self._end(Ending(ErrorCode.EXECUTION_FAILED, "the agent that watches over it is silent", "agent_lost"))
            going = None
        self._sequence = (self._sequence + 1) % 2**32
        self._status.publish(
            ExecutorStatus(
                stamp=self.get_clock().now().to_msg(),
                sequence=self._sequence,
                plan_id=self._plan_id,
                gate_stops=self._gate_stops,
                step=going.run.step if going is not None else -1,
            )
        )


def main() -> int:
    """Run the node."""
    return run(ExecutorNode)


if __name__ == "__main__":
    sys.exit(main())
