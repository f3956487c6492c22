"""A run in the street comes back from its folder whole and is drawn on its road, around the way that was driven."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpai_agent.agent.events import Decided, Finished, Grounded, Heard, Rehearsed, StepStarted
from jpai_agent.control import Program
from jpai_agent.plan import ActionPlan, Step
from jpai_agent.record import RunRecorder, Turn, load_run, style
from jpai_agent.record.map_view import MapContent, Projection, draw_map
from jpai_agent.record.road_view import LAMPS
from jpai_agent.record.summary import map_content, page
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.objects import objects_from_dicts
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import Mover, RobotState, Scene, SeenLight

CAR = load_robot("car")
SIZE = (762, 504)
SHOP = {"id": "shop", "kind": "convenience_store", "color": "blue", "pose": [70.5, 118.0, 0]}
STATE = RobotState(40.0, 81.5, 0.0, 5.0, 0.0)
SCENE = Scene("s-1", 1.0, STATE, (), (Mover("m-1", 60.0, 78.5, -6.0, 0.0, 2.2, 1.5, 1.0, 0.1, 3.1416, 2.1, 0.85),),
              (SeenLight("light_80_80_west", "red", 0.9),), 0.95)


@pytest.fixture(scope="module")
def world() -> WorldMap:
    return load_map("street").with_landmarks(objects_from_dicts([SHOP]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, world: WorldMap) -> Path:
    """A run along 30 m of lane."""
    path = tmp_path_factory.mktemp("street") / "run"
    plan = ActionPlan("act", (Step("turn_at", {"direction": "left"}),))
    with RunRecorder(path, CAR, world, pictures=False, mcap=False) as recorder:
        recorder(Heard(0.5, 0, "次の信号を左に曲がって"))
        recorder(Grounded(1.0, 0, SCENE, {}))
        recorder(Decided(1.2, 0, "act", None, plan))
        recorder(StepStarted(1.2, 0, 0))
        for tick in range(61):
            recorder.tick(1.2 + 0.1 * tick, SCENE, RobotState(40.0 + 0.5 * tick, 81.5, 0.0, 5.0, 0.0), (5.0, 0.0))
        recorder(Finished(7.2, 0, "done"))
    return path


def test_places_road_lights_and_boxes_come_back(folder: Path, world: WorldMap) -> None:
    run = load_run(folder)
    assert [(p.id, p.names, p.kind) for p in run.world.places] == [(p.id, p.names, p.kind) for p in world.places]
    assert run.world.place("convenience_store").kind == "convenience_store"
    assert run.world.road is not None
    assert set(run.world.road.lights) == set(world.road.lights)
    assert run.turns[0].scene == SCENE
    assert run.center_x_m == CAR.center_x_m


def test_of_rehearsals_the_one_that_let_it_set_out_is_shown_and_a_later_one_only_where_it_fails(tmp_path: Path) -> None:
    def verdict(seconds: float, status: str = "pass") -> Rehearsed:
        found = Verdict("v", status, 1.0, 8, 1.0, Binding("p", "q", "s", "r", "m", "t"), duration_s=seconds)
        return Rehearsed(1.1, 0, Program((), (0.0, 0.0, 0.0)), found, 500.0)

    def shown(name: str, *later: Rehearsed) -> Turn:
        with RunRecorder(tmp_path / name, CAR, load_map("street"), pictures=False, mcap=False) as recorder:
            for event in (Heard(0.5, 0, "走って"), verdict(24.0), StepStarted(1.2, 0, 0), *later):
                recorder(event)
        return load_run(tmp_path / name).turns[0]

    well, badly = shown("well", verdict(12.0), verdict(0.3)), shown("badly", verdict(12.0), verdict(0.0, "fail"))
    assert (well.verdict["duration_s"], well.rehearsals, well.under_way) == (24.0, 1, 2)
    assert (badly.verdict["status"], badly.rehearsals, badly.under_way) == ("fail", 1, 2)


def test_a_folder_does_not_hold_the_road(folder: Path) -> None:
    assert (folder / "episode.json").stat().st_size < 20_000


def test_the_map_is_cut_to_what_was_driven(folder: Path) -> None:
    run = load_run(folder)
    x0, y0, x1, y1 = map_content(run, run.turns[0]).shown_m
    assert (x0, x1) == pytest.approx((15.0, 95.0))
    assert (y0, y1) == pytest.approx((53.5, 109.5))


def pixel(picture: np.ndarray, to_px: Projection, x: float, y: float) -> tuple[int, ...]:
    column, row = (round(v) for v in to_px((x, y)))
    return tuple(int(v) for v in picture[row, column])


def test_lanes_lines_lights_and_the_cars_body_are_where_they_are(world: WorldMap) -> None:
    view = (50.0, 60.0, 100.0, 95.0)
    content = MapContent(world, (CAR.length_m, CAR.width_m), movers=SCENE.movers, start=np.array([58.0, 81.5, 0.0]),
                         end=np.array([66.0, 81.5, 0.0]), center_x_m=CAR.center_x_m, lights=SCENE.lights, view_m=view)
    picture, to_px = np.asarray(draw_map(content, *SIZE)), Projection(view, *SIZE)
    assert pixel(picture, to_px, 53.0, 78.2) == style.ASPHALT
    assert pixel(picture, to_px, 55.0, 84.9) == style.PAVEMENT
    assert pixel(picture, to_px, 55.0, 92.0) == style.GROUND
    assert pixel(picture, to_px, 71.0, 82.3) == style.MARKING  # the stop line
    head = world.road.lights["light_80_80_west"]
    assert pixel(picture, to_px, head.x_m, head.y_m) == LAMPS["red"]
    other = world.road.lights["light_80_80_north"]
    assert pixel(picture, to_px, other.x_m, other.y_m) == LAMPS["unknown"]
    # 2.8 m ahead of the rear axle is car still, 1 m behind it is none
    assert pixel(picture, to_px, 66.0 + 2.8, 81.5) == style.DRIVEN
    assert pixel(picture, to_px, 66.0 - 1.0, 81.5) == style.ASPHALT
    # a vehicle is drawn as long as it is
    assert pixel(picture, to_px, 60.0 + 1.8, 78.5) == style.MOVER
    assert pixel(picture, to_px, 60.0 + 1.8, 79.9) != style.MOVER


def test_a_page_of_a_street_run_is_drawn(folder: Path) -> None:
    run = load_run(folder)
    assert isinstance(page(run, run.turns[0]), Image.Image)
