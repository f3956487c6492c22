"""The agent's parts that live in other processes: perception, executor, twin and camera.

All of them are used from the agent's thread (the twin from its worker's) while another thread spins the node.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Empty

from jpai_agent.agent.executor import leads_to_road_end
from jpai_agent.control import Program
from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.base import GraphNode, answer_of, seconds, stamp_of
from jpai_agent.nodes.scenes import SceneMemory
from jpai_agent.plan import ActionPlan, Target
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.vlm import VlmError
from jpai_agent.world.scene import GroundedTarget, RobotState, Scene
from jpai_agent.world.sensors import Image, Observation
from jpai_msgs.action import ExecutePlan
from jpai_msgs.msg import ErrorCode, ExecutorStatus, Plan
from jpai_msgs.srv import ResolveTarget, UpdateRun, ValidatePlan

SCENE_OLD_S = 0.5
RESOLVE_WITHIN_S = 1.0
REHEARSE_WITHIN_S = 30.0
FRAME_WITHIN_S = 2.0
EXECUTOR_SILENT_S = 1.0
TAKEN_WITHIN_S = 5.0
# how an aborted goal's code is worded for the agent
_OUTCOMES = {
    ErrorCode.GATE_LATCHED: "estop",
    ErrorCode.GATE_LOCKED: "locked",
    ErrorCode.STOPPED: "stopped",
    ErrorCode.CANCELED: "stopped",
    ErrorCode.VERDICT_REFUSED: "changed",
    ErrorCode.SCENE_UNKNOWN: "changed",
}


class RemotePerception:
    """Perception's belief as /jpai/scene tells it."""

    def __init__(self, node: GraphNode) -> None:
        self._node = node
        self._scenes = SceneMemory(node)
        self._resolve = node.create_client(ResolveTarget, topics.RESOLVE_TARGET)

    @property
    def ready(self) -> bool:
        """True while scenes keep coming."""
        scene = self._scenes.latest()
        return scene is not None and abs(self._node.now_s() - scene.stamp_s) < SCENE_OLD_S

    def can_ground(self, camera: str) -> bool:
        """True once points in a frame of now could be found."""
        return self.ready

    def update(self, observation: Observation) -> None:
        """Nothing: the perception node hears the sensors itself."""

    def scene(self) -> Scene:
        """The newest scene. Raises RuntimeError before the first."""
        scene = self._scenes.latest()
        if scene is None:
            raise RuntimeError("no scene yet")
        return scene

    def robot_state(self) -> RobotState:
        """Pose and speed as in the newest scene."""
        return self.scene().robot

    def ground(self, target: Target, scene: Scene, image_stamp_s: float) -> GroundedTarget | None:
        """The target found in the world, or None; None too when the perception node does not answer."""
        asked = ResolveTarget.Request(
            label=target.label or "",
            camera=target.camera or "",
            place=target.place or "",
            image_stamp=stamp_of(image_stamp_s),
            scene_id=scene.id,
        )
        if target.point is not None:
            asked.point = list(target.point)
        answer = answer_of(self._resolve, asked, RESOLVE_WITHIN_S)
        if answer is None or answer.error_code != ErrorCode.NONE:
            self._node.get_logger().info(f"{target.to_dict()}: {answer.error_msg if answer else 'perception does not answer'}")
            return None
        return convert.target(answer.target)


@dataclass
class RemoteRunner:
    """Where the running program is. `segment` (1,): index of the present segment."""

    looked: Callable[[bool], None]
    segment: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=int))


@dataclass
class RemoteRun:
    """A program that the executor node runs; like `agent.executor.Run`. `progress` is its runner's state, as JSON.

    `hold` has the node stand still until the rest has passed again. `sent_at_s`: on the node's steady clock.
    """

    id: str
    plan: ActionPlan
    program: Program
    scene: Scene
    verdict: Verdict
    runner: RemoteRunner
    hold: Callable[[], None]
    sent_at_s: float
    step: int = 0
    look_label: str | None = None
    change: str | None = None
    outcome: str | None = None
    progress: str = ""
    updating: bool = False
    dropped: bool = False
    told: bool = False
    carrying: bool = False
    handle: ClientGoalHandle | None = None
    _held: bool = False

    @property
    def at_road_end(self) -> bool:
        """As of `agent.executor.Run`."""
        return leads_to_road_end(self.program)

    @property
    def going(self) -> bool:
        """The executor node still moves the robot for it."""
        return self.outcome is None or self.carrying

    @property
    def held(self) -> bool:
        """As of `agent.executor.Run`."""
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        if held and not self._held:
            self.hold()
        self._held = held


