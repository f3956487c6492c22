"""Hearing as a whole, over blocks of sound: what was said, what stops the robot at once, and what is not taken. No devices."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jpai_agent.language import only_stop, stop_word
from jpai_agent.language.stop import fold
from jpai_agent.voice.activity import Segmenter, Utterance
from jpai_agent.voice.audio import BLOCK_S, RATE_HZ, Block, Samples
from jpai_agent.voice.inventions import invented
from jpai_agent.voice.letters import distance
from jpai_agent.voice.recogniser import Recogniser, RecogniserError, Transcript
from jpai_agent.voice.spotter import Spot, Sureness

# 行ってくださいね, 曲がってもらえますか, お願い; not お願いしたい … けど
_ENDS = re.compile("(?:ください|下さい|くれ(?:る|ん|へん|ます|ません)?|(?:もらえ|いただけ|頂け)(?:る|ます|ません)?|ちょうだい|"
                   "頂戴|(?:お願い|おねがい)(?:します|いたします|致します)?|よろしく|なさい)[かねよな]*$")
# letters of an utterance that was cut off
_CUT_OFF = 2


@dataclass(frozen=True)
class Event:
    """Something heard. Times are on the clock of the blocks, of the speech itself."""

    text: str
    confidence: float
    begin_s: float
    end_s: float


class StopHeard(Event):
    """Stop at once: `text` is the word, or the sentence in which it was found."""


class Heard(Event):
    """An instruction, or an answer."""


class Unsure(Event):
    """Probably an instruction: to be read back before it is done."""


class PersonSpeaks(Event):
    """Somebody speaks while the robot does: it should be silent."""


@dataclass(frozen=True)
class Dropped(Event):
    """Not taken.

    `why` is too_long, stale, nothing, own_voice, no_wake_word, aside (said to somebody else), invention, unclear or cut_off (its
    microphone was lost); stopped, where all that was certain was the stop; failed, with the fault as text.
    """

    why: str = ""


class StopSpotter(Protocol):
    """Hears stop words by themselves."""

    def feed(self, samples: Samples) -> Spot | None:
        """The stop word that has ended in this block, (BLOCK_SAMPLES,); blocks come in order and without gaps."""
        ...


class OwnVoice(Protocol):
    """Knows what the robot itself is saying."""

    @property
    def speaking(self) -> bool:
        """True while the robot's own speech is in the air."""
        ...

    def says(self, text: str, begin_s: float | None = None, end_s: float | None = None) -> bool:
        """Whether this, heard from `begin_s` to `end_s` or just now, is what it is saying or has just said, or a part of it."""
        ...


@dataclass(frozen=True)
class HearingConfig:
    """What is taken.

    Attributes:
        sure: From this confidence on an instruction is taken as it is. floor: below it, it is dropped.
        stop_floor: From this confidence on a stop word within a sentence stops. alone_floor: one that is all that was said, and
            that the spotter suspected. unsuspected_floor: one that it did not.
        aside: What is less likely than this to be meant for the robot is dropped, unless a wake word begins it. Never a stop.
        wake_words: Names that an instruction must begin with; empty: none is needed. A stop never needs one.
        attends_s: How long after `attend` no wake word is needed.
        stale_s: An instruction that a slow recogniser gives later than this after its end is dropped.
        alone_s: A stop word that ends so soon after the begin of the speech stands at its beginning.
        sentence_s: Speech that has gone on for so long is no sentence in which a stop word may be the end of an order.
        again_s: While the robot speaks, how often it is looked whether somebody else does.
        pause_s: After so much silence an utterance is written down; where it has come to an end by its words, or is a stop, it
            ends there.
        suspected_s: A stop word that is likely is looked for in what was written down of the last so many seconds; one that is
            only suspected needs alone_floor as well.
    """

    sure: float = 0.75
    floor: float = 0.4
    stop_floor: float = 0.3
    alone_floor: float = 0.1
    unsuspected_floor: float = 0.6
    aside: float = 0.5
    wake_words: Sequence[str] = ()
    attends_s: float = 10.0
    stale_s: float = 10.0
    alone_s: float = 1.6
    sentence_s: float = 6.0
    again_s: float = 0.5
    pause_s: float = 0.2
    suspected_s: float = 3.0


