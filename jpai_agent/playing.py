"""Run instructions in this process: a simulated robot, the agent with its model, the run folder, the film. No ROS."""

from __future__ import annotations

import csv
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.agent import Agent, AgentConfig
from jpai_agent.agent.events import Decided, Event, Finished, Heard, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.graph import demo_scene
from jpai_agent.outward import Accounts
from jpai_agent.perception import Perception
from jpai_agent.record import Captions, RunRecorder, VideoWriter
from jpai_agent.record import failure_picture as draw_failure
from jpai_agent.record.soundtrack import Sound, add_sound
from jpai_agent.sim.episode import Episode, Expectation, Light, Turn
from jpai_agent.sim.robot import SimRobot
from jpai_agent.sim.runner import AgentContext, AgentFactory, Course, EpisodeResult, run_episode
from jpai_agent.train.scenes import random_scene
from jpai_agent.twin.validate import read_plan, validate
from jpai_agent.twin.verdict import Verdict
from jpai_agent.vlm import VlmError, default_model_dir, load_backend, read_manifest, verify
from jpai_agent.vlm.manifest import MANIFEST
from jpai_agent.vlm.remote import check_endpoint, endpoint_name
from jpai_agent.world.known import robot_for
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import ObjectSpec, footprint, objects_from_dicts
from jpai_agent.world.robot import load_robot

VIDEO_FPS = 10.0
PERIODS_PER_FRAME = 2


@dataclass(frozen=True)
class ModelAgents:
    """Makes agents that think with a model folder; the model is loaded once in each process."""

    model_dir: Path | None = None
    rollouts: int = 32

    def __call__(self) -> AgentFactory:
        """Load the model. Raises VlmError when a file is missing or altered."""
        backend = load_backend(self.model_dir, note=Accounts("jpai"))
        model_id = model_facts(self.model_dir)["sha256"] or ""

        def make(context: AgentContext) -> Agent:
            return Agent(context.robot, context.world_map, backend, context.worker, context.capture,
                         context.observers, model_id=model_id, config=AgentConfig(rollouts=self.rollouts, seed=context.seed))

        return make


def check_model(model_dir: Path | None) -> None:
    """Raise VlmError naming the file where a model folder is missing or not what its manifest says.

    A checkpoint of the user's own may come without a manifest; then there is nothing to hold it against. An endpoint must be one
    of the policy.
    """
    if (endpoint := endpoint_name(model_dir)) is not None:
        check_endpoint(endpoint)
        return
    folder = model_dir or default_model_dir()
    if not folder.is_dir():
        raise VlmError("model_missing", f"no model folder {folder}")
    if (folder / MANIFEST).is_file() or (folder / "onnx").is_dir():
        verify(folder)


def model_facts(model_dir: Path | None) -> dict[str, Any]:
    """Name, sha256 and bits of a model folder, for summaries; of one without a manifest the name alone."""
    folder = model_dir or default_model_dir()
    try:
        manifest = read_manifest(folder)
    except VlmError:
        return {"name": folder.name, "sha256": None, "bits": None}
    return {"name": manifest.name, "sha256": manifest.sha256, "bits": manifest.bits}


def new_run_folder(runs: Path) -> Path:
    """A folder that is not there yet, named after the time."""
    return runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def free_episode(world: str, seed: int, instructions: Sequence[str], *, limit_s: float = 120.0) -> Episode:
    """A random scene of a world with these instructions, each said when the one before has ended; nothing is expected.

    Raises ValueError naming the known worlds.
    """
    robot = robot_for(world)
    scene = random_scene(np.random.default_rng(seed), robot)
    turns = tuple(Turn(say=text) if i == 0 else Turn(say=text, after="done") for i, text in enumerate(instructions))
    # the scene's own lights are for one picture: here they take turns, as without any
    return Episode(f"{world}-seed-{seed}", world, robot, seed, (), scene.robot_pose, 0.0, tuple(scene.objects), (), turns,
                   limit_s, Expectation())


DEMO_INSTRUCTIONS: Mapping[str, tuple[str, ...]] = {
    # the first is answered by a question, which the second answers
    "yard": ("コーンの前まで行って", "右のコーン", "赤い箱の手前まで行って、3秒待ってから充電ステーションに戻って"),
    # the second leaves the car driving, and the third is said to a car that drives
    "street": ("次の信号を左に曲がって、コンビニの前で停めて", "次の交差点を右に曲がって", "郵便局の前で路肩に寄せて停めて"),
}


def demo_episode(world: str = "yard") -> Episode:
    """The demonstration of a world as an episode, for running it in one process. Raises ValueError naming the known worlds."""
    free = free_episode(world, 0, DEMO_INSTRUCTIONS.get(world, ()), limit_s=240.0)
    scene = json.loads(demo_scene(world).read_text(encoding="utf-8"))
    return replace(free, id=f"{world}-demo", robot_pose=tuple(scene["robot_pose"]),
                   objects=tuple(objects_from_dicts(scene["objects"])))


