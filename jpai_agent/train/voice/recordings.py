"""Spoken sentences in files: made once by two processes, kept as 16 kHz int16, read by training and measuring."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jpai_agent.train.voice.sentences import Sentence
from jpai_agent.train.voice.speech import RATE_HZ, Speaker
from jpai_agent.train.voice.voices import Voice

PER_SHARD = 128
_EDGE_S = 0.08  # of near silence that is left at both ends


@dataclass(frozen=True)
class Recording:
    """A spoken sentence; samples int16 at RATE_HZ."""

    samples: np.ndarray
    sentence: Sentence
    voice: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE_HZ


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Without the silence at both ends, up to _EDGE_S. Frames 40 dB below the loudest count as silent."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.abs(frames).max(1) > 0.01 * np.abs(samples).max())
    if not len(loud):
        return samples
    edge = int(_EDGE_S * RATE_HZ)
    return samples[max(0, loud[0] * 160 - edge): (loud[-1] + 1) * 160 + edge]


def record(sentences: Sequence[Sentence], voices: Sequence[Voice], folder: Path, seed: int, jobs: int = 2) -> int:
    """Speak all sentences, each with one of the voices drawn by `seed`, into shards below `folder`; existing ones are
    kept, so it goes on where it was broken off. Gives the number of shards."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [(folder / f"shard_{n:04d}.npz", tuple(sentences[i:i + PER_SHARD]), tuple(voices), seed + n)
             for n, i in enumerate(range(0, len(sentences), PER_SHARD))]
    due = [part for part in parts if not part[0].is_file()]
    if jobs < 2:
        for part in due:
            _shard(part)
    else:
        with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
            for done, _ in enumerate(pool.imap(_shard, due), 1):
                print(f"{done} of {len(due)} shards", flush=True)
    return len(parts)


_speaker: Speaker | None = None


def _shard(part: tuple[Path, tuple[Sentence, ...], tuple[Voice, ...], int]) -> None:
    global _speaker
    path, sentences, voices, seed = part
    if _speaker is None:
        _speaker = Speaker(path.parent.parent / "voices")
    rng = np.random.default_rng(seed)
    spoken, said = [], []
    for sentence in sentences:
        voice = voices[int(rng.integers(len(voices)))]
        samples = trimmed(_speaker.say(sentence.said, voice, rng))
        spoken.append(np.round(samples * 32_767).astype(np.int16))
        said.append({"said": sentence.said, "written": sentence.written, "author": sentence.author, "voice": voice.name})
    draft = path.with_suffix(".part")
    with draft.open("wb") as file:
        np.savez(file, samples=np.concatenate(spoken), ends=np.cumsum([len(s) for s in spoken]),
                 said=np.array(json.dumps(said, ensure_ascii=False)))
    draft.replace(path)


def load(folder: Path, limit: int | None = None) -> list[Recording]:
    """All recordings below `folder`, in order; at most `limit`."""
    found: list[Recording] = []
    for path in sorted(folder.glob("shard_*.npz")):
        if limit is not None and len(found) >= limit:
            break
        with np.load(path) as shard:
            samples, ends, said = shard["samples"], shard["ends"], json.loads(str(shard["said"]))
        begins = [0, *ends[:-1]]
        found += [Recording(samples[a:b], Sentence(s["said"], s["written"], s["author"]), s["voice"])
                  for a, b, s in zip(begins, ends, said, strict=True)]
    return found[:limit]
