"""Say Japanese text with a synthetic voice: text → phonemes (pyopenjtalk) → 16 kHz samples, seeded."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import firwin, upfirdn

from jpai_agent.train.voice.readings import as_spoken
from jpai_agent.train.voice.voices import Voice, voice_file

RATE_HZ = 16_000
_ENGINES = 64  # HTS engines kept at a time; each holds its voice (about 1 MB) in memory
_FULL_SCALE = 32_768.0


class Speaker:
    """Speaks with any `Voice`. Not for several threads at once."""

    def __init__(self, folder: Path = Path(".cache/voice/voices")) -> None:
        """`folder`: where the changed voice files are kept."""
        self._folder = folder
        self._engines: OrderedDict[str, Any] = OrderedDict()
        self._taps = firwin(97, 7_600, fs=48_000)

    def say(self, text: str, voice: Voice, rng: np.random.Generator | None = None) -> np.ndarray:
        """float32 (N,) at RATE_HZ, about 0.1 s of near silence at both ends, peaks about 0.5.

        With `rng` the speed (±15 %) and the pitch (±1.5 half tones) differ from one sentence to the next, as a person's
        do; without, the same text always sounds the same. Raises ValueError where nothing of the text can be spoken.
        """
        labels = phonemes(text)
        if len(labels) < 3:
            raise ValueError(f"nothing to say in {text!r}")
        speed, half_tones = voice.speed, voice.half_tones
        if rng is not None:
            speed *= float(np.exp(np.clip(rng.normal(0, 0.07), -0.15, 0.15)))
            half_tones += float(np.clip(rng.normal(0, 0.8), -1.5, 1.5))
        engine = self._engine(voice)
        engine.set_speed(speed)
        engine.add_half_tone(half_tones)
        wide = engine.synthesize(labels)
        samples = upfirdn(self._taps, wide, down=3)[len(self._taps) // 6:][: len(wide) // 3] / _FULL_SCALE
        peak = float(np.abs(samples).max())
        if peak > 0.0:
            samples *= 0.5 / peak
        return samples.astype(np.float32)

    def _engine(self, voice: Voice) -> Any:
        from pyopenjtalk.htsengine import HTSEngine

        if voice.name in self._engines:
            self._engines.move_to_end(voice.name)
        else:
            self._engines[voice.name] = HTSEngine(str(voice_file(voice, self._folder)).encode())
            if len(self._engines) > _ENGINES:
                self._engines.popitem(last=False)
        return self._engines[voice.name]


def phonemes(text: str) -> list[str]:
    """Full-context labels of the text, read as `readings.as_spoken` says. [] where it has nothing to say."""
    import pyopenjtalk

    spoken = as_spoken(text)
    return pyopenjtalk.make_label(pyopenjtalk.run_frontend(spoken)) if spoken.strip() else []


def kana(text: str) -> str:
    """How the text is read, in katakana, as `Speaker` says it."""
    import pyopenjtalk

    read = pyopenjtalk.g2p(as_spoken(text), kana=True)
    return read if isinstance(read, str) else "".join(read)
