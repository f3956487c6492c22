"""Traffic lights: phases of an episode, what the other approaches show, and the lamps of the model."""

import mujoco
import numpy as np
import pytest

from jpai_agent.twin import worlds
from jpai_agent.twin.lights import SHOWN_STATES, LightPlan, lamp_name, show_lights
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.street_scenery import WEATHERS
from jpai_agent.world.map import load_map
from jpai_agent.world.road import RoadMap

SOUTH_RED = [{"at": [80, 80], "approach": "south", "phases": [["red", 8], ["green", 20]]}]


@pytest.fixture(scope="module")
def road() -> RoadMap:
    found = load_map("street").road
    assert found is not None
    return found


def head(road: RoadMap, approach: str) -> str:
    (found,) = [light.id for light in road.lights.values() if light.approach == approach]
    return found


def shown(road: RoadMap, plan: LightPlan, approach: str, *times_s: float) -> list[str]:
    return [plan.state_at(head(road, approach), t) for t in times_s]


def test_phases_run_in_order_and_the_last_holds(road):
    plan = LightPlan.of_episode(road, SOUTH_RED)
    assert shown(road, plan, "south", 0.0, 7.99, 8.0, 27.9, 500.0) == ["red", "red", "green", "green", "green"]
    assert plan.since(head(road, "south"), 5.0) == 0.0
    assert plan.since(head(road, "south"), 100.0) == 8.0


def test_the_approach_opposite_shows_the_same_and_the_crossing_road_gives_way(road):
    plan = LightPlan.of_episode(road, SOUTH_RED)
    assert shown(road, plan, "north", 0.0, 9.0) == ["red", "green"]
    for approach in ("east", "west"):
        assert shown(road, plan, approach, 0.0, 4.9, 5.1, 7.9, 8.1, 400.0) == ["green", "green", "yellow", "yellow", "red", "red"]


def test_the_crossing_road_waits_through_yellow_and_a_short_red(road):
    phases = [["green", 10], ["yellow", 3], ["red", 4], ["green", 5], ["yellow", 3], ["red", 1]]
    plan = LightPlan.of_episode(road, [{"at": [80, 80], "approach": "east", "phases": phases}])
    assert shown(road, plan, "north", 0.0, 12.0, 14.0, 20.0, 24.0, 25.1, 900.0) == ["red"] * 5 + ["green"] * 2


def test_two_listed_approaches_of_one_road_both_hold_the_other_back(road):
    plan = LightPlan.of_episode(road, [
        {"at": [80, 80], "approach": "north", "phases": [["green", 5], ["red", 20]]},
        {"at": [80, 80], "approach": "south", "phases": [["red", 15], ["green", 20]]},
    ])
    assert shown(road, plan, "east", 2.0, 6.0, 11.9, 12.1, 14.9, 15.1) == ["red", "green", "green", "yellow", "yellow", "red"]


def test_without_phases_the_roads_take_turns_and_are_never_open_both(road):
    plan = LightPlan.of_episode(road)
    assert shown(road, plan, "south", 0.0, 19.9, 20.1, 22.9, 23.1, 45.9, 46.1) == [
        "green", "green", "yellow", "yellow", "red", "red", "green"]
    assert shown(road, plan, "west", 0.0, 22.9, 23.1, 42.9, 43.1, 46.1) == ["red", "red", "green", "green", "yellow", "red"]
    for t in np.arange(0.0, 200.0, 0.5):
        states = plan.states(t)
        assert "red" in {states[head(road, "south")], states[head(road, "east")]}
        assert states[head(road, "south")] == states[head(road, "north")]
        assert t - 46.0 <= plan.since(head(road, "east"), t) <= t


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"at": [0, 0], "approach": "south", "phases": [["red", 8]]}, "no light at"),
        ({"at": [80, 80], "approach": "up", "phases": [["red", 8]]}, "no light at"),
        ({"at": "here", "approach": "south", "phases": [["red", 8]]}, "no light at"),
        ({"at": [80, 80], "approach": "south", "phases": []}, "phases"),
        ({"at": [80, 80], "approach": "south", "phases": [["blue", 8]]}, "a phase is red"),
        ({"at": [80, 80], "approach": "south", "phases": [["red", 0]]}, "a phase is red"),
        ({"at": [80, 80], "approach": "south", "phases": [["red", float("nan")]]}, "a phase is red"),
        ({"at": [80, 80], "approach": "south", "phases": ["red"]}, "a phase is"),
        ({"at": [80, 80], "approach": "south"}, "needs exactly"),
    ],
)
def test_a_bad_entry_is_named(road, entry, says):
    with pytest.raises(ValueError, match=f"lights entry 1.*{says}"):
        LightPlan.of_episode(road, [entry])


