"""Streams for the spotter to learn from: recordings one after the other in rooms and noise, and what is to be told when.

Stops are told from LATEST_S[0] to LATEST_S[1] after they end. From where the first stop word in them ends until then, and a
while after, either answer is right; everywhere else nothing is to be told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jpai_agent.train.voice.acoustics import COLOURS, Surroundings, add_noise, resampled
from jpai_agent.train.voice.recordings import _EDGE_S, Recording
from jpai_agent.train.voice.speech import RATE_HZ, phonemes
from jpai_agent.train.voice.spotting_words import WORDS, earliest, kind_of
from jpai_agent.voice.spotter import BLOCK, Features

STREAM_S = 7.68
LATEST_S = (0.08, 0.27)
_EARLY_S, _AFTER_S = 0.1, 0.7  # either answer is right so long before, and after, a stop's end
_IGNORED = -1
_NAMES = """
    a i u e o N cl b by ch d dy f fy g gy gw h hy j k ky kw m my n ny p py r ry s sh t ty ts v w y z pau A I U E O zy
"""
PHONEMES: tuple[str, ...] = tuple(_NAMES.split())
_PHONEME = re.compile(r"-([A-Za-z]+)\+")
_INDEX = {name: index + 1 for index, name in enumerate(PHONEMES)}


@dataclass(frozen=True)
class Take:
    """A recording to place: int16 samples with EDGE_S of silence at both ends.

    Attributes:
        kind: "stop", "either" or "other". word: index in WORDS + 1 of a stop, else 0.
        early: Share of its speech after which a stop could be told. sounds: indices of its phonemes (1 + PHONEMES).
    """

    samples: np.ndarray
    kind: str
    word: int
    early: float
    sounds: tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """`frames` float16 (n, BANDS); `labels` int8 (blocks,): 0 nothing, a word, or -1 either; `sounds`: phonemes in order."""

    frames: np.ndarray
    labels: np.ndarray
    sounds: np.ndarray


def take(recording: Recording) -> Take:
    """What is to be learnt from a recording."""
    text = recording.sentence.said
    kind = kind_of(text)
    word = WORDS.index(recording.sentence.written) + 1 if recording.sentence.author == "stop" else 0
    if kind == "stop" and not word:
        kind = "either"  # a stop that nobody has said which
    found = [_INDEX[name] for label in phonemes(text) for name in _PHONEME.findall(label)[:1] if name in _INDEX]
    return Take(recording.samples, kind, word, earliest(text) if word else 1.0, tuple(found))


class Mixer:
    """Makes streams of takes.

    Args:
        takes: Recordings by name: "stop", "alike" and "corpus"; each is drawn as often as SHARES says.
        surroundings: Rooms, microphones and noises.
    """

    SHARES = {"stop": 0.34, "alike": 0.28, "corpus": 0.38}  # noqa: RUF012

    def __init__(self, takes: Mapping[str, Sequence[Take]], surroundings: Surroundings) -> None:
        self._takes, self._surroundings = takes, surroundings

    def stream(self, rng: np.random.Generator) -> Stream:
        """STREAM_S of what is said near a robot."""
        count = int(STREAM_S * RATE_HZ)
        sound, labels = np.zeros(count, np.float32), np.zeros(count // BLOCK, np.int8)
        sounds: list[int] = []
        at_s = float(rng.uniform(0.0, 1.0))
        names, shares = list(self.SHARES), np.array(list(self.SHARES.values()))
        if rng.random() < 0.2:  # somebody just talks, or nobody does
            shares = np.array([0.0, 0.3, 0.7])
            at_s = 0.0 if rng.random() < 0.75 else STREAM_S
        while at_s < STREAM_S - 0.3:
            pool = self._takes[names[int(rng.choice(len(names), p=shares))]]
            one = pool[int(rng.integers(len(pool)))]
            spoken, faster = self._spoken(one, rng)
            begin_s, edge_s = at_s, _EDGE_S / faster
            end_s = begin_s + len(spoken) / RATE_HZ
            if end_s - edge_s > STREAM_S:
                if one.kind != "other" or at_s > 1.5:
                    break
                spoken = spoken[: count - int(begin_s * RATE_HZ)]  # cut off: its phonemes are not all there
                sounds = []
            else:
                sounds += one.sounds
            first = int(begin_s * RATE_HZ)
            spoken = spoken[: count - first]
            sound[first:first + len(spoken)] += spoken
            _label(labels, one, begin_s + edge_s, end_s - edge_s)
            pause = rng.uniform(0.3, 1.5) if rng.random() < 0.85 else rng.uniform(0.05, 0.3)
            at_s = end_s + float(pause)
        frames = Features().feed(self._heard(sound, rng)).astype(np.float16)
        return Stream(frames, labels, np.array(sounds, np.int16))

    def _spoken(self, one: Take, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """The samples somewhat faster or slower (and higher or lower), louder or driven hard, as when shouted."""
        faster = float(np.exp(rng.uniform(-0.09, 0.09)))
        spoken = resampled(one.samples.astype(np.float32) / 32_768, faster)
        if rng.random() < 0.2:
            drive = rng.uniform(2, 8)
            spoken = np.tanh(drive * spoken) / drive**0.5
        return spoken * np.float32(10 ** (rng.uniform(-9, 3) / 20)), faster

    def _heard(self, sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not sound.any():
            sound = music(len(sound), rng) if rng.random() < 0.6 else self._surroundings.noise(len(sound), rng)
        if rng.random() < 0.2:  # the robot, or somebody else, talks beside it
            pool = self._takes["corpus"]
            beside = np.concatenate([pool[int(rng.integers(len(pool)))].samples for _ in range(4)]).astype(np.float32)
            sound = add_noise(sound, np.resize(beside, len(sound)), rng.uniform(4, 18))
        if rng.random() < 0.12:
            sound = add_noise(sound, music(len(sound), rng), rng.uniform(0, 20))
        return self._surroundings.heard(sound, rng, snr_db=(0.0, 30.0), room=0.6, microphone=0.6, noise=0.8)


def _label(labels: np.ndarray, one: Take, begin_s: float, end_s: float) -> None:
    """Write what is to be told of speech from `begin_s` to `end_s`; block n ends at (n + 1) × BLOCK / RATE_HZ."""
    def block(time_s: float) -> int:
        return max(0, int(np.ceil(time_s * RATE_HZ / BLOCK)) - 1)

    if one.kind == "other":
        return
    early_s = min(begin_s + one.early * (end_s - begin_s), end_s) - _EARLY_S if one.kind == "stop" else begin_s
    labels[block(early_s):block(end_s + _AFTER_S)] = _IGNORED
    if one.kind == "stop":
        labels[block(end_s + LATEST_S[0]):block(end_s + LATEST_S[1])] = one.word


def music(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` samples that are like music: chords of a scale with overtones, a bass, a beat; mean square 1."""
    beat = int(RATE_HZ * 60 / rng.uniform(70, 160))
    scale = 220.0 * 2 ** (rng.uniform(-1, 1) + np.array([0, 2, 4, 5, 7, 9, 11]) / 12)
    bright, struck, beaten = rng.uniform(0.3, 0.9), rng.uniform(0.5, 8.0), rng.uniform(0.0, 1.5)
    sound = np.zeros(count + 4 * beat)
    for begin in range(0, count, beat):
        length = beat * int(rng.integers(1, 4))
        t = np.arange(length) / RATE_HZ
        swell = np.minimum(1, t * 50) * np.exp(-struck * t)
        for root in scale[rng.integers(0, 7, int(rng.integers(1, 4)))] * 2.0 ** rng.integers(-1, 2):
            vibrato = 1 + 0.004 * np.sin(2 * np.pi * 5.5 * t)
            phase = 2 * np.pi * root * np.cumsum(vibrato) / RATE_HZ
            for k in range(1, int(min(9, 7000 / root)) + 1):
                sound[begin:begin + length] += swell * bright**k * np.sin(k * phase)
        hit = np.arange(min(length, 1600)) / RATE_HZ
        sound[begin:begin + len(hit)] += beaten * np.exp(-40 * hit) * (
            rng.normal(size=len(hit)) if rng.random() < 0.5 else 3 * np.sin(2 * np.pi * 60 * hit))
    sound = sound[:count]
    return (sound / (np.sqrt(np.mean(sound**2)) + 1e-9)).astype(np.float32)


def surroundings(seed: int, corpus: Sequence[Take]) -> Surroundings:
    """Rooms, microphones and noises for a seed; babble is of the corpus's takes."""
    others = [one.samples.astype(np.float32) / 32_768 for one in corpus[:60]]
    return Surroundings.draw(seed, others if "babble" in COLOURS else (), rooms=120, seconds=20.0)


def load_takes(folder: Path, limit: int | None = None) -> list[Take]:
    """The takes of the recordings below `folder`; at most `limit`."""
    from jpai_agent.train.voice.recordings import load

    return [take(recording) for recording in load(folder, limit)]
