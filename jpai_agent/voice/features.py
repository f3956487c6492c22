"""Log-mel features of speech, in numpy: the very same numbers in training and at run time.

25 ms windows every 10 ms at 16 kHz, 64 triangular mel bands from 60 to 7 600 Hz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import rfft

RATE_HZ = 16_000
WINDOW, HOP, FFT = 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ = 64, 60.0, 7_600.0
_FLOOR = 1e-7  # of a band's power; full scale is about 1e2


def log_mel(samples: np.ndarray) -> np.ndarray:
    """float32 (frames, BANDS), natural log of the bands' power. `samples`: float in [-1, 1] at RATE_HZ.

    A frame is centred every HOP samples from WINDOW / 2 on; fewer than WINDOW samples give one frame (zeros are added).
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    count = 1 + (len(samples) - WINDOW) // HOP
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[:: HOP][:count]
    spectrum = rfft(frames * _window(), FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(power @ _bank() + np.float32(_FLOOR)).astype(np.float32)


def prepared(samples: np.ndarray) -> np.ndarray:
    """What the recogniser hears of the samples: (frames, BANDS), over a floor 50 dB below the speech, normalised.

    A microphone always has such a floor and training gave it to all it heard; a file may hold none.
    """
    power = np.exp(log_mel(samples))
    level = power.sum(1)
    active = float(level[level >= level.max() * 1e-3].mean())
    return normalised(np.log(power + np.float32(active / BANDS * 1e-5)))


def normalised(features: np.ndarray) -> np.ndarray:
    """Each band with mean 0 and standard deviation 1 over the utterance: level and microphone drop out. (frames, BANDS)"""
    mean = features.mean(0, keepdims=True)
    spread = features.std(0, keepdims=True)
    return ((features - mean) / (spread + np.float32(0.1))).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return np.hanning(WINDOW).astype(np.float32)


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(FFT / 2 + 1, BANDS) float32: triangles of equal height, evenly spaced on the mel scale (HTK's formula)."""
    def mel(hz: np.ndarray) -> np.ndarray:
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))

    low, high = mel(np.array([LOW_HZ, HIGH_HZ])).tolist()
    edges = np.linspace(low, high, BANDS + 2)
    bins = mel(np.linspace(0, RATE_HZ / 2, FFT // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
