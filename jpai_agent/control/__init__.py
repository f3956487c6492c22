"""Motion: from a plan's steps to commands. The same code drives N rehearsed robots and the one that is real.

`compile_program` lets each skill's `motions` add `segments` to a `Program`: paths through the `Surroundings` (`paths`)
to poses at a wanted gap and side (`goals`), straight lines, turns, waits, following and looking around. A program is
plain JSON; what waits for a look is left out (`pending_from`). `ProgramRunner` ticks a program for N robots at once
over a `View`, arrays in the map frame: `tracking` and `following` want a speed, `safety` lowers it for what is in the
way, ramps keep it within the robot's limits. Nothing here reads a sensor.

A car's programs are made and driven by `road`; `compile_program` and `runner_for` choose by the robot.
"""

from jpai_agent.control.compile import compile_program
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.program import Program
from jpai_agent.control.road.compile import keep_lane_program
from jpai_agent.control.road.runner import RoadRunner
from jpai_agent.control.runner import Command, ProgramRunner
from jpai_agent.control.view import View, view_from_scene
from jpai_agent.world.robot import RobotSpec

__all__ = ["Command", "Program", "ProgramError", "ProgramRunner", "RoadRunner", "View", "compile_program",
           "keep_lane_program", "runner_for", "view_from_scene"]


def runner_for(program: Program, robot: RobotSpec, n: int = 1) -> ProgramRunner | RoadRunner:
    """The runner that ticks a program for N robots of that kind."""
    return ProgramRunner(program, robot, n) if robot.ackermann is None else RoadRunner(program, robot, n)
