"""Builds the MuJoCo worlds: yard and street for simulator and training pictures, the light twin for rehearsal.

Geom groups: 0 floor, walls and background, 1 what is seen of objects, signs and lights, 2 what is seen of the robot and
of paint on the ground, 3 contact shapes of objects, 4 contact shapes of the robot; renderers show 0 to 2 and lidar rays
meet LIDAR_GROUPS. Contact bits: 1 floor, 2 obstacles; objects touch the robot and nothing else. Bodies of objects are
named `obj:<id>`, the robot's base body is `base_link`. Of the street, poles of signs and lights can be touched too:
`pole:<stop line or head>`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from jpai_agent.twin.appearance import paint
from jpai_agent.twin.lights import LightPlan
from jpai_agent.twin.painter import COLOR_RGB, SEEN_GROUP, Painter
from jpai_agent.twin.scenery import OBSTACLE_BIT, add_ground_and_walls, dress_yard
from jpai_agent.twin.street import add_lights, add_signs, add_street_ground, dress_road
from jpai_agent.twin.street_scenery import add_background, add_materials, add_weather
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import KINDS, PEOPLE, ObjectSpec, motion_pose
from jpai_agent.world.paths import resource
from jpai_agent.world.road import RoadMap

LIDAR_GROUPS = np.array([1, 1, 0, 0, 0, 0], dtype=np.uint8)
ROBOT_BODY = "base_link"
OBJECT_PREFIX, BOX_PREFIX, MOVER_PREFIX = "obj:", "box:", "mover:"
TWIN_WORLD_RGBA = {BOX_PREFIX: [0.6, 0.6, 0.65, 1], MOVER_PREFIX: [0.9, 0.5, 0.2, 1]}

_CONTACT_GROUP = 3
_SHAPE = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
}


@lru_cache(maxsize=8)
def world_data(name: str) -> dict[str, Any]:
    """Content of `sim/worlds/<name>.json`. Raises FileNotFoundError."""
    return json.loads(resource("sim", "worlds", f"{name}.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def _robot_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def build_yard(
    objects: Sequence[ObjectSpec],
    *,
    robot_pose: Sequence[float] = (0.0, 0.0, 0.0),
    appearance: np.random.Generator | None = None,
    visual: bool = True,
    robot_xml: Path | None = None,
) -> mujoco.MjSpec:
    """The yard with these objects and the robot at robot_pose (x, y, heading_deg; map frame).

    People and moving objects are mocap bodies (see `place_movers`), everything else is fixed. Each object has one
    contact solid, `contact:<id>`: a box, cylinder or sphere of its whole footprint and height. With visual it also
    has the geoms that show it; appearance varies their shades, the floor, the walls and the light, None gives one
    plain look. Without visual the contact solids are what lidar and cameras meet.

    robot_xml: the robot's MJCF, by default the cart. Raises ValueError for two objects of one id.
    """
    _check_ids(objects)
    spec = _world_with_robot(robot_xml, robot_pose)
    world = world_data("yard")
    add_ground_and_walls(spec, tuple(world["bounds_m"]), world["walls"]["height_m"], world["walls"]["thickness_m"])
    spec.worldbody.add_camera(name="top", pos=[0, 0, 16.5], fovy=60)
    painter = None
    if visual:
        dress_yard(spec, world, appearance)
        painter = Painter(spec, appearance)
    _add_objects(spec, objects, painter)
    return spec


def build_street(
    objects: Sequence[ObjectSpec],
    *,
    road: RoadMap,
    lights: LightPlan | None = None,
    robot_pose: Sequence[float] = (0.0, 0.0, 0.0),
    appearance: np.random.Generator | None = None,
    visual: bool = True,
    robot_xml: Path | None = None,
    weather: str | None = None,
) -> mujoco.MjSpec:
    """The street of a road map with these objects and the robot, as `build_yard` does the yard.

    lights: what the traffic lights show, by default the plan of an episode that lists none; the model shows t = 0 until
    `lights.show_lights` switches it. appearance also varies weather, houses and trees; weather fixes one of
    `street_scenery.WEATHERS`. robot_xml: by default the car.
    """
    _check_ids(objects)
    spec = _world_with_robot(robot_xml or resource("sim", "robots", "car.xml"), robot_pose, _STREET_VIEW)
    # hundreds of solids: what a software renderer costs is their corners
    spec.visual.quality.numquads, spec.visual.quality.numslices, spec.visual.quality.numstacks = 1, 16, 8
    add_street_ground(spec)
    middle = np.mean([(c.x_m, c.y_m) for c in road.crossings.values()], axis=0)
    spec.worldbody.add_camera(name="top", pos=[*middle, 230], fovy=60)
    painter = None
    if visual:
        sky = add_weather(spec, appearance, weather)
        add_materials(spec, sky, appearance)
        dress_road(spec, road)
        clear = [(x, y, math.hypot(*thing.dimensions_m[:2]) / 2) for thing in objects for x, y in _ways(thing)]
        add_background(spec, road, clear, appearance)
        painter = Painter(spec, appearance)
    add_lights(spec, road, lights or LightPlan.of_episode(road), visual=visual)
    add_signs(spec, road, visual=visual)
    _add_objects(spec, objects, painter)
    return spec


def build_world(
    world: WorldMap,
    objects: Sequence[ObjectSpec],
    *,
    lights: LightPlan | None = None,
    robot_pose: Sequence[float] = (0.0, 0.0, 0.0),
    appearance: np.random.Generator | None = None,
    visual: bool = True,
    robot_xml: Path | None = None,
) -> mujoco.MjSpec:
    """The world of a map: a street where it has a road, else the yard. See `build_street` and `build_yard`.

    Raises ValueError for a map of neither, or for lights where there is no road.
    """
    if world.road is not None:
        return build_street(objects, road=world.road, lights=lights, robot_pose=robot_pose, appearance=appearance, visual=visual,
                            robot_xml=robot_xml)
    if world.name != "yard":
        raise ValueError(f"no builder for world {world.name!r}; known worlds: yard, street")
    if lights is not None:
        raise ValueError("the yard has no traffic lights")
    return build_yard(objects, robot_pose=robot_pose, appearance=appearance, visual=visual, robot_xml=robot_xml)


def build_twin(
    boxes: Sequence[Sequence[float]],
    movers: Sequence[Sequence[float]] = (),
    *,
    robot_pose: Sequence[float] = (0.0, 0.0, 0.0),
    bounds_m: tuple[float, float, float, float] | None = (-12.0, -8.0, 12.0, 8.0),
    robot_xml: Path | None = None,
) -> mujoco.MjSpec:
    """The world that plans are rehearsed in: perceived boxes, round movers, walls, the robot; nothing to look at.

    boxes: per obstacle (x, y, yaw_rad, half_x, half_y, height), movers: per mover (x, y, radius, height), metres, map
    frame. Body i of either is `box:<i>` or `mover:<i>`, its geom has the same name. All are mocap bodies, boxes
    first, so each rollout sets its own positions: row i of mocap_pos is box i, row len(boxes) + i is mover i; its z
    stays 0.

    robot_pose: (x, y, heading_deg). bounds_m None leaves the walls out.
    """
    spec = _world_with_robot(robot_xml, robot_pose)
    # nothing here is looked at, and what is not there need not be moved along
    for geom in [g for g in spec.geoms if g.contype == 0 and g.conaffinity == 0]:
        spec.delete(geom)
    if bounds_m is None:
        spec.worldbody.add_geom(
            name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=1, conaffinity=0
        )
    else:
        add_ground_and_walls(spec, bounds_m, 1.0, 0.2)
    for i, (x, y, yaw_rad, half_x, half_y, height) in enumerate(boxes):
        _add_solid(spec, f"{BOX_PREFIX}{i}", x, y, yaw_rad, mujoco.mjtGeom.mjGEOM_BOX, [half_x, half_y, height / 2])
    for i, (x, y, radius, height) in enumerate(movers):
        _add_solid(spec, f"{MOVER_PREFIX}{i}", x, y, 0.0, mujoco.mjtGeom.mjGEOM_CYLINDER, [radius, height / 2, 0])
    return spec


def place_movers(model: mujoco.MjModel, data: mujoco.MjData, objects: Sequence[ObjectSpec], t_s: float) -> None:
    """Put every moving object of `build_yard` where its motion has it at simulated time t_s. Call before each step."""
    for thing in objects:
        if thing.moves:
            x, y, heading_deg = motion_pose(thing, t_s)
            row = model.body_mocapid[model.body(OBJECT_PREFIX + thing.id).id]
            data.mocap_pos[row] = x, y, 0.0
            data.mocap_quat[row] = _yaw_quat(math.radians(heading_deg))


def object_ids(model: mujoco.MjModel) -> list[str]:
    """Ids of the objects of a yard, in the order in which they were given to `build_yard`."""
    names = (model.body(i).name for i in range(model.nbody))
    return [name[len(OBJECT_PREFIX) :] for name in names if name.startswith(OBJECT_PREFIX)]


def object_of_geom(model: mujoco.MjModel) -> np.ndarray:
    """Index into `object_ids` of the object that each geom belongs to, −1 for none, (ngeom,) int32."""
    index_of_body = np.full(model.nbody, -1, dtype=np.int32)
    for index, name in enumerate(object_ids(model)):
        index_of_body[model.body(OBJECT_PREFIX + name).id] = index
    return index_of_body[model.geom_bodyid]


def robot_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Which geoms are parts of the robot, (ngeom,) bool."""
    return model.body_rootid[model.geom_bodyid] == model.body(ROBOT_BODY).id


