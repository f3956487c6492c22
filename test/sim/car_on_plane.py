"""A car on an endless plane, without a world around it: for tests of how it drives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np

from jpai_agent.sim.car import CarGear, CarPhysics
from jpai_agent.world.robot import RobotSpec

TICK_S, COMMAND_EVERY = 0.01, 5
Command = Callable[[float], tuple[float, float]]


class CarOnPlane:
    """Keeps what happened in `rows` (T, 9): time, x, y, yaw, forward, left, turn rate, height of base_link, cosine of the tilt.

    Args:
        friction, load_kg: In place of what the seed draws.
    """

    def __init__(self, car: RobotSpec, *, seed: int = 0, v_mps: float = 0.0, friction: float | None = None,
                 load_kg: float | None = None) -> None:
        assert car.ackermann is not None
        spec = mujoco.MjSpec.from_string(car.model_xml.read_text(encoding="utf-8"))
        spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=1, conaffinity=0)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        rng = np.random.default_rng(seed)
        physics = CarPhysics.draw(rng, car.ackermann, wet=False)
        physics = replace(physics, tyre_friction=physics.tyre_friction if friction is None else friction,
                          load_kg=physics.load_kg if load_kg is None else load_kg)
        self.gear = CarGear(self.model, self.data, car, v_mps, 0.0, rng, rng, physics=physics)
        self.model.opt.timestep = TICK_S / self.gear.substeps
        mujoco.mj_forward(self.model, self.data)
        self._ticks = 0
        self.rows = np.zeros((0, 9))

    @property
    def now(self) -> np.ndarray:
        """(9,) the present row."""
        q, v = self.data.qpos, self.data.qvel
        yaw = math.atan2(2 * (q[3] * q[6] + q[4] * q[5]), 1 - 2 * (q[5] ** 2 + q[6] ** 2))
        cos, sin = math.cos(yaw), math.sin(yaw)
        return np.array([self._ticks * TICK_S, q[0], q[1], yaw, cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[5], q[2],
                         1 - 2 * (q[4] ** 2 + q[5] ** 2)])

    def drive(self, seconds: float, command: tuple[float, float] | Command | None) -> np.ndarray:
        """The rows (T, 9) of this drive under a command at 20 Hz, or one of the time since its start, or none."""
        rows = []
        for tick in range(round(seconds / TICK_S)):
            now_s = self._ticks * TICK_S
            if command is not None and tick % COMMAND_EVERY == 0:
                self.gear.driver.command(*(command(tick * TICK_S) if callable(command) else command), now_s)
            self.data.ctrl[:] = self.gear.controls(now_s, TICK_S, self.now[4])
            mujoco.mj_step(self.model, self.data, self.gear.substeps)
            self._ticks += 1
            rows.append(self.now)
        self.rows = np.concatenate([self.rows, rows])
        return np.array(rows)
