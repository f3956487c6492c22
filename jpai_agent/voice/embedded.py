"""The embedded recogniser: a small CTC network for Japanese in ONNX Runtime, int8, from `models/voice`. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.voice.audio import Samples
from jpai_agent.voice.ctc import Hypothesis, Weights, agreed, beam_search, confidence
from jpai_agent.voice.features import prepared
from jpai_agent.voice.ngram import CharacterModel
from jpai_agent.voice.recogniser import RecogniserError, Transcript
from jpai_agent.voice.spelling import as_read, spelled

DESCRIPTION = "recogniser.json"
GRAPH, CHARACTERS = "recogniser.onnx", "characters.npz"
FORMAT = 1
_SHORTEST = 1_600  # samples: 0.1 s
_LONGEST = 30 * 16_000
_QUIET = 1e-4  # a signal that never exceeds this is silence
_ALTERNATIVES = 3
_PACES = (1.0, 0.93)
_COMPARED = 10  # hypotheses of each hearing


class EmbeddedRecogniser:
    """See `recogniser.Recogniser`. One thread, about 60 MB."""

    name = "embedded"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load and check the files of `folder`.

        Raises:
            RecogniserError: Where a file is missing, altered (its sha256 is in recogniser.json) or cannot be used.
        """
        about = read_description(folder)
        self.alphabet: str = about["alphabet"]
        self._calibration: dict[str, float] = about["calibration"]
        self._weights = Weights(**about["weights"])
        self._width = int(about["beam"])
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])
            self._language = CharacterModel.load(folder / CHARACTERS)
        except ImportError as error:
            raise RecogniserError("the embedded recogniser needs onnxruntime: install the extra [voice]") from error
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise RecogniserError(f"{folder} cannot be loaded: {error}") from error
        if (found := self._session.get_outputs()[0].shape[-1]) != len(self.alphabet) + 1:
            raise RecogniserError(
                f"{folder / GRAPH} writes {found} characters, {DESCRIPTION} names {len(self.alphabet)} and a blank")

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        """The words of an utterance at 16 kHz; of one longer than 30 s the first 30 s. Leans towards the hints."""
        found = self.hypotheses(samples, hints)
        text = as_read(found[0].text)
        others = dict.fromkeys(as_read(one.text) for one in found[1:])
        return Transcript(text, confidence(found, self._calibration) if text else 0.0,
                          tuple(other for other in others if other and other != text)[:_ALTERNATIVES])

    def hypotheses(self, samples: Samples, hints: Sequence[str] = ()) -> list[Hypothesis]:
        """What may have been said, in the recogniser's spelling, the likeliest first."""
        if len(samples) < _SHORTEST or float(np.abs(samples).max()) < _QUIET:
            return [Hypothesis("", 0.0, 0.0)]
        words, hearings = _spelled_hints(tuple(hints), self.alphabet), []
        for pace in _PACES:  # heard twice, the second time played slower: fast speech is hard to follow in steps of 80 ms
            scores = self.scores(_played(samples[:_LONGEST], pace))
            found = beam_search(scores, self.alphabet, self._width, self._language, self._weights, words)
            hearings.append((scores, found[:_COMPARED]))
        return agreed(hearings, self.alphabet)

    def scores(self, samples: Samples) -> np.ndarray:
        """(frames of 80 ms, characters + 1) natural logs of probabilities."""
        features = prepared(samples[:_LONGEST])[None]
        try:
            return np.asarray(self._session.run(None, {"features": features})[0][0])
        except Exception as error:
            raise RecogniserError(f"the embedded recogniser failed: {error}") from error


def _played(samples: Samples, pace: float) -> Samples:
    """Played so many times as fast."""
    if pace == 1.0:
        return samples
    return np.interp(np.arange(0, len(samples) - 1, pace), np.arange(len(samples)), samples).astype(np.float32)


@lru_cache(maxsize=8)
def _spelled_hints(hints: tuple[str, ...], alphabet: str) -> tuple[str, ...]:
    known = set(alphabet)
    return tuple(dict.fromkeys(word for hint in hints if len(word := spelled(hint)) > 1 and set(word) <= known))


def read_description(folder: Path) -> dict[str, Any]:
    """recogniser.json of a folder, and every file that it names checked by its sha256.

    Raises:
        RecogniserError: Naming what is missing, unreadable or altered.
    """
    path = folder / DESCRIPTION
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecogniserError(f"no recogniser in {folder}: {DESCRIPTION} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RecogniserError(f"{path} is no JSON: {error}") from error
    wanted = {"format", "alphabet", "calibration", "weights", "beam", "files"}
    if not isinstance(about, dict) or not wanted <= set(about) or about["format"] != FORMAT:
        raise RecogniserError(f"{path} is not of format {FORMAT} with {', '.join(sorted(wanted))}")
    for name in (GRAPH, CHARACTERS):
        file = folder / name
        if not file.is_file():
            raise RecogniserError(f"the recogniser's file {file} is missing")
        if hashlib.sha256(file.read_bytes()).hexdigest() != about["files"].get(name):
            raise RecogniserError(f"the recogniser's file {file} was altered: its sha256 is not the one of {DESCRIPTION}")
    return about


def write_description(folder: Path, about: Mapping[str, Any]) -> None:
    """Write recogniser.json."""
    (folder / DESCRIPTION).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
