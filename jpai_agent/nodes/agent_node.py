"""The agent's process: hears instructions and sees them through, with its parts in other processes."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_msgs.msg import Bool, Empty, String

from jpai_agent.agent import Agent, ThreadWorker
from jpai_agent.agent.events import Event, Planned, Replied
from jpai_agent.agent.mind import Ready, Turned
from jpai_agent.control import Program
from jpai_agent.language import InstructionError, failure, normalise, plan_reply, stop_word
from jpai_agent.nodes import topics
from jpai_agent.nodes.base import GraphNode, run, stamp_of
from jpai_agent.nodes.recording import record_gate
from jpai_agent.nodes.remote import RemoteCamera, RemoteExecutor, RemotePerception, RemoteTwin
from jpai_agent.nodes.turns import Turn, Turns
from jpai_agent.plan import ActionPlan, PlanError, parse_plan
from jpai_agent.record import RunRecorder
from jpai_agent.record.audit_events import AuditEvents
from jpai_agent.record.audit_writer import AuditWriter
from jpai_agent.record.certificate import read_certificate
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmClient, VlmError
from jpai_agent.world.scene import Scene
from jpai_agent.world.sensors import Observation
from jpai_msgs.action import ExecuteInstruction
from jpai_msgs.msg import ErrorCode, Heard, Plan, Reply
from jpai_msgs.srv import PlanInstruction, ValidatePlan

HEARTBEAT_TICKS = 4
RECORD_SCENE_TICKS = 10
# without a scene for this long what was to be done is given up
BLIND_S = 5.0
_MODEL_CODES = {
    "model_timeout": ErrorCode.MODEL_TIMEOUT,
    "plan_error": ErrorCode.PLAN_INVALID,
    "image_missing": ErrorCode.NO_IMAGE,
    "image_size": ErrorCode.IMAGE_UNUSABLE,
    "image_encoding": ErrorCode.IMAGE_UNUSABLE,
    "image_black": ErrorCode.IMAGE_UNUSABLE,
    "empty": ErrorCode.INSTRUCTION_EMPTY,
    "too_long": ErrorCode.INSTRUCTION_TOO_LONG,
}
# stops that this node passes on begin like this, so that it does not take them for news
OWN_STOP = "agent: "


class Model:
    """The model server, and why it gave no plan when it gave none."""

    def __init__(self, endpoint: str, timeout_s: float, camera: RemoteCamera, certified: str = "", keys: str = "") -> None:
        self._client = VlmClient(endpoint or None, timeout_s, state=Path(keys) if keys else None)
        self._camera = camera
        self._certified = certified
        self.name = "server"
        self.sha256 = ""
        self.code: int = ErrorCode.NONE

    def plan(self, request: PlanRequest) -> PlanAnswer:
        """As of any backend."""
        self.code = ErrorCode.NONE
        try:
            if self._camera.fault is not None:
                raise self._camera.fault
            known = self.sha256 = self.sha256 or str(self._client.heartbeat()["sha256"])
            if self._certified and known != self._certified:
                raise VlmError("uncertified", f"the server has model {known[:12]}…, certified is {self._certified[:12]}…")
            answer = self._client.plan(request)
            if answer.sha256 != known:
                raise VlmError("model_unavailable", "the model server is another one since it said who it is")
        except VlmError as error:
            self.code = _MODEL_CODES.get(error.reason_code, ErrorCode.MODEL_UNAVAILABLE)
            # whoever comes back may be another one
            self.sha256 = ""
            raise
        self.code = ErrorCode.PLAN_INVALID
        return answer

    def warm(self, request: PlanRequest) -> None:
        """As of any backend."""
        self._client.warm(request)

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()


class GraphAgent(Agent):
    """The agent with perception, execution and rehearsal in other processes."""

    def __init__(self, node: GraphNode, model: Model, camera: RemoteCamera, observers: list[Callable[[Event], Any]],
                 audit: AuditWriter) -> None:
        audited = AuditEvents(audit, lambda: model.sha256)
        self.remote = RemoteExecutor(node, lambda: audited.written)
        self.twin, self._model, self._audit = RemoteTwin(node), model, audit
        super().__init__(
            node.robot,
            node.world_map,
            model,
            ThreadWorker(),
            camera.capture,
            [*observers, audited],
            perception=RemotePerception(node),  # type: ignore[arg-type]
            executor=self.remote,  # type: ignore[arg-type]
            rehearse=self._rehearse_there,
        )

    def _rehearse_there(self, plan: ActionPlan, program: Program, scene: Scene, binding: Binding, run: Any) -> Verdict:
        return self.twin.rehearse(plan, program, scene, binding, run.progress if run is not None else "")

    def _start(self, ready: Ready) -> None:
        """As any agent's, but nothing new begins while what is said and done cannot be recorded."""
        if self._audit.fault is not None:
            raise Turned("refuse", "unsafe", failure("unrecorded"))
        super()._start(ready)

    @property
    def model_id(self) -> str:
        """Hash of the model that the server has loaded."""
        return self._model.sha256


