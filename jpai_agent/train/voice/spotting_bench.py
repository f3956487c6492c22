"""Measure stop words: how many are heard, how soon after their end, and what is taken for one in hours of other sound.

Voices, rooms, microphones, noise and sentences are not those of the training.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from jpai_agent.train.calibrate import lines_of
from jpai_agent.train.corpus import held_out_authors, load_corpus
from jpai_agent.train.voice.acoustics import COLOURS, Surroundings, add_noise, make_noise
from jpai_agent.train.voice.recordings import _EDGE_S, trimmed
from jpai_agent.train.voice.sentences import from_corpus, writable, written
from jpai_agent.train.voice.speech import RATE_HZ, Speaker
from jpai_agent.train.voice.spotting import music
from jpai_agent.train.voice.spotting_words import alike, earliest, kind_of, own, stops
from jpai_agent.train.voice.voices import HELD_OUT_VOICES, TRAINING_VOICES, Voice
from jpai_agent.voice.activity import Segmenter, Silero
from jpai_agent.voice.audio import BLOCK_S, read_wav
from jpai_agent.voice.audio import Block as AudioBlock
from jpai_agent.voice.hearing import Hearing, StopHeard
from jpai_agent.voice.recogniser import Recogniser
from jpai_agent.voice.spotter import BLOCK, Spotter, Sureness

ELSEWHERE = Path(__file__).parents[1] / "elsewhere.txt"  # what is said near a robot and is not for it
SNRS: dict[str, float | None] = {"clean": None, "10 dB": 10.0, "0 dB": 0.0}
KINDS = ("talk", "two", "orders", "own", "noise", "music", "alike")
# of an hour of other sound; sounds that are alike are counted apart
SHARES = {"talk": 0.2, "two": 0.2, "orders": 0.15, "own": 0.15, "noise": 0.15, "music": 0.15}
_BEFORE_S, _LATE_S, _AFTER_S = 1.5, 0.6, 1.0
_UNKNOWN_VOICES = ("ja", "ja+f2", "ja+m3", "ja+f4", "ja+m7")
_ROBOT = TRAINING_VOICES[0]


@dataclass(frozen=True)
class Said:
    """A sound in which something is said from `begin_s` to `end_s`; float32 at RATE_HZ. `bare`: nothing follows the word."""

    samples: np.ndarray
    text: str
    begin_s: float
    end_s: float
    bare: bool


@dataclass(frozen=True)
class Sound:
    """A stretch of sound, float32 at RATE_HZ, a number of blocks; `said`: (begin_s, end_s, text) of what is said in it."""

    samples: np.ndarray
    said: tuple[tuple[float, float, str], ...] = ()


class Scenery:
    """Held-out voices, rooms and noise; the same for the same seed."""

    def __init__(self, seed: int = 909, folder: Path | None = None) -> None:
        """`folder`: where the changed voices are kept; by default one of its own."""
        self.speaker = Speaker(folder or Path(tempfile.gettempdir()) / "jpai-voices")
        rng = np.random.default_rng(seed)
        babble = [self.say(text, rng) for text in _elsewhere()[:16]]
        self.surroundings = Surroundings.draw(seed, babble, rooms=60, seconds=20.0)

    def say(self, text: str, rng: np.random.Generator, voice: Voice | None = None) -> np.ndarray:
        """float32 with _EDGE_S of silence at both ends, by a held-out voice unless another is given."""
        return trimmed(self.speaker.say(text, voice or HELD_OUT_VOICES[int(rng.integers(len(HELD_OUT_VOICES)))], rng))

    def place(self, text: str, spoken: np.ndarray, snr_db: float | None, rng: np.random.Generator) -> Said:
        """Speech after a pause, in a room in half of the cases, with noise all along."""
        before = np.zeros(int(_BEFORE_S * RATE_HZ), np.float32)
        after = np.zeros(int(_AFTER_S * RATE_HZ), np.float32)
        sound = np.concatenate([before, spoken, after])
        snr = 60.0 if snr_db is None else snr_db
        heard = self.surroundings.heard(sound, rng, (snr, snr), room=0.5, microphone=0.7, noise=1.0)
        begin_s = _BEFORE_S + _EDGE_S
        end_s = _BEFORE_S + len(spoken) / RATE_HZ - _EDGE_S
        return Said(heard, text, begin_s, end_s, earliest(text) >= 1.0)


def in_blocks(samples: np.ndarray) -> np.ndarray:
    """With silence at the end, so that it is a number of blocks."""
    return np.pad(samples, (0, -len(samples) % BLOCK))


def recall(spotter: Spotter, said: Sequence[Said]) -> dict[str, Any]:
    """How many stops are told before _LATE_S after their end, and how soon after it where the word is all that is said."""
    late_s, missed = [], []
    for one in said:
        spotter.reset()
        told_s = [time_s for time_s, spot in spotter.scan(in_blocks(one.samples))
                  if spot.sureness == Sureness.CERTAIN and one.begin_s <= time_s <= one.end_s + _LATE_S]
        if not told_s:
            missed.append(one.text)
        elif one.bare:
            late_s.append(told_s[0] - one.end_s)
    return _recalled(len(said), missed, late_s)


def heard_recall(spotter: Spotter, recogniser: Recogniser, said: Sequence[Said]) -> dict[str, Any]:
    """As `recall`, of hearing as a whole while the robot moves: the recogniser makes sure of what the spotter is not sure of."""
    late_s, missed = [], []
    for one in said:
        spotter.reset()
        hearing = Hearing(Segmenter(Silero()), recogniser, spotter=spotter, moving=lambda: True)
        told_s = []
        for index, samples in enumerate(in_blocks(one.samples).reshape(-1, BLOCK)):
            events = hearing.feed(AudioBlock(index * BLOCK_S, samples))
            told_s += [hearing.now_s for event in events if isinstance(event, StopHeard)]
        told_s = [time_s for time_s in told_s if one.begin_s <= time_s <= one.end_s + _LATE_S]
        if not told_s:
            missed.append(one.text)
        elif one.bare:
            late_s.append(told_s[0] - one.end_s)
    return _recalled(len(said), missed, late_s)


def _recalled(n: int, missed: Sequence[str], late_s: Sequence[float]) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": n, "recall": round(1 - len(missed) / max(1, n), 4), "missed": list(missed[:12])}
    if late_s:
        figures |= {"after_end_n": len(late_s), "after_end_p50_ms": round(1e3 * float(np.percentile(late_s, 50))),
                    "after_end_p95_ms": round(1e3 * float(np.percentile(late_s, 95)))}
    return figures


def measure_recall(folder: Path, n: int = 300, seed: int = 6, scenery: Scenery | None = None,
                   texts: Sequence[str] = (), recogniser: Recogniser | None = None) -> dict[str, Any]:
    """Recall by noise, of `n` stops drawn from the words or of `texts`; by an unknown synthesiser where it is installed.

    Of the spotter alone, as far as it is certain; with `recogniser`, of hearing as a whole.
    """
    spotter, scenery = Spotter(folder), scenery or Scenery()
    words = list(texts) or [one.said for one in stops(Random(seed), n)]
    rng = np.random.default_rng(seed)

    def recalled(said: Sequence[Said]) -> dict[str, Any]:
        return recall(spotter, said) if recogniser is None else heard_recall(spotter, recogniser, said)

    spoken = [(text, scenery.say(text, rng)) for text in words]
    figures: dict[str, Any] = {
        name: recalled([scenery.place(text, sound, snr_db, rng) for text, sound in spoken])
        for name, snr_db in SNRS.items()}
    if shutil.which("espeak-ng") and not texts:
        unknown = [(text, sound) for i, text in enumerate(words[:120])
                   if len(sound := espeak(text, _UNKNOWN_VOICES[i % len(_UNKNOWN_VOICES)])) > 2 * _EDGE_S * RATE_HZ]
        figures["10 dB, espeak-ng"] = recalled([scenery.place(text, sound, 10.0, rng) for text, sound in unknown])
    return figures


def espeak(text: str, voice: str) -> np.ndarray:
    """The text by espeak-ng, which knows kana alone, as float32 at RATE_HZ."""
    from jpai_agent.train.voice.speech import kana

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), kana(text)], check=True, capture_output=True)
        return trimmed(0.5 * read_wav(path))


def sounds(kind: str, seconds: float, seed: int, scenery: Scenery) -> Iterator[Sound]:
    """About `seconds` of one of KINDS in stretches of 20 to 40 s.

    talk: what is not for the robot; two: two people talk to each other; orders: instructions without a stop word; own: the
    robot's voice; alike: words that sound like stops.
    """
    rng, r = np.random.default_rng(seed), Random(seed)
    texts = _texts(kind, r)
    done_s = 0.0
    while done_s < seconds:
        count = int(rng.uniform(20, 40) * RATE_HZ)
        said: list[tuple[float, float, str]] = []
        if kind == "noise":
            colour = COLOURS[int(rng.integers(len(COLOURS)))]
            sound = scenery.surroundings.noise(count, rng) if colour == "babble" else make_noise(colour, count, rng)
            sound = sound * np.float32(10 ** (rng.uniform(-50, -10) / 20))
        elif kind == "music":
            sound = music(count, rng) * np.float32(10 ** (rng.uniform(-40, -10) / 20))
            sound = add_noise(sound, scenery.surroundings.noise(count, rng), rng.uniform(0, 30))
        else:
            sound, said = _talk(kind, count, texts, rng, scenery)
        done_s += count / RATE_HZ
        yield Sound(in_blocks(np.clip(sound, -1, 1).astype(np.float32)), tuple(said))


def _elsewhere() -> list[str]:
    return [line for line in lines_of(ELSEWHERE) if writable(written(line))]


def _texts(kind: str, r: Random) -> list[str]:
    if kind in ("talk", "two"):
        lines = [line for robot in ("cart", "car") for line in load_corpus(robot, held_out_authors(robot)).lines]
        asked = ["".join(part for part, _ in line.text) for line in lines
                 if line.meaning.reason == "not_understood" and not any(slot for _, slot in line.text)]
        found = [*_elsewhere(), *asked]
    elif kind == "orders":
        found = [one.said for robot in ("cart", "car") for one in from_corpus(robot, held_out_authors(robot), r, 1)]
    elif kind == "own":
        found = [one.said for one in own(r)]
    elif kind == "alike":
        found = [one.said for one in alike(r, 600)]
    else:
        return []
    found = [text for text in found if kind_of(text) == "other" and writable(written(text))]
    r.shuffle(found)
    return found


def _talk(kind: str, count: int, texts: list[str], rng: np.random.Generator, scenery: Scenery,
          ) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    sound = np.zeros(count, np.float32)
    said: list[tuple[float, float, str]] = []
    pair = rng.choice(len(HELD_OUT_VOICES), 2, replace=False)
    at, turn = int(rng.uniform(0, 1) * RATE_HZ), 0
    while at < count:
        voice = _ROBOT if kind == "own" else HELD_OUT_VOICES[int(pair[turn % 2 if kind == "two" else 0])]
        texts.append(texts.pop(0))
        spoken = scenery.say(texts[-1], rng, voice) * np.float32(10 ** (rng.uniform(-10, 0) / 20))
        spoken = spoken[: count - at]
        sound[at:at + len(spoken)] += spoken
        said.append((at / RATE_HZ, (at + len(spoken)) / RATE_HZ, texts[-1]))
        # two people answer at once, and now and then before the other has ended
        pause_s = rng.uniform(-0.5, 0.6) if kind == "two" else rng.uniform(0.2, 1.5)
        at, turn = max(at + 1, at + len(spoken) + int(pause_s * RATE_HZ)), turn + 1
    return scenery.surroundings.heard(sound, rng, (5.0, 40.0)), said


def false_stops(folder: Path, hours: float = 2.0, seed: int = 17, scenery: Scenery | None = None,
                tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """What the spotter alone takes for a stop in so much other sound, by its kind."""
    spotter, scenery = Spotter(folder), scenery or Scenery()
    figures: dict[str, Any] = {}
    total = 0
    for kind in KINDS:
        seconds = hours * 3600 * SHARES.get(kind, 0.1)
        spotter.reset()
        heard: list[str] = []
        done_s = 0.0
        for sound in sounds(kind, seconds, seed, scenery):
            heard += [spot.word for _, spot in spotter.scan(sound.samples) if spot.sureness == Sureness.CERTAIN]
            done_s += len(sound.samples) / RATE_HZ
        figures[kind] = {"minutes": round(done_s / 60, 1), "false_stops": len(heard), "heard": heard[:8]}
        total += len(heard) if kind in SHARES else 0
        tell(f"{kind}: {len(heard)} in {done_s / 60:.0f} min")
    return {"hours": hours, "false_stops": total, "by_kind": figures}
