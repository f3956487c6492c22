"""Says one thing after the other on a thread of its own, and falls silent at once when it is told to. No ROS."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from jpai_agent.voice.audio import AudioError, Samples
from jpai_agent.voice.manner import Manner
from jpai_agent.voice.speaker import FileSpeaker, Played, Speaker, open_speaker
from jpai_agent.voice.synthesis import Synthesiser

# of what waits to be said more is old news
_WAITING_MAX = 4
# files that somebody asked for
_ALL_KEPT = 1_000_000


class Synthesis(Protocol):
    """Makes speech."""

    def pieces(self, text: str) -> Iterator[Samples]:
        """As of a Synthesiser."""
        ...

    def kana(self, text: str) -> str:
        """As of a Synthesiser."""
        ...


class Talker:
    """The robot's mouth.

    Args:
        manner: How it speaks.
        out: Folder of WAV files: of all it says, where `only_files`, else of what no loudspeaker was there for.
        announce: Told what is being said, just before its first sound, and how that sounds in kana; ("", "") at its end.
        said: Told the words and what became of them.
        complain: Told what is amiss, in English: no voice extra, no loudspeaker.
        synthesis, speaker: Instead of those of the manner.

    What it needs is loaded on its thread; `loaded` is set once it speaks, or cannot.
    """

    def __init__(self, manner: Manner, out: Path, *, only_files: bool = False, announce: Callable[[str, str], Any],
                 said: Callable[[str, Played], Any] = lambda words, played: None,
                 complain: Callable[[str], Any] = lambda line: None,
                 synthesis: Callable[[Manner], Synthesis] | None = None,
                 speaker: Callable[[], tuple[Speaker, str]] | None = None) -> None:
        self.loaded = threading.Event()
        self._manner, self._announce, self._said, self._complain = manner, announce, said, complain
        self._synthesis = synthesis or _warm_synthesiser
        files, device = lambda: (FileSpeaker(out, kept=_ALL_KEPT), ""), lambda: open_speaker(manner.device, out)
        self._open: Callable[[], tuple[Speaker, str]] = speaker or (files if only_files else device)
        self._waiting: deque[str] = deque(maxlen=_WAITING_MAX)
        self._news = threading.Condition()
        self._ending = False
        self._speaker: Speaker | None = None
        self._saying = False
        self._hushed = False
        self._why = ""
        self._thread = threading.Thread(target=self._talk, name="jpai-speech", daemon=True)
        self._thread.start()

    def say(self, words: str) -> None:
        """Say this after what is being said."""
        with self._news:
            self._waiting.append(words)
            self._news.notify()

    def hush(self) -> None:
        """Be silent now, and forget what was to be said."""
        with self._news:
            self._waiting.clear()
            self._hushed = self._saying
            if self._saying and self._speaker is not None:
                self._speaker.stop()

    def close(self) -> None:
        """Fall silent for good."""
        with self._news:
            self._ending = True
            self._news.notify()
        self.hush()
        self._thread.join(timeout=2.0)
        if self._speaker is not None:
            self._speaker.close()

    def _talk(self) -> None:
        try:
            synthesis = self._synthesis(self._manner)
        except AudioError as error:
            self._complain(f"nothing is said aloud: {error}")
            return
        finally:
            self.loaded.set()
        while True:
            with self._news:
                self._saying = False
                self._news.wait_for(lambda: self._waiting or self._ending)
                if self._ending:
                    return
                words = self._waiting.popleft()
                self._saying, self._hushed = True, False
            self._say(synthesis, words)

    def _say(self, synthesis: Synthesis, words: str) -> None:
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True
            self._announce(words, synthesis.kana(words))

        try:
            speaker = self._loudspeaker()
            if self._hushed:
                return
            self._said(words, speaker.play(self._until_hushed(synthesis.pieces(words)), begin))
        except AudioError as error:
            self._complain(f"not said: {words} ({error})")
            if self._speaker is not None:
                self._speaker.close()
                self._speaker = None
        finally:
            if begun:
                self._announce("", "")

    def _until_hushed(self, pieces: Iterator[Samples]) -> Iterator[Samples]:
        for piece in pieces:
            if self._hushed:
                return
            yield piece

    def _loudspeaker(self) -> Speaker:
        """The loudspeaker; one that was not there is looked for again before each speech."""
        if self._speaker is None or self._why:
            found, why = self._open()
            if why and why != self._why:
                where = f"; speech goes to {found.folder}" if isinstance(found, FileSpeaker) else ""
                self._complain(f"{why}{where}")
            if self._speaker is None or not why:
                self._speaker = found
            self._why = why
        return self._speaker


def _warm_synthesiser(manner: Manner) -> Synthesiser:
    synthesiser = Synthesiser(manner)
    synthesiser.warm()
    return synthesiser
