"""`jpai train collect`, `check`, `tune`, `score` and `merge`: fine-tune a model in house on the user's own runs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jpai_agent.refusal import done, refused

Examples = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of examples that `collect` made and a person reviewed.")]
Model = Annotated[str, typer.Option(help="Checkpoint: a folder or a name of jpai models; the embedded model when left out.")]


def collect(runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="Run folders, or folders of them: runs.")],
            out: Annotated[Path, typer.Option(help="Folder for the examples; new ones are added to those there.")]) -> None:
    """Take examples from kept runs: instruction, frame, plan. Then review them: `examples.jsonl`, with `review.html` beside it.

    Example: jpai train collect runs --out my-examples
    """
    from jpai_agent.train import own
    from jpai_agent.train.own_page import write_page

    found = _done(lambda: own.collect(runs, out))
    page = write_page(_done(lambda: own.read_rows(out)), out)
    typer.echo(f"{found.new} new examples in {out / own.EXAMPLES}, {found.before} were there, {found.left_out} without a frame")
    typer.echo(f'look at {page}; in {own.EXAMPLES} correct plans that are wrong, then set "ok": true')


def check(folder: Examples) -> None:
    """Check reviewed examples: frames are there, plans are plans of the robot. Draws `review.html` anew.

    Example: jpai train check my-examples
    """
    from jpai_agent.train import own
    from jpai_agent.train.own_page import write_page

    rows = _done(lambda: own.read_rows(folder))
    write_page(rows, folder)
    examples = _done(lambda: own.read_examples(folder))
    marks = Counter(row.get("ok") for row in rows)
    typer.echo(f"{marks[True]} reviewed, {marks[False]} of no use, {marks[None]} to review")
    kinds = Counter(step.skill for example in examples for step in example.plan.steps) + Counter(
        f"{example.plan.decision} {example.plan.reason}" for example in examples if example.plan.reason)
    typer.echo(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))


def tune(examples: Examples, out: Annotated[Path, typer.Option(help="Folder for state, curve and result; resumes.")],
         model: Model = "",
         epochs: Annotated[int, typer.Option(help="Of LoRA: how often each example is seen.")] = 4,
         rank: Annotated[int, typer.Option(help="Of LoRA.")] = 16,
         batch: Annotated[int, typer.Option(help="Of LoRA: examples of a step, over all processes.")] = 8,
         rate: Annotated[float | None, typer.Option(help="Learning rate; 2e-4 for LoRA, 1e-4 for the embedded model.")] = None,
         minutes: Annotated[float, typer.Option(help="Of the embedded model: wall time, restarts counted together.")] = 20.0,
         share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the embedded model: steps on your examples; the others "
                                                                     "are on rendered frames.")] = 0.3,
         work: Annotated[Path, typer.Option(help="Of the embedded model: folder of rendered frames.")] = Path(".cache/train"),
         seed: int = 0, threads: int = 1) -> None:
    """Fine-tune a checkpoint on your reviewed examples; nothing leaves this machine. Resumes.

    The embedded model continues its joint training; any other gets a LoRA adapter (needs peft: requirements-train.lock).
    Several processes: torchrun --nproc-per-node 2 -m jpai_agent.train.cli tune …

    Example: jpai train tune my-examples --model Qwen3-VL-2B-Instruct --out tuned
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from jpai_agent.train import own
    from jpai_agent.train.own_embedded import is_embedded_kind
    from jpai_agent.vlm import default_model_dir
    from jpai_agent.vlm.store import resolve

    torch.set_num_threads(threads)
    reviewed = _done(lambda: own.read_examples(examples))
    folder = resolve(model) if model else default_model_dir()
    if is_embedded_kind(folder):
        from jpai_agent.train.cli import courses_of
        from jpai_agent.train.own_embedded import OwnTrainer

        made = _done(lambda: OwnTrainer(folder, reviewed, courses_of(work), out, share=share, seed=seed).tune(
            minutes, rate or 1e-4))
        typer.echo(f"next: jpai train quantize --checkpoint {made} --out {out / 'quantized'}; then --model {out / 'quantized'}")
        return
    from jpai_agent.train.lora import Settings, Tuner

    settings = _done(lambda: Settings(rank, 2 * rank, rate or 2e-4, epochs, batch, seed))
    tuner = _done(lambda: Tuner(folder, reviewed, out, settings, threads=threads))
    if not tuner.rank:
        typer.echo(f"{len(reviewed)} examples, {len(tuner.parameters)} matrices, step {tuner.step} of {tuner.steps}")
    made = _done(lambda: tuner.run(tell=typer.echo))
    if not tuner.rank:
        typer.echo(f"next: --model {made}, or jpai models add {made} --name NAME [--bits 8]")


def score(examples: Examples, model: Model = "",
          as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """Ask a model your reviewed examples and count what it answers right: before and after fine-tuning.

    Example: jpai train score my-examples --model tuned/adapter
    """
    from jpai_agent.train import own
    from jpai_agent.train.own_score import score as ask
    from jpai_agent.vlm import load_backend
    from jpai_agent.vlm.store import resolve

    reviewed = _done(lambda: own.read_examples(examples))
    found = _done(lambda: ask(load_backend(resolve(model) if model else None), reviewed))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    shares = ", ".join(f"{part} {found[part]:.1%}" for part in ("decision", "skills", "plan"))
    typer.echo(f"of {found['n']} examples: {shares}")
    for name, text in found["wrong"].items():
        typer.echo(f"* {name}\n    {text}")


def merge(adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `tune` made, or a name of jpai models.")],
          out: Annotated[Path, typer.Option(help="Folder for the whole checkpoint.")]) -> None:
    """Write an adapter and its base as one checkpoint, for servers that take no adapters.

    Example: jpai train merge tuned/adapter --out tuned/merged
    """
    from jpai_agent.vlm.adapters import save_merged
    from jpai_agent.vlm.store import resolve

    if out.exists():
        raise refused(f"{out} is there already", 2)
    base = _done(lambda: save_merged(resolve(adapter), out))
    typer.echo(f"{base.name} with {adapter.name} in {out}")


COMMANDS: tuple[Callable[..., None], ...] = (collect, check, tune, score, merge)


def _done(work: Callable[[], Any]) -> Any:
    """The result, or the command's end with what was wrong."""
    try:
        return done(work)
    except ModuleNotFoundError as error:
        raise refused(f"{error.name} is not installed: .venv/bin/python -m pip install --no-deps -r requirements-train.lock",
                      2) from error
    except (ValueError, FileNotFoundError) as error:
        raise refused(str(error), 2) from error
