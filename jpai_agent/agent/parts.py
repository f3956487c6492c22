"""Parts of plans: the steps that are driven together, with what was found for them, and what remains when one is cut short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jpai_agent.control.motions import new_cruise_mps
from jpai_agent.plan import Step
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget


@dataclass(frozen=True)
class Part:
    """Steps of a plan with their targets by index; `offset` is the plan's index of the first."""

    steps: tuple[Step, ...] = ()
    targets: Mapping[int, GroundedTarget] = field(default_factory=dict)
    offset: int = 0

    def after(self, index: int | None) -> Part:
        """The steps from `index` on; none when it is None."""
        if index is None:
            return Part()
        kept = {i - index: target for i, target in self.targets.items() if i >= index}
        return Part(self.steps[index:], kept, self.offset + index)

    def before(self, rest: Part) -> tuple[Step, ...]:
        """The steps that come before `rest`, which `after` gave."""
        return self.steps[:len(self.steps) - len(rest.steps)]

    def spliced(self, at: int, other: Part, drop: int) -> Part:
        """Another part's steps in place of `drop` steps at `at`; a target of a dropped step is dropped too."""
        steps = self.steps[:at] + other.steps + self.steps[at + drop:]
        shift = len(other.steps) - drop
        kept = {i: target for i, target in self.targets.items() if not at <= i < at + drop}
        targets = {i if i < at else i + shift: target for i, target in kept.items()}
        targets |= {at + i: target for i, target in other.targets.items()}
        return Part(steps, targets, self.offset)


def cruise_after(steps: Sequence[Step], cruise_mps: float, robot: RobotSpec) -> float:
    """The top speed that `set_speed` steps leave behind."""
    for step in steps:
        if step.skill == "set_speed":
            cruise_mps = new_cruise_mps(step, cruise_mps, robot)
    return cruise_mps
