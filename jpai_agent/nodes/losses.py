"""Measure how long a gate takes to zero: after a stop, after the loss of what it needs, after a camera that froze or went black.

The gate's own process runs; what is around it is stood in for (`stand_in`), so that each sample takes about a second. The
figures of the whole graph under load are those of `latency`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from std_msgs.msg import Bool, String

from jpai_agent.nodes.bench import BenchError
from jpai_agent.nodes.fault_bench import GateBench, Inject
from jpai_agent.nodes.fault_streams import frozen, picture, silent

BARS_MS: Mapping[str, float] = {
    "estop": 50.0, "stop_word": 50.0, "heartbeat_loss": 300.0, "odometry_loss": 500.0, "lidar_loss": 500.0, "camera_loss": 500.0,
    "frozen_camera": 1000.0, "black_camera": 1000.0,
}
HOUR_S = 3600.0
ZERO_WITHIN_S = 3.0


def _estop(bench: GateBench, rng: np.random.Generator) -> None:
    bench.stand_in.estop.publish(Bool(data=True))


def _stop_word(bench: GateBench, rng: np.random.Generator) -> None:
    bench.stand_in.words.publish(String(data="止まれ"))


KINDS: Mapping[str, Inject] = {
    "estop": _estop, "stop_word": _stop_word, "heartbeat_loss": silent("heartbeat"), "odometry_loss": silent("odom"),
    "lidar_loss": silent("scan"), "camera_loss": silent("depth"), "frozen_camera": frozen("depth"),
    "black_camera": picture(lambda shape, rng: np.zeros(shape)),
}


def measure_losses(samples: int = 20, stops: int = 200, seed: int = 0,
                   tell: Callable[[str, int], None] = lambda kind, done: None) -> dict[str, Any]:
    """Times to the first zero on /cmd_vel of a cart's gate, in ms.

    Args:
        samples: Of each loss. stops: of the e-stop and of the stop word each. seed: of the moments at which they come.
        tell: Called with a kind and the number of its samples that are done.

    Returns:
        By kind: n, p50_ms, p99_ms, max_ms, bar_ms (for the longest); "off_clock": requests stamped an hour off that were sent,
        and speeds other than zero that came of them.

    Raises:
        BenchError, GraphError: The gate does not come up, does not drive with nothing wrong, or does not stop.
    """
    rng = np.random.default_rng(seed)
    figures: dict[str, Any] = {}
    with GateBench("cart", seed) as bench:
        for kind, inject in KINDS.items():
            taken = []
            for index in range(stops if kind in ("estop", "stop_word") else samples):
                taken.append(_sample(bench, inject, rng))
                tell(kind, index + 1)
            milliseconds = 1000 * np.array(taken)
            figures[kind] = {"n": len(taken), "p50_ms": round(float(np.median(milliseconds)), 2),
                             "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
                             "max_ms": round(float(milliseconds.max()), 2), "bar_ms": BARS_MS[kind]}
        figures["off_clock"] = _off_clock(bench, 10 * samples)
    return figures


def _sample(bench: GateBench, inject: Inject, rng: np.random.Generator) -> float:
    """Seconds from the fault to the first zero."""
    stand_in = bench.stand_in
    bench.drive(mps=0.1)
    bench.wait(float(rng.uniform(0.0, 0.25)))
    stand_in.commands.clear()
    begun_s = time.monotonic()
    inject(bench, rng)
    if not bench.run(lambda: any(v == w == 0.0 for _, v, w in stand_in.commands), ZERO_WITHIN_S):
        raise BenchError(f"no zero within {ZERO_WITHIN_S:.0f} s: the gate is {bench.state}")
    return next(at_s for at_s, v, w in stand_in.commands if v == w == 0.0) - begun_s


def _off_clock(bench: GateBench, count: int) -> dict[str, int]:
    """Requests stamped an hour early or late, and nothing else: what comes of them."""
    stand_in = bench.stand_in
    bench.drive()
    stand_in.bends["request"] = lambda message: []
    bench.run(lambda: not stand_in.drives, ZERO_WITHIN_S)
    stand_in.commands.clear()
    for index in range(count):
        stand_in.publishers["request"].publish(stand_in.request_msg(0.5, 0.0, HOUR_S * (-1) ** index))
        bench.wait(0.02)
    return {"sent": count, "acted_on": sum(1 for _, v, w in stand_in.commands if v or w)}
