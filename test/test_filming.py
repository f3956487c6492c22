"""The film of a kept run shows each moment of its record at the same time after its begin, however unevenly it was kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from jpai_agent import playing
from jpai_agent.playing import VIDEO_FPS, film_run
from jpai_agent.record.soundtrack import RATE_HZ, Sound

BEGIN_S = 50.0


class Puppet:
    """Shows the time at which it was placed, as a brightness."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self._level = 0

    def __enter__(self) -> Puppet:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def place(self, pose: tuple[float, float, float], time_s: float) -> None:
        self._level = round(100.0 * (time_s - BEGIN_S))

    def picture(self, camera: str, size: tuple[int, int]) -> np.ndarray:
        return np.full((size[1], size[0], 3), self._level, np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of two seconds whose rows come at uneven times, with a gap in it."""
    monkeypatch.setattr(playing, "SimRobot", Puppet)
    times = [BEGIN_S + t for t in (*(0.052 * i for i in range(20)), *(1.5 + 0.047 * i for i in range(11)))]
    rows = "".join(f"{t:.3f},0.0,0.0,0.0\n" for t in times)
    (tmp_path / "trajectory.csv").write_text("time_s,x_m,y_m,yaw_rad\n" + rows, encoding="utf-8")
    said = {"time_s": BEGIN_S + 1.0, "lines": ["「進んで」", "", ""], "status": "走行中"}
    (tmp_path / "captions.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    return tmp_path


def test_pictures_and_sound_keep_the_time_of_the_record(folder: Path) -> None:
    path = film_run(folder, [], sounds=[Sound(BEGIN_S + 1.2, np.full(RATE_HZ // 4, 0.5, np.float32))])
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="gray")[300, 300] for frame in film.decode(video=0)]
    with av.open(str(path)) as film:
        stream = film.streams.audio[0]
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in film.decode(stream)])
    assert len(frames) == 20
    for number, level in enumerate(frames):
        # the gap from 0.99 to 1.5 s shows what came after it
        expected = 100.0 * number / VIDEO_FPS if number <= 9 or number >= 15 else 150.0
        assert level == pytest.approx(expected, abs=8.0), number
    assert np.argmax(np.abs(sound) > 0.1) / RATE_HZ == pytest.approx(1.2, abs=0.04)


def test_a_film_of_a_silent_run_has_no_sound(folder: Path) -> None:
    with av.open(str(film_run(folder, []))) as film:
        assert len(film.streams.audio) == 0
