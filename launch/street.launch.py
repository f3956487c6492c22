"""The car in the street, for ROS 2: `ros2 launch jpai_agent street.launch.py`. The graph of jpai.launch.py, other defaults."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir

from launch import LaunchDescription

DEFAULTS = {"world": "street", "robot": "car"}


def generate_launch_description():
    """What ros2 launch asks for. Every argument of jpai.launch.py may be given."""
    declared = [DeclareLaunchArgument(name, default_value=value) for name, value in DEFAULTS.items()]
    whole = PythonLaunchDescriptionSource(PathJoinSubstitution([ThisLaunchFileDir(), "jpai.launch.py"]))
    given = {name: LaunchConfiguration(name) for name in DEFAULTS}
    return LaunchDescription([*declared, IncludeLaunchDescription(whole, launch_arguments=given.items())])
