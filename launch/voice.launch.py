"""Ears and a voice for a graph that runs: `ros2 launch jpai_agent voice.launch.py`. Nothing else of the graph is started."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from jpai_agent.graph import processes
from jpai_agent.launching import lifecycle_node, told_true
from launch import LaunchDescription

# name: default, description, whose parameter it is
ARGUMENTS = {
    "world": ("yard", "World, as in sim/worlds", ""),
    "robot": ("", "Robot, as in config/robots; empty for that of the world", ""),
    "simulated": ("true", "With the simulated robot, whose clock is followed", ""),
    "scene_file": ("", "An episode's scene as a JSON file, for the landmarks of the map", ""),
    "autostart": ("true", "Nodes configure and activate themselves; false: a lifecycle manager does", ""),
    "hearing_file": ("", "How it hears; empty for config/hearing.yaml", "voice"),
    "device": ("", "Microphone: a part of its name or its number; empty for that of the file", "voice"),
    "recogniser": ("", "embedded, or the folder of a recogniser of one's own; empty for that of the file", "voice"),
    "wav": ("", "A WAV file that is heard instead of a microphone", "voice"),
    "audio_topic": ("", "A topic that is heard instead of a microphone", "voice"),
    "audio_type": ("std_msgs/Int16MultiArray", "Of its messages; also audio_common_msgs/AudioData and AudioStamped", "voice"),
    "speech_file": ("", "How it speaks; empty for config/speech.yaml", "speech"),
}


def actions(context):
    """One action for each of the two."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    own = {part: {name: given[name] for name in ARGUMENTS if ARGUMENTS[name][2] == part} for part in ("voice", "speech")}
    simulated, autostart = told_true(given["simulated"]), told_true(given["autostart"])
    graph = processes(given["world"], given["robot"], simulated=simulated, scene_file=given["scene_file"], **own)
    return [
        lifecycle_node(process, autostart)
        for process in graph
        if process.module.rsplit(".", 1)[-1].startswith(("voice_", "speech_"))
    ]


def generate_launch_description():
    """What ros2 launch asks for."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text, _) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=actions)])
