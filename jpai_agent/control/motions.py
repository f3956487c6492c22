"""How each skill's step becomes segments: one function a skill, found by the skill's name."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from jpai_agent.control.goals import free_spot, standoff_poses
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.segments import Follow, LookFor, Say, Wait
from jpai_agent.plan import Step
from jpai_agent.world.robot import RobotSpec

if TYPE_CHECKING:
    from jpai_agent.control.compile import Making

STANDOFF_M = 0.6
SLOWEST_MPS = 0.05
# places on the wanted side of an object that a way is sought to
GOALS_TRIED = 3

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


def new_cruise_mps(step: Step, cruise_mps: float, robot: RobotSpec) -> float:
    """The top speed that a `set_speed` step makes of the present one, within what the robot can; cars are told km/h."""
    unit = 1.0 if robot.ackermann is None else 1 / 3.6
    wanted = step.args["speed"] * unit if "speed" in step.args else cruise_mps * step.args["factor"]
    return round(min(max(float(wanted), SLOWEST_MPS), robot.limits.forward_mps), 3)


@motion("go_to")
def go_to(step: Step, making: Making) -> None:
    """Drive to the wanted side of an object and face it; a place or the floor is reached with base_link itself."""
    target = making.target
    if target.kind in ("place", "floor"):
        making.not_into_zone(np.array([target.x_m, target.y_m]))
        around = making.around()
        making.drive_to(free_spot(np.array([target.x_m, target.y_m]), around), target.yaw_rad, around)
        return
    standoff_m, side = float(step.args.get("standoff_m", STANDOFF_M)), step.args.get("side", "front")
    box = making.thing(whole=side != "front")
    around = making.around(standoff_m)
    if target.object_id is not None:
        making.target_ids.append(target.object_id)
    error = ProgramError("goal_blocked", f"no free place {side} of the object at ({box[0]:.2f}, {box[1]:.2f})")
    start, before = making.pose, list(making.segments)
    for pose in islice(standoff_poses(box, start, standoff_m, side, making.robot, around), GOALS_TRIED):
        try:
            making.drive_to(pose[:2], math.atan2(box[1] - pose[1], box[0] - pose[0]), around)
            return
        except ProgramError as failed:
            error, making.pose, making.segments = failed, start, list(before)
    # what stands in a zone may be gone to as far as the zone
    making.not_into_zone(box[:2])
    raise error


@motion("face")
def face(step: Step, making: Making) -> None:
    """Turn to the middle of the thing, or to the place."""
    target = making.target
    x, y = (target.x_m, target.y_m) if target.kind in ("place", "floor") else making.thing()[:2]
    making.turn_to(making.bearing(x, y), making.around())


@motion("follow")
def follow(step: Step, making: Making) -> None:
    """Follow until told otherwise, for a time, or until the target stops; the way to where it is now is planned."""
    target = making.target
    making.not_into_zone(np.array([target.x_m, target.y_m]))
    if target.object_id is not None:
        making.target_ids.append(target.object_id)
    making.segments.append(Follow(making.step, making.cruise_mps, target.object_id or "", target.x_m, target.y_m,
                                  float(step.args.get("duration_s", 0.0)), step.args.get("until") == "target_stops",
                                  making.way_near(np.array([target.x_m, target.y_m]))))


@motion("look_for")
def look_for(step: Step, making: Making) -> None:
    """Look around once."""
    making.segments.append(LookFor(making.step, making.cruise_mps, step.args["label"]))


@motion("move")
def move(step: Step, making: Making) -> None:
    """Drive along the heading that the robot has."""
    making.straight(float(step.args["distance_m"]), making.around())


@motion("turn")
def turn(step: Step, making: Making) -> None:
    """Turn by the angle, whole turns included."""
    making.turn_by(math.radians(float(step.args["angle_deg"])), making.around())


@motion("return_home")
def return_home(step: Step, making: Making) -> None:
    """Drive to where the robot was when it was started, and take the heading of then."""
    making.not_into_zone(making.home[:2])
    around = making.around()
    making.drive_to(free_spot(making.home[:2], around), float(making.home[2]), around)


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
    """Set the top speed of what follows. More than the robot may is not permitted, a factor ends there."""
    limit_mps = min(making.robot.limits.forward_mps, making.world_map.rules.speed_limit_mps)
    if float(step.args.get("speed", 0.0)) > limit_mps + 1e-9:
        raise ProgramError("too_fast", f"{step.args['speed']} m/s is over the limit of {limit_mps:.1f} m/s")
    making.cruise_mps = min(new_cruise_mps(step, making.cruise_mps, making.robot), limit_mps)


@motion("stop")
def stop(step: Step, making: Making) -> None:
    """Stand still for a moment, so that the stop is one."""
    making.segments.append(Wait(making.step, making.cruise_mps, 0.5))


@motion("continue")
def resume(step: Step, making: Making) -> None:
    """Adds nothing: the agent has put what was left after it, as steps of its own."""
