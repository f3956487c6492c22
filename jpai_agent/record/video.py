"""Film a run: chase camera and robot camera side by side over a bar of Japanese captions, as an H.264 file."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw

from jpai_agent.record import style
from jpai_agent.record.shapes import rounded
from jpai_agent.record.text import Color, draw_text, fit, font, shorten, width_px

SIZE = (1280, 660)
_PANE = (638, 480)
_BAR_Y = 484
_FINISH_TIMEOUT_S = 60.0
_STATE_COLORS: dict[str, Color] = {
    "計画中": (139, 92, 246),
    "認識中": (139, 92, 246),
    "リハーサル中": (38, 132, 255),
    "走行中": (22, 163, 106),
    "待機中": (217, 140, 20),
    "停止": (214, 60, 60),
    "質問中": (217, 140, 20),
    "完了": (22, 163, 106),
}


class VideoError(RuntimeError):
    """The encoder failed; the message has its last words."""


class VideoWriter:
    """Writes `video.mp4`: 1280×660, H.264, yuv420p, the index first so that browsers can play it while it loads.

    Frames go to ffmpeg's process as they come; it ends with `close` or when this process dies. It is a context manager.

    Args:
        path: The file. fps: Frames a second.
    """

    def __init__(self, path: Path | str, fps: float = 12.5) -> None:
        self.path, self.fps, self.frames = Path(path), fps, 0
        self._page = np.full((SIZE[1], SIZE[0], 3), style.BAR, np.uint8)
        self._shown: tuple[tuple[str, ...], str] | None = None
        self._tags = _tag("追従カメラ"), _tag("ロボットのカメラ")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the encoder
        width, height = SIZE
        self._ffmpeg = subprocess.Popen(
            [
                imageio_ffmpeg.get_ffmpeg_exe(),
                "-y",
                "-loglevel",
                "error",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-s",
                f"{width}x{height}",
                "-r",
                f"{fps}",
                "-i",
                "-",
                "-an",
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-crf",
                "21",
                "-pix_fmt",
                "yuv420p",
                "-threads",
                "1",
                "-movflags",
                "+faststart",
                str(self.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )

    def add(self, chase_rgb: np.ndarray, robot_rgb: np.ndarray, lines: Sequence[str], status: str) -> None:
        """Add a frame.

        Args:
            chase_rgb, robot_rgb: (H, W, 3) uint8 of any size; best 4:3, like 640×480.
            lines: Instruction, reply, present step (see `Captions.lines`); empty ones leave their place free.
            status: The robot's state in a word.

        Raises:
            VideoError: The encoder has died.
        """
        self.write(self.frame(chase_rgb, robot_rgb, lines, status))

    def frame(self, chase_rgb: np.ndarray, robot_rgb: np.ndarray, lines: Sequence[str], status: str) -> np.ndarray:
        """The picture (660, 1280, 3) that `add` would write; it is drawn over by the next call."""
        for rgb, x, tag in ((chase_rgb, 0, self._tags[0]), (robot_rgb, SIZE[0] - _PANE[0], self._tags[1])):
            pane = self._page[: _PANE[1], x : x + _PANE[0]]
            pane[:] = _filling(rgb)
            corner = pane[12 : 12 + tag.shape[0], 12 : 12 + tag.shape[1]]
            corner[:] = _tinted(corner, tag)
        if self._shown != (tuple(lines), status):
            self._page[_BAR_Y:] = bar(lines, status)
            self._shown = (tuple(lines), status)
        return self._page

    def write(self, page: np.ndarray) -> None:
        """Add a finished frame (660, 1280, 3) uint8. Raises VideoError."""
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(page).data)
        except (BrokenPipeError, ValueError) as error:
            raise VideoError(f"could not write {self.path}: {self._last_words()}") from error
        self.frames += 1

    def close(self) -> None:
        """Finish the file. Raises VideoError when there is none."""
        if self._ffmpeg.stdin is None or self._ffmpeg.stdin.closed:
            return
        try:
            self._ffmpeg.stdin.close()
            code = self._ffmpeg.wait(_FINISH_TIMEOUT_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._ffmpeg.kill()
            code = self._ffmpeg.wait()
        words = self._last_words()
        self._said.close()
        if code != 0 and self.frames:
            raise VideoError(f"could not write {self.path}: {words}")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip()[-400:] or "ffmpeg gave no reason"


def _filling(rgb: np.ndarray) -> np.ndarray:
    """The picture scaled and cropped to fill a pane."""
    height, width = rgb.shape[:2]
    scale = max(_PANE[0] / width, _PANE[1] / height)
    if scale != 1.0 and (height, width) != (_PANE[1], 640):
        rgb = cv2.resize(
            rgb,
            (round(width * scale), round(height * scale)),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        height, width = rgb.shape[:2]
    top, left = (height - _PANE[1]) // 2, (width - _PANE[0]) // 2
    return rgb[top : top + _PANE[1], left : left + _PANE[0]]


def _tag(text: str) -> np.ndarray:
    """A camera's name, as a lightness mask (h, w): 0 ground, 255 letters."""
    image = Image.new("L", (round(width_px(text, 16)) + 20, 28), 0)
    # bright letters on a dark veil
    ImageDraw.Draw(image).text((10, 20), text, 255, font(16), anchor="ls")
    return np.asarray(image)


def _tinted(ground: np.ndarray, letters: np.ndarray) -> np.ndarray:
    shade = ground.astype(np.uint16) * 110 // 255
    ink = letters.astype(np.uint16)[..., None]
    return ((shade * (255 - ink) + 255 * ink) // 255).astype(np.uint8)


def bar(lines: Sequence[str], status: str) -> np.ndarray:
    """The caption bar (176, 1280, 3)."""
    image = Image.new("RGB", (SIZE[0], SIZE[1] - _BAR_Y), style.BAR)
    draw = ImageDraw.Draw(image)
    said, reply, now = (*lines, "", "", "")[:3]
    color = _STATE_COLORS.get(status, style.MUTED)
    chip_width = width_px(status, 21) + 48
    right = SIZE[0] - 28
    rounded(image, (right - chip_width, 22, right, 60), 19, color)
    draw.ellipse((right - chip_width + 15, 36, right - chip_width + 24, 45), style.CARD)
    draw_text(draw, (right - chip_width + 32, 49), status, 21, style.CARD, bold=True)
    room = right - chip_width - 28 - 24
    size, broken = fit(said, ((30, 1), (26, 1), (22, 2)), room)
    for row, line in enumerate(broken):
        draw_text(
            draw, (28 - size * 0.42, (52 if len(broken) == 1 else 40) + row * 28), line, size, style.BAR_INK, bold=True
        )
    if reply:
        end = draw_text(draw, (28, 100), "ロボット", 16, (120, 170, 250), bold=True) + 14
        draw_text(draw, (end, 101), shorten(reply, 23, right - end), 23, style.BAR_INK)
    if now:
        draw.line((28, 120, right, 120), style.BAR_EDGE, 1)
        draw_text(draw, (28, 151), shorten(now, 20, right - 28), 20, style.BAR_SOFT)
    return np.asarray(image)
