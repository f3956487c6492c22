"""What the launch files have in common. Only `ros2 launch` uses it: launch_ros is looked for when it is asked for."""

from __future__ import annotations

from typing import Any

from jpai_agent.graph import Process


def told_true(argument: str) -> bool:
    """What a launch argument means that is true or false."""
    return argument.lower() in ("true", "1", "yes")


def lifecycle_node(process: Process, autostart: bool) -> Any:
    """The launch action for a node of the graph; with autostart it configures and activates itself."""
    from launch_ros.actions import LifecycleNode

    return LifecycleNode(
        package="jpai_agent",
        executable=process.module.rsplit(".", 1)[-1],
        name=process.name,
        namespace="",
        output="screen",
        parameters=[{**process.parameters, "autostart": autostart}],
        remappings=list(process.remappings),
        ros_arguments=["--enclave", process.enclave],
        prefix=f"nice -n {process.nice}" if process.nice else None,
    )