def _check_ids(objects: Sequence[ObjectSpec]) -> None:
    ids = [o.id for o in objects]
    if len(set(ids)) < len(ids):
        raise ValueError(f"object ids used twice: {sorted({i for i in ids if ids.count(i) > 1})}")


def _ways(thing: ObjectSpec) -> list[tuple[float, float]]:
    """Where an object stands or will come by."""
    return [thing.pose[:2]] if thing.motion is None else list(thing.motion.path)


def _add_objects(spec: mujoco.MjSpec, objects: Sequence[ObjectSpec], painter: Painter | None) -> None:
    for thing in objects:
        x, y, heading_deg = motion_pose(thing, 0.0)
        body = spec.worldbody.add_body(
            name=OBJECT_PREFIX + thing.id,
            pos=[x, y, 0],
            quat=_yaw_quat(math.radians(heading_deg)),
            mocap=thing.moves or thing.kind in PEOPLE,
        )
        _add_contact_solid(body, thing, seen=painter is None)
        if painter is not None:
            paint(painter, body, thing)


@dataclass(frozen=True)
class _View:
    """How far a world reaches: the length that MuJoCo's distances are counted in, and where sight begins and ends."""

    extent_m: float
    near_m: float
    far_m: float


_YARD_VIEW, _STREET_VIEW = _View(10.0, 0.05, 60.0), _View(10.0, 0.1, 900.0)


