"""What the agent thinks with: plans from the model, targets from perception, verdicts from rehearsals. It moves nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass

from jpai_agent.agent.events import Event, Grounded, Observer, Planned, Rehearsed, Replied
from jpai_agent.agent.executor import Executor, Run
from jpai_agent.agent.parts import Part
from jpai_agent.agent.worker import Job, Worker
from jpai_agent.control import Program, ProgramError, compile_program
from jpai_agent.language import failure, plan_reply
from jpai_agent.perception import Perception
from jpai_agent.plan import ActionPlan, PlanError, Target, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.vlm import Exchange, PlanAnswer, PlanRequest, VlmBackend, VlmError
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import KINDS, LANDMARKS
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Scene
from jpai_agent.world.sensors import Image

log = logging.getLogger(__name__)

# a look asks the model to turn to the thing: its point says where the thing is
LOOK_WORDS = "{label}の方を向いて"
# how long the robot carries on while a program for it is rehearsed
LEAD_S = 0.5
# how long a plan waits for the sensors that it needs
SIGHT_WAIT_S = 3.0
# a plan longer than this is not read back
UNDERSTOOD_MAX_CHARS = 60
# skills after which the robot stands where it stood
MOTIONLESS = frozenset({"stop", "say", "wait"})
# what the agent decides when no program can be made, by the error's reason: decision, reason, and the code of its words
NO_PROGRAM: Mapping[str, tuple[str, str, str]] = {
    "too_fast": ("refuse", "not_permitted", "too_fast"),
    "slot_taken": ("refuse", "unsafe", "slot_taken"),
    "no_free_slot": ("ask", "not_found", "no_free_slot"),
    "no_road": ("ask", "not_found", "no_road"),
    "no_landmark": ("ask", "not_found", "no_landmark"),
    "behind": ("ask", "not_found", "behind"),
    "keep_out": ("refuse", "not_permitted", "forbidden"),
}

Task = Generator[Job, None, None]
# (plan, program, scene, binding, the run whose rest it is) -> verdict; runs on the worker
Rehearse = Callable[[ActionPlan, Program, Scene, Binding, Run | None], Verdict]


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
class Ready:
    """A part, compiled and rehearsed, with the scene that it was rehearsed in."""

    part: Part
    plan: ActionPlan
    program: Program
    verdict: Verdict
    scene: Scene


class Turned(Exception):
    """The agent decided against acting: `decision`, `reason` and the words for the user."""

    def __init__(self, decision: str, reason: str, words: str) -> None:
        super().__init__(reason)
        self.decision, self.reason, self.words = decision, reason, words


@dataclass(frozen=True)
class When:
    """A job that is ready when a condition holds."""

    condition: Callable[[], bool]

    def ready(self, now_s: float) -> bool:
        return self.condition()

    def result(self) -> None:
        return None


class Mind:
    """Pieces of the agent's tasks: generators that wait for the jobs that they yield.

    Args:
        robot, world_map: What it drives and where.
        backend: The model. model_id: its hash.
        worker: Runs slow work. capture: Gives the newest frame of a camera.
        observers: Are told every event.
        perception, executor, rehearse: Parts in other processes; by default they are here.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap, backend: VlmBackend, worker: Worker,
                 capture: Callable[[str], Image], observers: Iterable[Observer] = (), *, model_id: str = "",
                 config: AgentConfig | None = None, perception: Perception | None = None, executor: Executor | None = None,
                 rehearse: Rehearse | None = None) -> None:
        self.robot, self.world_map, self.backend, self.worker, self.capture = robot, world_map, backend, worker, capture
        self.observers = list(observers)
        self.config = config or AgentConfig()
        self._model_id = model_id
        self.skills = skills_for(robot.name)
        self.perception = perception or Perception(robot, world_map)
        self.executor = executor or Executor(robot, world_map)
        self._rehearse = rehearse or self._rehearse_here
        self._place_names: Mapping[str, tuple[str, ...]] = {place.id: place.names for place in world_map.places}
        self._known_places = tuple(dict.fromkeys((*self._place_names, *(LANDMARKS if world_map.road is not None else ()))))
        self._now_s = 0.0
        self._turn = -1
        self._dialogue: tuple[Exchange, ...] = ()
        # what the robot has just asked whether it was meant
        self._read_back = ""
        self._home: tuple[float, float, float] | None = None
        self._cruise_mps = robot.cruise_mps
        # the part that runs
        self._part = Part()

    @property
    def model_id(self) -> str:
        """Hash of the model, for the verdict's binding."""
        return self._model_id

    def _later(self, seconds: float) -> Job:
        until_s = self._now_s + seconds
        return When(lambda: self._now_s >= until_s)

    def _plan(self, text: str, *, doubt: bool = True, unsure: bool = False) -> Generator[Job, None, tuple[Image, ActionPlan]]:
        """The model's plan for an instruction, and the frame that it speaks of.

        Raises Turned when there is none, and unless `doubt` is waived when it is to be read back first: when the model is less
        sure of what is to be done than the robot's file asks for, or `unsure`, whoever heard the words is not sure of them.
        """
        image = yield from self._frame()
        state = self.perception.robot_state()
        run = self.executor.run
        steps = self._part.steps
        running = steps[min(run.step, len(steps) - 1)].skill if run and steps else ""
        request = PlanRequest(text, {image.camera: image.rgb}, self.robot.name, abs(state.v_mps), running,
                              self._place_names, self._dialogue)
        answer: PlanAnswer | None = None
        begin = time.perf_counter()
        job = self.worker.submit(lambda: self.backend.plan(request), image.stamp_s)
        yield job
        try:
            answer = job.result()
            plan = parse_plan(answer.text, self.skills, cameras=(image.camera,), places=self._known_places)
        except (VlmError, PlanError) as error:
            raw = answer.text if answer else ""
            self._tell(Planned(self._now_s, self._turn, image, None, raw, _ms(begin, answer), str(error)))
            words = error.reply if isinstance(error, VlmError) else failure("plan_error")
            raise Turned("ask", "not_understood", words) from error
        except Exception as error:  # a backend that breaks must not take the control loop with it
            log.exception("the model broke")
            self._tell(Planned(self._now_s, self._turn, image, None, "", _ms(begin, None), f"{type(error).__name__}: {error}"))
            raise Turned("ask", "not_understood", failure("model_unavailable")) from error
        self._tell(Planned(self._now_s, self._turn, image, plan, answer.text, _ms(begin, answer), "", dict(answer.timings_ms),
                           answer.confidence))
        if doubt:
            read_back, self._read_back = self._read_back, ""
            self._doubt(plan, answer.confidence, read_back, unsure)
        return image, plan

    def _doubt(self, plan: ActionPlan, confidence: float | None, read_back: str, unsure: bool) -> None:
        """Ask back what the model is not sure of, or whoever heard the words (`unsure`). Raises Turned.

        A plan that may still be meant is read back, and carried out when the answer comes to the same; one that is far from
        sure is most likely none, so that the robot says it has not understood. A plan that moves nothing is never doubted, nor
        is a model that tells no confidence where the words are certain.
        """
        needed = self.robot.act_confidence
        sure = 1.0 if confidence is None else confidence
        if plan.decision != "act" or (sure >= needed and not unsure):
            return
        if plan.steps[0].skill == "stop" or all(step.skill in MOTIONLESS for step in plan.steps):
            return
        log.info("asked back: confidence %.2f of %.2f%s", sure, needed, ", heard uncertainly" if unsure else "")
        understood = self._words(plan).removesuffix("。")
        if understood == read_back:
            return
        if sure < needed / 2 or len(understood) > UNDERSTOOD_MAX_CHARS:
            raise Turned("ask", "not_understood", self._words(ActionPlan("ask", reason="not_understood")))
        self._read_back = understood
        raise Turned("ask", "not_understood", failure("unsure", understood))

    def _point_at(self, label: str) -> Generator[Job, None, GroundedTarget | None]:
        """Where in the world the thing named is, in the frame of now; None when it is not seen."""
        try:
            image, plan = yield from self._plan(LOOK_WORDS.format(label=label), doubt=False)
        except Turned:
            return None
        target = plan.steps[0].target if plan.decision == "act" else None
        if target is None or target.point is None:
            return None
        seen = Target(label, target.camera, target.point)
        return self.perception.ground(seen, self.perception.scene(), image.stamp_s)

    def _frame(self) -> Generator[Job, None, Image]:
        """A frame to plan from, once perception knows where it is and has depth to go with it.

        Depth that does not come is done without: a place needs none. Raises Turned when the robot's pose does not come.
        """
        until_s = self._now_s + SIGHT_WAIT_S
        if not self.perception.can_ground(self.config.camera):
            yield When(lambda: self.perception.can_ground(self.config.camera) or self._now_s >= until_s)
        if not self.perception.ready:
            raise Turned("ask", "not_understood", failure("sensors_stale"))
        return self.capture(self.config.camera)

    def _ground(self, plan: ActionPlan, image: Image) -> Part:
        """The plan's steps with their targets found. Raises Turned for a target that nothing stands at."""
        scene = self.perception.scene()
        targets: dict[int, GroundedTarget] = {}
        for index, step in enumerate(plan.steps):
            target = step.target
            if target is None or target.deferred:
                continue
            found = self.perception.ground(target, scene, image.stamp_s)
            if found is None:
                code = "not_found" if self.perception.can_ground(image.camera) else "no_depth"
                raise Turned("ask", "not_found", failure(code, target.label))
            targets[index] = found
        self._tell(Grounded(self._now_s, self._turn, scene, targets))
        return Part(plan.steps, targets)

    def _resolve_first(self, part: Part) -> Generator[Job, None, Part]:
        """The part with its first step's target pointed out in the frame of now. Raises Turned when it is not seen."""
        target = part.steps[0].target
        if target is None or not target.deferred or 0 in part.targets:
            return part
        found = yield from self._point_at(str(target.label))
        if found is None:
            raise Turned("ask", "not_found", failure("not_found", target.label))
        return Part(part.steps, {**part.targets, 0: found}, part.offset)

    def _rehearsed(self, part: Part, plan: ActionPlan, *, carry_on: bool = False) -> Generator[Job, None, Ready]:
        """Compile and rehearse a part from where the robot will be. Raises Turned when there is no way or it fails.

        carry_on: A part without steps is meant: a car follows its lane.
        """
        if not part.steps and not carry_on:
            raise Turned("ask", "incomplete", failure("nothing_to_continue"))
        scene = self.perception.scene()
        run = self.executor.run
        lead_s = LEAD_S if run is not None and (run.outcome is None or run.carrying) else 0.0
        try:
            program = compile_program(part.steps, part.targets, scene, self.robot, self.world_map, home=self._home,
                                      cruise_mps=self._cruise_mps, lead_s=lead_s)
        except ProgramError as error:
            log.info("no program: %s", error)
            target = part.steps[error.step].target if part.steps else None
            decision, reason, code = NO_PROGRAM.get(error.reason, ("refuse", "unsafe", "no_path"))
            raise Turned(decision, reason, failure(code, error.about or self._name(target))) from error
        verdict = yield from self._verdict(plan, program, scene)
        if not verdict.passed:
            step = part.steps[min(verdict.failed_step or 0, len(part.steps) - 1)] if part.steps else None
            raise Turned("refuse", "unsafe", failure(verdict.reason, step.target.label if step and step.target else None))
        return Ready(part, plan, program, verdict, scene)

    def _verdict(self, plan: ActionPlan, program: Program, scene: Scene, run: Run | None = None) -> Generator[Job, None, Verdict]:
        """The twin's verdict on a program, or on what is left of a run's."""
        begin = time.perf_counter()
        binding = self._binding(plan, program, scene)
        job = self.worker.submit(lambda: self._rehearse(plan, program, scene, binding, run), scene.stamp_s)
        yield job
        verdict: Verdict = job.result()
        wall_ms = verdict.wall_s * 1000 or (time.perf_counter() - begin) * 1000
        self._tell(Rehearsed(self._now_s, self._turn, program, verdict, wall_ms))
        return verdict

    def _rehearse_here(self, plan: ActionPlan, program: Program, scene: Scene, binding: Binding, run: Run | None) -> Verdict:
        return rehearse(program, scene, self.robot, self.world_map, binding, rollouts=self.config.rollouts,
                        seed=self.config.seed, progress=run.runner if run is not None else None)

    def _check(self, plan: ActionPlan) -> None:
        """Rules that no plan may break. Raises Turned."""
        for target in (step.target for step in plan.steps if step.target is not None):
            if target.place is not None and target.place not in self._place_names:
                name = target.label or KINDS[target.place].names_ja[0]
                raise Turned("ask", "not_found", failure("no_landmark", name))
        if self.world_map.road is not None:
            return  # what speed is permitted the road says, when a way is planned
        top = min(self.robot.limits.forward_mps, self.world_map.rules.speed_limit_mps)
        if any(step.args.get("speed", 0.0) > top for step in plan.steps if step.skill == "set_speed"):
            raise Turned("refuse", "not_permitted", self._words(ActionPlan("refuse", reason="not_permitted")))

    def _binding(self, plan: ActionPlan, program: Program, scene: Scene) -> Binding:
        return Binding(plan.sha256(), program.sha256(), scene.sha256(), self.robot.sha256, self.model_id,
                       self.world_map.rules.sha256)

    def _words(self, plan: ActionPlan) -> str:
        return plan_reply(plan, {key: names[0] for key, names in self._place_names.items()}, self.world_map.home,
                          vehicle=self.robot.ackermann is not None)

    def _name(self, target: Target | None) -> str | None:
        """What the user would call a target."""
        if target is None:
            return None
        if target.label or target.place is None:
            return target.label
        return self._place_names.get(target.place, (target.place,))[0]

    def _say(self, words: str) -> None:
        self._tell(Replied(self._now_s, self._turn, words))

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)


def _ms(begin: float, answer: PlanAnswer | None) -> float:
    """The backend's own time where it told it, else the wall time since `begin`."""
    own = answer.timings_ms.get("total") if answer is not None else None
    return own if own is not None else (time.perf_counter() - begin) * 1000
