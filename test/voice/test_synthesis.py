"""Speech comes in pieces, the first of them short, at an even loudness."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyopenjtalk")

from jpai_agent.voice import synthesis
from jpai_agent.voice.audio import AudioError
from jpai_agent.voice.manner import Manner
from jpai_agent.voice.synthesis import RATE_HZ, Synthesiser

LONG = "赤い箱の手前まで行って、3秒待ってから、充電ステーションへ戻ります。"
SHORT = ("はい。", "止まりました。", "どちらのことでしょうか。")


@pytest.fixture(scope="module")
def usual() -> Synthesiser:
    return Synthesiser()


def active_rms(samples: np.ndarray) -> float:
    """Of the frames of 5 ms that are not pauses."""
    frames = np.sqrt(np.square(samples[: len(samples) // 240 * 240].reshape(-1, 240)).mean(axis=1))
    return float(np.sqrt(np.square(frames[frames > 0.1 * frames.max()]).mean()))


def test_the_first_piece_is_the_begin_of_the_first_words_and_sounds_at_once(usual: Synthesiser) -> None:
    pieces = list(usual.pieces(LONG))
    assert len(pieces) == 4  # the opening, the rest of its breath group, two more groups
    assert all(piece.dtype == np.float32 and piece.ndim == 1 for piece in pieces)
    assert len(pieces[0]) < 1.2 * RATE_HZ
    assert np.abs(pieces[0][: round(0.06 * RATE_HZ)]).max() > 0.002


def test_the_opening_and_the_rest_are_as_long_as_the_whole(usual: Synthesiser) -> None:
    slower = Synthesiser(Manner(speed=0.999))  # made in one piece
    assert len(usual.speech(SHORT[2])) == pytest.approx(len(slower.speech(SHORT[2])), rel=0.01)


def test_they_are_joined_in_a_silence(usual: Synthesiser) -> None:
    opening = next(usual.pieces("郵便局の前で路肩に寄せて停めます。"))
    assert active_rms(opening) > 5 * np.sqrt(np.square(opening[-240:]).mean())


@pytest.mark.parametrize("text", [LONG, *SHORT])
@pytest.mark.parametrize("manner", [Manner(), Manner(half_tones=-5.0, speed=1.1)])
def test_all_speech_is_equally_loud_and_none_of_it_is_clipped(text: str, manner: Manner) -> None:
    sound = Synthesiser(manner).speech(text)
    assert 20 * np.log10(active_rms(sound)) == pytest.approx(-18.0, abs=1.6)
    assert np.abs(sound).max() < 1.0
    assert (np.abs(sound) > 0.99).mean() < 1e-4


def test_volume_and_speed_are_as_asked() -> None:
    usual, other = Synthesiser().speech(SHORT[2]), Synthesiser(Manner(volume=0.5, speed=1.5)).speech(SHORT[2])
    assert active_rms(other) == pytest.approx(0.5 * active_rms(usual), rel=0.2)
    assert len(other) == pytest.approx(len(usual) / 1.5, rel=0.1)
    assert not Synthesiser(Manner(volume=0.0)).speech("はい。").any()


def test_a_higher_voice_is_as_long_and_not_the_same_sound(usual: Synthesiser) -> None:
    higher = Synthesiser(Manner(half_tones=4.0)).speech("はい。")
    assert len(higher) == pytest.approx(len(usual.speech("はい。")), abs=RATE_HZ * 0.03)
    assert active_rms(higher[:24000] - usual.speech("はい。")[:24000]) > 0.05


def test_the_same_words_are_the_same_sound(usual: Synthesiser) -> None:
    assert np.array_equal(usual.speech(SHORT[2]), usual.speech(SHORT[2]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sounds_that_burst_the_engine_s_filter_are_still_samples(usual: Synthesiser) -> None:
    sound = usual.speech("ア" * 400)
    assert len(sound) and np.isfinite(sound).all() and np.abs(sound).max() <= 1.0


def test_what_has_no_sound_gives_none(usual: Synthesiser) -> None:
    assert len(usual.speech("…。★")) == 0
    assert usual.kana("…") == ""


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyopenjtalk", None)
    with pytest.raises(AudioError, match=r"the voice extra is not installed.*\[voice\]"):
        Synthesiser()


def test_the_voice_is_attributed() -> None:
    assert all(word in synthesis.ATTRIBUTION for word in ("mei_normal", "Nagoya Institute of Technology", "CC BY 3.0"))
