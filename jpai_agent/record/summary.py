"""The picture of a run: the frame with what was pointed at, the map with rehearsals and drive, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from jpai_agent.record import style, words
from jpai_agent.record.map_view import Bounds, Labeller, MapContent, draw_map
from jpai_agent.record.run_folder import RunFolder, Turn, load_run
from jpai_agent.record.shapes import badge, chip, framed, pill, pill_size, rounded
from jpai_agent.record.text import Color, draw_text, fit, shorten, width_px, wrap

PAGE_SIZE = (1600, 900)
_LEFT, _RIGHT, _GAP = 32, 1568, 24
_PHOTO = (_LEFT, 160, 762, 706)
_MAP = (786, 160, _RIGHT, 706)
_STEPS = (_LEFT, 726, 762, 872)
_TILES = (786, 726, _RIGHT, 872)
_LEGEND_PX = 32
# of a road that is shown around a way: beside the way, and at least
_MARGIN_M, _LEAST_M = 14.0, np.array([80.0, 56.0])
_TONES: dict[str, tuple[Color, Color]] = {
    "good": (style.GOOD, style.GOOD_PALE),
    "warn": (style.WARN, style.WARN_PALE),
    "bad": (style.BAD, style.BAD_PALE),
    "plain": (style.ACCENT, style.ACCENT_PALE),
}


def draw_run(folder: Path | str) -> Path:
    """Draw `summary.png` of a run's folder, a page of 1600×900 for each turn, one below the other; returns its path."""
    run = load_run(folder)
    pages = [page(run, turn) for turn in run.turns] or [_empty_page(run)]
    path = run.folder / "summary.png"
    _stack(pages).save(path, compress_level=3)
    return path


def failure_picture(
    folder: Path | str, result: Mapping[str, Any], path: Path | str, *, outlines: Sequence[np.ndarray] = ()
) -> Path:
    """The last turn that moved (or else the last), the true path, and in red what the judge objected to.

    Args:
        folder: The run's. result: A line of results.jsonl. path: The PNG to write.
        outlines: True footprints of what stood there, each (N, 2), map frame.
    """
    run = load_run(folder)
    moved = [turn for turn in run.turns if len(turn.driven)]
    turn = (moved or run.turns)[-1] if run.turns else None
    top = _empty_page(run) if turn is None else page(run, turn, judged=True, outlines=outlines)
    _stack([top, _objections(result)]).save(path, compress_level=3)
    return Path(path)


def page(run: RunFolder, turn: Turn, *, judged: bool = False, outlines: Sequence[np.ndarray] = ()) -> Image.Image:
    """One turn on a page of 1600×900; judged: as a failure, with the true path and outlines."""
    image = Image.new("RGB", PAGE_SIZE, style.PAGE)
    _header(image, run, turn, judged)
    _photo(image, turn)
    _map(image, run, turn, judged, outlines)
    _step_list(image, run, turn)
    _tiles(image, run, turn)
    return image


def _stack(pages: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (PAGE_SIZE[0], sum(p.height for p in pages)), style.PAGE)
    y = 0
    for sheet in pages:
        whole.paste(sheet, (0, y))
        y += sheet.height
    return whole


def _empty_page(run: RunFolder) -> Image.Image:
    image = Image.new("RGB", PAGE_SIZE, style.PAGE)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (_LEFT, 60), "指示がありませんでした。", 32, style.INK, bold=True)
    return image


