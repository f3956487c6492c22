"""The robot's own speech is told from people's."""

from __future__ import annotations

import pytest

from jpai_agent.voice.own_voice import OwnVoice

WORDS = "赤い箱の手前まで行って、3秒待ってから、充電ステーションへ戻ります。"
KANA = "アカイハコノテマエマデイッテ、サンビョーマッテカラ、ジューデンステーションエモドリマス。"


@pytest.fixture
def own() -> OwnVoice:
    """Somebody who says WORDS from second 10 on."""
    voice = OwnVoice()
    voice.told(f"{WORDS}\n{KANA}", 10.0)
    return voice


@pytest.mark.parametrize("heard", [
    WORDS, "赤い箱の手前まで行って", "あかいはこのてまえまでいって", "じゅうでんすてーしょんへもどります", "さんびょうまってから",
    # misheard
    "あかいはこのてあえまれいって", "赤い箱の前まで行って", "待ってから",
])
def test_what_it_says_is_its_own_with_kanji_in_kana_and_misheard(own: OwnVoice, heard: str) -> None:
    assert own.says(heard, 11.0)


@pytest.mark.parametrize("heard", [
    "止まれ", "とまれ", "ストップ", "危ない", "はい", "違う、青", "青いコーンの前で待って", "次の信号を右に曲がって",
    # over its words
    "赤い箱の手前まで行って止まれ", "充電ステーションへ戻ります右に行って", "あかいはこのてまえまでいってとまれ",
])
def test_what_a_person_says_meanwhile_is_not(own: OwnVoice, heard: str) -> None:
    assert not own.says(heard, 11.0)


def test_a_person_who_repeats_it_afterwards_is_not_the_robot(own: OwnVoice) -> None:
    own.told("", 15.0)
    assert not own.says("赤い箱の手前まで行って", 15.5)
    assert not own.says("赤い箱の手前まで行って")


def test_a_transcript_that_comes_late_is_still_its_own(own: OwnVoice) -> None:
    own.told("", 15.0)
    assert own.says("充電ステーションへ戻ります", 13.0)
    assert own.says("充電ステーションへ戻ります", 15.1)


def test_two_speeches_may_be_heard_as_one(own: OwnVoice) -> None:
    own.told("", 15.0)
    own.told("止まりました。\nトマリマシタ。", 15.1)
    assert own.says("充電ステーションへ戻ります止まりました", 13.0)


def test_a_stop_word_of_its_own_stops_nobody_and_other_stop_words_do() -> None:
    voice = OwnVoice()
    voice.told("いったん止まって、右を向きます。\nイッタントマッテ、ミギヲムキマス。", 0.0)
    assert voice.says("とまって")
    assert voice.says("いったん止まって", 0.1)
    assert not voice.says("止まれ")
    assert not voice.says("危ない", 0.1)


def test_it_speaks_from_its_begin_to_its_end(own: OwnVoice) -> None:
    assert own.speaking
    own.told("", 15.0)
    assert not own.speaking
    own.told("", 16.0)
    assert not OwnVoice().speaking
    assert not OwnVoice().says("止まれ", 1.0)


def test_nothing_is_nobody_s(own: OwnVoice) -> None:
    assert not own.says("", 11.0)
    assert not own.says("…", 11.0)
