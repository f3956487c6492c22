"""A sheet of wrong answers as pictures: what the camera saw, what was said, what was meant and what the model made of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jpai_agent.plan import ActionPlan, Step
from jpai_agent.train.evaluate import Verdict

COLUMNS, PICTURE, MARGIN, LINE = 4, (400, 300), 12, 19  # pixels
TEXT_LINES = {"said": 3, "want": 3, "got": 3, "who": 1}
SIZE = 14
PAPER, INK, SOFT, WANT, GOT = (250, 250, 250), (24, 32, 45), (110, 120, 135), (20, 126, 82), (192, 38, 44)


@lru_cache(maxsize=1)
def japanese_font() -> ImageFont.FreeTypeFont:
    """The Japanese font that comes with matplotlib-fontja."""
    import matplotlib_fontja  # noqa: F401  (makes the font known to matplotlib)
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("IPAexGothic", fallback_to_default=False), SIZE)


def wrapped(text: str, room_px: float, lines: int) -> list[str]:
    """The text in at most `lines` lines; the last one ends in … where it is cut."""
    face, found = japanese_font(), [""]
    for char in " ".join(text.split()):
        if face.getlength(found[-1] + char) > room_px:
            if len(found) == lines:
                found[-1] = found[-1][:-1] + "…"
                break
            found.append("")
        found[-1] += char
    return found


def in_short(plan: ActionPlan | None) -> str:
    """A plan on a line: go_to(赤い箱 side=left) → wait(duration_s=3.0); a question or refusal by its reason."""
    if plan is None:
        return "(no plan)"
    if plan.decision != "act":
        return f"{plan.decision}: {plan.reason}"
    return " → ".join(map(_step, plan.steps))


def _step(step: Step) -> str:
    words = []
    for name, value in step.args.items():
        if name != "target":
            words.append(f"{name}={value}")
        elif step.target is not None:
            point = step.target.point
            words.append((step.target.label or step.target.place or "") + (f"@{point[0]},{point[1]}" if point else ""))
    return f"{step.skill}({' '.join(words)})"


def draw_sheet(verdicts: Sequence[Verdict], path: Path, count: int = 32) -> int:
    """Draw up to `count` wrong answers, evenly chosen, and return how many there are on the sheet.

    Green boxes and rings are the right objects and points, red crosses the model's points.
    """
    wrong = [v for v in verdicts if not v.parts["whole"] and v.shard is not None]
    chosen = [wrong[i] for i in np.unique(np.linspace(0, len(wrong) - 1, min(count, len(wrong))).astype(int))] if wrong else []
    height = PICTURE[1] + LINE * sum(TEXT_LINES.values()) + 2 * MARGIN
    rows = max(1, -(-len(chosen) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * (PICTURE[0] + MARGIN) + MARGIN, rows * height + MARGIN), PAPER)
    for index, verdict in enumerate(chosen):
        _card(sheet, verdict, MARGIN + index % COLUMNS * (PICTURE[0] + MARGIN), MARGIN + index // COLUMNS * height)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return len(chosen)


def _card(sheet: Image.Image, verdict: Verdict, left: int, top: int) -> None:
    sample, shard = verdict.sample, verdict.shard
    assert shard is not None
    picture = Image.fromarray(np.array(shard.frames[sample.frame])).resize(PICTURE, Image.Resampling.BICUBIC)
    marks = ImageDraw.Draw(picture)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * PICTURE[0] / 1000, y * PICTURE[1] / 1000

    for thing in sample.targets:
        x0, y0, x1, y1 = shard.box[sample.frame, thing].tolist()
        marks.rectangle([at(x0, y0), at(x1, y1)], outline=WANT, width=2)
    for plan, color in ((sample.plan, WANT), (verdict.plan, GOT)):
        for x, y in _points(plan):
            cx, cy = at(x, y)
            if color == WANT:
                marks.ellipse([cx - 5, cy - 5, cx + 5, cy + 5], outline=color, width=2)
            else:
                marks.line([cx - 7, cy - 7, cx + 7, cy + 7], fill=color, width=3)
                marks.line([cx - 7, cy + 7, cx + 7, cy - 7], fill=color, width=3)
    sheet.paste(picture, (left, top))
    draw, y = ImageDraw.Draw(sheet), top + PICTURE[1] + 4
    before = f"{sample.earlier} {'（聞き返し）' if sample.question else '→'} " if sample.earlier else ""
    state = f"[{sample.running} {sample.speed_mps:.1f} m/s] " if sample.running else ""
    texts = {
        "said": (f"「{before}{sample.instruction}」{state}", INK),
        "want": (f"期待  {in_short(sample.plan)}", WANT),
        "got": (f"回答  {in_short(verdict.plan) if verdict.plan is not None else verdict.text}", GOT),
        "who": (f"{sample.author}  {' '.join(sample.tags)}", SOFT),
    }
    for name, (text, color) in texts.items():
        for line in wrapped(text, PICTURE[0], TEXT_LINES[name]):
            draw.text((left, y), line, color, japanese_font())
            y += LINE


def _points(plan: ActionPlan | None) -> list[tuple[int, int]]:
    steps = plan.steps if plan is not None else ()
    return [step.target.point for step in steps if step.target is not None and step.target.point is not None]
