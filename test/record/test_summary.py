"""The pictures of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_run import OBJECTS, MadeUpRun
from PIL import Image

from jpai_agent.record import RunRecorder, draw_run, failure_picture, load_run, style, summary, words
from jpai_agent.record.map_view import Labeller, Projection, draw_map
from jpai_agent.world.objects import footprint


@pytest.fixture(scope="module")
def folder(run: MadeUpRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "run"
    with RunRecorder(path, run.robot, run.world, episode={"id": "yard-0001"}) as keep:
        run.record(keep)
    return path


def count(picture: Image.Image, color: tuple[int, int, int], tolerance: int = 6) -> int:
    return int((np.abs(np.asarray(picture, int) - color).max(axis=2) <= tolerance).sum())


def test_one_turn_makes_one_page_of_1600_by_900(folder: Path) -> None:
    with Image.open(folder / "summary.png") as picture:
        assert picture.size == (1600, 900)


def test_each_turn_has_its_page(run: MadeUpRun, tmp_path: Path) -> None:
    with RunRecorder(tmp_path / "run", run.robot, run.world) as keep:
        run.record(keep)
        for event in run.question(1):
            keep(event)
    with Image.open(tmp_path / "run" / "summary.png") as picture:
        assert picture.size == (1600, 1800)


def test_a_run_without_an_instruction_has_a_picture_too(run: MadeUpRun, tmp_path: Path) -> None:
    RunRecorder(tmp_path / "run", run.robot, run.world).close()
    with Image.open(tmp_path / "run" / "summary.png") as picture:
        assert picture.size == (1600, 900)


def test_the_point_is_marked_where_the_plan_has_it(run: MadeUpRun, folder: Path) -> None:
    turn = load_run(folder).turns[0]
    point = run.plan.steps[0].target.point  # type: ignore[union-attr]
    assert point is not None
    page = summary.page(load_run(folder), turn)
    left, top, right, bottom = summary._PHOTO
    x, y = left + 1 + point[0] / 1000 * (right - left - 2), top + 1 + point[1] / 1000 * (bottom - top - 2)
    assert page.getpixel((round(x), round(y))) == pytest.approx(style.ACCENT, abs=12)


def test_driven_and_rehearsed_ways_are_on_the_map(run: MadeUpRun, folder: Path) -> None:
    content = summary.map_content(load_run(folder), load_run(folder).turns[0])
    picture = draw_map(content, 762, 504)
    to_px = Projection(run.world.bounds_m, 762, 504)
    at = np.round(to_px(content.driven[:: len(content.driven) // 9])).astype(int)
    pixels = np.asarray(picture, int)[at[1:-1, 1], at[1:-1, 0]]
    # the path, or a dash of the plan on it
    assert all(min(np.abs(p - style.DRIVEN).max(), np.abs(p - style.PLANNED).max()) < 70 for p in pixels)
    content.driven = np.zeros((0, 2))
    assert count(draw_map(content, 762, 504), style.FLOOR) > count(picture, style.FLOOR)


def test_labels_do_not_cover_each_other_where_there_is_room() -> None:
    labeller = Labeller((0, 0, 400, 300), np.zeros((0, 2)))
    for at in ((100, 100), (110, 104), (96, 110), (390, 8)):
        labeller.find(np.array(at), 60, 16, 8)
    boxes = labeller.taken
    assert all(b[0] >= 0 and b[2] <= 400 and b[1] >= 0 and b[3] <= 300 for b in boxes)
    assert not any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for i, a in enumerate(boxes) for b in boxes[:i]
    )


def test_nothing_is_drawn_into_the_margins_however_long_the_words(run: MadeUpRun, tmp_path: Path) -> None:
    with RunRecorder(tmp_path / "run", run.robot, run.world, pictures=False) as keep:
        for event in run.events(said="とても長い指示です。" * 40):
            keep(event)
    with Image.open(draw_run(tmp_path / "run")) as picture:
        pixels = np.asarray(picture)
    assert (pixels[:, :16] == style.PAGE).all()
    assert (pixels[:, -28:] == style.PAGE).all()
    assert (pixels[146:159, 40:] == style.PAGE).all()


def test_a_failure_shows_the_true_path_and_what_the_judge_objected_to_in_red(folder: Path, tmp_path: Path) -> None:
    result = {"id": "yard-0001", "decision": "act", "reason": None, "decision_right": False, "contacts": 1,
              "violations": ["forward_mps"],
              "failed_predicates": [{"near": {"object": "a", "max_m": 1.2}}]}  # fmt: skip
    path = failure_picture(folder, result, tmp_path / "fail.png", outlines=[footprint(o).corners() for o in OBJECTS])
    with Image.open(path) as failed, Image.open(folder / "summary.png") as plain:
        assert failed.width == 1600
        assert failed.height > 900
        assert count(failed.crop((786, 160, 1568, 706)), style.TRUTH, 40) > 200
        assert count(plain.crop((786, 160, 1568, 706)), style.TRUTH, 40) == 0
        assert count(failed.crop((0, 900, 1600, failed.height)), style.BAD, 40) > 500


def test_the_verdict_is_worded_in_japanese(run: MadeUpRun) -> None:
    passed, failed = run.verdict().to_dict(), run.verdict("fail").to_dict()
    assert words.verdict_line(passed) == "リハーサル 32/32 合格、最小すきま 0.42 m、見込み 21 秒"
    assert words.verdict_line(failed) == "リハーサル 20/32 不合格、接触のおそれ、最小すきま 0.00 m"
    assert words.metres(None) == words.seconds(float("inf")) == "—"
