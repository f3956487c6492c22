"""A film's sound is where it belongs in its pictures."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from jpai_agent.record import VideoError, VideoWriter
from jpai_agent.record.soundtrack import RATE_HZ, Sound, add_sound, mixed

FPS, SECONDS = 5.0, 3.0


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * 440.0 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    with VideoWriter(path, FPS) as writer:
        for number in range(round(FPS * SECONDS)):
            picture = np.full((480, 640, 3), 8 * number, np.uint8)
            writer.add(picture, picture, ("", "", ""), "走行中")
    return path


def heard(path: Path) -> np.ndarray:
    """The film's sound, (N,) from the time of its first frame on."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        frames = list(file.decode(stream))
        begin = round(float(frames[0].pts * stream.time_base) * RATE_HZ)
        return np.concatenate([np.zeros(max(0, begin)), *(frame.to_ndarray().ravel() for frame in frames)])


def test_each_sound_begins_at_its_time_and_the_pictures_stay_as_they_are(film: Path) -> None:
    before = [frame.to_ndarray() for frame in av.open(str(film)).decode(video=0)]
    add_sound(film, [Sound(101.0, tone(0.5)), Sound(102.2, tone(0.5, 0.25))], begin_s=100.0, seconds=SECONDS)
    with av.open(str(film)) as file:
        audio, video = file.streams.audio[0], file.streams.video[0]
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", RATE_HZ, 1)
        assert float(audio.duration * audio.time_base) == pytest.approx(SECONDS, abs=0.05)
        assert float(video.duration * video.time_base) == pytest.approx(SECONDS, abs=0.01)
        after = [frame.to_ndarray() for frame in file.decode(video)]
    assert all(map(np.array_equal, before, after))
    sound = np.abs(heard(film))
    assert np.argmax(sound > 0.1) / RATE_HZ == pytest.approx(1.0, abs=0.03)
    assert sound[round(1.6 * RATE_HZ): round(2.1 * RATE_HZ)].max() < 0.02
    assert np.argmax(sound[round(1.6 * RATE_HZ):] > 0.1) / RATE_HZ == pytest.approx(0.6, abs=0.03)
    assert sound[round(2.3 * RATE_HZ):].max() < 0.4
    # a browser plays it while it loads
    content = film.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_what_was_said_before_or_after_the_film_is_left_out() -> None:
    track = mixed([Sound(9.5, tone(1.0)), Sound(12.5, tone(1.0)), Sound(50.0, tone(1.0))], begin_s=10.0, seconds=3.0)
    assert len(track) == 3 * RATE_HZ
    loud = np.abs(track.astype(int)) > 0
    assert loud[: RATE_HZ // 2].mean() > 0.9
    assert not loud[RATE_HZ // 2 + 10: round(2.5 * RATE_HZ)].any()
    assert loud[-RATE_HZ // 3:].mean() > 0.9


def test_two_who_speak_at_once_are_not_louder_than_a_file_can_be() -> None:
    track = mixed([Sound(0.0, tone(1.0, 0.9)), Sound(0.0, tone(1.0, 0.9))], 0.0, 1.0)
    assert (track.min(), track.max()) == (-32767, 32767)


def test_a_film_that_is_none_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(VideoError, match=r"(?s)video\.mp4: .*Invalid data"):
        add_sound(path, [], 0.0, 1.0)
    assert path.read_bytes() == b"no film"
    assert list(tmp_path.iterdir()) == [path]
