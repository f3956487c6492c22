"""What turns speech into text, whoever does it: one interface, and one door to those that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jpai_agent.voice.audio import Samples
from jpai_agent.world.paths import resource

EMBEDDED = "embedded"
# kinds of recognisers of the user's own
FASTER_WHISPER, TRANSFORMERS, SHERPA = "faster-whisper", "transformers", "sherpa-onnx"
KINDS = (FASTER_WHISPER, TRANSFORMERS, SHERPA)


class RecogniserError(RuntimeError):
    """A recogniser that cannot be loaded or failed; the message says what is missing and where."""


@dataclass(frozen=True)
class Transcript:
    """What was heard.

    Attributes:
        text: As it is handed to the language model; "" where nothing was said.
        confidence: How likely it is that this was said, 0 to 1.
        alternatives: Other readings, the likelier ones first.
    """

    text: str
    confidence: float
    alternatives: tuple[str, ...] = ()


class Recogniser(Protocol):
    """Turns an utterance into text."""

    name: str

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        """The words of an utterance.

        Args:
            samples: (N,) at 16 kHz, in [-1, 1], from a little before the first sound to a little after the last.
            hints: Words that are likely here, towards which it may lean.

        Raises:
            RecogniserError: When it failed.
        """
        ...


def load_recogniser(which: str | Path = EMBEDDED) -> Recogniser:
    """The recogniser asked for. Nothing is ever downloaded.

    Args:
        which: "embedded"; a model's folder, whose files say what it is; or KIND:FOLDER with a kind of KINDS.

    Raises:
        RecogniserError: Where the folder, its files or the package that it needs are missing, or it does not load.
    """
    if str(which) == EMBEDDED:
        return _embedded(resource("models", "voice"))
    kind, _, rest = str(which).partition(":")
    folder = Path(rest) if kind in KINDS else Path(which)
    if not folder.is_dir():
        raise RecogniserError(f"no recogniser at {folder}: a model's folder, or {EMBEDDED}, is wanted")
    if kind not in KINDS:
        kind = kind_of(folder)
    if kind == EMBEDDED:
        return _embedded(folder)
    from jpai_agent.voice import external

    makers: dict[str, Callable[[Path], Recogniser]] = {
        FASTER_WHISPER: external.FasterWhisper, TRANSFORMERS: external.TransformersWhisper, SHERPA: external.SherpaOnnx}
    return makers[kind](folder)


def _embedded(folder: Path) -> Recogniser:
    from jpai_agent.voice.embedded import EmbeddedRecogniser

    return EmbeddedRecogniser(folder)


def kind_of(folder: Path) -> str:
    """Which recogniser a folder is for, by its files. Raises RecogniserError naming what each kind would need."""
    names = {path.name for path in folder.iterdir()}
    # it has its checkpoint beside it
    if "recogniser.json" in names:
        return EMBEDDED
    if "model.bin" in names:
        return FASTER_WHISPER
    if "config.json" in names and any(name.endswith((".safetensors", ".bin")) for name in names):
        return TRANSFORMERS
    if "tokens.txt" in names and any(name.endswith(".onnx") for name in names):
        return SHERPA
    raise RecogniserError(
        f"{folder} has no recogniser's files: model.bin (faster-whisper), config.json and model.safetensors (transformers), "
        f"tokens.txt and ONNX files (sherpa-onnx) or recogniser.json (embedded); it has {', '.join(sorted(names)) or 'none'}")
