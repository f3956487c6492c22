"""How each skill's step becomes segments: one function a skill, found by the skill's name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jpai_agent.control.goals import standoff_pose
from jpai_agent.control.segments import Follow, LookFor, Say, Straight, TurnBy, Wait
from jpai_agent.plan import Step

if TYPE_CHECKING:
    from jpai_agent.control.compile import Making

STANDOFF_M = 0.6
SLOWEST_MPS = 0.05

Motion = Callable[[Step, "Making"], None]
_MOTIONS: dict[str, Motion] = {}


def motion(skill: str) -> Callable[[Motion], Motion]:
    """Register the decorated function as the motion of a skill."""

    def add(function: Motion) -> Motion:
        _MOTIONS[skill] = function
        return function

    return add


def motion_of(skill: str) -> Motion:
    """The function that adds a skill's motion to a program. Raises KeyError for a skill without one."""
    return _MOTIONS[skill]


@motion("go_to")
def go_to(step: Step, making: Making) -> None:
    """Drive to the wanted side of an object and face it; a place or the floor is reached with base_link itself."""
    target = making.target
    if target.kind in ("place", "floor"):
        making.drive_to(np.array([target.x_m, target.y_m]), target.yaw_rad)
        return
    box = making.thing()
    pose = standoff_pose(box, making.pose, float(step.args.get("standoff_m", STANDOFF_M)), step.args.get("side", "front"),
                         making.robot, making.grid)
    if target.object_id is not None:
        making.target_ids.append(target.object_id)
    making.drive_to(pose[:2], math.atan2(box[1] - pose[1], box[0] - pose[0]))


@motion("face")
def face(step: Step, making: Making) -> None:
    """Turn to the middle of the thing, or to the place."""
    target = making.target
    x, y = (target.x_m, target.y_m) if target.kind in ("place", "floor") else making.thing()[:2]
    making.turn_to(math.atan2(y - making.pose[1], x - making.pose[0]))


@motion("follow")
def follow(step: Step, making: Making) -> None:
    """Follow until told otherwise, for a time, or until the target stops."""
    target = making.target
    if target.object_id is not None:
        making.target_ids.append(target.object_id)
    making.segments.append(Follow(making.step, making.cruise_mps, target.object_id or "", target.x_m, target.y_m,
                                  float(step.args.get("duration_s", 0.0)), step.args.get("until") == "target_stops"))


@motion("look_for")
def look_for(step: Step, making: Making) -> None:
    """Look around once."""
    making.segments.append(LookFor(making.step, making.cruise_mps, step.args["label"]))


@motion("move")
def move(step: Step, making: Making) -> None:
    """Drive along the heading that the robot has."""
    distance_m = float(step.args["distance_m"])
    making.segments.append(Straight(making.step, making.cruise_mps, distance_m))
    heading = making.pose[2]
    making.pose = making.pose + np.array([distance_m * math.cos(heading), distance_m * math.sin(heading), 0.0])


@motion("turn")
def turn(step: Step, making: Making) -> None:
    """Turn by the angle, whole turns included."""
    angle_rad = math.radians(float(step.args["angle_deg"]))
    making.segments.append(TurnBy(making.step, making.cruise_mps, round(angle_rad, 5)))
    making.pose = making.pose + np.array([0.0, 0.0, angle_rad])


@motion("return_home")
def return_home(step: Step, making: Making) -> None:
    """Drive to where the robot was when it was started, and take the heading of then."""
    making.drive_to(making.home[:2], float(making.home[2]))


@motion("wait")
def wait(step: Step, making: Making) -> None:
    """Stand still."""
    making.segments.append(Wait(making.step, making.cruise_mps, float(step.args["duration_s"])))


@motion("say")
def say(step: Step, making: Making) -> None:
    """Say it, standing."""
    making.segments.append(Say(making.step, making.cruise_mps, step.args["text"]))


@motion("set_speed")
def set_speed(step: Step, making: Making) -> None:
    """Set the top speed of what follows, within what the robot can."""
    wanted = step.args["speed"] if "speed" in step.args else making.cruise_mps * step.args["factor"]
    making.cruise_mps = round(min(max(float(wanted), SLOWEST_MPS), making.robot.limits.forward_mps), 3)


@motion("stop")
def stop(step: Step, making: Making) -> None:
    """Stand still for a moment, so that the stop is one."""
    making.segments.append(Wait(making.step, making.cruise_mps, 0.5))


@motion("continue")
def resume(step: Step, making: Making) -> None:
    """Adds nothing: the agent has put what was left after it, as steps of its own."""
