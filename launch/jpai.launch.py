"""The whole graph, for ROS 2: `ros2 launch jpai_agent jpai.launch.py`. What is in it, jpai_agent.graph tells."""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from jpai_agent.graph import processes
from jpai_agent.launching import lifecycle_node, told_true
from launch import LaunchDescription

ARGUMENTS = {
    "world": ("yard", "World, as in sim/worlds"),
    "robot": ("", "Robot, as in config/robots; empty for that of the world"),
    "simulated": ("true", "With the simulated robot; false: the robot's own drivers, and a person arms the gate"),
    "scene_file": ("", "An episode's scene as a JSON file, for the simulator and for the landmarks of the map"),
    "seed": ("0", "Noise of the simulated sensors"),
    "model": ("", "Folder of the model; empty for the one of the package"),
    "model_server": ("", "Address of a model server that runs already; empty: one is started"),
    "certificate": ("", "What a robot that is not simulated may be armed under (jpai certify)"),
    "autostart": ("true", "Nodes configure and activate themselves; false: a lifecycle manager does"),
}


def actions(context):
    """One action for each process of the graph."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    graph = processes(
        given["world"],
        given["robot"],
        simulated=told_true(given["simulated"]),
        scene_file=given["scene_file"],
        seed=int(given["seed"]),
        model=given["model"],
        model_server=given["model_server"],
        certificate=given["certificate"],
    )
    return [
        lifecycle_node(process, told_true(given["autostart"])) if process.node
        else ExecuteProcess(cmd=process.command(), name=process.name, output="screen")
        for process in graph
    ]


def generate_launch_description():
    """What ros2 launch asks for."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=actions)])
