"""The simulated robot: physics behind noisy sensors, commands in, observations out; the truth only for the judge."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from jpai_agent.sim.car import CarGear, CarPhysics
from jpai_agent.sim.cart import TRACK_M as TRACK_M
from jpai_agent.sim.cart import WHEEL_RADIUS_M as WHEEL_RADIUS_M
from jpai_agent.sim.cart import CartGear, CartPhysics
from jpai_agent.sim.sensors import ColorNoise, noisy_depth, noisy_fix, noisy_ranges, noisy_rows
from jpai_agent.twin.lights import LightPlan, show_lights
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.worlds import LIDAR_GROUPS, OBJECT_PREFIX, ROBOT_BODY, build_world, place_movers, robot_geoms
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import ObjectSpec, motion_pose
from jpai_agent.world.robot import LidarSpec, RobotSpec
from jpai_agent.world.sensors import DepthImage, Image, LidarScan, Observation

if TYPE_CHECKING:
    from jpai_agent.sim.episode import Light

PHYSICS_STEP_S = 0.01
ODOMETRY_HZ, FIX_HZ = 20.0, 10.0
STREAM_HZ = 5.0
WET_WEATHERS = ("rain",)


class SimulationDiverged(RuntimeError):
    """The physics blew up; nothing after it means anything."""


@dataclass(frozen=True)
class Truth:
    """The true state, for judges and labels only. Map frame.

    Attributes:
        pose: (3,) x, y, yaw of base_link. velocity: (3,) forward, left, turn rate of base_link in its own frame.
        objects: (n, 3) x, y, heading_deg of the objects in the order of the scene.
        contacts: Ids of the objects, or names of the fixed geoms (`wall_*`), that the robot has touched since the truth was
            asked last.
        lights: State of each traffic light head by its id: "red", "yellow" or "green".
    """

    time_s: float
    pose: np.ndarray
    velocity: np.ndarray
    objects: np.ndarray
    contacts: frozenset[str]
    lights: Mapping[str, str] = field(default_factory=dict)


class SimRobot:
    """A robot in a world. It has no clock of its own: `step` advances it.

    Args:
        robot: Geometry, limits and sensors. world: "yard" or "street". objects: what stands and moves there.
        robot_pose: (x, y, heading_deg) in the map frame. robot_speed_mps: forward speed at the start.
        lights: `scene.lights` of an episode, the traffic lights that have phases of their own. Raises ValueError for a wrong one.
        seed: Draws looks, physics and every sensor's noise, each from a stream of its own.
        renderer: One to share, as loading it costs; a renderer belongs to one thread. Without it one is made when
            needed.
        stream: Names of cameras whose colour frames `observe` delivers by itself.

    Attributes:
        streaming: The cameras of `stream`; whoever looks may change the set at any time.
    """

    def __init__(
        self,
        robot: RobotSpec,
        world: str = "yard",
        objects: Sequence[ObjectSpec] = (),
        *,
        robot_pose: Sequence[float] = (0.0, 0.0, 0.0),
        robot_speed_mps: float = 0.0,
        lights: Sequence[Light | Mapping[str, Any]] = (),
        seed: int = 0,
        renderer: SceneRenderer | None = None,
        stream: Iterable[str] = (),
    ) -> None:
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(8)]
        self.robot, self.objects = robot, tuple(objects)
        self.streaming = {robot.camera(name).name for name in stream}
        world_map = load_map(world)
        road = world_map.road
        if lights and road is None:
            raise ValueError(f"world {world!r} has no traffic lights")
        self._lights = None if road is None else LightPlan.of_episode(road, [dict(light) for light in lights])
        built = build_world(
            world_map, objects, lights=self._lights, robot_pose=robot_pose, appearance=streams[0], robot_xml=robot.model_xml
        )
        self._model = built.compile()
        self._data = mujoco.MjData(self._model)
        yaw_rad = math.radians(robot_pose[2])
        gear = (self._model, self._data, robot, robot_speed_mps, yaw_rad, streams[1], streams[2])
        self._gear: CartGear | CarGear
        if robot.ackermann is None:
            self._gear = CartGear(*gear)
        else:
            self._gear = CarGear(*gear, wet=any(text.name == "weather" and text.data in WET_WEATHERS for text in built.texts))
        self._model.opt.timestep = PHYSICS_STEP_S / self._gear.substeps
        self._index()
        self._show_moving_things(0.0)
        mujoco.mj_forward(self._model, self._data)
        self._fix_rng, self._lidar_rng, self._depth_rng = streams[3:6]
        self._color_noise = ColorNoise(streams[6])
        self._due_s: dict[str, float] = {}
        self._touched: set[str] = set()
        self._steps = 0
        self._shared_renderer = renderer
        self._own_renderer: SceneRenderer | None = None
        self._loaded = False
        self.spent_s: dict[str, float] = defaultdict(float)

    @property
    def physics(self) -> CartPhysics | CarPhysics:
        """What the seed has drawn of the robot's mechanics."""
        return self._gear.physics

    @property
    def model(self) -> mujoco.MjModel:
        """The world's model, for viewers and for the judge."""
        return self._model

    @property
    def data(self) -> mujoco.MjData:
        """The world's state, for viewers and for the judge."""
        return self._data

    @property
    def time_s(self) -> float:
        """Simulated time since the start."""
        return self._steps * PHYSICS_STEP_S

    @property
    def rejected_commands(self) -> int:
        """How many commands the motor driver has refused because they were not finite."""
        return self._gear.driver.rejected

    def command(self, v_mps: float, w_radps: float) -> None:
        """Ask the motors for forward speed and turn rate. A value that is not finite stops the robot."""
        self._gear.driver.command(v_mps, w_radps, self.time_s)

    def step(self, dt_s: float) -> None:
        """Advance by dt_s, rounded to physics steps of 10 ms. Raises SimulationDiverged."""
        with self._timed("physics"):
            for _ in range(round(dt_s / PHYSICS_STEP_S)):
                self._data.ctrl[:] = self._gear.controls(self.time_s, PHYSICS_STEP_S, self._velocity(self._pose()[2])[0])
                place_movers(self._model, self._data, self.objects, self.time_s)
                mujoco.mj_step(self._model, self._data, self._gear.substeps)
                self._steps += 1
                self._note_contacts()
            self._show_moving_things(self.time_s)
            # an autoreset would set time back and say so in the warnings
            if abs(self._data.time - self.time_s) > 1e-6 or not np.isfinite(self._data.qpos).all():
                raise SimulationDiverged(f"at {self.time_s:.2f} s the physics reset itself to {self._data.time:.2f} s")

    def observe(self, now_s: float | None = None) -> Observation:
        """What the sensors deliver at this time; a sensor that is not due stays silent.

        Args:
            now_s: The simulated time; anything but `time_s` raises ValueError, for sensors see the present.
        """
        now = self.time_s
        if now_s is not None and abs(now_s - now) > 1e-6:
            raise ValueError(f"sensors see the present, {now:.3f} s, not {now_s:.3f} s")
        self._show_moving_things(now)
        self._update_bodies()
        odometry = self._gear.odometry(self._pose(), now) if self._is_due("odometry", ODOMETRY_HZ) else None
        fix = noisy_fix(self._pose(), now, self._fix_rng) if self._is_due("fix", FIX_HZ) else None
        scan = self._scan(now) if self._is_due("lidar", self.robot.lidar.rate_hz) else None
        depths = {
            camera.name: self._depth(camera.name, now)
            for camera in self.robot.cameras
            if camera.depth_rate_hz > 0 and self._is_due(f"depth/{camera.name}", camera.depth_rate_hz)
        }
        images = {name: self.capture(name) for name in sorted(self.streaming) if self._is_due(f"image/{name}", STREAM_HZ)}
        return Observation(now, odometry, fix, scan, images, depths)

    def capture(self, camera: str) -> Image:
        """A colour frame of now. Raises KeyError for a camera that the robot does not have."""
        spec = self.robot.camera(camera)
        rgb = self.picture(camera, (spec.width_px, spec.height_px))
        return Image(camera, self.time_s, self._color_noise(rgb))

    def picture(self, camera: str = "chase", size: tuple[int, int] = (640, 480)) -> np.ndarray:
        """A clean (H, W, 3) uint8 picture from any camera of the world ("chase", "top", …), for recorders."""
        with self._timed("color"):
            self._update_bodies()
            return self._renderer().color(self._data, camera, size)

    def place(self, pose: tuple[float, float, float], time_s: float) -> None:
        """Put the robot at a pose (x, y, yaw; map frame) and everything that moves where it is at that time, for pictures."""
        joint = self._model.joint("base")
        start = int(joint.qposadr[0])
        half = pose[2] / 2
        self._data.qpos[start : start + 2] = pose[:2]
        self._data.qpos[start + 3 : start + 7] = (math.cos(half), 0.0, 0.0, math.sin(half))
        self._show_moving_things(time_s)
        mujoco.mj_forward(self._model, self._data)

    def truth(self) -> Truth:
        """The true state, and the contacts since the last call. Not for the agent."""
        contacts, self._touched = frozenset(self._touched), set()
        pose = self._pose()
        objects = np.array([motion_pose(thing, self.time_s) for thing in self.objects]).reshape(-1, 3)
        lights = {} if self._lights is None else self._lights.states(self.time_s)
        return Truth(self.time_s, pose, self._velocity(pose[2]), objects, contacts, lights)

    def close(self) -> None:
        """Free the renderer, unless it is shared."""
        if self._own_renderer is not None:
            self._own_renderer.close()
            self._own_renderer = None

    def __enter__(self) -> SimRobot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _index(self) -> None:
        model = self._model
        base = model.joint("base")
        self._base_qpos, self._base_qvel = int(base.qposadr[0]), int(base.dofadr[0])
        self._is_robot = robot_geoms(model)
        floor = model.geom("floor").id
        self._touchable = ~self._is_robot
        self._touchable[floor] = False
        bodies = (model.body(b).name for b in model.geom_bodyid)
        self._owner = [
            name[len(OBJECT_PREFIX) :] if name.startswith(OBJECT_PREFIX) else model.geom(i).name
            for i, name in enumerate(bodies)
        ]
        self._beams = _beams(self.robot.lidar).reshape(-1, 3)
        self._hit_geom, self._hit_m = np.zeros(len(self._beams), dtype=np.int32), np.zeros(len(self._beams))

    def _show_moving_things(self, time_s: float) -> None:
        place_movers(self._model, self._data, self.objects, time_s)
        if self._lights is not None:
            show_lights(self._model, self._lights, time_s)

    def _update_bodies(self) -> None:
        """Forward kinematics of the present: mj_step leaves positions of bodies one step behind."""
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def _pose(self) -> np.ndarray:
        x, y, _, qw, qx, qy, qz = self._data.qpos[self._base_qpos : self._base_qpos + 7]
        return np.array([x, y, math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))])

    def _velocity(self, yaw_rad: float) -> np.ndarray:
        """(3,) forward, left and turn rate of base_link in its own frame."""
        x, y, turn = self._data.qvel[[self._base_qvel, self._base_qvel + 1, self._base_qvel + 5]]
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        return np.array([cos * x + sin * y, cos * y - sin * x, turn])

    def _note_contacts(self) -> None:
        pairs = self._data.contact.geom
        if len(pairs) == 0:
            return
        hit = (self._is_robot[pairs] & self._touchable[pairs[:, ::-1]]).any(axis=1) & (self._data.contact.dist < 0.0)
        for pair in pairs[hit]:
            self._touched.add(self._owner[pair[1] if self._is_robot[pair[0]] else pair[0]])

    def _is_due(self, sensor: str, rate_hz: float) -> bool:
        due_s = self._due_s.get(sensor, 0.0)
        if self.time_s < due_s - 1e-6:
            return False
        # keep the beat; after a gap start a new one instead of catching up
        self._due_s[sensor] = max(due_s + 1.0 / rate_hz, self.time_s + 0.5 / rate_hz)
        return True

    def _scan(self, now_s: float) -> LidarScan:
        with self._timed("lidar"):
            lidar = self.robot.lidar
            turned = self._data.body(ROBOT_BODY).xmat.reshape(3, 3)
            origin = self._data.body(ROBOT_BODY).xpos + turned @ [lidar.x_m, 0.0, lidar.height_m]
            rays = np.ascontiguousarray(self._beams @ turned.T)
            mujoco.mj_multiRay(
                self._model,
                self._data,
                origin,
                rays.reshape(-1),
                LIDAR_GROUPS,
                1,
                -1,
                self._hit_geom,
                self._hit_m,
                None,
                len(rays),
                lidar.range_max_m * 1.1,
            )
            if len(lidar.rows_deg) == 1:
                ranges = noisy_ranges(self._hit_m, lidar.range_max_m, self._lidar_rng)
            else:
                rows = self._hit_m.reshape(len(lidar.rows_deg), lidar.beams)
                ranges = noisy_rows(rows, lidar.range_max_m, self._lidar_rng)
            return LidarScan(now_s, ranges, -math.pi, 2 * math.pi / lidar.beams, lidar.range_max_m)

    def _depth(self, camera: str, now_s: float) -> DepthImage:
        with self._timed("depth"):
            spec = self.robot.camera(camera)
            clean = self._renderer().depth(self._data, camera, (spec.depth_width_px, spec.depth_height_px))
            return DepthImage(camera, now_s, noisy_depth(clean, spec.depth_max_m, self._depth_rng))

    def _renderer(self) -> SceneRenderer:
        renderer = self._shared_renderer or self._own_renderer
        if renderer is None:
            renderer = self._own_renderer = SceneRenderer()
        if not self._loaded:
            renderer.load(self._model)
            self._loaded = True
        return renderer

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.process_time()
        try:
            yield
        finally:
            self.spent_s[part] += time.process_time() - start


def _beams(lidar: LidarSpec) -> np.ndarray:
    """(rows, n, 3) unit directions in base_link; a level row looks along its azimuth alone."""
    azimuth = -math.pi + np.arange(lidar.beams) * (2 * math.pi / lidar.beams)
    level = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(lidar.beams)], axis=1)
    rise = np.radians(lidar.rows_deg)[:, None, None]
    return np.asarray(level * np.cos(rise) + np.array([0.0, 0.0, 1.0]) * np.sin(rise))
