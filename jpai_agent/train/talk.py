"""What differs between talking to the cart and to the car: words, kinds, skills that move it, and the mix of what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jpai_agent.train import lexicon, lexicon_car
from jpai_agent.train.augment import FILLERS
from jpai_agent.world.objects import LANDMARKS, STREET_KINDS, YARD_KINDS


@dataclass(frozen=True, eq=False)
class Talk:
    """How people talk to one robot.

    Attributes:
        robot: Its name. words: the module that fills slots.
        kinds: Kinds of objects that instructions point at.
        outcomes: Share of samples by what they come to; "act" holds dialogues and sequences, "condition" is settled from
            the frame. groups: share of the lines that act, by what they say.
        references: how often each of KINDS_OF_WORDS is tried first. pointing: how often a line that points at something is
            taken for each time that another of its group is.
        looks_elsewhere: Skills after which the view is another one.
        moves: Skills during which the robot has a speed, and speeds_mps: those that it may have.
        usual: Skill that most often runs while a follow-up is said.
        fillers: What may come before an instruction.
        idle: How often a line that stands alone is said at rest with nothing running; `rolling`: while an implicit drive goes
            on. Else it is said in the midst of another plan.
    """

    robot: str
    words: Any
    kinds: tuple[str, ...]
    outcomes: Mapping[str, float]
    groups: Mapping[str, float]
    references: tuple[float, float, float]
    pointing: int
    looks_elsewhere: frozenset[str]
    moves: frozenset[str]
    speeds_mps: tuple[float, ...]
    usual: Mapping[str, float]
    idle: float
    rolling: float = 0.0
    fillers: tuple[str, ...] = FILLERS


CART = Talk(
    robot="cart", words=lexicon, kinds=YARD_KINDS,
    outcomes={"act": 0.54, "condition": 0.06, "ambiguous": 0.10, "absent": 0.09, "ask": 0.14, "refuse": 0.07},
    groups={"go_to": 0.22, "place": 0.06, "sequence": 0.18, "turn_taking": 0.15, "follow": 0.13, "face": 0.08,
            "look_for": 0.06, "move": 0.07, "turn": 0.07, "wait": 0.04, "say": 0.05, "set_speed": 0.05, "continue": 0.03,
            "return_home": 0.03, "stop": 0.01},
    references=(0.52, 0.24, 0.24), pointing=1,
    looks_elsewhere=frozenset(("go_to", "move", "turn", "face", "return_home", "follow", "look_for")),
    moves=frozenset(("go_to", "follow", "move", "return_home")),
    speeds_mps=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 1.0, 1.2), usual={"go_to": 1.0}, idle=0.88)

CAR = Talk(
    robot="car", words=lexicon_car, kinds=tuple(kind for kind in STREET_KINDS if kind not in LANDMARKS),
    outcomes={"act": 0.55, "condition": 0.04, "ambiguous": 0.07, "absent": 0.11, "ask": 0.14, "refuse": 0.09},
    groups={"turn_at": 0.23, "pull_over": 0.17, "stop_at": 0.10, "sequence": 0.19, "turn_taking": 0.14, "follow": 0.08,
            "park": 0.05, "drive": 0.05, "set_speed": 0.05, "u_turn": 0.04, "continue": 0.03, "say": 0.03, "wait": 0.03,
            "stop": 0.02},
    references=(0.46, 0.38, 0.16), pointing=2,
    looks_elsewhere=frozenset(("drive", "turn_at", "pull_over", "u_turn", "follow", "park")),
    moves=frozenset(("drive", "turn_at", "pull_over", "stop_at", "u_turn", "follow", "park")),
    speeds_mps=(1.4, 2.8, 4.2, 5.0, 5.6, 6.4, 6.9, 6.9, 6.9, 7.5, 8.3),
    usual={"turn_at": 0.35, "drive": 0.3, "pull_over": 0.15, "stop_at": 0.1, "u_turn": 0.05, "follow": 0.05},
    idle=0.45, rolling=0.37,
    fillers=(*(word for word in FILLERS if "ロボット" not in word), "運転手さん、", "運転手さん", "あ、運転手さん、",
             "えっとですね、"))

TALKS: dict[str, Talk] = {talk.robot: talk for talk in (CART, CAR)}
