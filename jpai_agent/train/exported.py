"""Ask the exported model what training asks the checkpoint: int8 graphs, chat template and grammar, as robots run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.skills import skills_for
from jpai_agent.train.evaluate import Verdict, judge
from jpai_agent.train.frames import FrameShard
from jpai_agent.train.meanings import PLACE_IDS
from jpai_agent.train.sample import Sample
from jpai_agent.vlm import Exchange, PlanAnswer, PlanRequest, VlmBackend, VlmError, load_backend

_ANSWERED = {True: '{"decision":"ask","steps":[],"reason":"ambiguous"}', False: '{"decision":"act"}'}


def request_of(sample: Sample, picture: np.ndarray) -> PlanRequest:
    """The sample as a robot would ask it, with the places of its map: those that never change and the sample's landmarks."""
    places = (*PLACE_IDS[sample.robot], *sample.places)
    before = (Exchange(sample.earlier, _ANSWERED[sample.question]),) if sample.earlier else ()
    return PlanRequest(sample.instruction, {"front": np.array(picture)}, sample.robot, sample.speed_mps, sample.running,
                       {place: (place,) for place in places}, before)


def ask(backend: VlmBackend, shard: FrameShard, samples: Sequence[Sample]) -> list[tuple[Verdict, PlanAnswer]]:
    """Answers to samples over a shard and how right they are, in the samples' order; no answer is a wrong one."""
    answered = []
    for sample in samples:
        try:
            answer = backend.plan(request_of(sample, shard.frames[sample.frame]))
        except VlmError as error:
            answer = PlanAnswer(str(error))
        answered.append((judge(sample, answer.text, shard, skills_for(sample.robot)), answer))
    return answered


def ask_again(backend: VlmBackend, verdicts: Sequence[Verdict]) -> list[tuple[Verdict, PlanAnswer]]:
    """The model's answers to the questions of these verdicts, in their order."""
    return [found for verdict in verdicts if verdict.shard is not None
            for found in ask(backend, verdict.shard, [verdict.sample])]


def embedded(folder: Path, threads: int = 1) -> Any:
    """The exported model in a folder. Raises VlmError for one that has no graphs or was altered."""
    if not (folder / "onnx").is_dir():
        raise VlmError("model_missing", f"{folder} holds no exported model: make one with `jpai train quantize`")
    return load_backend(folder, threads=threads)
