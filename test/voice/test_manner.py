"""How the robot speaks is configured, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpai_agent.voice.manner import Manner, load_manner


def test_the_file_that_comes_with_the_package_is_the_usual_manner() -> None:
    assert load_manner() == Manner()


def test_what_is_given_takes_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "speech.yaml"
    file.write_text("volume: 0.5\nspeed: 1.2\nreadings: {角田: つのだ}\n", encoding="utf-8")
    assert load_manner(file, speed=0.9, volume=None) == Manner(volume=0.5, speed=0.9, readings={"角田": "つのだ"})


@pytest.mark.parametrize(("text", "named"), [
    ("volume: 3", "volume of speech must be a number from 0 to 2, not 3"), ("speed: fast", "'fast'"), ("speed: .nan", "nan"),
    ("speed: true", "True"), ("half_tones: -13", "-13"), ("device: true", "device of speech"),
    ("readings: [a]", "readings of speech"), ("readings: {角田: tsunoda}", "'角田': 'tsunoda'"),
    ("loudness: 1", "unknown: loudness; known: volume"), ("- 1", "names with values"), ("volume: [", "while parsing"),
])
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "speech.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"speech\.yaml") as refused:
        load_manner(file)
    assert named in str(refused.value)


def test_a_loudspeaker_is_named_by_its_number_too() -> None:
    assert Manner(device=3) == Manner(device="3")  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml"):
        load_manner(tmp_path / "nowhere.yaml")
