"""`jpai train …`: render frames, pretrain the tower, train the model, quantize it and tell how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

train = typer.Typer(
    help="Make the embedded model: data, pretrain, fit, quantize, eval.", no_args_is_help=True, add_completion=False
)

Work = Annotated[Path, typer.Option(help="Folder of frames and training states.")]
Minutes = Annotated[float, typer.Option(help="Wall time to train, restarts counted together.", min=0.0)]
DEFAULT_WORK = Path(".cache/train")


def _setup(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def make_trainer(work: Path, seed: int = 0) -> Any:
    """The trainer over the robot's skills and the whole corpus; the tokenizer is made once and kept below `work`."""
    from transformers import AutoTokenizer

    from jpai_agent.skills.registry import skills_for
    from jpai_agent.train.corpus import PLACE_IDS, load_corpus
    from jpai_agent.train.fit import Trainer, characters_of
    from jpai_agent.train.instruct import Instructor
    from jpai_agent.train.tokenizer import build_tokenizer

    skills, asks = skills_for("cart"), Instructor(load_corpus())
    kept = work / "ckpt" / "tokenizer"
    if not (kept / "tokenizer.json").is_file():
        build_tokenizer(skills, characters_of(asks, work / "train"), PLACE_IDS).save_pretrained(kept)
    tokenizer = AutoTokenizer.from_pretrained(kept, local_files_only=True)
    return Trainer(tokenizer, asks, skills, work / "train", work / "ckpt", seed)


@train.command()
def data(
    work: Work = DEFAULT_WORK, frames: int = 24_000, validation: int = 1_000, seed: int = 1, jobs: int = 2
) -> None:
    """Render training and validation frames. Goes on where it was broken off.

    Example: jpai train data --frames 24000 --jobs 2
    """
    from jpai_agent.train.frames import make_frames

    make_frames(work / "train", frames, seed, jobs)
    make_frames(work / "val", validation, seed + 1_000_000, jobs)
    typer.echo(f"{frames} frames for training, {validation} for validation in {work}")


@train.command()
def pretrain(work: Work = DEFAULT_WORK, minutes: Minutes = 40.0, threads: int = 1) -> None:
    """Train the image tower on dense labels (kind, colour, size, offset and distance of every patch). Resumes.

    Example: jpai train pretrain --minutes 40
    """
    _setup(threads)
    from jpai_agent.train.dense import pretrain as run

    run(make_trainer(work).model, work / "train", work / "val", work / "ckpt", minutes)


@train.command()
def fit(
    work: Work = DEFAULT_WORK,
    stage: Annotated[str, typer.Option(help="symbolic, joint or all")] = "all",
    symbolic_minutes: Minutes = 30.0,
    joint_minutes: Minutes = 60.0,
    name: Annotated[str, typer.Option(help="Name of the joint run's state and curves.")] = "joint",
    after: Annotated[str, typer.Option(help="Name of an earlier joint run to start from; else the other stages.")] = "",
    threads: int = 1,
) -> None:
    """Train language and grounding on label patches (symbolic), then everything on pictures (joint). Resumes.

    Several processes: torchrun --nproc-per-node 2 -m jpai_agent.train.cli fit --stage joint

    Example: jpai train fit --symbolic-minutes 30 --joint-minutes 60
    """
    _setup(threads)
    from jpai_agent.train.frames import shard_paths

    if stage not in ("symbolic", "joint", "all"):
        raise typer.BadParameter(f"unknown stage {stage!r}: symbolic, joint or all")
    trainer = make_trainer(work)
    validation = next(iter(shard_paths(work / "val")), None)
    if stage in ("symbolic", "all"):
        trainer.fit_symbolic(symbolic_minutes, validation)
    if stage in ("joint", "all"):
        if after:
            trainer.load_joint(after)
        elif not (work / "ckpt" / f"{name}.pt").is_file():
            trainer.load_symbolic()
            typer.echo(f"the tower explains {trainer.take_tower():.1%} of the label patches")
        trainer.fit_joint(joint_minutes, validation, name)


@train.command()
def quantize(checkpoint: Path = DEFAULT_WORK / "ckpt" / "final", out: Path = Path("models/embedded")) -> None:
    """Export the checkpoint, quantize it to int8 and check the export against it.

    Example: jpai train quantize --out models/embedded
    """
    from jpai_agent.vlm.export import export

    typer.echo(json.dumps(export(checkpoint, out), ensure_ascii=False, indent=1, default=str))


@train.command("eval")
def evaluate_(
    work: Work = DEFAULT_WORK,
    checkpoint: Path = DEFAULT_WORK / "ckpt" / "final",
    questions: int = 1500,
    held_out: Annotated[bool, typer.Option(help="Ask in the words of the held-out authors.")] = False,
    failures: int = 40,
    threads: int = 1,
    out: Path | None = None,
) -> None:
    """Tables per author, phenomenon, skill, decision and size in the picture, on validation frames.

    Example: jpai train eval --questions 1500 --held-out
    """
    _setup(threads)
    from jpai_agent.skills.registry import skills_for
    from jpai_agent.train.corpus import TEST_AUTHORS, load_corpus
    from jpai_agent.train.evaluate import failures as wrong
    from jpai_agent.train.evaluate import report
    from jpai_agent.train.fit import evaluate_checkpoint
    from jpai_agent.train.frames import shard_paths
    from jpai_agent.train.instruct import Instructor

    asks = Instructor(load_corpus(names=TEST_AUTHORS if held_out else None))
    verdicts = evaluate_checkpoint(checkpoint, asks, skills_for("cart"), shard_paths(work / "val"), questions)
    text = f"{report(verdicts)}\n\n{wrong(verdicts, failures)}"
    typer.echo(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    train()