def _header(image: Image.Image, run: RunFolder, turn: Turn, judged: bool) -> None:
    draw = ImageDraw.Draw(image)
    word, tone = ("不合格", "bad") if judged else words.outcome(turn.decision, turn.outcome)
    ink, ground = _TONES[tone]
    left_of_chip = chip(image, (_RIGHT, 20), word, 19, ink, ground)[0]
    x = draw_text(draw, (_LEFT, 42), "JPAI Agent", 19, style.ACCENT, bold=True) + 18
    about = [words.world_name(run.world.name), words.robot_name(str(run.episode.get("robot", "")))]
    about += [str(run.episode[key]) for key in ("id",) if run.episode.get(key)]
    if len(run.turns) > 1:
        about.append(f"指示 {run.turns.index(turn) + 1}/{len(run.turns)}")
    draw_text(draw, (x, 42), shorten("  ・  ".join(about), 17, left_of_chip - x - 20), 17, style.MUTED)
    room = _RIGHT - _LEFT
    size, lines = fit(f"「{turn.said}」", ((34, 1), (28, 1), (24, 2), (20, 2)), room)
    y = 88 if len(lines) == 1 else 74
    for row, line in enumerate(lines):
        # the opening bracket hangs out, so that the words stand flush
        draw_text(draw, (_LEFT - size * 0.42 * (row == 0), y), line, size, style.INK, bold=True)
        y += round(size * 1.25)
    reply = " ".join(turn.replies) or (turn.plan.reply if turn.plan is not None else None) or ""
    if reply:
        bottom = 132 if len(lines) == 1 else 139
        box_end = _LEFT + width_px("ロボット", 15) + 18
        rounded(image, (_LEFT, bottom - 20, box_end, bottom + 6), 6, style.ACCENT_PALE)
        draw_text(draw, (_LEFT + 9, bottom - 2), "ロボット", 15, style.ACCENT, bold=True)
        draw_text(draw, (box_end + 12, bottom), shorten(reply, 21, _RIGHT - box_end - 12), 21, style.SOFT_INK)


def _photo(image: Image.Image, turn: Turn) -> None:
    left, top, right, bottom = _PHOTO
    size = (right - left - 2, bottom - top - 2)
    if turn.frame is None or not turn.frame.is_file():
        rounded(image, _PHOTO, 10, style.CARD, style.EDGE)
        draw_text(
            ImageDraw.Draw(image),
            ((left + right) / 2, (top + bottom) / 2),
            "画像は使っていません",
            20,
            style.MUTED,
            anchor="mm",
        )
        return
    with Image.open(turn.frame) as frame:
        picture = frame.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    _mark_targets(picture, turn)
    framed(image, picture, _PHOTO, 10, style.EDGE)


def _mark_targets(picture: Image.Image, turn: Turn) -> None:
    """Rings at the points of the plan, with the numbers of their steps and the user's words for them."""
    points: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for index, step in enumerate(() if turn.answer is None else turn.answer.steps):
        if step.target is not None and step.target.point is not None:
            points.setdefault(step.target.point, []).append((index, step.target.label or ""))
    places = {p: np.array([p[0] / 1000 * picture.width, p[1] / 1000 * picture.height]) for p in points}
    labeller = Labeller((8, 8, picture.width - 8, picture.height - 8), np.zeros((0, 2)))
    for at in places.values():
        labeller.reserve((at[0] - 19, at[1] - 19, at[0] + 19, at[1] + 19))
        _ring(picture, at)
    for point, entries in points.items():
        mark = "・".join(str(index + 1) for index, _ in entries)
        text = shorten(entries[0][1], 19, 260)
        box = labeller.find(places[point], *pill_size(mark, text, 19), 24)
        pill(picture, (box[0], box[1]), mark, text, 19)


def _ring(picture: Image.Image, at: np.ndarray) -> None:
    fine = 4
    tile = Image.new("RGBA", (48 * fine, 48 * fine), (0, 0, 0, 0))
    draw = ImageDraw.Draw(tile)

    def circle(radius: float, color: Color, width: float | None = None) -> None:
        box = [(24 - radius) * fine, (24 - radius) * fine, (24 + radius) * fine, (24 + radius) * fine]
        draw.ellipse(
            box, fill=None if width else color, outline=color if width else None, width=round((width or 0) * fine)
        )

    circle(17.5, style.CARD, 6.5)
    circle(16, style.ACCENT, 3.5)
    circle(5, style.CARD)
    circle(3.2, style.ACCENT)
    tile = tile.reduce(fine)
    picture.paste(tile, (round(at[0]) - 24, round(at[1]) - 24), tile)


