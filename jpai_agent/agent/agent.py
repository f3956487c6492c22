"""The agent: hears instructions, has them planned, grounded and rehearsed, and drives what passed. No ROS in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass

from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Heard, Observer, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.agent.executor import Executor, NotPermitted, Run
from jpai_agent.agent.parts import Part, cruise_after
from jpai_agent.agent.worker import Job, Worker
from jpai_agent.control import Program, ProgramError, compile_program
from jpai_agent.control.segments import Say
from jpai_agent.language import InstructionError, failure, normalise, only_stop, plan_reply, stop_word
from jpai_agent.perception import Perception
from jpai_agent.plan import ActionPlan, PlanError, Step, Target, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.vlm import Exchange, PlanAnswer, PlanRequest, VlmBackend, VlmError
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene
from jpai_agent.world.sensors import Image, Observation

log = logging.getLogger(__name__)

# a look asks the model to turn to the thing: its point says where the thing is
LOOK_WORDS = "{label}の方を向いて"
# how long the robot carries on while a program for it is rehearsed
LEAD_S = 0.5
# between two rehearsals while people pass
LET_PASS_S = 0.7
# how long a plan waits for the sensors that it needs
SIGHT_WAIT_S = 3.0


@dataclass(frozen=True)
class AgentConfig:
    """How the agent goes about it.

    Attributes:
        rollouts: Perturbed rollouts of a rehearsal. seed: of their perturbations.
        attempts: Plans that are rehearsed for one instruction before the agent gives up (the first one and replans).
        patience: Rehearsals of what runs, while people pass, before another way is looked for.
        camera: The camera that plans are made from.
    """

    rollouts: int = 32
    attempts: int = 3
    patience: int = 10
    seed: int = 0
    camera: str = "front"


@dataclass(frozen=True)
class _Ready:
    """A part, compiled and rehearsed, with the scene that it was rehearsed in."""

    part: Part
    plan: ActionPlan
    program: Program
    verdict: Verdict
    scene: Scene


class _Turned(Exception):
    """The agent decided against acting: `decision`, `reason` and the words for the user."""

    def __init__(self, decision: str, reason: str, words: str) -> None:
        super().__init__(reason)
        self.decision, self.reason, self.words = decision, reason, words


@dataclass(frozen=True)
class _When:
    """A job that is ready when a condition holds."""

    condition: Callable[[], bool]

    def ready(self, now_s: float) -> bool:
        return self.condition()

    def result(self) -> None:
        return None


Task = Generator[Job, None, None]


class Agent:
    """One robot's agent.

    Drive it with `hear` for every instruction and `tick` at the control rate. Slow work goes through the worker, and the
    robot carries on meanwhile.

    Args:
        robot, world_map: What it drives and where.
        backend: The model. model_id: its hash, for the verdict's binding.
        worker: Runs slow work. capture: Gives the newest frame of a camera.
        observers: Are told every event.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap, backend: VlmBackend, worker: Worker,
                 capture: Callable[[str], Image], observers: Iterable[Observer] = (), *, model_id: str = "",
                 config: AgentConfig | None = None) -> None:
        self.robot, self.world_map, self.backend, self.worker, self.capture = robot, world_map, backend, worker, capture
        self.observers = list(observers)
        self.config = config or AgentConfig()
        self.model_id = model_id
        self.skills = skills_for(robot.name)
        self.perception = Perception(robot, world_map)
        self.executor = Executor(robot)
        self.accepted_plan_id = ""
        self._place_names: Mapping[str, tuple[str, ...]] = {place.id: place.names for place in world_map.places}
        self._now_s = 0.0
        self._heard = self._turn = -1
        self._task: Task | None = None
        self._job: Job | None = None
        self._dialogue: tuple[Exchange, ...] = ()
        self._home: tuple[float, float, float] | None = None
        self._cruise_mps = robot.cruise_mps
        # the part that runs, what follows it, and what a `continue` would take up
        self._part = Part()
        self._interrupted = Part()
        self._told: tuple[str, int] = ("", -1)

    @property
    def idle(self) -> bool:
        """True when nothing is being planned, rehearsed or driven."""
        return self._task is None and self.executor.run is None

    @property
    def moving(self) -> bool:
        """True while the robot moves or is about to."""
        if self.executor.run is not None:
            return True
        state = self.perception.robot_state() if self.perception.ready else None
        return state is not None and (abs(state.v_mps) > 0.05 or abs(state.w_radps) > 0.05)

    def hear(self, text: str, now_s: float) -> None:
        """Take an instruction. Stop words act at once; everything else is planned while the robot carries on."""
        before = self._turn
        self._heard += 1
        self._now_s, self._turn = now_s, self._heard
        self._tell(Heard(now_s, self._turn, text))
        if stop_word(text, self.moving):
            self.stop(now_s)
            if only_stop(text):
                self._accept(ActionPlan("act", (Step("stop"),)), text, failure("stopped"))
                self._tell(Finished(self._now_s, self._turn, "done"))
                return
        try:
            words = normalise(text).text
        except InstructionError as error:
            log.warning("instruction not taken: %s", error)
            self._turn_down(_Turned("ask", "not_understood", error.reply), "")
            if not self.idle:
                # what is under way goes on, as part of its own turn
                self._turn = before
            return
        self._drop_task()
        self._begin(self._follow_instruction(words))

    def stop(self, now_s: float) -> None:
        """Stop at once, as a stop word or a cancel does; what was left can be taken up again."""
        self._now_s = now_s
        self._drop_task()
        self._interrupt("stopped")

    def tick(self, observation: Observation) -> tuple[float, float]:
        """Take in what the sensors delivered and return the wanted (v m/s, w rad/s) of base_link."""
        self._now_s = observation.stamp_s
        self.perception.update(observation)
        if not self.perception.ready:
            self._work()
            return 0.0, 0.0
        if self._home is None:
            x, y, yaw = self.perception.robot_state().pose
            self._home = (float(x), float(y), float(yaw))
        self._work()
        command = self.executor.tick(self.perception.scene(), self._now_s)
        run = self.executor.run
        if run is not None:
            self._tell_progress(run)
            if self._task is None:
                if run.outcome is not None:
                    self._begin(self._after(run))
                elif run.look_label is not None:
                    self._begin(self._look(run, run.look_label))
                elif run.change is not None:
                    self._begin(self._rehearse_again(run))
        return command

    # tasks: generators that wait for the jobs that they yield

    def _follow_instruction(self, text: str) -> Task:
        """Plan, ground, rehearse and start what was said; another plan, at most twice, when the rehearsal fails."""
        try:
            for attempt in range(self.config.attempts):
                image, plan = yield from self._plan(text)
                if plan.decision != "act":
                    raise _Turned(plan.decision, str(plan.reason), self._words(plan))
                self._check(plan)
                if [step.skill for step in plan.steps] == ["stop"]:
                    self._interrupt("stopped")
                    self._accept(plan, text)
                    self._tell(Finished(self._now_s, self._turn, "done"))
                    return
                try:
                    part = self._with_what_was_left(self._ground(plan, image))
                    ready = yield from self._rehearsed(part, plan)
                    break
                except _Turned:
                    if attempt + 1 == self.config.attempts:
                        raise
            replaced = self.executor.run is not None
            self._start(ready)
            self._accept(plan, text)
            if replaced:
                self._tell(Finished(self._now_s, self._turn, "replaced"))
        except _Turned as turned:
            self._turn_down(turned, text)

    def _after(self, run: Run) -> Task:
        """The program has ended: go on with the steps that waited for a look, try another way, or finish."""
        rest = self._part.after(run.step if run.outcome != "done" else run.program.pending_from)
        self._cruise_mps = cruise_after(self._part.before(rest), self._cruise_mps, self.robot)
        if run.outcome == "done" and not rest.steps:
            self.executor.cancel()
            # what is done is past: the next instruction stands for itself
            self._dialogue = ()
            self._tell(Finished(self._now_s, self._turn, "done"))
            return
        try:
            if run.outcome not in ("done", "blocked"):
                raise _Turned("ask", str(run.outcome), failure(str(run.outcome), self._label(rest)))
            if run.outcome == "done":
                rest = yield from self._resolve_first(rest)
            ready = yield from self._rehearsed(rest, run.plan)
            self._start(ready)
        except _Turned as turned:
            self._interrupt("failed", turned.reason)
            self._say(turned.words)

    def _look(self, run: Run, label: str) -> Task:
        """A `look_for` stands between two turns: ask the model whether it sees the thing, and turn to it when it does."""
        found = yield from self._point_at(label)
        if self.executor.run is not run:
            return
        if found is None:
            run.runner.looked(False)
            return
        face = Step("face", {"target": Target(label)})
        part = self._part.after(run.step).spliced(0, Part((face,), {0: found}), drop=1)
        try:
            ready = yield from self._rehearsed(part, run.plan)
            self._start(ready)
        except _Turned as turned:
            self._interrupt("failed", turned.reason)
            self._say(turned.words)

    def _rehearse_again(self, run: Run) -> Task:
        """The scene has changed near the way: rehearse the rest as it is, else along another way, else stop and say so.

        While people are about, the robot stands and lets them pass before it looks for another way.
        """
        for _ in range(self.config.patience):
            scene = self.perception.scene()
            log.info("rehearsing again: %s", run.change)
            verdict = yield from self._verdict(run.plan, run.program, scene, run)
            if self.executor.run is not run or run.outcome is not None:
                return
            if verdict.passed:
                self.executor.rehearsed(verdict, scene)
                return
            run.held = True
            if not scene.movers:
                break
            yield self._later(LET_PASS_S)
        try:
            ready = yield from self._rehearsed(self._part.after(run.step), run.plan)
            self._start(ready)
        except _Turned as turned:
            self._interrupt("failed", turned.reason)
            self._say(turned.words)

    # pieces of tasks

    def _later(self, seconds: float) -> Job:
        until_s = self._now_s + seconds
        return _When(lambda: self._now_s >= until_s)

    def _plan(self, text: str) -> Generator[Job, None, tuple[Image, ActionPlan]]:
        """The model's plan for an instruction, and the frame that it speaks of. Raises _Turned when there is none."""
        image = yield from self._frame()
        state = self.perception.robot_state()
        run = self.executor.run
        running = run.program.segments and self._part.steps[min(run.step, len(self._part.steps) - 1)].skill if run else ""
        request = PlanRequest(text, {image.camera: image.rgb}, self.robot.name, abs(state.v_mps), running or "",
                              self._place_names, self._dialogue)
        answer: PlanAnswer | None = None
        begin = time.perf_counter()
        job = self.worker.submit(lambda: self.backend.plan(request), image.stamp_s)
        yield job
        try:
            answer = job.result()
            plan = parse_plan(answer.text, self.skills, cameras=(image.camera,), places=tuple(self._place_names))
        except (VlmError, PlanError) as error:
            raw = answer.text if answer else ""
            self._tell(Planned(self._now_s, self._turn, image, None, raw, _ms(begin, answer), str(error)))
            words = error.reply if isinstance(error, VlmError) else failure("plan_error")
            raise _Turned("ask", "not_understood", words) from error
        except Exception as error:  # a backend that breaks must not take the control loop with it
            log.exception("the model broke")
            self._tell(Planned(self._now_s, self._turn, image, None, "", _ms(begin, None), f"{type(error).__name__}: {error}"))
            raise _Turned("ask", "not_understood", failure("model_unavailable")) from error
        self._tell(Planned(self._now_s, self._turn, image, plan, answer.text, _ms(begin, answer), "", dict(answer.timings_ms)))
        return image, plan

    def _point_at(self, label: str) -> Generator[Job, None, GroundedTarget | None]:
        """Where in the world the thing named is, in the frame of now; None when it is not seen."""
        try:
            image, plan = yield from self._plan(LOOK_WORDS.format(label=label))
        except _Turned:
            return None
        target = plan.steps[0].target if plan.decision == "act" else None
        if target is None or target.point is None:
            return None
        seen = Target(label, target.camera, target.point)
        return self.perception.ground(seen, self.perception.scene(), image.stamp_s)

    def _frame(self) -> Generator[Job, None, Image]:
        """A frame to plan from, once perception knows where it is and has depth to go with it.

        Depth that does not come is done without: a place needs none. Raises _Turned when the robot's pose does not come.
        """
        until_s = self._now_s + SIGHT_WAIT_S
        if not self.perception.can_ground(self.config.camera):
            yield _When(lambda: self.perception.can_ground(self.config.camera) or self._now_s >= until_s)
        if not self.perception.ready:
            raise _Turned("ask", "not_understood", failure("sensors_stale"))
        return self.capture(self.config.camera)

    def _ground(self, plan: ActionPlan, image: Image) -> Part:
        """The plan's steps with their targets found. Raises _Turned for a target that nothing stands at."""
        scene = self.perception.scene()
        targets: dict[int, GroundedTarget] = {}
        for index, step in enumerate(plan.steps):
            target = step.target
            if target is None or target.deferred:
                continue
            found = self.perception.ground(target, scene, image.stamp_s)
            if found is None:
                code = "not_found" if self.perception.can_ground(image.camera) else "no_depth"
                raise _Turned("ask", "not_found", failure(code, target.label))
            targets[index] = found
        self._tell(Grounded(self._now_s, self._turn, scene, targets))
        return Part(plan.steps, targets)

    def _resolve_first(self, part: Part) -> Generator[Job, None, Part]:
        """The part with its first step's target pointed out in the frame of now. Raises _Turned when it is not seen."""
        target = part.steps[0].target
        if target is None or not target.deferred or 0 in part.targets:
            return part
        found = yield from self._point_at(str(target.label))
        if found is None:
            raise _Turned("ask", "not_found", failure("not_found", target.label))
        return Part(part.steps, {**part.targets, 0: found}, part.offset)

    def _rehearsed(self, part: Part, plan: ActionPlan) -> Generator[Job, None, _Ready]:
        """Compile and rehearse a part from where the robot will be. Raises _Turned when there is no way or it fails."""
        if not part.steps:
            raise _Turned("ask", "incomplete", failure("nothing_to_continue"))
        scene = self.perception.scene()
        lead_s = LEAD_S if self.executor.run is not None and self.executor.run.outcome is None else 0.0
        try:
            program = compile_program(part.steps, part.targets, scene, self.robot, self.world_map, home=self._home,
                                      cruise_mps=self._cruise_mps, lead_s=lead_s)
        except ProgramError as error:
            log.info("no program: %s", error)
            target = part.steps[error.step].target
            raise _Turned("refuse", "unsafe", failure("no_path", target.label if target else None)) from error
        verdict = yield from self._verdict(plan, program, scene)
        if not verdict.passed:
            step = part.steps[min(verdict.failed_step or 0, len(part.steps) - 1)]
            raise _Turned("refuse", "unsafe", failure(verdict.reason, step.target.label if step.target else None))
        return _Ready(part, plan, program, verdict, scene)

    def _verdict(self, plan: ActionPlan, program: Program, scene: Scene, run: Run | None = None) -> Generator[Job, None, Verdict]:
        """The twin's verdict on a program, or on what is left of a run's."""
        begin = time.perf_counter()
        binding = self._binding(plan, program, scene)
        progress = run.runner if run is not None else None
        job = self.worker.submit(lambda: rehearse(program, scene, self.robot, self.world_map, binding,
                                                  rollouts=self.config.rollouts, seed=self.config.seed, progress=progress),
                                 scene.stamp_s)
        yield job
        verdict: Verdict = job.result()
        wall_ms = verdict.wall_s * 1000 or (time.perf_counter() - begin) * 1000
        self._tell(Rehearsed(self._now_s, self._turn, program, verdict, wall_ms))
        return verdict

    def _with_what_was_left(self, part: Part) -> Part:
        """`continue`, and a change of speed alone, go on with what runs or was interrupted."""
        skills = [step.skill for step in part.steps]
        if "continue" not in skills and set(skills) != {"set_speed"}:
            return part
        run = self.executor.run
        left = self._part.after(run.step) if run is not None else self._interrupted
        at = skills.index("continue") if "continue" in skills else len(skills)
        return part.spliced(at, left, drop=1 if "continue" in skills else 0)

    def _check(self, plan: ActionPlan) -> None:
        """Rules that no plan may break. Raises _Turned."""
        top = self.robot.limits.forward_mps
        if any(step.args.get("speed", 0.0) > top for step in plan.steps if step.skill == "set_speed"):
            raise _Turned("refuse", "not_permitted", self._words(ActionPlan("refuse", reason="not_permitted")))

    def _binding(self, plan: ActionPlan, program: Program, scene: Scene) -> Binding:
        return Binding(plan.sha256(), program.sha256(), scene.sha256(), self.robot.sha256, self.model_id)

    # what changes the agent's state

    def _begin(self, task: Task) -> None:
        self._task, self._job = task, None
        self._work()

    def _work(self) -> None:
        """Let the task go on as far as its jobs are ready."""
        while self._task is not None:
            if self._job is not None and not self._job.ready(self._now_s):
                return
            task = self._task
            try:
                job = next(task)
            except StopIteration:
                if self._task is task:
                    self._task, self._job = None, None
                return
            self._job = job

    def _drop_task(self) -> None:
        if self._task is not None:
            self._task.close()
        self._task, self._job = None, None

    def _interrupt(self, outcome: str, reason: str = "") -> None:
        """Drop what runs; what was left of it may be taken up again."""
        run = self.executor.cancel()
        if run is not None:
            self._interrupted = self._part.after(run.step)
            self._cruise_mps = cruise_after(self._part.before(self._interrupted), self._cruise_mps, self.robot)
            self._tell(Finished(self._now_s, self._turn, outcome, reason))

    def _start(self, ready: _Ready) -> None:
        """Drive what was rehearsed. Raises _Turned when its verdict no longer holds."""
        binding = self._binding(ready.plan, ready.program, ready.scene)
        try:
            run = self.executor.start(ready.plan, ready.program, ready.verdict, binding, ready.scene, self._now_s)
        except NotPermitted as error:
            log.warning("not started: %s", error)
            raise _Turned("refuse", "unsafe", failure("diverged")) from error
        self._part = ready.part
        self.accepted_plan_id = run.id

    def _accept(self, plan: ActionPlan, text: str, words: str | None = None) -> None:
        self._dialogue = (Exchange(text, plan.to_json()),)
        self._tell(Decided(self._now_s, self._turn, plan.decision, None, plan))
        self._say(words or self._words(plan))

    def _turn_down(self, turned: _Turned, text: str) -> None:
        """Ask or refuse; what runs goes on."""
        plan = ActionPlan(turned.decision, reason=turned.reason, reply=turned.words)
        self._dialogue = (Exchange(text, plan.to_json()),) if text else self._dialogue
        self._tell(Decided(self._now_s, self._turn, turned.decision, turned.reason, plan))
        self._say(turned.words)
        self._tell(Finished(self._now_s, self._turn, "answered", turned.reason))

    def _tell_progress(self, run: Run) -> None:
        step = run.step
        if run.outcome is None and (run.id, step) != self._told:
            self._told = (run.id, step)
            self._tell(StepStarted(self._now_s, self._turn, self._part.offset + step))
            segment = run.program.segments[int(run.runner.segment[0])]
            if isinstance(segment, Say):
                self._say(segment.text)

    def _label(self, part: Part) -> str | None:
        target = part.steps[0].target if part.steps else None
        return target.label if target else (part.steps[0].args.get("label") if part.steps else None)

    def _words(self, plan: ActionPlan) -> str:
        return plan_reply(plan, {key: names[0] for key, names in self._place_names.items()}, self.world_map.home)

    def _say(self, words: str) -> None:
        self._tell(Replied(self._now_s, self._turn, words))

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)


def _ms(begin: float, answer: PlanAnswer | None) -> float:
    """The backend's own time where it told it, else the wall time since `begin`."""
    own = answer.timings_ms.get("total") if answer is not None else None
    return own if own is not None else (time.perf_counter() - begin) * 1000
