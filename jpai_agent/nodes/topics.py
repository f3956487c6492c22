"""Names and qualities of service of what the nodes share."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import LaserScan, PointCloud2

from jpai_agent.world.robot import RobotSpec

CMD_VEL = "/cmd_vel"
CMD_VEL_REQUEST = "/jpai/cmd_vel_request"
INSTRUCTION = "/jpai/instruction"
STOP = "/jpai/stop"
ESTOP = "/jpai/estop"
GATE_STATUS = "/jpai/gate/status"
GATE_ARM = "/jpai/gate/arm"
GATE_RESET = "/jpai/gate/reset"
EXECUTOR_STATUS = "/jpai/executor/status"
EXECUTOR_UPDATE = "/jpai/executor/update"
AGENT_HEARTBEAT = "/jpai/agent/heartbeat"
DIAGNOSTICS = "/diagnostics"
SCENE = "/jpai/scene"
FORGET = "/jpai/forget"
PLAN = "/jpai/plan"
REPLY = "/jpai/reply"
# what the robot says aloud just now, and below it how that sounds in kana; "" at its end
SPEAKING = "/jpai/speaking"
# what a microphone heard, and that a person begins to speak
HEARD = "/jpai/heard"
VOICE_ACTIVITY = "/jpai/voice_activity"
# a microphone elsewhere: mono 16 kHz, 16 bit
SPEECH_IN = "/jpai/audio"
VERDICT = "/jpai/verdict"
ROLLOUTS = "/jpai/rollouts"
LOCALIZATION = "/localization/pose"
ODOM = "/odom"
SCAN = "/scan"
POINTS = "/points"
CLOCK = "/clock"
EXECUTE_INSTRUCTION = "/jpai/execute_instruction"
EXECUTE_PLAN = "/jpai/execute_plan"
PLAN_INSTRUCTION = "/jpai/plan_instruction"
VALIDATE_PLAN = "/jpai/validate_plan"
RESOLVE_TARGET = "/jpai/resolve_target"
SIM_RESET = "/sim/reset"
SIM_PAUSE = "/sim/pause"
SIM_STEP = "/sim/step"


def lidar_topic(robot: RobotSpec) -> tuple[str, type]:
    """Topic and message type of a robot's lidar: a planar one gives scans, one with rows organised clouds."""
    return (SCAN, LaserScan) if len(robot.lidar.rows_deg) == 1 else (POINTS, PointCloud2)


def camera_topic(camera: str, stream: str) -> str:
    """Topic of a camera's stream: image_raw, depth, camera_info; trigger (std_msgs/Empty) asks for a frame now."""
    return f"/camera/{camera}/{stream}"


# commands: the newest counts, and it must arrive
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# words and stops: none may be lost
WORDS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
# sensor streams: the newest counts, a lost one does not matter
SENSOR = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
# sound: every piece counts, for a few seconds
AUDIO = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
# large pictures within one machine
PICTURE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# colour frames, asked for one by one: larger than a datagram, so each must be sent whole
FRAMES = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# the latest state, also for those who come late
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# every snapshot, also to a reader that was held up for two seconds: a verdict is bound to one of them
SCENES = QoSProfile(depth=40, reliability=ReliabilityPolicy.RELIABLE)
VERDICTS = QoSProfile(depth=8, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