class AgentNode(GraphNode):
    """One thread spins the node, one drives the agent at the control rate; what comes in is handed over in a queue.

    Parameters: `vlm_endpoint` (ZeroMQ address of the model server), `vlm_keys` (folder of the state, with the keys that it is
    asked with where it is beyond this machine; "": the user's), `vlm_timeout_s`, `record` (an empty folder for the
    run's record; "": none is kept), `certificate` (its file: no other model than the one that it names may plan; "": any may).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("agent_node", **options)
        self._endpoint: str = self.declare_parameter("vlm_endpoint", "").value
        self._keys: str = self.declare_parameter("vlm_keys", "").value
        self._timeout_s: float = self.declare_parameter("vlm_timeout_s", 5.0).value
        self._record: str = self.declare_parameter("record", "").value
        self._recorder: RunRecorder | None = None
        self._audit = self.open_audit()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._driver: threading.Thread | None = None
        self._seeing_at_s = self.steady_s()
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpai-beside")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the agent and announce what it hears and says."""
        self._camera = RemoteCamera(self)
        self._model = Model(self._endpoint, self._timeout_s, self._camera, self._certified_model(), self._keys)
        self._turns = Turns(lambda: self._model.code, lambda: self._model.sha256)
        observers: list[Callable[[Event], Any]] = [self._turns.take, self._publish]
        if self._record:
            self._recorder = RunRecorder(self._record, self.robot, self.world_map, pictures=False)
            record_gate(self, self._recorder)
            observers.append(self._recorder)
        self._agent = GraphAgent(self, self._model, self._camera, observers, self._audit)
        self._plans = self.create_lifecycle_publisher(Plan, topics.PLAN, topics.LATCHED)
        self._replies = self.create_lifecycle_publisher(Reply, topics.REPLY, topics.WORDS)
        self._stops = self.create_publisher(String, topics.STOP, topics.WORDS)
        self._heartbeat = self.create_publisher(Empty, topics.AGENT_HEARTBEAT, topics.COMMAND)
        self.create_subscription(String, topics.INSTRUCTION, self._on_instruction, topics.WORDS)
        self.create_subscription(Heard, topics.HEARD, self._on_heard, topics.WORDS)
        self.create_subscription(String, topics.STOP, self._on_stop, topics.WORDS)
        self.create_subscription(Bool, topics.ESTOP, self._on_estop, topics.WORDS)
        # in a group of its own: it waits for frames, which the others take in
        self.create_service(PlanInstruction, topics.PLAN_INSTRUCTION, self._on_plan, callback_group=ReentrantCallbackGroup())
        self._action = ActionServer(
            self, ExecuteInstruction, topics.EXECUTE_INSTRUCTION, self._execute, cancel_callback=self._on_cancel
        )
        return TransitionCallbackReturn.SUCCESS

    def _certified_model(self) -> str:
        """Hash of the only model that may plan; "" where any may, as in simulation. Raises CertificateError."""
        path: str = self.declare_parameter("certificate", "").value
        return read_certificate(Path(path)).subject.model_sha256 if path else ""

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen."""
        self._ending.clear()
        self._driver = threading.Thread(target=self._drive, name="jpai-agent", daemon=True)
        result = super().on_activate(state)
        self._driver.start()
        return result

    def hears(self) -> bool:
        """True once scenes arrive and all who do its work would answer."""
        agent = self._agent
        return agent.perception.ready and agent.remote.ready and agent.twin.ready and self._camera.ready

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and listen no longer."""
        self._inbox.put(self._stop)
        self._rest()
        return super().on_deactivate(state)

    def close(self) -> None:
        """End the agent's thread, and let what is waiting reach the audit log."""
        self._rest()
        self._audit.close()

    def _rest(self) -> None:
        self._ending.set()
        if self._driver is not None:
            self._driver.join(timeout=2.0)
            self._driver = None
        if self._recorder is not None:
            self._recorder.close()

    # --- the agent's thread

    def _drive(self) -> None:
        period_s = 1.0 / self.robot.control_rate_hz
        ticks = 0
        try:
            while not self._ending.wait(period_s):
                while not self._inbox.empty():
                    self._inbox.get()()
                    self._turns.settle()
                wanted = self._agent.tick(Observation(self.now_s()))
                if self._recorder is not None and self._agent.perception.ready:
                    scene = self._agent.perception.scene()
                    self._recorder.tick(self.now_s(), scene if ticks % RECORD_SCENE_TICKS == 0 else None, scene.robot, wanted)
                self._give_up_when_blind()
                self._turns.settle()
                if ticks % HEARTBEAT_TICKS == 0:
                    self._heartbeat.publish(Empty())
                ticks += 1
        except Exception:
            # an agent that fails must not go on half alive: its silence stops the robot, its exit is reported
            if self.context.ok():
                traceback.print_exc()
                self.failed = True
                self.context.try_shutdown()

    def _give_up_when_blind(self) -> None:
        now_s = self.steady_s()
        if self._agent.perception.ready:
            self._seeing_at_s = now_s
        elif now_s - self._seeing_at_s > BLIND_S:
            self._seeing_at_s = now_s
            self._agent.stop(self.now_s())
            self._turns.drop(ErrorCode.NO_SCENE, "perception is silent")

    def _hear(self, turn: Turn, unsure: bool = False) -> None:
        self._turns.begin(turn)
        if turn.canceled:
            self._turns.drop(ErrorCode.CANCELED, "canceled before it was heard")
            return
        try:
            normalise(turn.text)
        except InstructionError as error:
            turn.code, turn.message = _instruction_code(error), str(error)
        self._agent.hear(turn.text, self.now_s(), unsure=unsure)

    def _stop(self) -> None:
        self._agent.stop(self.now_s())
        self._turns.drop(ErrorCode.STOPPED, "stopped")

    def _publish(self, event: Event) -> None:
        if isinstance(event, Replied):
            turn = self._turns.planned or self._turns.running
            self.get_logger().info(event.text)
            self._replies.publish(Reply(stamp=stamp_of(event.time_s), session=turn.session if turn else "", text=event.text))
        elif isinstance(event, Planned) and event.plan is not None and self._turns.planned is not None:
            self._plans.publish(self._turns.planned.plan)

    # --- the node's thread

    def _on_instruction(self, message: String) -> None:
        self._inbox.put(lambda: self._hear(Turn(message.data)))

    def _on_heard(self, message: Heard) -> None:
        # what was heard clearly comes as an instruction
        if message.kind == Heard.UNSURE:
            self._inbox.put(lambda: self._hear(Turn(message.text), unsure=True))

    def _on_stop(self, message: String) -> None:
        if not message.data.startswith(OWN_STOP):
            self._inbox.put(self._stop)

    def _on_estop(self, message: Bool) -> None:
        if message.data:
            self._inbox.put(self._stop)

    async def _execute(self, handle: ServerGoalHandle) -> ExecuteInstruction.Result:
        goal = handle.request
        ended: Future = Future()
        turn = Turn(goal.instruction, goal.session, handle, self._feed_back, ended.set_result)
        if goal.rehearse_only:
            await self._aside(self._rehearse_only, turn)
        else:
            if stop_word(goal.instruction, self._agent.moving, vehicle=self.robot.ackermann is not None):
                self._stops.publish(String(data=f"{OWN_STOP}stop word in a goal"))
            self._inbox.put(lambda: self._hear(turn))
            await ended
        if handle.is_cancel_requested:
            handle.canceled()
        elif turn.code == ErrorCode.NONE:
            handle.succeed()
        else:
            handle.abort()
        return ExecuteInstruction.Result(
            error_code=turn.code, error_msg=turn.message, reply=turn.reply, plan=turn.plan, verdict=turn.verdict
        )

    def _feed_back(self, turn: Turn) -> None:
        if turn.goal.is_active:
            turn.goal.publish_feedback(
                ExecuteInstruction.Feedback(stage=turn.stage, step=turn.step, plan=turn.plan, verdict=turn.verdict)
            )

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        def cancel() -> None:
            for turn in (self._turns.planned, self._turns.running):
                if turn is not None and turn.goal is not None and turn.goal.goal_id == handle.goal_id:
                    turn.canceled = True
                    self._stop()

        self._inbox.put(cancel)
        return CancelResponse.ACCEPT

    # --- planning without doing

    async def _on_plan(self, request: PlanInstruction.Request, response: PlanInstruction.Response) -> PlanInstruction.Response:
        turn = Turn(request.instruction, request.session)
        await self._aside(self._plan_only, turn)
        response.error_code, response.error_msg, response.plan = turn.code, turn.message, turn.plan
        return response

    async def _aside(self, work: Callable[[Turn], Any], turn: Turn) -> None:
        """Do slow work for a turn on another thread; what it raises becomes the turn's ending."""
        ended: Future = Future()
        self._beside.submit(work, turn).add_done_callback(lambda job: ended.set_result(job.exception()))
        error = await ended
        if error is not None:
            turn.code, turn.message = ErrorCode.UNKNOWN, f"{type(error).__name__}: {error}"
            self.get_logger().error(turn.message)

    def _plan_only(self, turn: Turn) -> ActionPlan | None:
        """The model's plan on the frame of now, into the turn; None, and the turn's code, when there is none."""
        places = {place.id: place.names for place in self.world_map.places}
        name = self._agent.config.camera
        try:
            words = normalise(turn.text).text
            image = self._camera.capture(name)
            answer = self._model.plan(PlanRequest(words, {name: image.rgb}, self.robot.name, places=places))
            plan = parse_plan(answer.text, self._agent.skills, cameras=(name,), places=tuple(places))
        except InstructionError as error:
            turn.code, turn.message, turn.reply = _instruction_code(error), str(error), error.reply
        except VlmError as error:
            turn.code, turn.message, turn.reply = self._model.code, str(error), error.reply
        except PlanError as error:
            turn.code, turn.message = ErrorCode.PLAN_INVALID, f"{error.reason_code}: {error}"
        else:
            turn.reply = plan_reply(plan, {key: names[0] for key, names in places.items()}, self.world_map.home,
                                    vehicle=self.robot.ackermann is not None)
            turn.plan = Plan(
                id=f"plan-{plan.sha256()[:12]}",
                json=plan.to_json(),
                sha256=plan.sha256(),
                instruction=turn.text,
                session=turn.session,
                image_stamp=stamp_of(image.stamp_s),
                model=self._model.sha256,
            )
            return plan
        return None

    def _rehearse_only(self, turn: Turn) -> None:
        plan = self._plan_only(turn)
        if plan is not None and plan.decision != "act":
            turn.code = ErrorCode.ASKED if plan.decision == "ask" else ErrorCode.REFUSED
            turn.message = f"{plan.decision}: {plan.reason}"
        elif plan is not None:
            response = self._agent.twin.validate(ValidatePlan.Request(plan=turn.plan))
            if response is None:
                turn.code, turn.message = ErrorCode.REHEARSAL_UNAVAILABLE, "the twin does not answer"
            else:
                turn.code, turn.message, turn.verdict = response.error_code, response.error_msg, response.verdict


def _instruction_code(error: InstructionError) -> int:
    return {"empty": ErrorCode.INSTRUCTION_EMPTY, "too_long": ErrorCode.INSTRUCTION_TOO_LONG}.get(
        error.reason_code, ErrorCode.INSTRUCTION_UNREADABLE
    )


def main() -> int:
    """Run the node."""
    return run(AgentNode)


if __name__ == "__main__":
    sys.exit(main())
