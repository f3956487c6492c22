"""The faults of the whole graph: what a model may answer, what a camera may show, which process may stand still or end."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool

from jpai_agent.nodes import topics
from jpai_agent.nodes.fault_graph import GraphBench, GraphFault

Rng = np.random.Generator
Inject = Callable[[GraphBench, Rng], None]

_GO = '{"skill":"go_to","target":{"place":"exit"}}'
_DRIVE = '{"skill":"drive","distance_m":30.0}'


def _plans(step: str) -> dict[str, str]:
    """Texts that are no plan, by what is wrong with them."""
    sound = f'{{"decision":"act","steps":[{step}],"reason":null}}'
    return {
        "truncated": sound[:-9], "cut within a number": sound.replace(step, '{"skill":"wait","duration_s":3.'),
        "in a code fence": f"```json\n{sound}\n```", "with a word before": f"はい。{sound}", "twice": sound + sound,
        "with a key twice": sound.replace('"reason":null', '"reason":null,"reason":null'),
        "with an extra field": sound.replace('"reason":null', '"reason":null,"sudo":true'),
        "with NaN": sound.replace(step, '{"skill":"wait","duration_s":NaN}'),
        "with Infinity": sound.replace(step, '{"skill":"wait","duration_s":1e999}'),
        "nested 10000 deep": '{"decision":' + "[" * 10_000 + "]" * 10_000 + "}",
        "of a million steps": sound.replace(step, ",".join([step] * 1_000_000)),
        "of no steps": sound.replace(step, ""),
        "with an unknown skill": sound.replace(step, '{"skill":"fly","distance_m":1.0}'),
        "with an unknown place": sound.replace(step, '{"skill":"go_to","target":{"place":"mars"}}'),
        "out of range": sound.replace(step, '{"skill":"wait","duration_s":1e9}'),
        "with a number in words": sound.replace(step, '{"skill":"wait","duration_s":"三秒"}'),
        "with a point outside of the picture": sound.replace(
            step, '{"skill":"go_to","target":{"label":"箱","camera":"front","point":[5000,-3]}}'),
        "with a camera that is not there": sound.replace(
            step, '{"skill":"go_to","target":{"label":"箱","camera":"rear","point":[500,500]}}'),
        "that asks and acts": sound.replace('"act"', '"ask"'),
        "in prose": "申し訳ありませんが、それはできません。", "in another language": "I will now drive to the exit.", "empty": "",
        "of NUL bytes": "\0" * 100, "of a megabyte of noise": "x" * 1_000_000,
    }


def _answers(text: str) -> Inject:
    def inject(bench: GraphBench, rng: Rng) -> None:
        bench.model.text = text

    return inject


def _takes(seconds: float) -> Inject:
    def inject(bench: GraphBench, rng: Rng) -> None:
        bench.model.takes_s = seconds

    return inject


def _frames(change: Callable[[Image], Image | None]) -> Inject:
    def inject(bench: GraphBench, rng: Rng) -> None:
        bench.bend_frame = change
        # the frames that were under way have come
        bench.wait(0.5)

    return inject


def _even(level: int) -> Callable[[Image], Image]:
    def change(message: Image) -> Image:
        message.data = bytes([level]) * len(message.data)
        return message

    return change


def _encoded(encoding: str) -> Callable[[Image], Image]:
    def change(message: Image) -> Image:
        message.encoding = encoding
        return message

    return change


def _cut(message: Image) -> Image:
    message.data = message.data[: len(message.data) // 3]
    return message


def _wide(message: Image) -> Image:
    message.step += 7
    return message


def _small(message: Image) -> Image:
    message.height, message.width, message.step = 8, 8, 24
    message.data = message.data[: 8 * 24]
    return message


def _late(offset_s: int) -> Callable[[Image], Image]:
    def change(message: Image) -> Image:
        message.header.stamp.sec = max(0, message.header.stamp.sec + offset_s)
        return message

    return change


def _freezes(name: str) -> Inject:
    return lambda bench, rng: bench.freeze(name)


def _kills(name: str) -> Inject:
    return lambda bench, rng: bench.supervisor.running[name].kill()


def _pauses(bench: GraphBench, rng: Rng) -> None:
    bench.node.create_client(SetBool, topics.SIM_PAUSE).call_async(SetBool.Request(data=True))


def _hears(text: str) -> Inject:
    return lambda bench, rng: bench.say(text)


def _thinks(bench: GraphBench, rng: Rng) -> None:
    """The model hangs over something that was said."""
    bench.model.takes_s = 60.0
    bench.say("あれもお願い")
    bench.wait(0.3)


def _presses(bench: GraphBench, rng: Rng) -> None:
    bench.estop.publish(Bool(data=True))


def _no_room(bench: GraphBench, rng: Rng) -> None:
    for name in ("agent_node", "executor_node", "gate_node"):
        hard = resource.prlimit(bench.pid(name), resource.RLIMIT_FSIZE)[1]
        resource.prlimit(bench.pid(name), resource.RLIMIT_FSIZE, (0, hard))


def graph_faults(robot: str) -> list[GraphFault]:
    """All faults of the graph that concern a robot; those that cost a graph come last."""
    return sorted((fault for fault in _all(robot) if robot in fault.robots), key=lambda fault: fault.spoils_graph)


def _all(robot: str) -> Iterator[GraphFault]:
    for what, text in _plans(_GO if robot == "cart" else _DRIVE).items():
        # after an answer of 40 MB the client and the server need a new connection
        yield GraphFault(f"plan {what}", "plan JSON", _answers(text), asks_model=True, spoils_graph="million" in what)
    row = "model"
    for seconds in (7.0, 60.0):
        yield GraphFault(f"model takes {seconds:.0f} s", row, _takes(seconds))
    yield GraphFault("model hangs, then the stop word", row, _hears("止まれ"), "zero", 0.2, before=_thinks)
    yield GraphFault("model hangs, then the e-stop", row, _presses, "zero", 0.2, before=_thinks)
    row = "camera"
    for name, change in (("black", _even(0)), ("white", _even(255)), ("grey", _even(128)), ("cut short", _cut),
                         ("of wrong rows", _wide), ("of 8 by 8", _small), ("mono16", _encoded("mono16")),
                         ("jpeg", _encoded("jpeg")),
                         ("an hour old", _late(-3600)), ("that never come", lambda message: None)):
        yield GraphFault(f"colour frames {name}", row, _frames(change))
    row = "instruction"
    for name, text in (("of 10 MB", "あ" * 3_500_000), ("of nothing", ""), ("of blanks and marks", " \u200b\u202e "),
                       ("of 501 characters", "行" * 501)):
        yield GraphFault(f"instruction {name}", row, lambda bench, rng: None, says=text)
    yield GraphFault("stop word while it drives", row, _hears("止まれ"), "zero", 0.2)
    yield GraphFault("stop message while it drives", row, lambda bench, rng: bench.stops.publish(String(data="x")), "zero", 0.2)
    row = "host"
    yield GraphFault("executor stands still (SIGSTOP)", row, _freezes("executor_node"), "zero", 0.35)
    yield GraphFault("perception stands still (SIGSTOP)", row, _freezes("perception_node"), "zero", 0.5)
    yield GraphFault("robot's drivers stand still (SIGSTOP)", row, _freezes("sim_node"), "zero", 0.5)
    yield GraphFault("agent stands still (SIGSTOP)", row, _freezes("agent_node"), "zero", 8.0, hold_s=4.0)
    yield GraphFault("twin stands still (SIGSTOP), then something is said", row, _freezes("twin_node"))
    yield GraphFault("simulation is paused", "clock", _pauses, "zero", 0.6)
    yield GraphFault("e-stop while it drives", "e-stop", _presses, "zero", 0.2)
    yield GraphFault("disk full, then something is said", "disk", _no_room, spoils_graph=True)
    yield GraphFault("executor killed", row, _kills("executor_node"), "zero", 0.35, spoils_graph=True)
    yield GraphFault("perception killed", row, _kills("perception_node"), "zero", 0.5, spoils_graph=True)
    yield GraphFault("agent killed", row, _kills("agent_node"), "zero", 8.0, spoils_graph=True, hold_s=4.0)
    yield GraphFault("twin killed, then something is said", row, _kills("twin_node"), spoils_graph=True)
