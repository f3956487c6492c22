"""ROS 2 wrappers: one lifecycle node a process, each around one part of the package, without logic of its own.

`base` starts a node and brings it up; `convert` turns messages into the package's types and back; `topics` names what
the nodes share. `gate_node` alone writes to the motors and listens for stop words itself. `sim_node` stands in for a
robot, `perception_node` owns the scene, `twin_node` rehearses, `executor_node` runs what passed, `agent_node` holds the
dialogue with `remote` parts in place of its own. Which processes make up the graph is told in `jpai_agent.graph`.
"""

import os

from jpai_agent.world.paths import resource

# read by Fast DDS when the first node of a process is made; other middlewares pass it by
if "FASTDDS_DEFAULT_PROFILES_FILE" not in os.environ:
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(resource("config", "fastdds.xml")))
