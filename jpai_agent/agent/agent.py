"""The agent: hears instructions, has them planned, grounded and rehearsed, and drives what passed. No ROS in it."""

from __future__ import annotations

import logging
from typing import Any

from jpai_agent.agent.events import Decided, Finished, Heard, StepStarted
from jpai_agent.agent.executor import NotPermitted, Run
from jpai_agent.agent.mind import AgentConfig, Mind, Ready, Task, Turned
from jpai_agent.agent.parts import Part, cruise_after
from jpai_agent.agent.worker import Job
from jpai_agent.control import ProgramError, keep_lane_program
from jpai_agent.control.road.passing import passes_nothing
from jpai_agent.control.road.routes import network_of
from jpai_agent.control.segments import Say
from jpai_agent.language import InstructionError, failure, normalise, only_no, only_stop, stop_word
from jpai_agent.plan import ActionPlan, Step, Target
from jpai_agent.vlm import Exchange
from jpai_agent.world.scene import Scene
from jpai_agent.world.sensors import Observation

__all__ = ["Agent", "AgentConfig"]

log = logging.getLogger(__name__)

# between two rehearsals while people pass
LET_PASS_S = 0.7
# what was seen amiss once may look otherwise from where the robot comes to rest: so often another way is looked for again
SETTLES = 2
# faster than this a car is under way
ROLLS_MPS = 0.5
# a car whose depth camera has been silent for so long is brought to the kerb; the gate brakes it a little later
BLIND_S = 0.6


