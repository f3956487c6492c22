"""Run one episode at 20 Hz of simulated time: sensors to the agent, its requests through the gate to the robot."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jpai_agent.agent import SimulatedWorker
from jpai_agent.agent.events import Decided, Event, Finished, Observer, Planned, Rehearsed, Replied
from jpai_agent.agent.worker import Job
from jpai_agent.gate.core import Gate
from jpai_agent.gate.nearfield import NearField, points_of_depth, points_of_scan
from jpai_agent.gate.shown import Shown, shown_by_depth, shown_by_scan
from jpai_agent.language import stop_word
from jpai_agent.perception import Perception
from jpai_agent.sim.episode import Episode, Turn
from jpai_agent.sim.judge import judge
from jpai_agent.sim.robot import SimRobot, SimulationDiverged
from jpai_agent.sim.trajectory import Decision, Recorder, Recording
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import STANDS_MPS, STANDS_RADPS, RobotState, Scene, stands
from jpai_agent.world.sensors import Image, Observation

log = logging.getLogger(__name__)

PERIOD_S = 0.05
ENDS_AFTER_S = 2.0
# simulated time that a plan, a look or a rehearsal takes, whatever it costs in truth
WORK_DELAY_S = 0.5


class AgentLike(Protocol):
    """What the runner needs of an agent."""

    perception: Perception
    observers: list[Observer]

    @property
    def idle(self) -> bool:
        """Nothing is planned, rehearsed or carried out; a car that carries on along its lane after its plan is idle."""

    @property
    def accepted_plan_id(self) -> str:
        """Names the plan that was accepted last; "" before any."""

    def hear(self, text: str, now_s: float) -> None:
        """Take an instruction."""

    def tick(self, observation: Observation) -> tuple[float, float]:
        """Take in what the sensors delivered; the wanted (v m/s, w rad/s)."""


class MeteredWorker(SimulatedWorker):
    """Does slow work on the spot, with the simulated delay, and counts the processor time that it takes."""

    def __init__(self) -> None:
        super().__init__(WORK_DELAY_S)
        self.cpu_s = 0.0

    def submit(self, work: Callable[[], Any], now_s: float) -> Job:
        """As SimulatedWorker."""
        start = time.process_time()
        try:
            return super().submit(work, now_s)
        finally:
            self.cpu_s += time.process_time() - start


@dataclass(frozen=True)
class AgentContext:
    """What an agent is made of, but for its model.

    Attributes:
        capture: The newest frame of a camera. observers: are told the agent's events. seed: of the rehearsals.
        worker: For slow work, which takes effect after the simulated delay; what it costs is told apart from the loop.
    """

    robot: RobotSpec
    world_map: WorldMap
    capture: Callable[[str], Image]
    observers: tuple[Observer, ...]
    seed: int
    worker: MeteredWorker


AgentFactory = Callable[[AgentContext], AgentLike]


class EpisodeLog(Protocol):
    """Keeps a run: an observer of the agent that also takes the trajectory."""

    def __call__(self, event: Event) -> None:
        """Record an event."""

    def tick(
        self,
        time_s: float,
        scene: Scene | None,
        state: RobotState,
        command: tuple[float, float],
        truth: tuple[float, float, float] | None = None,
    ) -> None:
        """Record a period."""

    def gate(self, time_s: float, state: str, reasons: Sequence[str], v_mps: float, w_radps: float) -> None:
        """Record what the gate gives to the motors."""


@dataclass(frozen=True)
class EpisodeResult:
    """A line of results.jsonl.

    Attributes:
        contacts: How many things were touched. latency_ms: measured ones: the first plan, the first rehearsal, and from
            the first instruction to the first motion with the simulated delays replaced by the measured ones; None
            where there was none.
        seconds: Simulated. failed_predicates: as the judge names them. run: folder of the run, if one was kept.
        raw_decision, raw_reason: The model's own on the first turn, before perception and rehearsal.
        error: What broke the episode, "" when nothing did. spent_s: processor time by part,
            and the wall time of all.
    """

    id: str
    tags: tuple[str, ...]
    decision: str | None
    reason: str | None
    decision_right: bool
    goal_reached: bool
    contacts: int
    violations: tuple[str, ...]
    latency_ms: dict[str, float | None]
    seconds: float
    failed_predicates: tuple[str, ...]
    run: str | None = None
    raw_decision: str | None = None
    raw_reason: str | None = None
    error: str = ""
    spent_s: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values in the order above."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        values["seconds"] = round(self.seconds, 3)
        values["latency_ms"] = {k: None if v is None else round(v, 1) for k, v in self.latency_ms.items()}
        values["spent_s"] = {k: round(v, 4) for k, v in self.spent_s.items()}
        return values


def run_episode(
    episode: Episode,
    agent_factory: AgentFactory,
    *,
    renderer: SceneRenderer | None = None,
    log_run: EpisodeLog | None = None,
    run_folder: str | None = None,
    on_period: Callable[[SimRobot, AgentLike], None] | None = None,
) -> EpisodeResult:
    """Run and judge one episode.

    Args:
        agent_factory: Makes the agent that is to be judged. It sees sensors only.
        renderer: Shared by the episodes of a thread. log_run: keeps the run in run_folder.
        on_period: Called at the end of every period, for viewers and recorders of video.

    Returns:
        The result; an exception of the agent or of the physics ends the episode, fails it and is named in `error`.
    """
    course = Course(episode, agent_factory, renderer, log_run)
    error = ""
    try:
        while not course.over:
            course.period()
            if on_period is not None:
                on_period(course.robot, course.agent)
    except SimulationDiverged as diverged:
        error = f"diverged: {diverged}"
    except Exception as broken:  # an agent that breaks has failed this episode, not the suite
        log.exception("episode %s broke at %.2f s", episode.id, course.robot.time_s)
        error = f"{type(broken).__name__}: {broken}"
    finally:
        course.robot.close()
    return course.result(error, run_folder)


class Course:
    """An episode under way. `period` runs 0.05 s of it; `over` says when it has ended."""

    def __init__(
        self,
        episode: Episode,
        agent_factory: AgentFactory,
        renderer: SceneRenderer | None = None,
        log_run: EpisodeLog | None = None,
    ) -> None:
        self.episode = episode
        spec = load_robot(episode.robot)
        self.robot = SimRobot(
            spec,
            episode.world,
            episode.objects,
            robot_pose=episode.robot_pose,
            robot_speed_mps=episode.robot_speed_mps,
            lights=episode.lights,
            seed=episode.seed,
            renderer=renderer,
        )
        self._near = NearField(spec)
        self.gate = Gate(spec.limits, ackermann=spec.ackermann, near=self._near)
        self.gate.arm()
        self._recorder = Recorder(episode.objects, (spec.length_m / 2, spec.width_m / 2), spec.center_x_m)
        self._log_run = log_run
        self._events: list[Event] = []
        observers: tuple[Observer, ...] = (self._events.append,) if log_run is None else (self._events.append, log_run)
        self._worker = MeteredWorker()
        world_map = load_map(episode.world).with_landmarks(episode.objects)
        context = AgentContext(spec, world_map, self.robot.capture, observers, episode.seed, self._worker)
        self.agent = agent_factory(context)
        self._waiting: list[Turn] = list(episode.turns)
        self._heard_at_s: list[float] = []
        self._plan_id = ""
        self._idle_since_s: float | None = None
        self._speed = (episode.robot_speed_mps, 0.0)
        self._periods = 0
        self._wall_s = self._cpu_s = 0.0
        self._recorder.add(self.robot.truth())

    @property
    def over(self) -> bool:
        """At the time limit, or 2 s after the last turn's plan has ended."""
        now_s = self.robot.time_s
        ended = (
            not self._waiting and self._idle_since_s is not None and now_s - self._idle_since_s >= ENDS_AFTER_S - 1e-6
        )
        return ended or now_s >= self.episode.time_limit_s - 1e-6

    def say_nothing(self) -> None:
        """Drop the episode's turns: what is said comes from elsewhere."""
        self._waiting.clear()

    def period(self) -> None:
        """Observe, say what is due, let the agent and the gate decide, and advance the world."""
        start_wall, start_cpu = time.perf_counter(), time.process_time()
        now_s = self.robot.time_s
        self.robot.streaming = set(self.agent.perception.wants_stream)
        observation = self.robot.observe(now_s)
        self._feed_gate(observation, now_s)
        self._say_what_is_due(now_s)
        v, w = self.agent.tick(observation)
        if self.agent.accepted_plan_id != self._plan_id:
            self._plan_id = self.agent.accepted_plan_id
            self.gate.plan_accepted(self._plan_id)
        self.gate.heartbeat(now_s, 0.0, now_s)
        self.gate.request(v, w, now_s, 0.0, now_s)
        command = self.gate.tick(now_s)
        self.robot.command(command.v_mps, command.w_radps)
        self._note_idle(now_s)
        self.robot.step(PERIOD_S)
        truth = self.robot.truth()
        self._recorder.add(truth)
        self._wall_s += time.perf_counter() - start_wall
        self._cpu_s += time.process_time() - start_cpu
        self._periods += 1
        if self._log_run is not None and self.agent.perception.ready:
            # a snapshot of the belief twice a second is enough for pictures
            scene = self.agent.perception.scene() if self._periods % 10 == 0 else None
            x, y, yaw = (float(v) for v in truth.pose)
            self._log_run.tick(
                now_s, scene, self.agent.perception.robot_state(), (command.v_mps, command.w_radps), (x, y, yaw)
            )
            self._log_run.gate(now_s, command.state.value, command.reasons, command.v_mps, command.w_radps)

    def recording(self) -> Recording:
        """What has truly happened so far."""
        recorder = self._recorder
        recorder.decisions = [
            Decision(e.turn, e.time_s, e.decision, e.reason) for e in self._events if isinstance(e, Decided)
        ]
        recorder.said = [(e.time_s, e.text) for e in self._events if isinstance(e, Replied)]
        ended = [e.time_s for e in self._events if isinstance(e, Finished)]
        recorder.plan_ended_s = ended[-1] if ended and self._idle_since_s is not None else None
        return recorder.recording()

    def result(self, error: str = "", run_folder: str | None = None) -> EpisodeResult:
        """The judged result."""
        recording = self.recording()
        found = judge(self.episode, recording)
        raw = next((e.plan for e in self._events if isinstance(e, Planned) and e.turn == 0), None)
        return EpisodeResult(
            self.episode.id,
            self.episode.tags,
            found.decision,
            found.reason,
            found.decision_right,
            found.goal_reached and not error,
            len(found.contacts),
            found.violations,
            self._latencies(recording),
            self.robot.time_s,
            found.failed_predicates,
            run_folder,
            raw.decision if raw else None,
            raw.reason if raw else None,
            error,
            self._spent(),
        )

    def _feed_gate(self, observation: Observation, now_s: float) -> None:
        """Tell the gate what its node would: the clock, and of each reading whether it is news and what stands close by."""
        self.gate.clock(now_s, now_s)
        odometry = observation.odometry
        if odometry is not None:
            self._speed = (odometry.v_mps, odometry.w_radps)
            x, y, yaw = (float(value) for value in odometry.pose)
            self.gate.odometry(x, y, yaw, *self._speed, now_s, odometry.stamp_s - now_s, odometry.stamp_s)
        robot = self.robot.robot
        scan = observation.scan
        if scan is not None and self._is_news("scan", scan.stamp_s, shown_by_scan(scan), now_s):
            self._near.see("scan", points_of_scan(scan, robot), now_s)
        for camera, depth in observation.depths.items():
            if self._is_news(f"depth/{camera}", depth.stamp_s, shown_by_depth(depth), now_s):
                self._near.see(f"depth/{camera}", points_of_depth(depth, robot), now_s)

    def _is_news(self, sensor: str, stamp_s: float, shown: Shown, now_s: float) -> bool:
        return self.gate.sensor(sensor, now_s, stamp_s - now_s, stamp_s, shown.content, shown.blank)

    def _say_what_is_due(self, now_s: float) -> None:
        while self._waiting:
            turn = self._waiting[0]
            # a turn that was just said makes the agent busy; only its end lets the next "after" through
            due = self.agent.idle if turn.after == "done" else now_s >= (turn.at_s or 0.0) - 1e-06
            if not due:
                return
            self._waiting.pop(0)
            self._heard_at_s.append(now_s)
            self._idle_since_s = None
            moving = not stands(*self._speed)
            # the gate listens for itself
            if stop_word(turn.say, moving, vehicle=self.robot.robot.ackermann is not None):
                self.gate.stop("stop word")
            self.agent.hear(turn.say, now_s)

    def _note_idle(self, now_s: float) -> None:
        if not self.agent.idle:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s

    def _latencies(self, recording: Recording) -> dict[str, float | None]:
        plans = [(e.time_s, e.latency_ms) for e in self._events if isinstance(e, Planned)]
        rehearsals = [(e.time_s, e.latency_ms) for e in self._events if isinstance(e, Rehearsed)]
        first_motion = None
        if self._heard_at_s:
            heard_s = self._heard_at_s[0]
            still = (recording.speed <= STANDS_MPS) & (recording.turn_rate <= STANDS_RADPS)
            began = recording.times[(recording.times > heard_s) & ~still]
            if len(began):
                moved_s = float(began[0])
                work = [ms for time_s, ms in plans + rehearsals if time_s <= moved_s]
                first_motion = 1000 * max(0.0, moved_s - heard_s - WORK_DELAY_S * len(work)) + math.fsum(work)
        return {
            "plan": plans[0][1] if plans else None,
            "rehearse": rehearsals[0][1] if rehearsals else None,
            "first_motion": first_motion,
        }

    def _spent(self) -> dict[str, float]:
        """Processor time by part and the wall time of all; `agent` is perception and control, `work` the slow work."""
        spent = dict(self.robot.spent_s)
        spent["work"] = self._worker.cpu_s
        spent["agent"] = max(0.0, self._cpu_s - math.fsum(spent.values()))
        spent["wall"] = self._wall_s
        return spent
