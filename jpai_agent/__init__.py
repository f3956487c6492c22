"""JPAI Agent: robots and vehicles that understand Japanese and think on their own computer.

A quantized vision-language model turns camera frames and a Japanese instruction into an action plan (`vlm`, `plan`);
the plan is rehearsed in MuJoCo in a twin of the scene just perceived (`perception`, `world`, `twin`); the controllers
that were rehearsed drive the robot (`skills`, `control`); a small deterministic gate stands before the motors (`gate`).
`agent` ties these together without ROS; `nodes` carry the same parts as ROS 2 processes; `sim` is a robot to try it on.

Imports point down only: nodes, cli → sim, train, record → agent, voice → twin, vlm, perception → skills, control,
gate → language, world → plan.
"""

import os

# ONNX Runtime's builds report to their maker unless this is set before they are loaded; here nothing leaves the machine unasked
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
