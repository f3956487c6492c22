"""The timed benches of `jpai bench --what ...`: each prints figures with n and the machine's description."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

BENCHES = ("model", "fleet", "rehearsal", "crossing", "twin", "simulation", "driving", "stop", "stopping", "latency", "network",
           "conformance", "engines", "large", "voice")


def run(what: str, model_dir: Path | None = None, robot: str = "cart", n: int = 0, idle: bool = False, *,
        seed: int = 0, jobs: int = 1, device: str = "cpu") -> dict[str, Any]:
    """The figures of a bench. Raises ValueError for an unknown one.

    Args:
        robot: For the rehearsal and for stopping. n: plans of each sort of twin, yards of crossing, samples of stop, stopping,
            latency and conformance; 0: as many as each has. idle: model and twin are at rest while stops are timed.
            seed: of twin and crossing. jobs: processes of these, threads of large. device: of large, "cuda" for an accelerator.
    """
    if what == "model":
        from jpai_agent.vlm import load_backend
        from jpai_agent.vlm.bench import bench

        return bench(load_backend(model_dir))
    if what == "fleet":
        from jpai_agent.vlm.fleet import ROUNDS, bench_fleet

        return bench_fleet(model_dir, n or ROUNDS)
    if what == "rehearsal":
        from jpai_agent.twin.bench import bench_rehearsal

        return bench_rehearsal(robot=robot)
    if what == "twin":
        from jpai_agent.sim.discrimination import bench_discrimination

        return bench_discrimination(n or 100, seed, jobs=jobs)
    if what == "crossing":
        from jpai_agent.sim.crossing import bench_crossing

        return bench_crossing(n or 300, seed, jobs=jobs)
    if what == "simulation":
        return simulation()
    if what == "driving":
        from jpai_agent.sim.driving import bench_driving

        return bench_driving()
    if what == "stop":
        from jpai_agent.nodes.latency import measure
        from jpai_agent.sim.report import machine

        beside = "at rest" if idle else "busy"
        what = f"a stop word or an e-stop to the first zero on /cmd_vel, the graph running, model and twin {beside}"
        return {"what": what, **measure(n or 500, busy=not idle), "machine": machine()}
    if what == "stopping":
        from jpai_agent.sim.stopping import bench_stopping

        return bench_stopping(robot, n or 50)
    if what == "latency":
        from jpai_agent.nodes.losses import measure_losses
        from jpai_agent.sim.report import machine

        what = "a stop, or the loss of what the gate needs, to the first zero on /cmd_vel; the gate's process with a stand-in"
        return {"what": what, **(measure_losses(n, n) if n else measure_losses()), "machine": machine()}
    if what == "conformance":
        from jpai_agent.vlm.conformance import bench_conformance

        return bench_conformance(n or 200)
    if what == "engines":
        from jpai_agent.vlm.engines import bench_engines

        return bench_engines()
    if what == "large":
        from jpai_agent.vlm.large import bench_large

        return bench_large(threads=jobs, tokens=n or 96, device=device)
    if what == "voice":
        from jpai_agent.voice_bench import bench_voice

        return bench_voice(n or 300, idle=idle)
    if what == "network":
        from jpai_agent.leaks import bench as bench_network

        return bench_network(robot)
    raise ValueError(f"unknown bench {what!r}; known: episodes, {', '.join(BENCHES)}")


def simulation(seconds: float = 60.0, seed: int = 3) -> dict[str, Any]:
    """Simulated robot with perception at the sensors' rates, driving in a circle: how many times real time on one core."""
    from jpai_agent.perception import Perception
    from jpai_agent.playing import free_episode
    from jpai_agent.sim.report import machine
    from jpai_agent.sim.robot import SimRobot
    from jpai_agent.world.map import load_map
    from jpai_agent.world.robot import load_robot

    episode = free_episode("yard", seed, ["-"])
    robot = load_robot(episode.robot)
    perception = Perception(robot, load_map("yard"))
    period_s = 1.0 / robot.control_rate_hz
    with SimRobot(robot, "yard", episode.objects, robot_pose=episode.robot_pose, seed=seed) as simulated:
        simulated.observe(0.0)
        wall, cpu = time.perf_counter(), time.process_time()
        while simulated.time_s < seconds:
            perception.update(simulated.observe(simulated.time_s))
            if perception.ready:
                perception.scene()
            simulated.command(0.1, 0.3)
            simulated.step(period_s)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        parts = {part: round(1e3 * spent / seconds, 1) for part, spent in simulated.spent_s.items()}
    return {"what": "cart in the yard, all sensors, perception, 20 Hz", "simulated_s": seconds,
            "realtime_factor": round(seconds / wall, 1), "realtime_factor_cpu": round(seconds / cpu, 1),
            "ms_per_simulated_s": parts, "machine": machine()}