class RemoteExecutor:
    """The executor node behind the interface of `agent.executor.Executor`; `tick` gives zero, as the node commands.

    Args:
        node: The agent's. recorded: The future of what was put down so far; a program is sent when that is on disk, so that
            no start stands in the audit log before its verdict.
    """

    def __init__(self, node: GraphNode, recorded: Callable[[], Future[None]]) -> None:
        self.run: RemoteRun | None = None
        self._node, self._recorded = node, recorded
        self._action = ActionClient(node, ExecutePlan, topics.EXECUTE_PLAN)
        self._update = node.create_client(UpdateRun, topics.EXECUTOR_UPDATE)
        self._alive_at_s = 0.0
        node.create_subscription(ExecutorStatus, topics.EXECUTOR_STATUS, self._on_status, topics.COMMAND)

    def _on_status(self, message: ExecutorStatus) -> None:
        self._alive_at_s = self._node.steady_s()

    @property
    def ready(self) -> bool:
        """True when the executor node would take a goal."""
        return self._action.server_is_ready() and self._update.service_is_ready()

    def start(
        self, plan: ActionPlan, program: Program, verdict: Verdict, binding: Binding, scene: Scene, now_s: float
    ) -> RemoteRun:
        """Send a rehearsed program to the executor node, which checks the verdict; a refusal is the run's outcome."""
        run = RemoteRun(
            f"plan-{uuid.uuid4().hex[:12]}",
            plan,
            program,
            scene,
            verdict,
            RemoteRunner(lambda found: self._answer(run, kind=UpdateRun.Request.LOOKED, found=found)),
            lambda: self._send(run, kind=UpdateRun.Request.HELD),
            self._node.steady_s(),
        )
        self.run = run
        if not self.ready:
            run.outcome = "fault"
            return run
        goal = ExecutePlan.Goal(
            plan_id=run.id, plan_json=plan.to_json(), program_json=convert.program_json(program), verdict_id=verdict.id
        )
        self._recorded().add_done_callback(lambda future: self._on_recorded(run, goal, future.exception()))
        return run

    def _on_recorded(self, run: RemoteRun, goal: ExecutePlan.Goal, error: BaseException | None) -> None:
        if error is not None:
            self._node.get_logger().warning(f"{run.id}: not sent: {error}")
            run.outcome = "unrecorded"
        elif (spinner := self._node.executor) is not None:
            # on the thread that takes answers in: rclpy loses one that arrives before it has noted the goal as sent
            spinner.create_task(lambda: self._submit(run, goal))

    def _submit(self, run: RemoteRun, goal: ExecutePlan.Goal) -> None:
        if not run.dropped:
            sent = self._action.send_goal_async(goal, lambda message: self._on_feedback(run, message.feedback))
            sent.add_done_callback(lambda future: self._on_accepted(run, future.result()))

    def carry_on(self, plan: ActionPlan, program: Program, scene: Scene) -> None:
        """Nothing: a car that rolls when the graph comes up is brought to rest by its gate, which is locked."""

    def cancel(self) -> RemoteRun | None:
        """Have the executor node drop the program. Returns what was dropped."""
        run, self.run = self.run, None
        if run is not None:
            run.dropped = True
            if run.handle is not None and run.going:
                run.handle.cancel_goal_async()
        return run

    def tick(self, scene: Scene, now_s: float) -> tuple[float, float]:
        """Notice an executor node that has fallen silent, or does not take what it was sent."""
        run, steady_s = self.run, self._node.steady_s()
        if run is not None and run.going and steady_s - self._alive_at_s > EXECUTOR_SILENT_S:
            run.outcome, run.carrying = "fault", False
        if run is not None and run.going and run.handle is None and steady_s - run.sent_at_s > TAKEN_WITHIN_S:
            run.outcome, run.dropped = "fault", True
        return 0.0, 0.0

    def rehearsed(self, verdict: Verdict, scene: Scene) -> None:
        """The rest of the running program has passed again."""
        run = self.run
        if run is not None:
            run.verdict, run.scene, run.held = verdict, scene, False
            self._answer(run, kind=UpdateRun.Request.REHEARSED, verdict_id=verdict.id)

    def _answer(self, run: RemoteRun, **values) -> None:
        # until it is taken in, what the node still asks for counts as answered
        run.updating, run.look_label, run.change = True, None, None
        self._send(run, **values)

    def _send(self, run: RemoteRun, **values) -> None:
        sent = self._update.call_async(UpdateRun.Request(plan_id=run.id, **values))
        sent.add_done_callback(lambda future: self._on_updated(run, future.result()))

    def _on_updated(self, run: RemoteRun, response: UpdateRun.Response) -> None:
        run.updating = False
        if response.error_code != ErrorCode.NONE:
            self._node.get_logger().warning(f"{run.id}: {response.error_msg}")

    def _on_accepted(self, run: RemoteRun, handle: ClientGoalHandle) -> None:
        if not handle.accepted:
            run.outcome = "fault"
            return
        run.handle = handle
        if run.dropped:
            handle.cancel_goal_async()
        handle.get_result_async().add_done_callback(lambda future: self._on_result(run, future.result().result))

    def _on_feedback(self, run: RemoteRun, feedback: ExecutePlan.Feedback) -> None:
        run.step, run.progress = feedback.step, feedback.progress_json
        if feedback.carrying:
            # the plan is done; what follows is the lane
            run.outcome, run.carrying = "done", True
        run.runner.segment = np.array([min(feedback.segment, max(len(run.program.segments) - 1, 0))])
        if not run.updating:
            run.look_label, run.change = feedback.wants_look or None, feedback.wants_rehearsal or None

    def _on_result(self, run: RemoteRun, result: ExecutePlan.Result) -> None:
        run.step, run.carrying = result.step, False
        if result.error_code == ErrorCode.NONE:
            run.outcome = "done"
            return
        self._node.get_logger().info(f"{run.id}: {result.error_msg}")
        # of a replaced run nobody wants to know any more
        run.outcome = _OUTCOMES.get(result.error_code) or result.reason or "fault"