class Agent(Mind):
    """One robot's agent.

    Drive it with `hear` for every instruction and `tick` at the control rate. Slow work goes through the worker, and the
    robot carries on meanwhile: a car whose plan has ended without coming to rest follows its lane, and so does one that
    rolls when the agent takes over.
    """

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.accepted_plan_id = ""
        self._heard = -1
        self._task: Task | None = None
        self._job: Job | None = None
        # what a `continue` would take up
        self._interrupted = Part()
        self._told: tuple[str, int] = ("", -1)
        self._taking_over = self.robot.ackermann is not None
        self._blind = False

    @property
    def idle(self) -> bool:
        """True when nothing is being planned, rehearsed or carried out; what was stopped is so until it stands."""
        run = self.executor.run
        if self._task is not None or run is not None:
            return self._task is None and run is not None and run.told
        return not self.perception.ready or self.perception.robot_state().stands

    @property
    def moving(self) -> bool:
        """True while the robot moves or is about to."""
        if self.executor.run is not None:
            return True
        return self.perception.ready and not self.perception.robot_state().stands

    def hear(self, text: str, now_s: float, *, unsure: bool = False) -> None:
        """Take an instruction. Stop words act at once; everything else is planned while the robot carries on.

        unsure: It may have been misheard, so that its plan is read back before it is carried out.
        """
        before = self._turn
        self._heard += 1
        self._now_s, self._turn = now_s, self._heard
        self._tell(Heard(now_s, self._turn, text))
        if stop_word(text, self.moving, vehicle=self.robot.ackermann is not None):
            self.stop(now_s)
            if only_stop(text):
                self._accept(ActionPlan("act", (Step("stop"),)), text, failure("stopped"))
                self._tell(Finished(self._now_s, self._turn, "done"))
                return
        try:
            words = normalise(text).text
        except InstructionError as error:
            log.warning("instruction not taken: %s", error)
            self._turn_down(Turned("ask", "not_understood", error.reply), "")
            if not self.idle:
                # what is under way goes on, as part of its own turn
                self._turn = before
            return
        self._drop_task()
        if self._read_back and only_no(words):
            # a no that the model took for a yes would be carried out
            self._read_back = ""
            self._turn_down(Turned("ask", "not_understood", failure("denied")), words)
            self._dialogue = ()
            if not self.idle:
                self._turn = before
            return
        self._begin(self._follow_instruction(words, unsure))

    def stop(self, now_s: float) -> None:
        """Stop at once, as a stop word or a cancel does; what was left can be taken up again."""
        self._now_s = now_s
        self._taking_over = False
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
        if self._taking_over:
            self._take_over()
        scene = self.perception.scene()
        self._mind_the_camera(scene)
        self._work()
        command = self.executor.tick(scene, self._now_s)
        run = self.executor.run
        if run is not None:
            self._tell_progress(run)
            if self._task is None:
                if run.outcome is not None and not (run.told and run.carrying):
                    self._begin(self._after(run))
                elif run.look_label is not None:
                    self._begin(self._look(run, run.look_label))
                elif run.change is not None:
                    self._begin(self._rehearse_again(run))
        return command

    # tasks: generators that wait for the jobs that they yield

    def _follow_instruction(self, text: str, unsure: bool) -> Task:
        """Plan, ground, rehearse and start what was said; another plan, at most twice, when the rehearsal fails."""
        try:
            for attempt in range(self.config.attempts):
                image, plan = yield from self._plan(text, unsure=unsure and attempt == 0)
                if plan.decision != "act":
                    raise Turned(plan.decision, str(plan.reason), self._words(plan))
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
                except Turned:
                    if attempt + 1 == self.config.attempts:
                        raise
            before = self.executor.run
            self._start(ready)
            self._accept(plan, text)
            if before is not None and not before.told:
                self._tell(Finished(self._now_s, self._turn, "replaced"))
        except Turned as turned:
            self._turn_down(turned, text)

    def _after(self, run: Run) -> Task:
        """The program has ended: go on with the steps that waited for a look, try another way, or finish."""
        if run.told:
            # it had carried on until now
            self.executor.cancel()
            self._say(failure("road_end" if run.outcome == "done" else str(run.outcome)))
            return
        rest = self._part.after(run.step if run.outcome != "done" else run.program.pending_from)
        self._cruise_mps = cruise_after(self._part.before(rest), self._cruise_mps, self.robot)
        if run.outcome == "done" and not rest.steps:
            run.told, self._part = True, Part()
            if not run.carrying:
                self.executor.cancel()
                if run.at_road_end:
                    self._say(failure("road_end"))
            # what is done is past: the next instruction stands for itself
            self._dialogue = ()
            self._tell(Finished(self._now_s, self._turn, "done"))
            return
        try:
            if run.outcome not in ("done", "blocked"):
                raise Turned("ask", str(run.outcome), failure(str(run.outcome), self._label(rest)))
            if run.outcome == "done":
                rest = yield from self._resolve_first(rest)
            ready = yield from self._rehearsed(rest, run.plan)
            self._start(ready)
        except Turned as turned:
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
        except Turned as turned:
            self._interrupt("failed", turned.reason)
            self._say(turned.words)

    def _rehearse_again(self, run: Run) -> Task:
        """The scene has changed near the way: rehearse the rest as it is, else along another way, else stop and say so.

        While people are about, the robot stands and lets them pass before it looks for another way. A car that is over the
        centre line ends what it has begun: that is no place to stand.
        """
        tried = 0
        for left in reversed(range(self.config.patience)):
            scene = self.perception.scene()
            log.info("rehearsing again: %s", run.change)
            gone = self._passes_nothing(run, scene)
            if not gone:
                verdict = yield from self._verdict(run.plan, run.program, scene, run)
                if self.executor.run is not run or (run.outcome is not None and not run.carrying):
                    return
                if verdict.passed:
                    self.executor.rehearsed(verdict, scene)
                    return
                run.held = not self._over_centre_line(scene)
            if gone or (run.held and not (scene.movers and left)):
                try:
                    ready = yield from self._rehearsed(self._part.after(run.step), run.plan, carry_on=run.told)
                    self._start(ready)
                    self._carry_told(run)
                    return
                except Turned as turned:
                    tried += 1
                    if not left or (tried > SETTLES and not self.perception.scene().movers):
                        self._interrupt("failed", turned.reason)
                        self._say(turned.words)
                        return
            yield self._later(LET_PASS_S)

    def _over_centre_line(self, scene: Scene) -> bool:
        """Whether a car has a side of it in the oncoming lane."""
        road = self.world_map.road
        place = network_of(road).in_lane(scene.robot.pose) if road is not None else None
        return road is not None and place is not None and (
            place.offset_m < (self.robot.width_m - road.lanes[place.lane].width_m) / 2)

    def _passes_nothing(self, run: Run, scene: Scene) -> bool:
        road, segment = self.world_map.road, int(run.runner.segment[0])
        return road is not None and passes_nothing(run.program.segments[segment:], scene, network_of(road), self.robot)

    def _with_what_was_left(self, part: Part) -> Part:
        """`continue`, and a change of speed alone, go on with what runs or was interrupted."""
        skills = [step.skill for step in part.steps]
        if "continue" not in skills and set(skills) != {"set_speed"}:
            return part
        run = self.executor.run
        left = self._part.after(run.step) if run is not None else self._interrupted
        if not left.steps and "continue" in skills and self.robot.ackermann is not None:
            # a car that has nothing left to do goes on along its lane
            left = Part((Step("drive"),))
        at = skills.index("continue") if "continue" in skills else len(skills)
        return part.spliced(at, left, drop=1 if "continue" in skills else 0)

    # what changes the agent's state

    def _take_over(self) -> None:
        """A car that rolls when the agent begins follows its lane from the first tick; the rehearsal comes as soon as it can."""
        self._taking_over = False
        scene = self.perception.scene()
        if scene.robot.v_mps < ROLLS_MPS:
            return
        plan = ActionPlan("act", (Step("drive"),))
        try:
            program = keep_lane_program(scene, self.robot, self.world_map, self._cruise_mps)
        except ProgramError as error:
            log.warning("no lane to keep: %s", error)
            return
        run = self.executor.carry_on(plan, program, scene)
        if run is not None:
            self.accepted_plan_id = run.id

    def _mind_the_camera(self, scene: Scene) -> None:
        """Bring a car to the kerb when its camera falls silent under way."""
        was, seen_s = self._blind, scene.camera_s
        self._blind = self.robot.ackermann is not None and seen_s is not None and self._now_s - seen_s > BLIND_S
        if self._blind and not was and scene.robot.v_mps > ROLLS_MPS:
            self._drop_task()
            self._begin(self._stop_blind())

    def _stop_blind(self) -> Task:
        """Pull over by what was seen last, or come to rest in the lane where that is not free."""
        self._say(failure("camera_lost"))
        step = Step("pull_over")
        try:
            ready = yield from self._rehearsed(Part((step,)), ActionPlan("act", (step,)))
            self._interrupt("failed", "camera_lost")
            self._start(ready)
        except Turned:
            self._interrupt("failed", "camera_lost")

    def _carry_told(self, before: Run) -> None:
        """What has taken the place of a run that had only carried on does so too: nobody waits for its end."""
        run = self.executor.run
        if run is not None and before.told:
            run.told = True

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
            if not run.told:
                self._tell(Finished(self._now_s, self._turn, outcome, reason))

    def _start(self, ready: Ready) -> None:
        """Drive what was rehearsed. Raises Turned when its verdict no longer holds."""
        binding = self._binding(ready.plan, ready.program, ready.scene)
        try:
            run = self.executor.start(ready.plan, ready.program, ready.verdict, binding, ready.scene, self._now_s)
        except NotPermitted as error:
            log.warning("not started: %s", error)
            raise Turned("refuse", "unsafe", failure("diverged")) from error
        self._part = ready.part
        self.accepted_plan_id = run.id

    def _accept(self, plan: ActionPlan, text: str, words: str | None = None) -> None:
        self._dialogue = (Exchange(text, plan.to_json()),)
        self._tell(Decided(self._now_s, self._turn, plan.decision, None, plan))
        self._say(words or self._words(plan))

    def _turn_down(self, turned: Turned, text: str) -> None:
        """Ask or refuse; what runs goes on."""
        plan = ActionPlan(turned.decision, reason=turned.reason, reply=turned.words)
        self._dialogue = (Exchange(text, plan.to_json()),) if text else self._dialogue
        self._tell(Decided(self._now_s, self._turn, turned.decision, turned.reason, plan))
        self._say(turned.words)
        self._tell(Finished(self._now_s, self._turn, "answered", turned.reason))

    def _tell_progress(self, run: Run) -> None:
        step = run.step
        if run.outcome is None and not run.told and (run.id, step) != self._told:
            self._told = (run.id, step)
            self._tell(StepStarted(self._now_s, self._turn, self._part.offset + step))
            segment = run.program.segments[int(run.runner.segment[0])]
            if isinstance(segment, Say):
                self._say(segment.text)

    def _label(self, part: Part) -> str | None:
        target = part.steps[0].target if part.steps else None
        return target.label if target else (part.steps[0].args.get("label") if part.steps else None)
