"""What lies between a mouth and the recogniser: rooms, noise, microphones, clipping. All in numpy, all seeded.

Signals are float32 (N,) at 16 kHz. An SNR is of the speech while somebody speaks against the noise all along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from jpai_agent.train.voice.speech import RATE_HZ

COLOURS: tuple[str, ...] = ("white", "pink", "brown", "hum", "fan", "babble", "rumble", "clatter")


def speech_power(samples: np.ndarray) -> float:
    """Mean square over the 20 ms frames within 30 dB of the loudest one: of the speech, not of the pauses."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    if not len(frames):
        return float(np.mean(samples**2)) if len(samples) else 0.0
    power = (frames.astype(np.float64) ** 2).mean(1)
    return float(power[power >= power.max() * 1e-3].mean())


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Speech with as many samples of the noise, scaled to this SNR."""
    part = noise[: len(samples)]
    power = float(np.mean(part.astype(np.float64) ** 2))
    if power <= 0.0:
        return samples
    gain = (speech_power(samples) / power / 10 ** (snr_db / 10)) ** 0.5
    return (samples + gain * part).astype(np.float32)


def make_noise(colour: str, count: int, rng: np.random.Generator, others: Sequence[np.ndarray] = ()) -> np.ndarray:
    """`count` samples of noise of one of COLOURS, mean square about 1. "babble" mixes `others` (other people's speech).

    fan: a band of noise with the tones of its blades; rumble: an engine's low harmonics with noise; clatter: knocks.
    """
    if colour == "babble" and others:
        sound = np.zeros(count)
        for _ in range(int(rng.integers(3, 8))):
            sound += _looped(others[int(rng.integers(len(others)))], count, rng) * rng.uniform(0.4, 1.0)
    elif colour in ("hum", "rumble", "fan"):
        base = {"hum": rng.choice((50.0, 60.0)), "rumble": rng.uniform(22, 60), "fan": rng.uniform(60, 240)}[colour]
        t = np.arange(count) / RATE_HZ
        wobble = 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.1, 0.6) * t + rng.uniform(0, 6))
        phase = 2 * np.pi * base * np.cumsum(wobble) / RATE_HZ
        fall = {"hum": 1.0, "rumble": 0.8, "fan": 1.3}[colour]
        sound = sum(np.sin(k * phase + rng.uniform(0, 6)) * rng.uniform(0.3, 1) / k**fall for k in range(1, 13))
        sound = _unit(np.asarray(sound)) + rng.uniform(0.2, 0.8) * _unit(_shaped(count, rng.uniform(-1.2, -0.3), rng))
    elif colour == "clatter":
        sound = 0.15 * _unit(_shaped(count, -0.5, rng))
        for at in rng.integers(0, max(count - 1, 1), max(1, int(count / RATE_HZ * rng.uniform(1, 4)))):
            n = min(int(rng.uniform(0.01, 0.12) * RATE_HZ), count - at)
            ring = np.exp(-np.arange(n) / (n / 5 + 1)) * (rng.normal(size=n) + 2 * np.sin(
                2 * np.pi * rng.uniform(300, 4000) * np.arange(n) / RATE_HZ))
            sound[at:at + n] += ring * rng.uniform(0.3, 2)
    else:
        sound = _shaped(count, {"white": 0.0, "pink": -0.5, "brown": -1.0, "babble": -0.5}[colour] + rng.normal(0, 0.1), rng)
    return _unit(sound).astype(np.float32)


def make_room(rng: np.random.Generator) -> np.ndarray:
    """An impulse response, float32, of a room that rings for 0.08 to 0.7 s: direct sound, a few reflections, a tail."""
    t60 = float(np.exp(rng.uniform(np.log(0.08), np.log(0.7))))
    count = int(min(t60, 0.5) * RATE_HZ)
    tail = rng.normal(size=count) * np.exp(-6.9 * np.arange(count) / (t60 * RATE_HZ))
    tail[: int(rng.uniform(0.002, 0.012) * RATE_HZ)] = 0.0
    # high frequencies die sooner: a one-pole low-pass over the tail
    dull = rng.uniform(0.0, 0.6)
    spectrum = rfft(tail)
    spectrum *= (1 - dull) / np.abs(1 - dull * np.exp(-1j * np.linspace(0, np.pi, len(spectrum))))
    tail = irfft(spectrum, count)
    for _ in range(int(rng.integers(1, 7))):
        tail[int(rng.uniform(0.001, 0.03) * RATE_HZ) % count] += rng.normal() * 2.0
    direct_db = rng.uniform(-2, 14)  # direct sound over all the rest
    tail *= 10 ** (-direct_db / 20) / (np.linalg.norm(tail) + 1e-9)
    tail[0] = 1.0
    return tail.astype(np.float32)


def make_microphone(rng: np.random.Generator) -> np.ndarray:
    """Gains (257,) at 0..8 kHz: a band (cheap ones hear 150 to 4000 Hz), a slope and a few gentle bumps."""
    hz = np.linspace(0, RATE_HZ / 2, 257)
    low, high = np.exp(rng.uniform(np.log(40), np.log(300))), np.exp(rng.uniform(np.log(3600), np.log(9000)))
    octaves = np.log2(np.maximum(hz, 20.0) / 1000)
    db = rng.normal(0, 2.0) * octaves
    for _ in range(3):
        db += rng.normal(0, 3.0) * np.exp(-((octaves - rng.uniform(-3, 3)) ** 2) / (2 * rng.uniform(0.2, 0.8) ** 2))
    db -= 12 * np.maximum(0, np.log2(low / np.maximum(hz, 10))) + 18 * np.maximum(0, np.log2(np.maximum(hz, 10) / high))
    return (10 ** (np.clip(db, -70, 20) / 20)).astype(np.float32)


def through(samples: np.ndarray, room: np.ndarray | None = None, microphone: np.ndarray | None = None) -> np.ndarray:
    """The samples as heard in a room by a microphone; as long as they were."""
    if room is None and microphone is None:
        return samples
    size = next_fast_len(len(samples) + (0 if room is None else len(room)), real=True)
    spectrum = rfft(samples.astype(np.float32), size)
    if room is not None:
        spectrum *= rfft(room, size)
    if microphone is not None:
        spectrum *= np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(microphone)), microphone)
    return irfft(spectrum, size)[: len(samples)].astype(np.float32)


def resampled(samples: np.ndarray, factor: float) -> np.ndarray:
    """Played `factor` times as fast: shorter and higher for > 1."""
    if factor == 1.0:
        return samples
    at = np.arange(0, len(samples) - 1, factor)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


@dataclass(frozen=True)
class Surroundings:
    """Rooms, microphones and stretches of noise to draw from. `noises` are by colour, each (n,) with mean square 1."""

    rooms: tuple[np.ndarray, ...]
    microphones: tuple[np.ndarray, ...]
    noises: tuple[tuple[str, np.ndarray], ...]

    @classmethod
    def draw(cls, seed: int, others: Sequence[np.ndarray] = (), rooms: int = 200, seconds: float = 30.0) -> Surroundings:
        """So many rooms and microphones, and `seconds` of each colour of noise twice; the same for the same seed."""
        rng = np.random.default_rng(seed)
        noises = [(colour, make_noise(colour, int(seconds * RATE_HZ), rng, others)) for colour in COLOURS * 2
                  if others or colour != "babble"]
        return cls(tuple(make_room(rng) for _ in range(rooms)), tuple(make_microphone(rng) for _ in range(rooms)),
                   tuple(noises))

    def noise(self, count: int, rng: np.random.Generator, colour: str = "") -> np.ndarray:
        """`count` samples of some noise, of this colour where one is given."""
        fit = [sound for name, sound in self.noises if not colour or name == colour]
        return _looped(fit[int(rng.integers(len(fit)))], count, rng)

    def heard(self, samples: np.ndarray, rng: np.random.Generator, snr_db: tuple[float, float] = (5.0, 40.0),
              room: float = 0.5, microphone: float = 0.7, noise: float = 0.8) -> np.ndarray:
        """The samples somewhere: room, noise (in it), microphone, gain, clipping; each with its chance.

        `snr_db`: range that the noise's is drawn from. Levels come out between about −40 and −1 dB of full scale.
        """
        if rng.random() < room:
            samples = through(samples, self.rooms[int(rng.integers(len(self.rooms)))])
        if rng.random() < noise:
            samples = add_noise(samples, self.noise(len(samples), rng), rng.uniform(*snr_db))
        if rng.random() < microphone:
            samples = through(samples, None, self.microphones[int(rng.integers(len(self.microphones)))])
        peak = float(np.abs(samples).max()) or 1.0
        samples = samples * (10 ** (rng.uniform(-40, -1) / 20) / peak)
        if rng.random() < 0.08:  # an overdriven input
            limit = float(np.abs(samples).max()) * rng.uniform(0.25, 0.8)
            samples = np.clip(samples, -limit, limit)
        return samples.astype(np.float32)


def _looped(sound: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    begin = int(rng.integers(len(sound)))
    return np.resize(np.roll(sound, -begin), count) if begin + count > len(sound) else sound[begin:begin + count]


def _shaped(count: int, power: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose amplitude goes with frequency to this power (−0.5 pink, −1 brown)."""
    spectrum = rfft(rng.normal(size=count).astype(np.float32))
    hz = np.maximum(np.linspace(0, RATE_HZ / 2, len(spectrum)), 20.0)
    return irfft(spectrum * (hz / 1000) ** power, count)


def _unit(sound: np.ndarray) -> np.ndarray:
    return np.asarray(sound / (np.sqrt(np.mean(np.asarray(sound, np.float64) ** 2)) + 1e-12))
