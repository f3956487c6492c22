"""Measure hearing and speaking, as `jpai bench --what voice` does: stop words, what is taken for speech to the robot and is not,
how long it all takes in the running graph, and the memory of it. All voices are synthetic and none was trained on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpai_agent.sim.report import machine
from jpai_agent.world.paths import resource

if TYPE_CHECKING:
    from jpai_agent.nodes.voice_latency import Words
    from jpai_agent.train.voice.spotting_bench import Scenery, Sound
    from jpai_agent.vlm import VlmBackend

PARTS = ("recall", "false", "hearing", "stop", "motion")
_BARE = ("とまれ", "とまって", "とめて", "ストップ", "まって", "まて", "あぶない", "やめろ", "うごくな", "ブレーキ", "停止",
         "緊急停止")
_ORDERS = ("右に90度回って", "左に90度回って", "右を向いて", "1メートル進んで", "1メートル下がって", "左に45度回って")
_UNSEEN = Path(__file__).parents[1] / "test" / "language" / "unseen" / "stops.txt"


def bench_voice(n: int = 300, hours: float = 2.0, graph_n: int = 100, parts: Sequence[str] = PARTS, idle: bool = False,
                tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """The figures of some parts, each with its n.

    Args:
        n: Stops said. hours: of other sound. graph_n: stops of the running graph; a fifth as many orders.
        parts: Of PARTS. recall: stops that are heard; false: what the spotter alone is certain of and is none; hearing: what all
            of hearing takes for a stop or an instruction; stop, motion: times in the running graph.
        idle: Model and twin rest while stops are timed.
        tell: Told how it goes on.

    Raises:
        ValueError: An unknown part. SpotterError, RecogniserError, AudioError, GraphError: What it needs is not there.
    """
    from jpai_agent.train.calibrate import lines_of
    from jpai_agent.train.voice.spotting_bench import Scenery, false_stops, measure_recall
    from jpai_agent.voice.recogniser import EMBEDDED, load_recogniser

    unknown = set(parts) - set(PARTS)
    if unknown:
        raise ValueError(f"unknown part {sorted(unknown)[0]!r}; known: {', '.join(PARTS)}")
    folder, scenery = resource("models", "voice"), Scenery()
    figures: dict[str, Any] = {"what": "voice: synthetic voices, rooms, noise and sentences that were not trained on"}
    if "recall" in parts:
        recogniser = load_recogniser(EMBEDDED)
        figures["stops_recalled"] = measure_recall(folder, n, scenery=scenery, recogniser=recogniser)
        tell("stops_recalled")
        figures["stops_recalled_by_the_spotter_alone"] = measure_recall(folder, n, scenery=scenery)
        if _UNSEEN.is_file():
            figures["stops_recalled_of_unseen_list"] = measure_recall(folder, scenery=scenery, texts=lines_of(_UNSEEN),
                                                                      recogniser=recogniser)
        figures["spotter"] = spotter_cost(folder)
    if "false" in parts:
        figures["false_stops"] = false_stops(folder, hours, scenery=scenery, tell=tell)
    if "hearing" in parts:
        figures["false_of_hearing"] = false_heard(hours, scenery, tell)
    if "stop" in parts or "motion" in parts:
        figures |= _in_the_graph(parts, graph_n, scenery, idle, tell)
    return figures | {"machine": machine()}


def spotter_cost(folder: Path, blocks: int = 500) -> dict[str, float]:
    """Processor time of the spotter for a block of 32 ms, and as a share of a core."""
    from jpai_agent.voice.spotter import BLOCK, BLOCK_S, Spotter

    spotter = Spotter(folder)
    sound = np.random.default_rng(0).normal(0, 0.05, BLOCK).astype(np.float32)
    begun_s = time.process_time()
    for _ in range(blocks):
        spotter.feed(sound)
    block_s = (time.process_time() - begun_s) / blocks
    return {"ms_per_block": round(1e3 * block_s, 3), "share_of_a_core": round(block_s / BLOCK_S, 4)}


def false_heard(hours: float, scenery: Scenery, tell: Callable[[str], None], seed: int = 24) -> dict[str, Any]:
    """All of hearing over so much other sound: stops, and what is taken as an instruction, at once or after it was read back.

    Of the instructions it also counts those for which the model would have moved the robot, and those that would have been
    taken where a wake word is needed.
    """
    from jpai_agent.train.voice.spotting_bench import KINDS, SHARES, sounds
    from jpai_agent.vlm import load_backend
    from jpai_agent.voice.ear import load_ear_config, load_hearing
    from jpai_agent.voice.hearing import Heard, StopHeard, Unsure, after_wake_word
    from jpai_agent.voice.own_voice import OwnVoice

    backend = load_backend(None)
    by_kind: dict[str, Any] = {}
    totals = {"false_stops": 0, "instructions": 0, "acted_on": 0, "with_a_wake_word": 0, "unsure": 0}
    for kind in (kind for kind in KINDS if kind in SHARES and kind != "orders"):
        own = OwnVoice()
        hearing = load_hearing(load_ear_config(), complain=tell, own=own)
        events, now_s = [], 0.0
        for sound in sounds(kind, hours * 3600 * SHARES[kind] / (1 - SHARES["orders"]), seed, scenery):
            events += _hear(hearing, own if kind == "own" else None, sound, now_s)
            now_s += len(sound.samples) / 16_000
        events += hearing.finish()
        heard = [event.text for event in events if type(event) is Heard]
        found = {"minutes": round(now_s / 60, 1), "false_stops": sum(type(event) is StopHeard for event in events),
                 "instructions": len(heard), "acted_on": sum(_moves(backend, text) for text in heard),
                 "with_a_wake_word": sum(after_wake_word(text, ("ロボット",)) is not None for text in heard),
                 "unsure": sum(type(event) is Unsure for event in events)}
        for name in totals:
            totals[name] += int(found[name])
        by_kind[kind] = found | {"heard": heard[:6], "stops": [e.text for e in events if type(e) is StopHeard][:6]}
        tell(f"{kind}: {found}")
    return {"hours": hours, **totals, "by_kind": by_kind}


def _hear(hearing: Any, own: Any, sound: Sound, now_s: float) -> list[Any]:
    from jpai_agent.voice.audio import BLOCK_S, BLOCK_SAMPLES, Block

    events: list[Any] = []
    turns = sorted([(begin_s, text) for begin_s, _, text in sound.said] + [(end_s, "") for _, end_s, _ in sound.said])
    for index, samples in enumerate(sound.samples.reshape(-1, BLOCK_SAMPLES)):
        time_s = index * BLOCK_S
        while own is not None and turns and turns[0][0] <= time_s:
            text = turns.pop(0)[1]
            if not text:
                events += hearing.split()
            own.told(_with_kana(text), now_s + time_s)
        events += hearing.feed(Block(now_s + time_s, samples))
    return events


def _with_kana(text: str) -> str:
    from jpai_agent.train.voice.speech import kana

    return f"{text}\n{kana(text)}" if text else ""


def _moves(backend: VlmBackend, text: str) -> bool:
    """Whether the cart would act on a text, over a frame that shows nothing in particular, or ask back or leave it."""
    from jpai_agent.plan import PlanError, parse_plan
    from jpai_agent.skills import skills_for
    from jpai_agent.vlm import PlanRequest, VlmError
    from jpai_agent.world.robot import load_robot

    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    try:
        answer = backend.plan(PlanRequest(text, {"front": image}))
        sure = answer.confidence is None or answer.confidence >= load_robot("cart").act_confidence
        return sure and parse_plan(answer.text, skills_for("cart")).decision == "act"
    except (VlmError, PlanError):
        return False


def _in_the_graph(parts: Sequence[str], n: int, scenery: Scenery, idle: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    from jpai_agent.nodes.voice_latency import motion_latency, stop_latency

    rng = np.random.default_rng(31)
    figures: dict[str, Any] = {}
    if "stop" in parts:
        said = [_words(scenery, _BARE[i % len(_BARE)], 10.0, rng) for i in range(n)]
        figures["word_end_to_zero"] = stop_latency(said, busy=not idle, tell=lambda done: tell(f"stop {done}"))
    if "motion" in parts:
        said = [_words(scenery, _ORDERS[i % len(_ORDERS)], None, rng) for i in range(max(1, n // 5))]
        figures |= motion_latency(said, tell=lambda done: tell(f"order {done}"))
    return figures


def _words(scenery: Scenery, text: str, snr_db: float | None, rng: np.random.Generator) -> Words:
    from jpai_agent.nodes.voice_latency import Words

    said = scenery.place(text, scenery.say(text, rng), snr_db, rng)
    return Words(text, said.samples, said.end_s)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.voice_bench", description=__doc__)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--graph-n", type=int, default=100)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--idle", action="store_true", help="stops without the load of model and twin")
    options = parser.parse_args(arguments)
    figures = bench_voice(options.n, options.hours, options.graph_n, options.only or PARTS, options.idle,
                          tell=lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(figures, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
