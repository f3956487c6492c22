"""The yard, its objects, the cart and the light twin: sizes, contacts, motion, and what cameras and lidar see."""

import math
from itertools import product

import mujoco
import numpy as np
import pytest

from jpai_agent.twin import worlds
from jpai_agent.twin.painter import COLOR_RGB
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.objects import (
    COLORS,
    KINDS,
    PEOPLE,
    SIZES,
    YARD_KINDS,
    Motion,
    ObjectSpec,
    dimensions_m,
    footprint,
    motion_pose,
    motion_velocity,
    objects_from_dicts,
)

WHEEL_RADIUS_M, TRACK_M = 0.1, 0.43


def one(kind: str, **more) -> ObjectSpec:
    return ObjectSpec(more.pop("id", "a"), kind, more.pop("pose", (3.0, 0.0, 0.0)), **more)


def walker(*path, speed_mps=1.0, start_s=0.0, **more) -> ObjectSpec:
    return one("person", motion=Motion(path, speed_mps, start_s), **more)


def body_box(model: mujoco.MjModel, geoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounding box of geoms of one body in the body's frame: lower and upper corner, (3,) each."""
    corners = []
    for g in geoms:
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[g])
        if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = model.geom_dataid[g]
            start = model.mesh_vertadr[mesh]
            local = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
        else:
            signs = np.array(list(product((-1, 1), repeat=3)))
            local = model.geom_aabb[g, :3] + signs * model.geom_aabb[g, 3:]
        corners.append(local @ rotation.reshape(3, 3).T + model.geom_pos[g])
    points = np.concatenate(corners)
    return points.min(axis=0), points.max(axis=0)


