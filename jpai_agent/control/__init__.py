"""Motion: from a plan's steps to commands. The same code drives N rehearsed robots and the one that is real.

`compile_program` lets each skill's `motions` add `segments` to a `Program`, with paths over a clearance grid (`paths`) to poses at a
wanted gap (`goals`). `ProgramRunner` ticks a program for N robots at once over a `View`; `safety` keeps it from what is
in the way. Nothing here reads a sensor.
"""

from jpai_agent.control.compile import compile_program
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.program import Program
from jpai_agent.control.runner import Command, ProgramRunner
from jpai_agent.control.view import View, view_from_scene

__all__ = ["Command", "Program", "ProgramError", "ProgramRunner", "View", "compile_program", "view_from_scene"]
