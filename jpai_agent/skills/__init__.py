"""The skills: what a robot can be asked to do, one file each.

A file declares one function decorated with `skill`: it returns the `SkillSpec` (name, Japanese description, arguments
with their ranges, in the order in which a plan writes them), and its docstring says how the skill becomes motion. The
decoding grammar, the parser, the prompt's catalogue, the ROS interface and the docs follow from this table; the motion
itself is built under the same name in `control.compile`.
"""

from jpai_agent.skills.registry import Skill, load, skill, skills_for

__all__ = ["Skill", "load", "skill", "skills_for"]
