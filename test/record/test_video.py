"""The film of a run and its captions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from made_up_run import SAID, MadeUpRun

from jpai_agent.agent.events import Finished, Heard, StepStarted
from jpai_agent.record import Captions, VideoError, VideoWriter, style
from jpai_agent.record.video import SIZE, bar


def test_the_file_is_h264_with_every_frame_and_its_index_first(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    picture = np.full((480, 640, 3), 90, np.uint8)
    with VideoWriter(path, fps=12.5) as video:
        for i in range(25):
            video.add(picture, picture // (1 + i % 2), (f"「{i // 5}」", "", ""), "走行中")
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = sum(1 for _ in film.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, float(stream.average_rate or 0), frames) == (*SIZE, 12.5, 25)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_pictures_of_any_size_fill_their_pane(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4") as video:
        page = video.frame(np.full((360, 640, 3), 200, np.uint8), np.full((960, 1280, 3), 60, np.uint8), (), "停止")
        assert (page[100:480, :638] == 200).all()
        assert (page[100:480, 642:] == 60).all()
        video.write(page)


def test_long_captions_stay_within_the_bar() -> None:
    picture = bar(("「" + "長い指示です、" * 40 + "」", "長い返事です。" * 40, "長い手順です。" * 40), "リハーサル中")
    assert picture.shape == (176, 1280, 3)
    assert (picture[:, -26:] == style.BAR).all()
    assert (picture[-12:] == style.BAR).all()


def test_an_encoder_that_cannot_write_says_so(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "nowhere" / "video.mp4")
    picture = np.zeros((480, 640, 3), np.uint8)

    def film() -> None:
        for _ in range(50):
            video.add(picture, picture, (), "停止")
        video.close()

    with pytest.raises(VideoError, match=r"nowhere/video\.mp4: .*No such file"):
        film()


def test_the_encoder_is_one_that_pip_brings() -> None:
    said = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True, text=True, check=True)
    assert "libx264" in said.stdout


def test_captions_follow_the_run_from_thinking_to_done(run: MadeUpRun) -> None:
    captions, states = Captions(run.world), []
    for event in run.events():
        captions(event)
        states.append(captions.status)
    assert states == ["計画中", "認識中", "リハーサル中", "リハーサル中", "リハーサル中", "リハーサル中"]
    assert captions.lines[:2] == (f"「{SAID}」", "赤い箱の手前で3秒待ってから、充電ステーションへ戻ります。")
    assert captions.lines[2].startswith("リハーサル 32/32 合格")
    captions(StepStarted(1.5, 0, 0))
    assert (captions.status, captions.lines[2]) == ("走行中", "1/3  赤い箱の手前まで行きます")
    captions(StepStarted(6.5, 0, 1))
    assert (captions.status, captions.lines[2]) == ("待機中", "2/3  3秒待ちます")
    captions(Finished(20.0, 0, "done"))
    assert captions.status == "完了"


def test_a_question_is_shown_as_one(run: MadeUpRun) -> None:
    captions = Captions(run.world)
    for event in run.question():
        captions(event)
    assert (captions.status, captions.lines[1]) == ("質問中", "箱が2つあります。どちらの箱でしょうか？")


def test_a_plan_that_gives_way_does_not_end_the_newer_one(run: MadeUpRun) -> None:
    captions = Captions(run.world)
    for event in (*run.events(), StepStarted(1.5, 0, 0), Heard(3.0, 1, "やっぱり青い方"), Finished(3.5, 0, "replaced")):
        captions(event)
    assert (captions.status, captions.lines[0]) == ("計画中", "「やっぱり青い方」")