class RemoteTwin:
    """The twin node. `rehearse` blocks and belongs on the worker's thread."""

    def __init__(self, node: GraphNode) -> None:
        self._node = node
        self._client = node.create_client(ValidatePlan, topics.VALIDATE_PLAN)

    @property
    def ready(self) -> bool:
        """True when the twin node would answer."""
        return self._client.service_is_ready()

    def rehearse(self, plan: ActionPlan, program: Program, scene: Scene, binding: Binding, progress: str = "") -> Verdict:
        """The twin node's verdict on a program; an invalid one when it gives none."""
        request = ValidatePlan.Request(
            plan=Plan(json=plan.to_json(), model=binding.model),
            scene_id=scene.id,
            program_json=convert.program_json(program),
            progress_json=progress,
        )
        response = self.validate(request)
        if response is None or not response.verdict.id:
            self._node.get_logger().warning(f"no verdict: {response.error_msg if response else 'the twin does not answer'}")
            return Verdict("none", "invalid", scene.stamp_s, 0, 0.0, binding, reason="diverged")
        return convert.verdict(response.verdict)

    def validate(self, request: ValidatePlan.Request) -> ValidatePlan.Response | None:
        """The service's answer, or None when there is none in time."""
        return answer_of(self._client, request, REHEARSE_WITHIN_S)


class RemoteCamera:
    """Frames of the robot's cameras; each is asked for, and the next that arrives is taken."""

    def __init__(self, node: GraphNode) -> None:
        self._node = node
        self._news = threading.Condition()
        self._messages: dict[str, ImageMsg] = {}
        self.fault: VlmError | None = None
        self._triggers = {}
        for camera in node.robot.cameras:
            topic = topics.camera_topic(camera.name, "image_raw")
            node.create_subscription(ImageMsg, topic, lambda m, n=camera.name: self._take(n, m), topics.FRAMES)
            self._triggers[camera.name] = node.create_publisher(Empty, topics.camera_topic(camera.name, "trigger"), topics.WORDS)

    @property
    def ready(self) -> bool:
        """True when every camera has somebody who sends its frames."""
        return all(self._node.count_publishers(topics.camera_topic(name, "image_raw")) > 0 for name in self._triggers)

    def _take(self, name: str, message: ImageMsg) -> None:
        with self._news:
            self._messages[name] = message
            self._news.notify_all()

    def capture(self, name: str) -> Image:
        """A frame of now. An empty one when none comes or it is unusable; `fault` then says why."""
        camera = self._node.robot.camera(name)
        asked_s = self._node.now_s()
        self._triggers[name].publish(Empty())

        def fresh() -> ImageMsg | None:
            message = self._messages.get(name)
            return message if message is not None and seconds(message.header.stamp) >= asked_s - 0.05 else None

        with self._news:
            message = fresh() if self._news.wait_for(lambda: fresh() is not None, FRAME_WITHIN_S) else None
        if message is None:
            self.fault = VlmError("image_missing", f"no frame of camera {name} within {FRAME_WITHIN_S:.0f} s")
        else:
            try:
                image = convert.image(message, camera)
                self.fault = None
                return image
            except convert.UnusableImage as error:
                self.fault = VlmError("image_encoding", str(error))
        return Image(name, asked_s, np.zeros((0, 0, 3), dtype=np.uint8))
