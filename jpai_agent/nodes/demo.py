"""The demonstration: the whole graph as processes, and somebody who talks to it through the action and shows what comes back."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.action import ActionClient

from jpai_agent.graph import default_endpoint, demo_scene, private_domain, processes
from jpai_agent.nodes import topics
from jpai_agent.nodes.beside import Beside
from jpai_agent.nodes.sim_node import CLOCK_START_S
from jpai_agent.playing import DEMO_INSTRUCTIONS, film_run
from jpai_agent.record import draw_run
from jpai_agent.record.soundtrack import Sound
from jpai_agent.supervisor import Supervisor
from jpai_agent.vlm import VlmClient
from jpai_agent.world.objects import objects_from_dicts
from jpai_msgs.action import ExecuteInstruction
from jpai_msgs.msg import ErrorCode

STAGES = {
    ExecuteInstruction.Feedback.PLANNING: "計画中",
    ExecuteInstruction.Feedback.GROUNDING: "認識中",
    ExecuteInstruction.Feedback.REHEARSING: "リハーサル中",
    ExecuteInstruction.Feedback.EXECUTING: "走行中",
    ExecuteInstruction.Feedback.LOOKING: "確認中",
}
GOAL_WITHIN_S = 180.0
MODEL_WITHIN_S = 90.0


def demo(folder: Path, *, world: str = "yard", seed: int = 0, model: str = "",
         instructions: Sequence[str] = (), film: bool = True, voice: bool = False,
         watch: Callable[[Path], Any] | None = None, write: Callable[[str], None] = print) -> bool:
    """Start the graph in a ROS domain of its own, say the instructions one after the other, stop it, draw and film the run.

    Args:
        folder: For the run's record; summary.png and video.mp4 go there too.
        model: Folder of the model; the embedded one when empty.
        instructions: What is said; those of the world when left out.
        voice: They are said aloud and heard by the voice node, and the robot answers aloud; speech/ in the folder has its words,
            and the film all of them.
        watch: Called with the folder once the graph is up (a viewer).
        write: Takes the lines that a person follows.

    Returns:
        Whether every instruction was answered and nothing failed.

    Raises:
        AudioError, RecogniserError: With `voice`, where its extra is not installed or its recogniser is not there.
    """
    scene_file = demo_scene(world)
    domain = private_domain()
    endpoint = default_endpoint(domain)
    log = folder.with_name(folder.name + "-log")
    aloud: dict[str, Any] = {}
    person: Any = _Person
    sounds: list[Sound] = []
    if voice:
        from jpai_agent.nodes.spoken import SpeakingPerson, check_voice, keep_sounds, kept_sounds

        check_voice()
        aloud = {"voice": {"audio_topic": topics.SPEECH_IN}, "speech": {"out": str(log / "speech")}}
        person = partial(SpeakingPerson, run=folder)
    graph = processes(world, scene_file=str(scene_file), seed=seed, model=model, vlm_endpoint=endpoint, record=str(folder),
                      **aloud)
    write("起動しています …")
    with Supervisor(graph, domain_id=domain, log_dir=log, tell=write) as supervisor:
        supervisor.wait_ready()
        VlmClient(endpoint, MODEL_WITHIN_S).wait_ready(MODEL_WITHIN_S)
        write(f"ノード: {', '.join(supervisor.running)}")
        if watch is not None:
            watch(folder)
        # as the graph's own processes: discovery by multicast would leave this machine
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        with person(domain) as somebody:
            answered = [somebody.say(text, write) for text in instructions or DEMO_INSTRUCTIONS[world]]
    if voice:
        keep_sounds(somebody.sounds, log / "speech")
        # the record's folder had to be empty at its begin
        shutil.move(log / "speech", folder / "speech")
        sounds = kept_sounds(folder / "speech")
    write("記録を描いています …")
    draw_run(folder)
    if film:
        scene = json.loads(scene_file.read_text(encoding="utf-8"))
        film_run(folder, objects_from_dicts(scene["objects"]), world=world, seed=seed, clock_start_s=CLOCK_START_S,
                 sounds=sounds)
    return all(answered)


class _Person(Beside):
    """A node that sends instructions as goals and tells what happens to them."""

    def __init__(self, domain: int) -> None:
        super().__init__("person", domain)
        self._action = ActionClient(self.node, ExecuteInstruction, topics.EXECUTE_INSTRUCTION)

    def say(self, text: str, write: Callable[[str], None]) -> bool:
        """Send an instruction and wait for its end; True when it was done or answered by a question."""
        begin = time.monotonic()

        def told(line: str) -> None:
            write(f"[{time.monotonic() - begin:5.1f} s] {line}")

        told(f"指示   {text}")
        shown: dict[str, Any] = {}

        def follow(message: Any) -> None:
            feedback = message.feedback
            if feedback.plan.json and shown.get("plan") != feedback.plan.json:
                shown["plan"] = feedback.plan.json
                told(f"計画   {feedback.plan.json}")
            verdict = feedback.verdict
            if verdict.id and shown.get("verdict") != verdict.id:
                shown["verdict"] = verdict.id
                passed = round(verdict.pass_rate * verdict.rollouts)
                rate = f"{passed}/{verdict.rollouts} (下限 {verdict.pass_rate_low:.0%})"
                found = f"{rate} 最小すきま {verdict.min_clearance_m:.2f} m"
                told(f"リハーサル {found if verdict.rollouts else 'できなかったのでやり直します'}")
            stage = (feedback.stage, feedback.step)
            if shown.get("stage") != stage:
                shown["stage"] = stage
                told(STAGES.get(feedback.stage, "") + (f" 手順 {feedback.step + 1}" if feedback.step >= 0 else ""))

        if not self._action.wait_for_server(timeout_sec=30.0):
            told("エージェントが応答しません")
            return False
        sent = self._action.send_goal_async(ExecuteInstruction.Goal(instruction=text), follow)
        handle = self._wait(sent, 30.0)
        if handle is None or not handle.accepted:
            told("受け付けられませんでした")
            return False
        ended = self._wait(handle.get_result_async(), GOAL_WITHIN_S)
        if ended is None:
            told("終わりませんでした")
            return False
        result = ended.result
        told(f"応答   {result.reply}")
        return result.error_code in (ErrorCode.NONE, ErrorCode.ASKED)

    def _wait(self, future: Any, timeout_s: float) -> Any:
        # spun here: rclpy loses an answer that another thread takes in before the request is noted as sent
        self.executor.spin_until_future_complete(future, timeout_s)
        return future.result() if future.done() else None
