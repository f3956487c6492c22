"""Traffic lights: aimed at where the map has them, read by colour, place and darkness around, believed when readings agree."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import mujoco
import numpy as np
import pytest

from jpai_agent.perception import Perception
from jpai_agent.perception.lights import LAMPS, Aim, LightReader, read_head
from jpai_agent.perception.returns import Tilt
from jpai_agent.twin.lights import LightPlan, show_lights
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.worlds import build_street
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import ObjectSpec
from jpai_agent.world.road import LightHead
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import Image, Localization, Observation, Odometry

HEAD = LightHead("h", "c", "west", 60.0, 0.0, 5.0, math.pi)
LIT = {"green": (15, 250, 160), "yellow": (255, 185, 10), "red": (255, 20, 12)}
SKY, BOARD, DARK = (150, 180, 220), (25, 26, 27), (22, 12, 8)


@pytest.fixture(scope="module")
def reader(car: RobotSpec) -> LightReader:
    return LightReader(car.camera("tele"), {"h": HEAD})


def aim_from(reader: LightReader, away_m: float) -> Aim:
    (aim,) = reader.aims(np.array([60.0 - away_m, 0.0, 0.0]), Tilt())
    return aim


def drawn(
    aim: Aim, state: str | None, off_px: tuple[float, float] = (0.0, 0.0), background: tuple[int, int, int] = SKY
) -> np.ndarray:
    """A tele frame with the head where it is aimed at, off by some pixels, with grain."""
    rgb = np.full((480, 640, 3), background, dtype=np.uint8)
    x, y = aim.middle_px + off_px
    scale = aim.px_per_m

    def box(left: float, right: float, half: float, color: tuple[int, int, int]) -> None:
        corners = np.round([[x + left * scale, y - half * scale], [x + right * scale, y + half * scale]]) * 16
        cv2.rectangle(rgb, corners[0].astype(int).tolist(), corners[1].astype(int).tolist(), color, -1, shift=4)

    box(-0.76, 0.76, 0.36, BOARD)
    for k, lamp in enumerate(LAMPS):
        middle = (round((x + (k - 1) * 0.4 * scale) * 16), round(y * 16))
        cv2.circle(rgb, middle, round(0.15 * scale * 16), LIT[lamp] if lamp == state else DARK, -1, cv2.LINE_AA, shift=4)
    noisy = rgb + np.random.default_rng(0).normal(0.0, 3.0, rgb.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("away_m", [18.0, 30.0, 50.0, 75.0])
@pytest.mark.parametrize("state", LAMPS)
def test_a_lit_lamp_is_read_although_the_pose_is_a_little_off(reader: LightReader, state: str, away_m: float) -> None:
    aim = aim_from(reader, away_m)
    for off in ((0.0, 0.0), (0.5 * aim.margin_px, -0.4 * aim.margin_px), (-0.6 * aim.margin_px, 0.3 * aim.margin_px)):
        assert read_head(drawn(aim, state, off), aim) == state


def test_no_lit_lamp_is_unknown(reader: LightReader) -> None:
    aim = aim_from(reader, 40.0)
    assert read_head(drawn(aim, None), aim) == "unknown"


@pytest.mark.parametrize("background", [(200, 30, 25), (230, 170, 20), (20, 190, 120)])
def test_a_bright_wall_where_the_head_should_be_is_no_light(reader: LightReader, background: tuple[int, int, int]) -> None:
    aim = aim_from(reader, 40.0)
    hidden = np.full((480, 640, 3), background, dtype=np.uint8)
    assert read_head(hidden, aim) == "unknown"
    # but before it the lamp is read
    for state in LAMPS:
        assert read_head(drawn(aim, state, background=background), aim) == state


def test_a_tail_lamp_on_a_dark_truck_below_the_head_is_no_light(reader: LightReader) -> None:
    aim = aim_from(reader, 40.0)
    rgb = np.full((480, 640, 3), BOARD, dtype=np.uint8)
    x, y = (int(v) for v in aim.middle_px)
    cv2.circle(rgb, (x, y + round(2.5 * aim.px_per_m)), 4, LIT["red"], -1)
    assert read_head(rgb, aim) == "unknown"


def test_heads_that_face_away_or_are_too_far_or_outside_are_not_looked_for(reader: LightReader) -> None:
    assert len(reader.aims(np.array([20.0, 0.0, 0.0]), Tilt())) == 1
    for pose in ([90.0, 0.0, math.pi], [-30.0, 0.0, 0.0], [20.0, 0.0, 0.6], [52.0, 0.0, 0.0]):
        assert not reader.aims(np.array(pose), Tilt())


def test_a_nose_that_dives_moves_the_head_up_in_the_image(reader: LightReader) -> None:
    pose = np.array([20.0, 0.0, 0.0])
    level, diving = (reader.aims(pose, Tilt(ahead))[0].middle_px for ahead in (0.0, 0.01))
    assert 7.0 < level[1] - diving[1] < 13.0


def test_two_of_three_readings_must_agree_and_grow_stale(car: RobotSpec) -> None:
    reader = LightReader(car.camera("tele"), {"h": HEAD})
    aim = aim_from(reader, 30.0)
    pose = np.array([30.0, 0.0, 0.0])
    shown = [("green", "unknown"), ("green", "green"), ("red", "green"), (None, "unknown"), ("red", "red")]
    for k, (state, believed) in enumerate(shown):
        reader.take(Image("tele", 0.2 * k, drawn(aim, state)), pose, Tilt())
        (seen,) = reader.seen(0.2 * k)
        assert (seen.id, seen.state) == ("h", believed)
    assert reader.seen(0.8)[0].seen_s == pytest.approx(0.8)
    assert reader.seen(0.8 + 1.4)[0].state == "unknown"
    assert not reader.seen(0.8 + 1.6)


def test_frames_are_wanted_only_while_a_light_is_ahead(car: RobotSpec, street: WorldMap) -> None:
    def wants(x: float, y: float, yaw: float) -> frozenset[str]:
        perception = Perception(car, street)
        assert perception.wants_stream == frozenset()
        perception.update(Observation(0.0, Odometry(0.0, np.zeros(3), 0.0, 0.0), Localization(0.0, np.array([x, y, yaw]))))
        return perception.wants_stream

    assert wants(50.0, 81.5, 0.0) == {"tele"}
    assert wants(70.0, 81.5, 0.0) == {"tele"}
    assert wants(50.0, 78.5, math.pi) == frozenset()
    assert wants(-20.0, 81.5, 0.0) == frozenset()
    assert wants(110.0, 81.5, 0.0) == frozenset()


@pytest.mark.parametrize("weather", ["sunny", "dusk", "rain"])
def test_rendered_lights_are_read_in_every_weather_among_red_things(car: RobotSpec, street: WorldMap, weather: str) -> None:
    assert street.road is not None
    red = [ObjectSpec("a", "post_office", (96.0, 92.0, 180.0)), ObjectSpec("b", "truck", (100.0, 81.5, 0.0), color="red")]
    plan = LightPlan.of_episode(street.road)
    model = build_street(red, road=street.road, lights=plan, appearance=np.random.default_rng(4), weather=weather).compile()
    data = mujoco.MjData(model)
    start = int(model.joint("base").qposadr[0])
    reader = LightReader(replace(car.camera("tele")), street.road.lights)
    read = 0
    with SceneRenderer(model) as renderer:
        for t_s, x in ((1.0, 30.0), (1.0, 64.0), (21.0, 50.0), (24.0, 20.0), (44.0, 60.0)):
            show_lights(model, plan, t_s)
            for pose in ((x, 81.5, 0.0), (78.5, x, math.pi / 2)):
                data.qpos[start : start + 7] = pose[0], pose[1], 0.0, math.cos(pose[2] / 2), 0.0, 0.0, math.sin(pose[2] / 2)
                mujoco.mj_forward(model, data)
                rgb = renderer.color(data, "tele", (640, 480))
                for aim in reader.aims(np.array(pose) + np.array([0.1, -0.1, 0.004]), Tilt(0.002)):
                    assert read_head(rgb, aim) == plan.state_at(aim.head.id, t_s), f"{aim.head.id} at {t_s} s from {pose}"
                    read += 1
    assert read >= 8
