"""What training is made of: a course for each robot, and groups of questions over frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jpai_agent.plan import SkillSpec
from jpai_agent.train.batch import Question
from jpai_agent.train.frames import FrameShard, load_shard, shard_paths
from jpai_agent.train.losses import Batch
from jpai_agent.train.sample import Sample


class Asks(Protocol):
    """What makes the questions of a frame (`instruct.Instructor`)."""

    def samples(self, frame: Any, rng: np.random.Generator, count: int) -> list[Sample]: ...


@dataclass(frozen=True)
class Course:
    """What one robot's part of the training is made of.

    Attributes:
        robot: Its name. asks: makes the questions. skills: by name.
        frames, validation: Folders of shards.
        share: Of the training's groups, among all courses. blind: share of questions that need no picture.
    """

    robot: str
    asks: Asks
    skills: Mapping[str, SkillSpec]
    frames: Path
    validation: Path
    share: float = 1.0
    blind: float = 1 / 3


@dataclass(frozen=True)
class Quiz:
    """A fixed set of questions over a validation shard."""

    course: Course
    shard: FrameShard
    questions: list[Question]


@dataclass
class Group:
    """Some frames of a shard and batches of questions over them."""

    shard: FrameShard
    frames: np.ndarray
    batches: list[Batch]

    def __len__(self) -> int:
        return sum(map(len, self.batches))


def needs_picture(question: Question) -> bool:
    """Whether the answer depends on what is in view."""
    sample = question.sample
    return bool(
        sample.mentions
        or question.labels
        or (sample.plan.reason == "not_found" and "map" not in sample.tags)
        or {"condition", "conditional"} & set(sample.tags)
    )


def validation_samples(course: Course, count: int, per_frame: int = 2,
                       seed: int = 7) -> Iterator[tuple[FrameShard, list[Sample]]]:
    """`count` samples over the course's validation frames, shard by shard; always the same for a seed."""
    rng, left = np.random.default_rng(seed), count
    for path in shard_paths(course.validation):
        shard = load_shard(path)
        frames = min(len(shard), -(-left // per_frame))
        samples = [s for frame in range(frames) for s in course.asks.samples(shard.record(frame), rng, per_frame)][:left]
        yield shard, samples
        left -= len(samples)
        if left <= 0:
            return
