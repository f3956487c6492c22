"""Sound made for the tests: loud blocks for speech, and a recogniser and a detector that know it by its level."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from jpai_agent.voice.audio import BLOCK_SAMPLES, RATE_HZ, Block, Blocks, Samples
from jpai_agent.voice.recogniser import RecogniserError, Transcript
from jpai_agent.voice.spotter import Spot, Sureness

LOUD = 0.1


def noise(seconds: float, seed: int = 0, level: float = 0.5) -> Samples:
    """Something that the detector below takes for speech; another one for each seed."""
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * RATE_HZ)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def blocks(*parts: Samples) -> list[Block]:
    cutter = Blocks()
    return cutter.feed(np.concatenate(parts)) + cutter.flush()


def loud(samples: Samples) -> float:
    """A detector: speech is what is loud."""
    return float(np.abs(samples).max() > LOUD)


def key(samples: Samples) -> str:
    """Of the loud samples alone, so that where an utterance is cut makes no difference."""
    quiet = np.flatnonzero(np.abs(samples) > LOUD)
    return hashlib.sha256(samples[quiet[0]:quiet[-1] + 1].tobytes()).hexdigest() if len(quiet) else ""


class Table:
    """A recogniser that has been told beforehand what each sound says; a RecogniserError among it is raised."""

    name = "table"

    def __init__(self, known: Iterable[tuple[Samples, Transcript | RecogniserError]] = ()) -> None:
        self.known = {key(samples): said for samples, said in known}
        self.hints: Sequence[str] = ()

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        self.hints = hints
        said = self.known.get(key(samples), Transcript("", 0.0))
        if isinstance(said, RecogniserError):
            raise said
        return said


class At:
    """A spotter that hears a word in the block that holds a given moment."""

    def __init__(self, sureness: Sureness = Sureness.CERTAIN, **words: float) -> None:
        """words: When each ends, in seconds."""
        self._sureness = sureness
        self._words = {int(end_s * RATE_HZ) // BLOCK_SAMPLES: word for word, end_s in words.items()}
        self._block = -1

    def feed(self, samples: Samples) -> Spot | None:
        self._block += 1
        word = self._words.get(self._block)
        return word and Spot(word, self._sureness)


class Says:
    """The robot's own voice: what it is saying, set by the test."""

    def __init__(self, words: str = "") -> None:
        self.words, self.speaking = words, bool(words)

    def says(self, text: str, begin_s: float | None = None, end_s: float | None = None) -> bool:
        return text in self.words
