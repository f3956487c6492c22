"""Faults in single streams around a gate: what comes is lost, late, stale, altered or another."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from jpai_agent.nodes.base import seconds, stamp_of
from jpai_agent.nodes.fault_bench import GateBench, Inject, Rng
from jpai_msgs.msg import ExecutorStatus


def stamped(message: Any, offset_s: float) -> Any:
    where = message if isinstance(message, ExecutorStatus) else message.header
    where.stamp = stamp_of(max(0.0, seconds(where.stamp) + offset_s))
    return message


def bend(how: Callable[[GateBench, Rng], Callable[[Any], list[Any]]], *streams: str) -> Inject:
    """A fault that turns the messages of streams into others, those of each by a function of its own."""

    def inject(bench: GateBench, rng: Rng) -> None:
        for stream in streams:
            bench.stand_in.bends[stream] = how(bench, rng)

    return inject


def silent(*streams: str) -> Inject:
    """Nothing comes any more."""
    return bend(lambda bench, rng: lambda message: [], *streams)


def changed(stream: str, change: Callable[[Any, Rng], Any]) -> Inject:
    """Each message is altered."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        def altered(message: Any) -> list[Any]:
            change(message, rng)
            return [message]

        return altered

    return bend(how, stream)


def off_clock(stream: str, offset_s: float) -> Inject:
    """Each message's stamp is off."""
    return changed(stream, lambda message, rng: stamped(message, offset_s))


def frozen(stream: str) -> Inject:
    """The same content again and again, with fresh stamps."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        kept: list[Any] = []

        def same(message: Any) -> list[Any]:
            kept.append(deepcopy(message))
            copy = deepcopy(kept[0])
            copy.header.stamp = message.header.stamp
            return [copy]

        return same

    return bend(how, stream)


def picture(make: Callable[[tuple[int, int], Rng], np.ndarray]) -> Inject:
    """Depth frames of something else, with fresh stamps."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        camera = bench.robot.camera("front")
        shape = (camera.depth_height_px, camera.depth_width_px)
        return lambda message: [bench.stand_in.depth_msg(make(shape, rng))]

    return bend(how, "depth")


def request(v: float, w: float, offset_s: float = 0.0) -> Inject:
    """Requests for something else."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        return lambda message: [bench.stand_in.request_msg(v, w, offset_s)]

    return bend(how, "request")


def tripled(*streams: str) -> Inject:
    """Each message comes three times."""
    return bend(lambda bench, rng: lambda message: [message, deepcopy(message), deepcopy(message)], *streams)


def delayed(streams: tuple[str, ...], by_s: float) -> Inject:
    """Every message comes later."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        waiting: list[tuple[float, Any]] = []

        def late(message: Any) -> list[Any]:
            waiting.append((bench.stand_in.now_s + by_s, message))
            due = [m for at_s, m in waiting if at_s <= bench.stand_in.now_s]
            del waiting[: len(due)]
            return due

        return late

    return bend(how, *streams)


def replayed(*streams: str) -> Inject:
    """The newest message is sent again and again as it was, nothing new."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        kept: list[Any] = []

        def again(message: Any) -> list[Any]:
            kept.append(deepcopy(message))
            return [deepcopy(kept[0])]

        return again

    return bend(how, *streams)


def dropped(streams: tuple[str, ...], share: float) -> Inject:
    """Some messages are lost."""
    return bend(lambda bench, rng: lambda message: [] if rng.random() < share else [message], *streams)


def swapped(*streams: str) -> Inject:
    """Every other message overtakes the one before."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        kept: list[Any] = []

        def overtake(message: Any) -> list[Any]:
            kept.append(message)
            if len(kept) < 2:
                return []
            pair = [kept[1], kept[0]]
            kept.clear()
            return pair

        return overtake

    return bend(how, *streams)


def other_frame(message: Any, rng: Rng) -> None:
    """A stream calls itself another one."""
    message.header.frame_id = "camera_rear"


def assigned(path: str, value: float) -> Callable[[Any, Rng], None]:
    """One number of a message is another."""
    *way, last = path.split(".")

    def change(message: Any, rng: Rng) -> None:
        for name in way:
            message = getattr(message, name)
        setattr(message, last, value)

    return change


def shifted(path: str, by: float) -> Callable[[Any, Rng], None]:
    """One number of a message is off."""
    *way, last = path.split(".")

    def change(message: Any, rng: Rng) -> None:
        for name in way:
            message = getattr(message, name)
        setattr(message, last, getattr(message, last) + by)

    return change


def turned(by_rad: float) -> Callable[[Any, Rng], None]:
    """The heading of odometry is off."""

    def change(message: Any, rng: Rng) -> None:
        q = message.pose.pose.orientation
        yaw = 2 * math.atan2(q.z, q.w) + by_rad
        q.z, q.w = math.sin(yaw / 2), math.cos(yaw / 2)

    return change


def malformed(
    encoding: str = "32FC1", width: int = 0, height: int = 0, cut: int = 0, step: int = 0
) -> Callable[[Any, Rng], None]:
    """A picture that does not add up: another encoding or size, rows of a wrong length, bytes missing."""

    def change(message: Any, rng: Rng) -> None:
        message.encoding = encoding
        message.width, message.height = width or message.width, height or message.height
        message.step += step
        if cut:
            message.data = message.data[:-cut]
        if width:
            message.step = width * 4
            message.data = bytes(min(message.step * message.height, 8_000_000))

    return change


def spoilt_scan(kind: str) -> Inject:
    """The lidar is covered (no answer from any beam), or its turn is cut short."""

    def how(bench: GateBench, rng: Rng) -> Callable[[Any], list[Any]]:
        def covered(message: Any) -> list[Any]:
            scan = bench.stand_in.scan()
            scan.ranges_m[...] = math.nan
            return [bench.stand_in.scan_msg(scan)]

        def short(message: Any) -> list[Any]:
            if hasattr(message, "ranges"):
                message.ranges = message.ranges[:0]
            else:
                message.data = message.data[: len(message.data) // 2]
            return [message]

        return covered if kind == "covered" else short

    return bend(how, "scan")
