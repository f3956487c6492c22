"""A page to review examples by: each frame with the plan's points in it, what was said, the plan and what came of it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = "review.html"
_MARKS = {True: ("ok", "#16a34a"), False: ("not used", "#888"), None: ("to review", "#d98c14")}


def write_page(rows: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write `review.html` beside the examples; it needs no network and runs no script. Returns its path."""
    cards = "\n".join(_card(row) for row in rows)
    page = folder / PAGE
    page.write_text(f"""<!doctype html>
<html lang="ja"><meta charset="utf-8"><title>{len(rows)} examples</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 1.5rem; background: #f5f5f4 }}
article {{ background: #fff; border-radius: 8px; padding: 1rem; margin: 0 0 1rem; display: flex; gap: 1rem; flex-wrap: wrap }}
figure {{ margin: 0; position: relative; width: 420px }} img {{ width: 100%; display: block; border-radius: 4px }}
svg {{ position: absolute; inset: 0; width: 100%; height: 100% }}
pre {{ white-space: pre-wrap; max-width: 46rem; margin: .3rem 0 }}
h2 {{ margin: 0; font-size: 1.2rem }} small {{ color: #666 }}
</style>
<p>Edit <code>examples.jsonl</code>: correct <code>plan</code> where it is wrong, then set <code>"ok": true</code>;
<code>false</code> for examples of no use. Points are [x, y] in 0..1000 over the picture. Then <code>jpai train check</code>.</p>
{cards}
</html>
""", encoding="utf-8")
    return page


def points(plan: Any) -> list[tuple[float, float]]:
    """The points of a plan as it stands in the file, whatever else is wrong with it."""
    steps = plan.get("steps") if isinstance(plan, dict) else None
    found = []
    for step in steps if isinstance(steps, list) else ():
        target = step.get("target") if isinstance(step, dict) else None
        point = target.get("point") if isinstance(target, dict) else None
        if isinstance(point, list) and len(point) == 2 and all(isinstance(value, int | float) for value in point):
            found.append((float(point[0]), float(point[1])))
    return found


def _card(row: Mapping[str, Any]) -> str:
    mark, color = _MARKS.get(row.get("ok"), _MARKS[None])
    circles = "".join(
        f'<circle cx="{x / 10:.1f}%" cy="{y / 10:.1f}%" r="9" fill="none" stroke="#fff" stroke-width="5"/>'
        f'<circle cx="{x / 10:.1f}%" cy="{y / 10:.1f}%" r="9" fill="none" stroke="#e11d48" stroke-width="2.5"/>'
        for x, y in points(row.get("plan")))
    earlier = " / ".join(turn.get("user", "") for turn in row.get("earlier") or ())
    plan = json.dumps(row.get("plan"), ensure_ascii=False, indent=1)
    return f"""<article><figure><img src="{html.escape(row["frame"])}" alt=""><svg>{circles}</svg></figure>
<div><small>line {row.get("line", "")} · {html.escape(row["id"])} · <b style="color:{color}">{mark}</b></small>
<h2>{html.escape(row["said"])}</h2>
<small>{html.escape(f"after: {earlier}" if earlier else "")} {html.escape(row.get("outcome") or "")}</small>
<pre>{html.escape(plan)}</pre></div></article>"""
