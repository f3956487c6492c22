"""How the robot hears, from config/hearing.yaml, and its ear: a source of sound listened to until it ends or is closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jpai_agent.language import stop_word
from jpai_agent.voice.activity import CutConfig, Segmenter, Silero
from jpai_agent.voice.addressee import Addressee, AddresseeError
from jpai_agent.voice.audio import AudioError, Block, Source
from jpai_agent.voice.hearing import Dropped, Event, Heard, Hearing, HearingConfig, OwnVoice, StopSpotter, Unsure, at_once
from jpai_agent.voice.recogniser import EMBEDDED, RecogniserError, load_recogniser
from jpai_agent.voice.settings import check_numbers, load_settings
from jpai_agent.voice.spotter import Spotter, SpotterError
from jpai_agent.world.paths import resource

_RANGES = {"sure": (0.0, 1.0), "floor": (0.0, 1.0), "aside": (0.0, 1.0), "silence_s": (0.1, 3.0)}
# how often a device that is gone is looked for
AGAIN_S = 3.0


@dataclass(frozen=True)
class EarConfig:
    """How the robot hears.

    Attributes:
        device: A part of the microphone's name or its number; "": the system's. recogniser: As `load_recogniser` takes it.
        wake_words, sure, floor, aside: As of HearingConfig. silence_s: As of CutConfig.

    Raises:
        ValueError: A value is of another kind or out of its range; says which.
    """

    device: str = ""
    recogniser: str = EMBEDDED
    wake_words: Sequence[str] = field(default_factory=tuple)
    sure: float = 0.75
    floor: float = 0.4
    aside: float = 0.5
    silence_s: float = 0.4

    def __post_init__(self) -> None:
        check_numbers(self, _RANGES, "hearing")
        if type(self.device) is int:
            object.__setattr__(self, "device", str(self.device))
        for name in ("device", "recogniser"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} of hearing must be a text, not {getattr(self, name)!r}")
        words = self.wake_words
        if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(w, str) and w.strip() for w in words):
            raise ValueError(f"wake_words of hearing must be a list of names, not {words!r}")


def load_ear_config(path: Path | None = None, **instead: Any) -> EarConfig:
    """The settings of a file, by default config/hearing.yaml; what is given `instead` and is not None takes its place.

    Raises ValueError naming the file and what is wrong in it, or what is wrong with what was given.
    """
    return load_settings(EarConfig, path or resource("config", "hearing.yaml"), instead)


def load_hearing(config: EarConfig, *, complain: Callable[[str], Any], hints: Sequence[str] = (), own: OwnVoice | None = None,
                 vehicle: bool = False, moving: Callable[[], bool] = lambda: False, beside: ThreadPoolExecutor | None = None,
                 ) -> Hearing:
    """Hearing with its models loaded. Raises AudioError and RecogniserError where one that it cannot do without is missing.

    Args:
        complain: Is told when stop words are not heard by themselves, and then found in what is written down, and when talk is
            not told from orders.
        beside: Where the recogniser works; here and now when left out.
    """
    segmenter = Segmenter(Silero(), CutConfig(silence_s=config.silence_s))
    spotter: StopSpotter | None = None
    try:
        spotter = Spotter(resource("models", "voice"))
    except SpotterError as error:
        complain(f"stop words are heard only once a sentence has ended: {error}")
    judging = HearingConfig(sure=config.sure, floor=config.floor, aside=config.aside, wake_words=tuple(config.wake_words))
    meant: Callable[[str], float] | None = None
    try:
        meant = Addressee(resource("models", "voice"))
    except AddresseeError as error:
        complain(f"talk beside the robot is not told from orders: {error}")
    return Hearing(segmenter, load_recogniser(config.recogniser), hints=hints, spotter=spotter, own=own, vehicle=vehicle,
                   config=judging, meant=meant, moving=moving, submit=beside.submit if beside is not None else at_once)


class Ear:
    """Listens in a thread of its own; a source that is lost is opened again as soon as it is there.

    Args:
        load: Gives the hearing; called in the thread, for models take their time.
        open_source: Opens the source of sound.
        tell: Is told every event, with the hearing's clock; begins and ends of a person's speech by `voice`.
        complain: Is told what is missing or lost, once each time.
        again_s: How long after a loss the source is opened again; None: it ends there, and with the source itself.
    """

    def __init__(self, load: Callable[[], Hearing], open_source: Callable[[], Source], *, tell: Callable[[Event, float], Any],
                 voice: Callable[[bool], Any], complain: Callable[[str], Any], again_s: float | None = AGAIN_S) -> None:
        self._load, self._open, self._again_s = load, open_source, again_s
        self._tell, self._voice, self._complain = tell, voice, complain
        self._inbox: queue.SimpleQueue[Callable[[Hearing], list[Event]]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._source: Source | None = None
        self._now_s = 0.0
        self._speaking = False
        self._told = ""
        # it listens, or knows that it cannot
        self.settled = threading.Event()
        self.listens = False
        self._thread = threading.Thread(target=self.listen, name="jpai-ear", daemon=True)

    def start(self) -> None:
        """Begin to listen, once."""
        if self._thread.ident is None:
            self._thread.start()

    @property
    def ended(self) -> bool:
        """True once it will not listen any more."""
        return self.settled.is_set() and not self._thread.is_alive()

    def close(self) -> None:
        """End it."""
        self._ending.set()
        if self._source is not None:
            self._source.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def do(self, work: Callable[[Hearing], list[Event]]) -> None:
        """Have something done between two blocks, in the ear's thread."""
        self._inbox.put(work)

    def listen(self) -> None:
        """Listen, here, until the source ends or `close` is called."""
        try:
            hearing = self._load()
            while not self._ending.is_set():
                if self._listen_once(hearing) or self._again_s is None:
                    break
                self._ending.wait(self._again_s)
        except (AudioError, RecogniserError) as error:
            self._complain(str(error))
        except Exception as error:  # models and devices come with errors of any kind, and nobody waits for this thread
            self._complain(f"nothing is heard any more: {type(error).__name__}: {error}")
        finally:
            self.listens = False
            self.settled.set()

    def _listen_once(self, hearing: Hearing) -> bool:
        """Listen until the source ends (True) or is lost (False)."""
        begin_s = self._now_s
        try:
            self._source = self._open()
            self._told, self.listens = "", True
            self.settled.set()
            for block in self._source.blocks():
                self._take(hearing, Block(begin_s + block.time_s, block.samples))
        except AudioError as error:
            self.listens = False
            if str(error) != self._told:
                self._told = str(error)
                self._complain(self._told)
            self.settled.set()
            # now: the next block may come minutes later
            self._pass_on([_cut_off(event) for event in hearing.finish()], False)
            return False
        finally:
            if self._source is not None:
                self._source.close()
        self._pass_on(hearing.finish(), False)
        return True

    def _take(self, hearing: Hearing, block: Block) -> None:
        events: list[Event] = []
        while not self._inbox.empty():
            events += self._inbox.get()(hearing)
        events += hearing.feed(block)
        self._now_s = hearing.now_s
        self._pass_on(events, hearing.voice)

    def _pass_on(self, events: list[Event], voice: bool) -> None:
        for event in events:
            self._tell(event, self._now_s)
        if voice != self._speaking:
            self._speaking = voice
            self._voice(voice)


def _cut_off(event: Event) -> Event:
    """What becomes of words whose end may be missing (前に進… may have been 前に進まないで): only stops are taken."""
    if isinstance(event, Heard | Unsure) and not stop_word(event.text, True):
        return Dropped(event.text, event.confidence, event.begin_s, event.end_s, "cut_off")
    return event
