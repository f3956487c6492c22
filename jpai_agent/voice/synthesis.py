"""Speech of text: Open JTalk with the voice "mei_normal", breath group by breath group, so that the first sound comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jpai_agent.voice.audio import AudioError, Samples
from jpai_agent.voice.manner import Manner
from jpai_agent.voice.reading import reading, sentences

RATE_HZ = 48_000
ATTRIBUTION = ('HTS Voice "Mei" (mei_normal), Copyright (c) 2009-2013 Nagoya Institute of Technology, Department of Computer '
               "Science; released by the MMDAgent Project Team under CC BY 3.0")
ATTRIBUTION_JA = "音声: HTS Voice “Mei” (mei_normal)、名古屋工業大学、CC BY 3.0"

# readings come from its dictionary and our table alone: Sudachi's guesses cost 120 MB
_BY_DICTIONARY = {"use_sudachi_kanji_yomi": False, "predict_nani": False}
# active speech at volume 1: -18 dB of full scale, so that its peaks stay below it
_LEVEL = 0.126
# peaks above this are rounded off
_KNEE = 0.85
# one frame of the envelope, as the vocoder's
_FRAME = 240
_LEAD_S, _FADE_S = 0.03, 0.005
# a longer breath group begins with this many of its sounds alone: about a second of speech
_OPENING_LABELS = 14
# the opening may end after this share of its frames, and so many before its end; then its loudness slides to the whole's
_JOIN_FROM, _JOIN_BEFORE_END, _SLIDE_S = 0.55, 16, 0.4


class Synthesiser:
    """Makes speech. One at a time speaks: calls from several threads wait for each other within a breath group.

    Open JTalk's engine makes a breath group whole or not at all, at a twentieth of its length. So a long first group is made
    twice: its opening alone, which is given away at once, and whole while that sounds. They are joined where the opening is
    quietest, before a plosive as a rule. Only at the voice's own speed do its sounds last as long in both.
    """

    def __init__(self, manner: Manner | None = None) -> None:
        """Raises AudioError where the voice extra is not installed."""
        self.manner = manner or Manner()
        self._openjtalk = openjtalk()

    def warm(self) -> None:
        """Load dictionary and voice, which else the first words wait for."""
        for _ in self.pieces("はい。"):
            pass

    def pieces(self, text: str) -> Iterator[Samples]:
        """Speech of `text`, piece by piece as it is made: (N,) float32 in [-1, 1] at RATE_HZ. None where nothing has a sound."""
        for number, sentence in enumerate(sentences(text)):
            words = reading(sentence, self.manner.readings)
            if words:
                yield from self._sentence(words, number == 0)

    def speech(self, text: str) -> Samples:
        """All of the speech of `text` in one piece."""
        return np.concatenate([np.zeros(0, np.float32), *self.pieces(text)])

    def kana(self, text: str) -> str:
        """How `text` is pronounced, in katakana with 、。！？."""
        said = (reading(sentence, self.manner.readings) for sentence in sentences(text))
        return "".join(self._openjtalk.g2p(words, kana=True, **_BY_DICTIONARY) for words in said if words)

    def _sentence(self, words: str, first: bool) -> Iterator[Samples]:
        labels = self._openjtalk.make_label(self._openjtalk.run_frontend(words, **_BY_DICTIONARY))
        groups = _breath_groups(labels)
        for index, group in enumerate(groups):
            if first and index == 0 and self.manner.speed == 1.0 and len(group) > _OPENING_LABELS + 4:
                yield from self._opened(group)
                continue
            sound = self._sound(group)
            yield self._at_volume(_edged(_from_onset(sound) if index == 0 else sound), _gain(sound))

    def _opened(self, group: list[str]) -> Iterator[Samples]:
        opening = self._sound(group[:_OPENING_LABELS])
        end = _quietest(opening)
        gain = _gain(opening[:end])
        yield self._at_volume(_edged(_from_onset(opening[:end])), gain)
        # sound for sound as long as in the opening, but levelled by the engine over its whole length
        whole = self._sound(group)
        there = gain * _rms(opening[:end]) / max(_rms(whole[:end]), 1e-9)
        rest = _edged(whole[end:])
        yield self._at_volume(rest, np.interp(np.arange(len(rest)), (0, _SLIDE_S * RATE_HZ), (there, _gain(whole))))

    def _sound(self, labels: list[str]) -> np.ndarray:
        """(N,) float64 as the engine gives it."""
        return self._openjtalk.synthesize(labels, self.manner.speed, self.manner.half_tones)[0]

    def _at_volume(self, sound: np.ndarray, gain: float | np.ndarray) -> Samples:
        # hundreds of like sounds in a row burst the engine's filter
        level = np.nan_to_num(sound * (gain * self.manner.volume), posinf=0.0, neginf=0.0)
        over = np.maximum(np.abs(level) - _KNEE, 0.0)
        rounded = _KNEE + (1.0 - _KNEE) * np.tanh(over / (1.0 - _KNEE))
        return np.where(over > 0.0, np.sign(level) * rounded, level).astype(np.float32)


def openjtalk() -> Any:
    """The module pyopenjtalk. Raises AudioError where the voice extra is not installed."""
    try:
        import pyopenjtalk
    except ImportError as error:
        raise AudioError(f"the voice extra is not installed ({error}): pip install 'jpai_agent[voice]'") from error
    return pyopenjtalk


def _breath_groups(labels: list[str]) -> list[list[str]]:
    """Full-context labels cut after each pause."""
    ends = [at + 1 for at, label in enumerate(labels) if "-pau+" in label] + [len(labels)]
    groups = [labels[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    return [group for group in groups if group]


def _envelope(sound: np.ndarray) -> np.ndarray:
    """(frames,) root mean square."""
    frames = len(sound) // _FRAME
    return np.sqrt(np.square(sound[: frames * _FRAME].reshape(frames, _FRAME)).mean(axis=1))


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.square(sound).mean())) if len(sound) else 0.0


def _gain(sound: np.ndarray) -> float:
    """What brings the speech in a sound to _LEVEL; its pauses do not count."""
    envelope = _envelope(sound)
    active = envelope[envelope > 0.1 * envelope.max(initial=0.0)]
    return _LEVEL / float(np.sqrt(np.square(active).mean())) if len(active) else 0.0


def _from_onset(sound: np.ndarray) -> np.ndarray:
    """The sound without the silence before it, up to _LEAD_S."""
    envelope = _envelope(sound)
    onset = int(np.argmax(envelope > 0.02 * envelope.max(initial=0.0))) * _FRAME
    return sound[max(0, onset - round(_LEAD_S * RATE_HZ)):]


def _edged(sound: np.ndarray) -> np.ndarray:
    """The sound with soft edges."""
    edge = min(round(_FADE_S * RATE_HZ), len(sound) // 2)
    shaped = sound.copy()
    if edge:
        ramp = np.linspace(0.0, 1.0, edge)
        shaped[:edge] *= ramp
        shaped[-edge:] *= ramp[::-1]
    return shaped


def _quietest(opening: np.ndarray) -> int:
    """The sample at which an opening is quietest, late in it but not at its end, which knows nothing of what follows."""
    envelope = _envelope(opening)
    first = int(len(envelope) * _JOIN_FROM)
    last = max(first + 1, len(envelope) - _JOIN_BEFORE_END)
    return (first + int(np.argmin(envelope[first:last]))) * _FRAME
