"""Keep the measured figures of the model card: tables written between marks, the words around them are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jpai_agent.train.evaluate import Verdict, rates
from jpai_agent.vlm import VlmError, read_manifest
from jpai_agent.vlm.manifest import write_manifest

BEGIN, END = "<!-- measured: begin (jpai train card) -->", "<!-- measured: end -->"
CARD = "README.md"
_COLUMNS = ("decision", "skills", "arguments", "point", "whole", "shy", "rash")


def note(path: Path, figures: Mapping[str, Any]) -> None:
    """Add figures to a JSON file of them, section by section and key by key."""
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for section, values in figures.items():
        known[section] = {**known.get(section, {}), **values}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def evaluated(robot: str, held_out: bool, verdicts: Sequence[Verdict], int8: Sequence[Verdict]) -> dict[str, Any]:
    """Figures of an evaluation, for `note`."""
    words = "held-out authors" if held_out else "validation"
    found = {f"{robot}, {words}, fp32": rates(verdicts)}
    return {"evaluation": found | ({f"{robot}, {words}, int8": rates(int8)} if int8 else {})}


def tables(model: Path, figures: Mapping[str, Any]) -> str:
    """The measured part of the card in Markdown."""
    manifest = read_manifest(model)
    size_mb = sum((model / name).stat().st_size for name in manifest.files) / 1e6
    stage = manifest.card.get("stage", "?")
    lines = [f"{manifest.parameters / 1e6:.1f} M parameters, {size_mb:.1f} MB in all, stage `{stage}`.", ""]
    if found := figures.get("evaluation"):
        lines += ["| % | n | " + " | ".join(_COLUMNS) + " |", "|" + "---|" * (2 + len(_COLUMNS))]
        for title, row in found.items():
            cells = (f"{100 * row[name]:.1f}" if row.get(name) == row.get(name, 0) and name in row else "–" for name in _COLUMNS)
            lines.append(f"| {title} | {row['n']} | " + " | ".join(cells) + " |")
        lines += ["", "shy: asked or refused though the instruction was clear.",
                  "rash: acted where it should have asked or refused.", ""]
    if found := figures.get("still"):
        lines += ["| words that must never move it | n | motion | motion after asking back |", "|---|---|---|---|"]
        lines += [f"| {robot} | {row['n']} | {row['motion']:.1%} | {row['carried_out']:.1%} |" for robot, row in found.items()]
        lines.append("")
    if found := manifest.card.get("calibration"):
        ece, auc = ([found[f"{kind}_plans_mixed_{when}"] for when in ("before", "after")] for kind in ("ece", "auc"))
        lines += [f"Confidence of plans, {found['n']} validation questions and {found['n_elsewhere']} lines not for the robot:",
                  f"calibration error {ece[0]:.3f} → {ece[1]:.3f}, right above wrong (AUC) {auc[0]:.3f} → {auc[1]:.3f},",
                  f"proposed `act_confidence` {found['act_confidence']:.2f}.", ""]
    return "\n".join(lines)


def write_card(model: Path, figures: Mapping[str, Any]) -> str:
    """Put the figures into a model's card, and the card into its manifest; returns the measured part.

    Raises:
        VlmError: model_missing when the folder has no card with the two marks.
    """
    path = model / CARD
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise VlmError("model_missing", f"{path} has not the two marks {BEGIN} and {END} that figures go between")
    measured = tables(model, figures)
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    path.write_text(f"{head}\n{measured}{tail}", encoding="utf-8")
    known = read_manifest(model)
    write_manifest(model, known.name, known.version, license_id=known.license, model_type=known.model_type, bits=known.bits,
                   parameters=known.parameters, card=known.card)
    return measured