def _map(image: Image.Image, run: RunFolder, turn: Turn, truth: bool, outlines: Sequence[np.ndarray]) -> None:
    left, top, right, bottom = _MAP
    rounded(image, _MAP, 10, style.CARD, style.EDGE)
    picture = draw_map(
        map_content(run, turn, truth=truth, outlines=outlines), right - left - 20, bottom - top - _LEGEND_PX - 10
    )
    image.paste(picture, (left + 10, top + 6))
    _legend(image, (left + 18, bottom - 15), turn, truth, bool(outlines))


def map_content(run: RunFolder, turn: Turn, *, truth: bool = False, outlines: Sequence[np.ndarray] = ()) -> MapContent:
    """What the map of a turn shows: obstacles as known at its end, movers as seen when it was planned."""
    scene, last = turn.scene or turn.last_scene, turn.last_scene or turn.scene
    named: dict[tuple[float, float], list[tuple[int, str]]] = {}
    for step, target in sorted(turn.targets.items()):
        named.setdefault((target.x_m, target.y_m), []).append((step, target.label))
    targets = [("・".join(str(s + 1) for s, _ in entries), x, y, entries[0][1]) for (x, y), entries in named.items()]
    driven = turn.driven[np.isfinite(turn.driven).all(axis=1)]
    rollouts = [] if turn.verdict is None else [np.asarray(path, float) for path in turn.verdict["paths"] if len(path)]
    standing = None if scene is None else scene.robot.pose
    start = driven[0] if len(driven) else standing
    return MapContent(
        run.world,
        run.footprint_m,
        () if last is None else last.obstacles,
        () if scene is None else scene.movers,
        targets,
        rollouts,
        turn.planned,
        driven,
        turn.truth if truth else np.zeros((0, 2)),
        start,
        driven[-1] if len(driven) else None,
        outlines,
        run.center_x_m,
        () if scene is None or last is None else scene.lights or last.lights,
        None if run.world.road is None else _around_way(run.world.bounds_m, [driven, turn.planned, start]),
    )


def _around_way(bounds_m: Bounds, ways: Sequence[np.ndarray | None]) -> Bounds:
    """(x0, y0, x1, y1) around what was driven and planned, within a world that is too large to be shown as a whole."""
    points = [np.asarray(way, float).reshape(-1, way.shape[-1])[:, :2] for way in ways if way is not None and len(way)]
    if not points:
        return bounds_m
    every = np.concatenate(points)
    low, high = every.min(axis=0) - _MARGIN_M, every.max(axis=0) + _MARGIN_M
    grow = np.maximum(_LEAST_M - (high - low), 0.0) / 2
    (x0, y0), (x1, y1) = (low - grow).tolist(), (high + grow).tolist()
    return x0, y0, x1, y1


def _legend(image: Image.Image, left_base: tuple[float, float], turn: Turn, truth: bool, outlines: bool) -> None:
    draw = ImageDraw.Draw(image)
    x, y = left_base
    entries: list[tuple[str, str, Color]] = []
    if len(turn.planned):
        entries.append(("dashed", "計画", style.PLANNED))
    if turn.verdict is not None and turn.verdict["paths"]:
        entries.append(("thin", "リハーサル", style.ROLLOUT))
    if len(turn.driven):
        entries.append(("thick", "走行", style.DRIVEN))
    if truth and len(turn.truth):
        entries.append(("dashed", "真の軌跡", style.TRUTH))
    if outlines:
        entries.append(("edge", "真の位置", style.TRUTH))
    scene = turn.scene or turn.last_scene
    if scene is not None and scene.obstacles:
        entries.append(("box", "障害物", style.OBSTACLE))
    if scene is not None and scene.movers:
        entries.append(("disc", "人・動くもの", style.MOVER))
    if scene is not None and scene.lights:
        entries.append(("disc", "信号", style.INK))
    for kind, word, color in entries:
        middle = y - 5
        if kind == "dashed":
            for offset in (0, 10, 20):
                draw.line((x + offset, middle, x + offset + 6, middle), color, 2)
        elif kind == "thin":
            pale = tuple(round(0.55 * c + 0.45 * 255) for c in color)
            for offset in (-3, 0, 3):
                draw.line((x, middle + offset, x + 26, middle + offset), pale, 1)
        elif kind == "thick":
            draw.rectangle((x, middle - 2, x + 26, middle + 2), color)
        elif kind == "edge":
            rounded(image, (x + 6, middle - 7, x + 20, middle + 7), 2, style.CARD, color)
        elif kind == "box":
            rounded(image, (x + 6, middle - 7, x + 20, middle + 7), 2, color, style.OBSTACLE_EDGE)
        else:
            rounded(image, (x + 6, middle - 7, x + 20, middle + 7), 7, color)
        x = draw_text(draw, (x + 32, y), word, 14, style.SOFT_INK) + 22


