"""How far a robot rolls after an e-stop: MuJoCo's motion from the message until it stands, through the gate at its rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jpai_agent.gate.core import Gate
from jpai_agent.sim.report import machine
from jpai_agent.sim.robot import PHYSICS_STEP_S, SimRobot
from jpai_agent.world.known import WORLDS
from jpai_agent.world.robot import load_robot

# free ways to drive along, straight and long enough (x, y, heading_deg; map frame)
STARTS = {"cart": (-3.0, 0.0, 0.0), "car": (78.5, -30.0, 90.0)}
# by speed in m/s, the longest way in m where there is a bar
BARS_M: dict[str, dict[float, float | None]] = {"cart": {0.5: 0.20, 1.2: 0.60}, "car": {8.0: None}}
TICK_STEPS = 2
CRUISE_S = 0.6
STANDS_MPS = 0.01
LIMIT_S = 5.0


def bench_stopping(robot: str = "cart", n: int = 50, seed: int = 0, message_s: float = 0.02) -> dict[str, Any]:
    """Ways from the e-stop message to standstill.

    Args:
        n: Stops from each speed, each with mechanics (friction, load, drive's lag and delay) and a moment of its own.
        message_s: From the message's sending until the gate's zero goes out; by default the bar of its 99th percentile.

    Returns:
        By speed in m/s, as text: n, p50_m, max_m, the speed's range when the stop came, the bar and whether it is met.

    Raises:
        ValueError: An unknown robot.
    """
    if robot not in BARS_M:
        raise ValueError(f"unknown robot {robot!r}; known: {', '.join(BARS_M)}")
    figures: dict[str, Any] = {}
    for speed_mps, bar_m in BARS_M[robot].items():
        ways, speeds = np.array([stop(robot, speed_mps, seed + index, message_s) for index in range(n)]).T
        figures[f"{speed_mps:g}"] = {
            "n": n, "p50_m": round(float(np.median(ways)), 3), "max_m": round(float(ways.max()), 3),
            "from_mps": [round(float(speeds.min()), 3), round(float(speeds.max()), 3)],
            "bar_m": bar_m, "met": bar_m is None or bool(ways.max() <= bar_m)}
    what = f"way of the {robot} in MuJoCo from the e-stop message to standstill, zero {1000 * message_s:.0f} ms after it"
    return {"what": what, "from_mps": figures, "machine": machine()}


def stop(robot: str, speed_mps: float, seed: int, message_s: float = 0.02) -> tuple[float, float]:
    """Metres from the e-stop message to standstill, and the true speed when it came. Raises RuntimeError if it does not stop."""
    spec = load_robot(robot)
    begins_s = speed_mps / spec.limits.accel_mps2 + CRUISE_S
    # the stop comes at any time between two ticks
    begins_s += float(np.random.default_rng([seed, 1]).uniform(0.0, TICK_STEPS * PHYSICS_STEP_S))
    gate = Gate(spec.limits, ackermann=spec.ackermann)
    gate.arm()
    steps, pressed, way_m, from_mps = 0, False, 0.0, math.nan
    with SimRobot(spec, WORLDS[robot], robot_pose=STARTS[robot], seed=seed) as simulated:
        at = simulated.truth().pose[:2]
        while simulated.time_s < begins_s + LIMIT_S:
            now_s = simulated.time_s
            due = not pressed and now_s >= begins_s + message_s
            if due:
                pressed = True
                gate.estop(True, now_s)
            if due or steps % TICK_STEPS == 0:
                _ask(gate, speed_mps, now_s)
                given = gate.tick(now_s)
                simulated.command(given.v_mps, given.w_radps)
            simulated.step(PHYSICS_STEP_S)
            steps += 1
            truth = simulated.truth()
            if simulated.time_s > begins_s:
                if math.isnan(from_mps):
                    from_mps = float(truth.velocity[0])
                way_m += float(np.hypot(*(truth.pose[:2] - at)))
            at = truth.pose[:2]
            if pressed and abs(float(truth.velocity[0])) < STANDS_MPS:
                return way_m, from_mps
    raise RuntimeError(f"{robot} does not stand {LIMIT_S:.0f} s after the e-stop")


def _ask(gate: Gate, speed_mps: float, now_s: float) -> None:
    """All is well, and this speed is wanted."""
    gate.heartbeat(now_s)
    for sensor in gate.config.sensor_timeouts_s:
        gate.sensor(sensor, now_s)
    gate.request(speed_mps, 0.0, now_s)

