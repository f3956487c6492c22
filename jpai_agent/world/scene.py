"""The scene: one belief about what stands and moves around the robot, made by perception and read by everything else.

All positions are in the `map` frame (REP 105): metres, x forward, y left, yaw in radians counter-clockwise.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

# before any clock began
SINCE_EVER_S = -1.0e6
# a robot that moves no faster than this stands
STANDS_MPS, STANDS_RADPS = 0.05, 0.05


def stands(v_mps: float, w_radps: float) -> bool:
    """Whether a robot with this forward speed and turn rate stands, as far as odometry can tell."""
    return abs(v_mps) <= STANDS_MPS and abs(w_radps) <= STANDS_RADPS


@dataclass(frozen=True)
class RobotState:
    """Pose and speed of base_link as estimated from localiser and odometry.

    Attributes:
        x_m, y_m, yaw_rad: Pose in the map frame.
        v_mps: Forward speed; w_radps: turn rate, positive to the left.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    v_mps: float = 0.0
    w_radps: float = 0.0

    @property
    def pose(self) -> np.ndarray:
        """(3,) x, y, yaw."""
        return np.array([self.x_m, self.y_m, self.yaw_rad])

    @property
    def stands(self) -> bool:
        """Whether it stands."""
        return stands(self.v_mps, self.w_radps)


@dataclass(frozen=True)
class Obstacle:
    """An oriented box that stands still. `sigma_m` is the spread of its perceived position.

    Attributes:
        id: Stable while perception keeps track of it.
        x_m, y_m, yaw_rad: Centre and orientation in the map frame.
        half_x_m, half_y_m: Half extents along its own axes.
        height_m: Top above the floor.
        seen_since_s: When it was first seen to stand here, on the scene's clock. What has just come into sight may turn out
            to move.
    """

    id: str
    x_m: float
    y_m: float
    yaw_rad: float
    half_x_m: float
    half_y_m: float
    height_m: float
    sigma_m: float = 0.03
    seen_since_s: float = SINCE_EVER_S


@dataclass(frozen=True)
class Mover:
    """A thing that moves or may move, with the velocity seen last: a person, round, or a vehicle, a box.

    Attributes:
        x_m, y_m: Centre in the map frame; vx_mps, vy_mps: velocity.
        radius_m: Radius of its footprint's circle; of a box that of the circle around it.
        last_seen_s: Age stamp, on the scene's clock.
        yaw_rad, half_x_m, half_y_m: Heading and half extents of a box; zero extents for a round thing.
        seen_since_s: When it was first seen, if it has not been seen to move yet.
    """

    id: str
    x_m: float
    y_m: float
    vx_mps: float
    vy_mps: float
    radius_m: float
    height_m: float
    last_seen_s: float
    sigma_m: float = 0.05
    yaw_rad: float = 0.0
    half_x_m: float = 0.0
    half_y_m: float = 0.0
    seen_since_s: float = SINCE_EVER_S


LIGHT_STATES = ("unknown", "red", "yellow", "green")


@dataclass(frozen=True)
class SeenLight:
    """What was read of a traffic light last.

    Attributes:
        id: The head's, as in the road map. state: one of LIGHT_STATES. seen_s: when, on the scene's clock.
    """

    id: str
    state: str
    seen_s: float


@dataclass(frozen=True)
class GroundedTarget:
    """A plan's target found in the world.

    Attributes:
        label: The user's words.
        x_m, y_m: Where the pointed-at surface is, or the place, in the map frame.
        yaw_rad: Heading of a place; None for things seen.
        object_id: The obstacle or mover that it is, when it is one.
        kind: "object" (a standing thing), "mover", "floor" or "place"; floor and place are reached with base_link itself.
        sigma_m: Spread of the position.
    """

    label: str
    x_m: float
    y_m: float
    kind: str
    yaw_rad: float | None = None
    object_id: str | None = None
    sigma_m: float = 0.05


@dataclass(frozen=True)
class Scene:
    """What the robot believes at one time.

    Attributes:
        id: Names the snapshot; a verdict is bound to it.
        stamp_s: Time of the newest sensor reading in it.
        robot: The robot's own state.
        obstacles: Standing things, as oriented boxes.
        movers: Moving things.
        lights: Traffic lights that were read of late, by head.
        camera_s: When the depth camera delivered last; None before it ever did.
    """

    id: str
    stamp_s: float
    robot: RobotState
    obstacles: tuple[Obstacle, ...] = ()
    movers: tuple[Mover, ...] = ()
    lights: tuple[SeenLight, ...] = ()
    camera_s: float | None = None

    def find(self, object_id: str) -> Obstacle | Mover | None:
        """The obstacle or mover of that id, or None when the scene has lost it."""
        things: tuple[Obstacle | Mover, ...] = self.obstacles + self.movers
        return next((thing for thing in things if thing.id == object_id), None)

    def sha256(self) -> str:
        """Hash of the snapshot, positions to the millimetre."""

        def values(thing: object) -> list[object]:
            return [round(v, 3) if isinstance(v, float) else v for v in vars(thing).values()]

        content = [self.id, round(self.stamp_s, 3), values(self.robot), [values(o) for o in self.obstacles],
                   [values(m) for m in self.movers], [values(light) for light in self.lights]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()
