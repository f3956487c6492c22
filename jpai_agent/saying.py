"""The command `jpai say`: a text aloud, or as a WAV file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jpai_agent.refusal import refused

EPILOG = ('Example: jpai say "3m先、1番バースです。" --out berth.wav   The voice: HTS Voice "Mei" (mei_normal), Nagoya Institute '
          "of Technology, MMDAgent Project Team, CC BY 3.0 (https://creativecommons.org/licenses/by/3.0/).")


def say(words: Annotated[str, typer.Argument(help="What is said, in Japanese.")],
        out: Annotated[Path | None, typer.Option(help="A WAV file (48 kHz), instead of the loudspeaker.")] = None,
        speed: Annotated[float | None, typer.Option(help="0.5 to 2; that of config/speech.yaml when left out.")] = None,
        volume: Annotated[float | None, typer.Option(help="0 to 2; likewise.")] = None,
        half_tones: Annotated[float | None, typer.Option(help="Higher or lower, -12 to 12; likewise.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")] = False,
        ) -> None:
    """Say something in the robot's voice, read as the robot reads it; without a loudspeaker into a WAV file."""
    from jpai_agent.voice.audio import AudioError, write_wav
    from jpai_agent.voice.manner import load_manner
    from jpai_agent.voice.speaker import Played, open_speaker
    from jpai_agent.voice.synthesis import RATE_HZ, Synthesiser
    from jpai_agent.world.paths import state_dir

    try:
        manner = load_manner(speed=speed, volume=volume, half_tones=half_tones)
    except ValueError as error:
        raise refused(str(error), 2) from error
    try:
        synthesiser = Synthesiser(manner)
        kana = synthesiser.kana(words)
        if not kana:
            raise refused("nothing of this has a sound", 2)
        if out is None:
            speaker, why = open_speaker(manner.device, state_dir() / "speech")
            if why:
                typer.echo(f"jpai: {why}", err=True)
            played = speaker.play(synthesiser.pieces(words))
            speaker.close()
        else:
            sound = synthesiser.speech(words)
            write_wav(out, sound, RATE_HZ)
            played = Played(len(sound) / RATE_HZ, True, out)
    except (AudioError, OSError) as error:
        raise refused(str(error), 1) from error
    if as_json:
        told = {"kana": kana, "seconds": round(played.seconds, 3), "file": str(played.path) if played.path else None}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.echo(f"{kana} ({played.seconds:.1f} s)" + (f" {played.path}" if played.path else ""))
