"""`jpai train voice …`: speak the corpus, train the embedded recogniser, export it and tell how well it hears."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

voice = typer.Typer(help="Make the embedded recogniser: data, fit, export, eval.", no_args_is_help=True,
                    add_completion=False)

Work = Annotated[Path, typer.Option(help="Folder of recordings and training states.")]
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
    from jpai_agent.train.voice.voices import TRAINING_VOICES, VALIDATION_VOICES

    training, validation = training_sentences(seed)
    record(validation[:512], VALIDATION_VOICES, work / "validation", seed + 1_000_000, jobs)
    shards = record(training[:sentences], TRAINING_VOICES, work / "training", seed, jobs)
    typer.echo(f"{min(len(training), sentences)} sentences in {shards} shards below {work}")


if __name__ == "__main__":
    voice()
