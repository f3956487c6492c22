"""What is said becomes an instruction, a question or nothing; a stop comes first and never waits."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
from made_sound import At, Says, Table, blocks, loud, noise, silence

from jpai_agent.voice.activity import CutConfig, Segmenter
from jpai_agent.voice.audio import BLOCK_S, Block
from jpai_agent.voice.hearing import (
    Dropped,
    Event,
    Heard,
    Hearing,
    HearingConfig,
    PersonSpeaks,
    StopHeard,
    Unsure,
    after_wake_word,
    ends,
)
from jpai_agent.voice.recogniser import RecogniserError, Transcript
from jpai_agent.voice.spotter import Sureness

FIRST, SECOND = noise(1.0, 1), noise(1.2, 2)
PAUSE = silence(1.0)


def heard(*parts: np.ndarray, table: Table | None = None, **options) -> list[Event]:
    hearing = Hearing(Segmenter(loud), table or Table(), **options)
    return [event for block in blocks(*parts) for event in hearing.feed(block)] + hearing.finish()


def says(text: str, confidence: float = 0.95, **options) -> list[Event]:
    """What is made of one utterance that is recognised so."""
    return heard(PAUSE, FIRST, PAUSE, table=Table([(FIRST, Transcript(text, confidence))]), **options)


def kinds(events: list[Event]) -> list[tuple[type, str]]:
    return [(type(event), event.text) for event in events]


def why(events: list[Event]) -> list[str]:
    return [event.why if isinstance(event, Dropped) else type(event).__name__ for event in events]


def test_what_was_said_clearly_is_an_instruction_with_its_times_and_confidence() -> None:
    (event,) = says("赤い箱の前まで")
    assert isinstance(event, Heard)
    assert (event.text, event.confidence) == ("赤い箱の前まで", 0.95)
    assert (event.begin_s, event.end_s) == pytest.approx((1.0, 2.0), abs=BLOCK_S)


def test_two_utterances_are_told_in_their_order() -> None:
    table = Table([(FIRST, Transcript("赤い箱へ", 0.9)), (SECOND, Transcript("違う、青", 0.9))])
    assert kinds(heard(FIRST, PAUSE, SECOND, PAUSE, table=table)) == [(Heard, "赤い箱へ"), (Heard, "違う、青")]


def test_what_was_said_less_clearly_is_to_be_read_back_and_what_is_unclear_is_dropped() -> None:
    assert kinds(says("赤い箱へ", 0.6)) == [(Unsure, "赤い箱へ")]
    assert why(says("赤い箱へ", 0.2)) == ["unclear"]


def test_what_was_meant_for_somebody_else_is_dropped_but_not_a_stop_nor_what_begins_with_the_robots_name() -> None:
    def meant(text: str) -> float:
        return 0.9 if "箱" in text else 0.1

    assert why(says("きのうの映画みた", meant=meant)) == ["aside"]
    assert why(says("赤い箱へ", meant=meant)) == ["Heard"]
    assert why(says("きのうの映画みた", 0.6, meant=meant)) == ["aside"]
    assert why(says("止まれ", meant=lambda text: 0.0)) == ["StopHeard", "Heard"]
    assert why(says("きのうの映画みた", meant=meant, config=HearingConfig(aside=0.0))) == ["Heard"]
    named = HearingConfig(wake_words=("ロボット",))
    assert kinds(says("ロボット、歌ってみて", meant=meant, config=named)) == [(Heard, "歌ってみて")]


class Counting(Table):
    """Counts how often it is asked."""

    asked = 0

    def transcribe(self, samples: np.ndarray, hints=()) -> Transcript:
        self.asked += 1
        return super().transcribe(samples, hints)


def silence_before_heard_s(text: str, confidence: float = 0.95, said: np.ndarray = FIRST, **options) -> float:
    """How long nobody has spoken when the instruction is told; the recogniser has been asked once."""
    table = Counting([(said, Transcript(text, confidence))])
    hearing = Hearing(Segmenter(loud), table, **options)
    for block in blocks(PAUSE, said, PAUSE):
        if any(isinstance(event, Heard | Unsure) for event in hearing.feed(block)):
            assert table.asked == 1 or "own" in options
            return hearing.now_s - 1.0 - len(said) / 16_000
    raise AssertionError("nothing was heard")


def test_words_that_end_an_order_end_it_before_the_silence_does() -> None:
    assert silence_before_heard_s("赤い箱の前まで行ってください") == pytest.approx(0.2, abs=0.05)
    # more may come, or not all was heard well
    assert silence_before_heard_s("赤い箱の前まで行って") == pytest.approx(0.4, abs=0.05)
    assert silence_before_heard_s("赤い箱の前まで行ってください", 0.6) == pytest.approx(0.4, abs=0.05)
    # お願い alone may be the begin of one
    assert silence_before_heard_s("お願い", said=noise(0.4, 3)) == pytest.approx(0.6, abs=0.05)


def stop_after_s(confidence: float, **options) -> float | None:
    """How long nobody has spoken when a short stop that the spotter did not hear is told."""
    said = noise(0.4, 3)
    hearing = Hearing(Segmenter(loud), Table([(said, Transcript("止まれ", confidence))]), spotter=At(), **options)
    for block in blocks(PAUSE, said, PAUSE):
        if any(isinstance(event, StopHeard) for event in hearing.feed(block)):
            return hearing.now_s - 1.4
    return None


def test_a_stop_does_not_wait_for_the_silence_after_a_short_word() -> None:
    assert stop_after_s(0.95) == pytest.approx(0.2, abs=0.05)
    assert stop_after_s(0.3) is None


def test_nothing_ends_early_while_the_robot_speaks() -> None:
    assert silence_before_heard_s("青い箱に行ってくれる", own=Says("赤い箱へ向かいます")) == pytest.approx(0.4, abs=0.05)


def test_speech_that_goes_on_after_a_short_pause_is_one_utterance() -> None:
    both = np.concatenate([FIRST, silence(0.3), SECOND])
    table = Table([(FIRST, Transcript("赤い箱まで行って", 0.95)), (both, Transcript("赤い箱まで行って、3秒待って", 0.95))])
    assert kinds(heard(PAUSE, both, PAUSE, table=table)) == [(Heard, "赤い箱まで行って、3秒待って")]


@pytest.mark.parametrize("text", ["次の信号を左に曲がってください", "そこで停めてくれる?", "取ってきてくれへん",
                                  "出口までお願いします", "右のやつお願いね", "曲がってもらえますか", "見せてちょうだい"])
def test_some_words_end_an_order(text: str) -> None:
    assert ends(text)


@pytest.mark.parametrize("text", ["赤い箱まで行って", "次左", "お願いしたいんだけど", "", "くださいと言って"])
def test_after_others_more_may_come(text: str) -> None:
    assert not ends(text)


def test_silence_and_noise_in_which_no_word_is_found_give_nothing() -> None:
    assert heard(silence(5.0)) == []
    assert why(says("")) == ["nothing"]


def test_what_recognisers_make_up_is_dropped_however_sure_they_are() -> None:
    assert why(says("ご視聴ありがとうございました", 0.99)) == ["invention"]


def test_a_speech_without_end_is_dropped() -> None:
    hearing = Hearing(Segmenter(loud, CutConfig(longest_s=2.0)), Table())
    assert why([event for block in blocks(noise(5.0), PAUSE) for event in hearing.feed(block)]) == ["too_long"]


def test_a_recogniser_that_fails_costs_one_utterance() -> None:
    table = Table([(FIRST, RecogniserError("out of memory")), (SECOND, Transcript("青い箱へ", 0.9))])
    first, second = heard(FIRST, PAUSE, SECOND, PAUSE, table=table)
    assert isinstance(first, Dropped) and (first.why, first.text) == ("failed", "out of memory")
    assert isinstance(second, Heard)


def test_the_recogniser_is_told_which_words_are_likely() -> None:
    table = Table()
    heard(FIRST, PAUSE, table=table, hints=["赤い箱", "出口"])
    assert table.hints == ("赤い箱", "出口")


# --- stops


def test_a_stop_word_stops_before_the_sentence_has_ended_and_once() -> None:
    table = Table([(FIRST, Transcript("止まれ、そこの赤い箱へ", 0.9))])
    events = heard(PAUSE, FIRST, PAUSE, table=table, spotter=At(止まれ=1.5))
    assert kinds(events) == [(StopHeard, "止まれ"), (Heard, "止まれ、そこの赤い箱へ")]
    assert events[0].end_s == pytest.approx(1.5, abs=BLOCK_S)


def test_a_stop_that_only_the_recogniser_heard_stops_too_and_is_answered() -> None:
    assert kinds(says("止まって！")) == [(StopHeard, "止まって！"), (Heard, "止まって！")]


def test_a_stop_within_a_sentence_counts_while_the_robot_moves_and_its_graph_finds_it_in_what_was_heard_clearly() -> None:
    sentence = "あ、人が来たから止まって、そのあと右"
    assert kinds(says(sentence, 0.5, moving=lambda: True)) == [(StopHeard, sentence), (Dropped, sentence)]
    assert kinds(says(sentence, 0.9, moving=lambda: True)) == [(Heard, sentence)]
    assert kinds(says(sentence, 0.5)) == [(Unsure, sentence)]


@pytest.mark.parametrize("text", ["止まらないで", "ストップウォッチの前", "「止まれ」の標識の前まで"])
def test_what_only_sounds_like_a_stop_is_none(text: str) -> None:
    assert kinds(says(text)) == [(Heard, text)]


def test_a_stop_does_not_wait_for_certainty_a_wake_word_or_a_repeated_shout() -> None:
    named = HearingConfig(wake_words=["ロボット"])
    assert kinds(says("止まれ", 0.35, config=named))[0] == (StopHeard, "止まれ")
    assert kinds(says("子どもがいるから止まって、あと右", config=named, moving=lambda: True))[0][0] is StopHeard
    assert kinds(says("ストップ" * 8))[0][0] is StopHeard
    assert kinds(says("止まれ", 0.15)) == [(StopHeard, "止まれ"), (Heard, "止まれ")]
    assert why(says("止まれ", 0.05)) == ["unclear"]
    assert why(says("子どもがいるから止まって、あと右", 0.15, moving=lambda: True)) == ["unclear"]


class Always(Table):
    """A recogniser that writes down one thing of all that it is given."""

    def __init__(self, text: str, confidence: float = 0.9) -> None:
        super().__init__()
        self.said = Transcript(text, confidence)

    def transcribe(self, samples, hints=()):
        return self.said


def test_a_suspected_stop_is_one_once_the_recogniser_has_written_it_down() -> None:
    events = heard(PAUSE, FIRST, PAUSE, table=Always("止まれ", 0.4), spotter=At(Sureness.SUSPECTED, 止まれ=1.5))
    assert kinds(events) == [(StopHeard, "止まれ"), (Heard, "止まれ")]
    assert events[0].end_s == pytest.approx(1.5, abs=BLOCK_S)
    events = heard(PAUSE, FIRST, PAUSE, table=Always("トマト", 0.9), spotter=At(Sureness.LIKELY, 止まれ=1.5))
    assert kinds(events) == [(Heard, "トマト")]


def test_a_stop_that_only_the_recogniser_heard_must_be_clear_where_there_is_a_spotter() -> None:
    # 褒めてほしいな, heard as 停めてほしいな
    assert kinds(says("停めてほしいな", 0.5, spotter=At())) == [(Unsure, "停めてほしいな")]
    assert kinds(says("停めてほしいな", 0.7, spotter=At()))[0] == (StopHeard, "停めてほしいな")


def test_the_less_a_stop_is_likely_the_clearer_it_must_have_been_written_down() -> None:
    for sureness, confidence, stops in ((Sureness.SUSPECTED, 0.05, 0), (Sureness.SUSPECTED, 0.2, 1), (Sureness.LIKELY, 0.01, 1)):
        events = heard(PAUSE, FIRST, table=Always("止まれ", confidence), spotter=At(sureness, 止まれ=1.5))
        assert [type(event) for event in events].count(StopHeard) == stops


def test_what_is_written_down_after_a_stop_and_holds_none_is_read_back() -> None:
    events = heard(PAUSE, FIRST, PAUSE, table=Always("回って", 0.9), spotter=At(待って=1.5))
    assert kinds(events) == [(StopHeard, "待って"), (Unsure, "回って")]


def test_a_stop_in_speech_without_an_end_is_found() -> None:
    events = heard(noise(20.0), table=Always("ねえ、止まって、止まって", 0.5), moving=lambda: True)
    assert [type(event) for event in events[:2]] == [Dropped, StopHeard]


def test_where_to_stop_in_a_car_is_no_stop_but_a_cry_is_one_wherever_it_stands() -> None:
    long = noise(3.0, 7)
    table = Table([(long, Transcript("次のコンビニの前で停めて", 0.9))])
    assert kinds(heard(long, PAUSE, table=table, spotter=At(停めて=2.9), vehicle=True)) == [(Heard, "次のコンビニの前で停めて")]
    assert kinds(heard(long, PAUSE, table=table, spotter=At(停めて=2.9)))[0] == (StopHeard, "停めて")
    assert kinds(heard(long, PAUSE, table=table, spotter=At(止まれ=2.9), vehicle=True))[0] == (StopHeard, "止まれ")
    assert kinds(heard(FIRST, PAUSE, table=table, spotter=At(待って=0.9), vehicle=True))[0] == (StopHeard, "待って")
    # in noise without an end there are no sentences
    assert kinds(heard(noise(9.0), PAUSE, spotter=At(待って=8.0), vehicle=True))[0] == (StopHeard, "待って")


# --- the robot's own voice


def test_what_the_robot_itself_says_is_no_instruction_and_no_stop() -> None:
    assert why(says("赤い箱の前で止まります", own=Says("赤い箱の前で止まります"))) == ["own_voice"]
    # what sounds like a stop while the robot speaks is written down to see whose it is
    assert heard(PAUSE, table=Always("止まっています"), spotter=At(止まって=0.5), own=Says("止まっています")) == []
    events = heard(PAUSE, table=Always("止まれ"), spotter=At(止まれ=0.5), own=Says("赤い箱へ行きます"))
    assert kinds(events) == [(StopHeard, "止まれ")]


def test_a_person_is_heard_while_the_robot_speaks_and_before_they_have_ended() -> None:
    class First(Table):
        def transcribe(self, samples, hints=()):
            return Transcript("違う、青", 0.9)

    events = heard(PAUSE, noise(2.0, 4), PAUSE, table=First(), own=Says("赤い箱へ行きます"))
    assert [type(event) for event in events][-1] is Heard
    assert isinstance(events[0], PersonSpeaks)
    assert events[0].end_s == pytest.approx(1.6, abs=0.15)


def test_the_robot_does_not_interrupt_itself() -> None:
    class Own(Table):
        def transcribe(self, samples, hints=()):
            return Transcript("赤い箱へ", 0.9)

    assert why(heard(PAUSE, noise(2.0, 4), PAUSE, table=Own(), own=Says("赤い箱へ行きます"))) == ["own_voice"]


def test_an_answer_right_after_the_robots_question_is_an_utterance_of_its_own() -> None:
    own = Says("赤い箱の前、でよろしいですか")
    table = Table([(FIRST, Transcript("でよろしいですか", 0.9)), (SECOND, Transcript("はい", 0.9))])
    hearing = Hearing(Segmenter(loud), table, own=own)
    events = [event for block in blocks(FIRST) for event in hearing.feed(block)]
    events += hearing.split()
    own.speaking = False
    events += [event for block in blocks(SECOND, PAUSE) for event in hearing.feed(block)]
    assert why(events)[-2:] == ["own_voice", "Heard"]


# --- the wake word


WAKE = HearingConfig(wake_words=["ロボット"], attends_s=5.0)


def test_with_a_wake_word_only_what_begins_with_it_is_taken_and_it_is_left_out() -> None:
    assert kinds(says("ロボット、赤い箱へ", config=WAKE)) == [(Heard, "赤い箱へ")]
    assert why(says("赤い箱へ", config=WAKE)) == ["no_wake_word"]


def test_an_answer_to_the_robot_needs_no_wake_word_for_some_time() -> None:
    table = Table([(FIRST, Transcript("はい", 0.9)), (SECOND, Transcript("今日は暑いね", 0.9))])
    hearing = Hearing(Segmenter(loud), table, config=WAKE)
    hearing.attend()
    events = [event for block in blocks(PAUSE, FIRST, silence(9.0), SECOND, PAUSE) for event in hearing.feed(block)]
    assert why(events) == ["Heard", "no_wake_word"]


@pytest.mark.parametrize(("text", "rest"), [
    ("ロボット", ""), ("ろぼっと赤い箱へ", "赤い箱へ"), ("ロボッタ、止まって", "止まって"),
    ("ロボ", None), ("赤いロボットへ", None), ("", None),
])
def test_a_wake_word_may_be_misheard_a_little_and_stands_at_the_begin(text: str, rest: str | None) -> None:
    assert after_wake_word(text, ["ロボット"]) == rest


# --- slow recognisers


class Later:
    """Does the work when the test says so."""

    def __init__(self) -> None:
        self.waiting: list = []

    def __call__(self, work) -> Future:
        future: Future = Future()
        self.waiting.append((work, future))
        return future

    def do(self) -> None:
        for work, future in self.waiting:
            future.set_result(work())
        self.waiting.clear()


def quiet(begin_s: float, seconds: float) -> list[Block]:
    return [Block(begin_s + block.time_s, block.samples) for block in blocks(silence(seconds))]


@pytest.mark.parametrize(("after_s", "told"), [(1.0, "Heard"), (20.0, "stale")])
def test_sound_goes_on_while_a_slow_recogniser_works_and_what_it_gives_too_late_is_dropped(after_s: float, told: str) -> None:
    later = Later()
    hearing = Hearing(Segmenter(loud), Table([(FIRST, Transcript("赤い箱へ", 0.9))]), submit=later)
    assert [event for block in blocks(FIRST, PAUSE) for event in hearing.feed(block)] == []
    assert [event for block in quiet(2.0, after_s) for event in hearing.feed(block)] == []
    later.do()
    assert why([event for block in quiet(2.0 + after_s, 0.1) for event in hearing.feed(block)]) == [told]
