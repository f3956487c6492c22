"""N perturbed copies of the light twin, stepped together by `mujoco.batch`: commands in, named readings out."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from jpai_agent.twin.perturb import Perturbation
from jpai_agent.twin.scenery import OBSTACLE_BIT
from jpai_agent.twin.worlds import ROBOT_BODY, build_twin, robot_geoms
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec


class RolloutPhysics:
    """The bodies of N rollouts.

    Args:
        perturbation: Where everything truly stands and how each robot differs.
        timestep_s, tick_s: Physics step, and control tick (a multiple of it). threads: of the batch.

    Attributes:
        pose: (N, 3) true pose of base_link, map frame. speed: (N, 2) v, w in base_link. up: (N,) cosine of the tilt.
        contact: (N,) whether the robot touched anything but the floor in the last tick.
        diverged: (N,) MuJoCo warned, reset itself, or raised: what the rollout says is void.
    """

    def __init__(self, robot: RobotSpec, world_map: WorldMap, perturbation: Perturbation, *, timestep_s: float,
                 tick_s: float, threads: int) -> None:
        draw, n = perturbation, perturbation.rollouts
        self._steps = round(tick_s / timestep_s)
        if not math.isclose(self._steps * timestep_s, tick_s):
            raise ValueError(f"control tick {tick_s} s is no multiple of the physics step {timestep_s} s")
        boxes = [(*box, height) for box, height in zip(draw.boxes[0], draw.heights_m, strict=True)]
        rounds = zip(draw.mover_xy[0], draw.mover_radii_m, draw.mover_heights_m, strict=True)
        movers = [(*xy, radius_m, height) for xy, radius_m, height in rounds]
        spec = build_twin(boxes, movers, bounds_m=world_map.bounds_m, robot_xml=robot.model_xml)
        hulls = [g.name for g in spec.geoms if g.conaffinity & OBSTACLE_BIT]
        for name in hulls:
            spec.add_sensor(name=f"hit:{name}", type=mujoco.mjtSensor.mjSENS_CONTACT, objtype=mujoco.mjtObj.mjOBJ_GEOM,
                            objname=name, intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1])
        spec.option.timestep = timestep_s
        self.model = spec.compile()
        self._hits = np.array([self.model.sensor(f"hit:{name}").adr[0] for name in hulls], dtype=int)
        self._batch = Batch(self.model, n, threads)
        self._place(draw)
        self._vary(draw)
        self._drive = _Drive(self.model, draw, timestep_s, self._steps)
        self._tick_s, self._ticks = tick_s, np.zeros(n)
        self._first_mover = draw.boxes.shape[1]
        self.contact = np.zeros(n, dtype=bool)
        self.diverged = np.zeros(n, dtype=bool)
        self._read()

    def _place(self, draw: Perturbation) -> None:
        batch, k = self._batch, draw.boxes.shape[1]
        address = self.model.jnt_qposadr[self.model.body_jntadr[self.model.body(ROBOT_BODY).id]]
        self._qpos = batch.bind("qpos")[:, address:address + 7]
        self._qvel = batch.bind("qvel")[:, :6]
        self._time = batch.bind("time")
        self._mocap = batch.bind("mocap_pos")
        yaw = draw.start_poses[:, 2]
        self._qpos[:, :2] = draw.start_poses[:, :2]
        self._qpos[:, 3:7] = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=1)
        if k:
            self._mocap[:, :k, :2] = draw.boxes[..., :2]
            quat = batch.bind("mocap_quat")
            quat[:, :k] = 0.0
            quat[:, :k, 0], quat[:, :k, 3] = np.cos(draw.boxes[..., 2] / 2), np.sin(draw.boxes[..., 2] / 2)
        self._mocap[:, k:, :2] = draw.mover_xy

    def _vary(self, draw: Perturbation) -> None:
        """Friction, own mass and goods on the deck."""
        model, batch = self.model, self._batch
        wheels = np.flatnonzero(robot_geoms(model) & (model.geom_priority > 0) & (model.geom_condim > 1))
        batch.expand("geom_friction")[:, wheels, 0] = draw.friction[:, None]
        base = model.body(ROBOT_BODY).id
        mass, inertia, centre = (batch.expand(name) for name in ("body_mass", "body_inertia", "body_ipos"))
        own_kg = mass[:, base] * draw.mass_factor
        total_kg = own_kg + draw.payload_kg
        lever_m = draw.payload_height_m - centre[:, base, 2]
        # two point masses on the vertical through base_link add their reduced mass × distance² about the level axes
        inertia[:, base] *= draw.mass_factor[:, None]
        inertia[:, base, :2] += (own_kg * draw.payload_kg / total_kg * lever_m**2)[:, None]
        centre[:, base, 2] += lever_m * draw.payload_kg / total_kg
        mass[:, base] = total_kg
        batch.set_const()

    def set_speed(self, v_mps: float, w_radps: float) -> None:
        """Let every robot start out at this speed, wheels and drives included."""
        yaw = self.pose[:, 2]
        self._qvel[:, 0], self._qvel[:, 1], self._qvel[:, 5] = v_mps * np.cos(yaw), v_mps * np.sin(yaw), w_radps
        self._drive.set_speed(self._batch, np.array([v_mps, w_radps]))
        self._read()

    def advance(self, commands: np.ndarray, mover_xy: np.ndarray, active: np.ndarray) -> None:
        """One control tick under commands (N, 2) v m/s, w rad/s, movers at (N, M, 2), where active (N,)."""
        self._mocap[:, self._first_mover:, :2] = mover_xy
        controls = self._drive.controls(commands)
        ids = np.flatnonzero(active & ~self.diverged)
        if len(ids) == 0:
            return
        self.contact[:] = False
        try:
            record = self._batch.rollout(self._steps, control=controls[ids], record=("sensordata",), ids=ids)
            self.contact[ids] = (record["sensordata"][:, :, self._hits] > 0).any(axis=(1, 2))
        except SimulationError as error:
            self.diverged[error.ids] = True
        self._ticks[ids] += 1
        self._read()

    def _read(self) -> None:
        q = self._qpos
        w, x, y, z = q[:, 3], q[:, 4], q[:, 5], q[:, 6]
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        self.pose = np.stack([q[:, 0], q[:, 1], yaw], axis=1)
        self.up = 1 - 2 * (x * x + y * y)
        v, w_radps = self._qvel, self._qvel[:, 5]
        self.speed = np.stack([np.cos(yaw) * v[:, 0] + np.sin(yaw) * v[:, 1], w_radps], axis=1)
        # MuJoCo resets a diverged state silently and goes on: only its counters and its clock tell
        self.diverged |= ~np.isfinite(q).all(axis=1) | (self._batch.warning != 0).reshape(len(q), -1).any(axis=1)
        self.diverged |= np.abs(self._time - self._ticks * self._tick_s) > 1e-6


class _Drive:
    """A differential drive between command and wheels: delay, first-order lag, and what each wheel makes of it."""

    def __init__(self, model: mujoco.MjModel, draw: Perturbation, timestep_s: float, steps: int) -> None:
        self._to_wheels = wheel_matrix(model)
        self._gain = draw.wheel_gain
        self._keep = np.exp(-timestep_s / np.maximum(draw.lag_s, 1e-3))[:, None]
        late = np.round(draw.delay_s / timestep_s).astype(int)[:, None] - np.arange(steps)
        self._ticks_back = np.maximum(-(-late // steps), 0)
        self._sent = np.zeros((draw.rollouts, int(self._ticks_back.max()) + 1, 2))
        self._rows = np.arange(draw.rollouts)[:, None]
        self._reached = np.zeros((draw.rollouts, 2))

    def set_speed(self, batch: Batch, speed: np.ndarray) -> None:
        """All is as if `speed` (v, w) had been commanded for long."""
        self._sent[:], self._reached[:] = speed, speed
        for name, turn in zip(("wheel_left", "wheel_right"), self._to_wheels @ speed, strict=True):
            batch.joint(name).qvel = turn
        batch.bind("ctrl")[:] = self._to_wheels @ speed

    def controls(self, commands: np.ndarray) -> np.ndarray:
        """(N, steps, 2) wheel speeds in rad/s for one tick under commands (N, 2)."""
        self._sent[:, 1:] = self._sent[:, :-1].copy()
        self._sent[:, 0] = commands
        asked = self._sent[self._rows, self._ticks_back]
        for step in range(asked.shape[1]):
            self._reached = asked[:, step] + (self._reached - asked[:, step]) * self._keep
            asked[:, step] = self._reached
        return asked @ self._to_wheels.T * self._gain[:, None]


def wheel_matrix(model: mujoco.MjModel) -> np.ndarray:
    """(2, 2) from (v m/s, w rad/s) to (left, right) wheel rad/s, from the wheels' radius and track.

    Raises ValueError for a robot without wheel_left and wheel_right.
    """
    try:
        radius_m = model.geom("wheel_left").size[0]
        track_m = model.body("wheel_left").pos[1] - model.body("wheel_right").pos[1]
    except KeyError as error:
        raise ValueError("the twin drives robots with bodies and geoms wheel_left and wheel_right") from error
    return np.array([[1.0, -track_m / 2], [1.0, track_m / 2]]) / radius_m
