"""`jpai train …`: render frames, pretrain the tower, train the model, quantize it and tell how good it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jpai_agent.refusal import refused
from jpai_agent.train.own_cli import COMMANDS
from jpai_agent.train.voice.cli import voice
from jpai_agent.world.known import WORLDS

train = typer.Typer(
    help="Fine-tune a model on your own runs: collect, check, tune, score, merge. Make the embedded model: data, pretrain, fit, "
         "quantize, calibrate, eval, still, card.",
    no_args_is_help=True, add_completion=False,
)

Figures = Annotated[Path | None, typer.Option(help="JSON file that figures for the model card are added to.")]
Work = Annotated[Path, typer.Option(help="Folder of frames and training states.")]
Minutes = Annotated[float, typer.Option(help="Wall time to train, restarts counted together.", min=0.0)]
DEFAULT_WORK = Path(".cache/train")
DEFAULT_MODEL = Path("models/embedded")
DEFAULT_STILL = Path("test/vlm/unseen/no_motion.txt")
ROBOTS = ("cart", "car")
# folders' ending, share of the training's groups, share of questions that need no picture
_MIX = {"cart": ("", 0.45, 1 / 3), "car": ("_street", 0.55, 0.45)}


def _robot(name: str) -> str:
    if name not in _MIX:
        raise typer.BadParameter(f"unknown robot {name!r}: {', '.join(_MIX)}")
    return name


def _setup(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def courses_of(work: Path, robots: Sequence[str] = ROBOTS, held_out: bool = False) -> list[Any]:
    """What each robot's training (or, in the words of the held-out authors, evaluation) is made of."""
    from jpai_agent.skills.registry import skills_for
    from jpai_agent.train.corpus import held_out_authors, load_corpus
    from jpai_agent.train.courses import Course
    from jpai_agent.train.instruct import Instructor
    from jpai_agent.train.talk import TALKS

    made = []
    for robot in robots:
        corpus = load_corpus(robot, held_out_authors(robot) if held_out else None)
        ending, share, blind = _MIX[robot]
        made.append(Course(robot, Instructor(corpus, TALKS[robot]), skills_for(robot), work / f"train{ending}",
                           work / f"val{ending}", share, blind))
    return made


def make_trainer(work: Path, seed: int = 0) -> Any:
    """The trainer over all robots' skills and corpora; the tokenizer is made once and kept below `work`."""
    from transformers import AutoTokenizer

    from jpai_agent.skills.registry import load
    from jpai_agent.train.corpus import FOLDER, authors
    from jpai_agent.train.fit import Trainer, characters_of
    from jpai_agent.train.meanings import PLACE_IDS
    from jpai_agent.train.tokenizer import build_tokenizer, plan_pieces
    from jpai_agent.world.objects import LANDMARKS

    courses = courses_of(work)
    kept = work / "ckpt" / "tokenizer"
    skills, places = [entry.spec for entry in load()], [*PLACE_IDS["cart"], *PLACE_IDS["car"], *LANDMARKS]
    if not (kept / "tokenizer.json").is_file():
        texts = [(FOLDER / f"{name}.txt").read_text(encoding="utf-8") for robot in ROBOTS for name in authors(robot)]
        build_tokenizer(skills, texts + characters_of(courses), places).save_pretrained(kept)
    tokenizer = AutoTokenizer.from_pretrained(kept, local_files_only=True)
    if lacking := set(plan_pieces(skills, places)) - set(tokenizer.get_vocab()):
        raise typer.BadParameter(f"{kept} is of an older plan language and lacks {len(lacking)} pieces of today's: move it away, "
                                 "and give a new run's `fit --after` the name of the last one")
    return Trainer(tokenizer, courses, work / "ckpt", seed)


