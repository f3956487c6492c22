"""A training sample: what was said over one frame and the plan that it means. Borders data making and learning."""

from __future__ import annotations

from dataclasses import dataclass

from jpai_agent.plan import ActionPlan


@dataclass(frozen=True)
class Sample:
    """One instruction over one rendered frame.

    Attributes:
        frame: Index of the frame in its shard.
        instruction: What is said now.
        plan: The right answer; points are anchors on visible pixels of the target, 0..1000.
        earlier: The turn before ("" when none); question: the robot asked about it and this answers.
        running: Skill that is running now ("" at rest); speed_mps: the robot's speed.
        targets: Index of the frame's object for each point of the plan, in the plan's order.
        mentions: Indices of the frame's objects that fit each referring expression of the text (candidates, landmarks),
            flat and unique.
        label_spans: (start, end) characters of `instruction` for each label of the plan, in the plan's order; (-1, -1)
            when it is from `earlier`.
        place_counts: (start, end, fits, kind): characters of `instruction` that name a landmark of that kind; fits: 0 where
            the map has none, 2 where several are in view, else 1.
        robot: Whom it is said to. places: ids of the landmarks of its map.
        tags: Phenomena, for the evaluation tables; author: the corpus file it came from.
    """

    frame: int
    instruction: str
    plan: ActionPlan
    earlier: str = ""
    question: bool = False
    running: str = ""
    speed_mps: float = 0.0
    targets: tuple[int, ...] = ()
    mentions: tuple[int, ...] = ()
    label_spans: tuple[tuple[int, int], ...] = ()
    place_counts: tuple[tuple[int, int, int, str], ...] = ()
    robot: str = "cart"
    places: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    author: str = ""
