"""The cart's running gear in a simulated world: what a seed draws of it, its driven wheels, its odometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from jpai_agent.sim.driver import DriverParameters, MotorDriver
from jpai_agent.sim.sensors import WheelOdometry
from jpai_agent.twin.worlds import ROBOT_BODY
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import Odometry

# cart.xml: radius and distance of the driven wheels
WHEEL_RADIUS_M, TRACK_M = 0.1, 0.43
_WHEELS = ("wheel_left", "wheel_right")


@dataclass(frozen=True)
class CartPhysics:
    """What a seed draws and nobody tells the agent.

    Attributes:
        wheel_friction: Coulomb coefficient (the model file says 0.9). payload_kg: on top of the robot's own mass.
        rolling: factor on the wheels' damping.
    """

    wheel_friction: float
    payload_kg: float
    rolling: float
    driver: DriverParameters

    @classmethod
    def draw(cls, rng: np.random.Generator) -> CartPhysics:
        """Dry to dusty floor, empty to a 12 kg load, bearings from new to worn."""
        return cls(
            float(rng.uniform(0.6, 1.0)),
            float(rng.uniform(0.0, 12.0)),
            float(rng.uniform(0.5, 3.0)),
            DriverParameters.draw(rng),
        )


class CartGear:
    """A differential drive.

    Args:
        v_mps, yaw_rad: Speed and heading (map frame) at the start. physics_rng, odometry_rng: draw the drive and its sensors.

    Attributes:
        substeps: Physics steps in one of the simulation's 10 ms. driver: takes the commands.
    """

    substeps = 1

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, robot: RobotSpec, v_mps: float, yaw_rad: float,
                 physics_rng: np.random.Generator, odometry_rng: np.random.Generator) -> None:
        self._data = data
        self.physics = CartPhysics.draw(physics_rng)
        self._apply(model)
        self._wheel_qpos = [int(model.joint(w).qposadr[0]) for w in _WHEELS]
        self.driver = MotorDriver(robot.limits, self.physics.driver, WHEEL_RADIUS_M, TRACK_M, v_mps)
        self._odometry = WheelOdometry(odometry_rng, WHEEL_RADIUS_M, TRACK_M)
        start = int(model.joint("base").dofadr[0])
        data.qvel[start : start + 2] = v_mps * math.cos(yaw_rad), v_mps * math.sin(yaw_rad)
        data.qvel[[int(model.joint(w).dofadr[0]) for w in _WHEELS]] = v_mps / WHEEL_RADIUS_M

    def controls(self, now_s: float, dt_s: float, speed_mps: float) -> np.ndarray:
        """The actuators' inputs for the next dt_s; how fast the cart truly moves plays no part."""
        return self.driver.step(now_s, dt_s)

    def odometry(self, pose: np.ndarray, now_s: float) -> Odometry:
        """What the wheels say; the true pose (3,) plays no part."""
        return self._odometry.read(self._data.qpos[self._wheel_qpos], now_s)

    def _apply(self, model: mujoco.MjModel) -> None:
        drawn = self.physics
        base = model.body(ROBOT_BODY).id
        heavier = 1.0 + drawn.payload_kg / model.body_mass[base]
        model.body_mass[base] *= heavier
        model.body_inertia[base] *= heavier
        for wheel in _WHEELS:
            model.geom_friction[model.geom(wheel).id, 0] = drawn.wheel_friction
            model.dof_damping[model.joint(wheel).dofadr[0]] *= drawn.rolling
        mujoco.mj_setConst(model, self._data)