def test_an_approach_listed_twice_is_refused(road):
    with pytest.raises(ValueError, match=r"entry 2.*twice"):
        LightPlan.of_episode(road, SOUTH_RED * 2)


def test_lamps_hang_from_the_drivers_left_green_yellow_red(road):
    model = worlds.build_street([], road=road).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for light in road.lights.values():
        at = np.array([data.geom(lamp_name(light.id, state)).xpos for state in SHOWN_STATES])
        assert at.mean(axis=0) == pytest.approx([light.x_m, light.y_m, light.z_m], abs=0.05)
        right = np.array([-np.sin(light.yaw_rad), np.cos(light.yaw_rad), 0.0])  # of who looks at it
        assert (at @ right)[[0, 2]] - (at @ right)[1] == pytest.approx([-light.lamp_pitch_m, light.lamp_pitch_m], abs=1e-6)
        assert model.geom(lamp_name(light.id, "red")).size[0] == pytest.approx(light.lamp_diameter_m / 2)


@pytest.mark.parametrize("weather", WEATHERS)
def test_the_tele_camera_can_tell_the_lamps_60_m_away_in_any_weather(road, weather):
    light = road.lights[head(road, "south")]
    model = worlds.build_street([], road=road, robot_pose=(light.x_m, light.y_m - 62.3, 90), weather=weather).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    hue = {"red": (1.0, 0.0, 0.0), "yellow": (0.8, 0.6, 0.0), "green": (0.0, 1.0, 0.4)}
    with SceneRenderer(model) as renderer:
        for shown_state in SHOWN_STATES:
            show_lights(model, LightPlan.of_episode(road, [
                {"at": [80, 80], "approach": "south", "phases": [[shown_state, 10]]}]), 0.0)
            picture = renderer.color(data, "tele").astype(float)
            for lamp in SHOWN_STATES:
                patch = around(model, data, "tele", data.geom(lamp_name(light.id, lamp)).xpos, picture)
                if lamp == shown_state:
                    assert patch.max() > 150
                    assert max(hue, key=lambda name: patch @ hue[name] / np.linalg.norm(hue[name])) == lamp, (lamp, patch)
                else:
                    assert patch.max() < 75, (shown_state, lamp, patch)


def around(model, data, camera: str, point: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Mean colour (3,) of the 3 × 3 pixels where the camera sees the point."""
    view = data.camera(camera)
    x, y, z = view.xmat.reshape(3, 3).T @ (point - view.xpos)
    f = 240 / np.tan(np.radians(model.camera(camera).fovy[0]) / 2)
    u, v = round(319.5 - f * x / z), round(239.5 + f * y / z)
    return picture[v - 1 : v + 2, u - 1 : u + 2].mean(axis=(0, 1))


def test_a_world_without_looks_has_no_lamps_to_switch(road):
    model = worlds.build_street([], road=road, visual=False).compile()
    show_lights(model, LightPlan.of_episode(road), 3.0)
    assert mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, lamp_name(head(road, "south"), "red")) == -1
