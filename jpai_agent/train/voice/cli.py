"""`jpai train voice …`: speak the corpus, train the embedded recogniser, export it and tell how well it hears."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Annotated

import typer

voice = typer.Typer(help="Make the embedded recogniser: data, fit, export, eval, card; and addressee.", no_args_is_help=True,
                    add_completion=False)

Work = Annotated[Path, typer.Option(help="Folder of recordings and training states.")]
Model = Annotated[Path, typer.Option(help="Folder of the recogniser.")]
DEFAULT_WORK = Path(".cache/voice")
DEFAULT_MODEL = Path("models/voice")


@voice.callback()
def _main() -> None:
    """With a callback the app keeps its commands' names however few they are."""


@voice.command()
def data(work: Work = DEFAULT_WORK, sentences: Annotated[int, typer.Option(help="At most so many.")] = 1_000_000,
         seed: int = 1, jobs: int = 2) -> None:
    """Speak the training sentences (about 13 hours of speech; 40 minutes on two cores). Goes on where it was broken off.

    Example: jpai train voice data --jobs 2
    """
    from jpai_agent.train.voice.recordings import record
    from jpai_agent.train.voice.sentences import training_sentences
    from jpai_agent.train.voice.short import short_sentences
    from jpai_agent.train.voice.voices import TRAINING_VOICES, VALIDATION_VOICES

    training, validation = training_sentences(seed)
    training += short_sentences(len(training) // 5, Random(seed))
    record(validation[:512], VALIDATION_VOICES, work / "validation", seed + 1_000_000, jobs)
    shards = record(training[:sentences], TRAINING_VOICES, work / "training", seed, jobs)
    typer.echo(f"{min(len(training), sentences)} sentences in {shards} shards below {work}")


@voice.command()
def fit(work: Work = DEFAULT_WORK,
        minutes: Annotated[float, typer.Option(help="Wall time to train, restarts counted together.", min=0.0)] = 90.0,
        threads: int = 1, seed: int = 0) -> None:
    """Train the recogniser on what `data` spoke. Resumes.

    Two processes: torchrun --nproc-per-node 2 -m jpai_agent.train.voice.cli fit --minutes 90

    Example: jpai train voice fit --minutes 90 --threads 2
    """
    import torch

    from jpai_agent.train.voice.fit import fit as run

    torch.set_num_threads(threads)
    run(work, minutes, seed)


@voice.command()
def export(work: Work = DEFAULT_WORK, model: Model = DEFAULT_MODEL) -> None:
    """Write the trained recogniser into the model folder, as a checkpoint and as an int8 graph checked against it, and
    calibrate its confidence.

    Example: jpai train voice export
    """
    import numpy as np

    from jpai_agent.train.voice import calibrate
    from jpai_agent.train.voice.export import export as run
    from jpai_agent.train.voice.export import set_calibration
    from jpai_agent.train.voice.recordings import load
    from jpai_agent.voice.embedded import EmbeddedRecogniser

    recordings = load(work / "validation")
    typer.echo(json.dumps(run(work, model, [one.samples.astype(np.float32) / 32_768 for one in recordings[:64]])))
    trials = calibrate.trials(EmbeddedRecogniser(model), recordings)
    weights = calibrate.curve(trials[::2])
    judged = calibrate.judged(trials[1::2], weights)  # the other half
    set_calibration(model, weights, judged)
    typer.echo(f"confidence: {json.dumps(judged)}")


@voice.command("eval")
def evaluate(
    frames: Annotated[Path, typer.Option(help="Folder of the frames that `jpai train data` rendered.")] = Path(".cache/train"),
    work: Work = DEFAULT_WORK,
    model: Model = DEFAULT_MODEL,
    planner: Annotated[Path, typer.Option(help="Model that makes the plans.")] = Path("models/embedded"),
    count: Annotated[int, typer.Option(help="Instructions, half of them for each robot.")] = 520,
    conditions: Annotated[str, typer.Option(help="Of clean, noise (10 dB) and espeak; perfect: as if all were heard right.")] =
    "clean,noise,perfect,espeak",
    failures: int = 20,
    hinted: Annotated[bool, typer.Option(help="Give the recogniser the words of skills and map, as robots do.")] = True,
    out: Annotated[Path | None, typer.Option(help="JSON file for figures and transcripts.")] = None,
) -> None:
    """Held-out authors' instructions in held-out voices and rooms: errors, and the share whose plan is the written
    sentence's.

    Example: jpai train voice eval --count 520
    """
    from jpai_agent.train.exported import embedded
    from jpai_agent.train.voice import evaluate as hearing
    from jpai_agent.voice.embedded import EmbeddedRecogniser

    recogniser, backend = EmbeddedRecogniser(model), embedded(planner)
    spoken = [one for robot in ("cart", "car") for one in hearing.instructions(frames, robot, count // 2, backend)]
    hints = hearing.words_of_robots() if hinted else {}
    folder = work / "voices"
    results = {}
    for name in conditions.split(","):
        if name == "perfect":
            results[name] = hearing.hear(spoken, hearing.unsaid, hearing.Perfect(spoken), backend, {})
            continue
        say = hearing.espeak if name == "espeak" else hearing.Voices(snr_db=10.0 if name == "noise" else None, folder=folder)
        results[name] = hearing.hear(spoken, say, recogniser, backend, hints)
        typer.echo(hearing.table({name: results[name]}))
    typer.echo(hearing.table(results, failures))
    if out is not None:
        hearing.store(out, results)


@voice.command()
def addressee(work: Work = DEFAULT_WORK, model: Model = DEFAULT_MODEL,
              spoken: Annotated[int, typer.Option(help="Lines of each kind that are learned as heard, too.")] = 1500) -> None:
    """Teach the robot to tell orders from talk beside it (half an hour, most of it speaking and hearing). Resumes.

    Example: jpai train voice addressee
    """
    from jpai_agent.train.voice.addressee import write

    typer.echo(json.dumps(write(work, model, spoken), ensure_ascii=False, indent=2))


@voice.command()
def card(measured: Annotated[list[Path], typer.Argument(help="JSON files that `eval --out` wrote.")],
         model: Model = DEFAULT_MODEL) -> None:
    """Write measured figures into the model card and recogniser.json.

    Example: jpai train voice card eval.json
    """
    from jpai_agent.train.voice.evaluate import write_card

    typer.echo(write_card(model, measured))


if __name__ == "__main__":
    voice()
