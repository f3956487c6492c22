"""How the robot speaks: loudness, speed, pitch, loudspeaker and the readings of one's own words, from config/speech.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jpai_agent.voice.settings import check_numbers, load_settings
from jpai_agent.world.paths import resource

_RANGES = {"volume": (0.0, 2.0), "speed": (0.5, 2.0), "half_tones": (-12.0, 12.0)}
_KANA = re.compile(r"[ぁ-ゖァ-ヺー、]+")


@dataclass(frozen=True)
class Manner:
    """A manner of speaking.

    Attributes:
        volume: 1 as speech usually is, 0 silent, at most 2. speed: 0.5 to 2. half_tones: higher or lower, -12 to 12.
        device: A part of the loudspeaker's name or its number; "": the system's.
        readings: How words are read, in kana.

    Raises:
        ValueError: A value is out of its range; says which.
    """

    volume: float = 1.0
    speed: float = 1.0
    half_tones: float = 0.0
    device: str = ""
    readings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_numbers(self, _RANGES, "speech")
        if type(self.device) is int:
            object.__setattr__(self, "device", str(self.device))
        if not isinstance(self.device, str):
            raise ValueError(f"device of speech must be a text, not {self.device!r}")
        if not isinstance(self.readings, Mapping):
            raise ValueError(f"readings of speech must be words with their kana, not {self.readings!r}")
        for word, kana in self.readings.items():
            if not isinstance(word, str) or not word or not isinstance(kana, str) or not _KANA.fullmatch(kana):
                raise ValueError(f"readings of speech must be words with their kana, not {word!r}: {kana!r}")


def load_manner(path: Path | None = None, **instead: Any) -> Manner:
    """The manner of a file, by default config/speech.yaml; what is given `instead` and is not None takes its place.

    Raises ValueError naming the file and what is wrong in it, or what is wrong with what was given.
    """
    return load_settings(Manner, path or resource("config", "speech.yaml"), instead)
