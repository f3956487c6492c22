"""The car's running gear in a simulated world: what a seed draws of it, four wheels steered and driven, its odometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from jpai_agent.sim.driver import CarDriver, CarDriverParameters
from jpai_agent.sim.sensors import AxleOdometry
from jpai_agent.twin.worlds import ROBOT_BODY
from jpai_agent.world.robot import Ackermann, RobotSpec
from jpai_agent.world.sensors import Odometry

# car.xml: radius of the wheels, distance of the wheels of an axle
WHEEL_RADIUS_M, TRACK_M = 0.28, 1.28
# at 10 ms the tyres' forces do not settle
SUBSTEPS = 4
_WHEELS = ("rl", "rr", "fl", "fr")
_REAR = _WHEELS[:2]
DRY_FRICTION, WET_FRICTION = (0.8, 1.0), (0.5, 0.65)


@dataclass(frozen=True)
class CarPhysics:
    """What a seed draws and nobody tells the agent.

    Attributes:
        tyre_friction: Coulomb coefficient (the model file says 0.9). load_kg: people and luggage on top of the car's own mass.
        stiffness: factor on the springs.
    """

    tyre_friction: float
    load_kg: float
    stiffness: float
    driver: CarDriverParameters

    @classmethod
    def draw(cls, rng: np.random.Generator, steering: Ackermann, wet: bool) -> CarPhysics:
        """New to worn tyres on this road, empty to three people with luggage, springs within 15 %."""
        return cls(
            float(rng.uniform(*(WET_FRICTION if wet else DRY_FRICTION))),
            float(rng.uniform(0.0, 220.0)),
            float(rng.uniform(0.85, 1.15)),
            CarDriverParameters.draw(rng, steering),
        )


class CarGear:
    """Four suspended wheels, the front ones steered by Ackermann's geometry, all driven and braked.

    Args:
        v_mps, yaw_rad: Speed and heading (map frame) at the start. physics_rng, odometry_rng: draw the drive and its sensors.
        wet: Whether the road is. physics: in place of what physics_rng would draw.

    Attributes:
        substeps: Physics steps in one of the simulation's 10 ms. driver: takes the commands.
    """

    substeps = SUBSTEPS

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, robot: RobotSpec, v_mps: float, yaw_rad: float,
                 physics_rng: np.random.Generator, odometry_rng: np.random.Generator, wet: bool = False,
                 physics: CarPhysics | None = None) -> None:
        if robot.ackermann is None:
            raise ValueError(f"robot {robot.name} has no ackermann section; a car is steered")
        self._data, self._steering = data, robot.ackermann
        self.physics = physics or CarPhysics.draw(physics_rng, robot.ackermann, wet)
        self.driver = CarDriver(robot.limits, robot.ackermann, self.physics.driver, v_mps)
        self._rear_qpos = [int(model.joint(f"wheel_{w}").qposadr[0]) for w in _REAR]
        self._odometry = AxleOdometry(odometry_rng, WHEEL_RADIUS_M, v_mps)
        self._apply(model, self.physics)
        start = int(model.joint("base").dofadr[0])
        data.qvel[start : start + 2] = v_mps * math.cos(yaw_rad), v_mps * math.sin(yaw_rad)
        data.qvel[[int(model.joint(f"wheel_{w}").dofadr[0]) for w in _WHEELS]] = v_mps / WHEEL_RADIUS_M

    def controls(self, now_s: float, dt_s: float, speed_mps: float) -> np.ndarray:
        """(6,) inputs of the actuators of car.xml for the next dt_s, of a car that truly moves at speed_mps."""
        return wheel_controls(*self.driver.step(now_s, dt_s, speed_mps), self._steering.wheelbase_m)

    def odometry(self, pose: np.ndarray, now_s: float) -> Odometry:
        """What rear wheels and gyroscope say at the true pose (3,) x, y, yaw."""
        return self._odometry.read(self._data.qpos[self._rear_qpos], float(pose[2]), now_s)

    def _apply(self, model: mujoco.MjModel, drawn: CarPhysics) -> None:
        """Give the model these properties and let it stand on its springs as it would at rest."""
        data = self._data
        base = model.body(ROBOT_BODY).id
        heavier = 1.0 + drawn.load_kg / model.body_mass[base]
        model.body_mass[base] *= heavier
        model.body_inertia[base] *= heavier
        sag_m = {}
        for wheel in _WHEELS:
            model.geom_friction[model.geom(f"wheel_{wheel}").id, 0] = drawn.tyre_friction
            joint = model.joint(f"suspension_{wheel}")
            address, sprung_m = int(joint.qposadr[0]), model.qpos_spring[joint.qposadr[0]]
            # the file's spring holds a quarter of the empty body at 0
            sag_m[address] = sprung_m * (1.0 - heavier / drawn.stiffness)
            model.jnt_stiffness[joint.id] *= drawn.stiffness
        mujoco.mj_setConst(model, data)
        for address, way_m in sag_m.items():
            data.qpos[address] = way_m
        data.qpos[int(model.joint("base").qposadr[0]) + 2] = -max(sag_m.values())


def wheel_controls(speed_mps: float, angle_rad: float, wheelbase_m: float) -> np.ndarray:
    """(6,) front left and right angles in rad, then wheel speeds rl, rr, fl, fr in rad/s, for the speed of the rear axle's
    middle and the bicycle's angle: all wheels roll about one point on the line of the rear axle."""
    slope = math.tan(angle_rad)
    side = TRACK_M / 2 * slope / wheelbase_m
    left, right = 1.0 - side, 1.0 + side
    rate = speed_mps / WHEEL_RADIUS_M
    return np.array([math.atan(slope / left), math.atan(slope / right),
                     rate * left, rate * right, rate * math.hypot(left, slope), rate * math.hypot(right, slope)])