def _world_with_robot(robot_xml: Path | None, robot_pose: Sequence[float], view: _View = _YARD_VIEW) -> mujoco.MjSpec:
    spec = mujoco.MjSpec.from_string(_robot_text(robot_xml or resource("sim", "robots", "cart.xml")))
    base = spec.body(ROBOT_BODY)
    base.pos = [robot_pose[0], robot_pose[1], 0]
    base.quat = _yaw_quat(math.radians(robot_pose[2]))
    spec.stat.center, spec.stat.extent = [0, 0, 0.5], view.extent_m
    spec.visual.map.znear, spec.visual.map.zfar = view.near_m / view.extent_m, view.far_m / view.extent_m
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.quality.offsamples = 0
    return spec


def _add_contact_solid(body: mujoco.MjsBody, thing: ObjectSpec, *, seen: bool) -> None:
    width, depth, height = thing.dimensions_m
    shape = KINDS[thing.kind].shape
    size = {
        "box": [depth / 2, width / 2, height / 2],
        "cylinder": [width / 2, height / 2, 0],
        "sphere": [width / 2, 0, 0],
    }[shape]
    body.add_geom(
        name=f"contact:{thing.id}",
        type=_SHAPE[shape],
        pos=[0, 0, height / 2],
        size=size,
        contype=OBSTACLE_BIT,
        conaffinity=0,
        group=SEEN_GROUP if seen else _CONTACT_GROUP,
        rgba=[*COLOR_RGB[thing.shown_color], 1],
    )


def _add_solid(
    spec: mujoco.MjSpec, name: str, x: float, y: float, yaw_rad: float, shape: mujoco.mjtGeom, size: list[float]
) -> None:
    height = 2 * (size[2] if shape == mujoco.mjtGeom.mjGEOM_BOX else size[1])
    body = spec.worldbody.add_body(name=name, pos=[x, y, 0], quat=_yaw_quat(yaw_rad), mocap=True)
    body.add_geom(
        name=name,
        type=shape,
        pos=[0, 0, height / 2],
        size=size,
        contype=OBSTACLE_BIT,
        conaffinity=0,
        group=SEEN_GROUP,
        rgba=TWIN_WORLD_RGBA[name[: name.index(":") + 1]],
    )


def _yaw_quat(yaw_rad: float) -> list[float]:
    return [math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2)]
