"""The command `jpai voice`: files without a device, a graph where one runs, and clear words for what it cannot hear."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jpai_agent import doctor, graph
from jpai_agent.cli import app
from jpai_agent.voice import ear
from jpai_agent.voice.activity import Segmenter
from jpai_agent.voice.audio import RATE_HZ, write_wav
from jpai_agent.voice.hearing import Hearing, HearingConfig
from jpai_agent.voice.recogniser import Transcript

ROOT = Path(__file__).parents[1]


class Same:
    """A recogniser that hears the same whatever is said."""

    name = "same"

    def transcribe(self, samples, hints=()) -> Transcript:
        assert "充電ステーション" in hints
        return Transcript("赤い箱へ", 0.93)


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models stood in for, so that the command is tried and not them."""
    def load(config, *, hints, **_) -> Hearing:
        judging = HearingConfig(wake_words=tuple(config.wake_words))
        return Hearing(Segmenter(lambda samples: float(np.abs(samples).max() > 0.1)), Same(), hints=hints, config=judging)

    monkeypatch.setattr(ear, "load_hearing", load)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, RATE_HZ).astype(np.float32)
    write_wav(tmp_path / "order.wav", np.pad(sound, (RATE_HZ, 0)))
    return tmp_path / "order.wav"


def jpai(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_file_is_heard_without_a_device_and_printed_with_its_times_and_confidence(ears, spoken: Path) -> None:
    result = jpai("voice", "--wav", spoken, "--alone")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["[", "1.0–", "2.0", "s]", "0.93", "指示", "赤い箱へ"]


def test_as_json_it_is_an_object_a_line(ears, spoken: Path) -> None:
    told = json.loads(jpai("voice", "--wav", spoken, "--alone", "--json").stdout)
    assert (told["kind"], told["text"], told["confidence"]) == ("Heard", "赤い箱へ", 0.93)
    assert told["end_s"] - told["begin_s"] == pytest.approx(1.0, abs=0.1)


def test_with_a_wake_word_what_is_said_without_it_is_told_and_not_taken(ears, spoken: Path) -> None:
    result = jpai("voice", "--wav", spoken, "--alone", "--wake", "ロボット")
    assert "無視 赤い箱へ (no_wake_word)" in result.stdout


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"", "empty"), (b"ID3" + bytes(99), "no WAV file")])
def test_a_file_that_cannot_be_heard_is_bad_input(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "bad.wav").write_bytes(content)
    result = jpai("voice", "--wav", tmp_path / "bad.wav")
    assert result.exit_code == 2
    assert "bad.wav" in result.stderr and said in result.stderr
    assert result.stdout == ""


def test_a_recogniser_without_its_files_is_no_usable_model(spoken: Path, tmp_path: Path) -> None:
    pytest.importorskip("silero_vad")
    result = jpai("voice", "--wav", spoken, "--alone", "--recogniser", f"faster-whisper:{tmp_path}")
    assert result.exit_code == 3
    assert "model.bin" in result.stderr
    assert result.stdout == ""


def test_where_there_is_no_microphone_it_says_what_is_missing(ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = jpai("voice", "--alone")
    assert result.exit_code == 1
    assert "voice extra" in result.stderr


def test_a_wrong_setting_or_world_is_bad_input(ears, spoken: Path) -> None:
    assert jpai("voice", "--wav", spoken, "--alone", "--wake", " ").exit_code == 2
    assert "unknown world" in jpai("voice", "--wav", spoken, "--alone", "--world", "moon").stderr


def test_ears_and_a_voice_are_in_the_graph_only_where_they_are_asked_for() -> None:
    assert {process.name for process in graph.processes()}.isdisjoint({"voice_node", "speech_node"})
    both = graph.processes("street", voice={"device": "USB"}, speech={})
    (ears_,) = [process for process in both if process.name == "voice_node"]
    assert ears_.parameters["device"] == "USB" and ears_.parameters["robot"] == "car"
    assert not ears_.vital


def test_they_are_launched_from_the_same_table() -> None:
    text = (ROOT / "launch" / "voice.launch.py").read_text(encoding="utf-8")
    ast.parse(text)
    assert "from jpai_agent.graph import processes" in text
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"voice_node"' in setup and '"speech_node"' in setup


# --- the doctor


def test_the_doctor_tells_of_the_voice_extra_and_of_devices_and_fails_for_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("silero_vad")

    def devices():
        return [{"name": "USB mic", "max_input_channels": 1, "max_output_channels": 0}]

    audio = SimpleNamespace(query_devices=devices, PortAudioError=OSError, __spec__="there")
    monkeypatch.setitem(sys.modules, "sounddevice", audio)
    told = {finding.what: finding for finding in doctor.voice()}
    assert "silero-vad" in told["voice"].detail
    assert told["microphone"].detail == "USB mic" and told["loudspeaker"].detail.startswith("none on this machine")
    assert told["microphone"].well is None and told["loudspeaker"].well is None


def test_the_doctor_says_how_the_voice_extra_is_installed_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "VOICE_PACKAGES", {"silero-vad": "no_such_module"})
    (told,) = doctor.voice()
    assert told.well is None and "./jpai voice installs it" in told.detail
