"""Nothing that a recogniser makes up on silence is taken, and nothing that is said to a robot is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpai_agent.voice.inventions import PHRASES, invented

CORPUS = Path(__file__).parents[2] / "jpai_agent" / "train" / "corpus"
STOPS = Path(__file__).parents[1] / "language" / "stops.txt"


@pytest.mark.parametrize("text", [
    *PHRASES, "ご視聴ありがとうございました。", "ご視聴、ありがとうございました！",
    "ごしちょうありがとうございました ご視聴ありがとうございました", "チャンネル登録・高評価お願いします", "字幕by 名前",
    "Thank you for watching!", "ん、ん、ん、ん、ん、ん、ん、ん", "ああああああああ",
    "今日は今日は今日は今日は今日は今日は", "Subtitles by the Amara.org community",
])
def test_what_recognisers_make_up_is_told(text: str) -> None:
    assert invented(text)


@pytest.mark.parametrize("text", [
    "", "はい", "ありがとう", "いいえ", "もっともっともっと右", "右、右、右、右", "おわったら教えて", "音楽室の前まで",
    "次の次の信号を左", "青",
])
def test_what_people_say_to_a_robot_is_not(text: str) -> None:
    assert not invented(text)


def said(path: Path) -> list[str]:
    return [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def test_no_instruction_that_anybody_wrote_for_the_corpus_and_no_stop_is_an_invention() -> None:
    instructions = [line for path in CORPUS.glob("*.txt") for line in said(path)]
    assert len(instructions) > 1000
    assert [text for text in instructions + said(STOPS) if invented(text)] == []