def _step_list(image: Image.Image, run: RunFolder, turn: Turn) -> None:
    left, top, right, bottom = _STEPS
    rounded(image, _STEPS, 10, style.CARD, style.EDGE)
    draw = ImageDraw.Draw(image)
    steps = () if turn.plan is None else turn.plan.steps
    if not steps:
        _no_steps(draw, turn)
        return
    spent = _step_seconds(turn)
    columns = 1 if len(steps) <= 4 else 2
    shown = steps if len(steps) <= 8 else steps[:7]
    width = (right - left - 36) / columns
    first = (top + bottom) / 2 - 16 * (min(len(steps), 4) - 1)
    for index, step in enumerate(shown):
        x, y = left + 20 + (index // 4) * width, first + (index % 4) * 32
        done = index in spent
        badge(image, (x + 10, y), str(index + 1), 14, style.ACCENT if done else style.MUTED)
        time_text = words.seconds(spent[index]) if done else ""
        draw_text(draw, (x + width - 14, y + 6), time_text, 15, style.MUTED, anchor="rs")
        room = width - 62 - width_px(time_text, 15)
        draw_text(
            draw,
            (x + 32, y + 6.5),
            shorten(words.step_title(step, run.world), 18, room),
            18,
            style.INK if done else style.MUTED,
        )
    if len(shown) < len(steps):
        x, y = left + 20 + width, first + 3 * 32
        draw_text(draw, (x + 32, y + 6.5), f"ほか {len(steps) - len(shown)} 手順", 18, style.MUTED)


def _no_steps(draw: ImageDraw.ImageDraw, turn: Turn) -> None:
    left, top = _STEPS[0] + 22, _STEPS[1]
    reason = words.REASONS.get(turn.reason or "", turn.reason or "")
    head = "動かずに、答えだけを返しました" if turn.decision else "計画を立てられませんでした"
    draw_text(draw, (left, top + 46), head, 20, style.INK, bold=True)
    detail = f"理由: {reason}" if reason else turn.plan_error
    for row, line in enumerate(wrap(detail, 17, _STEPS[2] - left - 22, 2)):
        draw_text(draw, (left, top + 82 + row * 26), line, 17, style.SOFT_INK)


def _step_seconds(turn: Turn) -> dict[int, float]:
    """How long each step took, by index; a step that still runs has not counted yet."""
    last_s = turn.ended_s if turn.ended_s is not None else float(turn.driven_s[-1]) if len(turn.driven_s) else math.nan
    spent: dict[int, float] = {}
    for (begin, step), (end, _) in pairwise([*turn.steps, (last_s, -1)]):
        spent[step] = spent.get(step, 0.0) + end - begin
    return spent


def _tiles(image: Image.Image, run: RunFolder, turn: Turn) -> None:
    left, top, right, bottom = _TILES
    rounded(image, _TILES, 10, style.CARD, style.EDGE)
    draw = ImageDraw.Draw(image)
    tiles = _measured(run, turn)
    width = (right - left) / len(tiles)
    for index, (name, value, color, notes) in enumerate(tiles):
        x = left + index * width + 22
        if index:
            draw.line((left + index * width, top + 22, left + index * width, bottom - 22), style.EDGE, 1)
        draw_text(draw, (x, top + 34), name, 15, style.MUTED)
        size, lines = fit(value, ((30, 1), (27, 1), (24, 1), (21, 1)), width - 44)
        draw_text(draw, (x, top + 76), lines[0], size, color, bold=True)
        for row, note in enumerate(notes):
            draw_text(draw, (x, top + 106 + row * 24), shorten(note, 15, width - 30), 15, style.SOFT_INK)


def _measured(run: RunFolder, turn: Turn) -> list[tuple[str, str, Color, list[str]]]:
    """(name, value, colour, notes) of the figures below the map."""
    verdict = turn.verdict
    thought = "—" if turn.plan_ms is None else f"{turn.plan_ms:.0f} ms"
    if verdict is None:
        return [
            ("リハーサル", "なし", style.MUTED, ["動作がありません" if not turn.steps else "必要ありません"]),
            ("計画", thought, style.INK, []),
        ]
    color = {"pass": style.GOOD, "fail": style.BAD}.get(verdict["status"], style.WARN)
    found = words.finding(verdict)
    if found and verdict["failed_step"] is not None:
        found = f"手順{verdict['failed_step'] + 1}: {found}"
    again = [f"{turn.rehearsals} 回目の結果"] if turn.rehearsals > 1 else []
    again += [f"走りながら {turn.under_way} 回やり直し"] if turn.under_way else []
    rehearsal = [note for note in (found, *again) if note] or [f"条件を変えて {verdict['rollouts']} 回"]
    spent = _step_seconds(turn)
    drove = turn.driven[np.isfinite(turn.driven).all(axis=1)]
    way_m = float(np.linalg.norm(np.diff(drove[:, :2], axis=0), axis=1).sum()) if len(drove) else 0.0
    actual = [f"実際 {words.seconds(sum(spent.values()))}", f"走行 {way_m:.1f} m"] if spent else ["走行なし"]
    expected = words.seconds(verdict["duration_s"]) if verdict["status"] == "pass" else "—"
    road = run.world.road is not None
    to_what = "人・車・物まで" if road else "障害物や壁まで"
    speed = [words.speed(verdict["peak_speed_mps"], road=road)] if verdict["peak_speed_mps"] else []
    if verdict.get("min_ttc_s") is not None:
        speed.append(f"接触までの時間 {verdict['min_ttc_s']:.1f} 秒")
    cost = "—" if turn.rehearse_ms is None else f"リハーサル {turn.rehearse_ms / 1000:.2f} 秒"
    return [
        ("リハーサル", words.verdict_counts(verdict), color, rehearsal),
        ("最小すきま", words.metres(verdict["min_clearance_m"]), style.INK, [to_what, *speed]),
        ("見込み", expected, style.INK, actual),
        ("計画の計算", thought, style.INK, [cost]),
    ]


def _objections(result: Mapping[str, Any]) -> Image.Image:
    """What the judge objected to, in red, as wide as a page."""
    decided = "・".join(str(result[key]) for key in ("decision", "reason") if result.get(key)) or "なし"
    lines = [] if result.get("decision_right", True) else [f"判断が期待と違う: {decided}"]
    lines += [f"成り立たない期待: {_told(p)}" for p in result.get("failed_predicates") or ()]
    lines += [f"接触: {result['contacts']}"] if result.get("contacts") else []
    lines += [f"違反: {_told(v)}" for v in result.get("violations") or ()]
    lines += [f"エラー: {result['error']}"] if result.get("error") else []
    lines = lines or ["記録された理由はありません"]
    broken = [part for line in lines for part in wrap(line, 19, _RIGHT - _LEFT - 48, 2)]
    image = Image.new("RGB", (PAGE_SIZE[0], 84 + 30 * len(broken)), style.PAGE)
    rounded(image, (_LEFT, 0, _RIGHT, image.height - 28), 10, style.BAD_PALE, style.BAD)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (_LEFT + 22, 34), f"不合格の理由  {result.get('id', '')}", 19, style.BAD, bold=True)
    for row, line in enumerate(broken):
        draw_text(draw, (_LEFT + 22, 66 + 30 * row), line, 19, style.BAD)
    return image


def _told(thing: Any) -> str:
    if isinstance(thing, Mapping):
        return "  ".join(
            f"{key} {_told(value) if isinstance(value, Mapping) else value}" for key, value in thing.items()
        )
    return str(thing)
