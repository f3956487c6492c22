"""Where somebody speaks: a voice detector over blocks of sound, and utterances cut out of what it finds."""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jpai_agent.voice.audio import BLOCK_S, BLOCK_SAMPLES, INSTALL, RATE_HZ, AudioError, Block, Samples

# (BLOCK_SAMPLES,) -> how likely somebody speaks in it, 0 to 1; blocks come in order and without gaps
Detector = Callable[[Samples], float]

_SILERO_FILE = "silero_vad_16k_op15.onnx"
# samples before a block that Silero's 16 kHz model reads with it
_CONTEXT = 64


class Silero:
    """Silero VAD 6 (snakers4/silero-vad, MIT) in ONNX Runtime, from the file in its package, without importing it or torch."""

    def __init__(self, file: Path | None = None) -> None:
        """file: The model; that of the package when left out. Raises AudioError where it is not there."""
        import onnxruntime

        path = file or silero_file()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own kinds of errors have no common name
            raise AudioError(f"{path} is no voice detector: {error}") from error
        self._rate = np.array(RATE_HZ, np.int64)
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), np.float32)
        self._context: Samples = np.zeros(_CONTEXT, np.float32)

    def __call__(self, samples: Samples) -> float:
        """As of any detector."""
        whole = np.concatenate([self._context, samples])[None]
        likely, self._state = self._session.run(None, {"input": whole, "state": self._state, "sr": self._rate})
        self._context = samples[-_CONTEXT:]
        return float(likely[0, 0])


def silero_file() -> Path:
    """The detector's file. Raises AudioError where the voice extra is not installed."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise AudioError(f"the voice extra is not installed (no package silero-vad): {INSTALL}")
    return Path(found.origin).parent / "data" / _SILERO_FILE


@dataclass(frozen=True)
class CutConfig:
    """How utterances are cut.

    Attributes:
        begins, goes_on: From which likelihood on somebody begins to speak, and above which they have not ended.
        sure_blocks: Blocks in a row that begin an utterance.
        silence_s: How long nobody speaks before an utterance has ended.
        short_s, short_silence_s: The same for one with less speech than this: after 違う or えっと more is to come.
        before_s: Sound before its begin that belongs to it.
        shortest_s: Less speech than this is a click or a cough.
        longest_s: Speech that goes on for longer is no instruction; it is cut off there.
    """

    begins: float = 0.5
    goes_on: float = 0.35
    sure_blocks: int = 2
    silence_s: float = 0.4
    short_s: float = 0.7
    short_silence_s: float = 0.6
    before_s: float = 0.3
    shortest_s: float = 0.15
    longest_s: float = 15.0


@dataclass(frozen=True)
class Utterance:
    """What was said between two silences.

    Attributes:
        samples: (N,), with a little before and the silence after it.
        begin_s, end_s: When the speech itself began and ended, on the clock of the blocks.
        whole: False where it was cut off.
    """

    samples: Samples
    begin_s: float
    end_s: float
    whole: bool = True


class Segmenter:
    """Cuts utterances out of blocks.

    Attributes:
        speaking: True while one is under way. begin_s, end_s: When its speech began, and was last heard.
    """

    def __init__(self, detector: Detector, config: CutConfig | None = None) -> None:
        self.config = config or CutConfig()
        self.speaking = False
        self.begin_s = 0.0
        self._detector = detector
        self._before: deque[Block] = deque(maxlen=round(self.config.before_s / BLOCK_S) + self.config.sure_blocks)
        self._blocks: list[Block] = []
        self._loud = 0
        self.end_s = 0.0
        self._spoken_s = 0.0
        # an utterance was cut off and has not ended yet
        self._overrun = False

    def feed(self, block: Block) -> Utterance | None:
        """Take the next block; an utterance once it has ended, or has become too long."""
        likely = self._detector(block.samples)
        if not self.speaking:
            self._before.append(block)
            self._loud = self._loud + 1 if likely >= self.config.begins else 0
            if self._loud >= self.config.sure_blocks:
                self._begin(block)
            return None
        if not self._overrun:
            self._blocks.append(block)
        if likely >= self.config.goes_on:
            self.end_s = block.time_s + BLOCK_S
            self._spoken_s += BLOCK_S
        elif block.time_s + BLOCK_S - self.end_s >= self._silence_s - BLOCK_S / 2:
            ended = self.flush()
            # what was said last may belong to what is said next
            self._before.extend(self._blocks[-(self._before.maxlen or 0):])
            return ended
        if self.end_s - self.begin_s > self.config.longest_s and not self._overrun:
            self._overrun = True
            return self._cut(whole=False)
        return None

    def flush(self) -> Utterance | None:
        """What was under way, ended here; nothing of it belongs to the next."""
        if not self.speaking:
            return None
        self.speaking, self._loud = False, 0
        ended = None if self._overrun or self._spoken_s < self.config.shortest_s else self._cut(whole=True)
        self._overrun = False
        return ended

    @property
    def _silence_s(self) -> float:
        short = self._spoken_s < self.config.short_s
        return max(self.config.silence_s, self.config.short_silence_s) if short else self.config.silence_s

    def so_far(self) -> Samples:
        """(N,) What has been said of the utterance that is under way, or was the last."""
        return np.concatenate([block.samples for block in self._blocks]) if self._blocks else np.zeros(0, np.float32)

    def _begin(self, block: Block) -> None:
        self.speaking, self._blocks = True, list(self._before)
        self._before.clear()
        self.begin_s = block.time_s - (self.config.sure_blocks - 1) * BLOCK_S
        self.end_s = block.time_s + BLOCK_S
        self._spoken_s = self.config.sure_blocks * BLOCK_S

    def _cut(self, whole: bool) -> Utterance:
        return Utterance(self.so_far(), self.begin_s, self.end_s, whole)


def silence(seconds: float) -> Samples:
    """(N,) whole blocks of nothing."""
    return np.zeros(round(seconds / BLOCK_S) * BLOCK_SAMPLES, np.float32)