@dataclass
class _Job:
    utterance: Utterance
    done: Future[Transcript]
    partial: bool = False
    # how sure it is that a stop word has ended at its end
    suspected: Sureness | None = None
    # the spotter has stopped the robot within it; it has suspected a stop, or there is none
    stopped: bool = False
    spotted: bool = True


def at_once(work: Callable[[], Transcript]) -> Future[Transcript]:
    """Do the work here and now; what it raises is the future's."""
    done: Future[Transcript] = Future()
    try:
        done.set_result(work())
    except RecogniserError as error:
        done.set_exception(error)
    return done


class Hearing:
    """Feed it every block; it tells what was heard. `now_s` is the end of the last one, on the clock of the blocks.

    Args:
        segmenter: Cuts utterances.
        recogniser: Writes them down. hints: Words that are likely.
        spotter: Hears stop words; without one they are found in what was written down.
        own: Knows what the robot says; None where it does not speak.
        meant: How likely it is that a text was said to the robot; without it all is taken to be.
        moving: Tells whether the robot moves; then a stop word within a sentence stops it too.
        vehicle: It is a car, which is told where to stop while it drives (language.stop).
        submit: Does the recogniser's work, one after the other; here and now unless given.
    """

    def __init__(self, segmenter: Segmenter, recogniser: Recogniser, *, hints: Sequence[str] = (),
                 spotter: StopSpotter | None = None, own: OwnVoice | None = None, vehicle: bool = False,
                 config: HearingConfig | None = None, meant: Callable[[str], float] | None = None,
                 moving: Callable[[], bool] = lambda: False,
                 submit: Callable[[Callable[[], Transcript]], Future[Transcript]] = at_once) -> None:
        self.config = config or HearingConfig()
        self._segmenter, self._recogniser, self._hints = segmenter, recogniser, tuple(hints)
        self._spotter, self._own, self._vehicle, self._submit = spotter, own, vehicle, submit
        self._meant, self._moving = meant, moving
        self._jobs: list[_Job] = []
        self.now_s = 0.0
        self._attends_until_s = float("-inf")
        self._stopped = self._spotted_lately = False
        self._looked_s = 0.0
        # what has been written down in the present pause, and where the speech before it ended
        self._paused: Future[Transcript] | None = None
        self._paused_s = 0.0
        self._lately: deque[Samples] = deque(maxlen=round(self.config.suspected_s / BLOCK_S))

    @property
    def voice(self) -> bool:
        """True while somebody other than the robot speaks, as far as that is known before the words are."""
        return self._segmenter.speaking and not (self._own is not None and self._own.speaking)

    def attend(self) -> None:
        """The robot has spoken: what is said next is said to it, also without its wake word."""
        self._attends_until_s = self.now_s + self.config.attends_s

    def feed(self, block: Block) -> list[Event]:
        """What has become known with this block."""
        spoke = self._segmenter.speaking
        self.now_s = block.time_s + BLOCK_S
        self._lately.append(block.samples)
        events = self._spotted(block)
        utterance = self._segmenter.feed(block)
        if self._segmenter.speaking and not spoke:
            self._looked_s = self._segmenter.begin_s
        if utterance is not None:
            events += self._ended(utterance)
        elif self._segmenter.speaking:
            self._look_who_speaks()
            events += self._paused_here()
        return events + self._written(wait=False)

    def split(self) -> list[Event]:
        """The robot has ended its own speech: what is said from here on is another utterance."""
        utterance = self._segmenter.flush()
        return self._ended(utterance) if utterance is not None else []

    def finish(self) -> list[Event]:
        """The sound has ended: all that is still to be told."""
        return self.split() + self._written(wait=True)

    def _spotted(self, block: Block) -> list[Event]:
        spot = self._spotter.feed(block.samples) if self._spotter is not None else None
        if spot is None:
            return []
        self._spotted_lately = True
        if spot.sureness < Sureness.CERTAIN or (self._own is not None and self._own.speaking):
            # the robot's own words may sound like one: what was written down of it tells, some hundredths of a second later
            self._look(np.concatenate(self._lately), spot.sureness)
            return []
        word, under_way = spot.word, self._segmenter.speaking
        begin_s = self._segmenter.begin_s if under_way else self.now_s
        within = self.config.alone_s < self.now_s - begin_s < self.config.sentence_s
        if self._vehicle and word.endswith("て") and within:
            # コンビニの前で停めて is where a ride ends: only the whole sentence tells
            return []
        self._stopped = under_way
        return [StopHeard(word, 1.0, begin_s, self.now_s)]

    def _ended(self, utterance: Utterance) -> list[Event]:
        stopped, self._stopped = self._stopped, False
        spotted, self._spotted_lately = self._spotted_lately or self._spotter is None, False
        if not utterance.whole:
            self._look(utterance.samples, Sureness.SUSPECTED)
            return [Dropped("", 0.0, utterance.begin_s, utterance.end_s, "too_long")]
        known = self._paused if self._paused_s == utterance.end_s else None
        self._jobs.append(_Job(utterance, known or self._transcribe(utterance.samples), stopped=stopped, spotted=spotted))
        return []

    def _paused_here(self) -> list[Event]:
        """In a pause, have what was said written down; an utterance whose words have come to an end has ended."""
        end_s = self._segmenter.end_s
        if self.now_s - end_s < self.config.pause_s - BLOCK_S / 2 or (self._own is not None and self._own.speaking):
            return []
        if self._paused_s != end_s:
            self._paused, self._paused_s = self._transcribe(self._segmenter.so_far()), end_s
        if self._paused is None or not self._paused.done() or self._paused.exception() is not None:
            return []
        text, confidence = self._paused.result().text.strip(), self._paused.result().confidence
        if only_stop(text) and confidence >= self._alone_floor(self._spotted_lately or self._spotter is None):
            return self.split()
        long_enough = end_s - self._segmenter.begin_s >= self._segmenter.config.short_s
        return self.split() if long_enough and confidence >= self.config.sure and ends(text) else []

    def _alone_floor(self, spotted: bool) -> float:
        """From which confidence on a stop that is all that was said stops."""
        return self.config.alone_floor if spotted else self.config.unsuspected_floor

    def _look_who_speaks(self) -> None:
        """While the robot speaks, have what is heard meanwhile written down again and again."""
        if self._own is None or not self._own.speaking or self.now_s - self._looked_s < self.config.again_s:
            return
        if self._jobs:
            return
        self._looked_s = self.now_s
        self._look(self._segmenter.so_far())

    def _look(self, samples: Samples, suspected: Sureness | None = None) -> None:
        """Have the last that was heard written down before its end."""
        so_far = Utterance(samples, self.now_s - len(samples) / RATE_HZ, self.now_s, whole=False)
        self._jobs.append(_Job(so_far, self._transcribe(samples), partial=True, suspected=suspected))

    def _transcribe(self, samples: Samples) -> Future[Transcript]:
        return self._submit(lambda: self._recogniser.transcribe(samples, self._hints))

    def _written(self, wait: bool) -> list[Event]:
        events: list[Event] = []
        while self._jobs and (wait or self._jobs[0].done.done()):
            job = self._jobs.pop(0)
            begin_s, end_s = job.utterance.begin_s, job.utterance.end_s
            try:
                transcript = job.done.result()
            except RecogniserError as error:
                events.append(Dropped(str(error), 0.0, begin_s, end_s, "failed"))
                continue
            events += self._overheard(job, transcript) if job.partial else self._judged(job, transcript)
        return events

    def _overheard(self, job: _Job, transcript: Transcript) -> list[Event]:
        """What is known of an utterance before its end: a suspected stop is one, somebody speaks over the robot."""
        text, confidence = transcript.text.strip(), transcript.confidence
        begin_s, end_s = job.utterance.begin_s, job.utterance.end_s
        if not text or self._is_own(text, begin_s, end_s):
            return []
        enough = job.suspected is not None and (job.suspected > Sureness.SUSPECTED or confidence >= self.config.alone_floor)
        if enough and stop_word(text, self._moving(), vehicle=self._vehicle):
            self._stopped = self._segmenter.speaking
            for other in self._jobs:
                other.stopped = other.stopped or other.utterance.end_s >= end_s
            return [StopHeard(text, confidence, begin_s, end_s)]
        # its last sounds were cut off, and may have become others
        whole = text[:-_CUT_OFF]
        if self._own is not None and self._own.speaking and len(whole) >= _CUT_OFF and confidence >= self.config.sure \
                and not self._is_own(whole, begin_s, end_s):
            return [PersonSpeaks(text, confidence, begin_s, end_s)]
        return []

    def _judged(self, job: _Job, transcript: Transcript) -> list[Event]:
        """What becomes of an utterance's words. A stop comes first, and never waits for certainty."""
        text, confidence = transcript.text.strip(), transcript.confidence
        begin_s, end_s = job.utterance.begin_s, job.utterance.end_s

        def dropped(why: str) -> list[Event]:
            return [Dropped(text, confidence, begin_s, end_s, why)]

        if not text:
            return dropped("nothing")
        if self._is_own(text, begin_s, end_s):
            return dropped("own_voice")
        enough = self._alone_floor(job.spotted) if only_stop(text) else self.config.stop_floor
        stops = confidence >= enough and stop_word(text, self._moving(), vehicle=self._vehicle)
        stop: list[Event] = [StopHeard(text, confidence, begin_s, end_s)] if stops and not job.stopped else []
        if stops and only_stop(text):
            return [*stop, Heard(text, confidence, begin_s, end_s)]
        why, words = self._objection(text, confidence, begin_s, end_s)
        if not why and stops and confidence < self.config.sure:
            why = "stopped"
        if why:
            return stop + dropped(why)
        self._attends_until_s = max(self._attends_until_s, end_s + self.config.attends_s)
        # whoever takes a sentence that is certain finds the stop in it; where the spotter heard one that is not in it, nothing is
        sure = confidence >= self.config.sure and not (job.stopped and not stop_word(text, True))
        return [(Heard if sure else Unsure)(words, confidence, begin_s, end_s)]

    def _objection(self, text: str, confidence: float, begin_s: float, end_s: float) -> tuple[str, str]:
        """Why a text is not taken, "" where it is, and what was said to the robot."""
        named = after_wake_word(text, self.config.wake_words)
        why = ""
        if self.now_s - end_s > self.config.stale_s:
            why = "stale"
        elif invented(text):
            why = "invention"
        elif named is None and self.config.wake_words and begin_s > self._attends_until_s:
            why = "no_wake_word"
        elif confidence < self.config.floor:
            why = "unclear"
        elif named is None and self._meant is not None and self._meant(text) < self.config.aside:
            why = "aside"
        return why, text if why else named or text

    def _is_own(self, text: str, begin_s: float, end_s: float) -> bool:
        return self._own is not None and self._own.says(text, begin_s, end_s)


def ends(text: str) -> bool:
    """Whether an order has come to an end by its words (…してください, …お願いします). After a bare …して more may come."""
    return bool(_ENDS.search(fold(text).replace(" ", "")))


def after_wake_word(text: str, wake_words: Sequence[str]) -> str | None:
    """What follows a wake word at the begin of a text; "" where nothing does, None where there is none.

    A recogniser may have misheard one sound in four of it; width, kana and elongation do not matter.
    """
    for at in range(1, len(text) + 1):
        said = fold(text[:at]).replace(" ", "")
        for word in (fold(wake).replace(" ", "") for wake in wake_words):
            # the whole name, so that the rest does not begin with a piece of it
            if len(said) >= len(word) and said and distance(said, word) <= len(word) // 4:
                return text[at:].lstrip("、。,.!！ 　")
    return None
