"""Batches of heard sentences: recordings somewhere, made anew each time, as features with what is to be written."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jpai_agent.train.voice.acoustics import Surroundings, resampled, through
from jpai_agent.train.voice.model import KANA
from jpai_agent.train.voice.recordings import Recording
from jpai_agent.train.voice.speech import RATE_HZ, kana
from jpai_agent.voice.features import BANDS, log_mel, normalised, prepared

MAX_FRAMES = 8_000  # of 10 ms in a batch
_POOL = 1024  # recordings that are sorted by length together


@dataclass(frozen=True)
class Example:
    """A recording, the ids of what is to be written and of its kana."""

    recording: Recording
    written: tuple[int, ...]
    sounds: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """features (n, frames, BANDS) float32, zero after each one's `frames`; ids of both scripts, padded with −1."""

    features: np.ndarray
    frames: np.ndarray
    written: list[tuple[int, ...]]
    sounds: list[tuple[int, ...]]
    seconds: float


def examples(recordings: Sequence[Recording], alphabet: str) -> list[Example]:
    """Those of the recordings that the alphabet can write and whose writing fits into the frames that they have."""
    ids, sound_ids = {c: i for i, c in enumerate(alphabet)}, {c: i for i, c in enumerate(KANA)}
    found = []
    for one in recordings:
        text = one.sentence.written
        if not set(text) <= set(alphabet):
            continue
        sounds = tuple(sound_ids[c] for c in kana(one.sentence.said) if c in sound_ids)
        needed = len(text) + sum(a == b for a, b in itertools.pairwise(text))
        if needed <= one.seconds * 12.5 - 1:
            found.append(Example(one, tuple(ids[c] for c in text), sounds))
    return found


class Hearing:
    """Makes features of recordings as they sound somewhere: cheap, since noise and microphone are put on the mel bands.

    The powers of speech and noise add up in each band; a microphone multiplies them and adds its own floor.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        # natural log of band power → power; noises have mean square 1
        self._noises = [np.exp(log_mel(sound)) for _, sound in surroundings.noises]
        bands = np.linspace(0, 256, BANDS + 2)[1:-1]
        mel_bins = 256 * (10 ** (bands / 256 * np.log10(1 + 7600 / 700)) - 1) * 700 / 8000
        self._microphones = [np.interp(mel_bins, np.arange(257), gains**2).astype(np.float32)
                             for gains in surroundings.microphones]

    def features(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(frames, BANDS) float32, normalised, with parts blanked out (SpecAugment). `samples`: int16."""
        heard = samples.astype(np.float32) / 32_768
        if rng.random() < 0.4:
            heard = resampled(heard, float(rng.uniform(0.88, 1.14)))
        heard = np.pad(heard, (int(rng.uniform(0, 0.35) * RATE_HZ), int(rng.uniform(0, 0.45) * RATE_HZ)))
        if rng.random() < 0.4:
            heard = through(heard, self._around.rooms[int(rng.integers(len(self._around.rooms)))])
        if rng.random() < 0.06:
            limit = float(np.abs(heard).max()) * rng.uniform(0.2, 0.8)
            heard = np.clip(heard, -limit, limit)
        power = np.exp(log_mel(heard))
        level = power.sum(1)
        active = float(level[level >= level.max() * 1e-3].mean())
        if rng.random() < 0.75:
            noise = self._noises[int(rng.integers(len(self._noises)))]
            begin = int(rng.integers(max(1, len(noise) - len(power))))
            part = noise[begin:begin + len(power)]
            if len(part) < len(power):
                part = np.resize(noise, power.shape)
            power += part * (active / float(part.sum(1).mean()) * 10 ** (-rng.uniform(0, 30) / 10))
        if rng.random() < 0.6:
            power *= self._microphones[int(rng.integers(len(self._microphones)))]
        power += active / BANDS * 10 ** (-rng.uniform(30, 70) / 10)  # the floor
        found = normalised(np.log(power))
        for _ in range(int(rng.integers(0, 3))):
            width, at = int(rng.integers(0, 9)), int(rng.integers(0, BANDS - 8))
            found[:, at:at + width] = 0.0
        for _ in range(int(rng.integers(0, 3))):
            width, at = int(rng.integers(0, 16)), int(rng.integers(0, max(1, len(found) - 16)))
            found[at:at + width] = 0.0
        return found


class Plain:
    """Hears a recording as it was spoken."""

    def features(self, samples: np.ndarray, _rng: np.random.Generator | None = None) -> np.ndarray:
        """(frames, BANDS) float32, normalised. `samples`: int16."""
        return prepared(samples.astype(np.float32) / 32_768)


def batches(found: Sequence[Example], hearing: Hearing | Plain, seed: int, epoch: int, share: tuple[int, int] = (0, 1),
            ) -> Iterator[Batch]:
    """All examples once, in random order, those of like length together; the same for the same seed and epoch.

    `share` (which, of how many): only every so manieth batch, equally many for each of several processes.
    """
    which, of = share
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(found))
    groups: list[list[int]] = []
    for begin in range(0, len(order), _POOL):
        group: list[int] = []
        longest = 0.0
        for i in sorted(order[begin:begin + _POOL], key=lambda i: found[i].recording.seconds):
            longest = max(longest, found[i].recording.seconds + 0.5)
            if group and longest * 100 * (len(group) + 1) > MAX_FRAMES:
                groups.append(group)
                group, longest = [], found[i].recording.seconds + 0.5
            group.append(int(i))
        groups.append(group)
    order = rng.permutation(len(groups))
    rng = np.random.default_rng([seed, epoch, which])
    for index in order[: len(order) // of * of][which::of]:
        group = groups[index]
        heard = [hearing.features(found[i].recording.samples, rng) for i in group]
        yield padded(heard, [found[i].written for i in group], [found[i].sounds for i in group])


def padded(heard: Sequence[np.ndarray], written: list[tuple[int, ...]], sounds: list[tuple[int, ...]]) -> Batch:
    """The features of several utterances in one array."""
    frames = np.array([len(one) for one in heard])
    features = np.zeros((len(heard), int(frames.max()), BANDS), np.float32)
    for row, one in zip(features, heard, strict=True):
        row[: len(one)] = one
    return Batch(features, frames, written, sounds, float(frames.sum()) / 100)


def ahead(source: Iterator[Batch], depth: int = 3) -> Iterator[Batch]:
    """The same batches, made in a thread while the last one is learned from. An error in it is raised here."""
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                made.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for batch in source:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # handed over to whoever reads
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