@train.command()
def data(
    work: Work = DEFAULT_WORK,
    robot: Annotated[str, typer.Option(help="Whose world: cart (yard) or car (street).")] = "cart",
    frames: int = 24_000,
    validation: int = 1_000,
    seed: int = 1,
    jobs: int = 2,
) -> None:
    """Render training and validation frames. Goes on where it was broken off.

    Example: jpai train data --robot car --frames 8000 --jobs 2
    """
    from jpai_agent.train.frames import make_frames

    ending = _MIX[_robot(robot)][0]
    make_frames(work / f"val{ending}", validation, seed + 1_000_000, jobs, robot=robot)
    make_frames(work / f"train{ending}", frames, seed, jobs, robot=robot)
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
    rate: Annotated[float, typer.Option(help="Base learning rate of the joint stage.")] = 4e-4,
    thaw: Annotated[float, typer.Option(help="Share of the joint stage in which the image tower stands still.")] = 0.4,
    threads: int = 1,
) -> None:
    """Train language and grounding on label patches (symbolic), then everything on pictures (joint). Resumes.

    Several processes: torchrun --nproc-per-node 2 -m jpai_agent.train.cli fit --stage joint

    Example: jpai train fit --symbolic-minutes 30 --joint-minutes 60
    """
    _setup(threads)
    if stage not in ("symbolic", "joint", "all"):
        raise typer.BadParameter(f"unknown stage {stage!r}: symbolic, joint or all")
    trainer = make_trainer(work)
    if stage in ("symbolic", "all"):
        trainer.fit_symbolic(symbolic_minutes)
    if stage in ("joint", "all"):
        if (work / "ckpt" / f"{name}.pt").is_file():
            typer.echo(f"{name} goes on where it was")
        elif after:
            trainer.load_joint(after)
        else:
            trainer.load_symbolic()
            typer.echo(f"the tower explains {trainer.take_tower():.1%} of the label patches")
        trainer.fit_joint(joint_minutes, name, rate, thaw=thaw)


@train.command()
def quantize(checkpoint: Path = DEFAULT_WORK / "ckpt" / "joint", out: Path = Path("models/embedded")) -> None:
    """Export the checkpoint, quantize it to int8 and check the export against it. Calibrate it next.

    Example: jpai train quantize --out models/embedded
    """
    from jpai_agent.vlm import VlmError
    from jpai_agent.vlm.export import export

    try:
        report = export(checkpoint, out)
    except VlmError as error:
        raise refused(str(error), 3) from error
    typer.echo(json.dumps(report, ensure_ascii=False, indent=1, default=str))


def _places() -> dict[str, dict[str, tuple[str, ...]]]:
    """Names of each robot's map by place id, by robot."""
    from jpai_agent.world.map import load_map

    return {robot: {place.id: place.names for place in load_map(world).places} for robot, world in WORLDS.items()}


@train.command()
def calibrate(
    work: Work = DEFAULT_WORK,
    model: Annotated[Path, typer.Option(help="Exported model, which gets its calibration.")] = DEFAULT_MODEL,
    questions: Annotated[int, typer.Option(help="Validation questions for each robot.")] = 1000,
    threads: int = 1,
) -> None:
    """Calibrate the exported model's confidence on validation questions and propose the robots' act_confidence.

    Run it after every quantize: a new export has no calibration, and then nothing is asked back for want of confidence.

    Example: jpai train calibrate --model models/embedded --questions 1000
    """
    _setup(threads)
    from jpai_agent.train import calibrate as calibration

    measured = calibration.calibrate(model, courses_of(work), _places(), questions, threads=threads)
    typer.echo(calibration.table(measured))
    typer.echo(f"proposed act_confidence: {measured['act_confidence']:.2f}; calibration stored in {model}")