class Drive:
    """Steps a model with the cart and commands it in m/s and rad/s."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.pitch_deg = 0.0
        self.touched: set[str] = set()
        self.run(0.5, lambda t: (0.0, 0.0))

    @property
    def pose(self) -> tuple[float, float, float]:
        w, x, y, z = self.data.qpos[3:7]
        return (
            self.data.qpos[0],
            self.data.qpos[1],
            math.degrees(math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))),
        )

    @property
    def speed_mps(self) -> float:
        return float(np.hypot(*self.data.qvel[:2]))

    def run(self, seconds: float, command) -> None:
        dt = self.model.opt.timestep
        for k in range(round(seconds / dt)):
            v, w = command(k * dt)
            self.data.ctrl[:] = (v - w * TRACK_M / 2) / WHEEL_RADIUS_M, (v + w * TRACK_M / 2) / WHEEL_RADIUS_M
            mujoco.mj_step(self.model, self.data)
            up = 1 - 2 * (self.data.qpos[4] ** 2 + self.data.qpos[5] ** 2)
            self.pitch_deg = max(self.pitch_deg, math.degrees(math.acos(min(1.0, up))))
            for contact in self.data.contact[: self.data.ncon]:
                self.touched |= {self.model.geom(g).name for g in contact.geom}


@pytest.fixture
def empty_yard() -> Drive:
    return Drive(worlds.build_yard([], visual=False).compile())


def test_size_left_out_means_medium():
    assert dimensions_m("box") == (0.5, 0.5, 0.5)
    assert dimensions_m("desk", "large") == (1.6, 0.6, 0.72)
    assert {k for k in YARD_KINDS if not KINDS[k].sized} == {"handcart", "sign", "person", "worker"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_seen_and_what_is_touched_have_the_size_of_the_table(kind):
    for size, color in zip(SIZES, ("red", "white", "black"), strict=True):
        width, depth, height = dimensions_m(kind, size)
        model = worlds.build_yard([one(kind, size=size, color=color)], appearance=np.random.default_rng(1)).compile()
        mine = np.flatnonzero(worlds.object_of_geom(model) == 0)
        for group in (1, 3):
            low, high = body_box(model, mine[model.geom_group[mine] == group])
            assert np.abs(high - [depth / 2, width / 2, height]).max() < 0.02, (size, group, high)
            assert np.abs(low - [-depth / 2, -width / 2, 0]).max() < 0.02, (size, group, low)


def test_people_and_movers_are_mocap_bodies_and_the_rest_is_fixed():
    objects = [one(kind, id=kind) for kind in KINDS] + [
        walker((0, 2), (0, 4), id="m"),
        one("box", id="rolls", motion=Motion(((1, 1), (2, 1)), 0.5)),
    ]
    model = worlds.build_yard(objects).compile()
    mocap = {o.id for o in objects if model.body_mocapid[model.body(f"obj:{o.id}").id] >= 0}
    assert mocap == PEOPLE | {"m", "rolls"}


def test_movers_are_placed_along_their_path():
    objects = [walker((5, -2), (5, 3), start_s=2, pose=(5, -2, 180))]
    model = worlds.build_yard(objects).compile()
    data = mujoco.MjData(model)
    worlds.place_movers(model, data, objects, 4.0)
    mujoco.mj_forward(model, data)
    body = data.body("obj:a")
    assert body.xpos == pytest.approx([5, 0, 0])
    assert body.xmat.reshape(3, 3)[:, 0] == pytest.approx([0, 1, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("t_s", "pose"),
    [
        (0.0, (0, 0, 0)),
        (1.0, (0, 0, 0)),
        (2.0, (1, 0, 0)),
        (3.0, (2, 0, 90)),
        (4.5, (2, 1.5, 90)),
        (5.0, (2, 2, 90)),
        (99.0, (2, 2, 90)),
    ],
)
def test_motion_stands_walks_turns_and_stands(t_s, pose):
    spec = walker((0, 0), (2, 0), (2, 0), (2, 2), start_s=1, pose=(0, 0, 77))
    assert motion_pose(spec, t_s) == pytest.approx(pose)


def test_velocity_is_that_of_the_path():
    spec = walker((0, 0), (0, 3), speed_mps=1.5, start_s=1)
    assert [motion_velocity(spec, t) for t in (0.5, 2.0, 3.5)] == [(0, 0), pytest.approx((0, 1.5)), (0, 0)]


def test_path_of_one_point_keeps_the_heading():
    assert motion_pose(walker((1, 2), pose=(1, 2, 30)), 5.0) == (1, 2, 30)


def test_footprint_turns_with_the_heading():
    corners = footprint(one("desk", pose=(1.0, 2.0, 90.0))).corners()
    assert np.ptp(corners, axis=0) == pytest.approx([1.2, 0.6])
    assert corners.mean(axis=0) == pytest.approx([1, 2])
    assert footprint(one("drum")).round
    assert footprint(one("drum")).half_x == 0.29


def test_objects_survive_the_episode_format():
    lines: list[dict] = [
        {"id": "a", "kind": "box", "color": "red", "size": "large", "pose": [3, 1, 0]},
        {"id": "c", "kind": "cone", "pose": [1, 1, 5]},
        {
            "id": "p",
            "kind": "person",
            "pose": [5, -2, 180],
            "motion": {"path": [[5, -2], [5, 3]], "speed_mps": 1.0, "start_s": 2.0},
        },
    ]
    assert [o.to_dict() for o in objects_from_dicts(lines)] == lines


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"id": "a", "kind": "boat", "pose": [0, 0, 0]}, "unknown kind 'boat'"),
        ({"id": "a", "kind": "box", "color": "mauve", "pose": [0, 0, 0]}, "unknown color 'mauve'"),
        ({"id": "a", "kind": "box", "size": "huge", "pose": [0, 0, 0]}, "unknown size 'huge'"),
        ({"id": "a", "kind": "box", "pose": [0, float("nan"), 0]}, "pose"),
        ({"id": "a", "kind": "box", "pose": [0, 0]}, "pose"),
        ({"id": "a", "kind": "box", "pose": 3}, "'a'"),
        ({"id": "a", "kind": "box"}, "missing"),
        ({"id": "a", "kind": "box", "pose": [0, 0, 0], "colour": "red"}, "colour"),
        ({"id": "a", "kind": "box", "pose": [0, 0, 0], "motion": {"path": [], "speed_mps": 1}}, "path"),
        ({"id": "a", "kind": "box", "pose": [0, 0, 0], "motion": {"path": [[0, 0]], "speed_mps": 0}}, "speed_mps"),
        ({"id": "a", "kind": "box", "pose": [0, 0, 0], "motion": {"path": [[0, 0]]}}, "speed_mps"),
    ],
)
def test_bad_objects_are_named(entry, says):
    with pytest.raises(ValueError, match=says):
        objects_from_dicts([entry])


def test_ids_used_twice_are_refused():
    with pytest.raises(ValueError, match="twice"):
        worlds.build_yard([one("box"), one("cone")])
    with pytest.raises(ValueError, match="twice"):
        objects_from_dicts([one("box").to_dict(), one("cone").to_dict()])


def test_cart_drives_straight_and_brakes_from_top_speed_within_35_cm(empty_yard):
    empty_yard.run(4.0, lambda t: (min(1.2, 0.8 * t), 0.0))
    x, y, heading_deg = empty_yard.pose
    assert empty_yard.speed_mps == pytest.approx(1.2, rel=0.02)
    assert (y, heading_deg) == pytest.approx((0, 0), abs=0.02)
    empty_yard.run(1.0, lambda t: (max(0.0, 1.2 - 2.5 * t), 0.0))
    assert empty_yard.speed_mps < 0.01
    assert 0.28 < empty_yard.pose[0] - x < 0.35
    assert empty_yard.pitch_deg < 1.0
    assert empty_yard.touched <= {
        "floor",
        "wheel_left",
        "wheel_right",
        "caster_fl",
        "caster_fr",
        "caster_rl",
        "caster_rr",
    }


def test_cart_weighs_40_kg_and_turns_90_degrees_on_the_spot(empty_yard):
    assert empty_yard.model.body_mass.sum() == pytest.approx(40)
    seconds = math.pi / 2 / 1.5
    empty_yard.run(seconds, lambda t: (0.0, 1.5))
    empty_yard.run(0.5, lambda t: (0.0, 0.0))
    x, y, heading_deg = empty_yard.pose
    assert heading_deg == pytest.approx(90, abs=3)
    assert math.hypot(x, y) < 0.01


def test_cart_follows_the_circle_of_its_kinematics(empty_yard):
    empty_yard.run(2 * math.pi / 0.8, lambda t: (0.8, 0.8))
    assert math.hypot(*empty_yard.pose[:2]) < 0.1


@pytest.mark.parametrize("kind", YARD_KINDS)
def test_cart_touches_what_it_runs_into_where_the_footprint_ends(kind):
    depth = dimensions_m(kind)[1]
    drive = Drive(worlds.build_yard([one(kind, pose=(2.0, 0.0, 0.0))], robot_pose=(0, 0, 0), visual=False).compile())
    drive.run(3.5, lambda t: (0.8, 0.0))
    assert {"chassis", "contact:a"} <= drive.touched
    assert drive.pose[0] + 0.35 == pytest.approx(2.0 - depth / 2, abs=0.03)


def test_cart_stands_where_it_is_put():
    drive = Drive(worlds.build_yard([], robot_pose=(-3, 2, 120), visual=False).compile())
    assert drive.pose == pytest.approx((-3, 2, 120), abs=1e-3)


def test_front_camera_is_ninety_degrees_wide_and_twelve_down():
    model = worlds.build_yard([]).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = data.camera("front")
    tangent = math.tan(math.radians(model.camera("front").fovy[0]) / 2) * 640 / 480
    assert tangent == pytest.approx(1.0)
    assert camera.xpos == pytest.approx([0.35, 0, 0.9])
    forward = -camera.xmat.reshape(3, 3)[:, 2]
    assert math.degrees(math.asin(-forward[2])) == pytest.approx(12)
    assert forward[0] > 0
    assert abs(forward[1]) < 1e-9


def test_robot_sees_nothing_of_itself():
    model = worlds.build_yard([], appearance=np.random.default_rng(0)).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with SceneRenderer(model) as renderer:
        depth = renderer.depth(data)
    # the nearest thing in sight is the floor at the picture's lower edge
    assert depth.min() == pytest.approx(
        0.9 / math.sin(math.radians(12 + 36.87)) * math.cos(math.radians(36.87)), rel=0.01
    )
    ranges = lidar(model, data)
    assert ranges[0] == pytest.approx(12 - 0.24, abs=0.01)
    assert ranges[180] == pytest.approx(11.76 + 0.36, abs=0.2)


def lidar(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    angle = np.radians(np.arange(360))
    directions = np.stack([np.cos(angle), np.sin(angle), np.zeros(360)], axis=1)
    geoms, ranges = np.zeros(360, dtype=np.int32), np.zeros(360)
    mujoco.mj_multiRay(
        model,
        data,
        data.site("lidar").xpos,
        directions.ravel(),
        worlds.LIDAR_GROUPS,
        1,
        -1,
        geoms,
        ranges,
        None,
        360,
        100.0,
    )
    return ranges


def test_lidar_meets_what_is_seen_not_the_contact_solid():
    model = worlds.build_yard([one("box", pose=(2, 0, 0)), one("desk", id="d", pose=(0, 2, 90))]).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    ranges = lidar(model, data)
    assert ranges[0] == pytest.approx(1.75 - data.site("lidar").xpos[0], abs=0.02)
    assert ranges[90] > 5  # between the legs of the desk


def test_each_pixel_knows_its_object():
    objects = [
        one("drum", id="left", pose=(3, 1.5, 0)),
        one("box", id="right", pose=(3, -1.5, 0)),
        one("person", id="p", pose=(4, 0, 180)),
    ]
    model = worlds.build_yard(objects, appearance=np.random.default_rng(4)).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with SceneRenderer(model) as renderer:
        depth, index = renderer.depth_and_objects(data)
        assert index.shape == depth.shape == (240, 320)
        assert np.array_equal(renderer.objects(data), index)
        columns = [np.flatnonzero((index == i).any(axis=0)) for i in range(3)]
    assert worlds.object_ids(model) == ["left", "right", "p"]
    assert columns[0].max() < columns[2].min()
    assert columns[2].max() < columns[1].min()
    assert np.median(depth[index == 0]) == pytest.approx((3 - 0.35 - 0.25) * math.cos(math.radians(12)), abs=0.2)
    assert set(np.unique(index)) == {-1, 0, 1, 2}


def test_depth_agrees_with_rays():
    model = worlds.build_yard([one("box", pose=(3, 0.3, 20), size="large")]).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with SceneRenderer(model) as renderer:
        depth = renderer.depth(data)
    camera = data.camera("front")
    for row, column in ((120, 160), (150, 140), (200, 250), (100, 60)):
        ray = camera.xmat.reshape(3, 3) @ [(column + 0.5 - 160) / 160, (120 - row - 0.5) / 160, -1.0]
        length = np.linalg.norm(ray)
        geom = np.zeros(1, dtype=np.int32)
        hit = mujoco.mj_ray(model, data, camera.xpos, ray / length, worlds.LIDAR_GROUPS, 1, -1, geom, None)
        assert depth[row, column] == pytest.approx(hit / length, rel=0.02)


def test_one_renderer_serves_scene_after_scene_and_size_after_size():
    with SceneRenderer() as renderer:
        for kind in ("box", "cone"):
            model = worlds.build_yard([one(kind)]).compile()
            data = mujoco.MjData(model)
            mujoco.mj_forward(model, data)
            renderer.load(model)
            assert renderer.color(data, size=(640, 480)).shape == (480, 640, 3)
            assert (renderer.objects(data, size=(64, 48)) == 0).any()
        with pytest.raises(ValueError, match="4000x10"):
            renderer.color(data, size=(4000, 10))
    with pytest.raises(RuntimeError, match="closed"):
        renderer.color(data)


def test_same_seed_same_picture_and_other_seed_another():
    def picture(seed):
        model = worlds.build_yard([one("worker")], appearance=np.random.default_rng(seed)).compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with SceneRenderer(model) as renderer:
            return renderer.color(data, size=(160, 120))

    assert np.array_equal(picture(1), picture(1))
    assert not np.array_equal(picture(1), picture(2))


def test_every_colour_is_told_apart_from_the_others_under_any_light():
    order = list(COLORS)
    pictures = []
    for seed in range(3):
        model = worlds.build_yard(
            [one("box", id=c, color=c, pose=(4.0, 2.5 - 0.5 * i, 0)) for i, c in enumerate(order)],
            appearance=np.random.default_rng(seed),
        ).compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with SceneRenderer(model) as renderer:
            picture, index = renderer.color(data), renderer.objects(data, size=(640, 480))
        pictures.append([np.median(picture[index == i], axis=0) for i in range(len(order))])
    for seen in np.array(pictures):
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1e3 * np.eye(len(order))
        assert gaps.min() > 25, (order[gaps.min(axis=1).argmin()], gaps.min())
    assert set(COLOR_RGB) == set(COLORS)


def test_twin_gives_each_rollout_its_own_positions():
    from mujoco.batch import Batch

    spec = worlds.build_twin([(2.0, 0.0, 0.0, 0.25, 0.25, 0.5)], [(0.0, 3.0, 0.3, 1.7)])
    batch = Batch(spec.compile(), 2, 1)
    mocap, ctrl, qpos = batch.bind("mocap_pos"), batch.bind("ctrl"), batch.bind("qpos")
    mocap[1, 0, :2] = 2.0, 5.0
    ctrl[:] = 8.0
    batch.step(nstep=400)
    assert qpos[0, 0] == pytest.approx(2.0 - 0.25 - 0.35, abs=0.03)
    assert qpos[1, 0] > 2.9


def test_twin_names_its_bodies_and_stays_inside_the_walls():
    model = worlds.build_twin(
        [(2, 0, 0, 0.25, 0.25, 0.5)] * 3, [(0, 3, 0.3, 1.7)] * 2, robot_pose=(10.5, 0, 0)
    ).compile()
    assert [model.body(f"box:{i}").mocapid[0] for i in range(3)] == [0, 1, 2]
    assert [model.body(f"mover:{i}").mocapid[0] for i in range(2)] == [3, 4]
    drive = Drive(model)
    drive.run(2.0, lambda t: (1.0, 0.0))
    assert "wall_east" in drive.touched
    assert drive.pose[0] < 11.7
