"""The command `jpai voice`: what a microphone or a WAV file hears, line by line, and to the graph where one runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jpai_agent.refusal import refused

if TYPE_CHECKING:
    from jpai_agent.voice.hearing import Event

EPILOG = "Example: jpai voice --wav order.wav"
_NAMES = {"Heard": "指示", "Unsure": "確認", "StopHeard": "停止", "Dropped": "無視", "PersonSpeaks": "割込"}


def voice(wav: Annotated[Path | None, typer.Option(help="A WAV file, instead of the microphone.")] = None,
          device: Annotated[str | None, typer.Option(help="Microphone: a part of its name or its number; that of "
                                                          "config/hearing.yaml when left out.")] = None,
          recogniser: Annotated[str | None, typer.Option(help="`embedded`, or the folder of a recogniser of your own; "
                                                              "likewise.")] = None,
          wake: Annotated[list[str] | None, typer.Option(help="A name that instructions must begin with; may be given several "
                                                              "times; likewise.")] = None,
          world: Annotated[str, typer.Option(help="World whose words are likely; that of the graph where one runs.")] = "yard",
          domain: Annotated[int | None, typer.Option(help="ROS domain id of the graph.")] = None,
          alone: Annotated[bool, typer.Option(help="Only print, also where a graph runs.")] = False,
          as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False) -> None:
    """Listen, and print what is heard with its times and confidence: instructions (指示), what is to be confirmed (確認), stops
    (停止) and what is not taken (無視). A graph that runs (jpai up) is told; its microphone is its own where it has one.
    """
    from jpai_agent.voice.audio import AudioError, read_wav
    from jpai_agent.voice.ear import load_ear_config
    from jpai_agent.voice.recogniser import RecogniserError

    def tell(event: Event) -> None:
        typer.echo(_json(event) if as_json else _line(event))

    try:
        config = load_ear_config(device=device, recogniser=recogniser, wake_words=wake or None)
        if wav is not None:
            # what is wrong with it is said before anything is loaded or asked
            read_wav(wav)
        if not alone and _with_graph(domain, tell, wav, device, recogniser, wake):
            return
        _alone(config, world, wav, tell)
    except RecogniserError as error:
        raise refused(str(error), 3) from error
    except AudioError as error:
        raise refused(str(error), 1 if wav is None else 2) from error
    except ValueError as error:
        raise refused(str(error), 2) from error


def _with_graph(domain: int | None, tell: Callable[[Event], None], wav: Path | None, device: str | None, recogniser: str | None,
                wake: list[str] | None) -> bool:
    """Listen for a graph that runs; False where there is none, or no ROS."""
    try:
        from jpai_agent.nodes.voice_link import VoiceLink
    except ImportError:
        return False
    with VoiceLink(domain) as link:
        if not link.graph:
            return False
        if link.has_ears and wav is None:
            typer.echo("jpai: the graph listens itself; this is what it hears. Ctrl-C ends it", err=True)
            link.watch(tell)
        else:
            typer.echo("jpai: what is heard goes to the graph. Ctrl-C ends it", err=True)
            link.hear(tell, wav=str(wav or ""), device=device or "", recogniser=recogniser or "", wake_words=wake or [])
    return True


def _alone(config, world: str, wav: Path | None, tell: Callable[[Event], None]) -> None:
    from jpai_agent.skills import skills_for
    from jpai_agent.voice.audio import MicrophoneSource, WavSource
    from jpai_agent.voice.ear import load_hearing
    from jpai_agent.voice.hints import hints
    from jpai_agent.world.known import robot_for
    from jpai_agent.world.map import load_map

    words = hints(load_map(world), skills_for(robot_for(world)).values())

    def complain(fault: str) -> None:
        typer.echo(f"jpai: {fault}", err=True)

    # a file is heard as fast as it goes; a microphone goes on while the recogniser works
    beside = ThreadPoolExecutor(max_workers=1) if wav is None else None
    hearing = load_hearing(config, complain=complain, hints=words, vehicle=load_map(world).road is not None, beside=beside)
    source = MicrophoneSource(config.device) if wav is None else WavSource(wav)
    if wav is None:
        typer.echo("jpai: listening. Ctrl-C ends it", err=True)
    with suppress(KeyboardInterrupt):
        try:
            for block in source.blocks():
                for event in hearing.feed(block):
                    tell(event)
            for event in hearing.finish():
                tell(event)
        finally:
            source.close()


def _line(event: Event) -> str:
    why = getattr(event, "why", "")
    text = f"{event.text} ({why})" if event.text and why else event.text or why
    return f"[{event.begin_s:6.1f}–{event.end_s:6.1f} s] {event.confidence:4.2f} {_NAMES[type(event).__name__]} {text}"


def _json(event: Event) -> str:
    return json.dumps({"kind": type(event).__name__, **vars(event)}, ensure_ascii=False)