@train.command("eval")
def evaluate_(
    work: Work = DEFAULT_WORK,
    checkpoint: Path = DEFAULT_WORK / "ckpt" / "joint",
    robot: Annotated[str, typer.Option(help="cart, car or both")] = "both",
    questions: int = 1500,
    held_out: Annotated[bool, typer.Option(help="Ask in the words of the held-out authors.")] = False,
    int8: Annotated[Path | None, typer.Option(help="Exported model, to set beside the checkpoint: models/embedded")] = None,
    failures: int = 40,
    sheet: Annotated[Path | None, typer.Option(help="Folder for pictures of wrong answers, a sheet a robot.")] = None,
    threads: int = 1,
    out: Path | None = None,
    figures: Figures = None,
) -> None:
    """Tables per robot, author, phenomenon, skill, decision and size in the picture, on validation frames.

    Example: jpai train eval --questions 1500 --held-out --int8 models/embedded --sheet .cache/train/sheets
    """
    _setup(threads)
    from jpai_agent.train.calibrate import judge_confidence
    from jpai_agent.train.card import evaluated, note
    from jpai_agent.train.evaluate import failures as wrong
    from jpai_agent.train.evaluate import report
    from jpai_agent.train.exported import ask_again, embedded
    from jpai_agent.train.fit import evaluate_checkpoint
    from jpai_agent.train.sheet import draw_sheet

    backend = None if int8 is None else embedded(int8, threads)
    parts = []
    for course in courses_of(work, ROBOTS if robot == "both" else (_robot(robot),), held_out):
        verdicts = evaluate_checkpoint(checkpoint, course, questions)
        answered = [] if backend is None else ask_again(backend, verdicts)
        part = f"== {course.robot}\n{report(verdicts, [verdict for verdict, _ in answered])}"
        if answered and all(answer.confidence is not None for _, answer in answered):
            part += f"\n-- confidence of the int8 model\n{judge_confidence(answered)}"
        if sheet is not None:
            name = sheet / f"{course.robot}_{'held_out' if held_out else 'validation'}.png"
            part += f"\n{draw_sheet(verdicts, name)} wrong answers in {name}"
        if figures is not None:
            note(figures, evaluated(course.robot, held_out, verdicts, [verdict for verdict, _ in answered]))
        parts.append(f"{part}\n\n{wrong(verdicts, failures)}")
    text = "\n\n".join(parts)
    typer.echo(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


@train.command()
def still(
    work: Work = DEFAULT_WORK,
    model: Annotated[Path, typer.Option(help="Exported model.")] = DEFAULT_MODEL,
    lines: Annotated[Path, typer.Option(help="List of what must never move a robot, in groups by ## lines.")] = DEFAULT_STILL,
    frames: Annotated[int, typer.Option(help="Validation frames that each line is said over.")] = 2,
    failures: int = 40,
    threads: int = 1,
    figures: Figures = None,
) -> None:
    """Say what must never move a robot (nonsense, small talk, other languages) and count how often it would.

    Example: jpai train still --frames 2
    """
    _setup(threads)
    from jpai_agent.train import still as stillness
    from jpai_agent.train.card import note
    from jpai_agent.train.exported import embedded
    from jpai_agent.train.frames import load_shard, shard_paths
    from jpai_agent.world.robot import load_robot

    backend, places, groups = embedded(model, threads), _places(), stillness.read_groups(lines)
    for robot in ROBOTS:
        shard = load_shard(shard_paths(work / f"val{_MIX[robot][0]}")[0])
        shown = [shard.frames[i * len(shard) // frames].copy() for i in range(frames)]
        heard = stillness.hear(backend, robot, groups, shown, places[robot])
        needed = load_robot(robot).act_confidence
        if figures is not None:
            note(figures, {"still": {robot: stillness.shares(heard, needed)}})
        typer.echo(f"== {robot}\n{stillness.report(heard, needed)}")
        for one in [one for one in heard if one.carried_out(needed)][:failures]:
            sure = "unknown" if one.confidence is None else f"{one.confidence:.2f}"
            typer.echo(f"* {one.line}  [{one.group}, confidence {sure}]\n    {one.answer}")


@train.command()
def card(
    figures: Annotated[Path, typer.Argument(help="JSON file that `eval --figures` and `still --figures` wrote.")],
    model: Annotated[Path, typer.Option(help="Exported model, whose README.md gets the tables.")] = DEFAULT_MODEL,
) -> None:
    """Write the measured tables into the model card and the card into the model's manifest.

    Example: jpai train card .cache/train/figures.json
    """
    from jpai_agent.train.card import write_card

    typer.echo(write_card(model, json.loads(figures.read_text(encoding="utf-8"))))


for command in COMMANDS:
    train.command()(command)
train.add_typer(voice, name="voice")


if __name__ == "__main__":
    train()
