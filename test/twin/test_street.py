"""The street: what stands where, what can be touched, what cameras and lidar see of it, and how it varies."""

import math

import mujoco
import numpy as np
import pytest

from jpai_agent.twin import worlds
from jpai_agent.twin.atlas import cell, draw_atlas, region
from jpai_agent.twin.lights import LightPlan
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.street_scenery import CLEAR_OF_ROADS_M, WEATHERS
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import LANDMARKS, STREET_KINDS, VEHICLES, Motion, ObjectSpec
from jpai_agent.world.road import RoadMap


@pytest.fixture(scope="module")
def street() -> WorldMap:
    return load_map("street")


@pytest.fixture(scope="module")
def road(street: WorldMap) -> RoadMap:
    assert street.road is not None
    return street.road


def built(road: RoadMap, objects=(), **more) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = worlds.build_street(objects, road=road, **more).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def one_of_each() -> list[ObjectSpec]:
    return [
        ObjectSpec(kind, kind, (-30.0 + 12.0 * (i % 5), 110.0 + 10.0 * (i // 5), 15.0 * i)) for i, kind in enumerate(STREET_KINDS)
    ]


def test_every_kind_of_the_street_is_drawn_and_has_one_contact_solid(road):
    objects = one_of_each()
    model, _ = built(road, objects, appearance=np.random.default_rng(0))
    assert worlds.object_ids(model) == list(STREET_KINDS)
    owner = worlds.object_of_geom(model)
    for index, thing in enumerate(objects):
        width, depth, height = thing.dimensions_m
        assert ((owner == index) & (model.geom_group == 1)).sum() > 2, thing.kind
        solid = model.geom(f"contact:{thing.id}")
        assert solid.contype[0] == 2 and solid.group[0] == 3
        if thing.kind != "cone":
            assert 2 * solid.size == pytest.approx([depth, width, height])


def test_only_objects_poles_and_the_robot_can_be_touched(road):
    model, _ = built(road, [ObjectSpec("a", "car", (30, 81.5, 0))], appearance=np.random.default_rng(0))
    touchable = {model.geom(g).name for g in np.flatnonzero((model.geom_contype > 0) & ~worlds.robot_geoms(model))}
    poles = {f"pole:{line.id}" for line in road.stop_lines if line.kind == "sign"} | {f"pole:{light}" for light in road.lights}
    assert touchable == {"floor", "contact:a"} | poles | {f"pole:{park.id}" for park in road.car_parks}


def test_poles_stand_off_the_roads(road):
    model, data = built(road, visual=False)
    roads_x, roads_y = {c.x_m for c in road.crossings.values()}, {c.y_m for c in road.crossings.values()}
    poles = [g for g in range(model.ngeom) if model.geom(g).name.startswith("pole:")]
    assert len(poles) == len(road.stop_lines) + 1
    for pole in poles:
        x, y, _ = data.geom_xpos[pole]
        assert min(abs(x - at) for at in roads_x) > 4.3 and min(abs(y - at) for at in roads_y) > 4.3, model.geom(pole).name


def test_every_stop_line_of_kind_sign_has_its_sign_on_the_left_of_the_traffic(road):
    _, data = built(road)
    for line in road.stop_lines:
        if line.kind == "sign":
            crossing = road.crossings[line.crossing]
            x, y, _ = data.geom(f"pole:{line.id}").xpos
            ahead = np.sign(crossing.x_m - x)  # signs stop the traffic along x
            assert (y - crossing.y_m) * ahead == pytest.approx(4.6, abs=0.05)
            assert abs(x - crossing.x_m) == pytest.approx(crossing.half_m, abs=0.05)


def test_the_background_keeps_off_roads_car_park_and_objects(road):
    things = [ObjectSpec("c", "school", (30.0, 60.0, 0)), ObjectSpec("d", "park", (100.0, 100.0, 0))]
    model, data = built(road, things, appearance=np.random.default_rng(7))
    blocks = [g for g in range(model.ngeom) if model.geom(g).name.startswith("block_")]
    points = np.concatenate([vertices(model, data, g) for g in blocks])
    low = points[points[:, 2] < 0.5, :2]  # walls and trunks where they stand
    assert len(low) > 300
    middles = np.array([(c.x_m, c.y_m) for c in road.crossings.values()])
    for values, at in ((low[:, 0], middles[:, 0]), (low[:, 1], middles[:, 1])):
        assert min(np.abs(values - a).min() for a in at) >= CLEAR_OF_ROADS_M
    for thing in things:
        assert np.hypot(*(low - thing.pose[:2]).T).min() > 5.0
    assert not ((low[:, 0] > 86) & (low[:, 0] < 124) & (low[:, 1] > 0) & (low[:, 1] < 20)).any()


def vertices(model, data, geom: int) -> np.ndarray:
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    local = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
    return local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]


def test_what_is_flat_is_no_step_and_nothing_for_lidar(road):
    model, data = built(road)
    for name in ("asphalt", "paving", "paint"):
        geom = model.geom(name)
        assert geom.contype[0] == geom.conaffinity[0] == 0
        assert vertices(model, data, geom.id)[:, 2].max() <= 0.02
        assert not worlds.LIDAR_GROUPS[geom.group[0]]


def test_flat_things_are_seen_from_above(road):
    model, data = built(road)
    with SceneRenderer(model) as renderer:
        camera = mujoco.MjvCamera()
        camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (0, 80, 0), 24.0, 90.0, -90.0
        picture = renderer.color(data, camera).astype(int)
    green = (picture[..., 1] > picture[..., 0] + 8) & (picture[..., 1] > picture[..., 2] + 8)
    # north up, the road 8 m wide and its rounded corners are asphalt: grass shows beyond the pavements only
    pixels_per_m = 480 / (2 * 24.0 * math.tan(math.radians(model.vis.global_.fovy) / 2))
    reach = round(5.6 * pixels_per_m)
    assert not green[240 - reach : 240 + reach].any()
    assert not green[:, 320 - reach : 320 + reach].any()
    assert green[:30, :30].all()


def test_depth_agrees_with_rays_to_60_m(road):
    things = [ObjectSpec(f"v{k}", "truck", (78.5 - 3.5 * (k % 2), 20.0 + at, 90)) for k, at in enumerate((10, 24, 40, 58))]
    model, data = built(road, things, robot_pose=(78.5, 10, 90), weather="rain")
    camera = data.camera("front")
    with SceneRenderer(model) as renderer:
        depth, index = renderer.depth_and_objects(data)
    f = 120 / math.tan(math.radians(model.camera("front").fovy[0]) / 2)
    checked = 0
    for row in range(60, 200, 3):
        for column in range(90, 230, 3):
            around = depth[row - 1 : row + 2, column - 1 : column + 2]
            if index[row, column] < 0 or around.max() > 1.005 * around.min():
                continue
            ray = camera.xmat.reshape(3, 3) @ [(column + 0.5 - 160) / f, (120 - row - 0.5) / f, -1.0]
            length = np.linalg.norm(ray)
            geom = np.zeros(1, dtype=np.int32)
            hit = mujoco.mj_ray(model, data, camera.xpos, ray / length, worlds.LIDAR_GROUPS, 1, -1, geom, None)
            assert depth[row, column] == pytest.approx(hit / length, rel=0.01)
            checked += 1
    assert checked > 20
    assert set(np.unique(index)) >= {-1, 0, 1}


def test_the_same_seed_gives_the_same_street_and_weather_varies(road):
    def look(seed):
        spec = worlds.build_street([ObjectSpec("a", "bus", (78.5, 60, 90))], road=road, robot_pose=(78.5, 30, 90),
                                   appearance=np.random.default_rng(seed))
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with SceneRenderer(model) as renderer:
            return next(text.data for text in spec.texts if text.name == "weather"), renderer.color(data, size=(160, 120))

    assert np.array_equal(look(1)[1], look(1)[1])
    assert not np.array_equal(look(1)[1], look(2)[1])
    skies = [worlds.build_street([], road=road, appearance=np.random.default_rng(seed)).text("weather") for seed in range(16)]
    assert {text.data for text in skies} == set(WEATHERS)


def test_rain_hides_what_is_far(road):
    far = [ObjectSpec("far", "truck", (78.5, 190, 90), color="black")]

    def brightness(weather):
        model, data = built(road, far, robot_pose=(78.5, 0, 90), weather=weather)
        with SceneRenderer(model) as renderer:
            picture, index = renderer.color(data, "tele"), renderer.objects(data, "tele", (640, 480))
        return picture[index == 0].mean()

    assert brightness("rain") > brightness("sunny") + 30


def test_movers_of_the_street_follow_their_paths(road):
    thing = ObjectSpec("b", "bicycle", (76.5, 10, 90), motion=Motion(((76.5, 10.0), (76.5, 60.0)), 4.0))
    model, data = built(road, [thing])
    worlds.place_movers(model, data, [thing], 5.0)
    mujoco.mj_kinematics(model, data)
    assert data.body("obj:b").xpos == pytest.approx([76.5, 30.0, 0.0])


def test_a_builder_for_any_map(street):
    model = worlds.build_world(street, [ObjectSpec("a", "car", (30, 81.5, 0))], robot_pose=(78.5, 30, 90)).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.body("base_link").xpos[:2] == pytest.approx([78.5, 30])
    assert worlds.build_world(load_map("yard"), []).geom("wall_east") is not None
    with pytest.raises(ValueError, match="no traffic lights"):
        worlds.build_world(load_map("yard"), [], lights=LightPlan.of_episode(street.road))
    with pytest.raises(ValueError, match="known worlds"):
        worlds.build_world(WorldMap("moon", (0, 0, 1, 1), (), "x"), [])


def test_ids_used_twice_are_refused(road):
    with pytest.raises(ValueError, match="twice"):
        worlds.build_street([ObjectSpec("a", "car", (0, 0, 0)), ObjectSpec("a", "bus", (20, 0, 0))], road=road)


def test_vehicles_show_lamps_at_both_ends(road):
    for kind in sorted(VEHICLES - {"bicycle"}):
        model, data = built(road, [ObjectSpec("a", kind, (30.0, 120.0, 0.0), color="blue")])
        with SceneRenderer(model) as renderer:
            seen = {}
            for name, azimuth in (("front", 180.0), ("back", 0.0)):
                camera = mujoco.MjvCamera()
                camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (30, 120, 1.0), 12.0, azimuth, -8.0
                mine = renderer.color(data, camera)[renderer.objects(data, camera, (640, 480)) == 0].astype(int)
                seen[name] = ((mine.min(axis=1) > 200).sum(), ((mine[:, 0] > 180) & (mine[:, 1] < 90)).sum())
        assert seen["front"][0] > 20 and seen["front"][1] == 0, (kind, seen)
        assert seen["back"][1] > 20, (kind, seen)


def test_landmarks_can_be_told_apart_by_their_colours(road):
    buildings = LANDMARKS[:7]
    model, data = built(road, [ObjectSpec(kind, kind, (30.0 + 12 * i, 120.0, 90.0)) for i, kind in enumerate(buildings)])
    histograms = []
    with SceneRenderer(model) as renderer:
        for i in range(7):
            camera = mujoco.MjvCamera()
            camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (30 + 12 * i, 120, 2.0), 14.0, 270.0, -5.0
            mine = renderer.color(data, camera)[renderer.objects(data, camera, (640, 480)) == i]
            histogram = np.histogramdd(mine, bins=(4, 4, 4), range=((0, 256),) * 3)[0].ravel()
            histograms.append(histogram / histogram.sum())
    for i in range(7):
        for j in range(i):
            assert np.abs(histograms[i] - histograms[j]).sum() > 0.5, (LANDMARKS[i], LANDMARKS[j])


def test_the_atlas_has_its_colours_where_it_says():
    atlas = draw_atlas((0.4, 0.4, 0.4), None)
    u, v = cell("paint")
    assert atlas[int(v * 512), int(u * 512)] == pytest.approx([224, 224, 219], abs=1)
    u0, v0, u1, v1 = region("stop_sign")
    red, green, blue = atlas[int((0.4 * v0 + 0.6 * v1) * 512), int((u0 + u1) * 256)]
    assert red > 150 and green < 60 and blue < 60
