"""`jpai say`: aloud, or into a file, with the voice's attribution."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyopenjtalk")

from typer.testing import CliRunner, Result

from jpai_agent import playing
from jpai_agent.cli import app
from jpai_agent.voice import speaker
from jpai_agent.voice.audio import AudioError, read_wav
from jpai_agent.voice.speaker import FileSpeaker, Played


def jpai(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, code: int, words: str) -> None:
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


def test_a_file_has_what_is_said_as_it_is_read(tmp_path: Path) -> None:
    out = tmp_path / "berth.wav"
    said = jpai("say", "3m先、1番バース", "--out", out, "--json")
    assert said.exit_code == 0
    told = json.loads(said.stdout)
    assert (told["kana"], told["file"]) == ("サンメートルサキ、イチバンバース", str(out))
    assert len(read_wav(out)) == pytest.approx(told["seconds"] * 16_000, abs=20)


def test_without_a_loudspeaker_it_says_so_and_where_its_speech_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = FileSpeaker(tmp_path, wait=lambda stopped, seconds: False)
    monkeypatch.setattr(speaker, "open_speaker", lambda device, folder: (files, "no loudspeaker: none"))
    said = jpai("say", "はい")
    assert (said.exit_code, said.stderr) == (0, "jpai: no loudspeaker: none\n")
    assert said.stdout.strip().endswith(str(tmp_path / "000.wav"))


def test_bad_input_is_named(tmp_path: Path) -> None:
    refused(jpai("say", "…"), 2, "nothing of this has a sound")
    refused(jpai("say", "はい", "--speed", 9), 2, "speed of speech must be a number from 0.5 to 2")
    refused(jpai("say", "はい", "--out", tmp_path / "no" / "x.wav"), 1, "no/x.wav")


def test_a_loudspeaker_that_is_lost_and_a_missing_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(FileSpeaker):
        def play(self, *given: object) -> Played:
            raise AudioError("the loudspeaker is gone")

    monkeypatch.setattr(speaker, "open_speaker", lambda device, folder: (Lost(folder), ""))
    refused(jpai("say", "はい"), 1, "the loudspeaker is gone")
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    refused(jpai("say", "はい"), 1, "the voice extra is not installed")


def test_the_spoken_demonstration_says_what_it_lacks_before_anything_starts(monkeypatch: pytest.MonkeyPatch,
                                                                             tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    monkeypatch.setattr(playing, "check_model", lambda model: None)
    refused(jpai("demo", "--voice", "--view"), 2, "leave one out")
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    refused(jpai("demo", "--voice", "--runs", tmp_path), 1, "the voice extra is not installed")
    assert list(tmp_path.iterdir()) == []


def test_the_voice_is_attributed() -> None:
    told = " ".join(jpai("say", "--help").stdout.split())
    assert all(words in told for words in ("mei_normal", "Nagoya Institute of Technology", "CC BY 3.0"))


def test_the_command_loads_nothing_of_voice_before_it_speaks() -> None:
    loaded = "import sys, jpai_agent.cli; print([m for m in sys.modules if m in ('pyopenjtalk', 'sounddevice', 'onnxruntime')])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.strip() == "[]"
