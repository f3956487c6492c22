"""Rehearse a car's program: N rollouts of a reduced car among other road users and lights, under its own controllers."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import numpy as np

from jpai_agent.control import Command, Program, RoadRunner, View
from jpai_agent.control.road.routes import network_of
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.twin.judge import main_reason
from jpai_agent.twin.road_car import Cars, Drawn, draw_car, uniform
from jpai_agent.twin.road_config import RoadRehearsalConfig, load_road_rehearsal
from jpai_agent.twin.road_contacts import Others, RoadRecording
from jpai_agent.twin.road_futures import draw_futures
from jpai_agent.twin.road_judge import RoadJudgement, judge_road
from jpai_agent.twin.road_signals import GREEN, Signals
from jpai_agent.twin.road_traffic import Traffic
from jpai_agent.twin.shorten import shortened
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene

PATH_STEP_S = 0.2
# from this speed on its measurement has its full error
TURNING_MPS = 0.5
# what may hold a car up: a light ahead that is not green, whose head is beyond the crossing, and anybody so near; one that stands
# for so long without has no reason to
HEAD_AHEAD_M, SOMEBODY_M, IDLE_S = 50.0, 30.0, 10.0


def rehearse_drive(program: Program, scene: Scene, robot: RobotSpec, world_map: WorldMap, binding: Binding, *,
                   rollouts: int | None = None, seed: int = 0, progress: RoadRunner | None = None, lead_s: float = 0.0,
                   config: RoadRehearsalConfig | None = None) -> Verdict:
    """See `rehearse`. A rollout that is still on its way, or waits lawfully, when the longest time is over has passed; the
    verdict's `under_way` tells how many were.

    Raises ValueError for a map without roads.
    """
    begun = time.perf_counter()
    if world_map.road is None:
        raise ValueError(f"map {world_map.name} has no roads; a car is rehearsed on one that has")
    config = config or load_road_rehearsal()
    n, tick_s, horizon = rollouts or config.rollouts, 1.0 / robot.control_rate_hz, config.horizon
    short, cut_s = shortened(program, horizon.longest_wait_s, horizon.longest_follow_s)
    if progress is None:
        runner = RoadRunner(short, robot, n)
    else:
        runner = progress.repeated(n)
        runner.program = short
    rng = np.random.default_rng(seed)
    ticks = round(horizon.longest_s / tick_s)
    drawn = draw_car(scene, robot, config, rollouts=n, ticks=ticks, tick_s=tick_s, rng=rng)
    delay_s = uniform(rng, config.perception.delay_s, n)
    signals = Signals(world_map.road, scene.lights, config.lights, config.perception, rollouts=n, ticks=ticks + 1, tick_s=tick_s,
                      rng=rng)
    futures = draw_futures(scene.movers, network_of(world_map.road), signals, config, rollouts=n, tick_s=tick_s,
                           delay_s=delay_s, rng=rng)
    traffic = Traffic(scene.movers, futures, signals, robot, config, delay_s=delay_s, tick_s=tick_s, rng=rng)
    allowed_s = lead_s + short.duration_s(robot) * horizon.factor + horizon.margin_s
    rehearsal = _Drives(scene, robot, world_map, drawn, signals, traffic, config, tick_s)
    recording = rehearsal.run(runner, lead_s, allowed_s, stood_before=progress is not None)
    others = Others(drawn.boxes, futures.kinds, futures.half_m, traffic.boxes)
    judgement = judge_road(recording, others, world_map.road, signals, robot, config.judge, tick_s)
    return _verdict(judgement, recording, scene, binding, config, tick_s, seed, cut_s, begun)


@dataclass
class _Drives:
    """One rehearsal under way."""

    scene: Scene
    robot: RobotSpec
    world_map: WorldMap
    drawn: Drawn
    signals: Signals
    traffic: Traffic
    config: RoadRehearsalConfig
    tick_s: float

    def run(self, runner: RoadRunner, lead_s: float, allowed_s: float, stood_before: bool) -> RoadRecording:
        """Carry on for lead_s, then run until all are done, or allowed_s of driving or the longest time are over."""
        drawn, scene, n, rules = self.drawn, self.scene, self.drawn.rollouts, self.config.judge
        cars = Cars(self.robot, drawn, timestep_s=self.config.timestep_s, tick_s=self.tick_s, v_mps=scene.robot.v_mps,
                    w_radps=scene.robot.w_radps)
        boxes = np.array([[o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m] for o in scene.obstacles]).reshape(1, -1, 5)
        box_ids, mover_ids = tuple(o.id for o in scene.obstacles), tuple(m.id for m in scene.movers)
        carry_on = Command(np.full(n, scene.robot.v_mps), np.full(n, scene.robot.w_radps))
        active, free_s, idle_s = np.ones(n, dtype=bool), np.zeros(n), np.zeros(n)
        ends, outcome = np.zeros(n, dtype=int), ["under_way"] * n
        after = np.full(n, round(self.config.horizon.carry_on_s / self.tick_s) if runner.carries_on else 0)
        rows: list[tuple[np.ndarray, ...]] = []
        for tick in range(len(drawn.pose_errors)):
            ends[active] = tick + 1
            movers, mover_boxes = self.traffic.told(cars.pose)
            lights = self.signals.told(tick, cars.pose)
            # wheels that stand are known to stand
            turning = np.minimum(np.abs(cars.speed[:, :1]) / TURNING_MPS, 1.0)
            view = View(scene.stamp_s + tick * self.tick_s, cars.pose + drawn.pose_errors[tick],
                        cars.speed + turning * drawn.speed_errors[tick], boxes, movers, mover_ids, box_ids, mover_boxes, lights,
                        self.signals.ids)
            before = runner.segment.copy()
            command = carry_on if tick * self.tick_s < lead_s else runner.tick(view, self.tick_s)
            rows.append((cars.pose.copy(), cars.speed[:, 0].copy(), cars.aside_mps2.copy(), self.traffic.state(), before,
                         self._missed(runner, before, cars.pose)))
            # time in which traffic or lights may hold it up does not count; standing for nothing is seen at the end
            free, stands = ~self._waits(cars.pose, lights), np.abs(cars.speed[:, 0]) < rules.still_mps
            free_s += np.where(free & ~stands, self.tick_s, 0.0)
            idle_s = np.where(free & stands, idle_s + self.tick_s, 0.0)
            after = np.where(runner.succeeded, after - 1, after)
            for i in np.flatnonzero(active & ((runner.succeeded & (after < 0)) | (runner.failed != "") | (free_s > allowed_s))):
                outcome[i] = "done" if runner.succeeded[i] else str(runner.failed[i]) or "timeout"
                active[i] = False
            if not active.any():
                break
            self.traffic.advance(tick, cars.pose, cars.speed)
            cars.advance(np.stack([command.v_mps, command.w_radps], axis=1), active)
        for i in np.flatnonzero(active):
            if runner.succeeded[i]:
                outcome[i] = "done"
            elif idle_s[i] > IDLE_S:
                outcome[i] = "timeout"
        pose, v, aside, states, segment, missed = (np.stack(values) for values in zip(*rows, strict=True))
        steps = np.array([s.step for s in runner.program.segments] or [0])
        step = steps[np.minimum(segment, len(steps) - 1)]
        return RoadRecording(pose, v, aside, states, step, missed, ends, outcome, stood_before)

    def _waits(self, poses: np.ndarray, lights: np.ndarray) -> np.ndarray:
        """(N,) whether there is something near that a car may be waiting for."""
        near = np.hypot(*(self.traffic.xy - poses[:, None, :2]).transpose(2, 0, 1)) < SOMEBODY_M
        waits = near.any(axis=1)
        facing = np.cos(poses[:, 2:] - self.signals.yaw) < -0.5
        away = np.linalg.norm(poses[:, None, :2] - self.signals.at, axis=-1)
        return waits | (facing & (away < HEAD_AHEAD_M) & (lights != GREEN)).any(axis=1)

    def _missed(self, runner: RoadRunner, before: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """(N,) whether a drive has just been taken for ended at rest with base_link truly elsewhere."""
        missed = np.zeros(len(before), dtype=bool)
        for row in np.flatnonzero(runner.segment > before):
            segment = runner.program.segments[before[row]]
            if isinstance(segment, RoadDrive) and segment.rests:
                missed[row] = np.hypot(*(poses[row, :2] - segment.points[-1])) > self.config.judge.goal_m
        return missed


def _verdict(judgement: RoadJudgement, recording: RoadRecording, scene: Scene, binding: Binding, config: RoadRehearsalConfig,
             tick_s: float, seed: int, cut_s: float, begun: float) -> Verdict:
    reasons = judgement.reasons
    passed = np.array([not reason for reason in reasons])
    rate = float(passed.mean())
    good = bool(passed[0]) and rate >= config.pass_rate
    failed_step = None
    if not passed.all():
        first = int(np.argmin(judgement.failed_rows))
        failed_step = int(recording.step[judgement.failed_rows[first], first])
    stride = max(1, round(PATH_STEP_S / tick_s))
    paths = [np.round(recording.pose[:end:stride, i], 3).tolist() for i, end in enumerate(recording.ends)]
    alive = np.arange(len(recording.pose))[:, None] < recording.ends
    under_way = np.array([outcome == "under_way" for outcome in recording.outcome])
    name = hashlib.sha256(f"{binding}{seed}{len(reasons)}".encode()).hexdigest()[:12]
    return Verdict(
        id=f"verdict-{name}", status="pass" if good else "fail", made_at_s=scene.stamp_s, rollouts=len(reasons), pass_rate=rate,
        binding=binding, failed_step=failed_step, reason="" if good else main_reason(reasons),
        min_clearance_m=float(judgement.clearance_m.min()),
        duration_s=float(np.median(recording.ends[passed]) * tick_s + cut_s) if passed.any() else 0.0,
        peak_speed_mps=float(np.abs(recording.speed_mps)[alive].max()), paths=paths, swept=[point[:2] for point in paths[0]],
        wall_s=time.perf_counter() - begun, min_ttc_s=float(judgement.ttc_s.min()), violations=judgement.violations,
        under_way=float((under_way & passed).mean()))