class Film:
    """Films an episode through `on_period`: chase camera and robot camera side by side, with captions."""

    def __init__(self, path: Path, episode: Episode) -> None:
        self.captions = Captions(load_map(episode.world).with_landmarks(episode.objects))
        self._writer = VideoWriter(path, VIDEO_FPS)
        self._periods = 0

    def period(self, robot: Any, agent: Any) -> None:
        """One control period of the run."""
        if self._periods % PERIODS_PER_FRAME == 0:
            self._writer.add(robot.picture("chase", (640, 480)), robot.picture("front", (640, 480)), self.captions.lines,
                             self.captions.status)
        self._periods += 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def film_run(folder: Path, objects: Sequence[ObjectSpec], *, world: str = "yard", seed: int = 0,
             lights: Sequence[Light] = (), clock_start_s: float = 0.0, sounds: Sequence[Sound] = ()) -> Path:
    """Film a kept run afterwards: the robot goes where its record says it was, in the world that it was in.

    A frame shows what was the case at its time after the record's begin, so that sounds are heard when they were.

    Args:
        folder: The run's; video.mp4 goes there. objects, lights, seed: of its world.
        clock_start_s: Time of the record's clock at which the world's began.
        sounds: What was said meanwhile; without any the film has no sound.
    """
    spec, path = load_robot(robot_for(world)), folder / "video.mp4"
    rows = list(csv.DictReader((folder / "trajectory.csv").open(encoding="utf-8")))
    shown = [json.loads(line) for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    captions: dict[str, Any] = {"lines": ("", "", ""), "status": "待機中"}
    with SimRobot(spec, world, objects, lights=lights, seed=seed) as puppet, VideoWriter(path, VIDEO_FPS) as writer:
        begin_s = float(rows[0]["time_s"]) if rows else 0.0
        for row in rows:
            now_s = float(row["time_s"])
            due = int((now_s - begin_s) * VIDEO_FPS + 1e-6) + 1 - writer.frames
            if due <= 0:
                continue
            while shown and shown[0]["time_s"] <= now_s:
                captions = shown.pop(0)
            puppet.place((float(row["x_m"]), float(row["y_m"]), float(row["yaw_rad"])), max(0.0, now_s - clock_start_s))
            chase, front = puppet.picture("chase", (640, 480)), puppet.picture("front", (640, 480))
            page = writer.frame(chase, front, captions["lines"], captions["status"])
            # where the record has nothing for a while the picture stays
            for _ in range(due):
                writer.write(page)
    if sounds:
        add_sound(path, sounds, begin_s, writer.frames / VIDEO_FPS)
    return path


def play(episode: Episode, make_agents: Callable[[], AgentFactory], folder: Path, *, film: bool = False,
         tell: Callable[[Event], None] | None = None, view: bool = False) -> EpisodeResult:
    """Run an episode and keep its run folder.

    Args:
        film: Also write video.mp4. tell: is told the agent's events as they happen. view: show it in MuJoCo's viewer.
    """
    agents = make_agents()
    with recording(episode, folder) as recorder:
        movie = Film(folder / "video.mp4", episode) if film else None
        watchers = [w for w in (movie.captions if movie else None, tell) if w is not None]

        def watched(context: AgentContext) -> Any:
            agent = agents(context)
            agent.observers.extend(watchers)
            return agent

        with _viewer(view) as show:

            def on_period(robot: Any, agent: Any) -> None:
                if movie is not None:
                    movie.period(robot, agent)
                show(robot)

            try:
                result = run_episode(episode, watched, log_run=recorder, run_folder=str(folder), on_period=on_period)
            finally:
                if movie is not None:
                    movie.close()
        recorder.close(**{k: v for k, v in result.to_dict().items() if k in ("decision", "reason", "seconds", "error")})
        return result


def converse(episode: Episode, make_agents: Callable[[], AgentFactory], folder: Path, *, view: bool,
             write: Callable[[str], None]) -> None:
    """Talk with the robot of an episode: lines of standard input are said as they come; the episode's own turn is not.

    While something is being done, time passes until it has ended; with nothing to do it stands still.
    """
    agents = make_agents()
    with recording(episode, folder) as recorder, _viewer(view) as show:
        course = Course(episode, agents, log_run=recorder)
        course.say_nothing()
        course.agent.observers.append(lambda event: print_event(event, write))
        try:
            _pass_time(course, show, at_least_s=0.5)
            for line in sys.stdin:
                if line.strip():
                    course.agent.hear(line.rstrip("\n"), course.robot.time_s)
                _pass_time(course, show, at_least_s=2.0)
        finally:
            course.robot.close()
        recorder.close()


def _pass_time(course: Course, show: Callable[[Any], None], at_least_s: float) -> None:
    end_s = course.robot.time_s + at_least_s
    while course.robot.time_s < end_s or not course.agent.idle:
        course.period()
        show(course.robot)
        if course.robot.time_s > end_s + 300.0:
            break


def rehearse_plan(text: str, world: str, seed: int, rollouts: int) -> Verdict:
    """The twin's verdict on a plan (JSON) in the random scene of a seed, as its robot perceives it after a second.

    Raises:
        ValueError: The world is unknown, the plan is none, or no program can be made of it; says why.
    """
    episode = free_episode(world, seed, ["-"])
    robot, world_map = load_robot(episode.robot), load_map(world).with_landmarks(episode.objects)
    plan = read_plan(text, robot, world_map)
    perception = Perception(robot, world_map)
    with SimRobot(robot, world, episode.objects, robot_pose=episode.robot_pose, lights=episode.lights,
                  seed=seed) as simulated:
        while simulated.time_s < 1.0:
            simulated.streaming = set(perception.wants_stream)
            perception.update(simulated.observe(simulated.time_s))
            simulated.step(1.0 / robot.control_rate_hz)
        stamp_s = simulated.time_s
    scene = perception.scene()
    targets = {}
    for index, step in enumerate(plan.steps):
        if step.target is not None and not step.target.deferred:
            found = perception.ground(step.target, scene, stamp_s)
            if found is None:
                raise ValueError(f"step {index}: nothing stands at its point")
            targets[index] = found
    return validate(text, targets, scene, robot, world_map, rollouts=rollouts, seed=seed).verdict


@contextmanager
def recording(episode: Episode, folder: Path, *, pictures: bool = True) -> Iterator[RunRecorder]:
    """The recorder of an episode's run folder."""
    about = {"id": episode.id, "seed": episode.seed, "tags": list(episode.tags), "turns": [t.say for t in episode.turns],
             "objects": [thing.to_dict() for thing in episode.objects]}
    world_map = load_map(episode.world).with_landmarks(episode.objects)
    with RunRecorder(folder, load_robot(episode.robot), world_map, episode=about, pictures=pictures, mcap=pictures) as recorder:
        yield recorder


@contextmanager
def bench_log(episode: Episode, folder: Path) -> Iterator[RunRecorder]:
    """The plain record that the bench keeps of each run."""
    with recording(episode, folder, pictures=False) as recorder:
        yield recorder


def failure(episode: Episode, result: EpisodeResult, folder: Path | None, pictures: Path) -> None:
    """Draw what went wrong in an episode."""
    if folder is not None:
        outlines = [footprint(thing, result.seconds).corners() for thing in episode.objects]
        draw_failure(folder, result.to_dict(), pictures / f"{episode.id}.png", outlines=outlines)


@contextmanager
def _viewer(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """A function that shows a simulated robot live, at the speed of the wall clock."""
    if not wanted:
        yield lambda robot: None
        return
    import mujoco.viewer

    handle: Any = None
    begun = time.monotonic()

    def show(robot: Any) -> None:
        nonlocal handle
        if handle is None:
            handle = mujoco.viewer.launch_passive(robot.model, robot.data)
        handle.sync()
        time.sleep(max(0.0, robot.time_s - (time.monotonic() - begun)))

    try:
        yield show
    finally:
        if handle is not None:
            handle.close()


def print_event(event: Event, write: Callable[[str], None]) -> None:
    """What a person at the terminal wants to follow of an event."""
    at = f"[{event.time_s:6.1f} s]"
    if isinstance(event, Heard):
        write(f"{at} 指示   {event.text}")
    elif isinstance(event, Planned):
        write(f"{at} 計画   {event.raw_text or event.error} ({event.latency_ms:.0f} ms)")
    elif isinstance(event, Rehearsed):
        verdict = event.verdict
        found = "合格" if verdict.passed else f"不合格 ({verdict.reason})"
        passed = f"{round(verdict.pass_rate * verdict.rollouts)}/{verdict.rollouts}"
        write(f"{at} リハーサル {passed} (下限 {verdict.pass_rate_low:.0%}) {found} ({event.latency_ms:.0f} ms)")
    elif isinstance(event, Decided) and event.reason:
        write(f"{at} 判断   {event.decision} ({event.reason})")
    elif isinstance(event, StepStarted):
        write(f"{at} 実行   手順 {event.step + 1}")
    elif isinstance(event, Replied):
        write(f"{at} 応答   {event.text}")
    elif isinstance(event, Finished):
        write(f"{at} 終了   {event.outcome} {event.reason}".rstrip())
